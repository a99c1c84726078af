#include "http/handlers.h"
#include "order/order.h"
#include "sale/order_number.h"
#include "stock/claim.h"

enum { PAGE = 20 };

static void put_order(struct buf *body, const struct order *o)
{
	char no[ORDER_NUMBER_TEXT];
	json_str(body, "order", order_number_text(no, o->coupon, o->segment, o->sequence));
	json_str(body, "status", str_of(order_status_text(o->status)));
	json_str(body, "seller", o->seller_name);
	json_str(body, "coupon", o->coupon_name);
	json_int(body, "stock", o->stock);
	json_time(body, "claimed_at", o->claimed_ms);
	json_time(body, "confirmed_at", o->confirmed_ms);
	if (o->status == ORDER_LOST)
		json_str(body, "detail", STR("the servers that had this order have lost it: claim again"));
}

enum status handle_order_read(struct request *rq)
{
	struct order o = { 0 };
	if (!order_parse(rq->part[PART_ORDER], &o))
		return STATUS_NO_SUCH_ORDER;
	enum status s = order_read_for(rq->service, rq->arena, &rq->token, &o);
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	put_order(body, &o);
	json_end(body, '}');
	return s;
}

enum status handle_order_list(struct request *rq)
{
	struct order_page page = { .user = rq->token.user, .size = PAGE };
	if (!str_eq(rq->part[PART_USER], rq->token.name))
		return STATUS_FORBIDDEN;
	enum status s = request_page(rq, &page.number);
	if (s == STATUS_OK)
		s = order_list(rq->service, rq->arena, &page);
	if (s == STATUS_BUSY)
		rq->response.detail = page.problem;
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	json_begin(body, "data", '[');
	for (int i = 0; i < page.count; i++) {
		json_begin(body, NULL, '{');
		put_order(body, &page.orders[i]);
		json_end(body, '}');
	}
	json_end(body, ']');
	json_end(body, '}');
	return s;
}
