/*
 * An order that MySQL does not have yet is read from the list of its segment, where the claim put it. If only the
 * customer's own list names an order, the server that had it has lost it; the customer's list may be on another server.
 * The customer is answered that the order is lost, and a drainer looks for it and names it as lost.
 */
#include "order/order.h"

#include "base/parse.h"
#include "order/dead_letter.h"
#include "order/trace.h"
#include "sale/coupon.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "sale/worklist.h"

bool order_parse(struct str no, struct order *o)
{
	struct order_number n;
	if (!order_number_read(no, &n))
		return false;
	o->coupon = n.coupon;
	o->segment = n.segment;
	o->sequence = n.sequence;
	return true;
}

int order_take_row(struct db *db, const struct db_value *row, struct order *o)
{
	int64_t segment, status, unit;
	if (db_int(db, &row[1], 0, SEGMENTS_MAX - 1, &segment) || db_int(db, &row[8], 1, UINT8_MAX, &unit) ||
	    db_int(db, &row[4], ORDER_PENDING, ORDER_CONFIRMED, &status))
		return -1;
	o->coupon = row[0].number;
	o->segment = (int)segment;
	o->sequence = row[2].number;
	o->user = row[3].number;
	o->status = (enum order_status)status;
	o->claimed_ms = row[5].number;
	o->confirmed_ms = row[6].number;
	o->pay_by_ms = row[7].number;
	o->unit = (int)unit;
	return 0;
}

void order_take_coupon(const struct db_value *row, struct order *o)
{
	o->seller = row[0].number;
	o->seller_name = row[1].text;
	o->coupon_name = row[2].text;
	o->stock = row[3].number;
	o->description = row[4].text;
	o->price = row[5].number;
	o->currency = row[6].text;
	o->checkout_url = row[7].text;
}

enum status order_read_coupon(struct service *svc, struct arena *a, struct order *o, struct coupon *c)
{
	struct db_rows rows;
	int64_t segments, limit;
	if (db_query(svc->db, a,
		     "SELECT " ORDER_COUPON_COLUMNS ", c.segments, c.generation, c.hash_key, c.unit_limit "
		     "FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(o->coupon)))
		return db_status(svc->db, "order");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	const struct db_value *v = db_row(&rows, 0), *more = v + ORDER_COUPON_COLUMN_COUNT;
	if (db_int(svc->db, &more[0], 1, SEGMENTS_MAX, &segments) || db_int(svc->db, &more[3], 1, UNITS_MAX, &limit))
		return db_status(svc->db, "order");
	if (o->segment >= segments || more[2].text.n != SIPHASH_KEY)
		return STATUS_NO_SUCH_ORDER;
	order_take_coupon(v, o);
	*c = (struct coupon){
		.id = o->coupon, .segments = (int)segments, .generation = more[1].number, .limit = limit
	};
	memcpy(c->hash_key, more[2].text.p, SIPHASH_KEY);
	return STATUS_OK;
}

static enum status read_row(struct service *svc, struct arena *a, struct order *o)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT " ORDER_COLUMNS " FROM orders o WHERE o.coupon_id = ? AND o.segment = ? AND o.seq = ?",
		     &rows, DB_N(o->coupon), DB_N(o->segment), DB_N(o->sequence)))
		return db_status(svc->db, "order");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	return order_take_row(svc->db, db_row(&rows, 0), o) ? db_status(svc->db, "order") : STATUS_OK;
}

/* An order has a dead letter when MySQL has refused it, or when it is lost. */
static enum status read_dead(struct service *svc, struct arena *a, struct order *o)
{
	const struct order_number n = { o->coupon, o->sequence, o->segment };
	struct order_record record;
	bool is_lost = false;
	enum status s = dead_letter_order(svc, a, &n, &record, &is_lost);
	if (s == STATUS_OK) {
		o->user = record.user;
		o->unit = is_lost ? 0 : record.unit;
		o->claimed_ms = record.claimed_ms;
		o->status = is_lost ? ORDER_LOST : ORDER_FAILED;
	}
	return s;
}

/* The state of reading one order. */
struct reading {
	struct service *svc;
	struct arena *arena;
	struct order *order;
	struct coupon coupon; /* id 0: MySQL does not have the coupon */
	struct trace trace;
};

static struct reading start(struct service *svc, struct arena *a, struct order *o, int64_t user)
{
	return (struct reading){ .svc = svc,
				 .arena = a,
				 .order = o,
				 .trace = { .number = { o->coupon, o->sequence, o->segment }, .user = user } };
}

static enum status read_segment(struct reading *r)
{
	r->trace.generation = r->coupon.generation;
	return trace_segment(r->svc, r->arena, &r->trace);
}

/* Takes an order from its record on the list; a record without a customer names the order as lost. False: no record. */
static bool take_record(struct order *o, const struct trace *t)
{
	if (!t->record.sequence)
		return false;
	o->status = t->record.user ? ORDER_QUEUED : ORDER_LOST;
	o->user = t->record.user;
	o->unit = o->user ? t->record.unit : 0;
	o->claimed_ms = t->record.claimed_ms;
	return true;
}

static void look_for_later(struct service *svc, const struct order *o)
{
	worklist_look_for(svc->redis_sync, &(struct lost_candidate){ o->coupon, o->sequence, o->user, o->segment });
	redis_wait_all(svc->redis_sync);
}

/*
 * For an order that is neither on the list of its segment nor in MySQL. If the segment's owners have it, only the
 * record is missing, and a repair restores it. If only the customer's own list has it, it is lost, unless the segment
 * is not open: then an inspection decides first.
 */
static void read_listed(struct service *svc, struct order *o, const struct trace *t)
{
	bool lost = !t->owned_unit && t->segment == STATUS_OK;
	o->status = lost ? ORDER_LOST : ORDER_QUEUED;
	o->unit = t->owned_unit;
	o->claimed_ms = t->listed_ms;
	if (lost)
		look_for_later(svc, o);
}

/*
 * Whether this number may have been acknowledged to this customer, or to a customer of this seller. A segment that is
 * not open may have lost its highest number, so there any number may.
 */
static bool may_be_acknowledged(const struct reading *r, const struct token *who)
{
	const struct order *o = r->order;
	bool may_have_it = who->user == o->seller ||
			   (who->kind == KIND_CUSTOMER && coupon_home(&r->coupon, who->user) == o->segment);
	return may_have_it && (r->trace.segment != STATUS_OK || o->sequence <= r->trace.last);
}

static enum status read_nowhere(struct reading *r, const struct token *who)
{
	enum status s = trace_customer_list(r->svc, r->arena, &r->trace);
	if (s != STATUS_OK)
		return s;
	r->order->user = who->user;
	if (r->trace.owned_unit || r->trace.listed_ms) {
		read_listed(r->svc, r->order, &r->trace);
		return STATUS_OK;
	}
	r->order->status = ORDER_LOST;
	return may_be_acknowledged(r, who) ? r->trace.segment : STATUS_NO_SUCH_ORDER;
}

/* MySQL is asked again at the end, because a drainer may have moved the order while Redis was asked. */
static enum status read_known(struct reading *r)
{
	enum status s = order_read_coupon(r->svc, r->arena, r->order, &r->coupon);
	if (s == STATUS_OK)
		s = read_row(r->svc, r->arena, r->order);
	if (s != STATUS_NO_SUCH_ORDER || !r->coupon.id)
		return s;
	s = read_segment(r);
	if (s != STATUS_OK || take_record(r->order, &r->trace))
		return s;
	s = read_row(r->svc, r->arena, r->order);
	return s == STATUS_NO_SUCH_ORDER ? read_dead(r->svc, r->arena, r->order) : s;
}

enum status order_read(struct service *svc, struct arena *a, struct order *o)
{
	struct reading r = start(svc, a, o, 0);
	return read_known(&r);
}

/* If the customer of a lost order is not known, every customer of its segment may read it. */
static bool is_for(const struct reading *r, const struct token *who)
{
	const struct order *o = r->order;
	bool nobodys = o->status == ORDER_LOST && !o->user;
	return o->user == who->user || o->seller == who->user ||
	       (nobodys && who->kind == KIND_CUSTOMER && coupon_home(&r->coupon, who->user) == o->segment);
}

static enum status name_customer(struct service *svc, struct arena *a, struct order *o)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT name FROM users WHERE id = ?", &rows, DB_N(o->user)))
		return db_status(svc->db, "order");
	o->customer_name = rows.values[0].text;
	return STATUS_OK;
}

enum status order_read_for(struct service *svc, struct arena *a, const struct token *who, struct order *o)
{
	struct reading r = start(svc, a, o, who->user);
	enum status s = read_known(&r);
	if (s == STATUS_NO_SUCH_ORDER && r.coupon.id)
		s = read_nowhere(&r, who);
	if (s == STATUS_OK && !is_for(&r, who))
		s = STATUS_NO_SUCH_ORDER;
	return s == STATUS_OK && who->user == o->seller && o->user != o->seller ? name_customer(svc, a, o) : s;
}

/* MySQL's row is asked for last, because a drainer may have moved the order while Redis was asked. */
static enum status read_found(struct reading *r)
{
	struct order *o = r->order;
	if (take_record(o, &r->trace))
		return STATUS_OK;
	enum status s = read_row(r->svc, r->arena, o);
	return s == STATUS_NO_SUCH_ORDER ? read_dead(r->svc, r->arena, o) : s;
}

enum status order_read_found(struct service *svc, struct arena *a, struct order *o)
{
	struct order found = *o;
	struct reading r = start(svc, a, &found, o->user);
	enum status s = order_read_coupon(svc, a, &found, &r.coupon);
	if (s != STATUS_OK)
		return s;
	*o = found;
	r.trace.segment = STATUS_BUSY; /* unless it answers */
	if (read_segment(&r) != STATUS_OK && redis_is_single(svc->redis_sync))
		return STATUS_UNAVAILABLE;
	r.trace.listed_ms = o->claimed_ms;
	s = read_found(&r);
	if (s == STATUS_NO_SUCH_ORDER) {
		read_listed(svc, o, &r.trace);
		return STATUS_OK;
	}
	if (s != STATUS_OK)
		return s;
	if (found.user && found.user != o->user)
		return STATUS_NO_SUCH_ORDER;
	found.user = o->user;
	found.claimed_ms = found.claimed_ms ? found.claimed_ms : o->claimed_ms;
	*o = found;
	return STATUS_OK;
}

static enum status read_descriptor(struct service *svc, struct arena *a, struct order *o)
{
	struct redis_command cmd;
	struct coupon c = { 0 };
	const struct redis_reply *reply = NULL;
	redis_command(&cmd, "HGETALL");
	key_put(&cmd, KEY_DESCRIPTOR, o->coupon, 0);
	if (redis_call(svc->redis_sync, a, &cmd, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	bool is_read = coupon_read(&c, reply);
	if (is_read) {
		o->seller = c.seller;
		o->seller_name = arena_str(a, c.seller_name);
		o->coupon_name = arena_str(a, c.name);
		o->description = arena_str(a, c.description);
		o->stock = c.face_value;
		o->price = c.price;
		o->currency = arena_str(a, c.currency);
	}
	arena_release(&c.arena);
	return is_read ? STATUS_OK : STATUS_NO_SUCH_ORDER;
}

enum status order_read_queued(struct service *svc, struct arena *a, struct order *o)
{
	int64_t user = o->user;
	struct reading r = start(svc, a, o, user);
	enum status s = read_segment(&r);
	if (s != STATUS_OK)
		return s;
	return take_record(o, &r.trace) && o->user == user ? read_descriptor(svc, a, o) : STATUS_NO_SUCH_ORDER;
}
