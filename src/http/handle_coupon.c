/* Coupons: created in the cold pool, read and listed in the hot one. */
#include "base/clock.h"
#include "base/parse.h"
#include "http/handlers.h"
#include "sale/directory.h"
#include "sale/key.h"
#include "sale/publish.h"
#include "sale/stock.h"
#include "sale/supply.h"
#include "sale/user.h"

enum { PAGE = 20 };

/* Creating */

struct wish {
	struct str name, description, starts_at, ends_at;
	int64_t amount, stock, segments, pay_within;
	bool has_starts, has_ends, has_segments, has_pay;
};

static enum status read_wish(struct request *rq, struct wish *w)
{
	const struct json_field fields[] = {
		{ "name", JSON_TEXT, true, 1, 240, &w->name, NULL, NULL },
		{ "amount", JSON_INT, true, 1, 1000000000, NULL, &w->amount, NULL },
		{ "stock", JSON_INT, true, 0, 1000000000, NULL, &w->stock, NULL },
		{ "description", JSON_TEXT, true, 0, 2000, &w->description, NULL, NULL },
		{ "starts_at", JSON_TEXT, false, 1, 40, &w->starts_at, NULL, &w->has_starts },
		{ "ends_at", JSON_TEXT, false, 1, 40, &w->ends_at, NULL, &w->has_ends },
		{ "segments", JSON_INT, false, 1, SEGMENTS_MAX, NULL, &w->segments, &w->has_segments },
		{ "pay_within", JSON_INT, false, 1, 30 * 86400, NULL, &w->pay_within, &w->has_pay },
	};
	return request_read(rq, fields, sizeof fields / sizeof fields[0]);
}

static enum status read_time(struct request *rq, const char *field, struct str text, bool present, int64_t *ms)
{
	*ms = 0;
	if (present && !clock_parse(text, ms))
		return request_fail(rq, STATUS_BAD_FIELD, "%s must be an RFC 3339 date and time", field);
	return STATUS_OK;
}

static enum status coupon_of_wish(struct request *rq, struct wish *w, struct coupon *c)
{
	if (!parse_is_name(w->name))
		return request_fail(rq, STATUS_BAD_FIELD,
				    "name must be 1 to 60 characters of UTF-8 without control characters or /");
	*c = (struct coupon){ .seller = rq->token.user,
			      .seller_name = rq->token.name,
			      .name = w->name,
			      .description = w->description,
			      .amount = w->amount,
			      .stock = w->stock,
			      .pay_within_s = w->has_pay ? w->pay_within : 0 };
	c->segments = w->has_segments ? (int)w->segments : publish_default_segments(rq->service->conf, w->amount);
	enum status s = read_time(rq, "starts_at", w->starts_at, w->has_starts, &c->starts_ms);
	if (s == STATUS_OK)
		s = read_time(rq, "ends_at", w->ends_at, w->has_ends, &c->ends_ms);
	if (s == STATUS_OK && w->has_ends && (c->ends_ms <= c->starts_ms || c->ends_ms <= clock_ms()))
		s = request_fail(rq, STATUS_BAD_FIELD, "ends_at must be after starts_at and in the future");
	return s;
}

enum status handle_coupon_create(struct request *rq)
{
	struct wish w = { 0 };
	struct coupon c;
	if (!str_eq(rq->part[2], rq->token.name))
		return STATUS_UNAUTHORIZED;
	enum status s = read_wish(rq, &w);
	if (s == STATUS_OK)
		s = coupon_of_wish(rq, &w, &c);
	if (s == STATUS_OK)
		s = publish_create(rq->service, rq->arena, &c);
	if (s != STATUS_CREATED)
		return s;
	struct buf location;
	buf_init(&location, rq->arena);
	buf_puts(&location, "/api/users/");
	buf_percent(&location, c.seller_name);
	buf_puts(&location, "/coupons/");
	buf_percent(&location, c.name);
	response_header(rq, "Location", buf_str(&location));
	json_end(response_object(rq), '}');
	return s;
}

/* Adding units */

enum status handle_stock_add(struct request *rq)
{
	int64_t add, amount;
	const struct json_field fields[] = { { "add", JSON_INT, true, 1, 1000000000, NULL, &add, NULL } };
	if (!str_eq(rq->part[2], rq->token.name))
		return STATUS_FORBIDDEN;
	enum status s = request_read(rq, fields, 1);
	if (s == STATUS_OK)
		s = supply_add(rq->service, rq->arena, rq->token.user, rq->part[4], add, &amount);
	if (s == STATUS_BAD_FIELD && !rq->response.detail)
		return request_fail(rq, s, "add would bring the amount above 1000000000");
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	json_int(body, "amount", amount);
	json_end(body, '}');
	return s;
}

/* One coupon */

static const char *state_of(const struct coupon *c, const struct stock *st)
{
	if (c->ends_ms && st->now_ms >= c->ends_ms)
		return "ended";
	if (st->now_ms < c->starts_ms)
		return "upcoming";
	return st->left > 0 ? "open" : "sold-out";
}

/* What only the seller sees. */
static void put_segments(struct buf *body, const struct stock *st)
{
	json_int(body, "hub", st->hub);
	json_int(body, "queued", st->queued);
	json_begin(body, "segments", '[');
	for (int i = 0; i < st->count; i++) {
		json_begin(body, NULL, '{');
		json_int(body, "left", st->segments[i].left);
		json_int(body, "sold", st->segments[i].sold);
		json_int(body, "queued", st->segments[i].queued);
		json_end(body, '}');
	}
	json_end(body, ']');
}

struct coupon_read {
	struct request *request;
	struct coupon *coupon;
};

static void on_stock(void *context, enum status s, const struct stock *st)
{
	struct coupon_read *read = context;
	struct request *rq = read->request;
	struct coupon *c = read->coupon;
	if (s == STATUS_OK) {
		struct buf *body = response_object(rq);
		json_str(body, "seller", c->seller_name);
		json_str(body, "name", c->name);
		json_str(body, "description", c->description);
		json_int(body, "stock", c->stock);
		json_int(body, "amount", st->amount);
		json_int(body, "left", st->left);
		json_str(body, "state", str_of(state_of(c, st)));
		json_time(body, "starts_at", c->starts_ms);
		json_time(body, "ends_at", c->ends_ms);
		if (rq->token.user == c->seller)
			put_segments(body, st);
		json_end(body, '}');
	} else if (s == STATUS_FENCED) {
		coupon_forget(rq->service->coupons, c);
	}
	request_finish(rq, s);
	coupon_drop(c);
}

static void ask_elsewhere(struct request *rq)
{
	rq->response.detail = "@cold";
	request_finish(rq, STATUS_ELSEWHERE);
}

static void on_found(void *context, enum status s, struct coupon *c)
{
	struct coupon_read *read = context;
	if (s == STATUS_OK) {
		read->coupon = coupon_hold(c);
		stock_read(read->request->service, c, on_stock, read);
	} else if (s == STATUS_NO_SUCH_COUPON) {
		ask_elsewhere(read->request);
	} else {
		request_finish(read->request, s);
	}
}

enum status handle_coupon_read(struct request *rq)
{
	struct coupon_read *read = arena_alloc(rq->arena, sizeof *read);
	read->request = rq;
	coupon_find(rq->service, rq->part[2], rq->part[4], on_found, read);
	return STATUS_PENDING;
}

/* A page of coupons: what a seller sells, or what a customer won */

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
		ask_elsewhere(l->request);
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
