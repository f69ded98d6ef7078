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

#include "head.pml"
#include "producer.pml"
#include "consumer.pml"

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
