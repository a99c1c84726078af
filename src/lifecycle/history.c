#include "lifecycle/history.h"

#include "lifecycle/event.h"
#include "lifecycle/payment.h"

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

static void put_number(struct buf *body, const char *name, const struct order_number *n)
{
	char text[ORDER_NUMBER_TEXT];
	if (n->sequence)
		json_str(body, name, order_number_text(text, n->coupon, n->segment, n->sequence));
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

enum status history_put(struct service *svc, struct buf *body, const struct order_number *order, bool for_seller)
{
	struct event *events;
	struct payment *payments;
	int count = 0;
	enum status s = event_list(svc, body->arena, order, &events, &count);
	if (s != STATUS_OK)
		return s;
	json_begin(body, "events", '[');
	for (int i = 0; i < count; i++)
		put_event(body, &events[i], for_seller);
	json_end(body, ']');
	s = payment_list(svc, body->arena, order, &payments, &count);
	if (s != STATUS_OK)
		return s;
	json_begin(body, "payments", '[');
	for (int i = 0; i < count; i++)
		put_payment(body, &payments[i], for_seller);
	json_end(body, ']');
	return STATUS_OK;
}
