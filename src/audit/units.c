/*
 * Redis returns the numbers of a segment in one answer, and those of the hub
 * in another, so each answer is exact while the sale goes on. Together they
 * add up to the amount, whatever is in flight. Totals that one has of the
 * other only grow: the hub is read before the segments and after them, so
 * that each total is compared with one that was read later.
 */
#include <stdio.h>

#include "audit/audit_part.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/worklist.h"
#include "stock/acknowledged.h"

enum { TRIES = 5 };

/* Reading */

static const struct redis_reply *ask(struct service *svc, struct arena *a, struct redis_command *c, enum status *s)
{
	const struct redis_reply *reply = NULL;
	if (*s == STATUS_OK && redis_call(svc->redis_sync, a, c, &reply) != REDIS_ANSWER)
		*s = STATUS_UNAVAILABLE;
	return reply;
}

/* Totals of all segments are added up, four of each: none that can be is larger, and no sum overflows. */
static int64_t units(const struct redis_reply *reply)
{
	const int64_t most = NUMBER_MAX / 1024;
	int64_t number = 0;
	redis_number_in(reply, -most, most, &number);
	return number;
}

/*
 * In another life than its server's, as after a restart, or of an earlier layout, is no finding: an inspection looks
 * at that within a moment.
 */
static void check_fence(struct service *svc, struct audit *out, struct str fence, enum key key, int segment,
			enum finding_kind other, enum finding_kind closed)
{
	char text[KEY_TEXT];
	int64_t generation = fence_generation(fence), want = out->coupon.generation;
	bool is_ours = generation == want || (fence.n && fence_layout(fence) < LAYOUT);
	bool is_closed = is_ours && fence_read(fence, want) == FENCE_QUARANTINED;
	struct str run = str_of(redis_incarnation(svc->redis_sync, key_text(text, key, out->coupon.id, segment)));
	audit_expect(out, other, segment, is_ours, generation, want);
	audit_expect(out, closed, segment, !is_closed, 0, 0);
	out->in_doubt |= is_ours && !is_closed && !str_eq(fence_incarnation(fence), run);
}

/* Layout 0 had a generation in its place. */
static struct str fence_of(const struct redis_reply *fence, const struct redis_reply *generation)
{
	return redis_type(fence) == REDIS_NIL && redis_type(generation) != REDIS_NIL ? STR("@") : redis_text(fence);
}

static enum status read_segment(struct service *svc, struct arena *a, struct audit *out, int i)
{
	static const char *const fields[] = { "left", "sold", "last", "I", "O", "base", "term", "fence", "n", "gen" };
	enum { FIELDS = sizeof fields / sizeof fields[0] };
	struct audit_segment *seg = &out->segments[i];
	struct redis_command c;
	enum status s = STATUS_OK;
	seg->told = acknowledged_read(svc, out->coupon.id, i);
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, out->coupon.id, i);
	for (int k = 0; k < FIELDS; k++)
		redis_put_text(&c, fields[k]);
	const struct redis_reply *reply = ask(svc, a, &c, &s);
	struct str fence = fence_of(redis_at(reply, 7), redis_at(reply, 9));
	seg->left = units(redis_at(reply, 0));
	seg->sold = units(redis_at(reply, 1));
	seg->last = redis_number_at(reply, 2);
	seg->received = units(redis_at(reply, 3));
	seg->sent = units(redis_at(reply, 4));
	seg->base = redis_number_at(reply, 5);
	seg->term = redis_number_at(reply, 6);
	if (fence_layout(fence) < LAYOUT) /* they counted by the number of the last order */
		seg->sold = seg->last = units(redis_at(reply, 8));
	redis_command(&c, "LLEN");
	key_put(&c, KEY_ORDERS, out->coupon.id, i);
	seg->queued = units(ask(svc, a, &c, &s));
	if (s == STATUS_OK)
		check_fence(svc, out, fence, KEY_SEGMENT, i, FINDING_SEGMENT_GENERATION, FINDING_SEGMENT_CLOSED);
	return s;
}

static const struct redis_reply *read_hub(struct service *svc, struct arena *a, const struct audit *out, enum status *s)
{
	struct redis_command c;
	redis_command(&c, "HGETALL");
	key_put(&c, KEY_HUB, out->coupon.id, 0);
	return ask(svc, a, &c, s);
}

static enum status read_doubt(struct service *svc, struct arena *a, struct audit *out)
{
	struct redis_command c;
	enum status s = STATUS_OK;
	worklist_command(&c, "SISMEMBER", KEY_SUSPECTS, out->coupon.id, out->coupon.segments);
	out->in_doubt |= redis_number(ask(svc, a, &c, &s)) == 1;
	return s;
}

/* The hub's fields */

static int64_t field(const struct redis_reply *hub, const char *name)
{
	return units(redis_member(hub, name));
}

static int64_t number(const struct redis_reply *hub, const char *name)
{
	return redis_number(redis_member(hub, name));
}

static const struct redis_reply *field_of(const struct redis_reply *hub, char kind, int segment)
{
	char name[16];
	snprintf(name, sizeof name, "%c%d", kind, segment);
	return redis_member(hub, name);
}

static int64_t hub_total(const struct redis_reply *hub, char kind, int segment)
{
	return units(field_of(hub, kind, segment));
}

/* `empty` and `heard` are a character a segment. */
static bool is_set(const struct redis_reply *hub, const char *name, int segment, char value)
{
	struct str set = redis_text(redis_member(hub, name));
	return (size_t)segment < set.n && set.p[segment] == value;
}

/* Comparing. before, after: the hub, read before the segments and after them. */

static void compare_totals(struct audit *out, int i, const struct redis_reply *before, const struct redis_reply *after)
{
	const struct audit_segment *s = &out->segments[i];
	int64_t left = s->received - s->sent - s->sold, taken = hub_total(before, 'R', i);
	bool stood = is_set(before, "empty", i, '1') && is_set(after, "empty", i, '1') &&
		     hub_total(before, 'G', i) == s->granted;
	audit_expect(out, FINDING_LEFT, i, s->left == left, s->left, left);
	audit_expect(out, FINDING_RECEIVED, i, s->received <= s->granted, s->received, s->granted);
	audit_expect(out, FINDING_TAKEN, i, taken <= s->sent, taken, s->sent);
	audit_expect(out, FINDING_MARKED_EMPTY, i, !stood || !s->left, s->left, 0);
}

static void compare_numbers(struct audit *out, int i, const struct redis_reply *after)
{
	const struct audit_segment *s = &out->segments[i];
	int64_t given = s->last - s->base, term = number(after, "term");
	bool is_heard = !is_set(after, "heard", i, '0');
	audit_expect(out, FINDING_SEGMENT_BASE, i, s->base == s->cursor.base, s->base, s->cursor.base);
	audit_expect(out, FINDING_HUB_BASE, i, s->base == s->hub_base, s->base, s->hub_base);
	audit_expect(out, FINDING_TERM, i, s->term <= term, s->term, term);
	audit_expect(out, FINDING_UNHEARD, i, is_heard, 0, 0);
	audit_expect(out, FINDING_LAST_NUMBER, i, given >= 0 && given <= s->sold, given, s->sold);
	audit_expect(out, FINDING_CURSOR_AHEAD, i, s->base != s->cursor.base || s->cursor.next <= s->last + 1,
		     s->cursor.next, s->last);
	out->in_doubt |= !is_heard;
}

/* While the hub says so every segment has nothing left, and has reported that, and nothing travels. */
static void compare_sold_out(struct audit *out, const struct redis_reply *before, const struct redis_reply *after)
{
	int64_t unsold = out->hub + out->in_flight + out->left;
	bool stood = out->sold_out && field(before, "sold_out") && number(before, "epoch") == number(after, "epoch");
	audit_expect(out, FINDING_SOLD_OUT, 0, !stood || !unsold, unsold, 0);
}

static void compare(struct service *svc, struct audit *out, const struct redis_reply *before,
		    const struct redis_reply *after)
{
	int64_t total = out->hub + out->in_flight + out->left + out->sold;
	int64_t cancelled = field(after, "cancelled"), withdrawn = field(after, "withdrawn");
	int64_t supplied = out->amount + cancelled - withdrawn + out->skipped;
	struct str fence = fence_of(redis_member(after, "fence"), redis_member(after, "gen"));
	check_fence(svc, out, fence, KEY_HUB, 0, FINDING_HUB_GENERATION, FINDING_HUB_CLOSED);
	audit_expect(out, FINDING_UNITS, 0, total == supplied, total, supplied);
	audit_expect(out, FINDING_HUB_SHORT, 0, out->hub >= 0, -out->hub, 0);
	audit_expect(out, FINDING_AMOUNT, 0, out->amount == out->coupon.amount, out->amount, out->coupon.amount);
	audit_expect(out, FINDING_CANCELLED, 0, cancelled == out->cancelled, cancelled, out->cancelled);
	audit_expect(out, FINDING_WITHDRAWN, 0, withdrawn == out->withdrawn, withdrawn, out->withdrawn);
	compare_sold_out(out, before, after);
	for (int i = 0; i < out->coupon.segments; i++) {
		compare_totals(out, i, before, after);
		compare_numbers(out, i, after);
	}
}

static void add_up(struct audit *out, const struct redis_reply *hub)
{
	out->amount = field(hub, "amount");
	out->hub = field(hub, "avail");
	out->skipped = field(hub, "skipped");
	out->sold_out = field(hub, "sold_out") != 0;
	out->in_flight = out->left = out->sold = out->queued = 0;
	for (int i = 0; i < out->coupon.segments; i++) {
		struct audit_segment *s = &out->segments[i];
		s->granted = hub_total(hub, 'G', i);
		s->taken = hub_total(hub, 'R', i);
		s->hub_base = redis_number(field_of(hub, 'B', i));
		out->in_flight += s->granted - s->received + s->sent - s->taken;
		out->left += s->left;
		out->sold += s->sold;
		out->queued += s->queued;
	}
}

static bool is_quiet(const struct audit *out, const struct redis_reply *before)
{
	int64_t moved = field(before, "avail") - out->hub;
	for (int i = 0; i < out->coupon.segments; i++)
		moved |= (hub_total(before, 'G', i) - out->segments[i].granted) |
			 (hub_total(before, 'R', i) - out->segments[i].taken);
	return !moved;
}

/* Tried again while units travel: the findings would be as true, but "in flight" of two moments is hard to read. */
enum status audit_units(struct service *svc, struct arena *a, struct audit *out)
{
	enum status s = STATUS_OK;
	int found = out->findings.count;
	for (int try = 0; try < TRIES; try++) {
		out->findings.count = found;
		out->in_doubt = false;
		const struct redis_reply *before = read_hub(svc, a, out, &s);
		for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++)
			s = read_segment(svc, a, out, i);
		const struct redis_reply *after = read_hub(svc, a, out, &s);
		if (s != STATUS_OK)
			break;
		add_up(out, after);
		compare(svc, out, before, after);
		if (is_quiet(out, before))
			break;
	}
	return s == STATUS_OK ? read_doubt(svc, a, out) : s;
}
