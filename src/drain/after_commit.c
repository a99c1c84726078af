#include "drain/after_commit.h"

#include "base/clock.h"
#include "host/fault.h"
#include "order/lost.h"
#include "sale/key.h"
#include "sale/scripts.h"

/*
 * How many candidates for lost orders one batch looks for. The others are not forgotten: they are found again when
 * their customers' lists are read.
 */
enum { CANDIDATES_MAX = 256 };

/* How long after its claim an order is kept on its segment's list because its customer's list is unreachable. */
enum { ENTRY_WAITS_MS = 10000 };

/*
 * Other orders of this coupon in the lists of the batch's customers: they may be lost. Where a customer may have
 * several units, those of the same base are other units as a rule, and no candidates. Usually there are none.
 */
struct candidates {
	struct lost_candidate *at;
	int count;
};

struct entry {
	struct batch *batch;
	const struct order_record *record;
	struct candidates *candidates;
};

/* The customers' lists */

static void add_candidates(const struct entry *e, const struct redis_reply *others)
{
	struct candidates *all = e->candidates;
	if (!all->at && redis_count(others))
		all->at = arena_alloc(e->batch->arena, CANDIDATES_MAX * sizeof *all->at);
	for (size_t i = 0; i < redis_count(others) && all->count < CANDIDATES_MAX; i++) {
		struct order_number n;
		if (order_number_read(redis_text_at(others, i), &n) && n.coupon == e->batch->coupon &&
		    (e->batch->limit == 1 || numbers_base(n.sequence) != numbers_base(e->record->sequence)))
			all->at[all->count++] =
				(struct lost_candidate){ n.coupon, n.sequence, e->record->user, n.segment };
	}
}

/*
 * If the entry cannot be written, the order stays on its segment's list; but when Redis is full, the trim makes room.
 */
static void on_entry(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct entry *e = context;
	if (end == REDIS_ANSWER)
		add_candidates(e, reply);
	else if (!str_starts(redis_text(reply), STR("OOM")) && clock_ms() - e->record->claimed_ms < ENTRY_WAITS_MS)
		e->batch->segment[e->record->segment].held = true;
}

static void send_entry(struct entry *e)
{
	struct redis_command c;
	char order[ORDER_NUMBER_TEXT], coupon[ORDER_NUMBER_TEXT];
	const struct batch *b = e->batch;
	const struct order_record *r = e->record;
	redis_script(&c, &script_enter, 1);
	key_put(&c, KEY_CUSTOMER, r->user, 0);
	redis_put_int(&c, r->claimed_ms);
	redis_put(&c, order_number_text(order, b->coupon, r->segment, r->sequence));
	redis_put(&c, order_number_of_coupon(coupon, b->coupon));
	redis_send(b->svc->redis_sync, &c, on_entry, e);
}

/*
 * A worker can die after the order was written and before it was entered in the customer's list, which only a cluster
 * has. Only committed orders are entered, because an order that is in no other
 * place than a customer's list counts as lost.
 */
static void enter_orders(struct batch *b, struct candidates *candidates)
{
	if (redis_is_single(b->svc->redis_sync))
		return;
	struct entry *entries = arena_alloc(b->arena, (size_t)b->count * sizeof *entries);
	for (int i = 0; i < b->count; i++) {
		const struct order_record *r = &b->records[i];
		const struct segment_batch *s = &b->segment[r->segment];
		entries[i] = (struct entry){ b, r, candidates };
		if (r->user && s->committed && r->sequence <= s->committed->sequence)
			send_entry(&entries[i]);
	}
	redis_wait_all(b->svc->redis_sync);
}

/*
 * A candidate that cannot be decided now is entered in sk:lost. So are all others once a server has not answered,
 * because each of them could wait for it again.
 */
static void look_for_candidates(struct batch *b, const struct candidates *candidates)
{
	enum status s = STATUS_OK;
	for (int i = 0; i < candidates->count; i++) {
		if (s != STATUS_UNAVAILABLE)
			s = lost_decide(b->svc, b->arena, &candidates->at[i]);
		if (s != STATUS_OK)
			worklist_look_for(b->svc->redis_sync, &candidates->at[i]);
	}
}

/* The lists of the segments */

static void on_trim(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct segment_batch *s = context;
	(void)reply;
	s->is_settled = end == REDIS_ANSWER;
}

/*
 * A list of which this batch passed over some orders is not trimmed, because these orders may not be in their
 * customers' lists yet.
 */
static void send_trim(struct batch *b, int i)
{
	struct redis_command c;
	struct segment_batch *s = &b->segment[i];
	if (!s->committed || s->held || s->passed.number)
		return;
	redis_script(&c, &script_trim, 2);
	key_put(&c, KEY_SEGMENT, b->coupon, i);
	key_put(&c, KEY_ORDERS, b->coupon, i);
	redis_put_int(&c, s->base);
	redis_put_int(&c, s->committed->sequence);
	redis_put_int(&c, s->committed - s->first + 1);
	redis_send(b->svc->redis_sync, &c, on_trim, s);
}

static void set_passed(struct segment_batch *s)
{
	if (s->is_settled)
		s->passed = (struct place){ 0 };
	else if (s->committed)
		s->passed =
			(struct place){ s->committed->sequence, s->first_index + (s->committed - s->first), s->base };
}

void after_commit(struct batch *b)
{
	struct candidates candidates = { 0 };
	enter_orders(b, &candidates);
	for (int i = 0; i < b->segments; i++)
		send_trim(b, i);
	redis_wait_all(b->svc->redis_sync);
	FAULT(drain_trimmed);
	for (int i = 0; i < b->segments; i++)
		set_passed(&b->segment[i]);
	look_for_candidates(b, &candidates);
}
