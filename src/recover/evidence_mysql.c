/* Reads evidence from MySQL: ranges of order numbers, rows, dead letters. */
#include "order/order_scan.h"
#include "recover/evidence.h"
#include "sale/numbers.h"

/* Of the last range MySQL has only the cursor, not a count: with `stored` 0 the recovery writes the count. */
static enum status read_ranges(struct service *svc, int64_t coupon, struct evidence *e)
{
	struct arena a = { 0 };
	struct ranges r;
	enum status s = ranges_read(svc, &a, coupon, e->segment, &r);
	for (int i = 0; s == STATUS_OK && i < r.count; i++)
		evidence_note_range(e, (struct evidence_range){ .base = r.at[i].base,
								.count = r.at[i].count,
								.stored = i + 1 < r.count ? r.at[i].count : 0 });
	arena_release(&a);
	return s;
}

/* An order that is over has no owner: only its number is added. */
static void add_row(void *context, const struct scanned_order *o)
{
	struct evidence *e = context;
	evidence_add_number(e, (struct evidence_number){ .number = o->sequence,
							 .owner = { o->user, o->unit },
							 .standing = NUMBER_HAS_ROW });
	if (!o->over)
		evidence_add_order(e, (struct evidence_order){ .owner = { o->user, o->unit },
							       .number = o->sequence,
							       .claimed_ms = o->claimed_ms,
							       .source = SOURCE_ROW });
}

static enum evidence_standing standing_of(const struct scanned_order *o)
{
	if (o->state == DEAD_RETRIED)
		return NUMBER_FREE;
	if (str_eq(o->reason, STR(REASON_LOST)) || str_eq(o->reason, STR(REASON_LOST_FOUND)))
		return NUMBER_LOST;
	return !o->has_number || o->state == DEAD_RESOLD ? NUMBER_FREE : NUMBER_HAS_LETTER;
}

static void add_letter(void *context, const struct scanned_order *o)
{
	struct evidence *e = context;
	enum evidence_standing standing = standing_of(o);
	bool is_held = str_eq(o->reason, STR(REASON_LOST)) && o->has_number && o->state != DEAD_RESOLD;
	if (!o->sequence)
		return;
	evidence_add_number(e, (struct evidence_number){ .number = o->sequence,
							 .owner = { o->user, o->unit },
							 .letter = standing == NUMBER_FREE && o->over ? 0 : o->id,
							 .standing = standing,
							 .is_held = is_held });
	if (standing == NUMBER_HAS_LETTER && o->user && o->recorded == o->sequence)
		evidence_add_order(e, (struct evidence_order){ .owner = { o->user, o->unit },
							       .number = o->sequence,
							       .claimed_ms = o->claimed_ms,
							       .ticket = o->ticket,
							       .source = SOURCE_DEAD_LETTER });
}

enum status evidence_read_mysql(struct service *svc, const struct coupon *c, struct evidence *e)
{
	const struct order_scan rows = { svc, c->id, e->segment, add_row, e };
	const struct order_scan letters = { svc, c->id, e->segment, add_letter, e };
	enum status s = read_ranges(svc, c->id, e);
	if (s == STATUS_OK)
		s = order_scan_rows(&rows, 1, NUMBER_MAX);
	if (s == STATUS_OK)
		s = order_scan_letters(&letters);
	evidence_sort_numbers(e);
	return s;
}
