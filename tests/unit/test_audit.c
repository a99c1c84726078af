/*
 * What an audit makes of numbers: hub and segments that contradict each other,
 * and order numbers by the places in which they were seen. Redis is answers
 * written here; the sale is one coupon of 20 units in two segments, of which
 * four were sold.
 */
#include "unit/unit.h"

#include <stdio.h>

#include "audit/compare_order.h"
#include "audit/units.h"
#include "fuzz/fake_db.h"
#include "stock/acknowledged.h"
#include "unit/fake_redis.h"

enum { SEGMENTS = 2, HUB_FIELDS = 16, SEGMENT_FIELDS = 10, VALUE = 24 };

static const char *const hub_names[HUB_FIELDS] = { "amount", "avail", "G0", "G1", "R0", "R1", "B0", "B1", "term", "epoch",
						   "empty", "heard", "sold_out", "fence", "cancelled", "withdrawn" };
static const char *const sound_hub[HUB_FIELDS] = { "20", "4", "8", "8", "0", "0", "0", "0", "1", "5", ":00", ":11", "0",
						   "2:1@run", "0", "0" };
static const char *const segment_names[SEGMENT_FIELDS] = { "fence", "gen", "n", "left", "sold", "last", "I", "O", "base",
							   "term" };
static const char *const sound_segment[SEGMENT_FIELDS] = { "2:1@run", "nil", "nil", "6", "2", "2", "8", "0", "0", "1" };

static char hub[HUB_FIELDS][VALUE], segments[SEGMENTS][SEGMENT_FIELDS][VALUE];
static bool is_suspect;
static struct arena arena;
static struct service service;

int64_t acknowledged_read(const struct service *svc, int64_t coupon, int segment)
{
	(void)svc, (void)coupon, (void)segment;
	return 0;
}

static void put(char to[VALUE], const char *value)
{
	snprintf(to, VALUE, "%s", value);
}

/* "avail=5 0.left=7": fields of the hub, and of segment 0. */
static void change(const char *changes)
{
	char name[VALUE], value[VALUE];
	for (int n; sscanf(changes, " %23[^=]=%23s%n", name, value, &n) == 2; changes += n) {
		bool is_hub = name[1] != '.', is_known = false;
		int segment = name[0] - '0';
		for (int i = 0; i < HUB_FIELDS && is_hub; i++)
			if (strcmp(name, hub_names[i]) == 0)
				put(hub[i], value), is_known = true;
		for (int i = 0; i < SEGMENT_FIELDS && !is_hub; i++)
			if (strcmp(name + 2, segment_names[i]) == 0)
				put(segments[segment][i], value), is_known = true;
		expect(is_known, "%s", name);
	}
}

static void serve(void)
{
	const char *command = fake_redis_oldest();
	char reply[1024];
	size_t n = 0;
	int segment;
	if (strcmp(command, "HGETALL sk:{7:h}:hub") == 0)
		for (int i = 0; i < HUB_FIELDS; i++)
			n += (size_t)snprintf(reply + n, sizeof reply - n, "%s%s %s", i ? " " : "", hub_names[i], hub[i]);
	else if (sscanf(command, "HMGET sk:{7:%d}:s", &segment) == 1)
		for (int i = 0; i < SEGMENT_FIELDS; i++)
			n += (size_t)snprintf(reply + n, sizeof reply - n, "%s%s", i ? " " : "", segments[segment][i]);
	else
		snprintf(reply, sizeof reply, "%d", *command == 'S' && is_suspect); /* SISMEMBER; LLEN */
	fake_redis_answer(reply);
}

static int begin(void **state)
{
	(void)state;
	fake_redis_server = serve;
	is_suspect = false;
	for (int i = 0; i < HUB_FIELDS; i++)
		put(hub[i], sound_hub[i]);
	for (int s = 0; s < SEGMENTS; s++)
		for (int i = 0; i < SEGMENT_FIELDS; i++)
			put(segments[s][i], sound_segment[i]);
	return 0;
}

/* Their words, in the order in which they were found. */
static const char *words_of(const struct findings *f)
{
	static char words[256];
	size_t n = 0;
	*words = '\0';
	for (int i = 0; i < f->count; i++)
		n += (size_t)snprintf(words + n, sizeof words - n, "%s%s", i ? " " : "", finding_word(f->at[i].kind));
	return words;
}

static struct audit audited(void)
{
	static struct audit_segment of[SEGMENTS];
	struct audit a = { .coupon = { .id = 7, .amount = 20, .segments = SEGMENTS, .generation = 1 }, .segments = of };
	for (int i = 0; i < SEGMENTS; i++)
		of[i] = (struct audit_segment){ .cursor = { .base = 0, .next = 1 } };
	assert_int_equal(audit_units(&service, &arena, &a), STATUS_OK);
	return a;
}

static void numbers_that_contradict_each_other_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *changes, *words;
	} rows[] = {
		{ "", "" },
		{ "0.left=5", "units left" },
		{ "avail=5", "units" },
		{ "avail=-1 1.left=11 1.I=13 G1=13", "hub-short" },
		{ "amount=21 avail=5", "amount" },
		{ "cancelled=2 avail=6", "" }, /* the units add up; audit_read compares the total with MySQL's */
		{ "withdrawn=1 avail=3", "withdrawn" },
		{ "0.I=9 0.left=7", "received" }, /* in flight is -1: the sum is right */
		{ "R0=1 avail=5", "taken" },
		{ "0.O=2 0.left=4", "" }, /* in flight to the hub */
		{ "0.last=3", "last-number" },
		{ "0.last=1", "" }, /* a recovery has sold units whose numbers are of an earlier base */
		{ "1.base=1048576 1.last=1048578", "segment-base hub-base" },
		{ "B1=1048576", "hub-base" },
		{ "0.term=2", "term" },
		{ "heard=:01", "unheard" },
		{ "empty=:01", "marked-empty" },
		{ "empty=:01 1.left=0 1.sold=8 1.last=8", "" },
		{ "sold_out=1", "sold-out" },
		{ "sold_out=1 avail=0 G0=12 0.I=12 0.left=0 0.sold=12 1.left=0 1.sold=8", "" },
		{ "sold_out=1 avail=0 G0=12 0.I=8 0.left=0 0.sold=8 1.left=0 1.sold=8", "sold-out" }, /* 4 in flight */
		{ "fence=2:2@run", "hub-generation" },
		{ "1.fence=2:2@run", "segment-generation" },
		{ "fence=2:1!", "hub-closed" },
		{ "0.fence=2:1!", "segment-closed" },
		{ "0.left=x 0.I=x", "units left" }, /* what is no number counts as 0 */
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		begin(NULL);
		change(rows[i].changes);
		struct audit a = audited();
		const char *words = words_of(&a.findings);
		expect(strcmp(words, rows[i].words) == 0, "%s: %s, not %s", rows[i].changes, words, rows[i].words);
		findings_release(&a.findings);
		arena_reset(&arena);
	}
}

static void another_incarnation_is_suspect_and_no_finding(void **state)
{
	(void)state;
	static const struct {
		const char *changes;
		bool in_list, is_suspect;
	} rows[] = {
		{ "", false, false },		   { "", true, true },		  { "fence=2:1@other", false, true },
		{ "1.fence=2:1@", false, true },   { "0.fence=2:1!", false, false }, { "heard=:01", false, true },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		begin(NULL);
		change(rows[i].changes);
		is_suspect = rows[i].in_list;
		struct audit a = audited();
		expect(a.suspect == rows[i].is_suspect, "%zu: %s", i, rows[i].changes);
		findings_release(&a.findings);
		arena_reset(&arena);
	}
}

static void without_an_answer_nothing_is_said(void **state)
{
	(void)state;
	struct audit a = { .coupon = { .id = 7, .segments = 0 } };
	fake_redis_server = NULL;
	assert_int_equal(audit_units(&service, &arena, &a), STATUS_UNAVAILABLE);
	assert_int_equal(a.findings.count, 0);
}

/* Order numbers */

/* MySQL knows the user 1; the list of that customer has the order. */
static void serve_lists(void)
{
	fake_redis_answer(strcmp(fake_redis_oldest(), "ZSCORE sk:u:{1} 7-0-1048577") == 0 ? "1700000000000" : "nil");
}

struct number_row {
	unsigned seen;
	int64_t user, listed; /* listed: the customer whose list names it */
	const char *word;
	int certain, possible;
};

/* One number, the first above the base 2^20. */
static void judge_number(const struct number_row *row)
{
	static const struct audit_segment segment = { .own = { .base = 1 << 20, .last = (1 << 20) + 1, .sold = 1 } };
	struct listed listed = { .coupon = 7, .number = (1 << 20) + 1, .user = row->listed };
	const struct audit_lists lists = { &listed, row->listed != 0 };
	const struct audit_options options = { .lists = &lists };
	struct audit a = { .coupon = { .id = 7, .segments = 1 }, .lists = &lists };
	int64_t owner = row->user ? owner_code((struct owner){ row->user, 1 }) : 0;
	uint16_t seen = (uint16_t)row->seen;
	struct range range = { 1 << 20, 1 };
	int64_t before = 0;
	struct compare c = { .svc = &service, .audit = &a, .segment = &segment, .options = &options,
			     .ranges = { &range, &before, 1 }, .total = 1, .count = 1, .owner = &owner, .seen = &seen };
	compare_orders(&c);
	const char *words = words_of(&a.findings);
	expect(c.status == STATUS_OK && strcmp(words, row->word) == 0 && c.certain == row->certain && c.possible == row->possible,
	       "seen %u, user %d, listed %d: %s, %d, %d", row->seen, (int)row->user, (int)row->listed, words, (int)c.certain,
	       (int)c.possible);
	findings_release(&a.findings);
	arena_release(&c.arena);
}

static void a_number_is_judged_by_where_it_was_seen(void **state)
{
	(void)state;
	static const struct number_row rows[] = {
		{ OWNED | ROW, 1, 0, "", 1, 1 },
		{ OWNED | QUEUED, 1, 0, "", 1, 1 },
		{ OWNED | QUEUED, 43, 0, "unknown-user no-index", 1, 1 },
		{ OWNED | LETTER, 1, 0, "", 1, 1 },
		{ OWNED, 1, 0, "lost", 1, 1 },
		{ OWNED | TWICE, 1, 0, "lost", 1, 1 },
		{ OWNED | ROW, 1, 43, "other-in-index", 1, 1 },
		{ QUEUED, 1, 0, "no-owner", 0, 1 },
		{ ROW, 1, 0, "no-owner", 1, 1 },
		{ OVER, 1, 0, "", 1, 1 },
		{ OWNED | OVER, 1, 0, "stale-owner", 1, 1 },
		{ OWNED | OVER | RETURNED, 1, 0, "", 1, 1 },
		{ TOMBSTONE | OVER, 1, 0, "", 1, 1 },
		{ TOMBSTONE | ROW, 1, 0, "tombstone", 1, 1 },
		{ TOMBSTONE, 1, 0, "tombstone", 1, 1 },
		{ NAMED, 0, 0, "", 1, 1 },
		{ LETTER, 1, 0, "", 0, 1 },
		{ FREE, 1, 0, "", 0, 0 },
		{ 0, 0, 0, "no-trace", 0, 1 },
		{ 0, 0, 1, "lost-acknowledged", 0, 1 },
	};
	fake_redis_server = serve_lists;
	fake_db_plan((const uint8_t[]){ 2 }, 1);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		judge_number(&rows[i]);
	fake_db_plan((const uint8_t[]){ 0 }, 1);
	judge_number(&(struct number_row){ OWNED | QUEUED, 1, 0, "unknown-user", 1, 1 });
}

static void a_text_has_the_numbers_of_its_finding(void **state)
{
	(void)state;
	static const struct finding f = { .kind = FINDING_TWO_OWNERS, .segment = 3, .sequence = 9, .user = 42, .is = 43 };
	struct buf text;
	buf_init(&text, &arena);
	finding_text(&text, &f, 7);
	assert_string_equal(text.p, "order 7-3-9 has two owners, users 42 and 43: decide which user keeps the order");
}

static void only_what_was_found_twice_stays(void **state)
{
	(void)state;
	struct findings now = { 0 }, before = { 0 };
	findings_add(&before, (struct finding){ .kind = FINDING_LOST, .sequence = 5, .is = 1 });
	findings_add(&before, (struct finding){ .kind = FINDING_UNITS, .is = 21 });
	findings_add(&now, (struct finding){ .kind = FINDING_UNITS, .is = 22 }); /* the same one: numbers may change */
	findings_add(&now, (struct finding){ .kind = FINDING_LOST, .sequence = 6 });
	findings_keep_common(&now, &before);
	assert_string_equal(words_of(&now), "units");
	assert_int_equal(now.at[0].is, 22);
	findings_release(&now);
	findings_release(&before);
}

#define CASE(name) cmocka_unit_test_setup(name, begin)
UNIT_MAIN(CASE(numbers_that_contradict_each_other_are_named), CASE(another_incarnation_is_suspect_and_no_finding),
	  CASE(without_an_answer_nothing_is_said), CASE(a_number_is_judged_by_where_it_was_seen),
	  CASE(a_text_has_the_numbers_of_its_finding), CASE(only_what_was_found_twice_stays))
