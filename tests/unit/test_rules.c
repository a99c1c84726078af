/* What a seller may change, and when: src/steer/rules.c. */
#include "unit/unit.h"

#include "catalog/settings.h"
#include "steer/rules.h"

enum { STARTS = 1000, ENDS = 2000 };

/* A sale, a moment, a change, and what becomes of it. */
struct row {
	const char *what;
	struct steering was;
	int64_t now_ms;
	struct steer_change change;
	enum status status;
	struct steering is; /* its version does not matter */
	bool changed;
};

#define STATE(s)  .change = { .has_state = true, .state = (s) }
#define START(ms) .change = { .has_starts = true, .starts_ms = (ms) }
#define END(ms)   .change = { .has_ends = true, .ends_ms = (ms) }
#define WINDOW    1, SALE_OPEN, STARTS, ENDS

static const struct row rows[] = {
	{ "pause", { WINDOW }, 1500, STATE(SALE_PAUSED), STATUS_OK, { 0, SALE_PAUSED, STARTS, ENDS }, true },
	{ "pause before the start", { WINDOW }, 1, STATE(SALE_PAUSED), STATUS_OK, { 0, SALE_PAUSED, STARTS, ENDS }, true },
	{ "open again", { 1, SALE_PAUSED, 0, 0 }, 1, STATE(SALE_OPEN), STATUS_OK, { 0, SALE_OPEN, 0, 0 }, true },
	{ "as it is", { WINDOW }, 1500, STATE(SALE_OPEN), STATUS_OK, { 0, SALE_OPEN, STARTS, ENDS }, false },
	{ "end", { WINDOW }, 1, STATE(SALE_ENDED), STATUS_OK, { 0, SALE_ENDED, STARTS, ENDS }, true },
	{ "end what is over", { WINDOW }, ENDS, STATE(SALE_ENDED), STATUS_OK, { 0, SALE_OPEN, STARTS, ENDS }, false },
	{ "open what is over", { WINDOW }, ENDS, STATE(SALE_OPEN), STATUS_TOO_LATE, { 0 }, false },
	{ "open what is ended", { 1, SALE_ENDED, 0, 0 }, 1, STATE(SALE_OPEN), STATUS_TOO_LATE, { 0 }, false },
	{ "archive what runs", { WINDOW }, 1500, STATE(SALE_ARCHIVED), STATUS_NOT_ENDED, { 0 }, false },
	{ "archive what is over", { WINDOW }, ENDS, STATE(SALE_ARCHIVED), STATUS_OK, { 0, SALE_ARCHIVED, STARTS, ENDS }, true },
	{ "open an archive", { 1, SALE_ARCHIVED, 0, 0 }, 1, STATE(SALE_OPEN), STATUS_TOO_LATE, { 0 }, false },
	{ "archive again", { 1, SALE_ARCHIVED, 0, 0 }, 1, STATE(SALE_ARCHIVED), STATUS_OK, { 0, SALE_ARCHIVED, 0, 0 }, false },
	{ "start earlier", { WINDOW }, 999, START(0), STATUS_OK, { 0, SALE_OPEN, 0, ENDS }, true },
	{ "start later", { WINDOW }, STARTS, START(1800), STATUS_TOO_LATE, { 0 }, false },
	{ "start after the end", { WINDOW }, 999, START(ENDS), STATUS_BAD_FIELD, { 0 }, false },
	{ "the same start", { WINDOW }, 1500, START(STARTS), STATUS_OK, { 0, SALE_OPEN, STARTS, ENDS }, false },
	{ "no end", { WINDOW }, 1999, END(0), STATUS_OK, { 0, SALE_OPEN, STARTS, 0 }, true },
	{ "end past", { WINDOW }, 1500, END(1500), STATUS_BAD_FIELD, { 0 }, false },
	{ "end before the start", { WINDOW }, 1, END(900), STATUS_BAD_FIELD, { 0 }, false },
	{ "end what is over later", { WINDOW }, ENDS, END(3000), STATUS_TOO_LATE, { 0 }, false },
};

static struct steer_result result_of(const struct row *r)
{
	return (struct steer_result){ .settings = { .steering = r->was } };
}

static void state_and_window(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];
		struct steer_result result = result_of(r);
		enum status s = rules_apply(&r->change, r->now_ms, &result);
		if (s != r->status)
			fail_msg("%s: %s", r->what, status_code(s));
		if (s != STATUS_OK)
			continue;
		const struct steering *is = &result.settings.steering;
		if (is->state != r->is.state || is->starts_ms != r->is.starts_ms || is->ends_ms != r->is.ends_ms ||
		    result.changed != r->changed)
			fail_msg("%s: %d, %lld to %lld, %d", r->what, is->state, (long long)is->starts_ms,
				 (long long)is->ends_ms, result.changed);
	}
}

static void a_price_needs_a_currency_and_the_time_before_the_start(void **state)
{
	(void)state;
	const struct steer_change change = { .has_price = true, .price = 5 };
	struct steer_result r = { .settings = { .steering = { WINDOW } } };
	assert_int_equal(rules_apply(&change, 1, &r), STATUS_BAD_FIELD);
	r.settings.currency = STR("EUR");
	assert_int_equal(rules_apply(&change, STARTS, &r), STATUS_TOO_LATE);
	assert_int_equal(rules_apply(&change, STARTS - 1, &r), STATUS_OK);
	assert_int_equal(r.settings.price, 5);
	assert_true(r.changed);
}

static void units_that_are_asked_for_add_up(void **state)
{
	(void)state;
	struct steer_change change = { .withdraw = 5 };
	struct steer_result r = { .settings = { .steering = { 1, SALE_ENDED, 0, 0 }, .asked = 2 } };
	assert_int_equal(rules_apply(&change, 1, &r), STATUS_OK);
	assert_int_equal(r.settings.asked, 7);
	assert_false(r.changed); /* no slot has to be told */
	r.settings.asked = NUMBER_MAX - 4;
	assert_int_equal(rules_apply(&change, 1, &r), STATUS_BAD_FIELD);
	r.settings.steering.state = SALE_ARCHIVED;
	assert_int_equal(rules_apply(&change, 1, &r), STATUS_TOO_LATE);
}

static void an_entity_tag_is_compared_as_a_whole(void **state)
{
	(void)state;
	struct arena a;
	const struct sale_settings s = { .steering = { .version = 3 }, .amount = 10, .withdrawn = 2 };
	static const struct {
		struct str header;
		bool ok;
	} headers[] = { { STR(""), true },	    { STR("*"), true },		   { STR(" * "), true },
			{ STR("\"3-10-2\""), true }, { STR("\"1\", \"3-10-2\""), true }, { STR("W/\"3-10-2\""), false },
			{ STR("3-10-2"), false },   { STR("\"3-10-2"), false },	   { STR("\"3-10-2\", *"), false },
			{ STR("\"x\",*"), false },  { STR(","), false } };
	arena_init(&a);
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		if (settings_match(&a, &s, headers[i].header) != headers[i].ok)
			fail_msg("If-Match: %s", headers[i].header.p);
	arena_release(&a);
}

UNIT_MAIN(cmocka_unit_test(state_and_window), cmocka_unit_test(a_price_needs_a_currency_and_the_time_before_the_start),
	  cmocka_unit_test(units_that_are_asked_for_add_up), cmocka_unit_test(an_entity_tag_is_compared_as_a_whole))
