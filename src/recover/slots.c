/*
 * The steps of a recovery that treat all slots alike: read their fences, check that their servers answer, close them,
 * and open them once they are written.
 */
#include "base/clock.h"
#include "host/log.h"
#include "recover/recovery.h"
#include "sale/catalog_index.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/nginx_marker.h"
#include "stock/sold_out.h"

static void on_written(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct recovery *r = context;
	bool is_refused = redis_type(reply) == REDIS_LIST && !str_eq(redis_text_at(reply, 0), STR("OK"));
	r->failed |= outcome != REDIS_ANSWER || is_refused;
}

void recovery_send(struct recovery *r, const struct redis_command *c)
{
	redis_send(r->svc->redis_sync, c, on_written, r);
}

enum status recovery_wait_all(struct recovery *r)
{
	redis_wait_all(r->svc->redis_sync);
	return r->failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

/* Reading */

struct fences {
	struct recovery *recovery;
	int64_t highest; /* the highest generation of a slot */
	int64_t layout;  /* LAYOUT, or a later one that a slot has */
};

static void on_fence(void *context, enum redis_outcome outcome, const struct redis_reply *reply)
{
	struct fences *f = context;
	struct str fence = redis_text(reply);
	f->recovery->failed |= outcome != REDIS_ANSWER && outcome != REDIS_BROKEN;
	if (outcome != REDIS_ANSWER || !fence.n)
		return;
	if (fence_generation(fence) > f->highest)
		f->highest = fence_generation(fence);
	if (fence_layout(fence) != LAYOUT)
		f->layout = fence_layout(fence);
}

static void upgrade(struct fences *f, enum key key, int segment)
{
	struct redis_command c;
	redis_script(&c, &script_upgrade, 1);
	key_put(&c, key, f->recovery->coupon.id, segment);
	redis_send(f->recovery->svc->redis_sync, &c, on_fence, f);
}

enum status recovery_upgrade(struct recovery *r, int64_t *highest)
{
	struct fences f = { .recovery = r, .layout = LAYOUT };
	upgrade(&f, KEY_HUB, 0);
	for (int i = 0; i < r->coupon.segments; i++)
		upgrade(&f, KEY_SEGMENT, i);
	enum status s = recovery_wait_all(r);
	*highest = f.highest;
	if (s != STATUS_OK || f.layout == LAYOUT)
		return s;
	log_error("recover_other_layout", LOG_INT("coupon", r->coupon.id), LOG_INT("layout", f.layout),
		  LOG_INT("program", LAYOUT));
	return STATUS_INTERNAL;
}

static int64_t zero_unless_within(int64_t number, int64_t max)
{
	return number >= 0 && number <= max ? number : 0;
}

/* Sets numbers that no program writes into a hub to 0. */
static void zero_absurd_numbers(struct slot_hub *hub, int segments)
{
	enum { AMOUNT_MAX = 1000000000 };
	hub->amount = zero_unless_within(hub->amount, AMOUNT_MAX);
	hub->cancelled = zero_unless_within(hub->cancelled, AMOUNT_MAX);
	hub->withdrawn = zero_unless_within(hub->withdrawn, AMOUNT_MAX);
	hub->term = zero_unless_within(hub->term, NUMBER_MAX);
	for (int i = 0; i < segments; i++)
		hub->shares[i].base = zero_unless_within(hub->shares[i].base, NUMBER_MAX);
}

enum status recovery_read_hub(struct recovery *r)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	slot_hub_command(&c, r->coupon.id);
	enum redis_outcome outcome = redis_call(r->svc->redis_sync, r->arena, &c, &reply);
	if (outcome != REDIS_ANSWER && outcome != REDIS_BROKEN)
		return STATUS_UNAVAILABLE;
	slot_hub_read(r->arena, reply, r->coupon.segments, &r->hub);
	zero_absurd_numbers(&r->hub, r->coupon.segments);
	return STATUS_OK;
}

/* Servers to which the recovery will write */

/* A server that hangs does not answer, and its connection is closed. */
static void ping_all(struct recovery *r)
{
	struct redis_command c;
	for (int i = 0; i < redis_servers(r->svc->redis_sync); i++) {
		redis_command(&c, "PING");
		c.server = i;
		redis_send(r->svc->redis_sync, &c, NULL, NULL);
	}
	redis_wait_all(r->svc->redis_sync);
}

static void check_key(struct recovery *r, enum key key, int64_t a, int64_t b)
{
	char text[KEY_TEXT];
	struct str name = key_text(text, key, a, b);
	if (redis_reaches(r->svc->redis_sync, name))
		return;
	if (!r->failed)
		log_error("recover_key_unreachable", LOG_INT("coupon", r->coupon.id), LOG_STR("key", name));
	r->failed = true;
}

static void check_keys_of_segment(struct recovery *r, int i)
{
	const struct evidence *e = &r->evidence[i];
	check_key(r, KEY_SEGMENT, r->coupon.id, i);
	if (redis_is_single(r->svc->redis_sync))
		return;
	for (int k = 0; k < e->order_count; k++)
		if (recovery_writes_order(&e->orders[k]))
			check_key(r, KEY_CUSTOMER, e->orders[k].owner.user, 0);
}

static int64_t catalog_bucket(const struct coupon *c)
{
	char path[CATALOG_PATH];
	return key_bucket(catalog_path(path, c->seller_name, c->name));
}

enum status recovery_check_servers(struct recovery *r)
{
	const struct coupon *c = &r->coupon;
	ping_all(r);
	check_key(r, KEY_HUB, c->id, 0);
	check_key(r, KEY_CATALOG, catalog_bucket(c), 0);
	check_key(r, KEY_SELLER_INDEX, key_bucket(c->seller_name), 0);
	check_key(r, KEY_SELLER, c->seller, 0);
	check_key(r, KEY_QUARANTINED, 0, 0);
	check_key(r, KEY_SUSPECTS, 0, 0);
	for (int i = 0; i < c->segments; i++)
		check_keys_of_segment(r, i);
	return r->failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

/* Closing and opening */

static void close_slot(struct recovery *r, enum key key, int segment)
{
	struct redis_command c;
	fence_change_command(&c, key, r->coupon.id, segment, STR(""), r->closed_fence);
	recovery_send(r, &c);
}

/* Also creates slots that are gone, as closed ones: another node of the cluster may turn out to have such a slot. */
enum status recovery_close(struct recovery *r)
{
	close_slot(r, KEY_HUB, 0);
	for (int i = 0; i < r->coupon.segments; i++)
		close_slot(r, KEY_SEGMENT, i);
	enum status s = recovery_wait_all(r);
	r->closed_ms = clock_mono_ms();
	return s;
}

static void open_slot(struct recovery *r, enum key key, int segment)
{
	struct redis_command c;
	fence_open_command(&c, key, r->coupon.id, segment, r->written_fence, r->coupon.generation);
	recovery_send(r, &c);
}

static void remove_from_worklist(struct recovery *r, enum key set)
{
	struct redis_command c;
	worklist_command(&c, "SREM", set, r->coupon.id, r->coupon.segments);
	recovery_send(r, &c);
}

/*
 * Workers and nginx may still answer "sold out" from before the recovery, and now there may be units. So this waits
 * until the sold-out notices of all workers have expired, and removes the nginx marker of this host. Workers of other
 * hosts remove those of their hosts.
 */
enum status recovery_open(struct recovery *r)
{
	sold_out_outlast(r->closed_ms);
	nginx_marker_remove(r->svc->conf, r->coupon.seller_name, r->coupon.name);
	for (int i = 0; i < r->coupon.segments; i++)
		open_slot(r, KEY_SEGMENT, i);
	open_slot(r, KEY_HUB, 0);
	remove_from_worklist(r, KEY_QUARANTINED);
	remove_from_worklist(r, KEY_SUSPECTS);
	return recovery_wait_all(r);
}
