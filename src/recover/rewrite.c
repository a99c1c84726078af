/*
 * Writes the contents of all slots from what MySQL has now. Every write is a script that compares the fence
 * (lua/rewrite.lua), so a recovery that was suspended while a later one took over writes nothing. No claim or refill
 * uses a slot that is half written, because the slot is closed.
 */
#include "catalog/entries.h"
#include "host/fault.h"
#include "lifecycle/ending.h"
#include "recover/recover.h"
#include "recover/recovery.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "sale/scripts.h"
#include "sale/worklist.h"

/* Epochs of a term, as in lua/term.lua. */
#define TERM_EPOCHS  ((int64_t)1 << 20)
#define TERM_TICKETS ((int64_t)1 << 30)

/* A slot, and the one of its keys that a command writes. */
struct slot_key {
	enum key slot, key;
	int segment;
};

static void begin_write(struct redis_command *c, const struct recovery *r, struct slot_key at, const char *command)
{
	redis_script(c, &script_rewrite, 2);
	key_put(c, at.slot, r->coupon.id, at.segment);
	key_put(c, at.key, r->coupon.id, at.segment);
	redis_put(c, r->closed_fence);
	redis_put_text(c, command);
}

static void begin_segment_write(struct redis_command *c, const struct recovery *r, int segment, const char *command)
{
	begin_write(c, r, (struct slot_key){ KEY_SEGMENT, KEY_SEGMENT, segment }, command);
}

static void begin_hub_write(struct redis_command *c, const struct recovery *r, const char *command)
{
	begin_write(c, r, (struct slot_key){ KEY_HUB, KEY_HUB, 0 }, command);
}

static void put_field(struct redis_command *c, const char *name, int64_t value)
{
	redis_put_text(c, name);
	redis_put_int(c, value);
}

/* Waits first, because a script that must be loaded may be executed after one that was sent later. */
static enum status mark_written(struct recovery *r, enum key slot, int segment)
{
	struct redis_command c;
	enum status s = recovery_wait_all(r);
	if (s != STATUS_OK)
		return s;
	fence_change_command(&c, slot, r->coupon.id, segment, r->closed_fence, r->written_fence);
	recovery_send(r, &c);
	return recovery_wait_all(r);
}

/* Orders: the owner's entry, and on a cluster the customer's list */

static void list_order(struct recovery *r, int segment, const struct evidence_order *order)
{
	struct redis_command c;
	char text[ORDER_NUMBER_TEXT];
	redis_command(&c, "ZADD");
	key_put(&c, KEY_CUSTOMER, order->owner.user, 0);
	redis_put_int(&c, order->claimed_ms);
	redis_put(&c, order_number_text(text, r->coupon.id, segment, order->number));
	recovery_send(r, &c);
}

/* Removes a number that the order no longer has from the customer's list. The list keeps orders that are over. */
static void unlist_number(struct recovery *r, int segment, const struct evidence_order *order, int64_t number)
{
	struct redis_command c;
	char text[ORDER_NUMBER_TEXT];
	if (!number || number == order->number || order->source == SOURCE_OVER)
		return;
	redis_command(&c, "ZREM");
	key_put(&c, KEY_CUSTOMER, order->owner.user, 0);
	redis_put(&c, order_number_text(text, r->coupon.id, segment, number));
	recovery_send(r, &c);
}

static void write_owner(struct recovery *r, int segment, const struct evidence_order *order)
{
	struct redis_command c;
	begin_write(&c, r, (struct slot_key){ KEY_SEGMENT, KEY_OWNERS, segment }, order->number ? "HSET" : "HDEL");
	owner_put(&c, order->owner);
	if (order->number)
		redis_put_int(&c, order->number);
	recovery_send(r, &c);
}

static void write_list_of_customer(struct recovery *r, int segment, const struct evidence_order *order)
{
	unlist_number(r, segment, order, order->owner_number);
	if (order->acknowledged != order->owner_number)
		unlist_number(r, segment, order, order->acknowledged);
	if (order->number)
		list_order(r, segment, order);
}

static void write_order(struct recovery *r, int segment, const struct evidence_order *order)
{
	if (!recovery_writes_order(order))
		return;
	write_owner(r, segment, order);
	if (!redis_is_single(r->svc->redis_sync))
		write_list_of_customer(r, segment, order);
}

static void write_orders(struct recovery *r, const struct evidence *e)
{
	enum { GROUP = 1000 };
	for (int i = 0; i < e->order_count; i++) {
		write_order(r, e->segment, &e->orders[i]);
		if (i % GROUP == GROUP - 1)
			redis_wait_all(r->svc->redis_sync);
	}
}

/* Whose orders of a unit of the coupon ended too often cannot claim it again, also if Redis has lost that. */
static enum status write_tombstones(struct recovery *r, int segment)
{
	struct arena a = { 0 };
	struct db_rows rows;
	if (db_query(
		    r->svc->db, &a,
		    "SELECT o.user_id, o.unit, MAX(o.seq) FROM orders o WHERE o.coupon_id = ? AND o.segment = ? AND " ENDING_COUNTS
		    " GROUP BY o.user_id, o.unit HAVING COUNT(*) >= ?",
		    &rows, DB_N(r->coupon.id), DB_N(segment), DB_N(ENDINGS_MAX)))
		return db_status(r->svc->db, "recover");
	for (int i = 0; i < rows.count; i++) {
		struct redis_command c;
		begin_write(&c, r, (struct slot_key){ KEY_SEGMENT, KEY_OWNERS, segment }, "HSETNX");
		const struct db_value *v = db_row(&rows, i);
		owner_put(&c, (struct owner){ v[0].number, (int)v[1].number });
		redis_put_int(&c, -v[2].number);
		recovery_send(r, &c);
	}
	arena_release(&a);
	return STATUS_OK;
}

/* Segments */

static void empty_list(struct recovery *r, int segment)
{
	struct redis_command c;
	begin_write(&c, r, (struct slot_key){ KEY_SEGMENT, KEY_ORDERS, segment }, "DEL");
	recovery_send(r, &c);
}

/* A segment of this version has its state, or has ended since by time (claim.lua): it keeps that. */
static void write_state(struct recovery *r, int segment)
{
	struct redis_command c;
	bool is_older = r->evidence[segment].steering.version < r->steering.version;
	begin_segment_write(&c, r, segment, is_older ? "HSET" : "HSETNX");
	redis_put_text(&c, "state");
	redis_put_text(&c, sale_state_name(r->steering.state));
	recovery_send(r, &c);
}

static void write_segment_numbers(struct recovery *r, int segment)
{
	const struct segment_share *share = &r->segments[segment];
	int64_t base = r->numbering.bases[segment];
	struct redis_command c;
	begin_segment_write(&c, r, segment, "HSET");
	put_field(&c, "version", r->steering.version);
	put_field(&c, "t0", r->steering.starts_ms);
	put_field(&c, "t1", r->steering.ends_ms);
	put_field(&c, "left", 0);
	put_field(&c, "sold", share->sold);
	put_field(&c, "I", share->sold);
	put_field(&c, "O", 0);
	put_field(&c, "base", base);
	put_field(&c, "last", base + share->renumbered);
	put_field(&c, "term", r->numbering.term);
	put_field(&c, "epoch", 0);
	put_field(&c, "until", 0);
	recovery_send(r, &c);
}

/* How many of the units sold have no owner: their orders are over, or lost. Waits until the owners are written. */
static enum status write_unowned(struct recovery *r, int segment)
{
	struct redis_command c;
	const struct redis_reply *owners = NULL;
	enum status s = recovery_wait_all(r);
	if (s != STATUS_OK)
		return s;
	redis_command(&c, "HLEN");
	key_put(&c, KEY_OWNERS, r->coupon.id, segment);
	if (redis_call(r->svc->redis_sync, r->arena, &c, &owners) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	begin_segment_write(&c, r, segment, "HSET");
	put_field(&c, "unowned", r->segments[segment].sold - redis_number(owners));
	recovery_send(r, &c);
	return STATUS_OK;
}

/* Removes the base that an inspection wrote and did not finish with. */
static void remove_next_base(struct recovery *r, int segment)
{
	struct redis_command c;
	begin_segment_write(&c, r, segment, "HDEL");
	redis_put_text(&c, "next");
	recovery_send(r, &c);
}

static enum status write_segment(struct recovery *r, int segment)
{
	write_orders(r, &r->evidence[segment]);
	enum status s = r->cancelled ? write_tombstones(r, segment) : STATUS_OK;
	if (s == STATUS_OK)
		s = write_unowned(r, segment);
	if (s != STATUS_OK)
		return s;
	empty_list(r, segment);
	write_state(r, segment);
	write_segment_numbers(r, segment);
	remove_next_base(r, segment);
	s = mark_written(r, KEY_SEGMENT, segment);
	FAULT(recover_segment);
	return s;
}

/* The hub */

static void put_characters(struct redis_command *c, const struct recovery *r, const char *name, char character)
{
	char characters[SEGMENTS_MAX];
	memset(characters, character, sizeof characters);
	redis_put_text(c, name);
	redis_put(c, (struct str){ characters, (size_t)r->coupon.segments });
}

static int64_t count_sold(const struct recovery *r)
{
	int64_t sold = 0;
	for (int i = 0; i < r->coupon.segments; i++)
		sold += r->segments[i].sold;
	return sold;
}

/*
 * Nobody is promoted before the drainers have completed the list (waiting/relist.h), which stays where it is; until
 * then the hub acts as if somebody waits. Tickets of a term begin above those of earlier ones, as in lua/term.lua.
 */
static void write_hub_list(struct recovery *r)
{
	struct redis_command c;
	begin_hub_write(&c, r, "HSET");
	put_field(&c, "queue", 1);
	put_field(&c, "ticket", r->numbering.term * TERM_TICKETS);
	put_field(&c, "waits", 2);
	recovery_send(r, &c);
	worklist_wait(r->svc->redis_sync, r->coupon.id, r->coupon.segments);
}

/*
 * The hub gets all units that are left. `skipped` is the difference between the units put on sale and those that hub
 * and segments count. It is 0 unless more was sold than was put on sale, or rows name segments that the coupon does not
 * have.
 */
static void write_hub_totals(struct recovery *r)
{
	struct redis_command c;
	int64_t units = r->coupon.amount + r->cancelled - r->withdrawn, left = units - r->out->orders - r->held;
	r->out->available = left > 0 ? left : 0;
	begin_hub_write(&c, r, "HSET");
	put_field(&c, "amount", r->coupon.amount);
	put_field(&c, "cancelled", r->cancelled);
	put_field(&c, "withdrawn", r->withdrawn);
	put_field(&c, "missed", r->missed);
	put_field(&c, "final", r->final);
	put_field(&c, "final_cancelled", r->final_cancelled);
	put_field(&c, "pays", r->coupon.pay_within_s > 0);
	put_field(&c, "pay_by", 0); /* not known */
	put_field(&c, "segments", r->coupon.segments);
	put_field(&c, "avail", r->out->available);
	put_field(&c, "skipped", r->out->available + count_sold(r) - units);
	put_field(&c, "sold_out", 0);
	put_field(&c, "opening", 0);
	put_field(&c, "term", r->numbering.term);
	put_field(&c, "epoch", r->numbering.term * TERM_EPOCHS);
	put_characters(&c, r, "empty", '0');
	put_characters(&c, r, "heard", '1');
	recovery_send(r, &c);
	if (r->coupon.waits)
		write_hub_list(r);
}

static void write_hub_state(struct recovery *r)
{
	struct redis_command c;
	begin_hub_write(&c, r, "HSET");
	put_field(&c, "version", r->steering.version);
	put_field(&c, "t0", r->steering.starts_ms);
	put_field(&c, "t1", r->steering.ends_ms);
	redis_put_text(&c, "state");
	redis_put_text(&c, sale_state_name(r->steering.state));
	recovery_send(r, &c);
}

static void write_hub_share(struct recovery *r, int segment)
{
	struct redis_command c;
	begin_hub_write(&c, r, "HSET");
	put_field(&c, arena_printf(r->arena, "G%d", segment), r->segments[segment].sold);
	put_field(&c, arena_printf(r->arena, "R%d", segment), 0);
	put_field(&c, arena_printf(r->arena, "B%d", segment), r->numbering.bases[segment]);
	if (r->coupon.waits) { /* who was promoted and has no order waits again */
		redis_put_text(&c, arena_printf(r->arena, "P%d", segment));
		redis_put_text(&c, "");
	}
	recovery_send(r, &c);
}

static enum status write_hub(struct recovery *r)
{
	write_hub_totals(r);
	write_hub_state(r);
	for (int i = 0; i < r->coupon.segments; i++)
		write_hub_share(r, i);
	return mark_written(r, KEY_HUB, 0);
}

enum status recovery_rewrite(struct recovery *r)
{
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++)
		s = write_segment(r, i);
	if (s == STATUS_OK)
		s = write_hub(r);
	return s == STATUS_OK ? entries_write(r->svc, r->arena, &r->coupon) : s;
}
