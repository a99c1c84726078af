#include "api/handlers.h"
#include "lifecycle/order_json.h"
#include "order/coupon_orders.h"

enum { PAGE = 20 };

enum status handle_order_read(struct request *rq)
{
	struct order o = { 0 };
	if (!order_parse(rq->part[PART_ORDER], &o))
		return STATUS_NO_SUCH_ORDER;
	enum status s = order_read_for(rq->service, rq->arena, &rq->token, &o);
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	order_put(body, &o);
	s = order_put_history(rq->service, body, &o, rq->token.user == o.seller);
	json_end(body, '}');
	return s;
}

/* Lists */

/* Reads the query parameter `status`: words with commas between them. */
static enum status read_statuses(struct request *rq, unsigned allowed, unsigned *statuses)
{
	struct str text;
	if (parse_percent(rq->arena, request_query(rq, STR("status=")), &text) &&
	    order_statuses_read(text, allowed, statuses))
		return STATUS_OK;
	return request_fail(rq, STATUS_BAD_FIELD, "status must be one or several of %s, with commas between them",
			    order_statuses_text(rq->arena, allowed));
}

/* Names the next page: this path, with another query. */
static void put_link(struct request *rq, const char *where, unsigned statuses)
{
	struct buf link;
	buf_init(&link, rq->arena);
	buf_puts(&link, "<");
	for (int i = 0; i < rq->parts; i++) {
		buf_puts(&link, "/");
		buf_percent(&link, rq->part[i]);
	}
	buf_printf(&link, "?%s", where);
	if (statuses != ORDER_ANY && statuses != ORDER_ROWS)
		buf_printf(&link, "&status=%s", order_statuses_text(rq->arena, statuses));
	buf_puts(&link, ">; rel=\"next\"");
	response_header(rq, "Link", buf_str(&link));
}

static enum status put_orders(struct request *rq, const struct order *orders, int count)
{
	struct buf *body = response_object(rq);
	json_begin(body, "data", '[');
	for (int i = 0; i < count; i++) {
		json_begin(body, NULL, '{');
		order_put(body, &orders[i]);
		json_end(body, '}');
	}
	json_end(body, ']');
	json_end(body, '}');
	return STATUS_OK;
}

enum status handle_order_list(struct request *rq)
{
	struct order_page page = { .user = rq->token.user, .size = PAGE };
	if (!str_eq(rq->part[PART_USER], rq->token.name))
		return STATUS_FORBIDDEN;
	enum status s = request_page(rq, &page.number);
	if (s == STATUS_OK)
		s = read_statuses(rq, ORDER_ANY, &page.statuses);
	if (s == STATUS_OK)
		s = order_list(rq->service, rq->arena, &page);
	if (s == STATUS_BUSY)
		rq->response.detail = page.problem;
	if (s != STATUS_OK)
		return s;
	if (page.has_more)
		put_link(rq, arena_printf(rq->arena, "page=%lld", (long long)page.number + 1), page.statuses);
	return put_orders(rq, page.orders, page.count);
}

/* A cursor is the number of the last order of the page before. */
static enum status read_cursor(struct request *rq, struct order_number *after)
{
	struct str text = request_query(rq, STR("after="));
	if (!text.n || order_number_read(text, after))
		return STATUS_OK;
	return STATUS_BAD_PAGE;
}

enum status handle_coupon_orders(struct request *rq)
{
	char no[ORDER_NUMBER_TEXT];
	struct coupon_orders page = { .seller = rq->token.user, .name = rq->part[PART_COUPON] };
	if (!str_eq(rq->part[PART_USER], rq->token.name))
		return request_fail(rq, STATUS_FORBIDDEN, OTHER_SELLER);
	enum status s = read_statuses(rq, ORDER_ROWS, &page.statuses);
	if (s == STATUS_OK)
		s = read_cursor(rq, &page.after);
	if (s == STATUS_OK)
		s = coupon_orders_read(rq->service, rq->arena, &page);
	if (s == STATUS_BAD_PAGE)
		return request_fail(rq, s, "after must be what the Link of this list's page before has");
	if (s != STATUS_OK)
		return s;
	if (page.has_more) {
		const struct order *last = &page.orders[page.count - 1];
		order_number_text(no, last->coupon, last->segment, last->sequence);
		put_link(rq, arena_printf(rq->arena, "after=%s", no), page.statuses);
	}
	return put_orders(rq, page.orders, page.count);
}
