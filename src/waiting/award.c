#include "waiting/award.h"

#include "host/fault.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/claim_script.h"

/* One segment: what it is asked, and what it has answered. */
struct part {
	struct service *svc;
	struct waited *waited;
	struct coupon *coupon;
	struct arena *arena;
	const struct promotion *promotion; /* NULL: the segment is only to return its units */
	int segment;
	bool is_confirming; /* replicas are to confirm what the segment has written */
	bool is_done;
	int64_t hub_term;                         /* for which the promotion is done */
	int64_t left, received, sent, base, term; /* as in struct report */
	struct str returned;                      /* owners of the promotion who wait again */
	int orders;                               /* owners of the promotion who have an order */
};

/* The segments' answers */

/* FENCED and REPLACED: the segment or the hub was replaced, and an inspection completes what is outstanding. */
static void refuse(struct part *p)
{
	waited_note_away(p->waited, p->segment);
	worklist_inspect(p->svc->redis_sync, p->coupon->id, p->coupon->segments);
}

static bool read_report(struct part *p, const struct redis_reply *reply)
{
	int64_t *const numbers[] = { &p->left, &p->received, &p->sent, &p->base, &p->term };
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (!redis_number_in(redis_at(reply, 1 + i), 0, NUMBER_MAX, numbers[i])) {
			log_error_limited("script_reply_unreadable", LOG_TEXT("script", "award or debit"));
			return false;
		}
	return true;
}

/* A number for each owner of the promotion: 0 for one who has nothing. */
static void read_results(struct part *p, const struct redis_reply *reply)
{
	enum { FIRST = 6 };
	struct str rest = p->promotion->entries, ticket, owner;
	struct buf returned;
	buf_init(&returned, p->arena);
	for (size_t i = FIRST; parse_split(&rest, ' ', &ticket) && parse_split(&rest, ' ', &owner); i++) {
		int64_t number = redis_number_at(reply, i);
		p->orders += number > 0;
		if (number)
			continue;
		buf_puts(&returned, returned.n ? " " : "");
		buf_put(&returned, owner);
	}
	p->returned = buf_str(&returned);
}

static void on_replicated(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct part *p = context;
	(void)reply;
	p->is_confirming = false;
	p->is_done = end == REDIS_ANSWER;
}

/* On a cluster a segment cannot enter its coupon in the set of those that have orders. */
static void accept(struct part *p)
{
	struct redis *redis = p->svc->redis_sync;
	FAULT(promote_awarded);
	if (!redis_is_single(redis) && p->orders)
		worklist_drain(redis, p->coupon->id, p->coupon->segments);
	if (!redis_may_wait(redis)) {
		p->is_done = true;
		return;
	}
	p->is_confirming = true;
	redis_replicate(redis, on_replicated, p);
}

static void on_segment(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct part *p = context;
	if (end != REDIS_ANSWER) {
		waited_note_away(p->waited, p->segment);
	} else if (!str_eq(redis_text_at(reply, 0), STR("OK"))) {
		refuse(p);
	} else if (read_report(p, reply)) {
		if (p->promotion)
			read_results(p, reply);
		accept(p);
	}
}

static void send_award(struct part *p)
{
	char member[WORKLIST_TEXT];
	struct redis_command c;
	bool is_single = redis_is_single(p->svc->redis_sync);
	redis_script(&c, &script_award, is_single ? 4 : 3);
	key_put(&c, KEY_SEGMENT, p->coupon->id, p->segment);
	key_put(&c, KEY_OWNERS, p->coupon->id, p->segment);
	key_put(&c, KEY_ORDERS, p->coupon->id, p->segment);
	if (is_single)
		key_put(&c, KEY_DIRTY, 0, 0);
	fence_put(&c, p->coupon->generation);
	redis_put_int(&c, p->promotion->granted);
	redis_put_int(&c, p->promotion->base);
	redis_put_int(&c, p->hub_term);
	redis_put(&c, p->promotion->entries);
	if (is_single)
		redis_put(&c, worklist_member(member, p->coupon->id, p->coupon->segments));
	stats_add(p->svc->stats, COUNT_scripts_total__award, 1);
	redis_send(p->svc->redis_sync, &c, on_segment, p);
}

static void send_debit(struct part *p)
{
	struct redis_command c;
	redis_script(&c, &script_debit, 1);
	key_put(&c, KEY_SEGMENT, p->coupon->id, p->segment);
	fence_put(&c, p->coupon->generation);
	redis_put_int(&c, 1);
	redis_put_text(&c, "");
	stats_add(p->svc->stats, COUNT_scripts_total__debit, 1);
	redis_send(p->svc->redis_sync, &c, on_segment, p);
}

/* Telling the hub */

static void on_cleared(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct part *p = context;
	FAULT(promote_cleared);
	if (end == REDIS_ANSWER && str_eq(redis_text_at(reply, 0), STR("OK")))
		stats_add(p->svc->stats, COUNT_waiting_total__promoted, (uint64_t)p->orders);
}

static void clear_promotion(struct part *p)
{
	struct redis_command c;
	redis_script(&c, &script_promoted, 2);
	key_put(&c, KEY_HUB, p->coupon->id, 0);
	key_put(&c, KEY_WAITING, p->coupon->id, 0);
	fence_put(&c, p->coupon->generation);
	redis_put_int(&c, p->segment);
	redis_put(&c, p->promotion->entries);
	redis_put(&c, p->returned);
	redis_put_int(&c, p->hub_term);
	stats_add(p->svc->stats, COUNT_scripts_total__promoted, 1);
	redis_send(p->svc->redis_sync, &c, on_cleared, p);
	if (p->returned.n)
		p->waited->skipped = 0;
}

/*
 * The hub has granted more than the segment has received: the process that was to credit the units was killed. They are
 * credited, and the next step collects them.
 */
static void on_reported(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct part *p = context;
	struct totals totals = { .base = p->base, .term = p->term };
	if (end == REDIS_ANSWER && !str_eq(redis_text_at(reply, 0), STR("OK")))
		worklist_inspect(p->svc->redis_sync, p->coupon->id, p->coupon->segments);
	else if (redis_number_in(redis_at(reply, 1), p->received + 1, NUMBER_MAX, &totals.granted) &&
		 redis_number_in(redis_at(reply, 2), 0, NUMBER_MAX, &totals.taken))
		claim_script_send(
			&(struct claim_call){
				.service = p->svc, .coupon = p->coupon, .segment = p->segment, .credit = &totals },
			NULL, NULL);
}

/* exchange.lua, with a report and no question: the hub takes what the segment has returned. */
static void report(struct part *p)
{
	const int64_t numbers[] = { p->segment, p->received, p->sent, p->left, p->base, p->term, 0, 0 };
	struct redis_command c;
	redis_script(&c, &script_exchange, 1);
	key_put(&c, KEY_HUB, p->coupon->id, 0);
	fence_put(&c, p->coupon->generation);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		redis_put_int(&c, numbers[i]);
	stats_add(p->svc->stats, COUNT_scripts_total__exchange, 1);
	redis_send(p->svc->redis_sync, &c, on_reported, p);
}

/* redis_wait_all does not wait for replicas. */
static void wait_all(struct service *svc, const struct part *parts, int count)
{
	redis_wait_all(svc->redis_sync);
	for (int i = 0; i < count; i++)
		while (parts[i].is_confirming)
			loop_turn(svc->loop_sync, 10);
}

static int tell_hub(struct service *svc, struct part *parts, int count)
{
	int done = 0;
	wait_all(svc, parts, count);
	for (int i = 0; i < count; i++) {
		if (!parts[i].is_done)
			continue;
		done++;
		if (parts[i].promotion)
			clear_promotion(&parts[i]);
		report(&parts[i]);
	}
	redis_wait_all(svc->redis_sync);
	return done;
}

static struct part *new_parts(struct arena *a, int count)
{
	return arena_alloc(a, (size_t)(count + 1) * sizeof(struct part));
}

int award_all(struct service *svc, struct arena *a, struct waited *w, struct coupon *c, const struct hub_answer *hub)
{
	struct part *parts = new_parts(a, hub->count);
	int count = 0;
	for (int i = 0; i < hub->count; i++) {
		const struct promotion *p = &hub->outstanding[i];
		if (waited_is_away(svc, w, p->segment))
			continue;
		parts[count] = (struct part){ .svc = svc,
					      .waited = w,
					      .coupon = c,
					      .arena = a,
					      .promotion = p,
					      .segment = p->segment,
					      .hub_term = hub->term };
		send_award(&parts[count++]);
	}
	return tell_hub(svc, parts, count);
}

static bool is_outstanding(const struct hub_answer *hub, int segment)
{
	for (int i = 0; i < hub->count; i++)
		if (hub->outstanding[i].segment == segment)
			return true;
	return false;
}

void award_collect(struct service *svc, struct arena *a, struct waited *w, struct coupon *c,
		   const struct hub_answer *hub)
{
	struct part *parts = new_parts(a, c->segments);
	int count = 0;
	for (int i = 0; i < c->segments; i++) {
		if (hub->empty.p[i] != '0' || is_outstanding(hub, i) || waited_is_away(svc, w, i))
			continue;
		parts[count] = (struct part){ .svc = svc, .waited = w, .coupon = c, .arena = a, .segment = i };
		send_debit(&parts[count++]);
	}
	tell_hub(svc, parts, count);
}
