/* status, audit */
#include "bin/ctl.h"
#include "sale/audit.h"

typedef enum status reader(struct service *svc, struct arena *a, int64_t coupon, struct audit *out);

static void put_text(struct ctl *c, const struct audit *a)
{
	buf_printf(&c->out, "%.*s/%.*s: %lld units = %lld hub + %lld in flight + %lld left + %lld sold",
		   (int)a->coupon.seller_name.n, a->coupon.seller_name.p, (int)a->coupon.name.n, a->coupon.name.p,
		   (long long)a->amount, (long long)a->hub, (long long)a->in_flight, (long long)a->left,
		   (long long)a->sold);
	buf_printf(&c->out, "; orders: %lld queued, %lld in MySQL, %lld dead letters%s\n", (long long)a->queued,
		   (long long)a->rows, (long long)a->dead, a->sold_out ? "; sold out" : "");
}

static void put_lines(struct ctl *c, struct str problems)
{
	while (problems.n) {
		const char *end = memchr(problems.p, '\n', problems.n);
		size_t n = (size_t)(end - problems.p);
		if (c->json)
			json_str(&c->out, NULL, (struct str){ problems.p, n });
		else
			buf_printf(&c->out, "  %.*s\n", (int)n, problems.p);
		problems = (struct str){ end + 1, problems.n - n - 1 };
	}
}

static void put_json(struct ctl *c, const struct audit *a, bool judged)
{
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = { { "segments", a->coupon.segments },
			{ "amount", a->amount },
			{ "hub", a->hub },
			{ "in_flight", a->in_flight },
			{ "left", a->left },
			{ "sold", a->sold },
			{ "queued", a->queued },
			{ "rows", a->rows },
			{ "dead_letters", a->dead } };
	json_begin(&c->out, NULL, '{');
	json_str(&c->out, "seller", a->coupon.seller_name);
	json_str(&c->out, "name", a->coupon.name);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		json_int(&c->out, numbers[i].name, numbers[i].value);
	json_bool(&c->out, "sold_out", a->sold_out);
	if (judged) {
		json_bool(&c->out, "balanced", a->problems.n == 0);
		json_begin(&c->out, "problems", '[');
		put_lines(c, buf_str(&a->problems));
		json_end(&c->out, ']');
	}
	json_end(&c->out, '}');
}

/* Half an answer would look like a whole one. */
static int cannot_tell(struct ctl *c, enum status s)
{
	c->out.n = 0;
	return ctl_fail(c, EXIT_CANNOT_TELL, status_text(s));
}

static int each(struct ctl *c, const int64_t *ids, int count, reader *read, bool judged)
{
	bool balanced = true;
	for (int i = 0; i < count; i++) {
		struct audit a;
		enum status s = read(c->service, c->arena, ids[i], &a);
		if (s != STATUS_OK)
			return cannot_tell(c, s);
		balanced = balanced && a.problems.n == 0;
		if (c->json) {
			put_json(c, &a, judged);
			continue;
		}
		put_text(c, &a);
		if (judged)
			put_lines(c, buf_str(&a.problems));
	}
	if (judged && !c->json)
		buf_printf(&c->out, "audit: %s, %d coupon%s\n", balanced ? "balanced" : "NOT balanced", count,
			   count == 1 ? "" : "s");
	return balanced || !judged ? EXIT_HOLDS : EXIT_DOES_NOT_HOLD;
}

static int run(struct ctl *c, int argc, char **argv, reader *read, bool judged)
{
	int64_t *ids;
	int count;
	if (argc > 1)
		return ctl_usage(c);
	enum status s = audit_find(c->service, c->arena, argv[0], &ids, &count);
	if (s != STATUS_OK)
		return cannot_tell(c, s);
	if (c->json)
		json_begin(&c->out, NULL, '[');
	int code = each(c, ids, count, read, judged);
	if (c->json && code != EXIT_CANNOT_TELL) {
		json_end(&c->out, ']');
		buf_puts(&c->out, "\n");
	}
	return code;
}

int ctl_status(struct ctl *c, int argc, char **argv)
{
	return run(c, argc, argv, audit_read, false);
}

int ctl_audit(struct ctl *c, int argc, char **argv)
{
	return run(c, argc, argv, audit_run, true);
}
