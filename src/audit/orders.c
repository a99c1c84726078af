/*
 * One segment, order by order. The owners are read first, then the list, the
 * dead letters, the rows: orders only move that way, so one that is in none
 * of the places it can still reach is lost, also while the sale goes on. What
 * is kept of an order is nine bytes, and of so many at a time as the window
 * has; a segment that sold more is read again for the next ones.
 *
 * The numbers that are looked at are those of the segment's ranges, the last
 * of which ends with the segment's last number. How many an earlier range has
 * MySQL knows; but a number that anybody knows was given out, and so were all
 * below it in its range.
 */
#include <stdlib.h>

#include "audit/compare.h"
#include "audit/scan.h"
#include "sale/key.h"
#include "stock/acknowledged.h"

enum { WINDOW = 1 << 20, STEP = 16384, TRIES = 3, MARKED = 1 << 16 /* bases of which marks are looked for */ };

void compare_add(struct compare *c, struct finding one)
{
	one.segment = c->number_of_segment;
	findings_add(&c->audit->findings, one);
}

bool compare_is_first_window(const struct compare *c)
{
	return c->first == 0;
}

void compare_progress(struct compare *c)
{
	if (++c->read % STEP == 0 && c->manner->progress)
		c->manner->progress(c->manner->context, c->number_of_segment, c->place, c->read);
}

/* Numbers and their places */

/* False: no range can have so many numbers, or one with this base was not handed out. */
static bool extend(struct compare *c, int64_t number)
{
	struct range range = ranges_of(&c->ranges, number);
	if (number <= 0 || number - range.base > c->most || range.base > c->segment->cursor.base)
		return false;
	if (number - range.base > range.count)
		ranges_put(&c->ranges_arena, &c->ranges, (struct range){ range.base, number - range.base });
	return true;
}

/* What is above the segment's last number was given out since that was read; else see audit_judge.c. */
static void see_outside(struct compare *c, const struct sighting *s)
{
	if (s->sequence <= 0 || s->sequence > c->segment->last)
		return;
	if (extend(c, s->sequence))
		c->has_grown = true;
	else if (compare_is_first_window(c))
		compare_add(c,
			    (struct finding){ .kind = FINDING_OUT_OF_RANGE, .sequence = s->sequence, .user = s->user });
}

/* Where this number is kept, or -1. Every place is read once a window; what is told of a place, in the first. */
static int64_t place_of(struct compare *c, const struct sighting *s, int64_t *highest)
{
	compare_progress(c);
	if (s->sequence > *highest)
		*highest = s->sequence;
	int64_t place = ranges_place(&c->ranges, s->sequence);
	if (place < 0)
		see_outside(c, s);
	return place >= c->first && place < c->first + c->count ? place - c->first : -1;
}

/* What this host was told in earlier incarnations. */
static void extend_to_marks(struct compare *c)
{
	int64_t last = c->segment->cursor.base;
	int64_t first = last > MARKED * NUMBERS_RANGE ? last - MARKED * NUMBERS_RANGE : 0;
	for (int64_t base = first; base < last; base += NUMBERS_RANGE)
		extend(c, acknowledged_read_above(c->svc, c->audit->coupon.id, c->number_of_segment, base));
}

/*
 * The current range reaches to the segment's last number; what this host was told of, and what customers' lists name,
 * was given out as well.
 */
static enum status read_ranges(struct compare *c)
{
	const struct audit_segment *s = c->segment;
	const struct listed *listed;
	int64_t given = s->last > s->base ? s->last - s->base : 0;
	enum status status =
		ranges_read(c->svc, &c->ranges_arena, c->audit->coupon.id, c->number_of_segment, &c->ranges);
	if (status != STATUS_OK)
		return status;
	ranges_put(&c->ranges_arena, &c->ranges, (struct range){ s->base, given < c->most ? given : c->most });
	extend(c, s->told);
	extend_to_marks(c);
	int n = audit_lists_of(c->audit->lists, c->audit->coupon.id, c->number_of_segment, &listed);
	for (int i = 0; i < n; i++)
		extend(c, listed[i].number);
	return STATUS_OK;
}

/* Seeing */

/* Each user claims from one segment, so who has two orders has one of them in another's. */
static void see_stranger(struct compare *c, const struct sighting *s, int home)
{
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	arena_reset(&c->arena);
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_OWNERS, c->audit->coupon.id, home);
	redis_put_int(&cmd, s->user);
	if (redis_call(c->svc->redis_sync, &c->arena, &cmd, &reply) != REDIS_ANSWER)
		c->status = STATUS_UNAVAILABLE;
	struct finding f = { .sequence = s->sequence, .user = s->user, .is = redis_number(reply), .want = home };
	f.kind = f.is ? FINDING_TWO_ORDERS : FINDING_STRANGER;
	compare_add(c, f);
}

static void see_owner(void *context, const struct sighting *s)
{
	struct compare *c = context;
	if (!s->sequence && compare_is_first_window(c))
		compare_add(c, (struct finding){ .kind = FINDING_BAD_OWNER, .user = s->user });
	int64_t i = place_of(c, s, &c->last_owner);
	if (i < 0)
		return;
	bool twice = (c->seen[i] & OWNED) && c->user[i] != s->user;
	if (twice)
		compare_add(c, (struct finding){ .kind = FINDING_TWO_OWNERS,
						 .sequence = s->sequence,
						 .user = s->user,
						 .is = c->user[i] });
	c->user[i] = s->user;
	c->seen[i] |= twice ? OWNED | TWICE : OWNED;
	int home = coupon_home(&c->audit->coupon, s->user);
	if (home != c->number_of_segment)
		see_stranger(c, s, home);
}

/* The user of an order in another place than the owners. */
static void see_user(struct compare *c, int64_t i, const struct sighting *s, enum finding_kind other)
{
	if (!c->user[i])
		c->user[i] = s->user;
	else if (c->user[i] != s->user && (c->seen[i] & (OWNED | TWICE)) == OWNED)
		compare_add(c, (struct finding){
				       .kind = other, .sequence = s->sequence, .user = c->user[i], .is = s->user });
}

/*
 * The list is seen from its end; what was pushed meanwhile shows as a step back. Numbers jump where one range ends and
 * another begins, and before those that are named lost; not among those of the current range.
 */
static void see_order_of_list(struct compare *c, const struct sighting *s)
{
	if (!s->sequence)
		compare_add(c, (struct finding){ .kind = FINDING_GARBAGE });
	if (!s->sequence || !compare_is_first_window(c))
		return;
	if (s->sequence < c->behind - 1 && s->sequence > c->segment->base)
		compare_add(c, (struct finding){ .kind = FINDING_DISORDER, .sequence = c->behind, .is = s->sequence });
	c->behind = s->sequence;
}

static void see_listed(void *context, const struct sighting *s)
{
	struct compare *c = context;
	if (compare_is_first_window(c))
		see_order_of_list(c, s);
	int64_t i = place_of(c, s, &c->last_listed);
	if (i < 0)
		return;
	if (s->user)
		see_user(c, i, s, FINDING_OTHER_IN_LIST);
	c->seen[i] |= s->user ? QUEUED : NAMED;
}

/* A letter of another user under this number says nothing about the order. */
static void see_letter(void *context, const struct sighting *s)
{
	static const enum seen bits[] = { [LETTER_OF_ORDER] = LETTER, [LETTER_HOLDS] = NAMED, [LETTER_FREE] = FREE };
	struct compare *c = context;
	int64_t any = 0, i = place_of(c, s, &any);
	if (!s->over && compare_is_first_window(c))
		compare_add(c, (struct finding){ .kind = FINDING_DEAD_LETTER, .sequence = s->sequence, .is = s->id });
	if (i < 0 || (s->user && c->user[i] && c->user[i] != s->user))
		return;
	if (s->user)
		c->user[i] = s->user;
	c->seen[i] |= bits[s->unit];
}

static void see_row(void *context, const struct sighting *s)
{
	struct compare *c = context;
	int64_t i = place_of(c, s, &c->last_row);
	if (s->unknown_user)
		compare_add(c,
			    (struct finding){ .kind = FINDING_UNKNOWN_USER, .sequence = s->sequence, .user = s->user });
	if (i < 0)
		return;
	if (!s->over)
		see_user(c, i, s, FINDING_OTHER_IN_ROW);
	c->seen[i] |= s->over ? OVER : ROW;
}

/* Rows of numbers between ranges, too. */
static enum status scan_rows_of_window(struct compare *c, const struct scan *s)
{
	int64_t first = c->first ? ranges_number(&c->ranges, c->first) : 1, next = c->first + c->count;
	return scan_rows(s, first, next < c->total ? ranges_number(&c->ranges, next) - 1 : NUMBER_MAX);
}

static void read_place(struct compare *c, const char *place, enum status (*scan)(const struct scan *),
		       void (*see)(void *, const struct sighting *))
{
	const struct scan s = {
		.svc = c->svc, .coupon = c->audit->coupon.id, .segment = c->number_of_segment, .see = see, .context = c
	};
	c->place = place;
	c->read = 0;
	if (c->status == STATUS_OK)
		c->status = scan ? scan(&s) : scan_rows_of_window(c, &s);
}

/* Windows */

static void compare_window(struct compare *c)
{
	memset(c->user, 0, (size_t)c->count * sizeof *c->user);
	memset(c->seen, 0, (size_t)c->count);
	read_place(c, "owners", scan_owners, see_owner);
	read_place(c, "list", scan_list, see_listed);
	read_place(c, "dead letters", scan_dead, see_letter);
	read_place(c, "MySQL", NULL, see_row);
	if (c->status == STATUS_OK && !c->has_grown)
		judge_window(c);
}

static void compare_windows(struct compare *c, int64_t window)
{
	c->has_grown = false;
	c->last_owner = c->last_listed = c->last_row = c->behind = c->certain = c->possible = 0;
	c->total = ranges_total(&c->ranges);
	c->first = 0;
	do {
		c->count = c->total - c->first < window ? c->total - c->first : window;
		compare_window(c);
		c->first += window;
	} while (c->first < c->total && c->status == STATUS_OK);
}

static int64_t bounded(int64_t units)
{
	const int64_t most = 1000000000; /* that a coupon may have */
	return units < 0 ? 0 : units < most ? units : most;
}

static int64_t most_numbers(const struct audit *a)
{
	int64_t hub = bounded(a->amount), amount = hub > a->coupon.amount ? hub : a->coupon.amount;
	return amount + a->cancelled + bounded(a->skipped);
}

static void allocate(struct compare *c, int64_t window)
{
	c->user = malloc((size_t)window * sizeof *c->user);
	c->seen = malloc((size_t)window);
	if (!c->user || !c->seen)
		abort();
}

enum status audit_orders(struct service *svc, struct audit *audit, int segment, const struct audit_manner *manner)
{
	struct compare c = { .svc = svc,
			     .audit = audit,
			     .segment = &audit->segments[segment],
			     .number_of_segment = segment,
			     .manner = manner,
			     .most = most_numbers(audit) };
	const int64_t most = manner->window ? manner->window : WINDOW;
	const struct findings before = audit->findings;
	c.status = read_ranges(&c);
	for (int try = 0; c.status == STATUS_OK && (!try || c.has_grown) && try < TRIES; try++) {
		int64_t total = ranges_total(&c.ranges), window = total < most ? total : most;
		audit->findings.count = before.count;
		audit->findings.more = before.more;
		allocate(&c, window + 1);
		compare_windows(&c, window + !window);
		free(c.user);
		free(c.seen);
	}
	if (c.status == STATUS_OK && !c.has_grown)
		judge_segment(&c);
	arena_release(&c.arena);
	arena_release(&c.ranges_arena);
	return c.status;
}
