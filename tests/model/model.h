/*
 * The stock engine as a state machine that is small enough to be searched to the end.
 *
 * A slot of Redis runs one script at a time, so a script is one atomic step; scripts.c has those of lua/ line by line.
 * Everything between two scripts (workers, connections, crashes) only carries replies to other scripts. So the state
 * keeps, beside the slots, every reply that a worker may still act upon. A message that arrives late, twice, out of order
 * or never is then a later, repeated, swapped or missing step. steps.c lists the steps that are possible in a state,
 * search.c takes all of them, breadth first, and properties.c says what must hold. A rule of the protocol can be broken on
 * purpose (mutants), to see that it is needed and that the search notices.
 *
 *   scripts.c     lua/, transcribed                 search.c   all states, and the shortest way to a wrong one
 *   steps.c       what may happen next              cases.c    the sales that are searched
 *   properties.c  what must hold                    walk.c     random traces, for replay.py and a real Redis
 *   buyer.c       a worker alone: does it sell?     mutants.c  rules that can be broken
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The search keeps millions of states, and packs them; simulate.c has one, of a sale of real size. */
#ifdef SIMULATE
enum { SEGMENTS = 64, CLAIMERS = 16384, SUPPLIERS = 2, COUNT_MOST = 7, CLOCK_MOST = 3 };
#define BITS(n)
typedef int32_t field;
typedef uint64_t segment_set;
#else
enum { SEGMENTS = 3, CLAIMERS = 3, SUPPLIERS = 2, COUNT_MOST = 7, CLOCK_MOST = 3 };
#define BITS(n) : n
typedef uint8_t field, segment_set;
#endif

enum { LEASE = 2, KEPT = 1 }; /* ticks: of a flag; of a worker's sold-out notice (1,000 and 600 ms) */
enum { FAR = CLOCK_MOST + LEASE + 1 }; /* a moment before Redis's clock was set back: it is not reached again */

/* The sale that is searched. */
struct sale {
	int segments, units, claimers;
	int first[SEGMENTS]; /* granted at the opening */
	int home[CLAIMERS];
	int adds;         /* units that the seller adds, once */
	int returns;      /* 1: an order may be cancelled: its unit goes back on sale, its customer may claim again */
	int granted_most; /* a grant that would raise G above this is not explored */
	int ticks;        /* the clock stops here */
	int want;         /* units that a worker asks for at most */
	bool opening;     /* segments are made one by one, while others already sell */
	bool requests;    /* watch each request from its first claim to its answer */
	bool set_back;    /* Redis's clock may be set back, once */
	bool pays;        /* an order that is not paid may end, so "sold out" is not final before all are paid */
	bool learns;      /* the hub does not know that yet */
	bool waits;       /* there is a waiting list */
	int steers;       /* changes of the state: the sale is paused, resumed, paused */
	int withdraws;    /* requests to take units off sale: two, then one */
	bool away;        /* entries may be skipped, because the promoter does not reach their homes */
};

/* Slots. Fields are those of the Lua scripts: I received, O sent, G granted, R taken. */

struct segment {
	field left BITS(4), received BITS(4);
	field sent BITS(4), n BITS(4);
	field epoch BITS(4), until BITS(3), made BITS(1);
	field held BITS(1); /* the flag says that units may come back */
};

struct hub {
	field avail BITS(4), amount BITS(4);
	field cancelled BITS(4), epoch BITS(4);
	segment_set empty BITS(3), opening BITS(1); /* empty: a bit a segment */
	field waited BITS(3); /* not the hub's: the epoch whose opening some worker has seen for KEPT ticks */
	field sold_out BITS(2), pays BITS(1);
	field final BITS(3), final_cancelled BITS(1);
	struct {
		field granted BITS(4), taken BITS(4);
	} with[SEGMENTS];
};

/* People */

enum request { IDLE, BEGAN, SEEN, HEARD }; /* claimed; meanwhile nothing was left for an instant; the hub said so */

struct claimer {
	field order BITS(4), request BITS(2); /* order: owners[user], a sequence */
	field live BITS(1), paid BITS(1);     /* of the last order: it is not cancelled; it is paid */
};

enum { SELLER, CANCELLER, DRAINER }; /* one adds stock, one cancels an order; one only tells what is final, and is no supplier */
enum supply { PLANNED, COMMITTED, TOLD, SETTLED }; /* in MySQL, at the hub, acknowledged (or sold out again) */

struct supplier {
	uint8_t supply : 2, told_at : 3, accepted : 3;
	uint8_t epoch : 4, waits : 1; /* waits: until old sold-out notices have expired */
};

/* MySQL's, of the order that was cancelled; its owner's entry is to be removed. Other totals follow from people. */
struct over {
	uint8_t user : 2, number : 4; /* user is counted from 1; 0: none was */
	uint8_t was_final : 1;
};

/*
 * The state of the sale, and units taken off sale. An odd version is "paused", an even one "open"; slots are the segments, then
 * the hub. asked, missed and withdrawn are MySQL's.
 */
struct steered {
	uint64_t versions : 8; /* of each slot, two bits */
	uint64_t decided : 2, acknowledged : 2; /* the versions that MySQL has, and of which the seller has the answer */
	uint64_t told : 12;    /* of each version from 1 on: the slots that have answered that they have it */
	uint64_t asked : 3, missed : 3, withdrawn : 3;
	uint64_t hub_asked : 3, hub_missed : 3, hub_withdrawn : 3;
	uint64_t read : 12;    /* pairs of asked and missed that some process has read in MySQL, see pair_bit() */
	uint64_t : 10;
};

/* Replies that a worker may still act upon; sets, as bits. */

enum { REPORT_WORDS = 2 };

struct state {
	struct hub hub;
	struct segment segments[SEGMENTS];
	struct claimer claimers[CLAIMERS];
	struct supplier suppliers[SUPPLIERS];
	struct over over;
	uint8_t clock : 3;
	uint8_t emptied : 2;       /* within a lease, nothing was left or in flight for an instant: ticks that it still is so */
	uint8_t asked : 3;         /* segments of which a report that found nothing left was dropped as inert */
	uint8_t scanned : 4;       /* the mutant that scans: what it read as zero */
	uint8_t reopened : 1;      /* a supply was acknowledged, and nothing sold out since */
	uint8_t losers : 3;        /* whom a worker with a sold-out notice refuses in this tick */
	uint8_t spare : 7;         /* zero; used by search.c */
	uint8_t set_back : 1;      /* Redis's clock was */
	uint8_t opens;             /* epochs that supply answered */
	uint8_t ranks;             /* the waiting list: of each claimer two bits, its place from 1 on; 0: does not wait */
	uint16_t grants[SEGMENTS]; /* totals granted */
	/* Promotions outstanding: of each segment four bits, up to two claimers counted from 1; then a bit a segment, not the
	   hub's: the promotion was done. */
	uint16_t promised;
	uint64_t words;            /* "sold out": epoch and until */
	uint64_t held_words;       /* the same, where units may come back */
	uint64_t reports[SEGMENTS][REPORT_WORDS]; /* received, sent, and whether left was zero */
	struct steered steered;
};

/* Replies */

enum word { NOTHING, WON, MINE, NEED, SOLDOUT, HELD, OK, GRANT, NONE, LATER, FENCED, REGRESS, JOINED, WAITS, PROMOTED, UNITS, LEFT, OTHER, PAUSED, MORE, WORDS };
extern const char *const word_names[WORDS];

struct reply {
	enum word word;
	int count, values[2 + 3 * SEGMENTS];
};

/* Constants of the engine: how much is granted at the opening, and how much a grant and a return move. */

struct tuning {
	int first_num, first_den;               /* of the units: launch.c */
	int chunk_num, chunk_den;               /* of what the hub holds, shared by the segments: exchange.lua */
	enum { RETURN_ONE, RETURN_HALF, RETURN_ALL } back; /* of what a segment has left: debit.lua */
};

#define SHIPPED { 7, 8, 2, 1, RETURN_ALL }
extern struct tuning tuning; /* in force: what is shipped, but in simulate.c */

/* scripts.c. A negative granted is an argument that was left out; user 0 only credits. */

struct reply open_segment_lua(struct state *s, int segment, int units);
struct reply claim_lua(struct state *s, int segment, int user, int granted, int taken);
struct reply debit_lua(struct state *s, int segment, bool back);

/* A report of a segment; others may come in the same call. */
struct report {
	int segment, received, sent, left;
};
struct reply exchange_lua(struct state *s, const struct sale *sale, struct report home, int want, int probes,
			  const struct report *others, int count, int waited);
struct reply flag_lua(struct state *s, int segment, int epoch, int until, bool held);

/* What MySQL has counted. */
struct totals {
	int amount, cancelled, final, final_cancelled, pays;
};
struct reply supply_lua(struct state *s, const struct totals *told, int waited);
struct reply release_lua(struct state *s, int segment, int user, int number);

/* The waiting list. */
struct reply join_lua(struct state *s, int segment, int user);
struct reply leave_lua(struct state *s, int segment, int user);
struct reply promote_lua(struct state *s, int waited, int skipped, int user, int segment, int next);
struct reply award_lua(struct state *s, int segment, int granted, int first, int second);
struct reply promoted_lua(struct state *s, int segment, int first, int second);

/* What a seller steers. Slots are the segments, then the hub. */
struct reply steer_lua(struct state *s, const struct sale *sale, int slot, int version);
struct reply withdraw_lua(struct state *s, const struct sale *sale, int asked, int missed);

/* steps.c */

enum kind {
	OPEN_SEGMENT, /* at segment */
	CLAIM,        /* at claimer; granted or -1, taken */
	CREDIT,       /* at segment; granted, taken */
	DEBIT,        /* at segment; 1 to send back what is left */
	EXCHANGE,     /* at segment; received, sent, left, want, probes; another's report, segment -1 without one; waited */
	FLAG,         /* at segment; epoch, until or 0, 1 when units may come back */
	COMMIT,       /* at supplier: MySQL has it; of the canceller: whose order it is */
	SUPPLY,       /* at supplier; amount, cancelled, waited, final, final_cancelled, pays */
	PAY,          /* at claimer: MySQL has it */
	RELEASE,      /* at claimer; the number of the order that is over */
	JOIN,         /* at claimer */
	LEAVE,        /* at claimer */
	PROMOTE,      /* at claimer; entries that are skipped, waited, another of its home to be promoted with it or -1 */
	AWARD,        /* at segment; granted, the two of the promotion (0: none) */
	CLEAR,        /* at segment: the hub learns that it was done; the two of the promotion */
	DECIDE,       /* MySQL has the next version */
	STEER,        /* at slot, the hub being the last; version */
	PROMISE_STATE, /* the seller is answered; version */
	ASK,          /* MySQL has the next request to take units off sale */
	WITHDRAW,     /* asked and missed, as they were read */
	NOTE,         /* MySQL has what the hub has withdrawn and given up */
	ACKNOWLEDGE,  /* at supplier */
	TICK,
	SET_BACK, /* Redis's clock */
	KEEP,    /* a worker takes a sold-out notice for a tick, and the list of winners */
	REFUSE,  /* at claimer: by a worker with a notice */
	ANSWER,  /* at claimer: a worker answers what the hub said */
	GIVE_UP, /* at claimer: busy, or the worker was killed */
	SCAN,    /* mutant: a worker reads one slot */
	KINDS
};

struct step {
	uint8_t kind, at;
	int8_t args[10];
};

enum { STEPS_MOST = 1024 };

void state_init(struct state *s, const struct sale *sale);
int steps_of(const struct state *s, const struct sale *sale, struct step list[STEPS_MOST]);
struct reply step_take(struct state *s, const struct sale *sale, const struct step *step);
void drop_inert(struct state *s, const struct sale *sale);
void drop_inert_release(struct state *s);
void sort_alike(struct state *s, const struct sale *sale); /* claimers of one home are alike: only one of their orders is searched */
const char *step_text(char text[160], const struct sale *sale, const struct step *step, const struct reply *reply);
const char *state_text(char text[320], const struct sale *sale, const struct state *s);

/* A lease that ends then has run out, or is longer than one can be and therefore void. */
static inline bool is_over(const struct state *s, int until)
{
	return until <= s->clock || until > s->clock + LEASE;
}

static inline int user_of(int claimer)
{
	return claimer + 1;
}

static inline int rank_of(const struct state *s, int claimer)
{
	return s->ranks >> 2 * claimer & 3;
}

static inline int queue_of(const struct state *s)
{
	return !!(s->ranks & 3) + !!(s->ranks & 12) + !!(s->ranks & 48);
}

/* The first or the second (0, 1) of the promotion outstanding for a segment, as a user; 0: none. */
static inline int promised_to(const struct state *s, int segment, int k)
{
	return s->promised >> (4 * segment + 2 * k) & 3;
}

static inline int promised_units(const struct state *s, int segment)
{
	return !!promised_to(s, segment, 0) + !!promised_to(s, segment, 1);
}

static inline bool is_promised(const struct state *s, int segment, int user)
{
	return promised_to(s, segment, 0) == user || promised_to(s, segment, 1) == user;
}

static inline bool is_awarded(const struct state *s, int segment)
{
	return s->promised >> (12 + segment) & 1;
}

static inline segment_set one_segment(int i)
{
	return (segment_set)((uint64_t)1 << i);
}

static inline segment_set all_segments(const struct sale *sale)
{
	return (segment_set)(UINT64_MAX >> (64 - sale->segments));
}

static inline int version_of(const struct state *s, int slot)
{
	return (int)(s->steered.versions >> 2 * slot & 3);
}

/* Nobody steers what simulate.c sells. */
static inline bool is_paused(const struct state *s, int slot)
{
	return slot <= 3 && version_of(s, slot) & 1;
}

/* properties.c: each says what is wrong, or NULL. judge also keeps the watch bits of the state. */

int sold(const struct state *s);
int unsold(const struct state *s);
struct totals counted_in_mysql(const struct state *s, const struct sale *sale);
const char *judge(const struct state *before, struct state *s, const struct sale *sale, const struct step *step,
		  const struct reply *reply);
const char *check_state(const struct state *s, const struct sale *sale);

/* buyer.c: from here, without faults and other workers, does every claimer without an order get one while units are left? */

const char *check_buyers(const struct state *s, const struct sale *sale, int *most_scripts);

/* mutants.c */

enum mutant {
	NO_MUTANT,
	NO_G_COMPARISON,
	NO_R_COMPARISON,
	NO_R_COMPARISON_IN_MARK,
	NO_EPOCH_CHECK,
	CREDIT_AMOUNTS,
	RETURN_AMOUNTS,
	SUPPLY_AMOUNTS,
	SCAN_SEGMENTS,
	RELATIVE_LEASE,
	HASTY_ACKNOWLEDGEMENT,
	SUPPLY_KEEPS_EPOCH,
	ANY_EPOCH_OPENS,
	GRANT_KEEPS_MARK,
	ANY_SOLDOUT_ANSWERS,
	NO_OWNER_LOOKUP,
	NO_REDELIVERY,
	ONLY_HUB_PAUSES,
	HASTY_PAUSE,
	ANY_VERSION,
	WITHDRAW_AMOUNTS,
	WITHDRAW_KEEPS_AVAIL,
	HASTY_MISSED,
	MISSED_FORGOTTEN,
	GRANT_AT_ONCE,
	NOTICES_OUTLIVE_SUPPLY,
	LEASE_OUTLIVES_CLOCK,
	ANY_WAIT_OPENS,
	CANCELLED_AMOUNTS,
	HASTY_RELEASE,
	ANY_NUMBER_RELEASED,
	NOTICE_OF_HELD,
	HELD_KEEPS_EPOCH,
	HELD_WITHIN_EPOCH,
	RETURN_AT_ONCE,
	HASTY_FINAL,
	JOIN_WITH_UNITS,
	QUEUE_NOT_ASKED,
	QUEUE_FLAGS,
	PROMISE_TOLD,
	GRANT_WITH_PROMISE,
	HELD_WITH_PROMISE,
	PROMOTE_ANY_RANK,
	PROMOTE_AT_ONCE,
	SECOND_PROMOTION,
	AWARD_CREDITS,
	AWARD_AGAIN,
	UNIT_STAYS,
	HASTY_CLEAR,
	MUTANTS
};

struct mutant_row {
	enum {
		BY_SEARCH,       /* a state or a step is wrong */
		BY_TWO_SUPPLIES, /* the same, but it takes two */
		BY_PAYMENTS,     /* the same, in a sale whose orders are paid */
		BY_STEERING,     /* the same, in a sale that is steered */
		BY_WAITING,      /* the same, in a sale with a waiting list */
		BY_BUYER,        /* a worker alone does not sell */
		IMPLIED          /* by other rules: nothing goes wrong */
	} found;
	const char *name, *what;
};

extern const struct mutant_row mutants[MUTANTS];
extern enum mutant mutant; /* in force */

/* The rule that this mutant breaks holds. */
static inline bool keeps(enum mutant m)
{
	return mutant != m;
}

#endif
