/*
 * Redis returns all numbers of a segment in one reply, and all of the hub in another, so each reply is consistent
 * during the sale. With the units in flight they add up to the amount. The totals of units granted and returned, which
 * hub and segment both keep, only grow. So the hub is read before the segments and after them, and each total is
 * compared with one that was read later.
 */
#include "audit/units.h"

#include "audit/reader.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/worklist.h"
#include "stock/acknowledged.h"

enum { TRIES = 5 };

struct units {
	struct reader reader;
	struct audit *audit;
	struct findings *findings;     /* the audit's */
	struct slot_hub before, after; /* the hub, read before the segments and after them */
};

/* Fences */

struct fenced {
	enum key key;
	enum finding_kind wrong_generation, quarantined;
};

/*
 * A slot that names another incarnation than its server has, which happens after a restart, or that has an earlier
 * layout, gives no finding: an inspection is due, and decides soon.
 */
static void check_fence(struct units *u, const struct fenced *slot, int segment, struct str fence)
{
	char text[KEY_TEXT];
	int64_t generation = fence_generation(fence), want = u->audit->coupon.generation;
	bool is_current = generation == want || (fence.n && fence_layout(fence) < LAYOUT);
	bool is_quarantined = is_current && fence_read(fence, want) == FENCE_QUARANTINED;
	struct str key = key_text(text, slot->key, u->audit->coupon.id, segment);
	struct str incarnation = str_of(redis_incarnation(u->reader.svc->redis_sync, key));
	if (!is_current)
		findings_expect_equal(u->findings, slot->wrong_generation, segment, generation, want);
	if (is_quarantined)
		findings_add(u->findings, (struct finding){ .kind = slot->quarantined, .segment = segment });
	u->audit->suspect |= is_current && !is_quarantined && !str_eq(fence_incarnation(fence), incarnation);
}

/* Reading */

/* A bound that no coupon reaches, and below which the sum of four totals of 1,024 segments cannot overflow. */
static void zero_if_absurd(int64_t *units)
{
	const int64_t most = NUMBER_MAX / 1024;
	if (*units < -most || *units > most)
		*units = 0;
}

static void read_hub(struct units *u, struct slot_hub *hub)
{
	struct redis_command c;
	slot_hub_command(&c, u->audit->coupon.id);
	slot_hub_read(u->reader.arena, reader_call(&u->reader, &c), u->audit->coupon.segments, hub);
	int64_t *const units[] = { &hub->amount, &hub->cancelled, &hub->withdrawn, &hub->skipped, &hub->avail };
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		zero_if_absurd(units[i]);
	for (int i = 0; i < u->audit->coupon.segments; i++) {
		zero_if_absurd(&hub->shares[i].granted);
		zero_if_absurd(&hub->shares[i].taken);
	}
}

static void read_segment(struct units *u, int i)
{
	static const struct fenced slot = { KEY_SEGMENT, FINDING_SEGMENT_GENERATION, FINDING_SEGMENT_CLOSED };
	struct audit_segment *seg = &u->audit->segments[i];
	struct redis_command c;
	seg->acknowledged = acknowledged_read(u->reader.svc, u->audit->coupon.id, i);
	slot_segment_command(&c, u->audit->coupon.id, i);
	slot_segment_read(u->reader.arena, reader_call(&u->reader, &c), 0, &seg->own);
	int64_t *const units[] = { &seg->own.left, &seg->own.sold, &seg->own.received, &seg->own.sent };
	for (size_t k = 0; k < sizeof units / sizeof units[0]; k++)
		zero_if_absurd(units[k]);
	redis_command(&c, "LLEN");
	key_put(&c, KEY_ORDERS, u->audit->coupon.id, i);
	seg->queued = redis_number(reader_call(&u->reader, &c));
	zero_if_absurd(&seg->queued);
	if (u->reader.status == STATUS_OK)
		check_fence(u, &slot, i, seg->own.fence);
}

static void read_suspects(struct units *u)
{
	struct redis_command c;
	worklist_command(&c, "SISMEMBER", KEY_SUSPECTS, u->audit->coupon.id, u->audit->coupon.segments);
	u->audit->suspect |= redis_number(reader_call(&u->reader, &c)) == 1;
}

static void add_up(struct units *u)
{
	struct audit *out = u->audit;
	out->amount = u->after.amount;
	out->hub = u->after.avail;
	out->skipped = u->after.skipped;
	out->told = (struct audit_totals){ u->after.cancelled, u->after.final, u->after.final_cancelled, true };
	out->pays = u->after.pays;
	out->sold_out = u->after.sold_out;
	out->in_flight = out->left = out->sold = out->queued = 0;
	for (int i = 0; i < out->coupon.segments; i++) {
		struct audit_segment *s = &out->segments[i];
		s->hub = u->after.shares[i];
		out->in_flight += s->hub.granted - s->own.received + s->own.sent - s->hub.taken;
		out->left += s->own.left;
		out->sold += s->own.sold;
		out->queued += s->queued;
	}
}

/* Comparing */

static void compare_totals(struct units *u, int i)
{
	const struct slot_share *before = &u->before.shares[i], *after = &u->after.shares[i];
	const struct slot_segment *own = &u->audit->segments[i].own;
	bool was_empty = before->is_empty && after->is_empty && before->granted == after->granted;
	findings_expect_equal(u->findings, FINDING_LEFT, i, own->left, own->received - own->sent - own->sold);
	findings_expect_at_most(u->findings, FINDING_RECEIVED, i, own->received, after->granted);
	findings_expect_at_most(u->findings, FINDING_TAKEN, i, before->taken, own->sent);
	if (was_empty)
		findings_expect_equal(u->findings, FINDING_MARKED_EMPTY, i, own->left, 0);
}

static void compare_numbers(struct units *u, int i)
{
	const struct audit_segment *s = &u->audit->segments[i];
	const struct slot_segment *own = &s->own;
	int64_t given = own->last - own->base;
	findings_expect_equal(u->findings, FINDING_SEGMENT_BASE, i, own->base, s->cursor.base);
	findings_expect_equal(u->findings, FINDING_HUB_BASE, i, own->base, s->hub.base);
	findings_expect_at_most(u->findings, FINDING_TERM, i, own->term, u->after.term);
	if (s->hub.reported == '0') {
		findings_add(u->findings, (struct finding){ .kind = FINDING_UNHEARD, .segment = i });
		u->audit->suspect = true;
	}
	if (given < 0 || given > own->sold)
		findings_add(
			u->findings,
			(struct finding){ .kind = FINDING_LAST_NUMBER, .segment = i, .is = given, .want = own->sold });
	if (own->base == s->cursor.base && s->cursor.next > own->last + 1)
		findings_add(u->findings, (struct finding){ .kind = FINDING_CURSOR_AHEAD,
							    .segment = i,
							    .is = s->cursor.next,
							    .want = own->last });
}

/* While the hub declares the sale sold out, no unit is in the hub, in a segment or in flight. */
static void compare_sold_out(struct units *u)
{
	const struct audit *out = u->audit;
	if (u->before.sold_out && u->after.sold_out && u->before.epoch == u->after.epoch)
		findings_expect_equal(u->findings, FINDING_SOLD_OUT, 0, out->hub + out->in_flight + out->left, 0);
}

static void compare_units(struct units *u)
{
	static const struct fenced slot = { KEY_HUB, FINDING_HUB_GENERATION, FINDING_HUB_CLOSED };
	const struct audit *out = u->audit;
	const struct slot_hub *hub = &u->after;
	int64_t units = hub->amount + hub->cancelled - hub->withdrawn + hub->skipped;
	check_fence(u, &slot, 0, hub->fence);
	findings_expect_equal(u->findings, FINDING_UNITS, 0, out->hub + out->in_flight + out->left + out->sold, units);
	findings_expect_at_most(u->findings, FINDING_HUB_SHORT, 0, -out->hub, 0);
	findings_expect_equal(u->findings, FINDING_AMOUNT, 0, hub->amount, out->coupon.amount);
	findings_expect_equal(u->findings, FINDING_WITHDRAWN, 0, hub->withdrawn, out->withdrawn);
	compare_sold_out(u);
	for (int i = 0; i < out->coupon.segments; i++) {
		compare_totals(u, i);
		compare_numbers(u, i);
	}
}

static bool has_moved(const struct units *u)
{
	bool moved = u->before.avail != u->after.avail;
	for (int i = 0; i < u->audit->coupon.segments; i++)
		moved |= u->before.shares[i].granted != u->after.shares[i].granted ||
			 u->before.shares[i].taken != u->after.shares[i].taken;
	return moved;
}

/* Repeats the reading while units move: the findings would be right, but `in_flight` would mix two moments. */
enum status audit_units(struct service *svc, struct arena *a, struct audit *out)
{
	struct units u = { .reader = { svc, a, STATUS_OK }, .audit = out, .findings = &out->findings };
	int found = out->findings.count;
	for (int try = 0; try < TRIES; try++) {
		out->findings.count = found;
		out->suspect = false;
		read_hub(&u, &u.before);
		for (int i = 0; u.reader.status == STATUS_OK && i < out->coupon.segments; i++)
			read_segment(&u, i);
		read_hub(&u, &u.after);
		if (u.reader.status != STATUS_OK)
			return u.reader.status;
		add_up(&u);
		compare_units(&u);
		if (!has_moved(&u))
			break;
	}
	read_suspects(&u);
	return u.reader.status;
}
