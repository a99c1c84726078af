/*
 * The cache holds a reference to a coupon, and each claim under way another: a coupon that is taken out of the cache is
 * freed when its last claim is answered. A full cache is emptied, which is rare, and simpler than evicting the least
 * recently used coupon.
 */
#include "sale/coupon.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/log.h"
#include "sale/catalog_index.h"
#include "sale/key.h"
#include "sale/price.h"

enum { CACHE_MAX = 16384, BLOCK_SIZE = 256 /* names and a short description */ };

struct coupons {
	struct table by_name, by_id;
};

static const uint8_t cache_key[SIPHASH_KEY];

static uint64_t name_hash(struct str seller, struct str name)
{
	return siphash(cache_key, seller.p, seller.n) ^ (siphash(cache_key, name.p, name.n) << 1);
}

static uint64_t id_hash(int64_t id)
{
	return siphash(cache_key, &id, sizeof id);
}

int coupon_home(const struct coupon *c, int64_t user)
{
	uint64_t le = (uint64_t)user;
	return (int)(siphash(c->hash_key, &le, sizeof le) % (uint64_t)c->segments);
}

bool coupon_same_terms(const struct coupon *a, const struct coupon *b)
{
	return a->face_value == b->face_value && a->starts_ms == b->starts_ms && a->ends_ms == b->ends_ms &&
	       a->segments == b->segments && a->pay_within_s == b->pay_within_s && a->price == b->price &&
	       a->late_payment == b->late_payment && a->limit == b->limit && a->waits == b->waits &&
	       str_eq(a->currency, b->currency) && str_eq(a->checkout_url, b->checkout_url) &&
	       str_eq(a->description, b->description);
}

struct coupons *coupons_new(void)
{
	return alloc_zeroed(1, sizeof(struct coupons));
}

struct coupon *coupon_hold(struct coupon *c)
{
	c->holders++;
	return c;
}

void coupon_drop(struct coupon *c)
{
	if (--c->holders)
		return;
	for (int i = 0; i < COUPON_STATES; i++)
		if (c->states[i])
			c->states[i]->release(c->states[i]);
	arena_release(&c->arena);
	free(c);
}

static struct coupon *of_name(struct table_node *n)
{
	return container_of(n, struct coupon, by_name);
}

static struct coupon *of_id(struct table_node *n)
{
	return container_of(n, struct coupon, by_id);
}

static void evict(struct table_node *n)
{
	struct coupon *c = of_id(n);
	c->cached = false;
	coupon_drop(c);
}

/* For the table by_name: only the table by_id holds references. */
static void free_nothing(struct table_node *n)
{
	(void)n;
}

static void clear_cache(struct coupons *cs)
{
	table_clear(&cs->by_name, free_nothing);
	table_clear(&cs->by_id, evict);
}

void coupons_free(struct coupons *cs)
{
	if (!cs)
		return;
	clear_cache(cs);
	free(cs);
}

void coupon_forget(struct coupons *cs, struct coupon *c)
{
	if (!c->cached)
		return;
	c->cached = false;
	table_remove(&cs->by_name, &c->by_name);
	table_remove(&cs->by_id, &c->by_id);
	coupon_drop(c);
}

struct coupon *coupon_cached(const struct coupons *cs, struct str seller, struct str name)
{
	struct table_node *n = table_find(&cs->by_name, name_hash(seller, name));
	while (n && !(str_eq(of_name(n)->name, name) && str_eq(of_name(n)->seller_name, seller)))
		n = table_next(n);
	return n ? of_name(n) : NULL;
}

static struct coupon *cached_id(const struct coupons *cs, int64_t id)
{
	struct table_node *n = table_find(&cs->by_id, id_hash(id));
	while (n && of_id(n)->id != id)
		n = table_next(n);
	return n ? of_id(n) : NULL;
}

static void cache_coupon(struct coupons *cs, struct coupon *c)
{
	if (cs->by_id.count >= CACHE_MAX)
		clear_cache(cs);
	struct coupon *old = cached_id(cs, c->id);
	if (old)
		coupon_forget(cs, old);
	c->cached = true;
	coupon_hold(c);
	table_put(&cs->by_name, &c->by_name, name_hash(c->seller_name, c->name));
	table_put(&cs->by_id, &c->by_id, id_hash(c->id));
}

/*
 * The fields of a descriptor. A number has a least value; a text has a rule, because names become names of files, and
 * all texts become parts of answers. Descriptors of earlier versions lack the optional fields; an optional text may be
 * empty.
 */
static const struct {
	const char *name;
	size_t offset;
	int64_t least;
	bool (*rule)(struct str text);
	bool is_optional;
} fields[] = {
	{ "id", offsetof(struct coupon, id), 1, NULL, false },
	{ "seller", offsetof(struct coupon, seller), 1, NULL, false },
	{ "gen", offsetof(struct coupon, generation), 1, NULL, false },
	{ "amount", offsetof(struct coupon, amount), 0, NULL, false },
	{ "stock", offsetof(struct coupon, face_value), 0, NULL, false },
	{ "t0", offsetof(struct coupon, starts_ms), 0, NULL, false },
	{ "t1", offsetof(struct coupon, ends_ms), 0, NULL, false },
	{ "created", offsetof(struct coupon, created_ms), 0, NULL, false },
	{ "pay", offsetof(struct coupon, pay_within_s), 0, NULL, false },
	{ "seller_name", offsetof(struct coupon, seller_name), 0, parse_is_name, false },
	{ "name", offsetof(struct coupon, name), 0, parse_is_name, false },
	{ "description", offsetof(struct coupon, description), 0, parse_is_utf8, false },
	{ "price", offsetof(struct coupon, price), 0, NULL, true },
	{ "currency", offsetof(struct coupon, currency), 0, price_is_currency, true },
	{ "checkout", offsetof(struct coupon, checkout_url), 0, price_is_checkout_url, true },
	{ "late", offsetof(struct coupon, late_payment), 0, NULL, true },
	{ "version", offsetof(struct coupon, version), 0, NULL, true },
	{ "limit", offsetof(struct coupon, limit), 1, NULL, true },
	{ "waits", offsetof(struct coupon, waits), 0, NULL, true },
};

static bool read_text(struct coupon *c, const struct redis_reply *value, bool (*rule)(struct str), struct str *text)
{
	if (redis_type(value) != REDIS_TEXT || !rule(redis_text(value)))
		return false;
	*text = arena_str(&c->arena, redis_text(value));
	return true;
}

static bool read_field(struct coupon *c, size_t i, const struct redis_reply *value)
{
	void *at = (char *)c + fields[i].offset;
	if (fields[i].is_optional && !redis_text(value).n)
		return true;
	return fields[i].rule ? read_text(c, value, fields[i].rule, at)
			      : redis_number_in(value, fields[i].least, NUMBER_MAX, at);
}

static bool read_hash_key(struct coupon *c, struct str key)
{
	if (key.n != SIPHASH_KEY)
		return false;
	memcpy(c->hash_key, key.p, SIPHASH_KEY);
	return true;
}

bool coupon_read(struct coupon *c, const struct redis_reply *descriptor)
{
	int64_t segments;
	c->late_payment = c->limit = 1;
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (!read_field(c, i, redis_member(descriptor, fields[i].name)))
			return false;
	if (!redis_number_in(redis_member(descriptor, "segments"), 1, SEGMENTS_MAX, &segments))
		return false;
	c->segments = (int)segments;
	return read_hash_key(c, redis_text(redis_member(descriptor, "key")));
}

/* Finding in Redis: the id by the names, then the descriptor by the id */

struct find {
	struct service *svc;
	coupon_done *done;
	void *context;
	int64_t id;
};

static void end_find(struct find *f, enum status s, struct coupon *c)
{
	f->done(f->context, s, c);
	free(f);
}

static struct coupon *coupon_new(void)
{
	struct coupon *c = alloc_zeroed(1, sizeof *c);
	c->arena.block_size = BLOCK_SIZE;
	c->read_ms = clock_mono_ms();
	return coupon_hold(c);
}

/* An unreadable descriptor counts as missing: the cold pool writes it again from MySQL. */
static void on_descriptor(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct find *f = context;
	if (end != REDIS_ANSWER) {
		end_find(f, STATUS_UNAVAILABLE, NULL);
		return;
	}
	struct coupon *c = coupon_new();
	bool is_whole = coupon_read(c, reply) && c->id == f->id;
	if (is_whole)
		cache_coupon(f->svc->coupons, c);
	else if (redis_count(reply))
		log_error_limited("descriptor_unreadable", LOG_INT("coupon", f->id));
	end_find(f, is_whole ? STATUS_OK : STATUS_NO_SUCH_COUPON, is_whole ? c : NULL);
	coupon_drop(c);
}

static void read_descriptor(struct find *f, int64_t id)
{
	struct redis_command cmd;
	f->id = id;
	redis_command(&cmd, "HGETALL");
	key_put(&cmd, KEY_DESCRIPTOR, id, 0);
	redis_send(f->svc->redis, &cmd, on_descriptor, f);
}

static void on_id(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct find *f = context;
	if (end != REDIS_ANSWER)
		end_find(f, STATUS_UNAVAILABLE, NULL);
	else if (redis_type(reply) == REDIS_NIL)
		end_find(f, STATUS_NO_SUCH_COUPON, NULL);
	else
		read_descriptor(f, redis_number(reply));
}

static struct find *find_new(struct service *svc, coupon_done *done, void *context)
{
	struct find *f = alloc(sizeof *f);
	*f = (struct find){ .svc = svc, .done = done, .context = context };
	return f;
}

void coupon_find(struct service *svc, struct str seller, struct str name, coupon_done *done, void *context)
{
	struct coupon *c = coupon_cached(svc->coupons, seller, name);
	if (c) {
		done(context, STATUS_OK, c);
		return;
	}
	struct redis_command cmd;
	catalog_find(&cmd, seller, name);
	redis_send(svc->redis, &cmd, on_id, find_new(svc, done, context));
}

void coupon_find_id(struct service *svc, int64_t id, coupon_done *done, void *context)
{
	struct coupon *c = cached_id(svc->coupons, id);
	if (c)
		done(context, STATUS_OK, c);
	else
		read_descriptor(find_new(svc, done, context), id);
}
