/*
 * Reads take turns, a segment each, and a worker has only so many segments under way: a claim that comes meanwhile
 * waits behind these and not behind all that was asked for. The hub is read last, so that `left` is never too low:
 * units that are added during the read are counted before what is sold of them.
 */
#include "catalog/availability.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/worklist.h"

enum { UNDER_WAY = 32 };

struct waiter {
	struct waiter *next;
	bool lists; /* wants to know how many orders wait for MySQL, too */
	availability_done *done;
	void *context;
};

struct availability_read {
	struct availability_read *next; /* in the ring of those that have segments to read */
	struct service *svc;
	struct coupon *coupon;
	struct waiter *now, *later; /* who shares this read, who the next */
	bool lists;
	int sent; /* segments */
	int outstanding;
	enum status status;
	struct availability stock;
};

struct part {
	struct availability_read *read;
	int segment;
};

static void start(struct availability_read *r);

static void tell(struct waiter *w, enum status s, const struct availability *stock)
{
	for (struct waiter *next; w; w = next) {
		next = w->next;
		w->done(w->context, s, stock);
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
	add_up(&r->stock);
	struct waiter *asked = r->now;
	r->now = r->later;
	r->later = NULL;
	enum status status = r->status;
	struct availability stock = r->stock;
	if (r->now) {
		start(r);
	} else {
		r->coupon->reading = NULL;
		coupon_drop(r->coupon);
		free(r);
	}
	tell(asked, status, status == STATUS_OK ? &stock : NULL);
}

static enum status of_hub(struct availability_read *r, struct str fence)
{
	const struct coupon *c = r->coupon;
	if (fence_generation(fence) == c->generation)
		return STATUS_OK;
	if (fence_read(fence, c->generation) != FENCE_SUSPECT)
		return STATUS_FENCED;
	worklist_inspect(r->svc->redis, c->id, c->segments); /* it is of an earlier layout */
	return STATUS_BUSY;
}

static void on_hub(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct availability_read *r = context;
	if (end != REDIS_ANSWER) {
		part_over(r, STATUS_UNAVAILABLE);
		return;
	}
	r->stock.amount = redis_number_at(reply, 1);
	r->stock.hub = redis_number_at(reply, 2);
	r->stock.sold_out = redis_number_at(reply, 3) != 0;
	r->stock.cancelled = redis_number_at(reply, 4);
	r->stock.withdrawn = redis_number_at(reply, 5);
	r->stock.skipped = redis_number_at(reply, 6);
	part_over(r, of_hub(r, redis_text_at(reply, 0)));
}

static void on_clock(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct availability_read *r = context;
	if (end == REDIS_ANSWER)
		r->stock.now_ms = redis_number_at(reply, 0) * 1000 + redis_number_at(reply, 1) / 1000;
	part_over(r, end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE);
}

/* Turns */

static void take_turns(struct availability_turns *turns);

static void turn_over(struct part *p, enum redis_outcome end)
{
	struct availability_turns *turns = &p->read->svc->availability_turns;
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
		p->read->stock.segments[p->segment].left = redis_number_at(reply, 0);
		p->read->stock.segments[p->segment].sold = redis_number_at(reply, 1);
	}
	turn_over(p, end);
}

static void on_queue(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct part *p = context;
	if (end == REDIS_ANSWER)
		p->read->stock.segments[p->segment].queued = redis_number(reply);
	turn_over(p, end);
}

static struct part *part(struct availability_read *r, int segment)
{
	struct part *p = alloc(sizeof *p);
	*p = (struct part){ r, segment };
	r->svc->availability_turns.under_way++;
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
	if (!r->lists)
		return;
	redis_command(&c, "LLEN");
	key_put(&c, KEY_ORDERS, r->coupon->id, i);
	redis_send(r->svc->redis, &c, on_queue, part(r, i));
}

static void read_hub(struct availability_read *r)
{
	static const char *const fields[] = { "fence",     "amount",    "avail",  "sold_out",
					      "cancelled", "withdrawn", "skipped" };
	struct redis *redis = r->svc->redis;
	struct redis_command c;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, r->coupon->id, 0);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		redis_put_text(&c, fields[i]);
	redis_send(redis, &c, on_hub, r);
	redis_command(&c, "TIME");
	redis_send(redis, &c, on_clock, r);
}

/* The first of the ring goes to its end, or leaves it. */
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

/* Answers may come at once, and then are followed by this very loop: no turn is taken within another. */
static void take_turns(struct availability_turns *turns)
{
	if (turns->taking)
		return;
	turns->taking = true;
	while (turns->last && turns->under_way < UNDER_WAY) {
		struct availability_read *r = next_turn(turns);
		bool whole = r->sent + 1 == r->coupon->segments;
		read_segment(r, r->sent++);
		if (whole)
			read_hub(r);
	}
	turns->taking = false;
}

static void start(struct availability_read *r)
{
	struct availability_turns *turns = &r->svc->availability_turns;
	r->status = STATUS_OK;
	r->sent = 0;
	r->lists = false;
	for (const struct waiter *w = r->now; w; w = w->next)
		r->lists |= w->lists;
	r->stock.count = r->coupon->segments;
	r->outstanding = 2 + (r->lists ? 2 : 1) * r->coupon->segments;
	r->next = turns->last ? turns->last->next : r;
	if (turns->last)
		turns->last->next = r;
	turns->last = r;
	take_turns(turns);
}

void availability_read(struct service *svc, struct coupon *c, bool lists, availability_done *done, void *context)
{
	struct waiter *w = alloc(sizeof *w);
	*w = (struct waiter){ .lists = lists, .done = done, .context = context };
	if (c->reading) {
		w->next = c->reading->later;
		c->reading->later = w;
		return;
	}
	struct availability_read *r = alloc_zeroed(1, sizeof *r);
	*r = (struct availability_read){ .svc = svc, .coupon = coupon_hold(c), .now = w };
	c->reading = r;
	start(r);
}
