/*
 * Reads take turns, one segment at a time. At most UNDER_WAY commands to segments are in flight, so a claim waits
 * behind these only. And a worker spends COMMANDS_MS commands in a millisecond, so reading without end takes a small
 * part of its time and of Redis's. What was not spent before is saved, up to SAVED commands: who reads rarely does not
 * wait.
 *
 * The hub is read last, so that `left` is never too low: if units are added and sold during the read, the hub's total
 * includes them.
 */
#include "page/availability.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/sale_clock.h"
#include "sale/worklist.h"

/* A coupon costs as much as COUPON commands more than its segments. */
enum { UNDER_WAY = 32, COMMANDS_MS = 16, SAVED = 2048, COUPON = 4 };

struct waiter {
	struct waiter *next;
	enum availability_detail detail;
	availability_done *done;
	void *context;
};

struct availability_read {
	struct coupon_state of_coupon;
	struct availability_read *next; /* in the ring of reads that have segments left to read */
	struct service *svc;
	struct coupon *coupon;
	struct waiter *now, *later; /* wait for this read, and for the next one */
	enum availability_detail detail;
	int sent; /* segments whose commands were sent */
	int outstanding;
	enum status status;
	struct availability result;
};

struct part {
	struct availability_read *read;
	int segment;
};

/* Reads that have segments left, in a ring: the first follows the last. */
struct availability_turns {
	struct availability_read *last; /* NULL: none */
	int under_way;                  /* commands to segments that have no reply yet */
	bool taking;                    /* take_turns is running */
	struct loop *loop;
	struct loop_timer rest;  /* until more commands may be sent */
	int64_t saved, saved_ms; /* how many commands might be sent at saved_ms */
};

static void start(struct availability_read *r);

const char *availability_state(const struct availability *st)
{
	if (st->is_ended || (st->ends_ms && st->now_ms >= st->ends_ms))
		return "ended";
	if (st->is_paused)
		return "paused";
	if (st->now_ms < st->starts_ms)
		return "upcoming";
	if (st->left <= 0 && !st->may_return)
		return "sold-out";
	if (st->waits && (st->waiting || st->left <= 0))
		return "waiting-list";
	return st->left > 0 ? "open" : "all-held";
}

static void answer(struct waiter *w, enum status s, const struct availability *result)
{
	for (struct waiter *next; w; w = next) {
		next = w->next;
		w->done(w->context, s, result);
		free(w);
	}
}

static void add_up(struct availability *st)
{
	st->left = st->amount + st->cancelled - st->withdrawn + st->skipped;
	st->queued = 0;
	for (int i = 0; i < st->count; i++) {
		st->left -= st->segments[i].sold;
		st->queued += st->segments[i].queued;
	}
}

static void part_over(struct availability_read *r, enum status s)
{
	if (s != STATUS_OK)
		r->status = s;
	if (--r->outstanding)
		return;
	add_up(&r->result);
	struct waiter *asked = r->now;
	r->now = r->later;
	r->later = NULL;
	enum status status = r->status;
	struct availability result = r->result;
	if (r->now) {
		start(r);
	} else {
		r->coupon->states[COUPON_AVAILABILITY] = NULL;
		coupon_drop(r->coupon);
		free(r);
	}
	answer(asked, status, status == STATUS_OK ? &result : NULL);
}

static enum status check_fence(struct availability_read *r, struct str fence)
{
	const struct coupon *c = r->coupon;
	if (fence_generation(fence) == c->generation)
		return STATUS_OK;
	if (fence_read(fence, c->generation) != FENCE_SUSPECT)
		return STATUS_FENCED;
	worklist_inspect(r->svc->redis, c->id, c->segments); /* the hub has an earlier layout */
	return STATUS_BUSY;
}

/*
 * The fields of a hub that are read. The last four matter only where orders are paid (may_return)
 * or people may wait.
 */
enum {
	HUB_FENCE,
	HUB_AMOUNT,
	HUB_AVAIL,
	HUB_SOLD_OUT,
	HUB_CANCELLED,
	HUB_WITHDRAWN,
	HUB_SKIPPED,
	HUB_STATE,
	HUB_VERSION,
	HUB_STARTS,
	HUB_ENDS,
	HUB_PAYS,
	HUB_FINAL,
	HUB_FINAL_CANCELLED,
	HUB_QUEUE,
	HUB_FIELDS
};
static const char *const hub_fields[HUB_FIELDS] = {
	[HUB_FENCE] = "fence",
	[HUB_AMOUNT] = "amount",
	[HUB_AVAIL] = "avail",
	[HUB_SOLD_OUT] = "sold_out",
	[HUB_CANCELLED] = "cancelled",
	[HUB_WITHDRAWN] = "withdrawn",
	[HUB_SKIPPED] = "skipped",
	[HUB_STATE] = "state",
	[HUB_VERSION] = "version",
	[HUB_STARTS] = "t0",
	[HUB_ENDS] = "t1",
	[HUB_PAYS] = "pays",
	[HUB_FINAL] = "final",
	[HUB_FINAL_CANCELLED] = "final_cancelled",
	[HUB_QUEUE] = "queue",
};

/* As exchange.lua decides between HELD and SOLDOUT, which it does not take back within an epoch. */
static bool may_return(const struct redis_reply *hub)
{
	int64_t final = redis_number_at(hub, HUB_FINAL) - redis_number_at(hub, HUB_FINAL_CANCELLED);
	return redis_number_at(hub, HUB_PAYS) == 1 && redis_number_at(hub, HUB_SOLD_OUT) != 1 &&
	       redis_number_at(hub, HUB_AMOUNT) - redis_number_at(hub, HUB_WITHDRAWN) > final;
}

/* A hub whose sale was never changed may lack these fields. */
static void read_steering(struct availability_read *r, const struct redis_reply *hub)
{
	struct availability *st = &r->result;
	struct str state = redis_text_at(hub, HUB_STATE);
	st->is_paused = str_eq(state, STR("paused"));
	st->is_ended = str_eq(state, STR("ended"));
	st->version = redis_number_at(hub, HUB_VERSION);
	st->starts_ms = r->coupon->starts_ms;
	st->ends_ms = r->coupon->ends_ms;
	redis_number_in(redis_at(hub, HUB_STARTS), 0, NUMBER_MAX, &st->starts_ms);
	redis_number_in(redis_at(hub, HUB_ENDS), 0, NUMBER_MAX, &st->ends_ms);
}

static void on_hub(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct availability_read *r = context;
	if (end != REDIS_ANSWER) {
		part_over(r, STATUS_UNAVAILABLE);
		return;
	}
	r->result.amount = redis_number_at(reply, HUB_AMOUNT);
	r->result.hub = redis_number_at(reply, HUB_AVAIL);
	r->result.cancelled = redis_number_at(reply, HUB_CANCELLED);
	r->result.withdrawn = redis_number_at(reply, HUB_WITHDRAWN);
	r->result.skipped = redis_number_at(reply, HUB_SKIPPED);
	r->result.may_return = may_return(reply);
	r->result.waits = r->coupon->waits != 0;
	r->result.waiting = redis_number_at(reply, HUB_QUEUE);
	read_steering(r, reply);
	part_over(r, check_fence(r, redis_text_at(reply, HUB_FENCE)));
}

static void on_clock(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct availability_read *r = context;
	if (end == REDIS_ANSWER)
		r->result.now_ms = sale_clock_ms(reply);
	part_over(r, end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE);
}

/* Turns */

static void take_turns(struct availability_turns *turns);

static void turn_over(struct part *p, enum redis_outcome end)
{
	struct availability_turns *turns = p->read->svc->availability_turns;
	struct availability_read *r = p->read;
	free(p);
	turns->under_way--;
	part_over(r, end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE);
	take_turns(turns);
}

static void on_segment(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct part *p = context;
	if (end == REDIS_ANSWER) {
		p->read->result.segments[p->segment].left = redis_number_at(reply, 0);
		p->read->result.segments[p->segment].sold = redis_number_at(reply, 1);
	}
	turn_over(p, end);
}

static void on_queue(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct part *p = context;
	if (end == REDIS_ANSWER)
		p->read->result.segments[p->segment].queued = redis_number(reply);
	turn_over(p, end);
}

static struct part *part(struct availability_read *r, int segment)
{
	struct part *p = alloc(sizeof *p);
	*p = (struct part){ r, segment };
	r->svc->availability_turns->under_way++;
	return p;
}

static void read_segment(struct availability_read *r, int i)
{
	struct redis_command c;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, r->coupon->id, i);
	redis_put_text(&c, "left");
	redis_put_text(&c, "sold");
	redis_send(r->svc->redis, &c, on_segment, part(r, i));
	if (r->detail < AVAILABILITY_LISTS)
		return;
	redis_command(&c, "LLEN");
	key_put(&c, KEY_ORDERS, r->coupon->id, i);
	redis_send(r->svc->redis, &c, on_queue, part(r, i));
}

static void read_hub(struct availability_read *r)
{
	int count = r->coupon->pay_within_s || r->coupon->waits ? HUB_FIELDS : HUB_PAYS;
	struct redis *redis = r->svc->redis;
	struct redis_command c;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, r->coupon->id, 0);
	for (int i = 0; i < count; i++)
		redis_put_text(&c, hub_fields[i]);
	redis_send(redis, &c, on_hub, r);
	if (r->detail < AVAILABILITY_STATE)
		return;
	sale_clock_command(&c);
	redis_send(redis, &c, on_clock, r);
}

/* Returns the first read of the ring. It becomes the last; or it is removed if this is its last segment. */
static struct availability_read *next_turn(struct availability_turns *turns)
{
	struct availability_read *first = turns->last->next;
	if (first->sent + 1 < first->coupon->segments)
		turns->last = first;
	else if (first == turns->last)
		turns->last = NULL;
	else
		turns->last->next = first->next;
	return first;
}

static int commands_of_hub(const struct availability_read *r)
{
	return r->detail < AVAILABILITY_STATE ? 1 : 2;
}

static int commands_of_segment(const struct availability_read *r)
{
	return r->detail < AVAILABILITY_LISTS ? 1 : 2;
}

static bool may_send(struct availability_turns *turns)
{
	int64_t now_ms = clock_mono_ms();
	turns->saved += (now_ms - turns->saved_ms) * COMMANDS_MS;
	turns->saved = turns->saved < SAVED ? turns->saved : SAVED;
	turns->saved_ms = now_ms;
	return turns->saved > 0;
}

static void on_rest(struct loop_timer *t)
{
	take_turns(container_of(t, struct availability_turns, rest));
}

/* A read that has failed ends once the commands that were sent have ended. */
static void drop_rest(struct availability_turns *turns, struct availability_read *r)
{
	int rest = commands_of_segment(r) * (r->coupon->segments - r->sent) + commands_of_hub(r);
	r->sent = r->coupon->segments - 1;
	next_turn(turns);
	r->outstanding -= rest - 1;
	part_over(r, r->status);
}

/* Sends the commands of one segment, and after the last segment those of the hub. */
static void take_turn(struct availability_turns *turns)
{
	struct availability_read *r = next_turn(turns);
	bool is_last = r->sent + 1 == r->coupon->segments;
	turns->saved -= commands_of_segment(r) + (is_last ? COUPON : 0);
	read_segment(r, r->sent++);
	if (is_last)
		read_hub(r);
}

/* redis_send may call a callback before it returns, which calls take_turns again: `taking` ends that call at once. */
static void take_turns(struct availability_turns *turns)
{
	if (turns->taking)
		return;
	turns->taking = true;
	while (turns->last && turns->under_way < UNDER_WAY && may_send(turns)) {
		if (turns->last->next->status != STATUS_OK)
			drop_rest(turns, turns->last->next);
		else
			take_turn(turns);
	}
	if (turns->last && turns->saved <= 0)
		loop_timer_set(turns->loop, &turns->rest, 1);
	turns->taking = false;
}

static void start(struct availability_read *r)
{
	struct availability_turns *turns = r->svc->availability_turns;
	r->status = STATUS_OK;
	r->sent = 0;
	r->detail = AVAILABILITY_LEFT;
	for (const struct waiter *w = r->now; w; w = w->next)
		r->detail = w->detail > r->detail ? w->detail : r->detail;
	r->result.count = r->coupon->segments;
	r->outstanding = commands_of_hub(r) + commands_of_segment(r) * r->coupon->segments;
	r->next = turns->last ? turns->last->next : r;
	if (turns->last)
		turns->last->next = r;
	turns->last = r;
	take_turns(turns);
}

static struct availability_turns *turns_new(struct loop *loop)
{
	struct availability_turns *turns = alloc_zeroed(1, sizeof *turns);
	*turns = (struct availability_turns){ .loop = loop, .rest = { .fn = on_rest }, .saved = SAVED };
	return turns;
}

void availability_read(struct service *svc, struct coupon *c, enum availability_detail detail, availability_done *done,
		       void *context)
{
	struct waiter *w = alloc(sizeof *w);
	*w = (struct waiter){ .detail = detail, .done = done, .context = context };
	if (c->states[COUPON_AVAILABILITY]) {
		struct availability_read *running =
			container_of(c->states[COUPON_AVAILABILITY], struct availability_read, of_coupon);
		w->next = running->later;
		running->later = w;
		return;
	}
	if (!svc->availability_turns)
		svc->availability_turns = turns_new(svc->loop);
	struct availability_read *r = alloc_zeroed(1, sizeof *r);
	*r = (struct availability_read){ .svc = svc, .coupon = coupon_hold(c), .now = w };
	c->states[COUPON_AVAILABILITY] = &r->of_coupon; /* no release function, because the read holds the coupon */
	start(r);
}

bool availability_is_idle(const struct service *svc)
{
	const struct availability_turns *turns = svc->availability_turns;
	return !turns || (!turns->last && !turns->under_way);
}

void availability_wait_all(struct service *svc)
{
	for (redis_wait_all(svc->redis); !availability_is_idle(svc); redis_wait_all(svc->redis))
		loop_turn(svc->loop, 1); /* a timer of this loop sends the next commands */
}

void availability_close(struct service *svc)
{
	if (svc->availability_turns)
		loop_timer_cancel(svc->loop, &svc->availability_turns->rest);
	free(svc->availability_turns);
	svc->availability_turns = NULL;
}
