/*
 * Decides from what was read which slots are suspect, which may be opened, and which ones contradict themselves, MySQL
 * or each other. Sends no command.
 */
#include "base/clock.h"
#include "inspect/inspection.h"
#include "sale/fence.h"

/* Fences */

static bool ends_with(struct str fence, struct str end)
{
	return fence.n > end.n && memcmp(fence.p + fence.n - end.n, end.p, end.n) == 0;
}

static bool is_stray(struct str fence)
{
	return ends_with(fence, STR(FENCE_STRAY));
}

/* A recovery stopped before it opened this slot, or this server lost that recovery's writes. */
static bool is_half_recovered(const struct inspection *in, struct str fence)
{
	int64_t generation = fence_generation(fence);
	return (generation && generation < in->coupon.generation) || ends_with(fence, STR(FENCE_RECOVERING)) ||
	       ends_with(fence, STR(FENCE_RECOVERED));
}

static bool is_quarantined(struct str fence)
{
	return !memchr(fence.p, '@', fence.n);
}

static const char *find_fence_problem(struct inspection *in, struct str fence)
{
	if (!fence.n)
		return "does not exist";
	if (fence_layout(fence) != LAYOUT)
		return arena_printf(in->arena, "has layout %lld, and this program uses layout %d",
				    (long long)fence_layout(fence), LAYOUT);
	if (fence_generation(fence) != in->coupon.generation)
		return "belongs to another generation";
	return is_quarantined(fence) && !is_stray(fence) ? "was quarantined before" : NULL;
}

static void note_away(struct inspection *in, struct slot *s)
{
	if (s == &in->hub)
		in->status = STATUS_UNAVAILABLE;
	else
		s->away = in->away = true;
}

/* A slot with the fence of a stray is suspect in any incarnation, because its coupon is in MySQL again. */
static void judge_fence(struct inspection *in, struct slot *s)
{
	static const char unknown[] = "0000000000000000";
	if (!s->problem) /* else its key is not a hash */
		s->problem = find_fence_problem(in, s->fence);
	s->half_recovered = is_half_recovered(in, s->fence);
	if (s->problem)
		return;
	if (is_stray(s->fence))
		s->suspect = true;
	else if (str_eq(s->incarnation, STR(unknown)))
		note_away(in, s);
	else
		s->suspect = !str_eq(fence_incarnation(s->fence), s->incarnation);
}

/*
 * MySQL or the hub has a higher base than the one under which the segment was opened. Drainers commit nothing of such a
 * segment, so it must be opened anew.
 */
static bool has_replaced_base(const struct inspection *in, const struct slot *s)
{
	int64_t base = s->now.base;
	return base < in->cursors[inspection_segment_number(in, s)].base || base < s->at_hub.base;
}

bool inspection_judge_fences(struct inspection *in)
{
	bool any = false;
	judge_fence(in, &in->hub);
	for (int i = 0; i < in->coupon.segments; i++) {
		struct slot *s = &in->segments[i];
		if (s->away)
			continue;
		judge_fence(in, s);
		s->suspect |= !s->problem && !s->away && has_replaced_base(in, s);
		any |= s->suspect || slot_to_report(s);
	}
	return any || in->hub.suspect;
}

/* What can be opened now */

int inspection_count_unreported(const struct inspection *in)
{
	int count = 0;
	for (int i = 0; i < in->coupon.segments; i++)
		count += in->segments[i].unreported;
	return count;
}

static bool must_wait(const struct inspection *in)
{
	bool waits = in->hub.suspect || (in->at_hub.is_opening && !in->sold_out_expired);
	for (int i = 0; i < in->coupon.segments; i++)
		waits |= in->segments[i].away && in->segments[i].unreported;
	return waits;
}

/*
 * Suspect segments must wait for a later inspection if the hub has not begun its term, if sold-out notices of workers
 * may be valid, or if a segment that has not reported to the hub is unreachable: no segment may be opened before all
 * have reported (tests/model/lossy: opens-unheard). A segment that waits gets no base.
 */
void inspection_mark_waiting(struct inspection *in)
{
	if (in->at_hub.is_opening && !in->hub.suspect)
		inspection_note_opening(in, in->at_hub.epoch, clock_mono_ms());
	bool waits = must_wait(in);
	for (int i = 0; i < in->coupon.segments; i++)
		in->segments[i].waits |= waits && in->segments[i].suspect;
}

bool inspection_has_work(const struct inspection *in)
{
	bool any = in->hub.suspect;
	for (int i = 0; i < in->coupon.segments; i++)
		any |= slot_to_open(&in->segments[i]) || slot_to_report(&in->segments[i]);
	return any;
}

bool inspection_lost_slots(const struct inspection *in, bool *any_left)
{
	int lost = 0, others = 0;
	*any_left = false;
	for (int i = -1; i < in->coupon.segments; i++) {
		const struct slot *s = i < 0 ? &in->hub : &in->segments[i];
		bool gone = !s->away && !s->fence.n;
		lost += gone || (!s->away && s->half_recovered);
		others += s->away || (!gone && !s->problem);
		*any_left |= !gone;
	}
	return lost && lost + others == in->coupon.segments + 1;
}

void inspection_refuse(struct inspection *in, const char *problem)
{
	for (int i = 0; i < in->coupon.segments; i++)
		if (slot_to_open(&in->segments[i]))
			in->segments[i].problem = problem;
}

/* Numbers of a segment */

/* NULL if the list is exactly cursor.next..last of the present base, or no order waits for a drainer. */
static const char *find_list_problem(const struct inspection *in, const struct slot *s)
{
	struct cursor cursor = in->numbering.before[inspection_segment_number(in, s)];
	if (s->list_first < 0 || s->list_last < 0) /* not an order record: a drainer makes it a dead letter */
		return NULL;
	if (cursor.base != s->now.base || cursor.next > s->now.last)
		return NULL;
	if (!s->list_first)
		return "has an empty list, and MySQL lacks some of its orders";
	if (s->list_first > cursor.next)
		return "has a list without its first orders, and MySQL lacks them";
	return s->list_last != s->now.last ? "has a list that does not end with its last order" : NULL;
}

static const char *find_field_problem(const struct slot_segment *now)
{
	const struct {
		int64_t value;
		const char *problem;
	} fields[] = { { now->sold, "has no valid number in its field 'sold'" },
		       { now->last, "has no valid number in its field 'last'" },
		       { now->received, "has no valid number in its field 'I' (units received)" },
		       { now->sent, "has no valid number in its field 'O' (units returned)" },
		       { now->base, "has no valid number in its field 'base'" } };
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (fields[i].value < 0)
			return fields[i].problem;
	return NULL;
}

static const char *find_number_problem(const struct inspection *in, const struct slot *s)
{
	const struct slot_segment *now = &s->now;
	const char *problem = find_field_problem(now);
	if (problem)
		return problem;
	if (now->last < now->base)
		return "has a last order number below its base";
	if (now->sold + now->sent > now->received)
		return "has sold and returned more units than it received";
	if (in->numbering.before[inspection_segment_number(in, s)].base < now->base)
		return "has order numbers that MySQL has not handed out: MySQL was restored from an older backup";
	return NULL;
}

static void judge_segment(struct inspection *in, struct slot *s, int i)
{
	int64_t base = in->numbering.bases[i];
	if (s->now.last >= base || s->now.base >= base) { /* another inspection has opened it since */
		in->must_retry = true;
		return;
	}
	s->problem = find_number_problem(in, s);
	if (!s->problem) {
		s->problem = find_list_problem(in, s);
		in->lost_records |= s->problem != NULL;
	}
}

void inspection_judge_numbers(struct inspection *in)
{
	inspection_each(in, judge_segment);
}

/*
 * Checks the units of all segments together. A segment that has not reported by now is quarantined or unreachable, or
 * another inspection opens it. If the hub lacks units, an unreachable segment may have them.
 */
void inspection_judge_units(struct inspection *in)
{
	bool is_blocked = false, is_short = in->at_hub.avail < 0;
	for (int i = 0; i < in->coupon.segments; i++)
		is_blocked |= in->segments[i].unreported && in->segments[i].problem;
	if (is_blocked)
		inspection_refuse(in,
				  "cannot be opened: another segment is quarantined and has not reported to the hub");
	else if (inspection_count_unreported(in) || (is_short && in->away))
		in->must_retry = true;
	else if (is_short)
		inspection_refuse(in, "would sell more than was put on sale");
}
