/* Pages of coupons: those of a seller, in the hot pool, and those that a customer has won, in the cold pool. */
#include "account/user.h"
#include "api/handlers.h"
#include "base/alloc.h"
#include "page/shared_page.h"
#include "order/order.h"
#include "sale/seller_index.h"

static void begin_coupon(struct buf *body, struct str name, int64_t stock, struct str description, struct str seller)
{
	json_begin(body, NULL, '{');
	json_str(body, "name", name);
	json_int(body, "stock", stock);
	json_str(body, "description", description);
	json_str(body, "seller", seller);
}

static void put_coupon(struct buf *body, const struct coupon_page_entry *e)
{
	const struct coupon *c = e->coupon;
	begin_coupon(body, c->name, c->face_value, c->description, c->seller_name);
	if (e->has_units) {
		json_int(body, "amount", e->amount);
		json_int(body, "left", e->left);
		json_str(body, "state", str_of(e->state));
	}
	json_end(body, '}');
}

static void put_page(struct buf *body, const struct coupon_page *p)
{
	json_begin(body, NULL, '{');
	json_str(body, "errMsg", STR(""));
	json_begin(body, "data", '[');
	for (int i = 0; i < p->count; i++)
		if (p->entries[i].coupon)
			put_coupon(body, &p->entries[i]);
	json_end(body, ']');
	json_end(body, '}');
}

/* The coupons of the token's seller */

struct own_page {
	struct coupon_page page;
	struct request *request;
};

static void on_own_page(struct coupon_page *p, enum status s)
{
	struct request *rq = container_of(p, struct own_page, page)->request;
	if (s == STATUS_OK)
		put_page(&rq->response.body, p);
	coupon_page_release(p);
	request_finish(rq, s);
}

static void read_own_page(struct request *rq, int64_t number)
{
	struct own_page *own = arena_alloc(rq->arena, sizeof *own);
	own->request = rq;
	own->page = (struct coupon_page){ .service = rq->service, .number = number, .done = on_own_page };
	coupon_page_of_seller(&own->page, rq->token.user);
}

/* The coupons of another seller */

struct page_read {
	struct shared_page_reader reader;
	struct request *request;
};

static void on_shared_page(struct shared_page_reader *r, enum status s, struct str text)
{
	struct request *rq = container_of(r, struct page_read, reader)->request;
	if (s == STATUS_UNKNOWN_USER) {
		request_finish(rq, request_elsewhere(rq, POOL_COLD));
		return;
	}
	buf_put(&rq->response.body, text);
	request_finish(rq, s);
}

static void read_shared_page(struct request *rq, int64_t number)
{
	struct worker *w = rq->worker;
	struct page_read *read = arena_alloc(rq->arena, sizeof *read);
	*read = (struct page_read){ .reader.done = on_shared_page, .request = rq };
	if (!w->pages)
		w->pages = shared_pages_new(rq->service, put_page);
	shared_page_read(w->pages, rq->part[PART_USER], number, &read->reader);
}

enum status handle_coupon_list(struct request *rq)
{
	int64_t number;
	bool is_own = str_eq(rq->part[PART_USER], rq->token.name);
	enum status s = request_page(rq, &number);
	if (s != STATUS_OK)
		return s;
	if (is_own && rq->token.kind == KIND_CUSTOMER)
		return request_own(rq);
	if (is_own)
		read_own_page(rq, number);
	else
		read_shared_page(rq, number);
	return STATUS_PENDING;
}

/* In the cold pool: a seller whom Redis does not have */

static enum status find_seller(struct request *rq)
{
	struct user user;
	enum status s = user_find(rq->service, rq->arena, rq->part[PART_USER], &user);
	if (s != STATUS_OK)
		return s;
	if (user.kind != KIND_SELLER)
		return request_fail(rq, STATUS_UNAUTHORIZED, "a customer's list needs that customer's own token");
	s = seller_index_add(rq->service, rq->part[PART_USER], user.id);
	return s == STATUS_OK ? request_elsewhere(rq, POOL_HOT) : s;
}

/* In the cold pool: the coupons of the orders of the token's customer */

/* A customer may have several units of a coupon, or have won it again after an order failed. */
static bool is_repeated(const struct order_page *p, int i)
{
	for (int k = 0; k < i; k++)
		if (p->orders[k].coupon == p->orders[i].coupon)
			return true;
	return false;
}

static void put_won(struct buf *body, const struct order_page *p)
{
	json_begin(body, NULL, '{');
	json_str(body, "errMsg",
		 p->lacks_rows ? STR("the database does not answer: coupons that you won earlier are missing here")
			       : STR(""));
	json_begin(body, "data", '[');
	for (int i = 0; i < p->count; i++) {
		const struct order *o = &p->orders[i];
		if (is_repeated(p, i))
			continue;
		begin_coupon(body, o->coupon_name, o->stock, o->description, o->seller_name);
		json_end(body, '}');
	}
	json_end(body, ']');
	json_end(body, '}');
}

static enum status list_won(struct request *rq)
{
	struct order_page page = {
		.user = rq->token.user, .size = COUPON_PAGE_SIZE, .statuses = ORDER_WON, .may_lack_rows = true
	};
	enum status s = request_page(rq, &page.number);
	if (s == STATUS_OK)
		s = order_list(rq->service, rq->arena, &page);
	if (s == STATUS_BUSY)
		rq->response.detail = page.problem;
	if (s != STATUS_OK)
		return s;
	if (!page.count && !page.lacks_rows)
		return STATUS_NO_CONTENT;
	put_won(&rq->response.body, &page);
	return STATUS_OK;
}

enum status handle_list_unknown(struct request *rq)
{
	return str_eq(rq->part[PART_USER], rq->token.name) ? list_won(rq) : find_seller(rq);
}

void worker_release(struct worker *w)
{
	shared_pages_free(w->pages);
}
