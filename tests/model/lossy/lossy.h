/*
 * The stock engine on servers that lose writes, as a state machine that is small enough to be searched to the end.
 *
 * The hub and each segment are on a shard of their own. A shard is the slot as its master has it, and one or two
 * copies, each an earlier state of the same slot: a replica applies its master's writes in order, so it is always some
 * prefix of them, and a failover to it loses the rest. Around the shards are the stores, messages and processes of one
 * coupon: MySQL, a drainer and an inspector that may stand still with what they have read, messages between hub and
 * segments that may arrive after any failover, customers with what they were told, hosts with high-water marks.
 *
 * Two sets of rules run on the same code: those before segments had bases and hubs had terms (EARLIER), and those of lua/
 * and docs/design.md (CURRENT). A rule of CURRENT can be broken on purpose (mutants).
 *
 *   scripts.c     what hub and segments do          properties.c  what must hold
 *   database.c    MySQL and the drainer             buyer.c       from here, without further faults, is all sold?
 *   inspect.c     a slot that comes back            search.c      all states, and the shortest way to a wrong one
 *   recover.c     a slot that was closed            cases.c       the sales that are searched, and the mutants
 *   steps.c       what may happen next              take.c        and what that does
 *   text.c        for people                        walk.c        for replay.py: random traces
 */
#ifndef LOSSY_LOSSY_H
#define LOSSY_LOSSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEGMENTS = 2, CLAIMERS = 3, HOSTS = 2, COPIES = 2 };
enum { HUB = SEGMENTS, SHARDS = SEGMENTS + 1 };
enum { RANGE = 3, RANGES_MOST = 5 }; /* order numbers above one base; bases that are explored */

extern enum rules { EARLIER, CURRENT } rules; /* in force */

/* The sale that is searched. */
struct sale {
	const char *name;
	int segments, units, claimers;
	int first[SEGMENTS]; /* granted at the opening */
	int home[CLAIMERS];
	int hosts;      /* a claimer's requests go to one of them: its number modulo hosts */
	int wait;       /* wait_replicas */
	int copies;     /* of each shard that fails over */
	int failovers;  /* at most, of the shards in `fails` */
	unsigned fails; /* a bit a shard */
	unsigned faults;
	unsigned watch;
	int bases;        /* at most; 0: RANGES_MOST */
	int granted_most; /* a grant that would raise G above this is not explored; 0: above the units */
	bool steered;     /* the sale is paused, once */
	unsigned waiters; /* a bit a claimer: who is on the waiting list at the start; their tickets are their numbers */
};

struct sales {
	const struct sale *list;
	size_t count;
};

enum faults {
	LATE_GRANTS = 1,    /* a grant may wait, also until after a failover */
	LATE_REPORTS = 2,   /* a segment's report may wait */
	LATE_DRAIN = 4,     /* a drainer may stand still before the commit, and before the trim */
	LATE_INSPECTOR = 8, /* an inspector may stand still between any two of its steps */
	WORDS = 16,         /* workers keep sold-out notices and a list of winners */
	RECOVERY = 32,      /* a quarantined sale is recovered, by host 0 */
	LATE_ANSWERS = 64,  /* a worker's answer to a customer may wait */
	KILLED_INSPECTOR = 128, /* another inspector may be killed between its steps */
	LOST_OWNERS = 256,  /* a segment may lose its owners alone, once */
};

enum watch {
	R1_NUMBERS = 1,  /* a number belongs to one customer */
	R2_BOOKS = 2,    /* units never leave the books, and are sold */
	R2_SOLD_OUT = 4,     /* "sold out" is true */
	R3_TRUTH = 8,    /* an order that was told exists, unless only servers that are gone had it */
	R3_WINNERS = 16, /* nobody who has an order is told "sold out" */
	R4_NAMED = 32,   /* an order that is gone is named */
	R5_OPEN = 64,    /* nothing is quarantined */
	ALL = 127,
	AFTER_RECOVERY = 128, /* only what goes wrong after a recovery counts */
};

/* A fence: the incarnation of the server in which the slot was found whole, counted from 0, or one of these. */
enum fence { HELD = 4, SUSPECT = 5, CLOSED = 6 };

struct own {
	uint8_t number : 5, listed : 1; /* listed: on the list of orders that MySQL does not have yet */
	uint8_t ticket : 1, : 1;        /* by a promotion */
};

/* Totals as in lua/: received I, sent O, granted G, taken R. Numbers run on from the base, base * RANGE. */
struct segment {
	uint8_t fence : 3, term : 3, paused : 1, : 1;
	uint8_t left : 4, received : 4;
	uint8_t sent : 4, sold : 4;
	uint8_t base : 3, last : 5;
	struct own own[CLAIMERS];
	uint8_t next : 3; /* the base for which an inspection has written here; 0: none, or it is open */
	uint8_t unowned : 4, : 1; /* units sold that had no owner when it was opened */
	uint16_t lost, listed; /* numbers that are named lost and hold a unit; those that MySQL does not have yet */
	uint8_t zeros[4];
};

struct hub {
	uint8_t fence : 3, empty : 2, heard : 2, sold_out : 1;
	int8_t avail; /* may be below 0 until all segments have reported */
	uint8_t term;
	struct {
		uint8_t granted : 4, taken : 4;
		uint8_t base;
	} with[SEGMENTS];
	/* The waiting list: who waits, a bit a claimer; of each segment the user of the promotion outstanding, two bits; and
	   whether the list may lack somebody. */
	uint8_t waiting : 3, promised : 4, lacks : 1;
};

/* A report (received, sent), or a grant (granted, taken). */
struct message {
	uint8_t there : 1, zero : 1, term : 3, base : 3; /* zero: nothing was left */
	uint8_t in : 4, out : 4;
};

/* Dead letters are bits by number. One that is held has a unit. */
struct database {
	uint8_t row[CLAIMERS], term;
	struct {
		uint8_t next : 5, base : 3;
	} cursor[SEGMENTS];
	uint16_t dead[SEGMENTS], held[SEGMENTS];
	uint8_t promoted; /* entries, a bit a claimer */
	/* The sale is paused; the seller was told so; segments that have answered that they know it, a bit a segment. */
	uint8_t paused : 1, acknowledged : 1, told : 2, : 4;
};

enum drain_phase { NO_BATCH, PEEKED, COMMITTED };

struct drain {
	uint8_t phase : 2, segment : 2, base : 4;
	uint8_t number[CLAIMERS];
	uint16_t lost;
	uint8_t upto, tickets; /* a bit a claimer */
};

struct inspection {
	uint16_t held, dead;
	uint8_t acknowledged;
	uint8_t phase : 3, target : 2, host : 1, whole : 1, waiters : 1; /* phase: steps that are done */
	uint8_t fence : 3, incarnation : 2, term : 3;
	uint8_t received : 4, sent : 4; /* as they were read, and later as they were written */
	uint8_t sold : 4, suspects : 3, : 1;
	uint8_t granted : 4, taken : 4; /* as the hub has them */
	uint8_t last : 5, base : 3;
	uint8_t row[CLAIMERS], own[CLAIMERS], paused; /* paused: as it was read in MySQL */
};

enum answer { NO_ANSWER, IS_WON, IS_MINE };

struct claimer {
	uint16_t told, gone; /* order numbers; gone: no server that confirmed it is left, or none had to */
	uint8_t number : 5, answer : 2, : 1; /* what a worker is about to answer */
	uint8_t incarnation;
};

struct state {
	struct {
		struct segment now, copy[COPIES];
	} segments[SEGMENTS];
	struct {
		struct hub now, copy[COPIES];
	} hub;
	struct database db;
	struct message reports[SEGMENTS], grants[SEGMENTS];
	struct message awards[SEGMENTS]; /* a promotion: `in` is G, `out` the user; zero: the promoter knows that it was done */
	uint8_t losers; /* whom a worker with a sold-out notice refuses */
	uint8_t failovers;
	uint8_t incarnation[SHARDS], recovered;
	struct drain drain;
	struct inspection job;
	struct claimer claimers[CLAIMERS];
	uint8_t acknowledged[HOSTS][SEGMENTS];
	uint8_t owners_lost, zero[5];
};

/* scripts.c */

enum word { NOTHING, OK, WON, MINE, NEED, GRANT, NONE, SOLDOUT, LATER, FENCED, REPLACED, REGRESS, OTHER, WORDS_COUNT };
extern const char *const word_names[WORDS_COUNT];

bool segment_is_open(const struct state *s, int i);
bool hub_is_open(const struct state *s);
int owners_of(const struct segment *g);
bool misses_owners(const struct segment *g);
bool hub_heard_all(const struct state *s, const struct sale *sale);
int segment_base(const struct segment *g);
int hub_term(const struct hub *h);
bool is_replaced(int base, int known);
struct message report_of(const struct segment *g);
struct message totals_of(const struct hub *h, int i);

enum word claim(struct state *s, int i, int c, int *number);
enum word credit(struct state *s, int i, struct message grant);
enum word debit(struct state *s, int i, struct message *report);
enum word exchange(struct state *s, const struct sale *sale, int i, struct message report, int want,
		   struct message *grant);
enum word confirm(struct state *s, int i, int c, int number);
enum word hear_hub(struct state *s, int i, struct message *hearing); /* at the segment */
enum word trim(struct state *s, int i, int base, int upto);

/* The waiting list. */
int promised_to(const struct hub *h, int i); /* a user, counted from 1; 0: no promotion is outstanding for the segment */
void promise(struct hub *h, int i, int user);
void void_promise(struct hub *h, int i, bool is_done);
bool may_promote(const struct state *s, const struct sale *sale);
void promote(struct state *s, const struct sale *sale);
void read_promise(struct state *s, int i);
enum word award(struct state *s, int i, struct message m);
enum word clear_promise(struct state *s, int i);
void relist(struct state *s, const struct sale *sale);

/* database.c */

int units_in_mysql(const struct state *s);
void drain_peek(struct state *s, const struct sale *sale, int i);
enum word drain_commit(struct state *s, const struct sale *sale);
bool drain_all(struct state *s, const struct sale *sale); /* at once; false when something is left */
void give_base(struct state *s, const struct sale *sale, struct inspection *job); /* MySQL's part of an inspection */
void name_in_mysql(struct state *s, const struct sale *sale, struct inspection *job); /* a mutant */
void look_for_order(struct state *s, const struct sale *sale, int c);

/* inspect.c */

bool needs_inspection(const struct state *s, int shard);
bool begin_inspection(struct state *s, const struct sale *sale, int shard, int host);
enum word go_on_inspecting(struct state *s, const struct sale *sale);
/* In one step. steps: after how many of its own the process is killed; 0: it is not. */
void inspect(struct state *s, const struct sale *sale, int shard, int host, int steps);

/* recover.c */

bool any_is_closed(const struct state *s, const struct sale *sale);
void recover(struct state *s, const struct sale *sale, int host);

/* steps.c */

enum kind {
	CLAIM,     /* claimer, way */
	TELL,      /* claimer */
	DROP,      /* claimer */
	DEBIT,     /* segment, way */
	REPORT,    /* segment, want, way: a late report */
	CREDIT,    /* segment: a late grant */
	REDELIVER, /* segment, way */
	HEAR,      /* segment, way: it learns the new term, and reports */
	REPLICATE, /* shard, copy */
	FAILOVER,  /* shard, copy */
	DRAIN,     /* segment, trimmed or not */
	PEEK,      /* segment */
	COMMIT,
	TRIM,
	INSPECT, /* shard, host; way: 0, or after how many steps it is killed */
	BEGIN,   /* shard, host */
	GO_ON,
	SUSPECT_AGAIN, /* segment */
	KEEP,  /* a worker takes a sold-out notice and reads the winners */
	FORGET,
	LOOK,    /* claimer: asks for an order that it was told of */
	RECOVER, /* host */
	LOSE_OWNERS, /* segment */
	PROMOTE,      /* the first who waits */
	READ_PROMISE, /* segment: a promoter finds the promotion that another one has left */
	AWARD,        /* segment; again, or late */
	CLEAR,        /* segment: the hub forgets the promotion that was done */
	RELIST,
	PAUSE,        /* MySQL has it */
	TELL_PAUSE,   /* segment */
	ACKNOWLEDGE_PAUSE,
	KINDS
};

enum way {
	AT_ONCE,
	WAITS
}; /* a message is delivered at once, or waits in the mailbox, where it replaces another one */

struct step {
	uint8_t kind, at, arg, way;
};

/* A claim that finds nothing left asks the hub: the question waits, or is put at once. */
enum { QUESTION_WAITS = 1, ASKS = 2 };

enum { STEPS_MOST = 128 };

void state_init(struct state *s, const struct sale *sale);
int steps_of(const struct state *s, const struct sale *sale, struct step list[STEPS_MOST]);
enum word step_take(struct state *s, const struct sale *sale, const struct step *step);

static inline int home_of(const struct sale *sale, int c)
{
	return sale->home[c];
}

/* A claimer's requests go to this host. */
static inline int host_of(const struct sale *sale, int c)
{
	return c % sale->hosts;
}

/* It may fail over, from here on. */
static inline bool fails(const struct sale *sale, const struct state *s, int shard)
{
	return sale->fails >> shard & 1 && s->failovers < sale->failovers;
}

static inline unsigned bit(int n)
{
	return 1u << n;
}

/* properties.c: what is wrong, or NULL. */

bool is_order(const struct state *s, const struct sale *sale, int c, int number); /* it is somewhere */
bool all_is_open(const struct state *s, const struct sale *sale);
int unsold(const struct state *s, const struct sale *sale);
const char *check_claim(const struct state *before, const struct sale *sale, int winner);
const char *check_open(const struct state *s, const struct sale *sale);
const char *check_state(const struct state *s, const struct sale *sale);

/* buyer.c */

const char *check_buyers(const struct state *s, const struct sale *sale);

/* search.c */

struct finding {
	size_t states, steps;
	int depth;
	const char *wrong; /* NULL: all is well */
	struct step trace[48];
	int trace_length;
	size_t replies[KINDS][WORDS_COUNT];
};

void search(const struct sale *sale, size_t states_most, struct finding *f);

/* text.c */

void print_trace(const struct sale *sale, const struct finding *f);

/* walk.c */

void print_walks(int traces, uint64_t seed);

/* cases.c */

struct fault_row {
	const char *name, *what;
	struct sale sale;
};

extern const struct fault_row faults[]; /* that EARLIER has */
extern const size_t fault_count;
extern const struct sales quick_sales, long_sales; /* of CURRENT */

/* The quick sales of CURRENT. */
enum quick {
	ONCE,
	ONCE_WAIT,
	ONCE_STALLS,
	LAST_UNIT,
	TWICE_STALLS,
	TWICE_LATE,
	TWICE_DRAIN,
	STALER,
	STALER_STALLS,
	HUB_ONCE,
	BOTH,
	BOTH_STALLS,
	ONE_OF_TWO,
	HUB_OF_TWO,
	BOTH_OF_TWO,
	NEWER,
	OWNERS_ONCE,
	WAITS_HUB,
	WAITS_SEGMENT,
	WAITS_BOTH,
	WAITS_TWO,
	PAUSED_ONCE,
	PAUSED_STALLS,
	SALES
};

struct mutant_row {
	enum { IMPLIED, NOTICED } found; /* implied by other rules: nothing goes wrong */
	enum quick sale;
	const char *name, *what;
};

extern enum mutant {
#define MUTANT(id, ...) id,
#include "model/lossy/mutants.def"
#undef MUTANT
	MUTANTS
} mutant; /* in force */

extern const struct mutant_row mutants[MUTANTS];

/* The rule that this mutant breaks holds. */
static inline bool keeps(enum mutant m)
{
	return mutant != m;
}

#endif
