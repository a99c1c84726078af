/*
 * An order that MySQL does not have yet is read from where the claim put it, the list of its segment. One that is only
 * in its customer's own list was lost with a server, as that list is on another one: this is said to its customer, and
 * a drainer is asked to look at it.
 */
#include "order/order.h"

#include "base/parse.h"
#include "order/dead_letter.h"
#include "order/lost.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "sale/order_record.h"
#include "sale/scripts.h"
#include "sale/worklist.h"

const char *order_status_text(enum order_status s)
{
	static const char *const texts[] = { "queued",  "pending",   "paid",   "cancelled",
					     "expired", "confirmed", "failed", "lost" };
	return texts[s];
}

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

/* The coupon's side of an order. */
static enum status read_coupon(struct service *svc, struct arena *a, struct order *o, struct coupon *c)
{
	struct db_rows rows;
	int64_t segments;
	if (db_query(svc->db, a,
		     "SELECT c.seller_id, u.name, c.name, c.stock, c.segments, c.generation, c.hash_key FROM coupons c "
		     "JOIN users u ON u.id = c.seller_id WHERE c.id = ?",
		     &rows, DB_N(o->coupon)))
		return db_status(svc->db, "order");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	const struct db_value *v = db_row(&rows, 0);
	if (db_int(svc->db, &v[4], 1, SEGMENTS_MAX, &segments))
		return db_status(svc->db, "order");
	if (o->segment >= segments || v[6].text.n != SIPHASH_KEY)
		return STATUS_NO_SUCH_ORDER;
	o->seller = v[0].number;
	o->seller_name = v[1].text;
	o->coupon_name = v[2].text;
	o->stock = v[3].number;
	*c = (struct coupon){ .id = o->coupon, .segments = (int)segments, .generation = v[5].number };
	memcpy(c->hash_key, v[6].text.p, SIPHASH_KEY);
	return STATUS_OK;
}

static enum status read_row(struct service *svc, struct arena *a, struct order *o)
{
	struct db_rows rows;
	if (db_query(svc->db, a,
		     "SELECT user_id, status, claimed_at_ms, confirmed_at_ms FROM orders "
		     "WHERE coupon_id = ? AND segment = ? AND seq = ?",
		     &rows, DB_N(o->coupon), DB_N(o->segment), DB_N(o->sequence)))
		return db_status(svc->db, "order");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	const struct db_value *v = db_row(&rows, 0);
	int64_t status;
	if (db_int(svc->db, &v[1], ORDER_PENDING, ORDER_CONFIRMED, &status))
		return db_status(svc->db, "order");
	o->user = v[0].number;
	o->status = (enum order_status)status;
	o->claimed_ms = v[2].number;
	o->confirmed_ms = v[3].number;
	return STATUS_OK;
}

/* An order that MySQL refused is nobody's to wait for, nor is one that is lost. */
static enum status read_dead(struct service *svc, struct arena *a, struct order *o)
{
	struct order dead = *o;
	bool is_lost = false;
	enum status s =
		dead_letter_order(svc, a, o->coupon, o->segment, o->sequence, &dead.user, &dead.claimed_ms, &is_lost);
	if (s == STATUS_OK) {
		dead.status = is_lost ? ORDER_LOST : ORDER_FAILED;
		*o = dead;
	}
	return s;
}

/* What Redis has of an order. */
struct trace {
	enum status state; /* of its segment: STATUS_OK when it is open, STATUS_BUSY in doubt, STATUS_FENCED closed */
	struct order_record record; /* on the list, its sequence is 0: there is none */
	bool is_owned;              /* it is the order that its customer owns there */
	int64_t last;               /* the highest number that was given out */
	int64_t listed_ms;          /* in the customer's own list; 0: it is not there */
};

static enum status find_in_segment(struct service *svc, struct arena *a, const struct order *o, const struct coupon *c,
				   int64_t user, struct trace *t)
{
	static const enum status states[] = {
		[FENCE_OTHER] = STATUS_BUSY, [FENCE_SUSPECT] = STATUS_BUSY, [FENCE_QUARANTINED] = STATUS_FENCED
	};
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	redis_script(&cmd, &script_trace, 3);
	key_put(&cmd, KEY_SEGMENT, o->coupon, o->segment);
	key_put(&cmd, KEY_OWNERS, o->coupon, o->segment);
	key_put(&cmd, KEY_ORDERS, o->coupon, o->segment);
	fence_put(&cmd, c->generation);
	redis_put_int(&cmd, o->sequence);
	redis_put_int(&cmd, user);
	if (redis_call(svc->redis_sync, a, &cmd, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	bool open = redis_number_at(reply, 0) == 1;
	*t = (struct trace){ .state = open ? STATUS_OK : states[fence_read(redis_text_at(reply, 1), c->generation)],
			     .is_owned = redis_number_at(reply, 3) == o->sequence,
			     .last = redis_number_at(reply, 4) };
	if (!order_record_read(redis_text_at(reply, 2), &t->record) || t->record.sequence != o->sequence)
		t->record = (struct order_record){ 0 };
	return STATUS_OK;
}

static enum status find_listed(struct service *svc, struct arena *a, const struct order *o, int64_t user,
			       struct trace *t)
{
	char text[ORDER_NUMBER_TEXT];
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	redis_command(&cmd, "ZSCORE");
	key_put(&cmd, KEY_CUSTOMER, user, 0);
	redis_put(&cmd, order_number_text(text, o->coupon, o->segment, o->sequence));
	if (redis_call(svc->redis_sync, a, &cmd, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	t->listed_ms = redis_number(reply);
	return STATUS_OK;
}

/* Its record, if there is one, says whose it is and when it was claimed; or that nobody has it any more. */
static bool take_record(struct order *o, const struct trace *t)
{
	if (!t->record.sequence)
		return false;
	o->status = t->record.user ? ORDER_QUEUED : ORDER_LOST;
	o->user = t->record.user;
	o->claimed_ms = t->record.claimed_ms;
	return true;
}

static void suspect(struct service *svc, const struct order *o)
{
	worklist_look_for(svc->redis_sync, &(struct lost_candidate){ o->coupon, o->sequence, o->user, o->segment });
	redis_wait_all(svc->redis_sync);
}

/*
 * An order of this customer that is neither on the list of its segment nor in MySQL. One that its customer owns has
 * only lost its record, which the audit puts back. What else the customer's own list has is lost, unless the segment
 * must be inspected first.
 */
static void read_listed(struct service *svc, struct order *o, const struct trace *t)
{
	bool lost = !t->is_owned && t->state == STATUS_OK;
	o->status = lost ? ORDER_LOST : ORDER_QUEUED;
	o->claimed_ms = t->listed_ms;
	if (lost)
		suspect(svc, o);
}

/*
 * Whether the one who asks may have been told this number: a customer of its segment, or the seller. In a segment that
 * is not open the highest number may be lost, too.
 */
static bool may_be_told(const struct order *o, const struct coupon *c, const struct token *who, const struct trace *t)
{
	bool may_know =
		who->user == o->seller || (who->kind == KIND_CUSTOMER && coupon_home(c, who->user) == o->segment);
	return may_know && (t->state != STATUS_OK || o->sequence <= t->last);
}

static enum status read_nowhere(struct service *svc, struct arena *a, struct order *o, const struct coupon *c,
				const struct token *who, struct trace *t)
{
	enum status s = find_listed(svc, a, o, who->user, t);
	if (s != STATUS_OK)
		return s;
	o->user = who->user;
	if (t->is_owned || t->listed_ms) {
		read_listed(svc, o, t);
		return STATUS_OK;
	}
	o->status = ORDER_LOST;
	return may_be_told(o, c, who, t) ? t->state : STATUS_NO_SUCH_ORDER;
}

/*
 * What is known of an order, and what its segment has of it. MySQL is asked again, as the order may have moved there
 * while Redis was asked.
 */
static enum status read_known(struct service *svc, struct arena *a, struct order *o, struct coupon *c, int64_t user,
			      struct trace *t)
{
	enum status s = read_coupon(svc, a, o, c);
	if (s == STATUS_OK)
		s = read_row(svc, a, o);
	if (s != STATUS_NO_SUCH_ORDER || !c->id)
		return s;
	s = find_in_segment(svc, a, o, c, user, t);
	if (s != STATUS_OK || take_record(o, t))
		return s;
	s = read_row(svc, a, o);
	return s == STATUS_NO_SUCH_ORDER ? read_dead(svc, a, o) : s;
}

enum status order_read(struct service *svc, struct arena *a, struct order *o)
{
	struct coupon c = { 0 };
	struct trace t;
	return read_known(svc, a, o, &c, 0, &t);
}

/* Of a number that is known to be lost it may not be known whose it was. */
static bool is_for(const struct order *o, const struct coupon *c, const struct token *who)
{
	bool nobodys = o->status == ORDER_LOST && !o->user;
	return o->user == who->user || o->seller == who->user ||
	       (nobodys && who->kind == KIND_CUSTOMER && coupon_home(c, who->user) == o->segment);
}

enum status order_read_for(struct service *svc, struct arena *a, const struct token *who, struct order *o)
{
	struct coupon c = { 0 };
	struct trace t;
	enum status s = read_known(svc, a, o, &c, who->user, &t);
	if (s == STATUS_NO_SUCH_ORDER && c.id)
		s = read_nowhere(svc, a, o, &c, who, &t);
	return s == STATUS_OK && !is_for(o, &c, who) ? STATUS_NO_SUCH_ORDER : s;
}

/* As long as nothing else is known it is queued. */
bool order_read_listed(struct service *svc, struct arena *a, struct order *o)
{
	struct coupon c;
	struct trace t;
	struct order found;
	if (read_coupon(svc, a, o, &c) != STATUS_OK)
		return false;
	found = *o;
	if (find_in_segment(svc, a, o, &c, o->user, &t) != STATUS_OK)
		t = (struct trace){ .state = STATUS_BUSY };
	t.listed_ms = o->claimed_ms;
	if (take_record(&found, &t) || read_row(svc, a, &found) == STATUS_OK ||
	    read_dead(svc, a, &found) == STATUS_OK) {
		if (found.user && found.user != o->user)
			return false;
		found.user = o->user;
		found.claimed_ms = found.claimed_ms ? found.claimed_ms : o->claimed_ms;
		*o = found;
	} else {
		read_listed(svc, o, &t);
	}
	return true;
}
