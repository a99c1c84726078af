#include "lifecycle/message.h"

#include "base/json.h"
#include "sale/price.h"

enum { TYPE_MAX = 255 };

static enum report_kind kind_of(struct str type)
{
	static const struct {
		struct str type;
		enum report_kind kind;
	} kinds[] = { { { "payment.succeeded", 17 }, REPORT_PAID },
		      { { "payment.failed", 14 }, REPORT_FAILED },
		      { { "refund.succeeded", 16 }, REPORT_REFUNDED } };
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (str_eq(type, kinds[i].type))
			return kinds[i].kind;
	return REPORT_OTHER;
}

static enum status read_object(struct arena *a, struct str json, const struct json_field *fields, int count,
			       const char **problem)
{
	bool is_json;
	if (json_read(a, json, fields, count, &is_json, problem))
		return STATUS_OK;
	return is_json ? STATUS_BAD_FIELD : STATUS_BAD_JSON;
}

static const char *check_values(const struct report *r, struct str order)
{
	struct order_number n;
	if (order.p && (!order_number_read(order, &n) || n.coupon != r->order.coupon || n.segment != r->order.segment ||
			n.sequence != r->order.sequence))
		return "order must be the order of the path";
	if (r->payment.p && !payment_is_id(r->payment))
		return "payment must be 1 to 128 characters of A-Z a-z 0-9 _ . : -";
	if (r->refund.p && !payment_is_id(r->refund))
		return "refund must be 1 to 128 characters of A-Z a-z 0-9 _ . : -";
	if (r->currency.p && !price_is_currency(r->currency))
		return "currency must be three letters A-Z";
	return NULL;
}

static enum status read_data(struct arena *a, struct str data, struct report *r, const char **problem)
{
	struct str order = { 0 };
	bool of_money = r->kind != REPORT_FAILED, of_refund = r->kind == REPORT_REFUNDED;
	const struct json_field fields[] = {
		{ "order", JSON_TEXT, false, 1, ORDER_NUMBER_TEXT, &order, NULL, NULL },
		{ "payment", JSON_TEXT, of_money, 1, PAYMENT_ID_MAX, &r->payment, NULL, NULL },
		{ "refund", JSON_TEXT, of_refund, 1, PAYMENT_ID_MAX, &r->refund, NULL, NULL },
		{ "amount", JSON_INT, of_money, of_refund, PRICE_MAX, NULL, &r->amount, NULL },
		{ "currency", JSON_TEXT, of_money, CURRENCY_TEXT, CURRENCY_TEXT, &r->currency, NULL, NULL },
	};
	enum status s = read_object(a, data, fields, sizeof fields / sizeof fields[0], problem);
	if (s != STATUS_OK)
		return s;
	*problem = check_values(r, order);
	return *problem ? STATUS_BAD_FIELD : STATUS_OK;
}

enum status message_read(struct arena *a, struct str body, struct report *r, const char **problem)
{
	struct str type, data;
	const struct json_field its_type = { "type", JSON_TEXT, true, 1, TYPE_MAX, &type, NULL, NULL };
	const struct json_field its_data = { "data", JSON_OBJECT, true, 0, 0, &data, NULL, NULL };
	enum status s = read_object(a, body, &its_type, 1, problem);
	if (s != STATUS_OK)
		return s;
	r->kind = kind_of(type);
	if (r->kind == REPORT_OTHER) /* its data may be anything */
		return STATUS_OK;
	s = read_object(a, body, &its_data, 1, problem);
	if (s != STATUS_OK)
		return s;
	s = read_data(a, data, r, problem);
	if (s != STATUS_OK)
		*problem = arena_printf(a, "in data: %s", *problem);
	return s;
}
