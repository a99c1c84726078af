/*
 * A page of coupons: what a seller sells, or what a customer won. An index in
 * Redis names them; descriptors come from the cache, stock from Redis, all at
 * once, and the last part to come in answers.
 */
#include "base/parse.h"
#include "http/handlers.h"
#include "sale/directory.h"
#include "sale/key.h"
#include "sale/stock.h"
#include "sale/user.h"

enum { PAGE = 20 };

struct entry {
	struct list *list;
	struct coupon *coupon; /* NULL: Redis no longer knows it */
	bool has_stock;        /* false: its stock is not in Redis, an operator must look */
	int64_t left, amount;
};

struct list {
	struct request *request;
	bool of_seller;
	int count, outstanding;
	enum status status;
	struct entry entries[PAGE];
};

static void put_entry(struct buf *body, const struct entry *e)
{
	json_begin(body, NULL, '{');
	json_str(body, "name", e->coupon->name);
	json_int(body, "stock", e->coupon->stock);
	json_str(body, "description", e->coupon->description);
	json_str(body, "seller", e->coupon->seller_name);
	if (e->has_stock) {
		json_int(body, "amount", e->amount);
		json_int(body, "left", e->left);
	}
	json_end(body, '}');
}

static void list_over(struct list *l)
{
	enum status s = l->status;
	if (s == STATUS_OK) {
		struct buf *body = response_object(l->request);
		json_begin(body, "data", '[');
		for (int i = 0; i < l->count; i++)
			if (l->entries[i].coupon)
				put_entry(body, &l->entries[i]);
		json_end(body, ']');
		json_end(body, '}');
	}
	if (s == STATUS_OK && l->count == 0)
		s = STATUS_NO_CONTENT;
	struct coupon *held[PAGE];
	int count = l->count;
	for (int i = 0; i < count; i++)
		held[i] = l->entries[i].coupon;
	request_finish(l->request, s);
	for (int i = 0; i < count; i++)
		if (held[i])
			coupon_drop(held[i]);
}

static void entry_over(struct list *l, enum status s)
{
	if (s != STATUS_OK)
		l->status = s;
	if (--l->outstanding == 0)
		list_over(l);
}

static void on_entry_stock(void *context, enum status s, const struct stock *st)
{
	struct entry *e = context;
	e->has_stock = s == STATUS_OK;
	if (s == STATUS_OK) {
		e->left = st->left;
		e->amount = st->amount;
	} else if (s == STATUS_FENCED) { /* one broken sale does not hide the others */
		coupon_forget(e->list->request->service->coupons, e->coupon);
		s = STATUS_OK;
	}
	entry_over(e->list, s);
}

static void on_entry(void *context, enum status s, struct coupon *c)
{
	struct entry *e = context;
	struct list *l = e->list;
	if (s == STATUS_OK)
		e->coupon = coupon_hold(c);
	if (s == STATUS_OK && l->of_seller)
		stock_read(l->request->service, c, on_entry_stock, e);
	else
		entry_over(l, s == STATUS_NO_SUCH_COUPON ? STATUS_OK : s);
}

/* An index member is a coupon's id, or an order number that begins with it. */
static int64_t coupon_of_member(struct str member)
{
	struct str rest = member, id;
	int64_t value = 0;
	parse_split(&rest, '-', &id);
	parse_int(id, 1, INT64_MAX, &value);
	return value;
}

static void on_index(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct list *l = context;
	if (end != REDIS_ANSWER) {
		request_finish(l->request, STATUS_UNAVAILABLE);
		return;
	}
	l->count = redis_count(reply) < PAGE ? (int)redis_count(reply) : PAGE;
	l->outstanding = l->count + 1; /* one for this loop */
	int64_t ids[PAGE];
	for (int i = 0; i < l->count; i++)
		ids[i] = coupon_of_member(redis_text_at(reply, (size_t)i));
	for (int i = 0; i < l->count; i++) {
		l->entries[i].list = l;
		coupon_find_id(l->request->service, ids[i], on_entry, &l->entries[i]);
	}
	entry_over(l, STATUS_OK);
}

static void read_index(struct list *l, enum key index, int64_t user)
{
	int64_t page;
	struct redis_command c;
	enum status s = request_page(l->request, &page);
	if (s != STATUS_OK) {
		request_finish(l->request, s);
		return;
	}
	redis_command(&c, "ZREVRANGE");
	key_put(&c, index, user, 0);
	redis_put_int(&c, (page - 1) * PAGE);
	redis_put_int(&c, page * PAGE - 1);
	redis_send(l->request->service->redis, &c, on_index, l);
}

static void on_directory(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct list *l = context;
	if (end != REDIS_ANSWER)
		request_finish(l->request, STATUS_UNAVAILABLE);
	else if (redis_type(reply) == REDIS_NIL)
		request_hand_over(l->request);
	else
		read_index(l, KEY_SELLER, redis_number(reply));
}

enum status handle_coupon_list(struct request *rq)
{
	struct list *l = arena_alloc(rq->arena, sizeof *l);
	bool own = str_eq(rq->part[2], rq->token.name);
	*l = (struct list){ .request = rq, .of_seller = !own || rq->token.kind == KIND_SELLER, .status = STATUS_OK };
	if (own) {
		read_index(l, l->of_seller ? KEY_SELLER : KEY_CUSTOMER, rq->token.user);
		return STATUS_PENDING;
	}
	struct redis_command c;
	directory_lookup(&c, rq->part[2]);
	redis_send(rq->service->redis, &c, on_directory, l);
	return STATUS_PENDING;
}

/* Cold pool: a name that is no seller in Redis. */
enum status handle_list_unknown(struct request *rq)
{
	struct user user;
	enum status s = user_find(rq->service, rq->arena, rq->part[2], &user);
	if (s != STATUS_OK)
		return s;
	if (user.kind != KIND_SELLER)
		return request_fail(rq, STATUS_UNAUTHORIZED, "only a customer may see what they won");
	s = directory_add(rq->service, rq->part[2], user.id);
	if (s != STATUS_OK)
		return s;
	rq->response.detail = "@hot";
	return STATUS_ELSEWHERE;
}
