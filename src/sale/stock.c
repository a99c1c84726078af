#include "sale/stock.h"

#include <stdlib.h>

#include "sale/fence.h"
#include "sale/key.h"

struct waiter {
	struct waiter *next;
	stock_done *done;
	void *context;
};

struct stock_read {
	struct service *svc;
	struct coupon *coupon;
	struct waiter *now, *later; /* who shares this read, who the next */
	int outstanding;
	enum status status;
	struct stock stock;
};

struct part {
	struct stock_read *read;
	int segment;
};

static void start(struct stock_read *r);

static void tell(struct waiter *w, enum status s, const struct stock *stock)
{
	for (struct waiter *next; w; w = next) {
		next = w->next;
		w->done(w->context, s, stock);
		free(w);
	}
}

static void add_up(struct stock *st)
{
	st->left = st->amount + st->cancelled;
	st->queued = 0;
	for (int i = 0; i < st->count; i++) {
		st->left -= st->segments[i].sold;
		st->queued += st->segments[i].queued;
	}
}

static void part_over(struct stock_read *r, enum status s)
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
	struct stock stock = r->stock;
	if (r->now) {
		start(r);
	} else {
		r->coupon->reading = NULL;
		coupon_drop(r->coupon);
		free(r);
	}
	tell(asked, status, status == STATUS_OK ? &stock : NULL);
}

static void on_hub(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct stock_read *r = context;
	if (end != REDIS_ANSWER) {
		part_over(r, STATUS_UNAVAILABLE);
		return;
	}
	r->stock.amount = redis_number_at(reply, 1);
	r->stock.hub = redis_number_at(reply, 2);
	r->stock.sold_out = redis_number_at(reply, 3) != 0;
	r->stock.cancelled = redis_number_at(reply, 4);
	part_over(r, fence_generation(redis_text_at(reply, 0)) == r->coupon->generation ? STATUS_OK : STATUS_FENCED);
}

static void on_clock(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct stock_read *r = context;
	if (end == REDIS_ANSWER)
		r->stock.now_ms = redis_number_at(reply, 0) * 1000 + redis_number_at(reply, 1) / 1000;
	part_over(r, end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE);
}

static void on_segment(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct part *p = context;
	struct stock_read *r = p->read;
	if (end == REDIS_ANSWER) {
		r->stock.segments[p->segment].left = redis_number_at(reply, 0);
		r->stock.segments[p->segment].sold = redis_number_at(reply, 1);
	}
	free(p);
	part_over(r, end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE);
}

static void on_queue(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct part *p = context;
	struct stock_read *r = p->read;
	if (end == REDIS_ANSWER)
		r->stock.segments[p->segment].queued = redis_number(reply);
	free(p);
	part_over(r, end == REDIS_ANSWER ? STATUS_OK : STATUS_UNAVAILABLE);
}

static struct part *part(struct stock_read *r, int segment)
{
	struct part *p = malloc(sizeof *p);
	if (!p)
		abort();
	*p = (struct part){ r, segment };
	return p;
}

static void read_segment(struct stock_read *r, int i)
{
	struct redis_command c;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, r->coupon->id, i);
	redis_put_text(&c, "left");
	redis_put_text(&c, "n");
	redis_send(r->svc->redis, &c, on_segment, part(r, i));
	redis_command(&c, "LLEN");
	key_put(&c, KEY_ORDERS, r->coupon->id, i);
	redis_send(r->svc->redis, &c, on_queue, part(r, i));
}

static void start(struct stock_read *r)
{
	static const char *const fields[] = { "fence", "amount", "avail", "sold_out", "cancelled" };
	struct redis_command c;
	r->status = STATUS_OK;
	r->outstanding = 3 + 2 * r->coupon->segments; /* one for this function, as parts may be over at once */
	r->stock.count = r->coupon->segments;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, r->coupon->id, 0);
	for (int i = 0; i < 5; i++)
		redis_put_text(&c, fields[i]);
	redis_send(r->svc->redis, &c, on_hub, r);
	redis_command(&c, "TIME");
	redis_send(r->svc->redis, &c, on_clock, r);
	for (int i = 0; i < r->coupon->segments; i++)
		read_segment(r, i);
	part_over(r, STATUS_OK);
}

void stock_read(struct service *svc, struct coupon *c, stock_done *done, void *context)
{
	struct waiter *w = malloc(sizeof *w);
	if (!w)
		abort();
	*w = (struct waiter){ .done = done, .context = context };
	if (c->reading) {
		w->next = c->reading->later;
		c->reading->later = w;
		return;
	}
	struct stock_read *r = calloc(1, sizeof *r);
	if (!r)
		abort();
	*r = (struct stock_read){ .svc = svc, .coupon = coupon_hold(c), .now = w };
	c->reading = r;
	start(r);
}
