#include "audit/entries.h"

#include "audit/reader.h"
#include "sale/catalog_index.h"
#include "sale/key.h"
#include "sale/order_record.h"
#include "sale/seller_index.h"
#include "sale/worklist.h"

struct entries {
	struct reader reader;
	struct audit *audit;
};

static void add_finding(struct entries *e, struct finding one)
{
	if (e->reader.status == STATUS_OK)
		findings_add(&e->audit->findings, one);
}

/* Does not compare the amounts: the descriptor has the first amount, without units that were added later. */
static bool is_same_coupon(const struct coupon *d, const struct coupon *c)
{
	return d->id == c->id && d->seller == c->seller && d->generation == c->generation &&
	       d->created_ms == c->created_ms && memcmp(d->hash_key, c->hash_key, SIPHASH_KEY) == 0 &&
	       str_eq(d->seller_name, c->seller_name) && str_eq(d->name, c->name) && coupon_same_terms(d, c);
}

static void check_descriptor(struct entries *e)
{
	struct redis_command cmd;
	struct coupon found = { 0 };
	redis_command(&cmd, "HGETALL");
	key_put(&cmd, KEY_DESCRIPTOR, e->audit->coupon.id, 0);
	const struct redis_reply *reply = reader_call(&e->reader, &cmd);
	if (!coupon_read(&found, reply) || !is_same_coupon(&found, &e->audit->coupon))
		add_finding(e, (struct finding){ .kind = FINDING_NO_DESCRIPTOR });
	arena_release(&found.arena);
}

static void check_seller(struct entries *e)
{
	const struct coupon *c = &e->audit->coupon;
	struct redis_command cmd;
	redis_command(&cmd, "ZSCORE");
	key_put(&cmd, KEY_SELLER, c->seller, 0);
	redis_put_int(&cmd, c->id);
	if (redis_type(reader_call(&e->reader, &cmd)) == REDIS_NIL)
		add_finding(e, (struct finding){ .kind = FINDING_NO_SELLER_LIST, .user = c->seller });
	seller_index_find(&cmd, c->seller_name);
	int64_t id = redis_number(reader_call(&e->reader, &cmd));
	if (id != c->seller)
		add_finding(e, (struct finding){ .kind = FINDING_NO_DIRECTORY, .user = c->seller, .is = id });
}

static void check_catalog(struct entries *e)
{
	const struct coupon *c = &e->audit->coupon;
	struct redis_command cmd;
	catalog_find(&cmd, c->seller_name, c->name);
	int64_t id = redis_number(reader_call(&e->reader, &cmd));
	if (id != c->id)
		add_finding(e, (struct finding){ .kind = FINDING_NO_CATALOG, .is = id, .want = c->id });
}

/* The finding names the first waiting order. If the second reading finds another one, a drainer works on the coupon. */
static void check_dirty(struct entries *e)
{
	const struct coupon *c = &e->audit->coupon;
	struct redis_command cmd;
	struct order_record r = { 0 };
	for (int i = 0; i < c->segments && !r.sequence; i++) {
		if (!e->audit->segments[i].queued)
			continue;
		redis_command(&cmd, "LINDEX");
		key_put(&cmd, KEY_ORDERS, c->id, i);
		redis_put_int(&cmd, 0);
		r.segment = i;
		order_record_read(redis_text(reader_call(&e->reader, &cmd)), &r);
	}
	if (!r.sequence)
		return;
	worklist_command(&cmd, "SISMEMBER", KEY_DIRTY, c->id, c->segments);
	if (redis_number(reader_call(&e->reader, &cmd)) == 0)
		add_finding(
			e, (struct finding){ .kind = FINDING_NOT_DIRTY, .segment = r.segment, .sequence = r.sequence });
}

enum status audit_entries(struct service *svc, struct arena *a, struct audit *audit)
{
	struct entries e = { { svc, a, STATUS_OK }, audit };
	check_descriptor(&e);
	check_seller(&e);
	check_catalog(&e);
	check_dirty(&e);
	return e.reader.status;
}
