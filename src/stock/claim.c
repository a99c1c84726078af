/*
 * The way of a claim: claim_submit refuses it above the coupon's limit and while a sold-out notice is valid, or lets it
 * wait for a refill that runs, or sends the script (send_claim). Each first word of the script's answer has a handler,
 * in a table near the end of this file. A winner (on_won) waits for replicas where these are demanded, and is then
 * acknowledged. A claim that meets an empty segment waits for a refill (on_need); one that meets another fence waits
 * for an inspection, or reads the coupon again (handle_fence). Every claim ends in end_claim, once.
 */
#include "stock/claim.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/numbers.h"
#include "sale/order_number.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/acknowledged.h"
#include "stock/claim_script.h"
#include "stock/credit.h"
#include "stock/sold_out.h"

static void send_claim(struct claim *c, const struct totals *credit);

static const enum counter counters[STATUS_COUNT] = {
	[STATUS_CREATED] = COUNT_claims_total__won,
	[STATUS_ALREADY_CLAIMED] = COUNT_claims_total__repeated,
	[STATUS_SOLD_OUT] = COUNT_claims_total__sold_out,
	[STATUS_ALL_HELD] = COUNT_claims_total__all_held,
	[STATUS_WAITING_LIST] = COUNT_claims_total__waiting_list,
	[STATUS_LIMIT_REACHED] = COUNT_claims_total__limit_reached,
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

static struct owner owner_of(const struct claim *c)
{
	return (struct owner){ c->user, c->unit };
}

static void end_claim(struct claim *c, enum status s)
{
	struct coupon *coupon = c->coupon; /* done may free the claim */
	if (s != STATUS_NO_SUCH_COUPON)    /* another pool answers this claim */
		stats_add(c->service->stats, counters[s], 1);
	c->done(c, s);
	coupon_drop(coupon);
}

/* Waiting */

static void on_retry(struct loop_timer *t)
{
	struct claim *c = container_of(t, struct claim, retry);
	if (!refill_join(c->coupon, c->segment, &c->waiter))
		send_claim(c, NULL);
}

/* All waits of a claim have one deadline, set by the first wait. False: it is over, and the claim has ended as BUSY. */
static bool begin_wait(struct claim *c)
{
	int64_t now = clock_mono_ms();
	if (!c->deadline_ms)
		c->deadline_ms = now + REFILL_PATIENCE_MS;
	if (now <= c->deadline_ms)
		return true;
	end_claim(c, STATUS_BUSY);
	return false;
}

static void retry_later(struct claim *c)
{
	enum { RETRY_MS = 20 };
	if (!begin_wait(c))
		return;
	c->retry.fn = on_retry;
	loop_timer_set(c->service->loop, &c->retry, RETRY_MS);
}

static void ask_once_more(struct claim *c)
{
	c->must_wait = true;
	send_claim(c, NULL);
}

static void on_refilled(struct refill_waiter *w, enum status s, const struct totals *credit)
{
	struct claim *c = container_of(w, struct claim, waiter);
	if (s == STATUS_OK)
		send_claim(c, credit);
	else if (s == STATUS_PENDING)
		retry_later(c);
	else if (s == STATUS_WAITING_LIST) /* the customer may have won through another worker meanwhile */
		ask_once_more(c);
	else
		end_claim(c, s);
}

/*
 * Winning. An order is replicated, then entered in the customer's list, then acknowledged. An order that is not
 * replicated is not entered in the list: it is not acknowledged, and may be lost.
 */

/* When the host has acknowledged numbers of two bases, as after a failover, orders of the earlier base may be lost. */
static void note_acknowledged(const struct claim *c)
{
	struct lost_candidate s = { .coupon = c->coupon->id, .segment = c->segment };
	s.number = acknowledged_raise(c->service, s.coupon, s.segment, c->sequence);
	if (s.number)
		worklist_look_for(c->service->redis, &s);
}

static void acknowledge(struct claim *c)
{
	FAULT(claim_indexed);
	note_acknowledged(c);
	end_claim(c, c->won);
}

/*
 * The customer's other orders of the coupon may be lost: drainers look for them. Where a customer may have several
 * units, not for those of the same base, which are other units as a rule: the segment has kept all of this base.
 */
static void report_earlier_orders(const struct claim *c, const struct redis_reply *orders)
{
	for (size_t i = 0; i < redis_count(orders); i++) {
		struct order_number n;
		if (order_number_read(redis_text_at(orders, i), &n) && n.coupon == c->coupon->id &&
		    n.sequence != c->sequence &&
		    (c->coupon->limit == 1 || numbers_base(n.sequence) != numbers_base(c->sequence)))
			worklist_look_for(c->service->redis,
					  &(struct lost_candidate){ n.coupon, n.sequence, c->user, n.segment });
	}
}

/* An entry of the customer's list that was not written is written by the drainers. */
static void on_entered(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct claim *c = context;
	if (end == REDIS_ANSWER)
		report_earlier_orders(c, reply);
	acknowledge(c);
}

/* Two commands, as in enter.lua, which would cost the server twice as much. */
static void enter_order(struct claim *c)
{
	enum { NEWEST = 200 };
	char order[ORDER_NUMBER_TEXT];
	struct redis_command cmd;
	redis_command(&cmd, "ZADD");
	key_put(&cmd, KEY_CUSTOMER, c->user, 0);
	redis_put_int(&cmd, c->claimed_ms);
	redis_put(&cmd, order_number_text(order, c->coupon->id, c->segment, c->sequence));
	redis_send(c->service->redis, &cmd, NULL, NULL);
	redis_command(&cmd, "ZRANGE");
	key_put(&cmd, KEY_CUSTOMER, c->user, 0);
	redis_put_int(&cmd, -NEWEST);
	redis_put_int(&cmd, -1);
	redis_send(c->service->redis, &cmd, on_entered, c);
}

/* Where one server holds all slots, claim.lua has already entered the order in the customer's list. */
static void accept_order(struct claim *c)
{
	FAULT(claim_replicated);
	if (c->won == STATUS_CREATED && !redis_is_single(c->service->redis))
		enter_order(c);
	else
		acknowledge(c);
}

static void on_replicated(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	(void)reply;
	if (end == REDIS_ANSWER)
		accept_order(context);
	else
		end_claim(context, STATUS_NOT_REPLICATED);
}

/* The segment was rolled back, because it gives out a number that this host has acknowledged: closes the segment. */
static void quarantine_segment(struct claim *c)
{
	log_error("segment_regress", LOG_INT("coupon", c->coupon->id), LOG_INT("segment", c->segment),
		  LOG_INT("sequence", c->sequence), LOG_INT("acknowledged", c->acknowledged));
	fence_quarantine(c->service->redis, c->coupon, KEY_SEGMENT, c->segment);
	end_claim(c, STATUS_FENCED);
}

/* WON sequence left ms n */
static void on_won(struct claim *c, const struct claim_answer *a)
{
	struct redis *redis = c->service->redis;
	c->sequence = a->number[0];
	if (c->sequence <= c->acknowledged) {
		quarantine_segment(c);
		return;
	}
	if (!redis_is_single(redis) && a->number[3] == 1) /* the first order on the list */
		worklist_drain(redis, c->coupon->id, c->coupon->segments);
	c->won = STATUS_CREATED;
	c->claimed_ms = a->number[2];
	if (redis_may_wait(redis))
		redis_replicate(redis, on_replicated, c);
	else
		accept_order(c);
}

/* NEED received sent base term ms */
static void on_need(struct claim *c, const struct claim_answer *a)
{
	const struct report home = { .segment = c->segment,
				     .received = a->number[0],
				     .sent = a->number[1],
				     .base = a->number[2],
				     .term = a->number[3],
				     .ms = a->number[4] };
	if (c->must_wait)
		end_claim(c, STATUS_WAITING_LIST);
	else if (begin_wait(c))
		refill_wait(c->service, c->coupon, &home, &c->waiter);
}

static void on_sold_out(struct claim *c, const struct claim_answer *a)
{
	(void)a;
	sold_out_note_refusal(c->service, c->coupon);
	end_claim(c, STATUS_SOLD_OUT);
}

/* HELD epoch pay_by ms. No sold-out notice is kept: a unit may come back at any moment. */
static void on_held(struct claim *c, const struct claim_answer *a)
{
	int64_t pay_by = a->number[1];
	c->wait_ms = pay_by ? pay_by - a->number[2] : INT64_MAX;
	end_claim(c, c->coupon->waits ? STATUS_WAITING_LIST : STATUS_ALL_HELD);
}

static void on_early(struct claim *c, const struct claim_answer *a)
{
	c->wait_ms = a->number[0];
	end_claim(c, STATUS_NOT_STARTED);
}

static void on_refused(struct claim *c, const struct claim_answer *a)
{
	static const enum status refusals[CLAIM_WORDS] = {
		[CLAIM_FULL] = STATUS_BUSY,
		[CLAIM_ENDED] = STATUS_ENDED,
		[CLAIM_PAUSED] = STATUS_PAUSED,
	};
	end_claim(c, refusals[a->word]);
}

/* MINE -sequence */
static void on_limit(struct claim *c, const struct claim_answer *a)
{
	c->sequence = -a->number[0];
	end_claim(c, STATUS_LIMIT_REACHED);
}

/* Fences */

/* Holds the coupon; the caller drops the claim's former one. */
static void set_coupon(struct claim *c, struct coupon *coupon)
{
	c->coupon = coupon_hold(coupon);
	c->segment = coupon_home(coupon, c->user);
}

static void on_reread(void *context, enum status s, struct coupon *coupon)
{
	struct claim *c = context;
	if (s != STATUS_OK || (coupon->id == c->coupon->id && coupon->generation == c->coupon->generation)) {
		end_claim(c, s == STATUS_OK ? STATUS_FENCED : s);
		return;
	}
	struct coupon *old = c->coupon;
	set_coupon(c, coupon);
	coupon_drop(old);
	send_claim(c, NULL);
}

/*
 * The cached coupon is of an older generation, or its name belongs to another coupon by now: reads the coupon again, at
 * most once for a claim.
 */
static void reread_coupon(struct claim *c)
{
	coupon_forget(c->service->coupons, c->coupon);
	if (c->was_reread) {
		end_claim(c, STATUS_FENCED);
		return;
	}
	c->was_reread = true;
	coupon_find(c->service, c->coupon->seller_name, c->coupon->name, on_reread, c);
}

static void await_inspection(struct claim *c)
{
	if (!c->deadline_ms)
		worklist_inspect(c->service->redis, c->coupon->id, c->coupon->segments);
	retry_later(c);
}

/* While a coupon is quarantined, its claims reread the catalog at most once a second. */
static void reread_if_stale(struct claim *c)
{
	enum { FRESH_MS = 1000 };
	worklist_inspect(c->service->redis, c->coupon->id, c->coupon->segments);
	if (clock_mono_ms() - c->coupon->read_ms < FRESH_MS)
		end_claim(c, STATUS_FENCED);
	else
		reread_coupon(c);
}

static void handle_fence(struct claim *c, struct str fence)
{
	static void (*const meanings[])(struct claim *) = {
		[FENCE_OTHER] = reread_coupon, [FENCE_SUSPECT] = await_inspection, [FENCE_QUARANTINED] = reread_if_stale
	};
	meanings[fence_read(fence, c->coupon->generation)](c);
}

static void on_fenced(struct claim *c, const struct claim_answer *a)
{
	handle_fence(c, a->rest);
}

/* The hub's totals are for an earlier base or term. The inspection that began the later one may have been cut short. */
static void on_replaced(struct claim *c, const struct claim_answer *a)
{
	(void)a;
	worklist_inspect(c->service->redis, c->coupon->id, c->coupon->segments);
	retry_later(c);
}

/* An order that the customer won before */

/* The earlier order was lost with its server after claim.lua had found it: claims again, at most once. */
static void send_again(struct claim *c)
{
	if (c->was_sent_again) {
		end_claim(c, STATUS_BUSY);
		return;
	}
	c->was_sent_again = true;
	send_claim(c, NULL);
}

static void on_order_written(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct claim *c = context;
	struct str word = redis_text_at(reply, 0);
	if (end != REDIS_ANSWER)
		end_claim(c, STATUS_NOT_REPLICATED);
	else if (str_eq(word, STR("OK")))
		redis_replicate(c->service->redis, on_replicated, c);
	else if (str_eq(word, STR("OTHER")))
		send_again(c);
	else
		handle_fence(c, redis_text_at(reply, 1));
}

/*
 * The earlier order may not be replicated, and WAIT covers only writes of its own connection: this writes to the
 * order's slot once more.
 */
static void write_again(struct claim *c)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_confirm, 2);
	key_put(&cmd, KEY_SEGMENT, c->coupon->id, c->segment);
	key_put(&cmd, KEY_OWNERS, c->coupon->id, c->segment);
	fence_put(&cmd, c->coupon->generation);
	owner_put(&cmd, owner_of(c));
	redis_put_int(&cmd, c->sequence);
	redis_send(c->service->redis, &cmd, on_order_written, c);
}

static void on_mine(struct claim *c, const struct claim_answer *a)
{
	c->sequence = a->number[0];
	c->won = STATUS_ALREADY_CLAIMED;
	if (redis_may_wait(c->service->redis))
		write_again(c);
	else
		acknowledge(c);
}

/* The script's answers */

static void on_regress(struct claim *c, const struct claim_answer *a)
{
	(void)a;
	quarantine_segment(c);
}

/* The segment has a value of a wrong type. Every claim there gets this answer, so the log line is limited. */
static void on_broken(struct claim *c, const struct claim_answer *a)
{
	log_error_limited("claim_broken", LOG_INT("coupon", c->coupon->id), LOG_INT("segment", c->segment),
			  LOG_STR("error", a->rest));
	end_claim(c, STATUS_FENCED);
}

static void on_unreadable(struct claim *c, const struct claim_answer *a)
{
	log_error_limited("claim_reply_unreadable", LOG_STR("word", a->text));
	end_claim(c, STATUS_INTERNAL);
}

static void (*const handlers[CLAIM_WORDS])(struct claim *c, const struct claim_answer *a) = {
	[CLAIM_UNREADABLE] = on_unreadable,
	[CLAIM_WON] = on_won,
	[CLAIM_MINE] = on_mine,
	[CLAIM_FULL] = on_refused,
	[CLAIM_NEED] = on_need,
	[CLAIM_SOLDOUT] = on_sold_out,
	[CLAIM_EARLY] = on_early,
	[CLAIM_ENDED] = on_refused,
	[CLAIM_PAUSED] = on_refused,
	[CLAIM_HELD] = on_held,
	[CLAIM_LIMIT] = on_limit,
	[CLAIM_OK] = on_unreadable,
	[CLAIM_FENCED] = on_fenced,
	[CLAIM_REGRESS] = on_regress,
	[CLAIM_REPLACED] = on_replaced,
	[CLAIM_BROKEN] = on_broken,
};

static void on_answer(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	static const enum status unanswered[] = { [REDIS_REFUSED] = STATUS_UNAVAILABLE,
						  [REDIS_UNKNOWN] = STATUS_OUTCOME_UNKNOWN,
						  [REDIS_BROKEN] = STATUS_FENCED };
	struct claim *c = context;
	FAULT(claim_answered);
	if (end != REDIS_ANSWER) {
		if (c->credit.granted)
			credit_later(c->service, c->coupon, c->segment, &c->credit);
		end_claim(c, unanswered[end]);
		return;
	}
	struct claim_answer a = claim_script_read(reply);
	handlers[a.word](c, &a);
}

static void send_claim(struct claim *c, const struct totals *credit)
{
	const struct claim_call call = { c->service, c->coupon, c->segment, owner_of(c), credit };
	c->credit = credit ? *credit : (struct totals){ 0 };
	c->acknowledged = acknowledged_read(c->service, c->coupon->id, c->segment);
	claim_script_send(&call, on_answer, c);
}

void claim_submit(struct claim *c, struct coupon *coupon)
{
	set_coupon(c, coupon);
	c->waiter.done = on_refilled;
	c->deadline_ms = c->sequence = 0;
	c->was_reread = c->was_sent_again = c->must_wait = false;
	FAULT(claim_asked);
	if (c->unit > coupon->limit)
		end_claim(c, STATUS_LIMIT_REACHED);
	else if (sold_out_refuses(coupon, owner_of(c)))
		end_claim(c, STATUS_SOLD_OUT);
	else if (!refill_join(coupon, c->segment, &c->waiter))
		send_claim(c, NULL);
}
