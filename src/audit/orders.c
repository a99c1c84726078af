/*
 * Compares one segment, order by order. Owners are read first, then the list, dead letters and rows. Orders move
 * through the places in this order only, so an order that is in none of the places that are read later is lost, also
 * during the sale. Each order takes ten bytes of memory; a window limits how many orders are compared at a time, and
 * all places are read again for the next window.
 *
 * The numbers compared are those of the segment's ranges. The last range ends with the segment's last number; MySQL has
 * the counts of earlier ranges. A number that is found in any place was given out, even if its range does not include
 * it, and so were all lower numbers of that range.
 */
#include "audit/orders.h"

#include <stdlib.h>

#include "audit/compare_order.h"
#include "base/alloc.h"
#include "order/order_scan.h"
#include "sale/key.h"
#include "stock/acknowledged.h"

enum { WINDOW = 1 << 20, TRIES = 3, BASES = 1 << 16 /* whose acknowledged numbers are looked up */ };

/* Every place is read once per window. Findings of the place as a whole are added only in the first window. */
static bool is_first_window(const struct compare *c)
{
	return c->first == 0;
}

/* Numbers and their indexes */

/* Extends the number's range up to it. False: no range has so many numbers, or the base was not handed out. */
static bool extend_range(struct compare *c, int64_t number)
{
	struct range range = ranges_of(&c->ranges, number);
	if (number <= 0 || number - range.base > c->most || range.base > c->segment->cursor.base)
		return false;
	if (number - range.base > range.count)
		ranges_put(&c->ranges_arena, &c->ranges, (struct range){ range.base, number - range.base });
	return true;
}

/*
 * The order's number is in no range: extends a range or adds a finding. A number above the segment's last one may have
 * been given out since the segment was read; compare_segment checks it.
 */
static void add_outside(struct compare *c, const struct scanned_order *o)
{
	if (o->sequence <= 0 || o->sequence > c->segment->own.last)
		return;
	if (extend_range(c, o->sequence))
		c->has_grown = true;
	else if (is_first_window(c))
		compare_add(c,
			    (struct finding){ .kind = FINDING_OUT_OF_RANGE, .sequence = o->sequence, .user = o->user });
}

/* Raises *highest to the order's number. Returns the order's index in c->owner and c->seen, or -1. */
static int64_t note_number(struct compare *c, const struct scanned_order *o, int64_t *highest)
{
	compare_progress(c);
	if (o->sequence > *highest)
		*highest = o->sequence;
	int64_t place = ranges_place(&c->ranges, o->sequence);
	if (place < 0)
		add_outside(c, o);
	return place >= c->first && place < c->first + c->count ? place - c->first : -1;
}

/* Extends ranges of earlier bases to the numbers that this host acknowledged in them. */
static void extend_to_acknowledged(struct compare *c)
{
	int64_t last = c->segment->cursor.base;
	int64_t first = last > BASES * NUMBERS_RANGE ? last - BASES * NUMBERS_RANGE : 0;
	for (int64_t base = first; base < last; base += NUMBERS_RANGE)
		extend_range(c, acknowledged_read_above(c->svc, c->audit->coupon.id, c->segment_number, base));
}

/*
 * The present range reaches to the segment's last number. Numbers that this host acknowledged, or that customers' lists
 * name, were given out, too.
 */
static enum status read_ranges(struct compare *c)
{
	const struct audit_segment *s = c->segment;
	const struct listed *listed;
	int64_t given = s->own.last > s->own.base ? s->own.last - s->own.base : 0;
	enum status status = ranges_read(c->svc, &c->ranges_arena, c->audit->coupon.id, c->segment_number, &c->ranges);
	if (status != STATUS_OK)
		return status;
	ranges_put(&c->ranges_arena, &c->ranges, (struct range){ s->own.base, given < c->most ? given : c->most });
	extend_range(c, s->acknowledged);
	extend_to_acknowledged(c);
	int n = audit_lists_of(c->audit->lists, c->audit->coupon.id, c->segment_number, &listed);
	for (int i = 0; i < n; i++)
		extend_range(c, listed[i].number);
	return STATUS_OK;
}

/* Where each order is seen */

/* 0: the place does not name an owner. */
static int64_t code_of(const struct scanned_order *o)
{
	return o->user ? owner_code((struct owner){ o->user, o->unit }) : 0;
}

static int64_t user_of(int64_t owner)
{
	return owner_of_code(owner).user;
}

/* A finding about an order and its owner. */
static struct finding finding_of(enum finding_kind kind, const struct scanned_order *o)
{
	return (struct finding){ .kind = kind, .sequence = o->sequence, .user = o->user, .unit = o->unit };
}

/* A live order holds a unit of its customer's, of which there are as many as the limit says. */
static void check_limit(struct compare *c, const struct scanned_order *o)
{
	struct finding f = finding_of(FINDING_ABOVE_LIMIT, o);
	f.want = c->audit->coupon.limit;
	if (o->unit > f.want)
		compare_add(c, f);
}

/* The owner's home is another segment. If that segment has an order of the user, too, the user has two. */
static void add_stranger(struct compare *c, const struct scanned_order *o, int home)
{
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	arena_reset(&c->arena);
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_OWNERS, c->audit->coupon.id, home);
	owner_put(&cmd, (struct owner){ o->user, o->unit });
	if (redis_call(c->svc->redis_sync, &c->arena, &cmd, &reply) != REDIS_ANSWER)
		c->status = STATUS_UNAVAILABLE;
	struct finding f = finding_of(redis_number(reply) > 0 ? FINDING_TWO_ORDERS : FINDING_STRANGER, o);
	f.is = redis_number(reply);
	f.want = home;
	compare_add(c, f);
}

static void note_owner(struct compare *c, int64_t i, const struct scanned_order *o)
{
	bool twice = (c->seen[i] & OWNED) && c->owner[i] != code_of(o);
	struct finding f = finding_of(FINDING_TWO_OWNERS, o);
	f.is = user_of(c->owner[i]);
	if (twice)
		compare_add(c, f);
	c->owner[i] = code_of(o);
	c->seen[i] |= twice ? OWNED | TWICE : OWNED;
}

static void on_owner(void *context, const struct scanned_order *o)
{
	struct compare *c = context;
	if (!o->sequence && is_first_window(c))
		compare_add(c, (struct finding){ .kind = FINDING_BAD_OWNER, .user = o->user });
	int64_t i = note_number(c, o, &c->last_owner);
	if (i < 0)
		return;
	if (o->over) {
		c->owner[i] = c->owner[i] ? c->owner[i] : code_of(o);
		c->seen[i] |= TOMBSTONE;
		return;
	}
	note_owner(c, i, o);
	check_limit(c, o);
	int home = coupon_home(&c->audit->coupon, o->user);
	if (home != c->segment_number)
		add_stranger(c, o, home);
}

/* Notes whom a place other than the owners has for an order; a finding if the owner is another. */
static void note_user(struct compare *c, int64_t i, const struct scanned_order *o, enum finding_kind other)
{
	if (!c->owner[i])
		c->owner[i] = code_of(o);
	else if (c->owner[i] != code_of(o) && (c->seen[i] & (OWNED | TWICE)) == OWNED)
		compare_add(c, (struct finding){ .kind = other,
						 .sequence = o->sequence,
						 .user = user_of(c->owner[i]),
						 .unit = owner_of_code(c->owner[i]).unit,
						 .is = o->user });
}

/*
 * The list is read from its end, so numbers descend, except that orders pushed during the reading may be read again.
 * Numbers of the present range have no gaps; there may be gaps between ranges and before numbers recorded as lost.
 */
static void check_list_order(struct compare *c, const struct scanned_order *o)
{
	if (!o->sequence) {
		compare_add(c, (struct finding){ .kind = FINDING_GARBAGE });
		return;
	}
	if (o->sequence < c->behind - 1 && o->sequence > c->segment->own.base)
		compare_add(c, (struct finding){ .kind = FINDING_DISORDER, .sequence = c->behind, .is = o->sequence });
	c->behind = o->sequence;
}

static void on_listed(void *context, const struct scanned_order *o)
{
	struct compare *c = context;
	if (is_first_window(c))
		check_list_order(c, o);
	int64_t i = note_number(c, o, &c->last_listed);
	if (i < 0)
		return;
	if (o->user)
		note_user(c, i, o, FINDING_OTHER_IN_LIST);
	c->seen[i] |= o->user ? QUEUED : NAMED;
}

/* NAMED: the number of the dead letter holds a unit; LETTER: it may hold one; FREE: it holds none. */
static enum seen seen_of_letter(const struct scanned_order *o)
{
	if (!o->has_number || o->state == DEAD_RESOLD || str_eq(o->reason, STR(REASON_LOST_FOUND)))
		return FREE;
	return str_eq(o->reason, STR(REASON_LOST)) && o->state != DEAD_RETRIED ? NAMED : LETTER;
}

/* A dead letter of another user under the same number is reported, but does not belong to the order. */
static void on_letter(void *context, const struct scanned_order *o)
{
	struct compare *c = context;
	int64_t any = 0, i = note_number(c, o, &any);
	if (!o->over && is_first_window(c))
		compare_add(c, (struct finding){ .kind = FINDING_DEAD_LETTER, .sequence = o->sequence, .is = o->id });
	if (i < 0 || (o->user && c->owner[i] && c->owner[i] != code_of(o)))
		return;
	if (o->user)
		c->owner[i] = code_of(o);
	c->seen[i] |= seen_of_letter(o);
}

/* What MySQL's own tables say of an order; one statement has read them. */
static void judge_row(struct compare *c, const struct scanned_order *o)
{
	const bool is_paid = o->status == ORDER_PAID;
	const struct {
		bool wrong;
		enum finding_kind kind;
	} judged[] = { { o->not_awaited, FINDING_NOT_AWAITED },
		       { o->payments && !is_paid, FINDING_WRONG_PAYMENT },
		       { o->payments > 1 && is_paid, FINDING_TWO_PAYMENTS },
		       { !o->payments && is_paid && c->audit->coupon.price, FINDING_NO_PAYMENT } };
	for (size_t i = 0; i < sizeof judged / sizeof judged[0]; i++)
		if (judged[i].wrong)
			compare_add(c, (struct finding){ .kind = judged[i].kind,
							 .sequence = o->sequence,
							 .user = o->user,
							 .is = o->payments });
}

static void on_row(void *context, const struct scanned_order *o)
{
	struct compare *c = context;
	int64_t i = note_number(c, o, &c->last_row);
	if (o->unknown_user)
		compare_add(c,
			    (struct finding){ .kind = FINDING_UNKNOWN_USER, .sequence = o->sequence, .user = o->user });
	if (i < 0)
		return;
	if (!o->over) {
		note_user(c, i, o, FINDING_OTHER_IN_ROW);
		if (!(c->seen[i] & OWNED))
			check_limit(c, o);
	}
	c->seen[i] |= o->over ? OVER : ROW;
	c->seen[i] |= o->returned ? RETURNED : 0;
	judge_row(c, o);
}

/* Also reads rows whose numbers are between two ranges. */
static enum status scan_rows_of_window(struct compare *c, const struct order_scan *s)
{
	int64_t first = c->first ? ranges_number(&c->ranges, c->first) : 1, next = c->first + c->count;
	return order_scan_rows(s, first, next < c->total ? ranges_number(&c->ranges, next) - 1 : NUMBER_MAX);
}

/* scan NULL: reads the rows. */
static void read_place(struct compare *c, const char *place, enum status (*scan)(const struct order_scan *),
		       void (*on_order)(void *, const struct scanned_order *))
{
	const struct order_scan s = { c->svc, c->audit->coupon.id, c->segment_number, on_order, c };
	c->place = place;
	c->read = 0;
	if (c->status == STATUS_OK)
		c->status = scan ? scan(&s) : scan_rows_of_window(c, &s);
}

/* Windows */

static void compare_window(struct compare *c)
{
	memset(c->owner, 0, (size_t)c->count * sizeof *c->owner);
	memset(c->seen, 0, (size_t)c->count * sizeof *c->seen);
	read_place(c, "owners", order_scan_owners, on_owner);
	read_place(c, "list", order_scan_list, on_listed);
	read_place(c, "dead letters", order_scan_letters, on_letter);
	read_place(c, "MySQL", NULL, on_row);
	if (c->status == STATUS_OK && !c->has_grown)
		compare_orders(c);
}

static void compare_windows(struct compare *c)
{
	const int64_t most = c->options->window ? c->options->window : WINDOW;
	c->total = ranges_total(&c->ranges);
	int64_t window = c->total < most ? c->total : most;
	c->owner = alloc((size_t)(window + 1) * sizeof *c->owner);
	c->seen = alloc((size_t)(window + 1) * sizeof *c->seen);
	c->has_grown = false;
	c->last_owner = c->last_listed = c->last_row = c->behind = c->certain = c->possible = 0;
	c->first = 0;
	do {
		c->count = c->total - c->first < window ? c->total - c->first : window;
		compare_window(c);
		c->first += c->count;
	} while (c->first < c->total && c->status == STATUS_OK);
	free(c->owner);
	free(c->seen);
}

static int64_t bounded(int64_t units)
{
	const int64_t most = 1000000000; /* units of a coupon */
	return units < 0 ? 0 : units < most ? units : most;
}

static int64_t most_numbers(const struct audit *a)
{
	int64_t hub = bounded(a->amount), amount = hub > a->coupon.amount ? hub : a->coupon.amount;
	return amount + a->cancelled + bounded(a->skipped);
}

enum status audit_orders(struct service *svc, struct audit *audit, int segment, const struct audit_options *options)
{
	struct compare c = { .svc = svc,
			     .audit = audit,
			     .segment = &audit->segments[segment],
			     .segment_number = segment,
			     .options = options,
			     .most = most_numbers(audit) };
	const struct findings before = audit->findings;
	c.status = read_ranges(&c);
	for (int try = 0; c.status == STATUS_OK && (!try || c.has_grown) && try < TRIES; try++) {
		audit->findings.count = before.count;
		audit->findings.more = before.more;
		compare_windows(&c);
	}
	if (c.status == STATUS_OK && !c.has_grown)
		compare_segment(&c);
	arena_release(&c.arena);
	arena_release(&c.ranges_arena);
	return c.status;
}
