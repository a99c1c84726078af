#include "sale/claim.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/transfer.h"

struct str order_text(char text[ORDER_TEXT], int64_t coupon, int segment, int64_t sequence)
{
	int n = snprintf(text, ORDER_TEXT, "%lld-%d-%lld", (long long)coupon, segment, (long long)sequence);
	return (struct str){ text, (size_t)n };
}

static const enum counter ends[STATUS_COUNT] = {
	[STATUS_CREATED] = COUNT_claims_total__won,
	[STATUS_ALREADY_CLAIMED] = COUNT_claims_total__repeated,
	[STATUS_SOLD_OUT] = COUNT_claims_total__sold_out,
	[STATUS_NOT_STARTED] = COUNT_claims_total__not_started,
	[STATUS_ENDED] = COUNT_claims_total__ended,
	[STATUS_PAUSED] = COUNT_claims_total__paused,
	[STATUS_BUSY] = COUNT_claims_total__busy,
	[STATUS_UNAVAILABLE] = COUNT_claims_total__unavailable,
	[STATUS_OUTCOME_UNKNOWN] = COUNT_claims_total__unknown,
	[STATUS_FENCED] = COUNT_claims_total__fenced,
	[STATUS_INTERNAL] = COUNT_claims_total__internal,
};

void claim_end(struct claim *c, enum status s)
{
	struct coupon *coupon = c->coupon; /* outlives the answer, which may end the claim's memory */
	board_add(c->service->board, ends[s], 1);
	c->done(c, s);
	coupon_drop(coupon);
}

/* The customer's own list is an index, never the truth: the drainer writes it again. */
static void on_indexed(void *context, enum redis_end end, const struct redis_reply *reply)
{
	(void)end;
	(void)reply;
	claim_end(context, STATUS_CREATED);
}

/* The first order on an empty list wakes the drainers; should this be lost, they find it by looking around. */
static void wake_drainers(const struct claim *c)
{
	char member[KEY_TEXT];
	struct redis_command cmd;
	snprintf(member, sizeof member, "%lld:%d", (long long)c->coupon->id, c->coupon->segments);
	redis_command(&cmd, "SADD");
	key_put(&cmd, KEY_DIRTY, 0, 0);
	redis_put_text(&cmd, member);
	redis_send(c->service->redis, &cmd, NULL, NULL);
}

static void on_won(struct claim *c, const struct redis_reply *reply)
{
	if (redis_number_at(reply, 4) == 1)
		wake_drainers(c);
	char order[ORDER_TEXT];
	struct redis_command cmd;
	c->sequence = redis_number_at(reply, 1);
	redis_command(&cmd, "ZADD");
	key_put(&cmd, KEY_CUSTOMER, c->user, 0);
	redis_put_int(&cmd, redis_number_at(reply, 3));
	redis_put(&cmd, order_text(order, c->coupon->id, c->segment, c->sequence));
	redis_send(c->service->redis, &cmd, on_indexed, c);
}

static void on_mine(struct claim *c, const struct redis_reply *reply)
{
	c->sequence = redis_number_at(reply, 1);
	claim_end(c, STATUS_ALREADY_CLAIMED);
}

static void on_need(struct claim *c, const struct redis_reply *reply)
{
	transfer_wait(c, redis_number_at(reply, 1), redis_number_at(reply, 2));
}

static void on_sold_out(struct claim *c, const struct redis_reply *reply)
{
	(void)reply;
	claim_end(c, STATUS_SOLD_OUT);
}

static void on_early(struct claim *c, const struct redis_reply *reply)
{
	c->wait_ms = redis_number_at(reply, 1);
	claim_end(c, STATUS_NOT_STARTED);
}

static void on_ended(struct claim *c, const struct redis_reply *reply)
{
	(void)reply;
	claim_end(c, STATUS_ENDED);
}

static void on_paused(struct claim *c, const struct redis_reply *reply)
{
	(void)reply;
	claim_end(c, STATUS_PAUSED);
}

static void on_found_again(void *context, enum status s, struct coupon *coupon)
{
	struct claim *c = context;
	if (s != STATUS_OK || coupon->generation == c->coupon->generation) {
		claim_end(c, s == STATUS_UNAVAILABLE ? s : STATUS_FENCED);
		return;
	}
	coupon_drop(c->coupon);
	c->coupon = coupon_hold(coupon);
	claim_send(c, NULL);
}

/* Our copy may be of an older generation: read the coupon anew, once. */
static void on_fenced(struct claim *c, const struct redis_reply *reply)
{
	(void)reply;
	coupon_forget(c->service->coupons, c->coupon);
	if (c->refound) {
		claim_end(c, STATUS_FENCED);
		return;
	}
	c->refound = true;
	coupon_find_id(c->service, c->coupon->id, on_found_again, c);
}

static void on_regress(struct claim *c, const struct redis_reply *reply)
{
	(void)reply;
	log_error("segment_regress", LOG_INT("coupon", c->coupon->id), LOG_INT("segment", c->segment));
	claim_end(c, STATUS_FENCED);
}

static const struct {
	const char *word;
	void (*fn)(struct claim *c, const struct redis_reply *reply);
} answers[] = {
	{ "WON", on_won },       { "MINE", on_mine },     { "SOLDOUT", on_sold_out },
	{ "NEED", on_need },     { "EARLY", on_early },   { "ENDED", on_ended },
	{ "PAUSED", on_paused }, { "FENCED", on_fenced }, { "REGRESS", on_regress },
};

static void on_claim(void *context, enum redis_end end, const struct redis_reply *reply)
{
	static const enum status unanswered[] = { [REDIS_REFUSED] = STATUS_UNAVAILABLE,
						  [REDIS_UNKNOWN] = STATUS_OUTCOME_UNKNOWN,
						  [REDIS_BROKEN] = STATUS_FENCED };
	struct claim *c = context;
	if (end != REDIS_ANSWER) {
		claim_end(c, unanswered[end]);
		return;
	}
	struct str word = redis_text_at(reply, 0);
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (str_eq(word, str_of(answers[i].word))) {
			answers[i].fn(c, reply);
			return;
		}
	log_error("claim_reply_unreadable", LOG_STR("word", word));
	claim_end(c, STATUS_INTERNAL);
}

void claim_send(struct claim *c, const struct totals *credit)
{
	struct redis_command cmd;
	int64_t coupon = c->coupon->id;
	redis_script(&cmd, &script_claim, 3);
	key_put(&cmd, KEY_SEGMENT, coupon, c->segment);
	key_put(&cmd, KEY_OWNERS, coupon, c->segment);
	key_put(&cmd, KEY_ORDERS, coupon, c->segment);
	redis_put_int(&cmd, c->coupon->generation);
	redis_put_int(&cmd, c->user);
	if (credit) {
		redis_put_int(&cmd, credit->granted);
		redis_put_int(&cmd, credit->taken);
	}
	board_add(c->service->board, COUNT_scripts_total__claim, 1);
	redis_send(c->service->redis, &cmd, on_claim, c);
}

void claim_submit(struct claim *c, struct coupon *coupon)
{
	c->coupon = coupon_hold(coupon);
	c->segment = coupon_home(coupon, c->user);
	c->deadline_ms = 0;
	c->refound = false;
	if (!transfer_join(c))
		claim_send(c, NULL);
}
