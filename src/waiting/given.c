#include "waiting/given.h"

#include "order/order.h"
#include "sale/db_status.h"
#include "sale/key.h"

static enum status find_coupon(struct service *svc, struct arena *a, struct str seller_name, struct str name,
			       struct coupon *c)
{
	struct db_rows rows;
	int64_t segments;
	if (db_query(svc->db, a,
		     "SELECT c.id, c.segments, c.hash_key, c.pay_within_s FROM coupons c JOIN users u ON u.id = "
		     "c.seller_id WHERE u.name = ? AND c.name = ? AND c.published = 1",
		     &rows, DB_S(seller_name), DB_S(name)))
		return db_status(svc->db, "waiting");
	if (!rows.count)
		return STATUS_NO_SUCH_ORDER;
	const struct db_value *v = db_row(&rows, 0);
	if (db_int(svc->db, &v[1], 1, SEGMENTS_MAX, &segments))
		return db_status(svc->db, "waiting");
	*c = (struct coupon){ .id = v[0].number, .segments = (int)segments, .pay_within_s = v[3].number };
	memcpy(c->hash_key, v[2].text.p, v[2].text.n < SIPHASH_KEY ? v[2].text.n : SIPHASH_KEY);
	return STATUS_OK;
}

static enum status find_order(struct service *svc, struct arena *a, const struct coupon *c, struct owner owner,
			      struct order *o)
{
	struct redis_command cmd;
	const struct redis_reply *number = NULL;
	*o = (struct order){ .coupon = c->id, .segment = coupon_home(c, owner.user) };
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_OWNERS, c->id, o->segment);
	owner_put(&cmd, owner);
	if (redis_call(svc->redis_sync, a, &cmd, &number) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	if (!redis_number_in(number, 1, NUMBER_MAX, &o->sequence))
		return STATUS_NO_SUCH_ORDER;
	return order_read(svc, a, o);
}

/* An order that is queued has no row, and is due as its row will say. */
static int64_t pay_by_ms(const struct coupon *c, const struct order *o)
{
	if (o->status == ORDER_QUEUED && c->pay_within_s && o->claimed_ms)
		return o->claimed_ms + c->pay_within_s * 1000;
	return o->status == ORDER_PENDING ? o->pay_by_ms : 0;
}

enum status given_read(struct service *svc, struct arena *a, struct str seller_name, struct str name,
		       struct owner owner, struct given *out)
{
	struct coupon c;
	struct order o;
	enum status s = find_coupon(svc, a, seller_name, name, &c);
	if (s == STATUS_OK)
		s = find_order(svc, a, &c, owner, &o);
	if (s == STATUS_OK)
		*out = (struct given){ { o.coupon, o.sequence, o.segment }, pay_by_ms(&c, &o) };
	return s;
}
