#include "catalog/coupon_page.h"

#include "base/parse.h"
#include "catalog/availability.h"
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

static void on_units(void *context, enum status s, const struct availability *units)
{
	struct coupon_page_entry *e = context;
	e->has_units = s == STATUS_OK;
	if (s == STATUS_OK) {
		e->left = units->left;
		e->amount = units->amount;
	} else if (s == STATUS_FENCED || s == STATUS_BUSY) { /* a closed sale must not hide the others */
		coupon_forget(e->page->service->coupons, e->coupon);
		s = STATUS_OK;
	}
	end_part(e->page, s);
}

static void on_coupon(void *context, enum status s, struct coupon *c)
{
	struct coupon_page_entry *e = context;
	struct coupon_page *p = e->page;
	if (s == STATUS_OK)
		e->coupon = coupon_hold(c);
	if (s == STATUS_OK && p->of_seller)
		availability_read(p->service, c, AVAILABILITY_LEFT, on_units, e);
	else
		end_part(p, s == STATUS_NO_SUCH_COUPON ? STATUS_OK : s);
}

/* A member of an index is a coupon's id, or an order number, which begins with it. */
static int64_t coupon_of_member(struct str member)
{
	struct str rest = member, id;
	int64_t value = 0;
	parse_split(&rest, '-', &id);
	parse_int(id, 1, NUMBER_MAX, &value);
	return value;
}

/* A customer whose order was lost may have won the same coupon again. */
static bool is_repeated(const int64_t *ids, int i)
{
	for (int k = 0; k < i; k++)
		if (ids[k] == ids[i])
			return true;
	return false;
}

static void on_index(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct coupon_page *p = context;
	int64_t ids[COUPON_PAGE_SIZE];
	p->outstanding = 1; /* for this function, so that the page does not end before all parts are requested */
	if (outcome != REDIS_ANSWER) {
		end_part(p, STATUS_UNAVAILABLE);
		return;
	}
	p->count = redis_count(reply) < COUPON_PAGE_SIZE ? (int)redis_count(reply) : COUPON_PAGE_SIZE;
	for (int i = 0; i < p->count; i++) {
		p->entries[i] = (struct coupon_page_entry){ .page = p };
		ids[i] = coupon_of_member(redis_text_at(reply, (size_t)i));
		p->outstanding += !is_repeated(ids, i);
	}
	for (int i = 0; i < p->count; i++)
		if (!is_repeated(ids, i))
			coupon_find_id(p->service, ids[i], on_coupon, &p->entries[i]);
	end_part(p, STATUS_OK);
}

static void read_index(struct coupon_page *p, enum key index, int64_t user)
{
	struct redis_command c;
	redis_command(&c, "ZREVRANGE");
	key_put(&c, index, user, 0);
	redis_put_int(&c, (p->number - 1) * COUPON_PAGE_SIZE);
	redis_put_int(&c, p->number * COUPON_PAGE_SIZE - 1);
	redis_send(p->service->redis, &c, on_index, p);
}

void coupon_page_of_seller(struct coupon_page *p, int64_t seller)
{
	p->count = 0;
	p->status = STATUS_OK;
	p->of_seller = true;
	read_index(p, KEY_SELLER, seller);
}

void coupon_page_of_customer(struct coupon_page *p, int64_t customer)
{
	p->count = 0;
	p->status = STATUS_OK;
	p->of_seller = false;
	read_index(p, KEY_CUSTOMER, customer);
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
