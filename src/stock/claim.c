#include "stock/claim.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/acknowledged.h"
#include "stock/refill.h"
#include "stock/sold_out.h"

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
	[STATUS_NOT_REPLICATED] = COUNT_claims_total__not_replicated,
	[STATUS_FENCED] = COUNT_claims_total__fenced,
	[STATUS_INTERNAL] = COUNT_claims_total__internal,
};

void claim_end(struct claim *c, enum status s)
{
	struct coupon *coupon = c->coupon; /* outlives the answer, which may end the claim's memory */
	stats_add(c->service->stats, ends[s], 1);
	c->done(c, s);
	coupon_drop(coupon);
}

/*
 * A winner is told when the order is on as many replicas as the settings ask for, and then in the customer's list. What
 * was not confirmed is not entered: nobody was told of it, and it may be gone.
 */

/* Numbers of two bases, as after a failover: a drainer looks whether orders of the earlier one are lost. */
static void note_acknowledged(const struct claim *c)
{
	struct lost_candidate s = { .coupon = c->coupon->id, .segment = c->segment };
	s.number = acknowledged_raise(c->service, s.coupon, s.segment, c->sequence);
	if (s.number)
		worklist_look_for(c->service->redis, &s);
}

static void win_over(struct claim *c)
{
	FAULT(claim_indexed);
	note_acknowledged(c);
	claim_end(c, c->won);
}

/* Older orders of this customer, which may be lost. */
static void suspect(const struct claim *c, const struct redis_reply *orders)
{
	enum { MOST = 16 };
	for (size_t i = 0; i < redis_count(orders) && i < MOST; i++) {
		struct order_number n;
		if (order_number_read(redis_text_at(orders, i), &n))
			worklist_look_for(c->service->redis,
					  &(struct lost_candidate){ n.coupon, n.sequence, c->user, n.segment });
	}
}

/* The customer's own list is an index, never the truth: should this be lost, the drainer writes it again. */
static void on_entered(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct claim *c = context;
	if (end == REDIS_ANSWER)
		suspect(c, reply);
	win_over(c);
}

static void enter_order(struct claim *c)
{
	char order[ORDER_NUMBER_TEXT];
	struct redis_command cmd;
	redis_script(&cmd, &script_enter, 1);
	key_put(&cmd, KEY_CUSTOMER, c->user, 0);
	redis_put_int(&cmd, c->claimed_ms);
	redis_put(&cmd, order_number_text(order, c->coupon->id, c->segment, c->sequence));
	redis_put(&cmd, order_number_of_coupon(order, c->coupon->id));
	redis_send(c->service->redis, &cmd, on_entered, c);
}

static void on_confirmed(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct claim *c = context;
	(void)reply;
	FAULT(claim_confirmed);
	if (end != REDIS_ANSWER)
		claim_end(c, STATUS_NOT_REPLICATED);
	else if (c->won == STATUS_CREATED && !redis_is_single(c->service->redis)) /* else the script has entered it */
		enter_order(c);
	else
		win_over(c);
}

/* The segment's numbers are not what they were: nothing more is sold from it. */
static void regress(struct claim *c)
{
	log_error("segment_regress", LOG_INT("coupon", c->coupon->id), LOG_INT("segment", c->segment),
		  LOG_INT("sequence", c->sequence), LOG_INT("seen", c->seen));
	fence_quarantine(c->service->redis, c->coupon, KEY_SEGMENT, c->segment);
	claim_end(c, STATUS_FENCED);
}

/* The first order on an empty list wakes the drainers; should this be lost, they find it by looking around. */
static void wake_drainers(const struct claim *c)
{
	worklist_drain(c->service->redis, c->coupon->id, c->coupon->segments);
}

static void on_won(struct claim *c, const struct claim_answer *said)
{
	c->sequence = said->number[0];
	if (c->sequence <= c->seen) {
		regress(c);
		return;
	}
	if (!redis_is_single(c->service->redis) && said->number[3] == 1)
		wake_drainers(c);
	c->won = STATUS_CREATED;
	c->claimed_ms = said->number[2];
	redis_confirm(c->service->redis, on_confirmed, c);
}

static void on_need(struct claim *c, const struct claim_answer *said)
{
	const struct report home = { .segment = c->segment,
				     .received = said->number[0],
				     .sent = said->number[1],
				     .base = said->number[2],
				     .term = said->number[3],
				     .ms = said->number[4] };
	refill_wait(c, &home);
}

static void on_full(struct claim *c, const struct claim_answer *said)
{
	(void)said;
	claim_end(c, STATUS_BUSY);
}

static void on_sold_out(struct claim *c, const struct claim_answer *said)
{
	(void)said;
	sold_out_heard(c->service, c->coupon);
	claim_end(c, STATUS_SOLD_OUT);
}

static void on_early(struct claim *c, const struct claim_answer *said)
{
	c->wait_ms = said->number[0];
	claim_end(c, STATUS_NOT_STARTED);
}

static void on_ended(struct claim *c, const struct claim_answer *said)
{
	(void)said;
	claim_end(c, STATUS_ENDED);
}

static void on_paused(struct claim *c, const struct claim_answer *said)
{
	(void)said;
	claim_end(c, STATUS_PAUSED);
}

static void aim(struct claim *c, struct coupon *coupon);

static void on_found_again(void *context, enum status s, struct coupon *coupon)
{
	struct claim *c = context;
	if (s != STATUS_OK || (coupon->id == c->coupon->id && coupon->generation == c->coupon->generation)) {
		claim_end(c, s == STATUS_UNAVAILABLE ? s : STATUS_FENCED);
		return;
	}
	struct coupon *old = c->coupon;
	aim(c, coupon);
	coupon_drop(old);
	claim_send(c, NULL);
}

/* Our copy may be of an older generation, or its name may be another coupon's by now: read it anew, once. */
static void read_anew(struct claim *c)
{
	coupon_forget(c->service->coupons, c->coupon);
	if (c->refound) {
		claim_end(c, STATUS_FENCED);
		return;
	}
	c->refound = true;
	coupon_find(c->service, c->coupon->seller_name, c->coupon->name, on_found_again, c);
}

static void await_inspection(struct claim *c)
{
	if (!c->deadline_ms)
		worklist_inspect(c->service->redis, c->coupon->id, c->coupon->segments);
	claim_retry(c);
}

/* A crowd that asks for a closed sale costs one look a second at the catalog. */
static void find_closed(struct claim *c)
{
	enum { FRESH_MS = 1000 };
	worklist_inspect(c->service->redis, c->coupon->id, c->coupon->segments);
	if (clock_mono_ms() - c->coupon->read_ms < FRESH_MS)
		claim_end(c, STATUS_FENCED);
	else
		read_anew(c);
}

static void meet_fence(struct claim *c, struct str fence)
{
	static void (*const meanings[])(struct claim *) = {
		[FENCE_OTHER] = read_anew, [FENCE_SUSPECT] = await_inspection, [FENCE_QUARANTINED] = find_closed
	};
	meanings[fence_read(fence, c->coupon->generation)](c);
}

static void on_fenced(struct claim *c, const struct claim_answer *said)
{
	meet_fence(c, said->rest);
}

/* The totals are of an earlier base or term. The process with the later ones may be dead, so an inspection looks. */
static void on_replaced(struct claim *c, const struct claim_answer *said)
{
	(void)said;
	worklist_inspect(c->service->redis, c->coupon->id, c->coupon->segments);
	claim_retry(c);
}

/* The order from before was lost with its server after the script had found it. */
static void send_again(struct claim *c)
{
	if (c->sent_again) {
		claim_end(c, STATUS_BUSY);
		return;
	}
	c->sent_again = true;
	claim_send(c, NULL);
}

static void on_written(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct claim *c = context;
	struct str word = redis_text_at(reply, 0);
	if (end != REDIS_ANSWER)
		claim_end(c, STATUS_NOT_REPLICATED);
	else if (str_eq(word, STR("OK")))
		redis_confirm(c->service->redis, on_confirmed, c);
	else if (str_eq(word, STR("OTHER")))
		send_again(c);
	else
		meet_fence(c, redis_text_at(reply, 1));
}

/* Only a write can be confirmed, and an order from before was perhaps not: this one comes after it in its slot. */
static void confirm_again(struct claim *c)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_confirm, 2);
	key_put(&cmd, KEY_SEGMENT, c->coupon->id, c->segment);
	key_put(&cmd, KEY_OWNERS, c->coupon->id, c->segment);
	fence_put(&cmd, c->coupon->generation);
	redis_put_int(&cmd, c->user);
	redis_put_int(&cmd, c->sequence);
	redis_send(c->service->redis, &cmd, on_written, c);
}

static void on_mine(struct claim *c, const struct claim_answer *said)
{
	c->sequence = said->number[0];
	c->won = STATUS_ALREADY_CLAIMED;
	if (redis_confirms(c->service->redis))
		confirm_again(c);
	else
		win_over(c);
}

static void on_regress(struct claim *c, const struct claim_answer *said)
{
	(void)said;
	regress(c);
}

/* A slot that holds what no script of ours leaves there. Every claim of the segment meets it. */
static void on_broken(struct claim *c, const struct claim_answer *said)
{
	log_error_limited("claim_broken", LOG_INT("coupon", c->coupon->id), LOG_INT("segment", c->segment),
			  LOG_STR("error", said->rest));
	claim_end(c, STATUS_FENCED);
}

/* How many numbers an answer begins with, and the least and the most that the first of them may be. */
static const struct {
	const char *word;
	void (*fn)(struct claim *c, const struct claim_answer *said);
	int numbers;
	int64_t least, most;
} answers[] = {
	{ "WON", on_won, 3, 1, NUMBER_MAX },   { "MINE", on_mine, 1, 1, NUMBER_MAX },
	{ "SOLDOUT", on_sold_out, 0, 0, 0 },   { "FULL", on_full, 0, 0, 0 },
	{ "NEED", on_need, 5, 0, NUMBER_MAX }, { "EARLY", on_early, 1, 0, NUMBER_MAX },
	{ "ENDED", on_ended, 0, 0, 0 },        { "PAUSED", on_paused, 0, 0, 0 },
	{ "FENCED", on_fenced, 0, 0, 0 },      { "REGRESS", on_regress, 0, 0, 0 },
	{ "REPLACED", on_replaced, 0, 0, 0 },  { "BROKEN", on_broken, 0, 0, 0 },
};

struct claim_answer claim_answer(const struct redis_reply *reply)
{
	struct claim_answer said = { .rest = redis_text(reply) };
	struct str rest, number;
	parse_split(&said.rest, ' ', &said.word);
	if (!said.rest.p)
		said.rest = STR("");
	rest = said.rest;
	for (int i = 0; i < 5 && parse_split(&rest, ' ', &number); i++) {
		if (!parse_int(number, 0, NUMBER_MAX, &said.number[i]))
			break;
		said.numbers++;
	}
	return said;
}

static void on_claim(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	static const enum status unanswered[] = { [REDIS_REFUSED] = STATUS_UNAVAILABLE,
						  [REDIS_UNKNOWN] = STATUS_OUTCOME_UNKNOWN,
						  [REDIS_BROKEN] = STATUS_FENCED };
	struct claim *c = context;
	FAULT(claim_answered);
	if (end != REDIS_ANSWER) {
		claim_end(c, unanswered[end]);
		return;
	}
	struct claim_answer said = claim_answer(reply);
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		bool is_whole = !answers[i].numbers ||
				(said.numbers >= answers[i].numbers && said.number[0] >= answers[i].least &&
				 said.number[0] <= answers[i].most);
		if (is_whole && str_eq(said.word, str_of(answers[i].word))) {
			answers[i].fn(c, &said);
			return;
		}
	}
	log_error_limited("claim_reply_unreadable", LOG_STR("word", said.word));
	claim_end(c, STATUS_INTERNAL);
}

static void put_segment(struct redis_command *cmd, int64_t coupon, int segment)
{
	redis_batch(cmd, &script_claim);
	key_put(cmd, KEY_SEGMENT, coupon, segment);
	key_put(cmd, KEY_OWNERS, coupon, segment);
	key_put(cmd, KEY_ORDERS, coupon, segment);
}

static void put_totals(struct redis_command *cmd, const struct totals *t)
{
	char text[4 * (BUF_DIGITS + 1)] = "";
	if (t)
		snprintf(text, sizeof text, "%lld %lld %lld %lld", (long long)t->granted, (long long)t->taken,
			 (long long)t->base, (long long)t->term);
	redis_put_text(cmd, text);
}

/* How many orders may wait: the setting is for the coupon, each of its segments has its share. */
static void put_most(struct redis_command *cmd, int64_t most, int segments)
{
	if (most)
		redis_put_int(cmd, (most + segments - 1) / segments);
	else
		redis_put_text(cmd, "");
}

void claim_credit_command(struct redis_command *cmd, const struct coupon *coupon, int segment,
			  const struct totals *credit)
{
	put_segment(cmd, coupon->id, segment);
	fence_put(cmd, coupon->generation);
	redis_put_int(cmd, 0);
	put_totals(cmd, credit);
	put_most(cmd, 0, 1);
}

void claim_send(struct claim *c, const struct totals *credit)
{
	struct redis_command cmd;
	char text[WORKLIST_TEXT];
	bool is_single = redis_is_single(c->service->redis);
	put_segment(&cmd, c->coupon->id, c->segment);
	if (is_single) {
		key_put(&cmd, KEY_CUSTOMER, c->user, 0);
		key_put(&cmd, KEY_DIRTY, 0, 0);
	}
	fence_put(&cmd, c->coupon->generation);
	redis_put_int(&cmd, c->user);
	put_totals(&cmd, credit);
	put_most(&cmd, c->service->conf ? c->service->conf->queue_max : 0, c->coupon->segments);
	if (is_single) {
		redis_put(&cmd, order_number_of_segment(text, c->coupon->id, c->segment));
		redis_put(&cmd, worklist_member(text, c->coupon->id, c->coupon->segments));
	}
	stats_add(c->service->stats, COUNT_scripts_total__claim, 1);
	c->seen = acknowledged_read(c->service, c->coupon->id, c->segment);
	redis_send(c->service->redis, &cmd, on_claim, c);
}

static void on_retry(struct loop_timer *t)
{
	struct claim *c = container_of(t, struct claim, retry);
	if (!refill_join(c))
		claim_send(c, NULL);
}

void claim_retry(struct claim *c)
{
	enum { RETRY_MS = 20 };
	int64_t now = clock_mono_ms();
	if (!c->deadline_ms)
		c->deadline_ms = now + PATIENCE_MS;
	if (now > c->deadline_ms) {
		claim_end(c, STATUS_BUSY);
		return;
	}
	c->retry.fn = on_retry;
	loop_timer_set(c->service->loop, &c->retry, RETRY_MS);
}

/* Holds the coupon. */
static void aim(struct claim *c, struct coupon *coupon)
{
	coupon_prepare(coupon);
	c->coupon = coupon_hold(coupon);
	c->segment = coupon_home(coupon, c->user);
}

void claim_submit(struct claim *c, struct coupon *coupon)
{
	aim(c, coupon);
	c->deadline_ms = 0;
	c->refound = c->sent_again = false;
	FAULT(claim_asked);
	if (sold_out_is_lost(coupon, c->user))
		claim_end(c, STATUS_SOLD_OUT);
	else if (!refill_join(c))
		claim_send(c, NULL);
}
