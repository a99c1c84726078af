#include "order/rowless.h"

#include "host/log.h"
#include "sale/coupon.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "sale/worklist.h"

enum {
	RECENT = 200,      /* of a customer's list on a cluster, only so many newest orders are looked at */
	DIRTY_MAX = 2000,  /* coupons with orders on lists: two commands for each are sent for one answer */
	CLOSED_MAX = 1000, /* of closed coupons, and of coupons with dead letters: orders of others may not be found, */
	LETTERS_MAX = 1000, /* which is better than no answer */
};

/* On a cluster: the customer's list. */
static enum status find_in_list(struct service *svc, struct arena *a, int64_t user, struct rowless *found)
{
	struct redis_command c;
	const struct redis_reply *list = NULL;
	redis_command(&c, "ZREVRANGE");
	key_put(&c, KEY_CUSTOMER, user, 0);
	redis_put_int(&c, 0);
	redis_put_int(&c, RECENT - 1);
	redis_put_text(&c, "WITHSCORES");
	if (redis_call(svc->redis_sync, a, &c, &list) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	found->orders = arena_alloc(a, (redis_count(list) + 1) * sizeof *found->orders);
	for (size_t i = 0; i + 1 < redis_count(list); i += 2) {
		struct order o = { .user = user, .claimed_ms = redis_number_at(list, i + 1) };
		if (order_parse(redis_text_at(list, i), &o))
			found->orders[found->count++] = o;
	}
	return STATUS_OK;
}

/* On a single server: coupons, and for each the customer's entries among the owners of the home segment */

/* A coupon that is looked at. */
struct place {
	struct search *search;
	int64_t coupon;
	int home;         /* -1: not known */
	int limit;        /* units that the customer may have */
	int64_t *numbers; /* of the customer's orders, by unit - 1; 0: none. NULL: not asked for */
};

struct search {
	struct service *svc;
	struct arena *arena;
	int64_t user;
	struct place *places;
	int count;
	bool failed;
};

static void add_place(struct search *s, int64_t coupon)
{
	for (int i = 0; i < s->count; i++)
		if (s->places[i].coupon == coupon)
			return;
	s->places[s->count++] = (struct place){ .search = s, .coupon = coupon, .home = -1 };
}

static bool read_set(const struct search *s, enum key set, const struct redis_reply **members)
{
	struct redis_command c;
	redis_command(&c, "SMEMBERS");
	key_put(&c, set, 0, 0);
	return redis_call(s->svc->redis_sync, s->arena, &c, members) == REDIS_ANSWER;
}

static void add_set(struct search *s, const struct redis_reply *members, size_t most)
{
	int64_t coupon;
	int segments;
	for (size_t i = 0; i < redis_count(members) && i < most; i++)
		if (worklist_read(redis_text_at(members, i), &coupon, &segments))
			add_place(s, coupon);
}

static enum status refuse(size_t dirty, struct rowless *found)
{
	log_error_limited("list_too_many_dirty", LOG_INT("coupons", (int64_t)dirty));
	found->problem = "the orders of too many coupons wait for the database: retry later";
	return STATUS_BUSY;
}

static enum status read_letters(const struct search *s, struct db_rows *letters)
{
	*letters = (struct db_rows){ 0 };
	if (db_query(s->svc->db, s->arena, "SELECT DISTINCT coupon_id FROM dead_letters LIMIT ?", letters,
		     DB_N(LETTERS_MAX)))
		return db_status(s->svc->db, "orders");
	return STATUS_OK;
}

/*
 * Coupons with orders on lists; then, because such a coupon can become one of these, coupons that are closed: MySQL may
 * have lost orders of them, or the whole coupon; and coupons with dead letters.
 */
static enum status list_places(struct search *s, struct rowless *found)
{
	const struct redis_reply *dirty = NULL, *closed = NULL;
	struct db_rows letters;
	if (!read_set(s, KEY_DIRTY, &dirty) || !read_set(s, KEY_QUARANTINED, &closed))
		return STATUS_UNAVAILABLE;
	if (redis_count(dirty) > DIRTY_MAX)
		return refuse(redis_count(dirty), found);
	found->mysql = read_letters(s, &letters);
	s->places = arena_alloc(s->arena, (redis_count(dirty) + redis_count(closed) + (size_t)letters.count + 1) *
						  sizeof *s->places);
	add_set(s, dirty, DIRTY_MAX);
	add_set(s, closed, CLOSED_MAX);
	for (int i = 0; i < letters.count; i++)
		add_place(s, db_row(&letters, i)[0].number);
	return STATUS_OK;
}

/* A server that does not answer ends the search; a value of a wrong type counts as missing. */
static bool has_answer(struct place *p, enum redis_outcome end)
{
	p->search->failed |= end == REDIS_REFUSED || end == REDIS_UNKNOWN;
	return end == REDIS_ANSWER;
}

static void on_descriptor(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct place *p = context;
	struct coupon c;
	int64_t segments, limit = 1;
	if (!has_answer(p, end) || !redis_number_in(redis_at(reply, 0), 1, SEGMENTS_MAX, &segments) ||
	    redis_text_at(reply, 1).n != SIPHASH_KEY)
		return;
	redis_number_in(redis_at(reply, 2), 1, UNITS_MAX, &limit); /* descriptors of earlier versions have none */
	c.segments = (int)segments;
	memcpy(c.hash_key, redis_text_at(reply, 1).p, SIPHASH_KEY);
	p->home = coupon_home(&c, p->search->user);
	p->limit = (int)limit;
}

/* A command has room for some of the units. */
enum { UNITS_ASKED = 40 };

struct question {
	struct place *place;
	int first; /* unit - 1 */
};

static void on_owners(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	const struct question *q = context;
	if (!has_answer(q->place, end))
		return;
	for (size_t i = 0; i < redis_count(reply) && i < (size_t)(q->place->limit - q->first); i++)
		redis_number_in(redis_at(reply, i), 1, NUMBER_MAX, &q->place->numbers[q->first + (int)i]);
}

static void ask_owners(struct search *s, struct place *p, int first)
{
	struct redis_command c;
	struct question *q = arena_alloc(s->arena, sizeof *q);
	*q = (struct question){ p, first };
	redis_command(&c, "HMGET");
	key_put(&c, KEY_OWNERS, p->coupon, p->home);
	for (int i = first; i < p->limit && i < first + UNITS_ASKED; i++)
		owner_put(&c, (struct owner){ s->user, i + 1 });
	redis_send(s->svc->redis_sync, &c, on_owners, q);
}

static void find_homes(struct search *s)
{
	struct redis_command c;
	for (int i = 0; i < s->count; i++) {
		redis_command(&c, "HMGET");
		key_put(&c, KEY_DESCRIPTOR, s->places[i].coupon, 0);
		redis_put_text(&c, "segments");
		redis_put_text(&c, "key");
		redis_put_text(&c, "limit");
		redis_send(s->svc->redis_sync, &c, on_descriptor, &s->places[i]);
	}
	redis_wait_all(s->svc->redis_sync);
}

/* For coupons whose descriptor is missing in Redis. */
static void find_homes_in_mysql(struct search *s)
{
	struct coupon c;
	enum status status = STATUS_OK;
	for (int i = 0; i < s->count && status != STATUS_UNAVAILABLE; i++) {
		struct order o = { .coupon = s->places[i].coupon };
		if (s->places[i].home >= 0)
			continue;
		status = order_read_coupon(s->svc, s->arena, &o, &c);
		if (status != STATUS_OK)
			continue;
		s->places[i].home = coupon_home(&c, s->user);
		s->places[i].limit = (int)c.limit;
	}
}

static void find_numbers(struct search *s)
{
	for (struct place *p = s->places; p < s->places + s->count; p++) {
		if (p->home < 0)
			continue;
		p->numbers = arena_alloc(s->arena, (size_t)p->limit * sizeof *p->numbers);
		memset(p->numbers, 0, (size_t)p->limit * sizeof *p->numbers);
		for (int first = 0; first < p->limit; first += UNITS_ASKED)
			ask_owners(s, p, first);
	}
	redis_wait_all(s->svc->redis_sync);
}

static void take_places(const struct search *s, struct rowless *found)
{
	size_t most = 1;
	for (int i = 0; i < s->count; i++)
		most += (size_t)s->places[i].limit;
	found->orders = arena_alloc(s->arena, most * sizeof *found->orders);
	for (const struct place *p = s->places; p < s->places + s->count; p++)
		for (int i = 0; p->numbers && i < p->limit; i++)
			if (p->numbers[i])
				found->orders[found->count++] = (struct order){ .coupon = p->coupon,
										.segment = p->home,
										.sequence = p->numbers[i],
										.user = s->user,
										.unit = i + 1 };
}

/* The coupons come first: an order that is on a list then, and not when its coupon is looked at, has a row by now. */
static enum status find_by_owner(struct service *svc, struct arena *a, int64_t user, struct rowless *found)
{
	struct search s = { .svc = svc, .arena = a, .user = user };
	enum status status = list_places(&s, found);
	if (status != STATUS_OK)
		return status;
	find_homes(&s);
	if (found->mysql == STATUS_OK)
		find_homes_in_mysql(&s);
	find_numbers(&s);
	take_places(&s, found);
	return s.failed ? STATUS_UNAVAILABLE : STATUS_OK;
}

enum status rowless_find(struct service *svc, struct arena *a, int64_t user, struct rowless *found)
{
	*found = (struct rowless){ .mysql = STATUS_OK };
	return redis_is_single(svc->redis_sync) ? find_by_owner(svc, a, user, found)
						: find_in_list(svc, a, user, found);
}
