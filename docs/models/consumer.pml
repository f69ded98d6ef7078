/* Part of multi.pml: TAKE, RELEASE, ADOPT, drop and count, NOTICE, and JOIN. */

#define COVERED_TAKE_BY(i, p) (NP + i < P && me != NP + i && status[(NP + i < P -> NP + i : 0)] != DEAD && COVERS(intent[(NP + i < P -> NP + i : 0)], TAKE, p))
#define COVERED_TAKE(p) (COVERED_TAKE_BY(0, p) || COVERED_TAKE_BY(1, p) || COVERED_TAKE_BY(2, p))
#define ORPHAN_IN(i) (i < N && KIND(st[(i) % N]) == READY && LAPOF(st[(i) % N]) * N + (i) % N < head && !COVERED_TAKE(LAPOF(st[(i) % N]) * N + (i) % N))
#define ORPHAN (ORPHAN_IN(0) || ORPHAN_IN(1) || ORPHAN_IN(2) || ORPHAN_IN(3))
#define UNNOTICED(i) (NP + i < P && status[(NP + i < P -> NP + i : 0)] == DEAD && record[(NP + i < P -> NP + i : 0)] % 2 == 0)

proctype consumer(byte me) {
        byte h, p, q, e, j, m, c, seen, now;
        short s, x;
        bool again;
start:  head_step();
orphan_at_head:                                              /* an older lap at h: the position was skipped */
        p = LAPOF(s) * N + h % N; c = N;
        if
        :: KIND(s) == READY -> goto adopt
        :: else -> p = 0; c = 0; goto R4
        fi;
moved:  goto R1;

found:  /* R3: s is READY at h. Perhaps more of them follow. */
        atomic { e = h + 1 + F(s); s = 0; m = 1 }
more:   if
        :: m < TAKE_MAX -> STEP( x = AT(e); if :: IS(x, READY, e) && e < h + N -> e = e + 1 + F(x); x = 0; m++; goto more :: else -> x = 0 fi )
        :: true
        fi;
        STEP( intent[me] = INTENT(TAKE, h, e - h); m = 0 );
        STEP( if
        :: head == h ->
                p = h;
                do                                           /* FIFO: each producer's messages are taken in their order */
                :: p < e ->
                        assert(KIND(AT(p)) == READY && LAPOF(AT(p)) == LAP(p));
                        m = data[p % N];
                        assert(m > last[ORIGIN(m)]);
                        last[ORIGIN(m)] = m; p = p + 1 + F(AT(p))
                :: else -> break
                od;
                head = e; p = h; m = 0; h = 0; goto deliver
        :: else -> e = 0; h = 0; goto moved
        fi );

deliver:                                                     /* the message at p, which is ours */
        atomic { s = AT(p); q = p }
        if :: M(TAKE_CLEARED_EARLY) -> STEP( intent[me] = NONE ) :: else fi;
read:   STEP( assert(m == 0 || m == data[q % N]); m = data[q % N];
        assert(committed & BIT(m)); assert(!(released & BIT(m)));
        q++; if :: q <= p + F(s) -> goto read :: else -> q = 0 fi );
        atomic { assert(TAKEOVERS(s) > 0 || !(got & BIT(m))); got = got | BIT(m) }
release:
        if
        :: F(s) == 0 -> STEP( assert(AT(p) == s); AT(p) = W(FREE, 0, 0, LAP(p) + 1); released = released | BIT(m) )
        :: F(s) > 0 && M(NO_DRAINED) ->
                STEP( if :: AT(p + 1) == W(PART, 0, 0, LAP(p + 1)) -> AT(p + 1) = W(FREE, 0, 0, LAP(p + 1) + 1) :: else fi );
                STEP( assert(AT(p) == s); AT(p) = W(FREE, 0, 0, LAP(p) + 1); released = released | BIT(m) )
        :: else ->
                STEP( assert(AT(p) == s); AT(p) = W(DRAINED, 0, F(s), LAP(p)); released = released | BIT(m) );
                FINISH_RELEASE(finish, p, s)
        fi;
        atomic { m = 0; p = p + 1 + F(s); s = 0; if :: p < e -> goto deliver :: else -> p = 0; e = 0; c = 0; goto start fi };

adopt:  /* ADOPT p, whose READY word is s: found at the head (c == N; h stays) or in the scan, in cell c */
        SCAN_FROM(NP);
        if :: M(ADOPT_UNSCANNED) || M(SCAN_BEFORE_STATE) && c < N -> j = 0; goto uncovered :: else fi;
        SCAN_STEP(adopt_scan, TAKE, p, P, covered);
uncovered:
#ifdef DROP
D1:     STEP( x = dropped_word; if :: TAG(x) == p + 1 -> x = 0; goto D4 :: TAG(x) != p + 1 && (TAG(x) == 0 || M(COUNT_WITHOUT_HELP)) -> goto D2 :: else fi );
        STEP( if :: IS(AT(TAG(x) - 1), READY, TAG(x) - 1) -> AT(TAG(x) - 1) = W(FREE, 0, 0, LAP(TAG(x) - 1) + 1) :: else fi );
D2:     if :: M(NO_SECOND_LOOK) :: else -> STEP( if :: AT(p) != s -> x = 0; goto lost :: else fi ) fi;
        STEP( if
        :: dropped_word == x ->
                m = data[p % N];
                assert((committed & BIT(m)) && !(released & BIT(m)) && !(dropped & BIT(m)));
                dropped = dropped | BIT(m); m = 0;
                dropped_word = COUNT(x) + 1 + 8 * (p + 1); x = 0
        :: else -> x = 0; goto D1
        fi );
D4:     STEP( if :: AT(p) == s -> AT(p) = W(FREE, 0, 0, LAP(p) + 1) :: else fi );
        goto lost;
#else
        STEP( intent[me] = INTENT(TAKE, p, 1 + F(s)) );
        STEP( if
        :: AT(p) == s -> AT(p) = s + 8 * (1 - M(ADOPT_SAME_WORD)); e = p + 1 + F(s); s = 0; h = 0; c = 0; goto deliver
        :: else
        fi );
#endif
lost:   if :: intent[me] == NONE :: else -> STEP( intent[me] = NONE ) fi;
        goto left;
covered:
        atomic { j = 0; again = again || (c < N && !M(NO_RETRY_BEHIND_LIVING)) };
left:   atomic { s = 0; p = 0; if :: c == N -> c = 0; goto R4 :: else -> c++; goto cell fi };

nothing:                                                     /* Empty: nothing to take, and nobody waits with a claim of his own */
        if :: M(LOSER_KEEPS_TAKE) :: intent[me] == NONE :: else -> STEP( intent[me] = NONE ) fi;
end_idle:
        if
        :: atomic { head != h || tail != h -> h = 0; goto moved }
        :: atomic { deaths != seen || again && ORPHAN -> h = 0 }
        :: atomic { UNNOTICED(0) -> j = NP; h = 0; goto notice }
        :: atomic { UNNOTICED(1) -> j = NP + 1; h = 0; goto notice }
        :: atomic { UNNOTICED(2) -> j = NP + 2; h = 0; goto notice }
        fi;
        /* The scan of all cells; what it finds is delivered, and then it starts again. */
        STEP( now = deaths; again = false; c = 0 );
        STEP( h = head );
cell:   if
        :: c == N -> atomic { seen = now; now = 0; c = 0; h = 0; goto start }
        :: else
        fi;
        if
        :: M(SCAN_BEFORE_STATE) ->
                s = st[c]; p = LAPOF(s) * N + c; s = 0;
                SCAN_FROM(NP);
                SCAN_STEP(early_scan, TAKE, p, P, covered)
        :: else
        fi;
        STEP( s = st[c]; p = LAPOF(s) * N + c; if :: KIND(s) == READY && p < h -> goto adopt :: else -> s = 0; p = 0; c++; goto cell fi );

notice: STEP( m = record[j]; if :: m % 2 == 1 || status[j] != DEAD -> m = 0; j = 0; goto start :: else fi );
        if :: M(NOTICED_UNCOUNTED) :: else -> STEP( deaths++ ) fi;
        STEP( if :: record[j] == m -> record[j] = m + 1 :: else fi; m = 0 );
        if :: M(NOTICED_UNCOUNTED) -> STEP( deaths++ ) :: else fi;
        j = 0; goto start;

fallen: atomic {
                h = 0; p = 0; q = 0; e = 0; j = 0; m = 0; c = 0; seen = 0; now = 0; s = 0; x = 0; again = false;
                if :: joins == 0 -> goto gone :: else fi
        };
        atomic { if :: joins > 0 -> joins--; status[me] = UP :: else -> goto gone fi };                 /* JOIN: the lock is won */
        if :: M(JOIN_CLEARS_FIRST) -> STEP( intent[me] = NONE ) :: else fi;
        STEP( if :: record[me] % 2 == 0 -> deaths++ :: else fi );
        STEP( intent[me] = NONE );
        STEP( record[me] = record[me] + 2 - record[me] % 2; goto start );
stopped:
        atomic { h = 0; p = 0; q = 0; e = 0; j = 0; m = 0; c = 0; seen = 0; now = 0; s = 0; x = 0; again = false };
gone:   skip
}
