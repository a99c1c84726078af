#include "drain/batch.h"

#include "host/log.h"
#include "sale/key.h"
#include "sale/scripts.h"

void batch_init(struct batch *b, struct service *svc, struct arena *a, int64_t coupon, int segments)
{
	*b = (struct batch){ .svc = svc, .arena = a, .coupon = coupon, .segments = segments };
	b->capacity = svc->conf->drain_batch;
	b->segment = arena_alloc(a, (size_t)segments * sizeof *b->segment);
	b->records = arena_alloc(a, (size_t)b->capacity * sizeof *b->records);
}

int batch_failed(struct batch *b, const char *at)
{
	const char *error = db_error(b->svc->db);
	if (db_failure(b->svc->db) == DB_BROKEN)
		log_error_limited("drain_failed", LOG_TEXT("at", at), LOG_INT("coupon", b->coupon),
				  LOG_TEXT("error", error));
	else
		log_warn_limited("drain_failed", LOG_TEXT("at", at), LOG_INT("coupon", b->coupon),
				 LOG_TEXT("error", error));
	return -1;
}

/* What was read of one list. */
struct peek {
	struct batch *batch;
	int segment;
	struct str *records; /* those behind `passed` */
	int count;
};

/* The lists share the batch equally. Rounded up, because some lists are shorter, so all together may exceed it. */
static int share(const struct batch *b)
{
	return (b->capacity + b->segments - 1) / b->segments;
}

/*
 * Checks that the first record of the reply is `passed`. False: another drainer has trimmed the list meanwhile;
 * `passed` is cleared, so that the next batch reads the list from its head.
 */
static bool check_place(struct segment_batch *s, const struct redis_reply *reply)
{
	struct order_record r = { 0 };
	if (!s->passed.number)
		return true;
	if (s->passed.base == s->base && order_record_read(redis_text_at(reply, 1), &r) &&
	    r.sequence == s->passed.number)
		return true;
	s->passed = (struct place){ 0 };
	return false;
}

/*
 * Adds a record to the batch. False: it cannot be added, and the records behind it must not be: they wait until it is
 * the head of its list.
 */
static bool add_record(struct batch *b, struct segment_batch *s, struct order_record *r, int64_t index)
{
	bool read = order_record_read(r->raw, r);
	s->waits = true;
	if (!read && !index)
		s->garbage = r->raw;
	int64_t before = s->first ? b->records[b->count - 1].sequence : s->passed.number;
	if (!read || r->sequence <= before)
		return false;
	if (!s->first) {
		s->first = &b->records[b->count];
		s->first_index = index;
	}
	b->records[b->count++] = *r;
	if (!b->oldest_ms || r->claimed_ms < b->oldest_ms)
		b->oldest_ms = r->claimed_ms;
	return true;
}

static void on_records(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct peek *p = context;
	struct batch *b = p->batch;
	struct segment_batch *s = &b->segment[p->segment];
	b->away |= end != REDIS_ANSWER;
	if (end != REDIS_ANSWER)
		return;
	s->base = -1;
	redis_number_in(redis_at(reply, 0), 0, NUMBER_MAX, &s->base);
	if (!check_place(s, reply))
		return;
	int most = share(b);
	p->records = arena_alloc(b->arena, (size_t)most * sizeof *p->records);
	for (size_t i = s->passed.number ? 2 : 1; i < redis_count(reply) && p->count < most; i++)
		p->records[p->count++] = arena_str(b->arena, redis_text_at(reply, i));
}

static void add_records(const struct peek *p)
{
	struct batch *b = p->batch;
	struct segment_batch *s = &b->segment[p->segment];
	int64_t behind = s->passed.number ? s->passed.index + 1 : 0;
	for (int i = 0; i < p->count && b->count < b->capacity; i++) {
		struct order_record r = { .segment = p->segment, .raw = p->records[i] };
		if (!add_record(b, s, &r, behind + i))
			break;
	}
}

void batch_read(struct batch *b)
{
	struct redis_command c;
	struct peek *peeks = arena_alloc(b->arena, (size_t)b->segments * sizeof *peeks);
	for (int i = 0; i < b->segments; i++) {
		const struct place *passed = &b->segment[i].passed;
		peeks[i] = (struct peek){ .batch = b, .segment = i };
		redis_script(&c, &script_peek, 2);
		key_put(&c, KEY_SEGMENT, b->coupon, i);
		key_put(&c, KEY_ORDERS, b->coupon, i);
		redis_put_int(&c, passed->index);
		redis_put_int(&c, share(b) + (passed->number ? 1 : 0));
		redis_send(b->svc->redis_sync, &c, on_records, &peeks[i]);
	}
	redis_wait_all(b->svc->redis_sync);
	for (int i = 0; i < b->segments; i++)
		add_records(&peeks[(b->first + i) % b->segments]);
}
