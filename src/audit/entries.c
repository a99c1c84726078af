/* All of it can be made anew from MySQL and from the orders themselves: audit_repair.c does. */
#include "audit/audit_part.h"
#include "base/parse.h"
#include "sale/key.h"
#include "sale/order_record.h"
#include "sale/seller_index.h"
#include "sale/worklist.h"

struct entries {
	struct service *svc;
	struct arena *arena;
	struct audit *audit;
	enum status status;
};

static const struct redis_reply *ask(struct entries *e, const struct redis_command *c)
{
	const struct redis_reply *reply = NULL;
	if (e->status == STATUS_OK && redis_call(e->svc->redis_sync, e->arena, c, &reply) != REDIS_ANSWER)
		e->status = STATUS_UNAVAILABLE;
	return reply;
}

static void add(struct entries *e, struct finding one)
{
	if (e->status == STATUS_OK)
		findings_add(&e->audit->findings, one);
}

/* The amount is what it was at creation: more units are the hub's to know. */
static bool is_described(const struct coupon *d, const struct coupon *c)
{
	return d->id == c->id && d->seller == c->seller && d->generation == c->generation && d->stock == c->stock &&
	       d->starts_ms == c->starts_ms && d->ends_ms == c->ends_ms && d->created_ms == c->created_ms &&
	       d->pay_within_s == c->pay_within_s && d->segments == c->segments &&
	       memcmp(d->hash_key, c->hash_key, SIPHASH_KEY) == 0 && str_eq(d->seller_name, c->seller_name) &&
	       str_eq(d->name, c->name) && str_eq(d->description, c->description);
}

static void check_descriptor(struct entries *e)
{
	struct redis_command cmd;
	struct coupon found = { 0 };
	redis_command(&cmd, "HGETALL");
	key_put(&cmd, KEY_DESCRIPTOR, e->audit->coupon.id, 0);
	const struct redis_reply *reply = ask(e, &cmd);
	if (!coupon_read(&found, reply) || !is_described(&found, &e->audit->coupon))
		add(e, (struct finding){ .kind = FINDING_NO_DESCRIPTOR });
	arena_release(&found.arena);
}

static void check_seller(struct entries *e)
{
	const struct coupon *c = &e->audit->coupon;
	struct redis_command cmd;
	redis_command(&cmd, "ZSCORE");
	key_put(&cmd, KEY_SELLER, c->seller, 0);
	redis_put_int(&cmd, c->id);
	if (redis_type(ask(e, &cmd)) == REDIS_NIL)
		add(e, (struct finding){ .kind = FINDING_NO_SELLER_LIST, .user = c->seller });
	seller_index_find(&cmd, c->seller_name);
	int64_t id = redis_number(ask(e, &cmd));
	if (id != c->seller)
		add(e, (struct finding){ .kind = FINDING_NO_DIRECTORY, .user = c->seller, .is = id });
}

static void check_catalog(struct entries *e)
{
	const struct coupon *c = &e->audit->coupon;
	struct redis_command cmd;
	struct buf path;
	buf_init(&path, e->arena);
	buf_put(&path, c->seller_name);
	buf_puts(&path, "/");
	buf_put(&path, c->name);
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_CATALOG, key_bucket(buf_str(&path)), 0);
	redis_put(&cmd, buf_str(&path));
	int64_t id = redis_number(ask(e, &cmd));
	if (id != c->id)
		add(e, (struct finding){ .kind = FINDING_NO_CATALOG, .is = id, .want = c->id });
}

/* The first order that waits stands for the moment: when another one waits later, somebody drains. */
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
		order_record_read(redis_text(ask(e, &cmd)), &r);
	}
	if (!r.sequence)
		return;
	worklist_command(&cmd, "SISMEMBER", KEY_DIRTY, c->id, c->segments);
	if (redis_number(ask(e, &cmd)) == 0)
		add(e, (struct finding){ .kind = FINDING_NOT_DIRTY, .segment = r.segment, .sequence = r.sequence });
}

enum status audit_entries(struct service *svc, struct arena *a, struct audit *audit)
{
	struct entries e = { svc, a, audit, STATUS_OK };
	check_descriptor(&e);
	check_seller(&e);
	check_catalog(&e);
	check_dirty(&e);
	return e.status;
}
