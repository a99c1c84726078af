#include "recover/recover_part.h"

#include "base/clock.h"
#include "catalog/publish.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/claim.h"
#include "stock/nginx_marker.h"
#include "stock/sold_out.h"

/* Epochs of a term, as term.lua has them. */
#define TERM_EPOCHS ((int64_t)1 << 20)

static void on_done(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct recover *r = context;
	if (end != REDIS_ANSWER || (redis_type(reply) == REDIS_LIST && !str_eq(redis_text_at(reply, 0), STR("OK"))))
		r->failed = true;
}

static enum status settle(struct recover *r)
{
	redis_wait_all(r->svc->redis_sync);
	return r->failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

static void send(struct recover *r, const struct redis_command *c)
{
	redis_send(r->svc->redis_sync, c, on_done, r);
}

/* What slots are before it */

struct fences {
	struct recover *recover;
	int64_t highest, layout; /* layout: a later one, or ours */
};

static void on_fence(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct fences *f = context;
	struct str fence = redis_text(reply);
	f->recover->failed |= end != REDIS_ANSWER && end != REDIS_BROKEN;
	if (end != REDIS_ANSWER || !fence.n)
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
	key_put(&c, key, f->recover->coupon.id, segment);
	redis_send(f->recover->svc->redis_sync, &c, on_fence, f);
}

enum status recover_upgrade(struct recover *r, int64_t *highest)
{
	struct fences f = { .recover = r, .layout = LAYOUT };
	upgrade(&f, KEY_HUB, 0);
	for (int i = 0; i < r->coupon.segments; i++)
		upgrade(&f, KEY_SEGMENT, i);
	enum status s = settle(r);
	*highest = f.highest;
	if (s != STATUS_OK || f.layout == LAYOUT)
		return s;
	log_error("recover_other_layout", LOG_INT("coupon", r->coupon.id), LOG_INT("layout", f.layout),
		  LOG_INT("program", LAYOUT));
	return STATUS_INTERNAL;
}

enum status recover_read_hub(struct recover *r)
{
	enum { WITHDRAWN_MAX = 1000000000 };
	struct redis_command c;
	const struct redis_reply *hub = NULL;
	redis_command(&c, "HGETALL");
	key_put(&c, KEY_HUB, r->coupon.id, 0);
	enum redis_outcome end = redis_call(r->svc->redis_sync, r->arena, &c, &hub);
	if (end != REDIS_ANSWER && end != REDIS_BROKEN)
		return STATUS_UNAVAILABLE;
	r->hub = (struct hub_known){ 0 };
	r->hub.bases = arena_alloc(r->arena, (size_t)r->coupon.segments * sizeof *r->hub.bases);
	redis_number_in(redis_member(hub, "term"), 0, NUMBER_MAX, &r->hub.term);
	redis_number_in(redis_member(hub, "withdrawn"), 0, WITHDRAWN_MAX, &r->hub.withdrawn);
	for (int i = 0; i < r->coupon.segments; i++)
		redis_number_in(redis_member(hub, arena_printf(r->arena, "B%d", i)), 0, NUMBER_MAX, &r->hub.bases[i]);
	return STATUS_OK;
}

/*
 * Whether the owner's entry and the customer's list are written: an order that was only in Redis may be missing in the
 * list, because on a cluster the two are written one by one.
 */
static bool is_written(const struct evidence_claim *claim)
{
	return claim->sequence != claim->owner_sequence || source_is_new(claim);
}

/* The servers that are needed */

/* One that hangs is noticed by this: its connection is given up. */
static void ping_all(struct recover *r)
{
	struct redis_command c;
	for (int i = 0; i < redis_servers(r->svc->redis_sync); i++) {
		redis_command(&c, "PING");
		c.server = i;
		redis_send(r->svc->redis_sync, &c, NULL, NULL);
	}
	redis_wait_all(r->svc->redis_sync);
}

static void reach(struct recover *r, enum key key, int64_t a, int64_t b)
{
	char text[KEY_TEXT];
	struct str name = key_text(text, key, a, b);
	if (redis_reaches(r->svc->redis_sync, name))
		return;
	if (!r->failed)
		log_error("recover_key_away", LOG_INT("coupon", r->coupon.id), LOG_STR("key", name));
	r->failed = true;
}

static int64_t catalog_bucket(struct recover *r)
{
	struct buf path;
	buf_init(&path, r->arena);
	buf_put(&path, r->coupon.seller_name);
	buf_puts(&path, "/");
	buf_put(&path, r->coupon.name);
	return key_bucket(buf_str(&path));
}

enum status recover_reach(struct recover *r)
{
	const struct coupon *c = &r->coupon;
	ping_all(r);
	reach(r, KEY_HUB, c->id, 0);
	reach(r, KEY_CATALOG, catalog_bucket(r), 0);
	reach(r, KEY_SELLER_INDEX, key_bucket(c->seller_name), 0);
	reach(r, KEY_SELLER, c->seller, 0);
	reach(r, KEY_QUARANTINED, 0, 0);
	reach(r, KEY_SUSPECTS, 0, 0);
	for (int i = 0; i < c->segments; i++) {
		const struct evidence *s = &r->sources[i];
		reach(r, KEY_SEGMENT, c->id, i);
		for (int k = 0; k < s->count; k++)
			if (is_written(&s->claims[k]))
				reach(r, KEY_CUSTOMER, s->claims[k].user, 0);
	}
	return r->failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

static void close_slot(struct recover *r, enum key key, int segment)
{
	struct redis_command c;
	fence_change_command(&c, key, r->coupon.id, segment, STR(""), r->closed);
	send(r, &c);
}

/* Also where nothing is: a slot that another node finds later must not open. */
enum status recover_close(struct recover *r)
{
	close_slot(r, KEY_HUB, 0);
	for (int i = 0; i < r->coupon.segments; i++)
		close_slot(r, KEY_SEGMENT, i);
	enum status s = settle(r);
	r->closed_ms = clock_mono_ms();
	return s;
}

/* Back into Redis. The slots are closed: nothing reads what is half written. */

/* The start of a write that is done only while the slot is closed by this recovery. */
static void rewrite(struct redis_command *c, const struct recover *r, enum key slot, enum key key, int segment,
		    const char *command)
{
	redis_script(c, &script_rewrite, 2);
	key_put(c, slot, r->coupon.id, segment);
	key_put(c, key, r->coupon.id, segment);
	redis_put(c, r->closed);
	redis_put_text(c, command);
}

static enum status end_rewriting(struct recover *r, enum key slot, int segment)
{
	struct redis_command c;
	enum status s = settle(r); /* a script that had to be loaded first may come after what was sent after it */
	if (s != STATUS_OK)
		return s;
	fence_change_command(&c, slot, r->coupon.id, segment, r->closed, r->written);
	send(r, &c);
	return settle(r);
}

static void put_field(struct redis_command *c, const char *name, int64_t value)
{
	redis_put_text(c, name);
	redis_put_int(c, value);
}

/* A word of the customer's list: a number that holds, or one that does not any more. */
static void index_command(struct redis_command *c, const struct recover *r, int segment, int64_t user,
			  const int64_t *claimed_ms, int64_t sequence)
{
	char order[ORDER_NUMBER_TEXT];
	redis_command(c, claimed_ms ? "ZADD" : "ZREM");
	key_put(c, KEY_CUSTOMER, user, 0);
	if (claimed_ms)
		redis_put_int(c, *claimed_ms);
	redis_put(c, order_number_text(order, r->coupon.id, segment, sequence));
}

/* A number that the customer has not any more. An order that is over stays in the list. */
static void unlist(struct recover *r, const struct evidence *s, const struct evidence_claim *claim, int64_t number)
{
	struct redis_command c;
	if (!number || number == claim->sequence || claim->source == OVER)
		return;
	index_command(&c, r, s->segment, claim->user, NULL, number);
	send(r, &c);
}

static void own(struct recover *r, const struct evidence *s, const struct evidence_claim *claim)
{
	struct redis_command c;
	if (!is_written(claim))
		return;
	unlist(r, s, claim, claim->owner_sequence);
	if (claim->told != claim->owner_sequence)
		unlist(r, s, claim, claim->told);
	rewrite(&c, r, KEY_SEGMENT, KEY_OWNERS, s->segment, claim->sequence ? "HSET" : "HDEL");
	redis_put_int(&c, claim->user);
	if (claim->sequence)
		redis_put_int(&c, claim->sequence);
	send(r, &c);
	if (!claim->sequence)
		return;
	index_command(&c, r, s->segment, claim->user, &claim->claimed_ms, claim->sequence);
	send(r, &c);
}

static enum status write_segment(struct recover *r, const struct evidence *s)
{
	enum { GROUP = 1000 };
	const struct share *share = &r->shares[s->segment];
	int64_t base = r->numbers.bases[s->segment];
	struct redis_command c;
	for (int i = 0; i < s->count; i++) {
		own(r, s, &s->claims[i]);
		if (i % GROUP == GROUP - 1)
			redis_wait_all(r->svc->redis_sync);
	}
	rewrite(&c, r, KEY_SEGMENT, KEY_ORDERS, s->segment, "DEL");
	send(r, &c);
	rewrite(&c, r, KEY_SEGMENT, KEY_SEGMENT, s->segment, "HSETNX"); /* one that was paused or has ended stays so */
	redis_put_text(&c, "state");
	redis_put_text(&c, "open");
	send(r, &c);
	rewrite(&c, r, KEY_SEGMENT, KEY_SEGMENT, s->segment, "HSET");
	put_field(&c, "t0", r->coupon.starts_ms);
	put_field(&c, "t1", r->coupon.ends_ms);
	put_field(&c, "left", 0);
	put_field(&c, "sold", share->sold);
	put_field(&c, "I", share->sold);
	put_field(&c, "O", 0);
	put_field(&c, "base", base);
	put_field(&c, "last", base + share->renumbered);
	put_field(&c, "term", r->numbers.term);
	put_field(&c, "epoch", 0);
	put_field(&c, "until", 0);
	send(r, &c);
	rewrite(&c, r, KEY_SEGMENT, KEY_SEGMENT, s->segment, "HDEL");
	redis_put_text(&c, "next");
	send(r, &c);
	return end_rewriting(r, KEY_SEGMENT, s->segment);
}

static void put_characters(struct redis_command *c, const struct recover *r, const char *name, char character)
{
	char characters[SEGMENTS_MAX];
	memset(characters, character, sizeof characters);
	redis_put_text(c, name);
	redis_put(c, (struct str){ characters, (size_t)r->coupon.segments });
}

/* Totals that the hub alone keeps stay, where they are there. */
static void keep_total(struct recover *r, const char *name)
{
	struct redis_command c;
	rewrite(&c, r, KEY_HUB, KEY_HUB, 0, "HSETNX");
	put_field(&c, name, 0);
	send(r, &c);
}

/*
 * All that is left lies in the hub. `skipped` is not 0 only where the segments do not have as many orders and held
 * units as there are: more were sold than put on sale, or rows name segments that the coupon does not have.
 */
static enum status write_hub(struct recover *r)
{
	struct redis_command c;
	int64_t units = r->coupon.amount + r->cancelled - r->withdrawn, sold = 0;
	int64_t available = units - r->out->orders - r->held;
	for (int i = 0; i < r->coupon.segments; i++)
		sold += r->shares[i].sold;
	r->out->available = available > 0 ? available : 0;
	keep_total(r, "final");
	keep_total(r, "final_cancelled");
	rewrite(&c, r, KEY_HUB, KEY_HUB, 0, "HSET");
	put_field(&c, "amount", r->coupon.amount);
	put_field(&c, "cancelled", r->cancelled);
	put_field(&c, "withdrawn", r->withdrawn);
	put_field(&c, "segments", r->coupon.segments);
	put_field(&c, "avail", r->out->available);
	put_field(&c, "skipped", r->out->available + sold - units);
	put_field(&c, "sold_out", 0);
	put_field(&c, "opening", 0);
	put_field(&c, "term", r->numbers.term);
	put_field(&c, "epoch", r->numbers.term * TERM_EPOCHS);
	put_characters(&c, r, "empty", '0');
	put_characters(&c, r, "heard", '1');
	send(r, &c);
	for (int i = 0; i < r->coupon.segments; i++) {
		rewrite(&c, r, KEY_HUB, KEY_HUB, 0, "HSET");
		put_field(&c, arena_printf(r->arena, "G%d", i), r->shares[i].sold);
		put_field(&c, arena_printf(r->arena, "R%d", i), 0);
		put_field(&c, arena_printf(r->arena, "B%d", i), r->numbers.bases[i]);
		send(r, &c);
	}
	return end_rewriting(r, KEY_HUB, 0);
}

enum status recover_write(struct recover *r)
{
	enum status s = STATUS_OK;
	for (int i = 0; s == STATUS_OK && i < r->coupon.segments; i++) {
		s = write_segment(r, &r->sources[i]);
		FAULT(recover_segment);
	}
	if (s == STATUS_OK)
		s = write_hub(r);
	return s == STATUS_OK ? publish_enter(r->svc, r->arena, &r->coupon) : s;
}

static void forget(struct recover *r, enum key set)
{
	struct redis_command c;
	worklist_command(&c, "SREM", set, r->coupon.id, r->coupon.segments);
	send(r, &c);
}

/*
 * Only slots that are still closed by us: a later recovery has another generation. Workers and nginx may have kept
 * "sold out" from before, and there may be units now. Nothing is left of it on this host when that is over; other
 * hosts' workers take back what they have left there.
 */
enum status recover_open(struct recover *r)
{
	struct redis_command c;
	sold_out_outlast(r->closed_ms);
	nginx_marker_remove(r->svc->conf, r->coupon.seller_name, r->coupon.name);
	for (int i = 0; i < r->coupon.segments; i++) {
		fence_open_command(&c, KEY_SEGMENT, r->coupon.id, i, r->written, r->coupon.generation);
		send(r, &c);
	}
	fence_open_command(&c, KEY_HUB, r->coupon.id, 0, r->written, r->coupon.generation);
	send(r, &c);
	forget(r, KEY_QUARANTINED);
	forget(r, KEY_SUSPECTS);
	return settle(r);
}
