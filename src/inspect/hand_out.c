/*
 * MySQL hands out a base for each segment that must be opened, and a term for a suspect hub. They are above every base,
 * order number and term that MySQL, the slots and this host's high-water table have, so that no number is given out
 * twice, whatever a server has lost.
 */
#include "catalog/supply.h"
#include "inspect/inspection.h"
#include "catalog/settings.h"
#include "stock/acknowledged.h"

static int64_t higher(int64_t one, int64_t other)
{
	return one > other ? one : other;
}

static void alloc_numbering(struct inspection *in)
{
	size_t segments = (size_t)in->coupon.segments;
	struct numbering *n = &in->numbering;
	n->wanted = arena_alloc(in->arena, segments * sizeof *n->wanted);
	n->above = arena_alloc(in->arena, segments * sizeof *n->above);
	n->known = arena_alloc(in->arena, segments * sizeof *n->known);
	n->before = arena_alloc(in->arena, segments * sizeof *n->before);
	n->bases = arena_alloc(in->arena, segments * sizeof *n->bases);
}

/*
 * A segment that an inspection began to mend may have a last number that belongs to a later base than the segment's.
 * Then the numbers of the segment's base cannot be counted.
 */
static struct range count_numbers(const struct slot *s)
{
	int64_t count = s->now.last - s->now.base;
	return (struct range){ s->now.base, count <= s->now.sold ? count : 0 };
}

static void ask_for_base(struct inspection *in, int i)
{
	const struct slot *s = &in->segments[i];
	struct numbering *n = &in->numbering;
	n->wanted[i] = slot_to_open(s);
	n->term = higher(n->term, s->now.term); /* MySQL may have been restored from an old backup */
	n->above[i] = higher(higher(s->now.last, s->now.base), s->at_hub.base);
	n->above[i] = higher(n->above[i], acknowledged_read(in->svc, in->coupon.id, i));
	n->known[i] = count_numbers(s);
}

void inspection_hand_out_numbers(struct inspection *in)
{
	struct numbering *n = &in->numbering;
	*n = (struct numbering){ .coupon = in->coupon.id,
				 .segments = in->coupon.segments,
				 .hub = in->hub.suspect,
				 .term = in->at_hub.term,
				 .seen = in->cursors };
	alloc_numbering(in);
	bool any = n->hub;
	for (int i = 0; i < in->coupon.segments; i++) {
		ask_for_base(in, i);
		any |= n->wanted[i];
	}
	enum status s = any ? numbers_hand_out(in->svc, in->arena, n) : STATUS_OK;
	if (s == STATUS_BUSY)
		in->must_retry = true;
	else
		in->status = s;
}

/* Slots that are closed already keep their own problem. */
static void close_slot(struct slot *s)
{
	if (s->problem || s->away)
		return;
	s->suspect = true;
	s->problem =
		"knows of orders that are over and that MySQL has as live: MySQL was restored from an older backup";
}

bool inspection_is_mysql_older(struct inspection *in)
{
	bool is_older = false;
	if (in->at_hub.cancelled <= in->over)
		return false;
	in->status = supply_check_mysql(in->svc, in->arena, in->coupon.id, &is_older);
	if (!is_older)
		return false;
	close_slot(&in->hub);
	for (int i = 0; i < in->coupon.segments; i++)
		close_slot(&in->segments[i]);
	return true;
}

/*
 * A server may have lost a change of the state that was acknowledged, and MySQL may have been restored from an older
 * backup; so the highest version that any of them has is right. A slot that has a lower one and is open is told by the
 * drainers.
 */
void inspection_find_steering(struct inspection *in)
{
	int64_t in_mysql = in->steering.version;
	bool is_behind = false;
	steering_raise(&in->steering, &in->at_hub.steering);
	for (int i = 0; i < in->coupon.segments; i++)
		steering_raise(&in->steering, &in->segments[i].now.steering);
	for (int i = 0; i < in->coupon.segments; i++)
		is_behind |= !in->segments[i].away && in->segments[i].now.steering.version < in->steering.version;
	if (in->steering.version > in_mysql)
		in->status = settings_raise(in->svc, in->coupon.id, &in->steering);
	else if (is_behind)
		in->status = settings_untell(in->svc, in->coupon.id);
}

/* Brings the totals of units put on sale in MySQL and in the hub to the same state, before units are compared. */
void inspection_raise_amount(struct inspection *in)
{
	struct supply_opening o;
	enum status s = supply_redo(in->svc, in->arena, in->coupon.id, &o);
	if (s == STATUS_UNAVAILABLE || s == STATUS_INTERNAL)
		in->status = s;
	else if (s != STATUS_OK)
		in->must_retry = true;
}
