/* Pages of coupons: those of a seller, or those that a customer has won. */
#include "account/user.h"
#include "base/alloc.h"
#include "catalog/shared_page.h"
#include "http/handlers.h"
#include "sale/seller_index.h"

static void put_coupon(struct buf *body, const struct coupon_page_entry *e)
{
	json_begin(body, NULL, '{');
	json_str(body, "name", e->coupon->name);
	json_int(body, "stock", e->coupon->face_value);
	json_str(body, "description", e->coupon->description);
	json_str(body, "seller", e->coupon->seller_name);
	if (e->has_units) {
		json_int(body, "amount", e->amount);
		json_int(body, "left", e->left);
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

/* The coupons of the token's user. Only the customer may read the page of a customer. */

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
	if (rq->token.kind == KIND_SELLER)
		coupon_page_of_seller(&own->page, rq->token.user);
	else
		coupon_page_of_customer(&own->page, rq->token.user);
}

/* The coupons of another seller. */

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
	enum status s = request_page(rq, &number);
	if (s != STATUS_OK)
		return s;
	if (str_eq(rq->part[PART_USER], rq->token.name))
		read_own_page(rq, number);
	else
		read_shared_page(rq, number);
	return STATUS_PENDING;
}

enum status handle_list_unknown(struct request *rq)
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

void worker_release(struct worker *w)
{
	shared_pages_free(w->pages);
}
