/*
 * What a segment knows of itself comes in one answer, and so does what the
 * hub knows, so each of the two is exact, whatever goes on; and whatever is
 * in flight, the two together give the amount. Totals that one has of the
 * other only grow: the hub is read before the segments and after them, so
 * that each total is compared with one that was read later.
 */
#include "sale/audit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/parse.h"
#include "sale/audit_part.h"
#include "sale/dead.h"
#include "sale/drain_batch.h"
#include "sale/failure.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/publish.h"

enum { TRIES = 5, PAUSE_US = 300000 };

enum status audit_find(struct service *svc, struct arena *a, const char *name, int64_t **ids, int *count)
{
	struct db_rows rows;
	struct str rest = str_of(name), seller = { 0 };
	if (name)
		parse_split(&rest, '/', &seller);
	int failed = name ? db_query(svc->db, a,
				     "SELECT c.id FROM coupons c JOIN users u ON u.id = c.seller_id "
				     "WHERE u.name = ? AND c.name = ?",
				     &rows, DB_S(seller), DB_S(rest))
			  : db_query(svc->db, a, "SELECT id FROM coupons ORDER BY id", &rows);
	if (failed)
		return failure_of_db(svc->db, "audit");
	*ids = arena_alloc(a, (size_t)(rows.count + 1) * sizeof **ids);
	for (*count = 0; *count < rows.count; (*count)++)
		(*ids)[*count] = db_row(&rows, *count)->number;
	return name && !rows.count ? STATUS_NO_SUCH_COUPON : STATUS_OK;
}

void audit_release(struct audit *a)
{
	findings_release(&a->findings);
}

static void expect(struct audit *out, enum finding_kind kind, int segment, bool holds, int64_t is, int64_t want)
{
	if (!holds)
		findings_add(&out->findings,
			     (struct finding){ .kind = kind, .segment = segment, .is = is, .want = want });
}

/* MySQL */

/* One statement, so that what is counted is of one moment. */
static enum status read_coupon(struct service *svc, struct arena *a, int64_t id, struct audit *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " PUBLISH_COLUMNS ", c.sold, c.cancelled, (SELECT COUNT(*) FROM orders o WHERE "
		     "o.coupon_id = c.id AND o.live_user IS NOT NULL), (SELECT COUNT(*) FROM orders o WHERE "
		     "o.coupon_id = c.id), (SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND "
		     "o.segment >= c.segments) FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(id)))
		return failure_of_db(svc->db, "audit");
	if (!rows.count)
		return STATUS_NO_SUCH_COUPON;
	const struct db_value *v = db_row(&rows, 0);
	if (publish_row(svc->db, &out->coupon, v, &out->published))
		return failure_of_db(svc->db, "audit");
	out->counted = v[15].number;
	out->cancelled = v[16].number;
	out->rows = v[17].number;
	out->segments = arena_alloc(a, (size_t)out->coupon.segments * sizeof *out->segments);
	expect(out, FINDING_SOLD_COUNT, 0, v[15].number == v[17].number, v[15].number, v[17].number);
	int64_t over = v[18].number - v[17].number;
	expect(out, FINDING_CANCELLED_COUNT, 0, v[16].number == over, v[16].number, over);
	expect(out, FINDING_OVERSOLD, 0, v[17].number <= out->coupon.amount, v[17].number, out->coupon.amount);
	expect(out, FINDING_STRAY_ROWS, 0, v[19].number == 0, v[19].number, 0);
	return STATUS_OK;
}

static enum status read_dead(struct service *svc, struct arena *a, struct audit *out)
{
	struct db_rows rows;
	if (db_query_row(svc->db, a, "SELECT SUM(state = ?), SUM(state = ?) FROM dead_letters WHERE coupon_id = ?",
			 &rows, DB_N(DEAD_OPEN), DB_N(DEAD_DROPPED), DB_N(out->coupon.id)))
		return failure_of_db(svc->db, "audit");
	out->dead = db_row(&rows, 0)[0].number;
	out->dropped = db_row(&rows, 0)[1].number;
	return STATUS_OK;
}

static enum status read_cursors(struct service *svc, struct arena *a, struct audit *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT segment, next_seq FROM drain_cursors WHERE coupon_id = ?", &rows,
		     DB_N(out->coupon.id)))
		return failure_of_db(svc->db, "audit");
	for (int i = 0; i < out->coupon.segments; i++)
		out->segments[i].cursor = 1;
	for (int i = 0; i < rows.count; i++) {
		int64_t segment, next;
		if (cursor_row(svc->db, db_row(&rows, i), &segment, &next))
			return failure_of_db(svc->db, "audit");
		if (segment < out->coupon.segments)
			out->segments[segment].cursor = next;
	}
	return STATUS_OK;
}

/* Redis */

/* In doubt, as after a restart, is no finding: the drainers look at that within a moment. */
static void check_fence(struct audit *out, struct str fence, int segment, enum finding_kind other,
			enum finding_kind closed)
{
	int64_t generation = fence_generation(fence), want = out->coupon.generation;
	expect(out, other, segment, generation == want, generation, want);
	expect(out, closed, segment, generation != want || fence_read(fence, want) != FENCE_CLOSED, 0, 0);
}

static const struct redis_reply *ask(struct service *svc, struct arena *a, struct redis_command *c, enum status *s)
{
	const struct redis_reply *reply = NULL;
	if (*s == STATUS_OK && redis_call(svc->redis_now, a, c, &reply) != REDIS_ANSWER)
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

static enum status read_segment(struct service *svc, struct arena *a, struct audit *out, int i)
{
	static const char *const fields[] = { "left", "n", "I", "O", "fence" };
	struct audit_segment *seg = &out->segments[i];
	struct redis_command c;
	enum status s = STATUS_OK;
	redis_command(&c, "HMGET");
	key_put(&c, KEY_SEGMENT, out->coupon.id, i);
	for (int k = 0; k < 5; k++)
		redis_put_text(&c, fields[k]);
	const struct redis_reply *reply = ask(svc, a, &c, &s);
	seg->left = units(redis_at(reply, 0));
	seg->sold = units(redis_at(reply, 1));
	seg->received = units(redis_at(reply, 2));
	seg->sent = units(redis_at(reply, 3));
	struct str fence = redis_text_at(reply, 4);
	redis_command(&c, "LLEN");
	key_put(&c, KEY_ORDERS, out->coupon.id, i);
	seg->queued = units(ask(svc, a, &c, &s));
	if (s == STATUS_OK)
		check_fence(out, fence, i, FINDING_SEGMENT_GENERATION, FINDING_SEGMENT_CLOSED);
	return s;
}

static int64_t hub_total(const struct redis_reply *hub, char kind, int segment)
{
	char name[16];
	snprintf(name, sizeof name, "%c%d", kind, segment);
	return units(redis_member(hub, name));
}

static const struct redis_reply *read_hub(struct service *svc, struct arena *a, const struct audit *out, enum status *s)
{
	struct redis_command c;
	redis_command(&c, "HGETALL");
	key_put(&c, KEY_HUB, out->coupon.id, 0);
	return ask(svc, a, &c, s);
}

static int64_t field(const struct redis_reply *hub, const char *name)
{
	return units(redis_member(hub, name));
}

/* Comparing units. before, after: the hub, read before the segments and after them. */

static bool is_marked(const struct redis_reply *hub, int segment)
{
	struct str empty = redis_text(redis_member(hub, "empty"));
	return (size_t)segment < empty.n && empty.p[segment] == '1';
}

static void compare_segment(struct audit *out, int i, const struct redis_reply *before, const struct redis_reply *after)
{
	const struct audit_segment *s = &out->segments[i];
	int64_t left = s->received - s->sent - s->sold, taken = hub_total(before, 'R', i);
	bool stood = is_marked(before, i) && is_marked(after, i) && hub_total(before, 'G', i) == s->granted;
	expect(out, FINDING_LEFT, i, s->left == left, s->left, left);
	expect(out, FINDING_RECEIVED, i, s->received <= s->granted, s->received, s->granted);
	expect(out, FINDING_TAKEN, i, taken <= s->sent, taken, s->sent);
	expect(out, FINDING_MARKED_EMPTY, i, !stood || !s->left, s->left, 0);
	expect(out, FINDING_CURSOR_AHEAD, i, s->cursor <= s->sold + 1, s->cursor, s->sold);
}

static void compare_units(struct audit *out, const struct redis_reply *before, const struct redis_reply *after)
{
	int64_t total = out->hub + out->in_flight + out->left + out->sold, cancelled = field(after, "cancelled");
	int64_t supplied = out->amount + cancelled + out->skipped;
	check_fence(out, redis_text(redis_member(after, "fence")), 0, FINDING_HUB_GENERATION, FINDING_HUB_CLOSED);
	expect(out, FINDING_UNITS, 0, total == supplied, total, supplied);
	expect(out, FINDING_AMOUNT, 0, out->amount == out->coupon.amount, out->amount, out->coupon.amount);
	expect(out, FINDING_CANCELLED, 0, cancelled == out->cancelled, cancelled, out->cancelled);
	expect(out, FINDING_SOLD_OUT, 0, !out->sold_out || !out->hub, out->hub, 0);
	for (int i = 0; i < out->coupon.segments; i++)
		compare_segment(out, i, before, after);
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
static enum status read_units(struct service *svc, struct arena *a, struct audit *out)
{
	enum status s = STATUS_OK;
	int found = out->findings.count;
	for (int try = 0; try < TRIES; try++) {
		out->findings.count = found;
		const struct redis_reply *before = read_hub(svc, a, out, &s);
		for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++)
			s = read_segment(svc, a, out, i);
		const struct redis_reply *after = read_hub(svc, a, out, &s);
		if (s != STATUS_OK)
			break;
		add_up(out, after);
		compare_units(out, before, after);
		if (is_quiet(out, before))
			break;
	}
	return s;
}

enum status audit_read(struct service *svc, struct arena *a, int64_t coupon, struct audit *out)
{
	*out = (struct audit){ 0 };
	enum status s = read_coupon(svc, a, coupon, out);
	if (s == STATUS_OK)
		s = read_dead(svc, a, out);
	if (s == STATUS_OK)
		s = read_cursors(svc, a, out);
	if (s != STATUS_OK || !out->published) /* its creation was cut short: nothing of it can have been sold */
		return s;
	return read_units(svc, a, out);
}

/* Everything */

/* The hub counts the numbers that were given out, and whose units a recovery has put on sale again. */
static void forgive_skipped(struct audit *out)
{
	struct findings *f = &out->findings;
	int kept = 0, skipped = 0;
	for (int i = 0; i < f->count; i++)
		skipped += f->at[i].kind == FINDING_NO_TRACE;
	if (f->more || skipped > out->skipped)
		return;
	for (int i = 0; i < f->count; i++)
		if (f->at[i].kind != FINDING_NO_TRACE)
			f->at[kept++] = f->at[i];
	f->count = kept;
}

static enum status look(struct service *svc, struct arena *a, int64_t coupon, const struct audit_manner *manner,
			struct audit *out)
{
	enum status s = audit_read(svc, a, coupon, out);
	if (s != STATUS_OK || !out->published)
		return s;
	s = audit_entries(svc, a, out);
	for (int i = 0; s == STATUS_OK && i < out->coupon.segments; i++)
		s = audit_orders(svc, out, i, manner);
	forgive_skipped(out);
	return s;
}

enum status audit_run(struct service *svc, struct arena *a, int64_t coupon, const struct audit_manner *manner,
		      struct audit *out)
{
	enum status s = look(svc, a, coupon, manner, out);
	if (s != STATUS_OK || !out->findings.count)
		return s;
	struct findings first = out->findings;
	usleep(PAUSE_US);
	s = look(svc, a, coupon, manner, out);
	findings_keep_common(&out->findings, &first);
	findings_release(&first);
	return s;
}
