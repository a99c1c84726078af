/* The command dead: lists, retries and drops dead letters. */
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "desk/desk.h"
#include "order/dead_letter.h"

/* A record may have any bytes; those that a terminal or JSON should not get become \xNN. */
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

static int list_letters(struct ctl *c)
{
	enum { PAGE = 200 };
	struct dead_letter_page letters = { .all = ctl_option("all"), .limit = PAGE };
	int total = 0;
	if (c->json)
		json_begin(&c->out, NULL, '[');
	do {
		struct arena page = { 0 };
		enum status s = dead_letter_list(c->service, &page, &letters);
		for (int i = 0; s == STATUS_OK && i < letters.count; i++) {
			(c->json ? put_json : put_text)(c, &page, &letters.letters[i]);
			letters.after = letters.letters[i].id;
		}
		arena_release(&page);
		if (s != STATUS_OK) {
			c->out.n = 0;
			return ctl_fail_status(c, EXIT_CANNOT_TELL, s);
		}
		total += letters.count;
	} while (letters.count == PAGE);
	if (c->json)
		json_end(&c->out, ']');
	else if (!total)
		buf_puts(&c->out, "no dead letters");
	buf_puts(&c->out, c->json || !total ? "\n" : "");
	return EXIT_HOLDS;
}

/* What was done with one letter. */
struct decision {
	int64_t id;
	const char *done; /* printed if there is no problem */
	enum status status;
	const char *refusal; /* NULL: none */
};

/* Prints a line for a letter, and raises *code to the letter's exit code if that is worse. */
static void put_decision(struct ctl *c, const struct decision *d, int *code)
{
	const char *problem = d->status != STATUS_OK ? ctl_status_text(d->status) : d->refusal;
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_int(&c->out, "id", d->id);
		json_bool(&c->out, "done", !problem);
		json_str(&c->out, "problem", str_of(problem ? problem : ""));
		json_end(&c->out, '}');
	} else {
		buf_printf(&c->out, "%lld %s%s\n", (long long)d->id, problem ? "refused: " : d->done,
			   problem ? problem : "");
	}
	if (d->status != STATUS_OK)
		*code = EXIT_CANNOT_TELL;
	else if (d->refusal && *code == EXIT_HOLDS)
		*code = EXIT_DOES_NOT_HOLD;
}

/* Retries the letters or, with a reason, drops them. */
static int decide_letters(struct ctl *c, int argc, char **argv, const char *reason)
{
	int code = EXIT_HOLDS;
	int64_t id;
	for (int i = 0; i < argc; i++)
		if (!parse_int(str_of(argv[i]), 1, INT64_MAX, &id))
			return ctl_wrong(
				c, arena_printf(c->arena, "%s is not the id of a dead letter: see dead list", argv[i]));
	if (c->json)
		json_begin(&c->out, NULL, '[');
	for (int i = 0; i < argc && code != EXIT_CANNOT_TELL; i++) {
		struct decision d = { .done = reason ? "dropped" : "is an order now" };
		parse_int(str_of(argv[i]), 1, INT64_MAX, &d.id);
		d.status = reason ? dead_letter_drop(c->service, c->arena, d.id, str_of(reason), &d.refusal)
				  : dead_letter_retry(c->service, c->arena, d.id, &d.refusal);
		put_decision(c, &d, &code);
	}
	if (c->json) {
		json_end(&c->out, ']');
		buf_puts(&c->out, "\n");
	}
	return code;
}

/* NULL, or what is wrong with the arguments of one of the actions. */
static const char *wrong_argument(const char *action, int argc, const char *reason)
{
	bool is_list = strcmp(action, "list") == 0, is_drop = strcmp(action, "drop") == 0;
	if (!is_list && !is_drop && strcmp(action, "retry") != 0)
		return "say list, retry or drop";
	if (is_list ? argc > 1 : argc == 1)
		return is_list ? "list takes no ids" : "name the dead letters by their ids";
	if (ctl_option("all") && !is_list)
		return "--all is an option of list: name the dead letters by their ids";
	if (is_drop != !!reason)
		return is_drop ? "drop needs --reason TEXT" : "--reason is an option of drop";
	if (reason && (!*reason || strlen(reason) > 255))
		return "--reason takes a text of 1 to 255 bytes";
	return NULL;
}

int ctl_dead(struct ctl *c, int argc, char **argv)
{
	const char *action = argc ? argv[0] : "", *reason = ctl_option("reason");
	const char *problem = wrong_argument(action, argc, reason);
	if (problem)
		return ctl_wrong(c, problem);
	return strcmp(action, "list") == 0 ? list_letters(c) : decide_letters(c, argc - 1, argv + 1, reason);
}
