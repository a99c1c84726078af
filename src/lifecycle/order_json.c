#include "lifecycle/order_json.h"

#include "lifecycle/event.h"
#include "lifecycle/payment.h"
#include "sale/price.h"

static void put_number(struct buf *body, const char *name, const struct order_number *n)
{
	char text[ORDER_NUMBER_TEXT];
	if (n->sequence)
		json_str(body, name, order_number_text(text, n->coupon, n->segment, n->sequence));
}

void order_put(struct buf *body, const struct order *o)
{
	put_number(body, "order", &(struct order_number){ o->coupon, o->sequence, o->segment });
	json_str(body, "status", str_of(order_status_text(o->status)));
	json_str(body, "seller", o->seller_name);
	json_str(body, "coupon", o->coupon_name);
	if (o->customer_name.n)
		json_str(body, "customer", o->customer_name);
	if (o->unit)
		json_int(body, "unit", o->unit);
	json_int(body, "stock", o->stock);
	json_int(body, "price", o->price);
	if (o->currency.n)
		json_str(body, "currency", o->currency);
	json_time(body, "claimed_at", o->claimed_ms);
	json_time(body, "confirmed_at", o->confirmed_ms);
	json_time(body, "pay_by", o->pay_by_ms);
	if (o->status == ORDER_LOST)
		json_str(body, "detail", STR("the servers that had this order have lost it: claim again"));
}

/* What happened to it */

static bool names_payment(enum event_kind kind)
{
	return kind == EVENT_PAYMENT_FAILED || kind == EVENT_PAYMENT_REFUSED || kind == EVENT_REFUNDED;
}

static void put_event(struct buf *body, const struct event *e, bool for_seller)
{
	json_begin(body, NULL, '{');
	json_str(body, "kind", str_of(event_kind_text(e->kind)));
	json_time(body, "at", e->at_ms);
	json_str(body, "by", str_of(actor_text(e->actor)));
	json_str(body, "reason", for_seller || !names_payment(e->kind) ? e->reason : STR(""));
	json_end(body, '}');
}

static void put_payment(struct buf *body, const struct payment *p, bool for_seller)
{
	json_begin(body, NULL, '{');
	if (for_seller)
		json_str(body, "payment", p->id);
	json_str(body, "status", str_of(payment_text(p)));
	json_int(body, "amount", p->amount);
	json_int(body, "refunded", p->refunded);
	json_str(body, "currency", p->currency);
	json_time(body, "at", p->at_ms);
	put_number(body, "order", &p->order);
	put_number(body, "pays", &p->pays);
	json_end(body, '}');
}

static void put_checkout(struct buf *body, const struct order *o)
{
	char no[ORDER_NUMBER_TEXT];
	order_number_text(no, o->coupon, o->segment, o->sequence);
	if (o->status == ORDER_PENDING && o->checkout_url.n)
		json_str(body, "checkout_url", price_checkout_url(body->arena, o->checkout_url, no));
}

enum status order_put_history(struct service *svc, struct buf *body, const struct order *o, bool for_seller)
{
	const struct order_number number = { o->coupon, o->sequence, o->segment };
	struct event *events;
	struct payment *payments;
	int count = 0;
	enum status s = event_list(svc, body->arena, &number, &events, &count);
	if (s != STATUS_OK)
		return s;
	put_checkout(body, o);
	json_begin(body, "events", '[');
	for (int i = 0; i < count; i++)
		put_event(body, &events[i], for_seller);
	json_end(body, ']');
	s = payment_list(svc, body->arena, &number, &payments, &count);
	if (s != STATUS_OK)
		return s;
	json_begin(body, "payments", '[');
	for (int i = 0; i < count; i++)
		put_payment(body, &payments[i], for_seller);
	json_end(body, ']');
	return STATUS_OK;
}
