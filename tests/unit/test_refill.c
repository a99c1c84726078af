/*
 * Refills against a scripted Redis. The waiters here are no claims: each only notes how it was called back. Whatever
 * happens, each is called once, and a refill that has ended holds nothing.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "stock/refill.h"
#include "stock/sold_out.h"
#include "unit/fake_redis.h"

int64_t __wrap_clock_mono_ms(void);
static int64_t now_ms;

int64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

/* Coupon 7 of generation 5, in four segments. The first one is empty: 25 units received, none returned. */

enum { HOME = 0, SEGMENTS = 4 };

static struct service service;
static struct coupon *coupon;
static const struct report empty = { .segment = HOME, .received = 25, .base = 1048576, .term = 3, .ms = 4000 };

#define OF_HOME   " 1048576 3"
#define OF_OTHERS " 2097152 3"

static struct coupon *new_coupon(void)
{
	struct coupon *c = calloc(1, sizeof *c);
	assert_non_null(c);
	*c = (struct coupon){ .id = 7, .generation = 5, .segments = SEGMENTS, .holders = 1 };
	return c;
}

static int begin(void **state)
{
	(void)state;
	const char *problem;
	now_ms = 1000000;
	service = (struct service){ .stats = stats_open("/nonexistent/board", &problem), .loop = loop_new() };
	coupon = new_coupon();
	return 0;
}

static int end(void **state)
{
	(void)state;
	fake_redis_down(false);
	assert_int_equal(fake_redis_waiting(), 0);
	assert_int_equal(coupon->holders, 1);
	coupon_drop(coupon);
	stats_close(service.stats);
	loop_free(service.loop);
	fake_redis_reset();
	return 0;
}

/* Waiters */

struct noted {
	struct refill_waiter waiter;
	int calls;
	enum status status;
	bool has_credit;
	struct totals credit;
};

static void note(struct refill_waiter *w, enum status s, const struct totals *credit)
{
	struct noted *n = container_of(w, struct noted, waiter);
	n->calls++;
	n->status = s;
	n->has_credit = credit != NULL;
	if (credit)
		n->credit = *credit;
}

static void wait_for_stock(struct noted *n, int count)
{
	for (int i = 0; i < count; i++) {
		n[i] = (struct noted){ .waiter.done = note };
		refill_wait(&service, coupon, &empty, &n[i].waiter);
	}
}

#define EXPECT(n, wanted_status, with_credit)                                                                          \
	expect((n).calls == 1 && (n).status == (wanted_status) && (n).has_credit == (with_credit),                    \
	       "%d calls, %s, credit %d", (n).calls, status_code((n).status), (n).has_credit)

static void answer(const char *sent, const char *reply)
{
	assert_string_equal(fake_redis_oldest(), sent);
	fake_redis_answer(reply);
}

#define HUB          "sk:{7:h}:hub"
#define EXCHANGE     "exchange " HUB " | 2:5 0 25 0 0" OF_HOME
#define DEBIT(s)     "debit sk:{7:" s "}:s | 2:5 1"
#define INSPECT      "SADD sk:doubt 7:4"
#define CREDIT(s, t) "claim sk:{7:" s "}:s sk:{7:" s "}:o sk:{7:" s "}:q | 2:5 " t " | 0"

/* One waiter */

static void the_hub_grants(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "GRANT 30 0" OF_HOME);
	EXPECT(n, STATUS_OK, true);
	assert_true(n.credit.granted == 30 && n.credit.taken == 0 && n.credit.base == 1048576 && n.credit.term == 3);
}

static void another_segment_returns_its_units(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "NONE 25 0" OF_HOME " 2 25 0 2097152");
	answer(DEBIT("2"), "OK 0 25 5" OF_OTHERS);
	answer(EXCHANGE " 1 2 2 25 5 0" OF_OTHERS, "GRANT 27 0" OF_HOME);
	EXPECT(n, STATUS_OK, true);
}

/* It received less than the hub has granted, so the totals are sent to it again. */
static void a_lost_grant_is_sent_again(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "NONE 25 0" OF_HOME " 1 28 0 2097152");
	answer(DEBIT("1"), "OK 0 25 0" OF_OTHERS);
	answer(CREDIT("1", "28 0 2097152 3"), "OK 3 28 0");
	answer(EXCHANGE " 1 2 1 25 0 0" OF_OTHERS, "GRANT 26 0" OF_HOME);
	EXPECT(n, STATUS_OK, true);
}

/* An earlier grant to this very segment was lost: it is credited, and no segment is probed. */
static void an_earlier_grant_is_credited(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "NONE 30 0" OF_HOME " 2 25 0 2097152");
	EXPECT(n, STATUS_OK, true);
	assert_int_equal(n.credit.granted, 30);
}

/* The flag goes to the segment first: the waiter's next claim meets it. */
static void the_hub_declares_the_sale_sold_out(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "SOLDOUT 2 5000");
	EXPECT(n, STATUS_OK, false);
	answer("flag sk:{7:0}:s | 2:5 2 5000", "OK 1");
}

static void all_units_are_held(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "HELD 2 5000 0");
	EXPECT(n, STATUS_OK, false);
	answer("flag sk:{7:0}:s | 2:5 2 5000 0", "OK 1");
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "HELD 2 0 0"); /* people wait: no segment is flagged */
	EXPECT(n, STATUS_WAITING_LIST, false);
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "HELD 2 5000");
	EXPECT(n, STATUS_INTERNAL, false);
}

static void units_that_were_just_added_are_waited_for(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "LATER 4");
	EXPECT(n, STATUS_PENDING, false);
	now_ms += SOLD_OUT_NOTICE_MS;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "LATER 4");
	EXPECT(n, STATUS_PENDING, false);
	now_ms += 1;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1  4", "GRANT 30 0" OF_HOME); /* no notice from before epoch 4 is valid any more */
	EXPECT(n, STATUS_OK, true);
}

/* Refused: by the hub, by a segment that was asked, by a segment that was to be credited. */
static void what_is_refused_ends_as_it_says(void **state)
{
	(void)state;
	static const struct {
		const char *reply;
		enum status status;
		bool closes; /* the slot is quarantined first */
		bool inspects;
	} refusals[] = {
		{ "[FENCED", STATUS_FENCED, false, true },     { "FENCED 2:5!", STATUS_FENCED, false, true },
		{ "FENCED 2:5@x", STATUS_PENDING, false, true }, { "[REPLACED", STATUS_PENDING, false, true },
		{ "[UNHEARD", STATUS_PENDING, false, true },   { "[REGRESS", STATUS_FENCED, true, true },
		{ "GRANT 1", STATUS_INTERNAL, false, false },  { "!refused", STATUS_BUSY, false, false },
		{ "!unknown", STATUS_BUSY, false, false },     { "!broken", STATUS_FENCED, false, false },
	};
	for (size_t i = 0; i < COUNT_OF(refusals); i++) {
		struct noted n;
		wait_for_stock(&n, 1);
		answer(EXCHANGE " 1 1", refusals[i].reply);
		EXPECT(n, refusals[i].status, false);
		if (refusals[i].closes)
			answer("fence " HUB " | 2:5 2:5!", "[OK");
		if (refusals[i].inspects)
			answer(INSPECT, "1");
		assert_int_equal(fake_redis_waiting(), 0);
	}
}

/* The hub must not lose the units that one segment returned because another one did not answer. */
static void a_failed_round_is_reported_all_the_same(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "NONE 25 0" OF_HOME " 1 25 0 2097152 2 25 0 2097152");
	answer(DEBIT("1"), "!unknown");
	assert_int_equal(n.calls, 0);
	answer(DEBIT("2"), "OK 0 25 5" OF_OTHERS);
	EXPECT(n, STATUS_BUSY, false);
	answer(EXCHANGE " 0 2 2 25 5 0" OF_OTHERS, "OK 25 0");
}

/* Abandoned: the hub names segments for longer than anybody waits; or the connection is lost at any step. */
static void a_refill_gives_up_in_time(void **state)
{
	(void)state;
	struct noted n;
	wait_for_stock(&n, 1);
	answer(EXCHANGE " 1 1", "NONE 25 0" OF_HOME " 1 25 0 2097152");
	answer(DEBIT("1"), "OK 0 25 0" OF_OTHERS);
	now_ms += REFILL_PATIENCE_MS + 1;
	answer(EXCHANGE " 1 2 1 25 0 0" OF_OTHERS, "NONE 25 0" OF_HOME " 1 25 0 2097152");
	EXPECT(n, STATUS_BUSY, false);
}

static void a_lost_connection_ends_every_step(void **state)
{
	(void)state;
	static const char *const replies[] = { "NONE 25 0" OF_HOME " 1 28 0 2097152", "OK 0 25 0" OF_OTHERS,
					       "OK 3 28 0", "GRANT 26 0" OF_HOME };
	for (size_t steps = 0; steps < COUNT_OF(replies); steps++) {
		struct noted n;
		wait_for_stock(&n, 1);
		for (size_t i = 0; i < steps; i++)
			fake_redis_answer(replies[i]);
		fake_redis_down(true);
		while (fake_redis_waiting())
			fake_redis_answer("!unknown");
		fake_redis_down(false);
		EXPECT(n, STATUS_BUSY, false);
		assert_int_equal(coupon->holders, 1);
	}
}

/* Many waiters */

/* The first takes the credit, those without a unit stay, and the hub is asked for as many as they are. */
static void as_many_waiters_go_on_as_units_came(void **state)
{
	(void)state;
	enum { WAITERS = 5 };
	struct noted n[WAITERS];
	wait_for_stock(n, WAITERS);
	answer(EXCHANGE " 1 1", "GRANT 27 0" OF_HOME);
	EXPECT(n[0], STATUS_OK, true);
	EXPECT(n[1], STATUS_OK, false);
	for (int i = 2; i < WAITERS; i++)
		assert_int_equal(n[i].calls, 0);
	answer("exchange " HUB " | 2:5 0 27 0 1" OF_HOME " 3 1", "GRANT 40 0" OF_HOME);
	EXPECT(n[2], STATUS_OK, true);
	for (int i = 3; i < WAITERS; i++)
		EXPECT(n[i], STATUS_OK, false);
}

static void waiters_join_the_refill_that_runs(void **state)
{
	(void)state;
	struct noted first, joined = { .waiter.done = note }, other = { .waiter.done = note };
	assert_false(refill_join(coupon, HOME, &joined.waiter));
	wait_for_stock(&first, 1);
	assert_true(refill_join(coupon, HOME, &joined.waiter));
	assert_false(refill_join(coupon, HOME + 1, &other.waiter));
	answer(EXCHANGE " 1 1", "!refused");
	EXPECT(first, STATUS_BUSY, false);
	EXPECT(joined, STATUS_BUSY, false);
	assert_int_equal(other.calls, 0);
	assert_false(refill_join(coupon, HOME, &other.waiter));
}

/* Callbacks that do what claims do */

static void free_itself(struct refill_waiter *w, enum status s, const struct totals *credit)
{
	(void)s, (void)credit;
	free(container_of(w, struct noted, waiter));
}

static void a_waiter_may_end_in_its_callback(void **state)
{
	(void)state;
	enum { WAITERS = 4 };
	for (int units = 1; units <= WAITERS; units += WAITERS - 1) {
		char grant[64];
		for (int i = 0; i < WAITERS; i++) {
			struct noted *n = calloc(1, sizeof *n);
			assert_non_null(n);
			n->waiter.done = free_itself;
			refill_wait(&service, coupon, &empty, &n->waiter);
		}
		snprintf(grant, sizeof grant, "GRANT %d 0" OF_HOME, 25 + units);
		answer(EXCHANGE " 1 1", grant);
		if (units < WAITERS)
			fake_redis_answer("!unknown"); /* the question for the others */
	}
}

/* The last reference but the refill's is given back: the coupon lives until all are called. */
static void drop_coupon(struct refill_waiter *w, enum status s, const struct totals *credit)
{
	note(w, s, credit);
	coupon_drop(coupon);
}

static void a_coupon_may_end_in_a_callback(void **state)
{
	(void)state;
	struct noted n = { .waiter.done = drop_coupon };
	refill_wait(&service, coupon, &empty, &n.waiter);
	fake_redis_answer("GRANT 30 0" OF_HOME);
	EXPECT(n, STATUS_OK, true);
	coupon = new_coupon();
}

/* It finds the segment empty again: that is a new refill, not the one that ends. */
static void wait_again(struct refill_waiter *w, enum status s, const struct totals *credit)
{
	note(w, s, credit);
	w->done = note;
	refill_wait(&service, coupon, &empty, w);
}

static void a_waiter_may_wait_again_in_its_callback(void **state)
{
	(void)state;
	struct noted first = { .waiter.done = wait_again }, second = { .waiter.done = note };
	refill_wait(&service, coupon, &empty, &first.waiter);
	refill_wait(&service, coupon, &empty, &second.waiter);
	answer(EXCHANGE " 1 1", "GRANT 40 0" OF_HOME);
	EXPECT(first, STATUS_OK, true);
	EXPECT(second, STATUS_OK, false);
	answer(EXCHANGE " 1 1", "GRANT 41 0" OF_HOME);
	assert_int_equal(first.calls, 2);
	assert_int_equal(second.calls, 1);
}

static void without_a_connection_a_refill_ends_at_once(void **state)
{
	(void)state;
	struct noted n;
	fake_redis_down(true);
	wait_for_stock(&n, 1);
	EXPECT(n, STATUS_BUSY, false);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(CASE(the_hub_grants), CASE(another_segment_returns_its_units), CASE(a_lost_grant_is_sent_again),
	  CASE(an_earlier_grant_is_credited), CASE(the_hub_declares_the_sale_sold_out), CASE(all_units_are_held),
	  CASE(units_that_were_just_added_are_waited_for), CASE(what_is_refused_ends_as_it_says),
	  CASE(a_failed_round_is_reported_all_the_same), CASE(a_refill_gives_up_in_time),
	  CASE(a_lost_connection_ends_every_step), CASE(as_many_waiters_go_on_as_units_came),
	  CASE(waiters_join_the_refill_that_runs), CASE(a_waiter_may_end_in_its_callback),
	  CASE(a_coupon_may_end_in_a_callback), CASE(a_waiter_may_wait_again_in_its_callback),
	  CASE(without_a_connection_a_refill_ends_at_once))
