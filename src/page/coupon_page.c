#include "page/coupon_page.h"

#include "page/coupon_view.h"
#include "sale/key.h"
#include "sale/seller_index.h"

/* A part of the page was read; the last part ends the read. */
static void end_part(struct coupon_page *p, enum status s)
{
	if (s != STATUS_OK)
		p->status = s;
	if (--p->outstanding)
		return;
	if (p->status == STATUS_OK && !p->count)
		p->status = STATUS_NO_CONTENT;
	p->done(p, p->status);
}

/* The entry shows the coupon as it was read last. */
static void set_coupon(struct coupon_page_entry *e, struct coupon *c)
{
	struct coupon *old = e->coupon;
	e->coupon = c ? coupon_hold(c) : NULL;
	if (old)
		coupon_drop(old);
}

static void on_view(void *context, enum status s, struct coupon *c, const struct availability *units)
{
	struct coupon_page_entry *e = context;
	e->has_units = s == STATUS_OK;
	if (s == STATUS_OK) {
		set_coupon(e, c);
		e->left = units->left;
		e->amount = units->amount;
		e->state = availability_state(units);
	} else if (s == STATUS_NO_SUCH_COUPON) { /* archived meanwhile */
		set_coupon(e, NULL);
		s = STATUS_OK;
	} else if (s == STATUS_FENCED || s == STATUS_BUSY) { /* a closed sale must not hide the others */
		s = STATUS_OK;
	}
	end_part(e->page, s);
}

static void on_coupon(void *context, enum status s, struct coupon *c)
{
	struct coupon_page_entry *e = context;
	struct coupon_page *p = e->page;
	if (s == STATUS_OK)
		set_coupon(e, c);
	if (s == STATUS_OK)
		coupon_view_read(p->service, c, AVAILABILITY_STATE, on_view, e);
	else
		end_part(p, s == STATUS_NO_SUCH_COUPON ? STATUS_OK : s);
}

static void on_index(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct coupon_page *p = context;
	p->outstanding = 1; /* for this function, so that the page does not end before all parts are requested */
	if (outcome != REDIS_ANSWER) {
		end_part(p, STATUS_UNAVAILABLE);
		return;
	}
	p->count = redis_count(reply) < COUPON_PAGE_SIZE ? (int)redis_count(reply) : COUPON_PAGE_SIZE;
	for (int i = 0; i < p->count; i++) {
		p->entries[i] = (struct coupon_page_entry){ .page = p };
		p->outstanding++;
	}
	for (int i = 0; i < p->count; i++)
		coupon_find_id(p->service, redis_number_at(reply, (size_t)i), on_coupon, &p->entries[i]);
	end_part(p, STATUS_OK);
}

void coupon_page_of_seller(struct coupon_page *p, int64_t seller)
{
	struct redis_command c;
	p->count = 0;
	p->status = STATUS_OK;
	redis_command(&c, "ZREVRANGE");
	key_put(&c, KEY_SELLER, seller, 0);
	redis_put_int(&c, (p->number - 1) * COUPON_PAGE_SIZE);
	redis_put_int(&c, p->number * COUPON_PAGE_SIZE - 1);
	redis_send(p->service->redis, &c, on_index, p);
}

static void on_seller(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct coupon_page *p = context;
	if (outcome != REDIS_ANSWER)
		p->done(p, STATUS_UNAVAILABLE);
	else if (redis_type(reply) == REDIS_NIL)
		p->done(p, STATUS_UNKNOWN_USER);
	else
		coupon_page_of_seller(p, redis_number(reply));
}

void coupon_page_of_name(struct coupon_page *p, struct str seller)
{
	struct redis_command c;
	p->count = 0;
	seller_index_find(&c, seller);
	redis_send(p->service->redis, &c, on_seller, p);
}

void coupon_page_release(struct coupon_page *p)
{
	for (int i = 0; i < p->count; i++)
		if (p->entries[i].coupon)
			coupon_drop(p->entries[i].coupon);
	p->count = 0;
}
