/*
 * Each repair is one atomic step that does nothing when things are not, or not any more, as the audit saw them, so it
 * may run beside a sale, beside drainers and twice.
 */
#include "audit/repair.h"

#include "base/clock.h"
#include "catalog/publish.h"
#include "order/lost.h"
#include "order/order.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/claim.h"

struct job {
	struct service *svc;
	struct arena *arena;
	const struct audit *audit;
	const struct finding *finding;
	bool dry;
	const char *why;
};

static enum repair_end person(struct job *j, const char *why)
{
	j->why = why;
	return REPAIR_PERSON;
}

static enum repair_end away(struct job *j)
{
	j->why = "a server is away, or refuses";
	return REPAIR_AWAY;
}

static enum repair_end send(struct job *j, const struct redis_command *c, const struct redis_reply **reply)
{
	return redis_call(j->svc->redis_sync, j->arena, c, reply) == REDIS_ANSWER ? REPAIR_DONE : away(j);
}

static bool is_fenced(const struct audit *a)
{
	for (int i = 0; i < a->findings.count; i++)
		if (a->findings.at[i].kind == FINDING_HUB_GENERATION)
			return true;
	return false;
}

static enum repair_end enter(struct job *j)
{
	const struct coupon *c = &j->audit->coupon;
	if (is_fenced(j->audit))
		return person(j, "its stock in Redis is gone");
	if (j->dry)
		return REPAIR_DONE;
	enum status s = publish_heal(j->svc, j->arena, c->seller_name, c->name);
	return s == STATUS_OK ? REPAIR_DONE : s == STATUS_UNAVAILABLE ? away(j) : person(j, status_text(s));
}

static void mark_dirty(struct job *j, struct redis_command *c)
{
	const struct coupon *coupon = &j->audit->coupon;
	worklist_command(c, "SADD", KEY_DIRTY, coupon->id, coupon->segments);
}

static enum repair_end wake(struct job *j)
{
	struct redis_command c;
	mark_dirty(j, &c);
	return j->dry ? REPAIR_DONE : send(j, &c, NULL);
}

/* Its moment stands in the row, on the list or in the dead letter. */
static enum repair_end index_order(struct job *j)
{
	const struct finding *f = j->finding;
	struct order o = { .coupon = j->audit->coupon.id, .segment = f->segment, .sequence = f->sequence };
	struct redis_command c;
	char order[ORDER_NUMBER_TEXT];
	enum status s = order_read(j->svc, j->arena, &o);
	if (s != STATUS_OK && s != STATUS_NO_SUCH_ORDER)
		return away(j);
	if (s == STATUS_NO_SUCH_ORDER || o.user != f->user)
		return person(j, "the order itself is lost, or another's");
	redis_command(&c, "ZADD");
	key_put(&c, KEY_CUSTOMER, f->user, 0);
	redis_put_int(&c, o.claimed_ms);
	redis_put(&c, order_number_text(order, o.coupon, o.segment, o.sequence));
	return j->dry ? REPAIR_DONE : send(j, &c, NULL);
}

/* Workers that keep "sold out" know the winners of an epoch. */
static enum repair_end renew_winners(struct job *j)
{
	struct redis_command c;
	redis_command(&c, "HINCRBY");
	key_put(&c, KEY_HUB, j->audit->coupon.id, 0);
	redis_put_text(&c, "epoch");
	redis_put_int(&c, 1);
	return send(j, &c, NULL);
}

/* Not when the customer has another order by now: then one of the two is too much. */
static enum repair_end own(struct job *j)
{
	const struct finding *f = j->finding;
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	if (!f->user || coupon_home(&j->audit->coupon, f->user) != f->segment)
		return person(j, "no customer who claims here is known to own it");
	redis_command(&c, j->dry ? "HGET" : "HSETNX");
	key_put(&c, KEY_OWNERS, j->audit->coupon.id, f->segment);
	redis_put_int(&c, f->user);
	if (!j->dry)
		redis_put_int(&c, f->sequence);
	enum repair_end end = send(j, &c, &reply);
	if (end != REPAIR_DONE)
		return end;
	bool free = j->dry ? redis_type(reply) == REDIS_NIL : redis_number(reply) == 1;
	if (!free)
		return person(j, "this customer has another order of the coupon");
	return j->dry ? REPAIR_DONE : renew_winners(j);
}

/* When it was claimed: the customer's index says so, if not, now. */
static enum repair_end claimed_ms(struct job *j, int64_t *ms)
{
	const struct finding *f = j->finding;
	struct redis_command c;
	const struct redis_reply *score = NULL, *time = NULL;
	char order[ORDER_NUMBER_TEXT];
	redis_command(&c, "ZSCORE");
	key_put(&c, KEY_CUSTOMER, f->user, 0);
	redis_put(&c, order_number_text(order, j->audit->coupon.id, f->segment, f->sequence));
	enum repair_end end = send(j, &c, &score);
	*ms = redis_number(score);
	if (end != REPAIR_DONE || *ms > 0)
		return end;
	redis_command(&c, "TIME");
	end = send(j, &c, &time);
	*ms = redis_number_at(time, 0) * 1000 + redis_number_at(time, 1) / 1000;
	return end;
}

/* The drain waits for it: while the cursor is not past it, no later order of the segment can be in MySQL. */
static enum repair_end put_back(struct job *j)
{
	const struct finding *f = j->finding;
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	int64_t ms;
	if (f->sequence < j->audit->segments[f->segment].cursor.next)
		return person(j, "the cursor is past it, so it was in MySQL, or a dead letter");
	enum repair_end end = j->dry ? REPAIR_DONE : claimed_ms(j, &ms);
	if (j->dry || end != REPAIR_DONE)
		return end;
	redis_script(&c, &script_restore, 3);
	key_put(&c, KEY_SEGMENT, j->audit->coupon.id, f->segment);
	key_put(&c, KEY_OWNERS, j->audit->coupon.id, f->segment);
	key_put(&c, KEY_ORDERS, j->audit->coupon.id, f->segment);
	fence_put(&c, j->audit->coupon.generation);
	redis_put_int(&c, f->user);
	redis_put_int(&c, f->sequence);
	redis_put_int(&c, ms);
	end = send(j, &c, &reply);
	if (end == REPAIR_DONE && !str_eq(redis_text_at(reply, 0), STR("OK")))
		return person(j, "its segment is closed or in doubt, or its list is not in order");
	return end == REPAIR_DONE ? wake(j) : end;
}

/* A segment whose base was replaced gets a new one; a hub that waits for a report is told it. */
static enum repair_end inspect(struct job *j)
{
	const struct coupon *coupon = &j->audit->coupon;
	struct redis_command c;
	if (j->finding->is > j->finding->want)
		return person(j, "a base that was handed out is forgotten: recover the coupon");
	worklist_command(&c, "SADD", KEY_SUSPECTS, coupon->id, coupon->segments);
	return j->dry ? REPAIR_DONE : send(j, &c, NULL);
}

static enum repair_end named(struct job *j, enum status s)
{
	if (s == STATUS_BUSY)
		return person(j, "its segment is not open, or has got another base meanwhile");
	return s == STATUS_OK ? REPAIR_DONE : away(j);
}

/* The customer's list is read again: another look may have decided meanwhile. */
static enum repair_end name_acknowledged(struct job *j)
{
	const struct finding *f = j->finding;
	const struct lost_candidate s = { j->audit->coupon.id, f->sequence, f->user, f->segment };
	return j->dry ? REPAIR_DONE : named(j, lost_look(j->svc, j->arena, &s));
}

/* Nobody is given this number any more, so it is only said that it is lost. It holds no unit. */
static enum repair_end name_number(struct job *j)
{
	const struct finding *f = j->finding;
	const struct lost_candidate s = { j->audit->coupon.id, f->sequence, 0, f->segment };
	int64_t base = j->audit->segments[f->segment].base;
	if (f->sequence > base)
		return person(j, "its segment may give this number out: recover the coupon");
	return j->dry ? REPAIR_DONE : named(j, lost_name(j->svc, j->arena, &s, base, clock_ms()));
}

/* Orders and dead letters with no gap from the cursor to the last row. */
static enum repair_end count_drained(struct job *j, int64_t *count)
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
		return away(j);
	*count = db_row(&rows, 0)->number;
	return REPAIR_DONE;
}

/* Moved only from where it was seen: a drainer that moved it meanwhile knows better. */
static enum repair_end move_cursor(struct job *j)
{
	const struct finding *f = j->finding;
	const int64_t coupon = j->audit->coupon.id;
	int64_t count = 0, changed = 0;
	struct db *db = j->svc->db;
	enum repair_end end = count_drained(j, &count);
	if (end != REPAIR_DONE)
		return end;
	if (count != f->want - f->is + 1)
		return person(j, "orders between the cursor and that one are not in MySQL");
	if (j->dry)
		return REPAIR_DONE;
	if (db_exec(db,
		    "UPDATE drain_cursors SET next_number = ? WHERE coupon_id = ? AND segment = ? AND next_number = ?",
		    &changed, DB_N(f->want + 1), DB_N(coupon), DB_N(f->segment), DB_N(f->is)))
		return away(j);
	if (changed)
		return REPAIR_DONE;
	/* The row itself may be missing, which counts as 1. */
	if (f->is == 1 && db_exec(db, "INSERT INTO drain_cursors (coupon_id, segment, next_number) VALUES (?, ?, ?)",
				  NULL, DB_N(coupon), DB_N(f->segment), DB_N(f->want + 1)) == 0)
		return REPAIR_DONE;
	return person(j, "the cursor has moved meanwhile");
}

static const struct {
	enum repair_end (*run)(struct job *j);
	const char *text;
} repairs[FINDINGS] = {
	[FINDING_NO_DESCRIPTOR] = { enter, "write it again from MySQL" },
	[FINDING_NO_CATALOG] = { enter, "enter it again" },
	[FINDING_NO_SELLER_LIST] = { enter, "enter it again" },
	[FINDING_NO_DIRECTORY] = { enter, "enter the seller again" },
	[FINDING_NOT_DIRTY] = { wake, "add the coupon to sk:dirty" },
	[FINDING_NO_INDEX] = { index_order, "enter the order in that list" },
	[FINDING_NO_OWNER] = { own, "make this user its owner again" },
	[FINDING_LOST] = { put_back, "put it back in its place on the list" },
	[FINDING_SEGMENT_BASE] = { inspect, "ask the drainers to inspect the coupon" },
	[FINDING_HUB_BASE] = { inspect, "ask the drainers to inspect the coupon" },
	[FINDING_UNHEARD] = { inspect, "ask the drainers to inspect the coupon" },
	[FINDING_LOST_NUMBER] = { name_number, "name it as lost, in a dead letter" },
	[FINDING_LOST_ACKNOWLEDGED] = { name_acknowledged, "name it as lost, in a dead letter" },
	[FINDING_CURSOR_BEHIND] = { move_cursor, "move the cursor behind that order" },
};

const char *repair_text(enum finding_kind kind)
{
	return repairs[kind].text;
}

enum repair_end repair(struct service *svc, struct arena *a, const struct audit *audit, const struct finding *f,
		       bool dry, const char **why)
{
	struct job j = { svc, a, audit, f, dry, "" };
	enum repair_end end =
		repairs[f->kind].run ? repairs[f->kind].run(&j) : person(&j, "there is no one right repair");
	*why = j.why;
	return end;
}
