/* The command orders: lists orders, shows one with all that happened to it, and pays, refunds and cancels for an
 * operator. */
#include <stdio.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/parse.h"
#include "desk/desk.h"
#include "lifecycle/order_json.h"
#include "lifecycle/payment.h"
#include "lifecycle/report.h"
#include "lifecycle/transition.h"
#include "order/coupon_orders.h"
#include "order/order.h"
#include "resale/release.h"
#include "sale/db_status.h"
#include "sale/price.h"
#include "store/rights.h"

/* Long lists: each page is written when it was read */

struct stream {
	struct ctl *ctl;
	const char *what;
	int64_t count, shown_ms;
	bool shows; /* progress: standard error is a terminal, and the list goes elsewhere */
};

static struct stream begin_stream(struct ctl *c, const char *what)
{
	return (struct stream){ .ctl = c, .what = what, .shows = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) };
}

static void flush_page(struct stream *s, int count)
{
	struct buf *out = &s->ctl->out;
	s->count += count;
	fwrite(out->p, 1, out->n, stdout);
	out->n = 0;
	if (!s->shows || clock_mono_ms() - s->shown_ms < 200)
		return;
	s->shown_ms = clock_mono_ms();
	fprintf(stderr, "\r%lld %s\033[K", (long long)s->count, s->what);
}

static void end_stream(const struct stream *s)
{
	if (s->shown_ms)
		fputs("\r\033[K", stderr);
	if (!s->count && !s->ctl->json)
		buf_printf(&s->ctl->out, "no %s\n", s->what);
}

/* Parts of lines */

static const char *number_of(struct arena *a, const struct order_number *n)
{
	char text[ORDER_NUMBER_TEXT];
	return arena_str(a, order_number_text(text, n->coupon, n->segment, n->sequence)).p;
}

/* A text of a customer or a provider, without what a terminal would take for a command. */
static const char *plain(struct arena *a, struct str s)
{
	char *text = arena_strndup(a, s.p, s.n);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return text;
}

static struct order_number order_id(const struct order *o)
{
	return (struct order_number){ o->coupon, o->sequence, o->segment };
}

static const char *time_of(struct arena *a, int64_t ms)
{
	char text[CLOCK_TEXT];
	if (ms <= 0)
		return "-";
	clock_format(text, ms);
	return arena_str(a, str_of(text)).p;
}

/* list */

/* As the API has it, and the customer's id, because MySQL may not have the customer any more. */
static void put_order_members(struct ctl *c, const struct order *o)
{
	order_put(&c->out, o);
	json_int(&c->out, "user", o->user);
}

static void put_order(struct ctl *c, struct arena *a, const struct order *o)
{
	const struct order_number n = order_id(o);
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		put_order_members(c, o);
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
		return;
	}
	buf_printf(&c->out, "%s  %s  %.*s/%.*s  %.*s  %s  %s\n", number_of(a, &n), order_status_text(o->status),
		   (int)o->seller_name.n, o->seller_name.p, (int)o->coupon_name.n, o->coupon_name.p,
		   (int)o->customer_name.n, o->customer_name.p, time_of(a, o->claimed_ms), time_of(a, o->pay_by_ms));
}

static enum status list_coupon(struct stream *s, const struct coupon_orders *of)
{
	struct coupon_orders page = *of;
	enum status status;
	do {
		struct arena a = { 0 };
		status = coupon_orders_read(s->ctl->service, &a, &page);
		for (int i = 0; status == STATUS_OK && i < page.count; i++)
			put_order(s->ctl, &a, &page.orders[i]);
		if (status == STATUS_OK && page.count)
			page.after = order_id(&page.orders[page.count - 1]);
		flush_page(s, status == STATUS_OK ? page.count : 0);
		arena_release(&a);
	} while (status == STATUS_OK && page.has_more);
	return status;
}

static enum status list_all(struct stream *s, unsigned statuses)
{
	struct service *svc = s->ctl->service;
	enum status status = STATUS_OK;
	struct db_rows rows;
	int64_t after = 0;
	do {
		struct arena a = { 0 };
		if (db_query(svc->db, &a, "SELECT id, seller_id, name FROM coupons WHERE id > ? ORDER BY id LIMIT 200",
			     &rows, DB_N(after)))
			status = db_status(svc->db, "orders");
		for (int i = 0; status == STATUS_OK && i < rows.count; i++) {
			const struct db_value *v = db_row(&rows, i);
			after = v[0].number;
			status = list_coupon(s, &(struct coupon_orders){ .seller = v[1].number,
									 .name = v[2].text,
									 .statuses = statuses });
		}
		arena_release(&a);
	} while (status == STATUS_OK && rows.count);
	return status;
}

static enum status list_named(struct stream *s, const char *title, unsigned statuses)
{
	struct service *svc = s->ctl->service;
	struct db_rows rows;
	struct str name = str_of(title), seller = { 0 };
	parse_split(&name, '/', &seller);
	if (db_query(svc->db, s->ctl->arena, "SELECT id FROM users WHERE name = ?", &rows, DB_S(seller)))
		return db_status(svc->db, "orders");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	return list_coupon(
		s, &(struct coupon_orders){ .seller = db_row(&rows, 0)->number, .name = name, .statuses = statuses });
}

static int end_list(struct stream *s, enum status status)
{
	if (status == STATUS_OK)
		end_stream(s);
	return status == STATUS_OK
		       ? EXIT_HOLDS
		       : ctl_fail_status(s->ctl,
					 status == STATUS_NO_SUCH_COUPON ? EXIT_DOES_NOT_HOLD : EXIT_CANNOT_TELL,
					 status);
}

/* NULL, or what is wrong with the name of a coupon. */
static const char *wrong_title(struct ctl *c, const char *title)
{
	return !title || strchr(title, '/') ? NULL
					    : arena_printf(c->arena, "%s is no coupon: it reads SELLER/COUPON", title);
}

static int list_orders(struct ctl *c, int argc, char **argv)
{
	const char *problem = wrong_title(c, argv[0]);
	const char *text = ctl_option("status");
	struct stream s = begin_stream(c, "orders");
	unsigned statuses;
	if (problem)
		return ctl_wrong(c, problem);
	if (!order_statuses_read(str_of(text ? text : ""), ORDER_ROWS, &statuses))
		return ctl_wrong(c, arena_printf(c->arena, "--status takes some of %s, with commas between them",
						 order_statuses_text(c->arena, ORDER_ROWS)));
	return end_list(&s, argc ? list_named(&s, argv[0], statuses) : list_all(&s, statuses));
}

/* refund-due */

/* The names of the last coupon are kept: prices of a sale are the same, so its payments often follow each other. */
struct refunds {
	struct stream stream;
	int64_t only; /* this coupon; 0: all */
	struct coupon_names {
		int64_t coupon;
		struct str seller, name; /* empty: MySQL does not have the coupon */
		struct arena arena;
	} names;
};

static enum status read_names(struct service *svc, int64_t coupon, struct coupon_names *names)
{
	struct db_rows rows;
	if (names->coupon == coupon)
		return STATUS_OK;
	arena_reset(&names->arena);
	if (db_query(svc->db, &names->arena,
		     "SELECT u.name, c.name FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?", &rows,
		     DB_N(coupon)))
		return db_status(svc->db, "orders");
	names->coupon = coupon;
	names->seller = rows.count ? db_row(&rows, 0)[0].text : STR("");
	names->name = rows.count ? db_row(&rows, 0)[1].text : STR("");
	return STATUS_OK;
}

static void put_payment(struct ctl *c, struct arena *a, const struct payment *p, const struct coupon_names *of)
{
	if (!c->json) {
		buf_printf(&c->out, "%.*s  %lld %.*s  of %lld  order %s  %.*s/%.*s  %s\n", (int)p->id.n, p->id.p,
			   (long long)p->due, (int)p->currency.n, p->currency.p, (long long)p->amount,
			   number_of(a, &p->order), (int)of->seller.n, of->seller.p, (int)of->name.n, of->name.p,
			   time_of(a, p->at_ms));
		return;
	}
	json_begin(&c->out, NULL, '{');
	json_str(&c->out, "payment", p->id);
	json_str(&c->out, "order", str_of(number_of(a, &p->order)));
	json_str(&c->out, "seller", of->seller);
	json_str(&c->out, "coupon", of->name);
	json_int(&c->out, "due", p->due);
	json_str(&c->out, "currency", p->currency);
	json_int(&c->out, "amount", p->amount);
	json_int(&c->out, "refunded", p->refunded);
	json_time(&c->out, "at", p->at_ms);
	json_end(&c->out, '}');
	buf_puts(&c->out, "\n");
}

static enum status put_payments(struct refunds *r, struct arena *a, const struct refund_due_page *page)
{
	struct ctl *c = r->stream.ctl;
	int shown = 0;
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < page->count; i++) {
		const struct payment *p = &page->payments[i];
		if (r->only && p->order.coupon != r->only)
			continue;
		s = read_names(c->service, p->order.coupon, &r->names);
		if (s == STATUS_OK)
			put_payment(c, a, p, &r->names);
		shown += s == STATUS_OK;
	}
	flush_page(&r->stream, shown);
	return s;
}

/* The index has the payments that are due, and no others: few enough to read all of them for one coupon. */
static enum status read_refunds_due(struct refunds *r)
{
	enum { PAGE = 200 };
	struct refund_due_page page = { .limit = PAGE };
	struct arena arenas[2] = { { 0 }, { 0 } }; /* a page names the last payment of the page before */
	enum status s;
	for (int turn = 0;; turn = !turn) {
		struct arena *a = &arenas[turn];
		arena_reset(a);
		s = payment_refund_due(r->stream.ctl->service, a, &page);
		if (s == STATUS_OK)
			s = put_payments(r, a, &page);
		if (s != STATUS_OK || page.count < PAGE)
			break;
		page.after_due = page.payments[page.count - 1].due;
		page.after_id = page.payments[page.count - 1].id;
	}
	arena_release(&arenas[0]);
	arena_release(&arenas[1]);
	return s;
}

static int list_refunds_due(struct ctl *c, int argc, char **argv)
{
	struct refunds r = { .stream = begin_stream(c, "refunds due") };
	const char *problem = wrong_title(c, argv[0]);
	int64_t *ids = NULL;
	int count = 0;
	if (problem)
		return ctl_wrong(c, problem);
	enum status s = argc ? audit_find(c->service, c->arena, argv[0], &ids, &count) : STATUS_OK;
	r.only = count ? ids[0] : 0;
	if (s == STATUS_OK)
		s = read_refunds_due(&r);
	arena_release(&r.names.arena);
	return end_list(&r.stream, s);
}

/* One order */

/* 0, or the exit code. */
static int find_order(struct ctl *c, const char *text, struct order *o)
{
	*o = (struct order){ 0 };
	if (!order_parse(str_of(text), o))
		return ctl_wrong(
			c, arena_printf(c->arena, "%s is no order number: it reads COUPON-SEGMENT-SEQUENCE", text));
	enum status s = order_read(c->service, c->arena, o);
	if (s != STATUS_OK)
		return ctl_fail_status(c, s == STATUS_NO_SUCH_ORDER ? EXIT_DOES_NOT_HOLD : EXIT_CANNOT_TELL, s);
	return 0;
}

static enum status read_customer(struct ctl *c, struct order *o)
{
	struct db_rows rows;
	if (db_query(c->service->db, c->arena, "SELECT name FROM users WHERE id = ?", &rows, DB_N(o->user)))
		return db_status(c->service->db, "orders");
	o->customer_name = rows.count ? db_row(&rows, 0)->text : STR("");
	return STATUS_OK;
}

static enum status put_history_text(struct ctl *c, const struct order_number *n)
{
	struct event *events;
	struct payment *payments;
	int count = 0;
	enum status s = event_list(c->service, c->arena, n, &events, &count);
	for (int i = 0; s == STATUS_OK && i < count; i++)
		buf_printf(&c->out, "  %s  %s by %s  %s\n", time_of(c->arena, events[i].at_ms),
			   event_kind_text(events[i].kind), actor_text(events[i].actor),
			   plain(c->arena, events[i].reason));
	if (s == STATUS_OK)
		s = payment_list(c->service, c->arena, n, &payments, &count);
	for (int i = 0; s == STATUS_OK && i < count; i++)
		buf_printf(&c->out, "  payment %.*s  %s  %lld %.*s, %lld refunded, %lld due\n", (int)payments[i].id.n,
			   payments[i].id.p, payment_text(&payments[i]), (long long)payments[i].amount,
			   (int)payments[i].currency.n, payments[i].currency.p, (long long)payments[i].refunded,
			   (long long)payments[i].due);
	return s;
}

static int show_order(struct ctl *c, int argc, char **argv)
{
	struct order o;
	int code = find_order(c, argv[0], &o);
	(void)argc;
	if (code)
		return code;
	const struct order_number n = order_id(&o);
	enum status s = read_customer(c, &o);
	if (s == STATUS_OK && !c->json) {
		put_order(c, c->arena, &o);
		s = put_history_text(c, &n);
	} else if (s == STATUS_OK) {
		json_begin(&c->out, NULL, '{');
		put_order_members(c, &o);
		s = order_put_history(c->service, &c->out, &o, true);
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	}
	if (s == STATUS_OK)
		return EXIT_HOLDS;
	c->out.n = 0;
	return ctl_fail_status(c, EXIT_CANNOT_TELL, s);
}

/* An order that is still on its list has its row soon. */
enum { PAUSE_US = 100000, PAUSES = 20 };

static int put_result(struct ctl *c, const char *order, const char *status, const char *payment)
{
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_str(&c->out, "order", str_of(order));
		json_str(&c->out, "status", str_of(status));
		if (payment)
			json_str(&c->out, "payment", str_of(payment));
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	} else {
		buf_printf(&c->out, "%s  %s%s%s\n", order, status, payment ? "  payment " : "", payment ? payment : "");
	}
	return payment && strcmp(payment, "refund-due") == 0 ? EXIT_DOES_NOT_HOLD : EXIT_HOLDS;
}

static int fail_action(struct ctl *c, enum status s)
{
	if (s == STATUS_PENDING)
		return ctl_fail(c, EXIT_CANNOT_TELL,
				"the order has no row in MySQL yet: run the command again when drainers work");
	bool away;
	if (s == STATUS_INTERNAL && rights_problem(c->service, c->arena, RIGHTS_WORKERS, &away))
		return ctl_fail(
			c, EXIT_CANNOT_TELL,
			"the MySQL account of these settings may not do this: run it with the workers' settings (-c)");
	bool refused = s != STATUS_UNAVAILABLE && s != STATUS_INTERNAL && s != STATUS_BUSY;
	return ctl_fail_status(c, refused ? EXIT_DOES_NOT_HOLD : EXIT_CANNOT_TELL, s);
}

/* pay and refund */

/* NULL, or what is wrong with the options. */
static const char *read_payment(enum report_kind kind, struct report *r)
{
	const char *id = ctl_option("id"), *amount = ctl_option("amount"), *currency = ctl_option("currency");
	const char *refund = ctl_option("refund");
	if (!id || !amount || (kind == REPORT_REFUNDED && !refund))
		return kind == REPORT_PAID ? "pay needs --id ID, --amount N and --currency C"
					   : "refund needs --id PAYMENT, --refund ID, --amount N and --currency C";
	*r = (struct report){ .kind = kind,
			      .actor = ACTOR_OPERATOR,
			      .payment = str_of(id),
			      .refund = str_of(refund ? refund : ""),
			      .currency = str_of(currency ? currency : "") };
	if (!payment_is_id(r->payment) || (refund && !payment_is_id(r->refund)))
		return "an id has 1 to 128 letters, digits and _ . : -";
	if (!parse_int(str_of(amount), 0, PRICE_MAX, &r->amount))
		return "--amount takes a whole number, in the smallest unit of the currency";
	if (currency ? !price_is_currency(r->currency) : r->amount != 0)
		return "--currency takes three letters, as EUR; only an amount of 0 has none";
	return NULL;
}

static int report_money(struct ctl *c, const char *order, enum report_kind kind)
{
	struct report r;
	struct order o;
	const char *problem = read_payment(kind, &r);
	if (problem)
		return ctl_wrong(c, problem);
	int code = find_order(c, order, &o);
	if (code)
		return code;
	r.order = order_id(&o);
	r.lacks_row = o.status == ORDER_FAILED || o.status == ORDER_LOST;
	enum status s = order_report(c->service, c->arena, &r);
	for (int i = 0; s == STATUS_PENDING && i < PAUSES; i++) {
		usleep(PAUSE_US);
		s = order_report(c->service, c->arena, &r);
	}
	if (s != STATUS_OK)
		return fail_action(c, s);
	return r.conflict ? ctl_fail(c, EXIT_DOES_NOT_HOLD, r.conflict)
			  : put_result(c, order, order_status_text(r.status), r.outcome);
}

static int pay_order(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return report_money(c, argv[0], REPORT_PAID);
}

static int refund_payment(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return report_money(c, argv[0], REPORT_REFUNDED);
}

/* cancel */

static int cancel_order(struct ctl *c, int argc, char **argv)
{
	const char *reason = ctl_option("reason");
	struct order o;
	(void)argc;
	if (!reason)
		return ctl_wrong(c, "cancel needs --reason TEXT");
	const char *problem = cancellation_reason_problem(str_of(reason));
	if (problem)
		return ctl_wrong(c, problem);
	int code = find_order(c, argv[0], &o);
	if (code)
		return code;
	if (o.status == ORDER_FAILED || o.status == ORDER_LOST)
		return ctl_fail(c, EXIT_DOES_NOT_HOLD, "the order is a dead letter: see seckillctl dead");
	struct cancellation x = { .order = order_id(&o), .actor = ACTOR_OPERATOR, .reason = str_of(reason) };
	enum status s = order_cancel(c->service, c->arena, &x);
	for (int i = 0; s == STATUS_PENDING && i < PAUSES; i++) {
		usleep(PAUSE_US);
		s = order_cancel(c->service, c->arena, &x);
	}
	if (s != STATUS_OK)
		return fail_action(c, s);
	release_order(c->service, c->arena, &x.order);
	return put_result(c, argv[0], order_status_text(ORDER_CANCELLED), NULL);
}

static const struct action {
	const char *name;
	int least, most; /* arguments */
	const char *options[4];
	int (*run)(struct ctl *c, int argc, char **argv);
} actions[] = {
	{ "list", 0, 1, { "status" }, list_orders },
	{ "show", 1, 1, { NULL }, show_order },
	{ "pay", 1, 1, { "id", "amount", "currency" }, pay_order },
	{ "refund", 1, 1, { "id", "refund", "amount", "currency" }, refund_payment },
	{ "cancel", 1, 1, { "reason" }, cancel_order },
	{ "refund-due", 0, 1, { NULL }, list_refunds_due },
};

static bool takes(const struct action *a, const char *option)
{
	for (int i = 0; i < 4 && a->options[i]; i++)
		if (strcmp(a->options[i], option) == 0)
			return true;
	return false;
}

/* NULL, or what is wrong with the arguments of an action. */
static const char *wrong_argument(struct ctl *c, const struct action *a, int argc)
{
	static const char *const options[] = { "status", "id", "refund", "amount", "currency", "reason" };
	if (argc < a->least || argc > a->most)
		return arena_printf(c->arena,
				    a->least ? "%s takes one order number" : "%s takes one coupon, or none for all",
				    a->name);
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		if (ctl_option(options[i]) && !takes(a, options[i]))
			return arena_printf(c->arena, "%s has no option --%s", a->name, options[i]);
	return NULL;
}

int ctl_orders(struct ctl *c, int argc, char **argv)
{
	for (size_t i = 0; argc && i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(actions[i].name, argv[0]) != 0)
			continue;
		const char *problem = wrong_argument(c, &actions[i], argc - 1);
		return problem ? ctl_wrong(c, problem) : actions[i].run(c, argc - 1, argv + 1);
	}
	return ctl_wrong(c, "say list, show, pay, refund, cancel or refund-due");
}
