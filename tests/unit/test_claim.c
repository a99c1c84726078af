/*
 * Claims against a scripted Redis. A conversation is a table: the commands that are sent on the left, the replies on the
 * right. Whatever happens, every claim ends exactly once, and as SOLD_OUT only when the hub has declared that.
 */
#include "unit/unit.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sale/order_number.h"
#include "stock/claim.h"
#include "unit/fake_redis.h"

/* Replaces the clock of base/clock.h (the linker's --wrap). */

int64_t __wrap_clock_mono_ms(void);
static int64_t now_ms;

int64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

/* Coupon 7 of generation 5, in four segments. */

static struct service service;
static struct coupon *coupon;
static char board_path[64];

#define DESCRIPTOR(generation) "id 7" DESCRIPTOR_OF(generation)
#define DESCRIPTOR_OF(generation)                                                                                      \
	" seller 3 gen " generation " amount 100 stock 5 t0 0 t1 0 created 1 pay 0 seller_name s name n "              \
	"description d segments 4 key :0123456789abcdef"

static void on_found(void *context, enum status s, struct coupon *c)
{
	assert_int_equal(s, STATUS_OK);
	*(struct coupon **)context = coupon_hold(c);
}

static int start(void **state)
{
	(void)state;
	const char *problem;
	now_ms = 1000000;
	snprintf(board_path, sizeof board_path, "/tmp/seckill-claim-%d", (int)getpid());
	service = (struct service){ .coupons = coupons_new(), .stats = stats_open(board_path, &problem) };
	service.high_water = high_water_open("/nonexistent/marks", &problem);
	service.loop = loop_new();
	coupon_find_id(&service, 7, on_found, &coupon);
	fake_redis_answer(DESCRIPTOR("5"));
	coupon->read_ms -= 1000; /* long enough ago to be read again */
	return coupon->segments == 4 ? 0 : -1;
}

/* A credit whose server did not answer is tried again a fifth of a second later. */
static void let_credits_arrive(void)
{
	for (int64_t end = now_ms + 250; now_ms < end; now_ms += 10) {
		loop_turn(service.loop, 0);
		while (fake_redis_waiting()) /* or the hub is asked, for a sold-out notice */
			fake_redis_answer(strncmp(fake_redis_oldest(), "claim", 5) == 0 ? "OK 9 9 0" : "!refused");
	}
}

/* No command is left, and no reference to the coupon but the cache's and the test's; a refill would have one. */
static int stop(void **state)
{
	(void)state;
	fake_redis_down(false);
	assert_int_equal(fake_redis_waiting(), 0);
	let_credits_arrive();
	assert_int_equal(coupon->holders, coupon->cached ? 2 : 1);
	coupon_drop(coupon);
	coupons_free(service.coupons);
	stats_close(service.stats);
	high_water_close(service.high_water);
	loop_free(service.loop);
	fake_redis_reset();
	return unlink(board_path);
}

/* The nth user whose home segment this is. */
static int64_t user_of(int segment, int nth)
{
	int64_t user = 1;
	while (coupon_home(coupon, user) != segment || nth--)
		user++;
	return user;
}

/* Claims */

struct asked {
	struct claim claim;
	int ends;
	enum status status;
};

static void on_done(struct claim *c, enum status s)
{
	struct asked *a = c->context;
	a->ends++;
	a->status = s;
}

static void submit(struct asked *a, int64_t user)
{
	*a = (struct asked){ .claim = { .service = &service, .user = user, .unit = 1, .done = on_done, .context = a } };
	claim_submit(&a->claim, coupon);
}

/* A command in shorthand: s1 o1 q1 are the keys of segment 1, hub is the hub's, U is the user. */
static const char *shorthand(const char *sent, int64_t user)
{
	static char text[512];
	char *to = text, number[24];
	snprintf(number, sizeof number, "%lld", (long long)user);
	for (const char *p = sent; *p;) {
		int segment, n = 0;
		char letter;
		if (sscanf(p, "sk:{7:%d}:%c%n", &segment, &letter, &n) == 2 && n) {
			to += sprintf(to, "%c%d", letter, segment);
			p += n;
		} else if (strncmp(p, "sk:{7:h}:", 9) == 0) {
			p += 9;
		} else if (strncmp(p, number, strlen(number)) == 0 && (p[-1] == ' ' || p[-1] == '{') &&
			   strchr(" }", p[strlen(number)]) && strncmp(sent, "exchange", 8) != 0) {
			*to++ = 'U';
			p += strlen(number);
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
	return text;
}

/* The two commands that enter an order in its customer's list, of so many winners. */
static void answer_entries(int winners)
{
	for (int i = 0; i < 2 * winners; i++)
		fake_redis_answer("1");
}

struct step {
	const char *sent, *reply; /* a reply that begins with +N comes N milliseconds later */
};

static const char *later(const char *reply)
{
	if (*reply != '+')
		return reply;
	char *rest;
	now_ms += strtol(reply, &rest, 10);
	return rest + 1;
}

/* Plays the steps for one claim of a user at home in segment 0. */
enum { STEPS = 24 };

struct conversation {
	const char *what;
	enum status status;
	struct step steps[STEPS];
};

/* When no command is waiting, a claim may wait for its next attempt. */
static void pass_time(void)
{
	if (!fake_redis_waiting()) {
		now_ms += 20;
		loop_turn(service.loop, 0);
	}
}

static void play(const struct conversation *c, struct asked *a)
{
	int64_t user = user_of(0, 0);
	submit(a, user);
	for (const struct step *s = c->steps; s->sent; s++) {
		pass_time();
		expect(strcmp(shorthand(fake_redis_oldest(), user), s->sent) == 0, "%s: '%s', not '%s'", c->what,
		       shorthand(fake_redis_oldest(), user), s->sent);
		fake_redis_answer(later(s->reply));
	}
	expect(fake_redis_waiting() == 0, "%s: '%s' in the end", c->what, fake_redis_oldest());
	expect(a->ends == 1, "%s: ended %d times", c->what, a->ends);
	expect(a->status == c->status, "%s: %s, not %s", c->what, status_code(a->status), status_code(c->status));
}

/* The base of segment 0, the base of the others, and the hub's term. */
#define BASE   " 1048576"
#define OTHERS " 2097152"
#define TERM   " 3"
#define HOME   BASE TERM
#define AT     " 4000" /* when the segment was empty */

#define CLAIM "claim s0 o0 q0 | 2:5 | U"
#define FOUND(id)                                                                                                      \
	{                                                                                                              \
		"HGET sk:n:{749} s/n", id                                                                              \
	}
#define CREDITED(granted, taken)    "claim s0 o0 q0 | 2:5 " granted " " taken "" HOME " | U"
#define SUSPECT                     "SADD sk:doubt 7:4"
#define INDEX(order)                "ZADD sk:u:{U} 1700 " order
#define NEWEST                      "ZRANGE sk:u:{U} -200 -1"
#define CONFIRM(number)             "confirm s0 o0 | 2:5 U " number
#define ASK(received, sent, probes) "exchange hub | 2:5 0 " received " " sent " 0" HOME " 1 " probes

static const struct conversation conversations[] = {
	{ "won", STATUS_CREATED, { { CLAIM, "WON 3 9 1700" }, { INDEX("7-0-3"), "1" }, { NEWEST, "[]" } } },
	{ "won, and the list entry is refused",
	  STATUS_CREATED,
	  { { CLAIM, "WON 3 9 1700" }, { INDEX("7-0-3"), "1" }, { NEWEST, "!refused" } } },
	{ "won, and the list entry is lost",
	  STATUS_CREATED,
	  { { CLAIM, "WON 3 9 1700" }, { INDEX("7-0-3"), "1" }, { NEWEST, "!unknown" } } },
	{ "won, the first order on the list: the worklist is written",
	  STATUS_CREATED,
	  { { CLAIM, "WON 3 9 1700 1" }, { "SADD sk:dirty 7:4", "1" }, { INDEX("7-0-3"), "1" }, { NEWEST, "[]" } } },
	{ "won, the second on a list", STATUS_CREATED, { { CLAIM, "WON 3 9 1700 2" }, { INDEX("7-0-3"), "1" }, { NEWEST, "[]" } } },
	{ "won, and the worklist is not written",
	  STATUS_CREATED,
	  { { CLAIM, "WON 3 9 1700 1" }, { "SADD sk:dirty 7:4", "!unknown" }, { INDEX("7-0-3"), "1" }, { NEWEST, "[]" } } },
	{ "won before", STATUS_ALREADY_CLAIMED, { { CLAIM, "MINE 2" } } },
	{ "sold out by the flag", STATUS_SOLD_OUT, { { CLAIM, "SOLDOUT 1" } } },
	{ "all are held, by the flag", STATUS_ALL_HELD, { { CLAIM, "HELD 1 9000 4000" } } },
	{ "the user's orders ended too often", STATUS_LIMIT_REACHED, { { CLAIM, "MINE -2" } } },
	{ "too early", STATUS_NOT_STARTED, { { CLAIM, "EARLY 1500" } } },
	{ "ended", STATUS_ENDED, { { CLAIM, "[ENDED" } } },
	{ "paused", STATUS_PAUSED, { { CLAIM, "[PAUSED" } } },
	{ "the segment was rolled back",
	  STATUS_FENCED,
	  { { CLAIM, "[REGRESS" }, { "fence s0 | 2:5 2:5!", "[OK" }, { SUSPECT, "1" } } },
	{ "no connection", STATUS_UNAVAILABLE, { { CLAIM, "!refused" } } },
	{ "the answer is lost", STATUS_OUTCOME_UNKNOWN, { { CLAIM, "!unknown" } } },
	{ "the script fails", STATUS_FENCED, { { CLAIM, "!broken" } } },
	{ "an unknown reply", STATUS_INTERNAL, { { CLAIM, "PERHAPS 1" } } },
	{ "a reply that is no list", STATUS_INTERNAL, { { CLAIM, "nil" } } },

	{ "the hub grants",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "GRANT 30 0" HOME },
	    { CREDITED("30", "0"), "WON 26 4 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
	{ "units were added a moment ago",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "LATER 2" },
	    { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "GRANT 30 0" HOME },
	    { CREDITED("30", "0"), "WON 26 4 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
	{ "the hub grants, and others were faster",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "GRANT 26 0" HOME },
	    { CREDITED("26", "0"), "NEED 26 0" HOME AT },
	    { ASK("26", "0", "1"), "GRANT 27 0" HOME },
	    { CREDITED("27", "0"), "WON 27 0 1700" },
	    { INDEX("7-0-27"), "1" }, { NEWEST, "[]" } } },
	{ "an earlier grant was never credited",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 3" HOME AT },
	    { ASK("25", "3", "1"), "NONE 30 3" HOME },
	    { CREDITED("30", "3"), "WON 26 4 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
	{ "sold out",
	  STATUS_SOLD_OUT,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "SOLDOUT 1 5000" },
	    { "flag s0 | 2:5 1 5000", "OK 1" },
	    { CLAIM, "SOLDOUT 1" } } },
	{ "all are held",
	  STATUS_ALL_HELD,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "HELD 1 5000 9000" },
	    { "flag s0 | 2:5 1 5000 9000", "OK 1" },
	    { CLAIM, "HELD 1 9000 4000" } } },
	{ "the hub's units are for people who wait",
	  STATUS_WAITING_LIST,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "HELD 1 0 9000" }, { CLAIM, "NEED 25 0" HOME AT } } },
	{ "people wait, but a copy of the claim has won elsewhere",
	  STATUS_ALREADY_CLAIMED,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "HELD 1 0 9000" }, { CLAIM, "MINE 25" } } },
	{ "sold out, but a copy of the claim has won elsewhere",
	  STATUS_ALREADY_CLAIMED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "SOLDOUT 1 5000" },
	    { "flag s0 | 2:5 1 5000", "OK 1" },
	    { CLAIM, "MINE 25" } } },
	{ "sold out, and the flag is lost",
	  STATUS_SOLD_OUT,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "SOLDOUT 1 5000" },
	    { "flag s0 | 2:5 1 5000", "!unknown" },
	    { CLAIM, "SOLDOUT 1" } } },
	{ "another segment returns its units",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 2 25 0" OTHERS },
	    { "debit s2 | 2:5 1", "OK 0 25 5" OTHERS TERM },
	    { ASK("25", "0", "2") " 2 25 5 0" OTHERS TERM, "GRANT 26 0" HOME },
	    { CREDITED("26", "0"), "WON 26 0 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
	{ "rounds of 1, 2 and 4 segments, then sold out",
	  STATUS_SOLD_OUT,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { ASK("25", "0", "2") " 1 25 0 0" OTHERS TERM, "NONE 25 0" HOME " 2 25 0" OTHERS TERM " 25 0" OTHERS },
	    { "debit s2 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { "debit s3 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { ASK("25", "0", "4") " 2 25 0 0" OTHERS TERM " 3 25 0 0" OTHERS TERM, "SOLDOUT 1 5000" },
	    { "flag s0 | 2:5 1 5000", "OK 1" },
	    { CLAIM, "SOLDOUT 1" } } },
	{ "another segment misses a grant, which is sent again",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 28 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { "claim s1 o1 q1 | 2:5 28 0" OTHERS TERM " | 0", "OK 3 28 0" },
	    { ASK("25", "0", "2") " 1 25 0 0" OTHERS TERM, "NONE 25 0" HOME " 1 28 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 0 28 3" OTHERS TERM },
	    { ASK("25", "0", "4") " 1 28 3 0" OTHERS TERM, "GRANT 26 0" HOME },
	    { CREDITED("26", "0"), "WON 26 0 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
	{ "the hub does not decide in time",
	  STATUS_BUSY,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { ASK("25", "0", "2") " 1 25 0 0" OTHERS TERM, "+251 NONE 25 0" HOME " 1 25 0" OTHERS } } },
	{ "grants in time, but no unit for this claim",
	  STATUS_BUSY,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "+200 GRANT 26 0" HOME },
	    { CREDITED("26", "0"), "NEED 26 0" HOME AT },
	    { ASK("26", "0", "1"), "+51 GRANT 27 0" HOME },
	    { CREDITED("27", "0"), "NEED 27 0" HOME AT } } },
	{ "a grant that comes late",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "+5000 GRANT 30 0" HOME },
	    { CREDITED("30", "0"), "WON 26 4 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
	{ "a grant, and the base or the term has changed meanwhile",
	  STATUS_ALREADY_CLAIMED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "GRANT 30 0" HOME },
	    { CREDITED("30", "0"), "[REPLACED" },
	    { SUSPECT, "1" },
	    { CLAIM, "MINE 2" } } },
	{ "a grant to another segment, whose base has changed meanwhile",
	  STATUS_ALREADY_CLAIMED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 28 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { "claim s1 o1 q1 | 2:5 28 0" OTHERS TERM " | 0", "[REPLACED" },
	    { SUSPECT, "1" },
	    { "exchange hub | 2:5 0 25 0 0" HOME " 0 2 1 25 0 0" OTHERS TERM, "OK 25 0" },
	    { CLAIM, "MINE 2" } } },
	{ "the hub has a later base",
	  STATUS_ALREADY_CLAIMED,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "[REPLACED" }, { SUSPECT, "1" }, { CLAIM, "MINE 2" } } },
	{ "the hub waits for reports of all segments",
	  STATUS_CREATED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "[UNHEARD" },
	    { SUSPECT, "1" },
	    { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "GRANT 30 0" HOME },
	    { CREDITED("30", "0"), "WON 26 4 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
	{ "the hub is away", STATUS_BUSY, { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "!refused" } } },
	{ "the hub's answer is lost",
	  STATUS_BUSY,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "!unknown" } } },
	{ "the hub is broken", STATUS_FENCED, { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "!broken" } } },
	{ "the hub is quarantined",
	  STATUS_FENCED,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "FENCED 2:5!" }, { SUSPECT, "1" } } },
	{ "the hub is gone",
	  STATUS_FENCED,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "[FENCED" }, { SUSPECT, "1" } } },
	{ "the hub is suspect, and then inspected",
	  STATUS_ALREADY_CLAIMED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "FENCED 2:5@other" },
	    { SUSPECT, "1" },
	    { CLAIM, "MINE 2" } } },
	{ "the hub was rolled back",
	  STATUS_FENCED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "[REGRESS" },
	    { "fence hub | 2:5 2:5!", "[OK" },
	    { SUSPECT, "1" } } },
	{ "a grant whose delivery is lost",
	  STATUS_OUTCOME_UNKNOWN,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "GRANT 30 0" HOME },
	    { CREDITED("30", "0"), "!unknown" } } },
	{ "another segment is away",
	  STATUS_BUSY,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "!refused" } } },
	{ "another segment's answer is lost",
	  STATUS_BUSY,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "!unknown" } } },
	{ "another segment is fenced",
	  STATUS_FENCED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "[FENCED" },
	    { SUSPECT, "1" } } },
	{ "one of two segments is away",
	  STATUS_BUSY,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS " 2 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "!unknown" },
	    { "debit s2 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { "exchange hub | 2:5 0 25 0 0" HOME " 0 2 2 25 0 0" OTHERS TERM, "OK 25 0" } } },
	{ "the report is lost",
	  STATUS_BUSY,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 0 25 0" OTHERS TERM },
	    { ASK("25", "0", "2") " 1 25 0 0" OTHERS TERM, "!unknown" } } },
	{ "the report is impossible",
	  STATUS_FENCED,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 0 99 0" OTHERS TERM },
	    { ASK("25", "0", "2") " 1 99 0 0" OTHERS TERM, "[REGRESS" },
	    { "fence hub | 2:5 2:5!", "[OK" },
	    { SUSPECT, "1" } } },

	{ "an old generation: the coupon is read again",
	  STATUS_CREATED,
	  { { CLAIM, "FENCED 2:6@run" },
	    FOUND("7"),
	    { "HGETALL d", DESCRIPTOR("6") },
	    { "claim s0 o0 q0 | 2:6 | U", "WON 1 9 1700" },
	    { INDEX("7-0-1"), "1" }, { NEWEST, "[]" } } },
	{ "an old generation, and the next one too",
	  STATUS_FENCED,
	  { { CLAIM, "FENCED 2:6@run" },
	    FOUND("7"),
	    { "HGETALL d", DESCRIPTOR("6") },
	    { "claim s0 o0 q0 | 2:6 | U", "FENCED 2:7@run" } } },
	{ "fenced, and there is no newer one",
	  STATUS_FENCED,
	  { { CLAIM, "FENCED 2:6@run" }, FOUND("7"), { "HGETALL d", DESCRIPTOR("5") } } },
	{ "fenced, and the coupon is gone: it may be archived",
	  STATUS_NO_SUCH_COUPON,
	  { { CLAIM, "FENCED 2:6@run" }, FOUND("7"), { "HGETALL d", "[ ]" } } },
	{ "fenced, and Redis is away",
	  STATUS_UNAVAILABLE,
	  { { CLAIM, "FENCED 2:6@run" }, FOUND("7"), { "HGETALL d", "!unknown" } } },
	{ "quarantined, and the name belongs to another coupon by now",
	  STATUS_FENCED,
	  { { CLAIM, "FENCED 2:5!" },
	    { SUSPECT, "1" },
	    FOUND("8"),
	    { "HGETALL sk:{8:h}:d", "id 8" DESCRIPTOR_OF("1") },
	    { "claim sk:{8:0}:s sk:{8:0}:o sk:{8:0}:q | 2:1 | U", "FENCED 2:1!" },
	    { "SADD sk:doubt 8:4", "1" } } },
	{ "the segment is gone",
	  STATUS_FENCED,
	  { { CLAIM, "[FENCED" }, { SUSPECT, "1" }, FOUND("7"), { "HGETALL d", DESCRIPTOR("5") } } },
	{ "the segment is quarantined",
	  STATUS_FENCED,
	  { { CLAIM, "FENCED 2:5!" }, { SUSPECT, "1" }, FOUND("7"), { "HGETALL d", DESCRIPTOR("5") } } },
	{ "suspect, inspected, and won",
	  STATUS_CREATED,
	  { { CLAIM, "FENCED 2:5@other" },
	    { SUSPECT, "1" },
	    { CLAIM, "FENCED 2:5@other" },
	    { CLAIM, "WON 3 9 1700" },
	    { INDEX("7-0-3"), "1" }, { NEWEST, "[]" } } },
	{ "suspect for too long",
	  STATUS_BUSY,
	  { { CLAIM, "FENCED 2:5@other" }, { SUSPECT, "+251 1" }, { CLAIM, "FENCED 2:5@other" } } },
};

static void each_conversation_ends_with_its_status(void **state)
{
	for (size_t i = 0; i < COUNT_OF(conversations); i++) {
		struct asked a;
		if (i)
			start(state);
		play(&conversations[i], &a);
		if (i + 1 < COUNT_OF(conversations))
			stop(state);
	}
}

/* A reply that no script gives is an error of the claim that gets it, and of those that wait with it. */
#define FEWER                                                                                                          \
	"id 7 seller 3 gen 6 amount 100 stock 5 t0 0 t1 0 created 1 pay 0 seller_name s name n description d "         \
	"segments 1 key :0123456789abcdef"

static const struct conversation mutations[] = {
	{ "won, without a number", STATUS_INTERNAL, { { CLAIM, "WON" } } },
	{ "won, with half an answer", STATUS_INTERNAL, { { CLAIM, "WON 3 9" } } },
	{ "won, with the number 0", STATUS_INTERNAL, { { CLAIM, "WON 0 9 1700" } } },
	{ "won, below 0", STATUS_INTERNAL, { { CLAIM, "WON -1 9 1700" } } },
	{ "won, beyond the last number", STATUS_INTERNAL, { { CLAIM, "WON 9007199254740993 9 1700" } } },
	{ "won, beyond all numbers", STATUS_INTERNAL, { { CLAIM, "WON 9223372036854775808 9 1700" } } },
	{ "mine, without a number", STATUS_INTERNAL, { { CLAIM, "MINE x" } } },
	{ "mine, with the number 0", STATUS_INTERNAL, { { CLAIM, "MINE 0" } } },
	{ "held, with half an answer", STATUS_INTERNAL, { { CLAIM, "HELD 1 9000" } } },
	{ "held, until before all times", STATUS_INTERNAL, { { CLAIM, "HELD 1 -9000 4000" } } },
	{ "empty, with half an answer", STATUS_INTERNAL, { { CLAIM, "NEED 25" } } },
	{ "empty, without a base", STATUS_INTERNAL, { { CLAIM, "NEED 25 0" } } },
	{ "empty, with a number below 0", STATUS_INTERNAL, { { CLAIM, "NEED 25 -1" HOME } } },
	{ "empty, with a number beyond doubles", STATUS_INTERNAL, { { CLAIM, "NEED 9007199254740993 0" HOME AT } } },
	{ "too early, without a number", STATUS_INTERNAL, { { CLAIM, "EARLY soon" } } },
	{ "a grant without numbers", STATUS_INTERNAL, { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "[GRANT" } } },
	{ "a grant of words",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "GRANT many 0" HOME } } },
	{ "a grant below 0",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "GRANT 26 -1" HOME } } },
	{ "a grant beyond doubles",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "GRANT 9223372036854775807 0" HOME HOME } } },
	{ "sold out in an epoch below 0",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "SOLDOUT -1 5000" } } },
	{ "a segment that the coupon does not have",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "NONE 25 0" HOME " 4 25 0" OTHERS } } },
	{ "a segment below 0",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "NONE 25 0" HOME " -1 25 0" OTHERS } } },
	{ "a segment beyond an int",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT }, { ASK("25", "0", "1"), "NONE 25 0" HOME " 4294967297 25 0" OTHERS } } },
	{ "a return without a number",
	  STATUS_INTERNAL,
	  { { CLAIM, "NEED 25 0" HOME AT },
	    { ASK("25", "0", "1"), "NONE 25 0" HOME " 1 25 0" OTHERS },
	    { "debit s1 | 2:5 1", "OK 1 x 0" OTHERS TERM } } },
	{ "an old generation, and now there are fewer segments",
	  STATUS_CREATED,
	  { { CLAIM, "FENCED 2:6@run" },
	    FOUND("7"),
	    { "HGETALL d", FEWER },
	    { "claim s0 o0 q0 | 2:6 | U", "NEED 25 0" HOME AT },
	    { "exchange hub | 2:6 0 25 0 0" HOME " 1 1", "GRANT 26 0" HOME },
	    { "claim s0 o0 q0 | 2:6 26 0" HOME " | U", "WON 26 0 1700" },
	    { INDEX("7-0-26"), "1" }, { NEWEST, "[]" } } },
};

static void an_impossible_reply_is_an_error_of_the_claim(void **state)
{
	for (size_t i = 0; i < COUNT_OF(mutations); i++) {
		struct asked a;
		if (i)
			start(state);
		play(&mutations[i], &a);
		if (i + 1 < COUNT_OF(mutations))
			stop(state);
	}
}

static void on_no_coupon(void *context, enum status s, struct coupon *c)
{
	*(enum status *)context = s;
	assert_null(c);
}

static void an_impossible_descriptor_is_like_a_missing_one(void **state)
{
	(void)state;
#define WITH(id, gen, t0, seller_name, name, segments, key)                                                            \
	"id " id " seller 3 gen " gen " amount 100 stock 5 t0 " t0 " t1 0 created 1 pay 0 seller_name " seller_name    \
	" name " name " description d segments " segments " key :" key
	static const char *const descriptors[] = {
		WITH("8", "5", "0", "..", "n", "4", "0123456789abcdef"),
		WITH("8", "5", "0", "s", "../../tmp/x", "4", "0123456789abcdef"),
		WITH("8", "5", "0", "s", "", "4", "0123456789abcdef"),
		WITH("8", "5", "0", "s\xff", "n", "4", "0123456789abcdef"),
		WITH("8", "5", "0", "7", "n", "4", "0123456789abcdef"),
		WITH("9", "5", "0", "s", "n", "4", "0123456789abcdef"),
		WITH("8", "0", "0", "s", "n", "4", "0123456789abcdef"),
		WITH("8", "5", "-1", "s", "n", "4", "0123456789abcdef"),
		WITH("8", "5", "9223372036854775807", "s", "n", "4", "0123456789abcdef"),
		WITH("8", "5", "0", "s", "n", "0", "0123456789abcdef"),
		WITH("8", "5", "0", "s", "n", "257", "0123456789abcdef"),
		WITH("8", "5", "0", "s", "n", "4294967300", "0123456789abcdef"),
		WITH("8", "5", "0", "s", "n", "4", "0123456789abcde"),
	};
	for (size_t i = 0; i < COUNT_OF(descriptors); i++) {
		enum status s = STATUS_OK;
		coupon_find_id(&service, 8, on_no_coupon, &s);
		fake_redis_answer(descriptors[i]);
		expect(s == STATUS_NO_SUCH_COUPON, "descriptor %zu: %s", i, status_code(s));
	}
}

/* So many are refused that the worker asks the hub. The next claim shows that no notice came of the reply. */
static void an_impossible_reply_of_the_hub_makes_no_notice(void **state)
{
	(void)state;
	enum { CROWD = 16 };
	static const char *const replies[] = { ":2:5@run 1 -1", ":2:5@run 1 soon", ":2:5@run 1 9007199254740993", "nil",
					     "[ ]" };
	static struct conf conf;
	conf_init(&conf);
	service.conf = &conf;
	for (size_t i = 0; i < COUNT_OF(replies); i++) {
		struct asked a;
		for (int k = 0; k < CROWD; k++) {
			submit(&a, user_of(0, k));
			fake_redis_answer("SOLDOUT 1");
			if (fake_redis_waiting())
				break;
		}
		assert_string_equal(shorthand(fake_redis_oldest(), 0), "HMGET hub fence sold_out epoch state t1");
		fake_redis_answer(replies[i]);
		submit(&a, user_of(0, 0));
		assert_int_equal(fake_redis_waiting(), 1); /* the segment is asked */
		fake_redis_answer("MINE 1");
		assert_int_equal(a.status, STATUS_ALREADY_CLAIMED);
	}
	service.conf = NULL;
	conf_release(&conf);
}

/* Every conversation, and the connection is lost at each of its steps. */
static void cut(const struct conversation *c, int at, const char *how)
{
	struct asked a;
	bool won = false, hub_said_so = false;
	const struct step *s = c->steps;
	int step = 0;
	submit(&a, user_of(0, 0));
	for (; s->sent && step < at; s++, step++) {
		pass_time();
		won = won || strstr(s->reply, "WON") || (strstr(s->reply, "MINE") && !strstr(s->reply, "MINE -"));
		hub_said_so = hub_said_so || strstr(s->reply, "SOLDOUT");
		fake_redis_answer(later(s->reply));
	}
	fake_redis_down(true);
	while (fake_redis_waiting())
		fake_redis_answer(how);
	pass_time();
	expect(a.ends == 1, "%s, cut at step %d: ended %d times", c->what, at, a.ends);
	expect(a.status != STATUS_SOLD_OUT || hub_said_so, "%s, cut at step %d", c->what, at);
	expect((a.status == STATUS_CREATED || a.status == STATUS_ALREADY_CLAIMED) == won, "%s, cut at step %d: %s",
	       c->what, at, status_code(a.status));
}

static void a_lost_connection_ends_every_claim_once(void **state)
{
	static const char *const ways[] = { "!unknown", "!refused", "!broken" };
	stop(state);
	for (size_t i = 0; i < COUNT_OF(conversations); i++)
		for (int at = 0; at == 0 || conversations[i].steps[at - 1].sent; at++)
			for (size_t way = 0; way < COUNT_OF(ways); way++) {
				start(state);
				cut(&conversations[i], at, ways[way]);
				stop(state);
			}
	start(state);
}

static void without_a_connection_a_claim_is_refused_at_once(void **state)
{
	(void)state;
	struct asked a;
	fake_redis_down(true);
	submit(&a, user_of(0, 0));
	assert_int_equal(a.ends, 1);
	assert_int_equal(a.status, STATUS_UNAVAILABLE);
}

/* Details of the answers */

static void the_answer_names_the_order(void **state)
{
	(void)state;
	struct asked a;
	char text[ORDER_NUMBER_TEXT];
	submit(&a, user_of(3, 0));
	fake_redis_answer("WON 45 1 1700");
	fake_redis_answer("1");
	assert_int_equal(a.ends, 0);
	fake_redis_answer("1");
	assert_int_equal(a.claim.segment, 3);
	assert_int_equal(a.claim.sequence, 45);
	assert_true(str_eq(order_number_text(text, 7, a.claim.segment, a.claim.sequence), STR("7-3-45")));
	submit(&a, user_of(2, 0));
	fake_redis_answer("MINE 8");
	assert_int_equal(a.claim.segment, 2);
	assert_int_equal(a.claim.sequence, 8);
	submit(&a, user_of(1, 0));
	fake_redis_answer("EARLY 1500");
	assert_int_equal(a.claim.wait_ms, 1500);
}

/* Where replicas are demanded, an order is acknowledged only once they have it. */
static void a_winner_waits_for_the_replicas(void **state)
{
	static const struct conversation confirmed[] = {
		{ "won", STATUS_CREATED, { { CLAIM, "WON 3 9 1700" }, { "WAIT", "1" }, { INDEX("7-0-3"), "1" }, { NEWEST, "[]" } } },
		{ "won, and too few have it",
		  STATUS_NOT_REPLICATED,
		  { { CLAIM, "WON 4 9 1700" }, { "WAIT", "!unknown" } } },
		{ "mine, written once more",
		  STATUS_ALREADY_CLAIMED,
		  { { CLAIM, "MINE 3" }, { CONFIRM("3"), "[OK" }, { "WAIT", "1" } } },
		{ "mine, and too few have it",
		  STATUS_NOT_REPLICATED,
		  { { CLAIM, "MINE 3" }, { CONFIRM("3"), "[OK" }, { "WAIT", "!unknown" } } },
		{ "mine, and the write is refused",
		  STATUS_NOT_REPLICATED,
		  { { CLAIM, "MINE 3" }, { CONFIRM("3"), "!refused" } } },
		{ "mine, and gone before it was written once more: won anew",
		  STATUS_CREATED,
		  { { CLAIM, "MINE 3" },
		    { CONFIRM("3"), "[OTHER" },
		    { CLAIM, "WON 1048577 9 1700" },
		    { "WAIT", "1" },
		    { INDEX("7-0-1048577"), "1" }, { NEWEST, "[]" },
		    { "SADD sk:lost 7-0-3:0", "1" } } },
		{ "mine, and gone, and again",
		  STATUS_BUSY,
		  { { CLAIM, "MINE 3" },
		    { CONFIRM("3"), "[OTHER" },
		    { CLAIM, "MINE 4" },
		    { CONFIRM("4"), "[OTHER" } } },
		{ "mine, and its server may have lost it",
		  STATUS_SOLD_OUT,
		  { { CLAIM, "MINE 3" },
		    { CONFIRM("3"), "FENCED 2:5@other" },
		    { SUSPECT, "1" },
		    { CLAIM, "SOLDOUT 1" } } },
		{ "mine, and closed",
		  STATUS_FENCED,
		  { { CLAIM, "MINE 3" },
		    { CONFIRM("3"), "FENCED 2:5!" },
		    { SUSPECT, "1" },
		    FOUND("7"),
		    { "HGETALL d", DESCRIPTOR("5") } } },
	};
	(void)state;
	fake_redis_may_wait = true;
	for (size_t i = 0; i < COUNT_OF(confirmed); i++) {
		struct asked a;
		play(&confirmed[i], &a);
	}
}

/* Where one server holds all keys, the script notes that the coupon has orders, and no command follows. */
#define WHOLE_CLAIM(credit) "claim s0 o0 q0 sk:dirty | 2:5 " credit "7:4 | U"

static void one_server_takes_all_of_a_claim(void **state)
{
	static const struct conversation whole[] = {
		{ "won, the first on an empty list", STATUS_CREATED, { { WHOLE_CLAIM(""), "WON 3 9 1700 1" } } },
		{ "won before", STATUS_ALREADY_CLAIMED, { { WHOLE_CLAIM(""), "MINE 2" } } },
		{ "the hub grants",
		  STATUS_CREATED,
		  { { WHOLE_CLAIM(""), "NEED 25 0" HOME AT },
		    { ASK("25", "0", "1"), "GRANT 30 0" HOME },
		    { WHOLE_CLAIM("30 0" HOME " "), "WON 26 4 1700" } } },
	};
	(void)state;
	fake_redis_is_single = true;
	for (size_t i = 0; i < COUNT_OF(whole); i++) {
		struct asked a;
		play(&whole[i], &a);
	}
}

/* The host knows what it has acknowledged: these numbers must not be given out again. */
static void an_acknowledged_number_quarantines_the_segment(void **state)
{
	static const struct conversation below[] = {
		{ "won", STATUS_CREATED, { { CLAIM, "WON 3 9 1700" }, { INDEX("7-0-3"), "1" }, { NEWEST, "[]" } } },
		{ "won again with that number",
		  STATUS_FENCED,
		  { { CLAIM, "WON 3 9 1700" }, { "fence s0 | 2:5 2:5!", "[OK" }, { SUSPECT, "1" } } },
		{ "won with the next number", STATUS_CREATED, { { CLAIM, "WON 4 9 1700" }, { INDEX("7-0-4"), "1" }, { NEWEST, "[]" } } },
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(below); i++) {
		struct asked a;
		play(&below[i], &a);
	}
}

static void ends_are_counted(void **state)
{
	(void)state;
	static const struct {
		const char *reply;
		enum counter counter;
	} rows[] = {
		{ "MINE 1", COUNT_claims_total__repeated },     { "SOLDOUT 1", COUNT_claims_total__sold_out },
		{ "HELD 1 0 0", COUNT_claims_total__all_held }, { "MINE -1", COUNT_claims_total__limit_reached },
		{ "EARLY 1", COUNT_claims_total__not_started }, { "[ENDED", COUNT_claims_total__ended },
		{ "[PAUSED", COUNT_claims_total__paused },      { "!refused", COUNT_claims_total__unavailable },
		{ "!unknown", COUNT_claims_total__unknown },    { "!broken", COUNT_claims_total__fenced },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct asked a;
		uint64_t before = stats_read(service.stats, rows[i].counter);
		submit(&a, user_of(0, 0));
		fake_redis_answer(rows[i].reply);
		expect(stats_read(service.stats, rows[i].counter) == before + 1, "%s", rows[i].reply);
	}
	assert_int_equal(stats_read(service.stats, COUNT_scripts_total__claim), COUNT_OF(rows));
}

static void the_wait_for_held_units_is_known(void **state)
{
	(void)state;
	static const struct {
		const char *reply;
		int64_t wait_ms;
	} rows[] = { { "HELD 1 9000 4000", 5000 }, { "HELD 1 4000 9000", -5000 }, { "HELD 1 0 4000", INT64_MAX } };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct asked a;
		submit(&a, user_of(0, 0));
		fake_redis_answer(rows[i].reply);
		expect(a.claim.wait_ms == rows[i].wait_ms, "%s: %lld", rows[i].reply, (long long)a.claim.wait_ms);
	}
}

static void an_unreadable_reply_is_not_counted_as_an_answered_request(void **state)
{
	(void)state;
	struct asked a;
	submit(&a, user_of(0, 0));
	fake_redis_answer("PERHAPS 1");
	assert_int_equal(a.status, STATUS_INTERNAL);
	assert_int_equal(stats_read(service.stats, COUNT_requests_total__2xx), 0);
}

/* Several claims on one empty segment */

enum { CROWD = 5 };

static void crowd(struct asked asked[CROWD])
{
	for (int i = 0; i < CROWD; i++)
		submit(&asked[i], user_of(0, i));
	for (int i = 0; i < CROWD; i++)
		fake_redis_answer("NEED 25 0" HOME AT);
}

static void one_question_serves_a_crowd(void **state)
{
	(void)state;
	struct asked asked[CROWD];
	crowd(asked);
	assert_int_equal(fake_redis_waiting(), 1);
	fake_redis_answer("GRANT 30 0" HOME);
	assert_int_equal(fake_redis_waiting(), CROWD);
	/* the first one in the order of arrival carries the credit */
	for (int i = 0; i < CROWD; i++) {
		const char *sent = shorthand(fake_redis_oldest(), user_of(0, i));
		assert_string_equal(sent, i ? CLAIM : CREDITED("30", "0"));
		fake_redis_answer("WON 1 1 1700");
	}
	answer_entries(CROWD);
	for (int i = 0; i < CROWD; i++)
		assert_true(asked[i].ends == 1 && asked[i].status == STATUS_CREATED);
}

static void one_refusal_ends_a_crowd(void **state)
{
	static const struct {
		const char *reply;
		enum status status;
	} rows[] = { { "!refused", STATUS_BUSY }, { "!broken", STATUS_FENCED } };
	for (size_t k = 0; k < COUNT_OF(rows); k++) {
		struct asked asked[CROWD];
		if (k)
			start(state);
		crowd(asked);
		fake_redis_answer(rows[k].reply);
		for (int i = 0; i < CROWD; i++)
			assert_true(asked[i].ends == 1 && asked[i].status == rows[k].status);
		if (k + 1 < COUNT_OF(rows))
			stop(state);
	}
}

/* A copy of a claim may have won through another worker, so each asks its segment once more. */
static void nobody_is_sold_out_without_a_last_question(void **state)
{
	(void)state;
	struct asked asked[CROWD];
	crowd(asked);
	fake_redis_answer("SOLDOUT 1 5000");
	assert_string_equal(shorthand(fake_redis_oldest(), 0), "flag s0 | 2:5 1 5000");
	fake_redis_answer("OK 1");
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(asked[i].ends, 0);
		assert_string_equal(shorthand(fake_redis_oldest(), user_of(0, i)), CLAIM);
		fake_redis_answer(i == 2 ? "MINE 4" : "SOLDOUT 1");
	}
	for (int i = 0; i < CROWD; i++)
		assert_true(asked[i].ends == 1 &&
			    asked[i].status == (i == 2 ? STATUS_ALREADY_CLAIMED : STATUS_SOLD_OUT));
}

static void a_claim_joins_the_refill_that_runs(void **state)
{
	(void)state;
	struct asked one, two;
	submit(&one, user_of(0, 0));
	fake_redis_answer("NEED 25 0" HOME AT);
	submit(&two, user_of(0, 1)); /* sends nothing */
	assert_int_equal(fake_redis_waiting(), 1);
	fake_redis_answer("NONE 25 0" HOME " 1 25 0" OTHERS);
	assert_string_equal(shorthand(fake_redis_oldest(), 0), "debit s1 | 2:5 1");
	fake_redis_answer("OK 0 25 0" OTHERS TERM);
	assert_string_equal(shorthand(fake_redis_oldest(), 0),
			    "exchange hub | 2:5 0 25 0 0" HOME " 2 2 1 25 0 0" OTHERS TERM); /* a unit for each */
	fake_redis_answer("GRANT 27 0" HOME);
	fake_redis_answer("WON 26 1 1700");
	fake_redis_answer("WON 27 0 1700");
	answer_entries(2);
	assert_true(one.ends == 1 && one.status == STATUS_CREATED);
	assert_true(two.ends == 1 && two.status == STATUS_CREATED);
}

/* Claims that joined after the hub was asked wait for the next grant. */
static void a_grant_sends_as_many_as_it_has_units_for(void **state)
{
	(void)state;
	struct asked asked[CROWD];
	crowd(asked);
	fake_redis_answer("GRANT 27 0" HOME);
	assert_int_equal(fake_redis_waiting(), 3);
	fake_redis_answer("WON 26 1 1700");
	fake_redis_answer("WON 27 0 1700");
	/* it does not claim that the segment is empty */
	expect(strncmp(shorthand(fake_redis_oldest(), 0), "exchange hub | 2:5 0 27 0 1 ", 28) == 0, "'%s'",
	       shorthand(fake_redis_oldest(), 0));
	fake_redis_answer("NONE 27 0" HOME " 1 25 0" OTHERS);
	answer_entries(2);
	assert_int_equal(fake_redis_waiting(), CROWD - 2);
	for (int i = 2; i < CROWD; i++) {
		assert_string_equal(shorthand(fake_redis_oldest(), user_of(0, i)), CLAIM);
		fake_redis_answer("SOLDOUT 1");
	}
	for (int i = 0; i < CROWD; i++)
		assert_true(asked[i].ends == 1 && asked[i].status == (i < 2 ? STATUS_CREATED : STATUS_SOLD_OUT));
}

/* An exchange for one claim; behind: the epoch for which the worker has waited. */
static void expect_question(const char *behind)
{
	char wanted[80];
	snprintf(wanted, sizeof wanted, "%s%s", ASK("25", "0", "1"), behind);
	assert_string_equal(shorthand(fake_redis_oldest(), 0), wanted);
}

static void a_sale_opens_for_a_worker_that_has_waited(void **state)
{
	(void)state;
	struct asked a, b;
	submit(&a, user_of(0, 0));
	for (int i = 0; !a.ends && i < 100; i++) {
		fake_redis_answer("NEED 25 0" HOME AT);
		if (a.ends) /* it has waited for as long as a claim may */
			break;
		expect_question("");
		fake_redis_answer("LATER 2");
		while (!a.ends && !fake_redis_waiting())
			pass_time();
	}
	assert_int_equal(a.status, STATUS_BUSY);
	now_ms += 600;
	submit(&b, user_of(0, 1));
	fake_redis_answer("NEED 25 0" HOME AT);
	expect_question("  2");
	fake_redis_answer("LATER 4"); /* it has opened and sold out since, and opens again */
	while (!fake_redis_waiting())
		pass_time();
	fake_redis_answer("NEED 25 0" HOME AT);
	expect_question("");
	fake_redis_answer("GRANT 30 0" HOME);
	fake_redis_answer("WON 26 4 1700");
	answer_entries(1);
	assert_int_equal(b.status, STATUS_CREATED);
}

/* Units that were granted arrive, although the claim that was to bring them has ended and nobody claims any more. */
static void a_credit_is_sent_until_it_is_answered(void **state)
{
	static const char *const replies[] = { "!unknown", "!refused", "OK 30 30 0" };
	(void)state;
	struct asked a;
	submit(&a, user_of(0, 0));
	fake_redis_answer("NEED 25 0" HOME AT);
	fake_redis_answer("GRANT 30 0" HOME);
	fake_redis_answer("!unknown");
	assert_true(a.ends == 1 && a.status == STATUS_OUTCOME_UNKNOWN);
	for (size_t i = 0; i < COUNT_OF(replies); i++) {
		assert_int_equal(fake_redis_waiting(), 0);
		now_ms += 200;
		loop_turn(service.loop, 0);
		assert_string_equal(shorthand(fake_redis_oldest(), a.claim.user), "claim s0 o0 q0 | 2:5 30 0" HOME " | 0");
		fake_redis_answer(replies[i]);
	}
	now_ms += 1000;
	loop_turn(service.loop, 0);
	assert_int_equal(fake_redis_waiting(), 0);
}

static void segments_refill_side_by_side(void **state)
{
	(void)state;
	struct asked one, two;
	submit(&one, user_of(0, 0));
	submit(&two, user_of(1, 0));
	fake_redis_answer("NEED 25 0" HOME AT);
	fake_redis_answer("NEED 20 0" HOME AT);
	assert_string_equal(shorthand(fake_redis_oldest(), 0), ASK("25", "0", "1"));
	fake_redis_answer("GRANT 26 0" HOME);
	assert_string_equal(shorthand(fake_redis_oldest(), 0), "exchange hub | 2:5 1 20 0 0" HOME " 1 1");
	fake_redis_answer("SOLDOUT 1 5000");
	fake_redis_answer("WON 26 0 1700");
	fake_redis_answer("OK 1"); /* the flag */
	fake_redis_answer("SOLDOUT 1");
	assert_int_equal(two.status, STATUS_SOLD_OUT);
	answer_entries(1);
	assert_int_equal(one.status, STATUS_CREATED);
}

static void a_coupon_outlives_its_place_in_the_cache(void **state)
{
	(void)state;
	struct asked a;
	submit(&a, user_of(0, 0));
	fake_redis_answer("NEED 25 0" HOME AT);
	coupon_forget(service.coupons, coupon);
	coupon_forget(service.coupons, coupon);
	fake_redis_answer("GRANT 26 0" HOME);
	fake_redis_answer("WON 26 0 1700");
	answer_entries(1);
	assert_int_equal(a.status, STATUS_CREATED);
}

/* The sold-out notice, and the winners */

/* Claims are refused until the worker asks the hub, which answers. */
static void get_notice(const char *reply)
{
	enum { CROWD_OF_NOTICE = 16 };
	static struct conf conf = { .sold_out_dir = "" };
	service.conf = &conf;
	for (int i = 0; i < CROWD_OF_NOTICE && strncmp(fake_redis_oldest(), "HMGET", 5) != 0; i++) {
		struct asked a;
		submit(&a, user_of(0, i));
		fake_redis_answer("SOLDOUT 1");
	}
	assert_string_equal(shorthand(fake_redis_oldest(), 0), "HMGET hub fence sold_out epoch state t1");
	fake_redis_answer(reply);
}

/* Users from `first` on own orders of segment 0, and nobody owns one of the others. False: not all were read. */
static bool read_winners(int64_t first, size_t count)
{
	enum { PAGE = 100000 };
	static char digits[PAGE][24];
	static struct str texts[2 + PAGE] = { { "OK", sizeof "OK" - 1 } };
	for (size_t done = 0; done < count; done += PAGE) {
		size_t n = count - done < PAGE ? count - done : PAGE;
		texts[1] = done + n < count ? STR("17") : STR("0");
		for (size_t i = 0; i < n; i++)
			texts[2 + i] = (struct str){ digits[i], buf_digits(digits[i], first + (int64_t)(done + i)) };
		if (strncmp(shorthand(fake_redis_oldest(), 0), "winners s0 o0 | 2:5 ", 20) != 0)
			return false;
		fake_redis_answer_texts(texts, 2 + n);
	}
	for (int segment = 1; segment < 4 && fake_redis_waiting(); segment++)
		fake_redis_answer("OK :0");
	return true;
}

static void a_notice_refuses_all_but_the_winners(void **state)
{
	(void)state;
	struct asked a;
	get_notice("2:5@run 1 3");
	assert_true(read_winners(1000, 10));
	submit(&a, 999);
	assert_true(a.ends == 1 && a.status == STATUS_SOLD_OUT);
	submit(&a, 1003);
	assert_int_equal(a.ends, 0);
	fake_redis_answer("MINE 4");
	assert_int_equal(a.status, STATUS_ALREADY_CLAIMED);
}

/* Units may come back: each claim asks its segment, and nobody asks the hub for a notice. */
static void held_units_make_no_notice(void **state)
{
	(void)state;
	enum { MANY = 100 };
	struct asked a;
	for (int i = 0; i < MANY; i++) {
		submit(&a, user_of(0, i));
		fake_redis_answer("HELD 1 9000 4000");
		assert_int_equal(fake_redis_waiting(), 0);
	}
	get_notice("2:5@run 2 1"); /* some segments still have the flag of an earlier epoch */
	assert_int_equal(fake_redis_waiting(), 0);
	submit(&a, user_of(0, 0));
	assert_int_equal(a.ends, 0);
	fake_redis_answer("HELD 1 9000 4000");
}

/* One page of a segment was read, and then its server may have lost orders: the notice refuses nobody. */
static void winners_of_a_suspect_segment_are_not_known(void **state)
{
	static const struct str page[] = { { "OK", sizeof "OK" - 1 },
					   { "17", sizeof "17" - 1 },
					   { "1000", sizeof "1000" - 1 } };
	(void)state;
	struct asked a;
	get_notice("2:5@run 1 3");
	fake_redis_answer_texts(page, 3);
	assert_string_equal(shorthand(fake_redis_oldest(), 0), "winners s0 o0 | 2:5 17 1000");
	fake_redis_answer("FENCED 2:5@other");
	assert_int_equal(fake_redis_waiting(), 0);
	submit(&a, 999);
	assert_int_equal(a.ends, 0);
	fake_redis_answer("MINE 4");
	assert_int_equal(a.status, STATUS_ALREADY_CLAIMED);
	now_ms += 700;
	get_notice("2:5@run 1 3");
	assert_int_equal(fake_redis_waiting(), 0); /* the owners are not read again at once */
	now_ms += 700;
	get_notice("2:5@run 1 3");
	assert_true(read_winners(1000, 10));
	submit(&a, 999);
	assert_true(a.ends == 1 && a.status == STATUS_SOLD_OUT);
}

/* A customer's older orders of this coupon may be lost, so drainers look for them; the customer does not wait. */
static void older_orders_of_a_winner_are_looked_for(void **state)
{
	(void)state;
	struct asked a;
	submit(&a, user_of(0, 0));
	fake_redis_answer("WON 1048577 9 1700");
	fake_redis_answer("1");
	fake_redis_answer("7-0-3 7-0-1048577 8-0-5 7-0-9 none");
	assert_true(a.ends == 1 && a.status == STATUS_CREATED);
	char wanted[80];
	static const char *const orders[] = { "7-0-3", "7-0-9" };
	for (int i = 0; i < 2; i++) {
		snprintf(wanted, sizeof wanted, "SADD sk:lost %s:%lld", orders[i], (long long)a.claim.user);
		assert_string_equal(fake_redis_oldest(), wanted);
		fake_redis_answer("1");
	}
}

/* Of several units those of the same base are not suspect; and a unit above the limit asks nobody. */
static void other_units_of_a_winner_are_not_looked_for(void **state)
{
	(void)state;
	struct asked a = { 0 };
	char wanted[80];
	coupon->limit = 3;
	for (int unit = 4; unit >= 2; unit -= 2) {
		a = (struct asked){ .claim = { .service = &service, .user = user_of(0, 0), .unit = unit, .done = on_done, .context = &a } };
		claim_submit(&a.claim, coupon);
		assert_true(a.ends == (unit == 4) && fake_redis_waiting() == (unit != 4));
	}
	expect(strstr(fake_redis_oldest(), "#2"), "%s", fake_redis_oldest());
	fake_redis_answer("WON 1048579 9 1700");
	fake_redis_answer("1");
	fake_redis_answer("7-0-1048577 7-0-1048579 7-0-3");
	assert_true(a.ends == 1 && a.status == STATUS_CREATED);
	snprintf(wanted, sizeof wanted, "SADD sk:lost 7-0-3:%lld", (long long)a.claim.user);
	assert_string_equal(fake_redis_oldest(), wanted);
	fake_redis_answer("1");
}

/* Winners are kept up to a limit. Above it each claim asks its segment, for the whole epoch. */
static void more_winners_than_are_kept(void **state)
{
	enum { TOO_MANY = (1 << 21) + 200000 };
	(void)state;
	struct asked a;
	size_t before = mallinfo2().hblkhd;
	get_notice("2:5@run 1 3");
	assert_false(read_winners(1000, TOO_MANY));
	expect(mallinfo2().hblkhd <= before + (1 << 20), "%zu bytes are kept", mallinfo2().hblkhd - before);
	assert_int_equal(fake_redis_waiting(), 0);
	submit(&a, 999);
	assert_int_equal(strncmp(fake_redis_oldest(), "claim ", 6), 0);
	fake_redis_answer("SOLDOUT 1");
	now_ms += 700;
	get_notice("2:5@run 1 3");
	assert_int_equal(fake_redis_waiting(), 0); /* the owners are not read again */
	now_ms += 700;
	get_notice("2:5@run 1 4");
	assert_true(read_winners(1000, 10));
	submit(&a, 999);
	assert_true(a.ends == 1 && a.status == STATUS_SOLD_OUT);
}

/* The cache */

static void on_other(void *context, enum status s, struct coupon *c)
{
	(void)c;
	*(int *)context += s == STATUS_OK;
}

/* Fills the cache, so that it is emptied. */
static void fill_cache(void)
{
	enum { CACHE_MAX = 16384 };
	int found = 0;
	char descriptor[256];
	for (int64_t id = 100; id < 100 + CACHE_MAX; id++) {
		snprintf(descriptor, sizeof descriptor, "id %lld" DESCRIPTOR_OF("1"), (long long)id);
		coupon_find_id(&service, id, on_other, &found);
		for (int waiting = fake_redis_waiting(); waiting > 1; waiting--)
			fake_redis_later();
		fake_redis_answer(descriptor);
	}
	assert_int_equal(found, CACHE_MAX);
}

/* One claim waits for its segment, one for the hub, and the winners are being read: each keeps its coupon. */
static void a_full_cache_is_emptied_under_live_claims(void **state)
{
	(void)state;
	struct asked one, two;
	get_notice("2:5@run 1 3");
	submit(&one, user_of(1, 0));
	submit(&two, user_of(2, 0));
	fake_redis_later(); /* the owners of segment 0 */
	fake_redis_answer("NEED 25 0" HOME AT);
	fill_cache();
	assert_false(coupon->cached);
	assert_true(one.ends == 0 && two.ends == 0);
	struct coupon *held = coupon, *again = NULL;
	coupon_find_id(&service, 7, on_found, &again);
	for (int i = 0; i < 3; i++)
		fake_redis_later();
	fake_redis_answer(DESCRIPTOR("5"));
	assert_true(again != held && again->cached);
	while (fake_redis_waiting()) {
		const char *sent = shorthand(fake_redis_oldest(), two.claim.user);
		if (strncmp(sent, "winners", 7) == 0)
			fake_redis_answer("OK :0");
		else
			fake_redis_answer(strncmp(sent, "exchange", 8) == 0 ? "GRANT 26 0" HOME
					  : *sent == 'Z'                    ? "1"
									    : "WON 26 1 1700");
	}
	assert_true(one.ends == 1 && one.status == STATUS_CREATED);
	assert_true(two.ends == 1 && two.status == STATUS_CREATED);
	assert_int_equal(again->holders, 2);
	coupon_drop(again);
}

/* Any reply at any time */

static const char *any_reply(void)
{
	static const char *const replies[] = {
		"WON 1 9 1700",
		"MINE 2",
		"SOLDOUT 1 5000",
		"HELD 1 5000 9000",
		"MINE -2",
		"EARLY 5",
		"[ENDED",
		"[PAUSED",
		"[FENCED",
		"FENCED 2:5!",
		"FENCED 2:5@x",
		"FENCED 2:6@x",
		"[REGRESS",
		"NEED 25 0" HOME AT,
		"NEED 25 0" HOME AT,
		"NEED 26 3" HOME AT,
		"GRANT 30 0" HOME,
		"GRANT 25 0" HOME,
		"NONE 25 0" HOME " 1 25 0" OTHERS,
		"NONE 25 0" HOME " 1 25 0" OTHERS " 2 25 0" OTHERS TERM " 25 0" OTHERS,
		"NONE 30 0" HOME,
		"NONE 25 0" HOME,
		"OK 0 25 0" OTHERS TERM,
		"OK 4 25 5" OTHERS TERM,
		"[OTHER",
		"[REPLACED",
		"[UNHEARD",
		"OK 30 0",
		"OK 1",
		"!refused",
		"!unknown",
		"!broken",
		"nil",
		"1",
		"[ ]",
		"PERHAPS",
		"WON",
		"[NEED",
		"[OK",
		DESCRIPTOR("5"),
		DESCRIPTOR("6"),
	};
	return replies[(size_t)rand() % COUNT_OF(replies)];
}

static void random_replies_end_every_claim_once(void **state)
{
	(void)state;
	enum { CLAIMS = 12 };
	unsigned seed = 5;
	print_message("# seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 3000; round++) {
		struct asked asked[CLAIMS];
		int submitted = 0;
		for (int step = 0; submitted < CLAIMS || fake_redis_waiting(); step++) {
			expect(step < 100000, "round %d does not end", round);
			if (submitted < CLAIMS && rand() % 3 == 0)
				submit(&asked[submitted], user_of(rand() % 4, submitted)), submitted++;
			else if (fake_redis_waiting())
				fake_redis_answer(any_reply());
			now_ms += rand() % 20;
			loop_turn(service.loop, 0);
		}
		for (now_ms += 1000, fake_redis_down(true); submitted--;)
			loop_turn(service.loop, 0);
		fake_redis_down(false);
		let_credits_arrive();
		for (int i = 0; i < CLAIMS; i++)
			expect(asked[i].ends == 1, "round %d: claim %d ended %d times", round, i, asked[i].ends);
		expect(coupon->holders == (coupon->cached ? 2 : 1), "round %d: %d holders", round, coupon->holders);
	}
}

static void on_any(void *context, enum status s, struct coupon *c)
{
	(void)context;
	(void)c;
	assert_int_equal(s, STATUS_OK);
}

/* 16,384 of them are kept, and most are never claimed. */
static void a_cached_coupon_is_small(void **state)
{
	(void)state;
	enum { MANY = 2000, MOST = 1500 };
	struct mallinfo2 before = mallinfo2();
	for (int64_t id = 1000; id < 1000 + MANY; id++) {
		char text[512];
		snprintf(
			text, sizeof text,
			"id %lld seller 3 gen 5 amount 10000 stock 5 t0 0 t1 0 created 1 pay 0 seller_name "
			"a-seller-of-things name a-coupon-%lld description one-of-many-things-of-which-there-is-enough "
			"segments 64 key :0123456789abcdef",
			(long long)id, (long long)id);
		coupon_find_id(&service, id, on_any, NULL);
		fake_redis_answer(text);
	}
	size_t each = (mallinfo2().uordblks - before.uordblks) / MANY;
	print_message("# a cached coupon takes %zu bytes\n", each);
	expect(each < MOST, "%zu bytes", each);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_conversation_ends_with_its_status),
		CASE(an_impossible_reply_is_an_error_of_the_claim),
		CASE(an_impossible_descriptor_is_like_a_missing_one),
		CASE(an_impossible_reply_of_the_hub_makes_no_notice),
		CASE(a_lost_connection_ends_every_claim_once),
		CASE(without_a_connection_a_claim_is_refused_at_once),
		CASE(the_answer_names_the_order),
		CASE(a_winner_waits_for_the_replicas),
		CASE(one_server_takes_all_of_a_claim),
		CASE(an_acknowledged_number_quarantines_the_segment),
		CASE(ends_are_counted),
		CASE(the_wait_for_held_units_is_known),
		CASE(an_unreadable_reply_is_not_counted_as_an_answered_request),
		CASE(one_question_serves_a_crowd),
		CASE(one_refusal_ends_a_crowd),
		CASE(a_claim_joins_the_refill_that_runs),
		CASE(nobody_is_sold_out_without_a_last_question),
		CASE(a_grant_sends_as_many_as_it_has_units_for),
		CASE(a_sale_opens_for_a_worker_that_has_waited),
		CASE(a_credit_is_sent_until_it_is_answered),
		CASE(segments_refill_side_by_side),
		CASE(a_coupon_outlives_its_place_in_the_cache),
		CASE(a_cached_coupon_is_small),
		CASE(a_notice_refuses_all_but_the_winners),
		CASE(held_units_make_no_notice),
		CASE(winners_of_a_suspect_segment_are_not_known),
		CASE(older_orders_of_a_winner_are_looked_for), CASE(other_units_of_a_winner_are_not_looked_for),
		CASE(more_winners_than_are_kept),
		CASE(a_full_cache_is_emptied_under_live_claims),
		CASE(random_replies_end_every_claim_once),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
