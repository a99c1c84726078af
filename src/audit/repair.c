/*
 * The table `repairs` at the end of this file has the function that repairs each kind of finding.
 *
 * Each repair is one atomic step that does nothing if something has changed since the audit. So a repair may run during
 * the sale, while drainers work, and twice.
 */
#include "audit/repair.h"

#include "base/clock.h"
#include "catalog/launch.h"
#include "order/lost.h"
#include "order/order.h"
#include "order/trace.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/sale_clock.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/claim.h"

static enum repair_outcome needs_operator(struct repair_job *j, const char *why)
{
	j->why = why;
	return REPAIR_NEEDS_OPERATOR;
}

static enum repair_outcome unreachable(struct repair_job *j)
{
	j->why = "a server is unreachable or refuses commands: run seckillctl check";
	return REPAIR_AWAY;
}

static enum repair_outcome repair_send(struct repair_job *j, const struct redis_command *c,
				       const struct redis_reply **reply)
{
	return redis_call(j->svc->redis_sync, j->arena, c, reply) == REDIS_ANSWER ? REPAIR_DONE : unreachable(j);
}

static bool has_lost_hub(const struct audit *a)
{
	for (int i = 0; i < a->findings.count; i++)
		if (a->findings.at[i].kind == FINDING_HUB_GENERATION)
			return true;
	return false;
}

static enum repair_outcome write_entries(struct repair_job *j)
{
	const struct coupon *c = &j->audit->coupon;
	if (has_lost_hub(j->audit))
		return needs_operator(j, "the coupon's hub in Redis is gone: run seckillctl recover");
	if (j->dry)
		return REPAIR_DONE;
	enum status s = launch_heal(j->svc, j->arena, c->seller_name, c->name);
	if (s == STATUS_UNAVAILABLE)
		return unreachable(j);
	return s == STATUS_OK ? REPAIR_DONE : needs_operator(j, status_text(s));
}

static enum repair_outcome add_to_worklist(struct repair_job *j, enum key set)
{
	const struct coupon *coupon = &j->audit->coupon;
	struct redis_command c;
	worklist_command(&c, "SADD", set, coupon->id, coupon->segments);
	return j->dry ? REPAIR_DONE : repair_send(j, &c, NULL);
}

static enum repair_outcome add_to_dirty(struct repair_job *j)
{
	return add_to_worklist(j, KEY_DIRTY);
}

/* A value of waits above 1 (lua/relist.lua): the drainers compare the list before they promote anybody. */
static enum repair_outcome complete_list(struct repair_job *j)
{
	struct redis_command c;
	if (j->dry)
		return REPAIR_DONE;
	redis_command(&c, "HINCRBY");
	key_put(&c, KEY_HUB, j->audit->coupon.id, 0);
	redis_put_text(&c, "waits");
	redis_put_int(&c, 1);
	enum repair_outcome outcome = repair_send(j, &c, NULL);
	return outcome == REPAIR_DONE ? add_to_worklist(j, KEY_WAITED) : outcome;
}

/* Reads the time of the claim from the row, the list or the dead letter. */
static enum repair_outcome add_to_customer_list(struct repair_job *j)
{
	const struct finding *f = j->finding;
	struct order o = { .coupon = j->audit->coupon.id, .segment = f->segment, .sequence = f->sequence };
	struct redis_command c;
	char order[ORDER_NUMBER_TEXT];
	enum status s = order_read(j->svc, j->arena, &o);
	if (s != STATUS_OK && s != STATUS_NO_SUCH_ORDER)
		return unreachable(j);
	if (s == STATUS_NO_SUCH_ORDER || o.user != f->user)
		return needs_operator(j, "the order is lost, or belongs to another customer");
	redis_command(&c, "ZADD");
	key_put(&c, KEY_CUSTOMER, f->user, 0);
	redis_put_int(&c, o.claimed_ms);
	redis_put(&c, order_number_text(order, o.coupon, o.segment, o.sequence));
	return j->dry ? REPAIR_DONE : repair_send(j, &c, NULL);
}

/* Workers cache the winners per epoch; raise the epoch so that they read them again. */
static enum repair_outcome renew_winners(struct repair_job *j)
{
	struct redis_command c;
	redis_command(&c, "HINCRBY");
	key_put(&c, KEY_HUB, j->audit->coupon.id, 0);
	redis_put_text(&c, "epoch");
	redis_put_int(&c, 1);
	return repair_send(j, &c, NULL);
}

/* For findings about an order and its owner. */
static struct owner owner_of(const struct finding *f)
{
	return (struct owner){ f->user, f->unit };
}

/* If the customer has another order of the unit by now, an operator must decide which of the two remains. */
static enum repair_outcome restore_owner(struct repair_job *j)
{
	const struct finding *f = j->finding;
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	if (!f->user || coupon_home(&j->audit->coupon, f->user) != f->segment)
		return needs_operator(
			j, "neither MySQL nor the list has this order for a customer whose home is this segment");
	redis_command(&c, j->dry ? "HGET" : "HSETNX");
	key_put(&c, KEY_OWNERS, j->audit->coupon.id, f->segment);
	owner_put(&c, owner_of(f));
	if (!j->dry)
		redis_put_int(&c, f->sequence);
	enum repair_outcome outcome = repair_send(j, &c, &reply);
	if (outcome != REPAIR_DONE)
		return outcome;
	bool free = j->dry ? redis_type(reply) == REDIS_NIL : redis_number(reply) == 1;
	if (!free)
		return needs_operator(j, "this customer has another order of the coupon and unit");
	return j->dry ? REPAIR_DONE : renew_winners(j);
}

/* Reads the time of the claim from the customer's list; if no list has the order, takes the present time. */
static enum repair_outcome read_claimed_ms(struct repair_job *j, int64_t *ms)
{
	const struct finding *f = j->finding;
	struct redis_command c;
	const struct redis_reply *now = NULL;
	struct trace t = { .number = { j->audit->coupon.id, f->sequence, f->segment }, .user = f->user };
	if (trace_customer_list(j->svc, j->arena, &t) != STATUS_OK)
		return unreachable(j);
	*ms = t.listed_ms;
	if (*ms > 0)
		return REPAIR_DONE;
	sale_clock_command(&c);
	enum repair_outcome outcome = repair_send(j, &c, &now);
	*ms = sale_clock_ms(now);
	return outcome;
}

/* Drainers stop at a missing order. So if the cursor is not above it, MySQL has no later order of the segment. */
static enum repair_outcome restore_record(struct repair_job *j)
{
	const struct finding *f = j->finding;
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	int64_t ms;
	if (f->sequence < j->audit->segments[f->segment].cursor.next)
		return needs_operator(
			j,
			"the cursor is above this order, so the order was in MySQL or a dead letter: find out what became of it");
	enum repair_outcome outcome = j->dry ? REPAIR_DONE : read_claimed_ms(j, &ms);
	if (j->dry || outcome != REPAIR_DONE)
		return outcome;
	redis_script(&c, &script_restore, 3);
	key_put(&c, KEY_SEGMENT, j->audit->coupon.id, f->segment);
	key_put(&c, KEY_OWNERS, j->audit->coupon.id, f->segment);
	key_put(&c, KEY_ORDERS, j->audit->coupon.id, f->segment);
	fence_put(&c, j->audit->coupon.generation);
	owner_put(&c, owner_of(f));
	redis_put_int(&c, f->sequence);
	redis_put_int(&c, ms);
	outcome = repair_send(j, &c, &reply);
	if (outcome == REPAIR_DONE && !str_eq(redis_text_at(reply, 0), STR("OK")))
		return needs_operator(
			j, "the order's segment is closed or waits for an inspection, or its list is not in order");
	return outcome == REPAIR_DONE ? add_to_dirty(j) : outcome;
}

/* An inspection gives a segment whose base was replaced a new one, and makes segments report to the hub. */
static enum repair_outcome request_inspection(struct repair_job *j)
{
	if (j->finding->is > j->finding->want)
		return needs_operator(j, "MySQL or the hub lost a base that was handed out: run seckillctl recover");
	return add_to_worklist(j, KEY_SUSPECTS);
}

static enum repair_outcome outcome_of_naming(struct repair_job *j, enum status s)
{
	if (s == STATUS_BUSY)
		return needs_operator(
			j, "the order's segment is not open, or got another base since the audit: run the audit again");
	return s == STATUS_OK ? REPAIR_DONE : unreachable(j);
}

/* lost_decide reads the customer's list again, because the order may have been recorded as lost since the audit. */
static enum repair_outcome name_acknowledged(struct repair_job *j)
{
	const struct finding *f = j->finding;
	const struct lost_candidate s = { j->audit->coupon.id, f->sequence, f->user, f->segment };
	return j->dry ? REPAIR_DONE : outcome_of_naming(j, lost_decide(j->svc, j->arena, &s));
}

/* The number is at or below the segment's base, so it is not given out again and holds no unit: it is only recorded. */
static enum repair_outcome name_number(struct repair_job *j)
{
	const struct finding *f = j->finding;
	const struct lost_candidate s = { j->audit->coupon.id, f->sequence, 0, f->segment };
	int64_t base = j->audit->segments[f->segment].own.base;
	if (f->sequence > base)
		return needs_operator(j, "the segment may give this number to another order: run seckillctl recover");
	return j->dry ? REPAIR_DONE : outcome_of_naming(j, lost_name(j->svc, j->arena, &s, base, clock_ms()));
}

/* Counts the numbers, from the cursor to the last row, that have a row or a dead letter. */
static enum repair_outcome count_drained(struct repair_job *j, int64_t *count)
{
	const struct finding *f = j->finding;
	const struct db_value v[] = { DB_N(j->audit->coupon.id), DB_N(f->segment), DB_N(f->is), DB_N(f->want) };
	struct db_rows rows;
	if (db_query_row(
		    j->svc->db, j->arena,
		    "SELECT COUNT(*) FROM (SELECT seq FROM orders WHERE coupon_id = ? AND segment = ? AND "
		    "seq BETWEEN ? AND ? UNION SELECT seq FROM dead_letters WHERE coupon_id = ? AND segment = ? AND "
		    "seq BETWEEN ? AND ?) t",
		    &rows, v[0], v[1], v[2], v[3], v[0], v[1], v[2], v[3]))
		return unreachable(j);
	*count = db_row(&rows, 0)->number;
	return REPAIR_DONE;
}

/* Does nothing if a drainer has moved the cursor since the audit. */
static enum repair_outcome move_cursor(struct repair_job *j)
{
	const struct finding *f = j->finding;
	const int64_t coupon = j->audit->coupon.id;
	int64_t count = 0, changed = 0;
	struct db *db = j->svc->db;
	enum repair_outcome outcome = count_drained(j, &count);
	if (outcome != REPAIR_DONE)
		return outcome;
	if (count != f->want - f->is + 1)
		return needs_operator(
			j, "orders between the cursor and the last row are not in MySQL: find out what became of them");
	if (j->dry)
		return REPAIR_DONE;
	if (db_exec(db,
		    "UPDATE drain_cursors SET next_number = ? WHERE coupon_id = ? AND segment = ? AND next_number = ?",
		    &changed, DB_N(f->want + 1), DB_N(coupon), DB_N(f->segment), DB_N(f->is)))
		return unreachable(j);
	if (changed)
		return REPAIR_DONE;
	/* Without a row the cursor counts as 1. */
	if (f->is == 1 && db_exec(db, "INSERT INTO drain_cursors (coupon_id, segment, next_number) VALUES (?, ?, ?)",
				  NULL, DB_N(coupon), DB_N(f->segment), DB_N(f->want + 1)) == 0)
		return REPAIR_DONE;
	return needs_operator(j, "the cursor has moved since the audit: run the audit again");
}

/* Changes MySQL by a statement whose conditions say that the finding is still true; ends with the order's numbers. */
static enum repair_outcome change_row(struct repair_job *j, const char *sql)
{
	const struct finding *f = j->finding;
	int64_t changed = 0;
	if (j->dry)
		return REPAIR_DONE;
	if (db_exec(j->svc->db, sql, &changed, DB_N(j->audit->coupon.id), DB_N(f->segment), DB_N(f->sequence)) &&
	    db_failure(j->svc->db) != DB_DUPLICATE)
		return unreachable(j);
	return REPAIR_DONE;
}

static enum repair_outcome return_order(struct repair_job *j)
{
	return change_row(
		j,
		"INSERT INTO returned_orders (coupon_id, segment, seq, user_id, unit) SELECT coupon_id, segment, seq, "
		"user_id, unit FROM orders WHERE coupon_id = ? AND segment = ? AND seq = ? AND live_user IS NULL");
}

static enum repair_outcome await_payment(struct repair_job *j)
{
	return change_row(j,
			  "INSERT INTO unpaid_orders (coupon_id, pay_by_ms, segment, seq) SELECT coupon_id, pay_by_ms, "
			  "segment, seq FROM orders WHERE coupon_id = ? AND segment = ? AND seq = ? AND status = 1 AND "
			  "pay_by_ms > 0");
}

static enum repair_outcome await_no_payment(struct repair_job *j)
{
	return change_row(
		j,
		"DELETE FROM unpaid_orders WHERE coupon_id = ? AND segment = ? AND seq = ? AND NOT EXISTS (SELECT 1 "
		"FROM orders o WHERE o.coupon_id = unpaid_orders.coupon_id AND o.segment = unpaid_orders.segment AND "
		"o.seq = unpaid_orders.seq AND o.status = 1 AND o.pay_by_ms = unpaid_orders.pay_by_ms)");
}

/* The payment of an order that is over is to be refunded. An order that is live and not paid needs an operator. */
static enum repair_outcome release_payment(struct repair_job *j)
{
	const struct finding *f = j->finding;
	struct db_rows rows;
	if (db_query(j->svc->db, j->arena,
		     "SELECT 1 FROM orders WHERE coupon_id = ? AND segment = ? AND seq = ? AND live_user IS NULL",
		     &rows, DB_N(j->audit->coupon.id), DB_N(f->segment), DB_N(f->sequence)))
		return unreachable(j);
	if (!rows.count)
		return needs_operator(j, "the order is not over: find out who changed its row");
	return change_row(
		j, "UPDATE payments SET pays_segment = NULL, pays_seq = NULL WHERE coupon_id = ? AND pays_segment = ? "
		   "AND pays_seq = ?");
}

/* Totals only grow, so the lower one of both is raised. */
static enum repair_outcome count_final(struct repair_job *j)
{
	const int64_t lacking = j->finding->want - j->finding->is;
	const struct db_value v[] = { DB_N(lacking > 0 ? lacking : 0), DB_N(lacking < 0 ? -lacking : 0),
				      DB_N(j->audit->coupon.id), DB_N(j->audit->totals.final),
				      DB_N(j->audit->totals.final_cancelled) };
	int64_t changed = 0;
	if (j->dry)
		return REPAIR_DONE;
	if (db_exec(j->svc->db,
		    "UPDATE coupons SET final = final + ?, final_cancelled = final_cancelled + ?, hub_told = 0 WHERE id = ? "
		    "AND final = ? AND final_cancelled = ?",
		    &changed, v[0], v[1], v[2], v[3], v[4]))
		return unreachable(j);
	return changed ? REPAIR_DONE
		       : needs_operator(j, "the totals have changed since the audit: run the audit again");
}

static enum repair_outcome tell_hub(struct repair_job *j)
{
	if (j->finding->kind != FINDING_PAYS && j->finding->is > j->finding->want)
		return needs_operator(j, "MySQL has lost the ends of orders: run seckillctl recover");
	bool failed = !j->dry && db_exec(j->svc->db, "UPDATE coupons SET hub_told = 0 WHERE id = ?", NULL,
					 DB_N(j->audit->coupon.id));
	return failed ? unreachable(j) : REPAIR_DONE;
}

static const struct {
	enum repair_outcome (*run)(struct repair_job *j);
	const char *text;
} repairs[FINDINGS] = {
	[FINDING_CANCELLED] = { tell_hub, "ask the drainers to tell the hub the totals" },
	[FINDING_FINAL] = { tell_hub, "ask the drainers to tell the hub the totals" },
	[FINDING_FINAL_CANCELLED] = { tell_hub, "ask the drainers to tell the hub the totals" },
	[FINDING_PAYS] = { tell_hub, "ask the drainers to tell the hub the totals" },
	[FINDING_QUEUE] = { complete_list, "ask the drainers to compare the waiting list with MySQL" },
	[FINDING_NOT_LISTED] = { complete_list, "ask the drainers to compare the waiting list with MySQL" },
	[FINDING_FINAL_COUNT] = { count_final, "raise the total that is too low" },
	[FINDING_AWAITED] = { await_no_payment, "remove the row of unpaid_orders" },
	[FINDING_NOT_AWAITED] = { await_payment, "enter the order in unpaid_orders" },
	[FINDING_STALE_OWNER] = { return_order,
				  "enter the order in returned_orders, so that the drainers remove its owner" },
	[FINDING_WRONG_PAYMENT] = { release_payment, "the payment pays no order any more, so its refund is due" },
	[FINDING_NO_DESCRIPTOR] = { write_entries, "write the descriptor again from MySQL" },
	[FINDING_NO_CATALOG] = { write_entries, "enter the coupon in the catalog again" },
	[FINDING_NO_SELLER_LIST] = { write_entries, "enter the coupon in its seller's list again" },
	[FINDING_NO_DIRECTORY] = { write_entries, "enter the seller in the directory of sellers again" },
	[FINDING_NOT_DIRTY] = { add_to_dirty, "add the coupon to sk:dirty" },
	[FINDING_NO_INDEX] = { add_to_customer_list, "enter the order in its customer's list" },
	[FINDING_NO_OWNER] = { restore_owner, "enter the user as the order's owner again" },
	[FINDING_LOST] = { restore_record, "insert the order into its segment's list again" },
	[FINDING_SEGMENT_BASE] = { request_inspection, "ask the drainers to inspect the coupon" },
	[FINDING_HUB_BASE] = { request_inspection, "ask the drainers to inspect the coupon" },
	[FINDING_UNHEARD] = { request_inspection, "ask the drainers to inspect the coupon" },
	[FINDING_LOST_NUMBER] = { name_number, "record the order as lost, in a dead letter" },
	[FINDING_LOST_ACKNOWLEDGED] = { name_acknowledged, "record the order as lost, in a dead letter" },
	[FINDING_CURSOR_BEHIND] = { move_cursor, "move the cursor to the number after that order" },
};

const char *repair_text(enum finding_kind kind)
{
	return repairs[kind].text;
}

enum repair_outcome repair(struct repair_job *j)
{
	j->why = "";
	return repairs[j->finding->kind].run ? repairs[j->finding->kind].run(j)
					     : needs_operator(j, "there is no single right repair");
}
