/* The command audit, and the coupons that the command status prints. */
#include <stdio.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/repair.h"
#include "base/clock.h"
#include "base/parse.h"
#include "catalog/stray.h"
#include "ctl/ctl.h"

struct audit_request {
	bool compare;     /* look for findings; false: only print the numbers */
	bool repair, yes; /* --repair, --yes */
	struct audit_options options;
	const char *name; /* NULL: all coupons */
};

/* Progress: one line on the terminal, rewritten at most five times a second, and whenever a new place is read. */

struct progress {
	int64_t shown_ms;
	const char *place;
};

static void on_progress(void *context, int segment, const char *place, int64_t count)
{
	struct progress *p = context;
	if (p->place == place && clock_mono_ms() - p->shown_ms < 200)
		return;
	p->shown_ms = clock_mono_ms();
	p->place = place;
	fprintf(stderr, "\rsegment %d: %lld orders read, %s\033[K", segment, (long long)count, place);
}

static void end_progress(struct progress *p)
{
	if (p->place)
		fputs("\r\033[K", stderr);
	*p = (struct progress){ 0 };
}

/* What was found */

static void put_text(struct ctl *c, const struct audit *a)
{
	buf_printf(&c->out, "%.*s/%.*s: %lld units = %lld hub + %lld in flight + %lld left + %lld sold",
		   (int)a->coupon.seller_name.n, a->coupon.seller_name.p, (int)a->coupon.name.n, a->coupon.name.p,
		   (long long)a->amount, (long long)a->hub, (long long)a->in_flight, (long long)a->left,
		   (long long)a->sold);
	if (a->cancelled)
		buf_printf(&c->out, " - %lld cancelled", (long long)a->cancelled);
	if (a->withdrawn)
		buf_printf(&c->out, " + %lld withdrawn", (long long)a->withdrawn);
	if (a->skipped)
		buf_printf(&c->out, " - %lld skipped", (long long)a->skipped);
	buf_printf(&c->out, "; orders: %lld queued, %lld in MySQL, %lld dead letters", (long long)a->queued,
		   (long long)a->rows, (long long)a->dead);
	if (a->dropped)
		buf_printf(&c->out, ", %lld dropped", (long long)a->dropped);
	buf_puts(&c->out, a->archived ? "; archived\n" : a->sold_out ? "; sold out\n" : "\n");
}

static void put_numbers(struct ctl *c, const struct audit *a)
{
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = { { "id", a->coupon.id },
			{ "segments", a->coupon.segments },
			{ "amount", a->amount },
			{ "cancelled", a->cancelled },
			{ "withdrawn", a->withdrawn },
			{ "skipped", a->skipped },
			{ "hub", a->hub },
			{ "in_flight", a->in_flight },
			{ "left", a->left },
			{ "sold", a->sold },
			{ "queued", a->queued },
			{ "rows", a->rows },
			{ "dead_letters", a->dead },
			{ "dropped", a->dropped } };
	json_str(&c->out, "seller", a->coupon.seller_name);
	json_str(&c->out, "name", a->coupon.name);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		json_int(&c->out, numbers[i].name, numbers[i].value);
	json_bool(&c->out, "sold_out", a->sold_out);
	json_bool(&c->out, "archived", a->archived);
}

/* What --repair did about a finding; all NULL without it. */
struct repair_report {
	const char *word, *detail;
	bool done;
};

static struct repair_report try_repair(struct ctl *c, struct arena *a, const struct audit *audit,
				       const struct finding *f, const struct audit_request *w)
{
	struct repair_job job = { .svc = c->service, .arena = a, .audit = audit, .finding = f, .dry = !w->yes };
	if (!w->repair)
		return (struct repair_report){ 0 };
	switch (repair(&job)) {
	case REPAIR_DONE:
		return (struct repair_report){ w->yes ? "repaired" : "would be repaired", repair_text(f->kind), true };
	case REPAIR_NEEDS_OPERATOR:
		return (struct repair_report){ "needs a person", job.why, false };
	default:
		return (struct repair_report){ "not repaired", ctl_reason(job.why), false };
	}
}

static void put_finding_json(struct ctl *c, const struct finding *f, struct str text, const struct repair_report *o)
{
	json_begin(&c->out, NULL, '{');
	json_str(&c->out, "kind", str_of(finding_word(f->kind)));
	json_int(&c->out, "segment", f->segment);
	json_int(&c->out, "sequence", f->sequence);
	json_int(&c->out, "user", f->user);
	if (f->unit)
		json_int(&c->out, "unit", f->unit);
	json_int(&c->out, "is", f->is);
	json_int(&c->out, "expected", f->want);
	json_str(&c->out, "text", text);
	json_bool(&c->out, "repairable", repair_text(f->kind) != NULL);
	if (o->word) {
		json_str(&c->out, "repair", str_of(o->word));
		json_str(&c->out, "repair_detail", str_of(o->detail));
	}
	json_end(&c->out, '}');
}

static void put_finding(struct ctl *c, const struct finding *f, struct str text, const struct repair_report *o)
{
	if (c->json) {
		put_finding_json(c, f, text, o);
		return;
	}
	buf_printf(&c->out, "  %.*s\n", (int)text.n, text.p);
	if (o->word)
		buf_printf(&c->out, "    %s: %s\n", o->word, o->detail);
}

/* Returns how many findings were repaired, or would be. */
static int put_findings(struct ctl *c, const struct audit *a, const struct audit_request *w)
{
	struct arena arena = { 0 };
	int repaired = 0;
	for (int i = 0; i < a->findings.count; i++) {
		const struct finding *f = &a->findings.at[i];
		struct repair_report o = try_repair(c, &arena, a, f, w);
		repaired += o.done;
		struct buf text;
		buf_init(&text, &arena);
		finding_text(&text, f, a->coupon.id);
		put_finding(c, f, buf_str(&text), &o);
		arena_reset(&arena);
	}
	if (a->findings.more && !c->json)
		buf_printf(&c->out, "  and %lld more\n", (long long)a->findings.more);
	arena_release(&arena);
	return repaired;
}

/* Returns how many findings were repaired. */
static int put_audit(struct ctl *c, const struct audit *a, const struct audit_request *w)
{
	if (!c->json) {
		put_text(c, a);
		return w->compare ? put_findings(c, a, w) : 0;
	}
	int repaired = 0;
	json_begin(&c->out, NULL, '{');
	put_numbers(c, a);
	if (w->compare) {
		json_bool(&c->out, "balanced", findings_balance(&a->findings));
		json_begin(&c->out, "problems", '[');
		repaired = put_findings(c, a, w);
		json_end(&c->out, ']');
		json_int(&c->out, "more_problems", a->findings.more);
	}
	json_end(&c->out, '}');
	return repaired;
}

/*
 * Audits one coupon, in an arena of its own, and again after repairs. *balanced becomes the result of the last audit.
 */
static enum status audit_one(struct ctl *c, struct audit_request *w, int64_t id, bool *balanced)
{
	struct arena arena = { 0 };
	struct audit a;
	enum status s = w->compare ? audit_run(c->service, &arena, id, &w->options, &a)
				   : audit_read(c->service, &arena, id, &a);
	end_progress(w->options.context);
	*balanced = findings_balance(&a.findings);
	int repaired = s == STATUS_OK ? put_audit(c, &a, w) : 0;
	audit_release(&a);
	arena_release(&arena);
	if (!repaired || !w->yes)
		return s;
	struct audit_request again = *w;
	again.repair = false;
	return audit_one(c, &again, id, balanced);
}

/* Discards the output, because an incomplete output would look complete. */
static int fail_audit(struct ctl *c, enum status s)
{
	c->out.n = 0;
	return ctl_fail_status(c, EXIT_CANNOT_TELL, s);
}

/* A coupon that MySQL does not have gets one finding, which says so. */
static void put_stray(struct ctl *c, const struct audit_request *w, const struct stray *s)
{
	struct audit a = {
		.coupon = { .id = s->coupon, .segments = s->segments, .seller_name = s->seller_name, .name = s->name },
		.sold = s->sold,
		.queued = s->queued,
		.rows = s->rows
	};
	findings_add(&a.findings, (struct finding){ .kind = FINDING_UNKNOWN_COUPON, .is = s->sold, .want = s->coupon });
	put_audit(c, &a, w);
	audit_release(&a);
}

static enum status audit_strays(struct ctl *c, const struct audit_request *w, bool *none)
{
	struct stray *strays;
	int count;
	enum status s = strays_find(c->service, c->arena, &strays, &count);
	for (int i = 0; s == STATUS_OK && i < count; i++)
		put_stray(c, w, &strays[i]);
	*none = count == 0;
	return s;
}

static enum status audit_coupons(struct ctl *c, struct audit_request *w, const int64_t *ids, int count, bool *all)
{
	struct audit_lists lists = { 0 };
	enum status s = w->compare ? audit_lists_read(c->service, count == 1 ? ids[0] : 0, &lists) : STATUS_OK;
	w->options.lists = &lists;
	for (int i = 0; s == STATUS_OK && i < count; i++) {
		bool balanced;
		s = audit_one(c, w, ids[i], &balanced);
		*all = *all && balanced;
	}
	audit_lists_release(&lists);
	return s;
}

static int audit_all(struct ctl *c, struct audit_request *w, const int64_t *ids, int count)
{
	bool all = true, no_stray = true;
	enum status s = audit_coupons(c, w, ids, count, &all);
	if (s == STATUS_OK && w->compare && !w->name)
		s = audit_strays(c, w, &no_stray);
	if (s != STATUS_OK)
		return fail_audit(c, s);
	all = all && no_stray;
	if (w->compare && !c->json)
		buf_printf(&c->out, "audit: %s, %d coupon%s\n", all ? "balanced" : "NOT balanced", count,
			   count == 1 ? "" : "s");
	return all || !w->compare ? EXIT_HOLDS : EXIT_DOES_NOT_HOLD;
}

static int run_audit(struct ctl *c, struct audit_request *w, const char *member)
{
	int64_t *ids;
	int count;
	enum status s = audit_find(c->service, c->arena, w->name, &ids, &count);
	if (s != STATUS_OK)
		return fail_audit(c, s);
	if (c->json)
		json_begin(&c->out, member, '[');
	int code = audit_all(c, w, ids, count);
	if (c->json && code != EXIT_CANNOT_TELL) {
		json_end(&c->out, ']');
		buf_puts(&c->out, member ? "" : "\n");
	}
	return code;
}

int ctl_units(struct ctl *c, int argc, char **argv, const char *member)
{
	struct progress p = { 0 };
	struct audit_request w = { .name = argv[0], .options.context = &p };
	return argc > 1 ? ctl_wrong(c, "name one coupon, or none for all") : run_audit(c, &w, member);
}

/* NULL, or what is wrong with the arguments. */
static const char *read_arguments(struct audit_request *w, int argc, char **argv)
{
	const char *window = ctl_option("window");
	w->repair = ctl_option("repair");
	w->yes = ctl_option("yes");
	w->name = argv[0];
	if (argc > 1)
		return "name one coupon, or none for all";
	if (w->yes && !w->repair)
		return "--yes applies repairs: it needs --repair";
	if (window && !parse_int(str_of(window), 1, INT32_MAX, &w->options.window))
		return "--window takes a number of orders, 1 or more";
	return NULL;
}

int ctl_audit(struct ctl *c, int argc, char **argv)
{
	struct progress p = { 0 };
	struct audit_request w = { .compare = true, .options.context = &p };
	if (isatty(STDERR_FILENO))
		w.options.progress = on_progress;
	const char *problem = read_arguments(&w, argc, argv);
	return problem ? ctl_wrong(c, problem) : run_audit(c, &w, NULL);
}
