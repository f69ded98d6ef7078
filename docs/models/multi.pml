/*
 * The multi ring: announced claims. A model of the protocol on paper, under sequential consistency.
 *
 * Every STEP is one access to shared memory (a load, a store or a CAS) and what follows from it locally; at every one of them the participant may be
 * killed (its lock is free from then on) or stopped for ever (it counts as living). The rules carry their names: S1.. claims, H and R1.. the head,
 * TAKE, RELEASE, ADOPT, NOTICE, JOIN. README.md has the configurations, what they showed, and what no model here sees.
 */

/* ---- the configuration ---- */
#ifndef N
#define N 2            /* cells */
#endif
#ifndef NP
#define NP 2           /* producers: seats 0..NP */
#endif
#ifndef NC
#define NC 2           /* consumers: seats NP..P */
#endif
#ifndef MSGS
#define MSGS 1         /* messages that each producer sends */
#endif
#ifndef LEN
#define LEN 1          /* cells of a claim: a message of LEN cells, or with -DBATCH so many messages of one cell, all or none */
#endif
#ifdef MIXED
#define WANTED (sent % 2 -> 1 : LEN)   /* every other message has one cell */
#else
#define WANTED LEN
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef FREEZES
#define FREEZES 1
#endif
#ifndef PATIENCE
#define PATIENCE 1     /* how often the patience with a participant that moves is over too early; with a stopped one it is over at any time */
#endif
#ifndef JOINS
#define JOINS 0        /* how often the seat of a dead one is taken again */
#endif
#ifndef PREFILL
#define PREFILL 0      /* messages of one cell that are committed at the start */
#endif
#ifndef TAKE_MAX
#define TAKE_MAX 1     /* messages that a consumer takes at once */
#endif
#ifndef ABORTS
#define ABORTS 0       /* how many claims are dropped instead of committed */
#endif
#ifndef FAR
#define FAR 100        /* a position that is only reached if they are used up without end */
#endif
#define P (NP + NC)
#ifdef BATCH
#define MESSAGES_PER_CLAIM LEN
#else
#define MESSAGES_PER_CLAIM 1
#endif

/*
 * ---- the faults to plant ----
 * One compiled verifier serves them all: it reads the number of the one to plant from MUTANT in its environment.
 */
c_decl { int mutant = 0; };
#define INTENT_AFTER_TAIL      1
#define COMMIT_BY_STORE        2
#define VOID_REUSED_UNSCANNED  3
#define ADOPT_UNSCANNED        4
#define FREED_ON_PATIENCE      5
#define INTENT_CLEARED_EARLY   6
#define TAKE_CLEARED_EARLY     7
#define SLOT_BEFORE_TAIL       8
#define REUSED_WITHOUT_FULL    9
#define LOSER_KEEPS_PUT       10
#define LOSER_KEEPS_TAKE      11
#define NEWER_NOT_HELPED      12
#define HEAD_WITHOUT_SLOT     13
#define ADOPT_SAME_WORD       14
#define FOLLOWERS_NOT_CLEANED 15
#define NO_STAMP              16
#define NO_DRAINED            17
#define SCAN_BEFORE_STATE     18
#define COUNT_WITHOUT_HELP    19
#define FREED_WITH_FOLLOWERS  20   /* an uncovered FREE(L, f > 0) is freed like one without followers */
#define DRAINED_LEFT          21   /* nobody finishes the release of a dead consumer */
#define NOTICED_UNCOUNTED     22   /* NOTICE marks the record before it counts the death */
#define JOIN_CLEARS_FIRST     23   /* JOIN clears the intent before it counts the death */
#define COMMIT_FORWARDS       24   /* a batch is committed from its first cell on */
#define NO_SECOND_LOOK        25   /* drop and count: p's slot is not looked at again once the tag is helped */
#define NO_RETRY_BEHIND_LIVING 26  /* a scan that met messages of the living counts as complete */
#define PREFIX_CLAIMED        27   /* a claim that meets a stuck cell claims what precedes it, and aborts that: a livelock */
#define M(fault) (c_expr { mutant == fault })

/* ---- words ---- */
#define FREE 0
#define READY 1
#define PART 2
#define VOID 3
#define DRAINED 4
#define W(kind, takeovers, followers, lap) ((kind) + 8 * (takeovers) + 32 * (followers) + 128 * (lap))
#define KIND(w) ((w) & 7)
#define TAKEOVERS(w) (((w) >> 3) & 3)
#define F(w) (((w) >> 5) & 3)
#define LAPOF(w) ((w) >> 7)
#define LAP(p) ((p) / N)
#define AT(p) st[(p) % N]
#define IS(w, kind, p) (KIND(w) == kind && LAPOF(w) == LAP(p))

#define NONE 0
#define PUT 1
#define TAKE 2
#define INTENT(kind, p, n) ((kind) + 4 * (n) + 32 * (p))
#define COVERS(i, kind, p) (((i) & 3) == kind && (p) >= ((i) >> 5) && (p) < ((i) >> 5) + (((i) >> 2) & 7))

byte head, tail;
short st[N];
short intent[P];
#define UP 0
#define STOPPED 1
#define DEAD 2
byte status[P];        /* the kernel's lock is free: DEAD */
byte record[P];        /* 2 * generation; + 1: died, as noticed */
byte deaths;
short dropped_word;    /* D: count, and 1 + the position of the last one counted as the tag */
#define COUNT(d) ((d) & 7)
#define TAG(d) ((d) >> 3)

byte data[N];          /* payload: which message */

/* ---- what only the checks know ---- */
byte crashes = CRASHES, freezes = FREEZES, patience = PATIENCE, joins = JOINS, aborts = ABORTS;
byte finished;         /* producers that have sent everything, by bits */
short committed, got, released, dropped;   /* messages, by bits */
byte last[NP + 1];     /* of each producer: the last message that the head passed */
#define BIT(m) (1 << (m))
#define PER_PRODUCER (MSGS * MESSAGES_PER_CLAIM + PREFILL)
#define ORIGIN(m) (((m) - 1) / PER_PRODUCER)

/* ---- steps ---- */
#define FALLS \
        :: atomic { crashes > 0 -> crashes--; status[me] = DEAD; goto fallen } \
        :: atomic { freezes > 0 -> freezes--; status[me] = STOPPED; goto stopped }
#define STEP(x) if :: atomic { x } FALLS fi

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

/* ---- producers ---- */

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

/* ---- consumers ---- */

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
                STEP( AT(p + 1) = W(FREE, 0, 0, LAP(p + 1) + 1) );
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

/* ---- what must hold when nobody can move any more ---- */

#define COVERED_BY(j, kind, p) (status[j] != DEAD && COVERS(intent[j], kind, p))

init {
        byte i, p, k, stopped_cells;
        bool consumes, stands, held;
        short w, left;
        c_code { mutant = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0; };
        atomic {
                do
                :: i < PREFILL ->
                        AT(i) = W(READY, 0, 0, LAP(i)); data[i % N] = i + 1; committed = committed | BIT(i + 1); i++
                :: else -> break
                od;
                tail = PREFILL; i = 0;
                do :: i < NP -> run producer(i); i++ :: else -> break od;
                do :: i < P -> run consumer(i); i++ :: else -> i = 0; break od
        }
        atomic {
                timeout ->
                do
                :: i < P ->
                        if :: i >= NP && status[i] == UP -> consumes = true :: else fi;
                        if
                        :: status[i] == STOPPED ->
                                stands = true;
                                if :: (intent[i] & 3) == TAKE -> stopped_cells = stopped_cells + ((intent[i] >> 2) & 7) :: else fi
                        :: else
                        fi;
                        i++
                :: else -> i = 0; break
                od;
                if
                :: !consumes -> goto done                    /* nobody is left to receive */
                :: else
                fi;
                /* Nobody is stuck, unless the stopped one holds all the room there is. */
                assert(head == tail);
                do
                :: i < NP -> assert(status[i] != UP || (finished & BIT(i)) || stands && N < 2 * LEN); i++
                :: else -> i = 0; break
                od;
                /* What was committed was received (or counted), or a stopped consumer has it in its hands. */
                assert(!(released & dropped));
                left = committed & ~(released | dropped);
                do
                :: left != 0 -> left = left & (left - 1); k++
                :: else -> break
                od;
                assert(k <= stopped_cells);
                k = 0; left = dropped;
                do
                :: left != 0 -> left = left & (left - 1); k++
                :: else -> break
                od;
                assert(COUNT(dropped_word) == k);
                /* All cells are free, or can be used again, or a stopped one holds them. */
                do
                :: i < N ->
                        w = st[i]; p = LAPOF(w) * N + i; k = 0; held = false;
                        do
                        :: k < P ->
                                assert(KIND(w) != VOID || status[k] != UP || !COVERS(intent[k], PUT, p));
                                held = held || status[k] == STOPPED && COVERS(intent[k], TAKE, p);
                                k++
                        :: else -> break
                        od;
                        assert(KIND(w) != FREE || F(w) == 0);
                        assert(KIND(w) != READY || held);
                        assert(KIND(w) != PART || held || p > 0 && IS(AT(p - 1), DRAINED, p - 1) && F(AT(p - 1)) > 0);
                        i++
                :: else -> break
                od
        }
done:   skip
}
