/* Part of multi.pml: CLAIM, COMMIT and ABORT (S1 to S6), and what a producer does that finds the ring full. */

#define COVERED_PUT(p) (NP > 0 && me != 0 && status[0] != DEAD && COVERS(intent[0], PUT, p) || \
                        NP > 1 && me != 1 && status[(NP > 1)] != DEAD && COVERS(intent[(NP > 1)], PUT, p))
#define STUCK(i) (KIND(st[(i) % N]) == READY || KIND(st[(i) % N]) == PART || \
                  KIND(st[(i) % N]) == VOID && COVERED_PUT(LAPOF(st[(i) % N]) * N + (i) % N))
#define ROOM_AT(i) (!STUCK(i) && (WANTED < 2 || !STUCK((i) + 1)))
#define ROOM (ROOM_AT(0) || ROOM_AT(1) || N > 2 && (ROOM_AT(2) || ROOM_AT(3)))

proctype producer(byte me) {
        byte t, q, h, j, n, sent, skipped;
        short s, x;
        bool helped;
next:   atomic {
                n = 0; skipped = 0; helped = false;
                if
                :: sent == MSGS -> finished = finished | BIT(me); goto gone
                :: else
                fi
        }
S1:     STEP( t = tail; q = t; n = 0 );
S2:     STEP( s = AT(q);
        if
        :: s == W(FREE, 0, 0, LAP(q)) -> s = 0; q++; if :: q == t + WANTED -> n = WANTED; q = 0; goto S3 :: else -> goto S2 fi
        :: s != W(FREE, 0, 0, LAP(q)) && LAPOF(s) >= LAP(q) -> assert(tail != t); goto S1
        :: else
        fi );
        STEP( h = head;
        if
        :: q >= h + N && !(M(REUSED_WITHOUT_FULL) && KIND(s) == FREE) -> goto no_room
        :: else -> h = 0;
                if
                :: KIND(s) == FREE -> goto S2reuse
                :: KIND(s) == VOID -> SCAN_FROM(0); if :: M(VOID_REUSED_UNSCANNED) -> j = 0; goto S2reuse :: else fi
                :: KIND(s) == DRAINED && !M(DRAINED_LEFT) -> goto S2drained
                :: else -> goto S2stuck
                fi
        fi );
        SCAN_STEP(S2scan, PUT, LAPOF(s) * N + q % N, NP, S2stuck);
S2reuse:
        STEP( if :: AT(q) == s -> AT(q) = W(FREE, 0, 0, LAP(q)) :: else fi; s = 0; goto S2 );
S2drained:
        /* q is the older message's first cell, of one lap less or more: h serves as its position. */
        h = LAPOF(s) * N + q % N; x = q;
        FINISH_RELEASE(S2finish, h, s);
        q = x; x = 0; h = 0; s = 0; goto S2;
S2stuck:
        j = 0; s = 0;
        if
        :: M(PREFIX_CLAIMED) && q > t -> n = q - t; q = 0; goto S3
        :: else -> STEP(                                     /* skip: the cells before q stay FREE, covered by nobody */
                if
                :: tail == t -> tail = q + 1; skipped = skipped + q + 1 - t; assert(tail < FAR)
                :: else
                fi;
                q = 0; if :: skipped >= N -> t = 0; goto none :: else -> goto S1 fi )
        fi;

S3:     if :: M(INTENT_AFTER_TAIL) :: else -> STEP( intent[me] = INTENT(PUT, t, n) ) fi;
S4:     STEP( if :: tail == t -> tail = t + n; assert(tail < FAR) :: else -> t = 0; n = 0; goto S1 fi );
        if :: M(INTENT_AFTER_TAIL) -> STEP( intent[me] = INTENT(PUT, t, n) ) :: else fi;
        if
        :: n < WANTED -> q = t - 1; goto void_rest
        :: n == WANTED && (n == 1 || M(NO_STAMP))
        :: else -> STEP( if :: AT(t) == W(FREE, 0, 0, LAP(t)) -> AT(t) = W(FREE, 0, n - 1, LAP(t)) :: else -> q = t; goto void_rest fi )   /* S4b */
        fi;
        if :: aborts > 0 -> aborts--; goto abort :: true fi;
        if :: M(INTENT_CLEARED_EARLY) -> STEP( intent[me] = NONE ) :: else fi;
        q = t;
S5:     STEP( data[q % N] = me * PER_PRODUCER + sent * MESSAGES_PER_CLAIM + PREFILL + 1 + (q - t) * (MESSAGES_PER_CLAIM > 1);
              q++; if :: q < t + n -> goto S5 :: else -> q = (M(COMMIT_FORWARDS) -> t : q - 1) fi );
S6:     STEP( s = W((q > t && MESSAGES_PER_CLAIM == 1 -> PART : READY), 0, (q == t && MESSAGES_PER_CLAIM == 1 -> n - 1 : 0), LAP(q));
        if
        :: AT(q) == W(FREE, 0, (q == t && !M(NO_STAMP) -> n - 1 : 0), LAP(q)) || M(COMMIT_BY_STORE) ->
                AT(q) = s; s = 0;
                if
                :: q > t && !M(COMMIT_FORWARDS) -> q--; goto S6
                :: M(COMMIT_FORWARDS) && q < t + n - 1 -> q++; goto S6
                :: else ->
                        assert(head <= t);                 /* nobody has passed a message that is committed now */
                        x = me * PER_PRODUCER + sent * MESSAGES_PER_CLAIM + PREFILL + 1;
                        committed = committed | BIT(x);
                        if :: MESSAGES_PER_CLAIM > 1 -> committed = committed | BIT(x + 1) :: else fi;
                        x = 0; t = 0; q = 0; sent++; goto next
                fi
        :: else -> s = 0; q = 0; goto S1                     /* voided: send again elsewhere */
        fi );

void_rest:                                                   /* from q + 1 on, each cell for itself */
        q++;
void_next:
        if
        :: q < t + n -> STEP( if :: AT(q) == W(FREE, 0, 0, LAP(q)) -> AT(q) = W(VOID, 0, 0, LAP(q)) :: else fi; q++; goto void_next )
        :: else -> STEP( if :: n < WANTED -> intent[me] = NONE :: else fi; q = 0; n = 0; goto S1 )
        fi;
abort:  STEP( if :: AT(t) == W(FREE, 0, n - 1, LAP(t)) -> AT(t) = W(VOID, 0, n - 1, LAP(t)) :: else fi );
        STEP( intent[me] = NONE; sent++; t = 0; goto next );

no_room:
        atomic { q = 0; s = 0; if :: helped -> goto waits :: else -> t = 0; h = 0 fi };
        head_step();
orphan_at_head:
        goto R4;                                             /* a producer only passes it */
found:
nothing:
        atomic { s = 0; h = 0; helped = true; goto S1 };
moved:  goto S1;
waits:  if :: M(LOSER_KEEPS_PUT) :: intent[me] == NONE :: else -> STEP( intent[me] = NONE ) fi;
        helped = false; j = 0;
end_full:
        atomic { head != h || tail != t -> h = 0; t = 0; goto S1 };
none:   h = 0; s = 0; skipped = 0; helped = false;
        if :: M(LOSER_KEEPS_PUT) :: intent[me] == NONE :: else -> STEP( intent[me] = NONE ) fi;
end_none:
        atomic { ROOM -> goto S1 };

fallen: atomic {
                t = 0; q = 0; h = 0; j = 0; n = 0; skipped = 0; s = 0; x = 0; helped = false;
                if :: joins == 0 -> sent = 0; goto gone :: else fi
        };
        atomic { if :: joins > 0 -> joins--; status[me] = UP :: else -> goto gone fi };                 /* JOIN: the lock is won */
        STEP( intent[me] = NONE );
        STEP( record[me] = record[me] + 2 - record[me] % 2; goto next );
stopped:
        atomic { t = 0; q = 0; h = 0; j = 0; n = 0; skipped = 0; s = 0; x = 0; helped = false; sent = 0 };
gone:   skip
}
