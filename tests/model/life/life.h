/*
 * The life of an order as a state machine that is small enough to be searched to the end: MySQL's rows, what Redis
 * knows of them, and everything that may be on its way between the two.
 *
 * A transaction and a script are one atomic step each. What a worker or a drainer carries from one to the next (orders
 * that are due, released, or to be told to the hub; a payment that is to get a unit) may be acted upon at any later
 * moment, any number of times, or never: so those who stand still, are killed or repeat each other's work are only
 * other orders of steps. steps.c lists the steps that are possible in a state, search.c takes all of them, breadth
 * first, and properties.c says what must hold, in every state and when all jobs have run to their end.
 *
 *   database.c    transactions                  search.c   all states, and the shortest way to a wrong one
 *   scripts.c     Redis                         cases.c    the sales that are searched
 *   jobs.c        the drainers' jobs, to the end   text.c  traces for people
 *
 * The stock has one slot here: the hub and its segments are searched by ../model. A customer here is an owner: two of them
 * may as well be two units of one customer, because each unit lives for itself.
 */
#ifndef MODEL_LIFE_H
#define MODEL_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Orders are numbered from 1. The jobs may claim more orders than a search does. */
enum { ORDERS = 7, CUSTOMERS = 3, PAYMENTS = 2, CHANGES_MOST = 2 * ORDERS };

struct sale {
	const char *name;
	int units, customers;
	int orders, payments; /* so many in a search */
	int ends;             /* an order that is so many'th of its customer to end leaves a tombstone */
	bool asks_payment;    /* pay_within: orders expire, and paid ones are final */
	bool late;            /* late_payment */
	bool wrong, refunds;  /* payments of a wrong amount; refunds */
	bool seller, dead;    /* the seller cancels paid orders, too; MySQL refuses records */
};

enum status {
	NONE,
	QUEUED,
	PENDING,
	PAID,
	CANCELLED,
	EXPIRED,
	DEAD
}; /* DEAD: a dead letter. PENDING is also confirmed */

/* MySQL. unpaid and returned are rows of these tables. */
struct order {
	uint16_t status : 3, customer : 2, unpaid : 1, returned : 1;
	uint16_t released : 1;   /* some drainer has released it, and is to remove it from returned_orders */
	uint16_t over_final : 1; /* was final when it ended; for the properties */
	uint16_t by_seller : 1;  /* the seller has cancelled it: it does not count for the limit */
	uint16_t : 6;
};

struct payment {
	uint16_t named : 3, pays : 3; /* orders; named 0: it has not come */
	uint16_t right : 1, late : 1, refunded : 1;
	uint16_t hopeless : 1; /* some drainer has found no unit for it */
	uint16_t limit : 3;    /* some drainer has found the customer at the limit, by this order */
	uint16_t : 3;
	uint16_t found; /* the orders that drainers have claimed for it, as bits */
};

struct totals {
	uint16_t cancelled : 4, final : 4, final_cancelled : 4, : 4;
};

enum change {
	TO_FINAL,
	TO_CANCELLED,
	TO_BOTH
}; /* what a transaction adds to the totals; both: cancelled, final_cancelled */

enum word { NOTHING, WON, MINE, LIMIT, HELD, SOLD_OUT, DONE, REFUSED, WORDS };
extern const char *const word_names[WORDS];

struct owner {
	uint8_t number : 4, tombstone : 1;
	uint8_t lifted : 1, : 2; /* a tombstone was here, and a payment came; for the properties */
};

struct state {
	struct order orders[ORDERS + 1];
	struct payment payments[PAYMENTS];
	/* MySQL's coupons */
	struct totals totals, old; /* old: those before the changes in the list below */
	uint32_t changes;          /* two bits each, the first one lowest */
	uint8_t change_count;
	uint8_t sold : 4, hub_told : 1, : 3;
	/* Redis */
	uint8_t claimed : 4, unowned : 4; /* sold there, and entries that were removed since */
	uint8_t word : 4, : 4;            /* the hub's: NOTHING, HELD or SOLD_OUT */
	struct totals hub;
	struct owner owners[CUSTOMERS];
	uint8_t zeros[7];
};

#define MUTANT(id, sale, name, what) id,
enum mutant {
#include "model/life/mutants.def"
	MUTANTS
};
#undef MUTANT
extern enum mutant mutant;
struct mutant_row {
	const char *name, *what;
	int sale;
};
extern const struct mutant_row mutants[MUTANTS];

/* database.c: transactions. False: MySQL refuses the row, which must not happen. */

bool is_live(const struct order *o); /* has a unit */
bool is_over(const struct order *o);
bool counts(const struct order *o); /* for the limit */
bool drain(struct state *s, const struct sale *sale, int n);
void bury(struct state *s, const struct sale *sale, int n);
void pay(struct state *s, const struct sale *sale, int p, int n, bool right);
void refund(struct state *s, int p);
void cancel(struct state *s, const struct sale *sale, int n, bool by_seller);
void expire(struct state *s, const struct sale *sale, int n);
void forget_returned(struct state *s, int n);
void clear_hub_told(struct state *s);
void apply_late(struct state *s, const struct sale *sale, int p, int n);
void refuse_late(struct state *s, int p);
struct totals totals_at(const struct state *s, int change); /* after so many of the changes */

/* scripts.c */

struct reply {
	enum word word;
	int number;
};
struct reply claim(struct state *s, const struct sale *sale, int customer);
void release(struct state *s, const struct sale *sale, int n);
void lift(struct state *s, int customer, int n); /* the limit that stands for this order */
void tell_hub(struct state *s, int change);
int available(const struct state *s, const struct sale *sale);

/* jobs.c: nothing else happens any more. False: they never end. */
bool run_jobs(struct state *s, const struct sale *sale, bool time_passes);

/* steps.c */

enum kind {
	CLAIM,
	DRAIN,
	BURY,
	PAY,
	PAY_WRONG,
	REFUND,
	CANCEL,
	SELLER_CANCEL,
	EXPIRE,
	RELEASE,
	FORGET,
	TELL,
	CLEAR,
	LATE_CLAIM,
	LATE_LIFT,
	LATE_APPLY,
	LATE_REFUSE,
	KINDS
};

struct step {
	uint8_t kind, at, order;
};

enum { STEPS_MOST = 128 };

void state_init(struct state *s);
int order_count(const struct state *s);
int steps_of(const struct state *s, const struct sale *sale, struct step list[STEPS_MOST]);
struct reply step_take(struct state *s, const struct sale *sale, const struct step *step);

/* properties.c: NULL, or what is wrong. */

const char *check_state(const struct state *s, const struct sale *sale);
const char *check_step(const struct state *before, const struct state *s, const struct sale *sale,
		       const struct step *step, struct reply r);
const char *check_rest(const struct state *s, const struct sale *sale);

/* cases.c */

struct sales {
	const struct sale *list;
	size_t count;
};
extern const struct sales quick_sales, long_sales;

/* search.c */

struct finding {
	size_t states, steps;
	int depth;
	size_t replies[KINDS][WORDS];
	const char *wrong; /* NULL: every property holds */
	struct step trace[64];
	int trace_length;
};

void search(const struct sale *sale, struct finding *f);

/* text.c */
void print_trace(const struct sale *sale, const struct finding *f);

#endif
