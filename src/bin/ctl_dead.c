/* dead: what became no order, and what is to become of it */
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "bin/ctl.h"
#include "order/dead_letter.h"

/* A record may hold any bytes; what a terminal or JSON should not see is \xNN. */
static struct str escaped(struct arena *a, struct str s)
{
	struct buf out;
	buf_init(&out, a);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= ' ' && c < 0x7f && c != '\\')
			buf_put(&out, (struct str){ s.p + i, 1 });
		else
			buf_printf(&out, "\\x%02x", c);
	}
	return buf_str(&out);
}

static const char *state_text(enum dead_letter_state s)
{
	static const char *const texts[] = { "open", "retried", "dropped", "resold" };
	return texts[s];
}

static void put_json(struct ctl *c, struct arena *a, const struct dead_letter *d)
{
	json_begin(&c->out, NULL, '{');
	json_int(&c->out, "id", d->id);
	json_str(&c->out, "seller", d->seller_name);
	json_str(&c->out, "coupon", d->coupon_name);
	json_int(&c->out, "coupon_id", d->coupon);
	json_int(&c->out, "segment", d->segment);
	json_int(&c->out, "sequence", d->sequence);
	json_str(&c->out, "record", escaped(a, d->record));
	json_str(&c->out, "reason", escaped(a, d->reason));
	json_time(&c->out, "at", d->at_ms);
	json_str(&c->out, "state", str_of(state_text(d->state)));
	json_time(&c->out, "ended_at", d->ended_ms);
	json_str(&c->out, "end_reason", escaped(a, d->end_reason));
	json_end(&c->out, '}');
}

static void put_text(struct ctl *c, struct arena *a, const struct dead_letter *d)
{
	char at[CLOCK_TEXT];
	clock_format(at, d->at_ms);
	buf_printf(&c->out, "%lld  %s  ", (long long)d->id, at);
	if (d->coupon_name.n)
		buf_printf(&c->out, "%.*s/%.*s  ", (int)d->seller_name.n, d->seller_name.p, (int)d->coupon_name.n,
			   d->coupon_name.p);
	buf_printf(&c->out, "coupon %lld segment %d sequence %lld  %s\n", (long long)d->coupon, d->segment,
		   (long long)d->sequence, state_text(d->state));
	buf_printf(&c->out, "  record  %s\n  reason  %s\n", escaped(a, d->record).p, escaped(a, d->reason).p);
	if (d->end_reason.n)
		buf_printf(&c->out, "  dropped %s\n", escaped(a, d->end_reason).p);
}

static int list(struct ctl *c)
{
	enum { PAGE = 200 };
	struct dead_letter *letters;
	int64_t last = 0;
	int count, total = 0;
	bool all = ctl_option("all");
	if (c->json)
		json_begin(&c->out, NULL, '[');
	do {
		struct arena page = { 0 };
		enum status s = dead_letter_list(c->service, &page, last, all, PAGE, &letters, &count);
		for (int i = 0; s == STATUS_OK && i < count; i++) {
			(c->json ? put_json : put_text)(c, &page, &letters[i]);
			last = letters[i].id;
		}
		arena_release(&page);
		if (s != STATUS_OK) {
			c->out.n = 0;
			return ctl_fail_status(c, EXIT_CANNOT_TELL, s);
		}
		total += count;
	} while (count == PAGE);
	if (c->json)
		json_end(&c->out, ']');
	else if (!total)
		buf_puts(&c->out, "no dead letters");
	buf_puts(&c->out, c->json || !total ? "\n" : "");
	return EXIT_HOLDS;
}

/* One line for each letter; adds to the worst of the exit codes. */
static void put_end(struct ctl *c, int64_t id, const char *done, enum status s, const char *refusal, int *code)
{
	const char *problem = s != STATUS_OK ? ctl_status_text(s) : refusal;
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_int(&c->out, "id", id);
		json_bool(&c->out, "done", !problem);
		json_str(&c->out, "problem", str_of(problem ? problem : ""));
		json_end(&c->out, '}');
	} else {
		buf_printf(&c->out, "%lld %s%s\n", (long long)id, problem ? "refused: " : done, problem ? problem : "");
	}
	if (s != STATUS_OK)
		*code = EXIT_CANNOT_TELL;
	else if (refusal && *code == EXIT_HOLDS)
		*code = EXIT_DOES_NOT_HOLD;
}

/* Retries, or with a reason drops, each of the letters. */
static int decide(struct ctl *c, int argc, char **argv, const char *reason)
{
	int code = EXIT_HOLDS;
	int64_t id;
	for (int i = 0; i < argc; i++)
		if (!parse_int(str_of(argv[i]), 1, INT64_MAX, &id))
			return ctl_usage(c);
	if (c->json)
		json_begin(&c->out, NULL, '[');
	for (int i = 0; i < argc && code != EXIT_CANNOT_TELL; i++) {
		const char *refusal = NULL;
		parse_int(str_of(argv[i]), 1, INT64_MAX, &id);
		enum status s = reason ? dead_letter_drop(c->service, c->arena, id, str_of(reason), &refusal)
				       : dead_letter_retry(c->service, c->arena, id, &refusal);
		put_end(c, id, reason ? "dropped" : "is an order now", s, refusal, &code);
	}
	if (c->json) {
		json_end(&c->out, ']');
		buf_puts(&c->out, "\n");
	}
	return code;
}

int ctl_dead(struct ctl *c, int argc, char **argv)
{
	const char *action = argc ? argv[0] : "", *reason = ctl_option("reason");
	bool drop = strcmp(action, "drop") == 0;
	if (strcmp(action, "list") == 0)
		return argc == 1 && !reason ? list(c) : ctl_usage(c);
	if ((!drop && strcmp(action, "retry") != 0) || argc == 1 || ctl_option("all"))
		return ctl_usage(c);
	if (drop != !!reason || (reason && (!*reason || strlen(reason) > 255)))
		return ctl_usage(c);
	return decide(c, argc - 1, argv + 1, reason);
}
