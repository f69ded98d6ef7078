/* Part of multi.pml: the scan of the intents, the rest of a release, and one step at the head. */

/* SCAN: does a living participant's intent cover p? Leaves out oneself. Only seats that can have such an intent are looked at. */
#define SCAN_FROM(first) j = first
#define SCAN_STEP(again, kind, p, end, covered) \
again:  STEP( if \
        :: j < end && j != me && status[j] != DEAD && COVERS(intent[j], kind, p) -> goto covered \
        :: else -> j++; if :: j < end -> goto again :: else -> j = 0 fi \
        fi )

/* The rest of a RELEASE of the message at `first`, whose word is `word`: anybody may do it, in whole or in part. */
#define FINISH_RELEASE(again, first, word) \
        q = first + 1; \
again:  if \
        :: q <= first + F(word) -> \
                STEP( if :: AT(q) == W(PART, 0, 0, LAP(q)) -> AT(q) = W(FREE, 0, 0, LAP(q) + 1) :: else fi; q++; goto again ) \
        :: else -> STEP( if :: AT(first) == W(DRAINED, 0, F(word), LAP(first)) -> AT(first) = W(FREE, 0, 0, LAP(first) + 1) :: else fi; q = 0 ) \
        fi

/* The head moves from h over `cells` without anybody taking them: none of them may hold a live message. */
inline pass(cells) {
        STEP( if
        :: head == h ->
                assert(!IS(AT(h), READY, h));
                assert(cells < 2 || !IS(AT(h + 1), READY, h + 1) && !IS(AT(h + 1), PART, h + 1) || M(FOLLOWERS_NOT_CLEANED));
                head = h + cells; q = 0; s = 0; h = 0; goto moved
        :: else -> q = 0; s = 0; h = 0; goto moved
        fi )
}

/* H: one step at the head. Leaves by `moved` (start again), `found` (READY at h, its word in s), `nothing` (Empty), or `orphan_at_head`. */
inline head_step() {
        x = 0;
R1:     STEP( h = head; s = AT(h) * M(SLOT_BEFORE_TAIL) );
        if
        :: atomic { IS(AT(h), READY, h) -> s = AT(h); goto found }       /* R0 */
        :: atomic { tail == h -> s = 0; goto nothing }
        :: atomic { tail != h -> skip }
        FALLS
        fi;
R2:     STEP( if :: M(SLOT_BEFORE_TAIL) :: else -> s = AT(h) fi;
        if
        :: LAPOF(s) < LAP(h) -> goto orphan_at_head
        :: LAPOF(s) > LAP(h) -> if :: M(NEWER_NOT_HELPED) -> goto hangs :: else -> goto R4 fi
        :: IS(s, READY, h) -> goto found
        :: IS(s, VOID, h) -> goto R3
        :: IS(s, FREE, h) -> SCAN_FROM(0)
        :: else -> assert(head != h); s = 0; h = 0; goto moved
        fi );
        SCAN_STEP(R2scan, PUT, h, NP, R2covered);
        /* Nobody living claims it. */
        STEP( if
        :: AT(h) != s -> if :: M(HEAD_WITHOUT_SLOT) -> goto R4 :: else -> s = 0; h = 0; goto moved fi
        :: AT(h) == s && (F(s) == 0 || M(FREED_WITH_FOLLOWERS)) -> AT(h) = W(FREE, 0, 0, LAP(h) + 1); goto R4
        :: else -> s = W(VOID, 0, F(s), LAP(h)); AT(h) = s; goto R3
        fi );
R2covered:
        if
        :: atomic { AT(h) != s || head != h || status[j] == DEAD || !COVERS(intent[j], PUT, h) -> s = 0; j = 0; h = 0; goto moved }
        :: atomic { status[j] == STOPPED || patience > 0 -> if :: status[j] != STOPPED -> patience-- :: else fi; j = 0 }
        FALLS
        fi;
        STEP( if
        :: AT(h) != s -> if :: M(HEAD_WITHOUT_SLOT) -> goto R4 :: else -> s = 0; h = 0; goto moved fi
        :: AT(h) == s && M(FREED_ON_PATIENCE) -> AT(h) = W(FREE, 0, 0, LAP(h) + 1); goto R4
        :: else -> s = W(VOID, 0, F(s), LAP(h)); AT(h) = s; goto R3
        fi );
hangs:  (head != h) -> goto moved;
R3:     /* VOID: what follows it is void as well */
        q = h + 1;
R3next: if
        :: q <= h + F(s) && !M(FOLLOWERS_NOT_CLEANED) -> STEP( x = AT(q);
                if :: LAPOF(x) != LAP(q) || KIND(x) == VOID -> x = 0; q++; goto R3next :: else fi );
                STEP( if :: AT(q) == x -> AT(q) = W(VOID, 0, 0, LAP(q)); q++ :: else fi; x = 0; goto R3next )
        :: else -> pass(1 + F(s))
        fi;
R4:     pass(1);
}
