#include "stock/winners.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sale/fence.h"
#include "sale/scripts.h"

enum {
	PAGE = 1000,
	WINNERS_MAX = 1 << 21,
	PAGES_MAX = 4 * (WINNERS_MAX / PAGE), /* Redis may return fewer winners than PAGE, but the scan must end */
	READ_AGAIN_MS = 1000                  /* after a reading that failed */
};

struct winners {
	struct service *svc;
	struct coupon *coupon;
	int64_t complete;  /* the epoch whose winners are all known; -1: none */
	int64_t too_many;  /* the epoch that has more than WINNERS_MAX winners; -1: none */
	int64_t reading;   /* the epoch whose winners are being read */
	int64_t failed_ms; /* when the last reading failed, by clock_mono_ms; 0: it did not */
	int pages;         /* read so far in this reading */
	int segment;       /* the segment whose owners are being read; -1: no reading is under way */
	int64_t *owners;   /* as codes, by open addressing; 0 is a free entry */
	size_t size, count;
};

/* The set */

static int64_t *entry_of(const struct winners *w, int64_t owner)
{
	size_t i = (size_t)((uint64_t)owner * 0x9e3779b97f4a7c15u >> 20) & (w->size - 1);
	while (w->owners[i] && w->owners[i] != owner)
		i = (i + 1) & (w->size - 1);
	return &w->owners[i];
}

static void grow(struct winners *w)
{
	int64_t *old = w->owners;
	size_t old_size = w->size;
	w->size = old_size ? 2 * old_size : 1024;
	w->owners = alloc_zeroed(w->size, sizeof *w->owners);
	for (size_t i = 0; i < old_size; i++)
		if (old[i])
			*entry_of(w, old[i]) = old[i];
	free(old);
}

static void add_winner(struct winners *w, int64_t owner)
{
	if (2 * w->count >= w->size)
		grow(w);
	int64_t *entry = entry_of(w, owner);
	w->count += !*entry;
	*entry = owner;
}

static void clear_winners(struct winners *w)
{
	free(w->owners);
	w->owners = NULL;
	w->size = w->count = 0;
	w->complete = -1;
}

bool winners_exclude(const struct winners *w, int64_t epoch, struct owner owner)
{
	return w->complete == epoch && w->segment < 0 && !*entry_of(w, owner_code(owner));
}

/* Reading */

static void read_owners(struct winners *w, struct str cursor);

static void end_reading(struct winners *w, bool is_complete)
{
	w->segment = -1;
	w->failed_ms = is_complete ? 0 : clock_mono_ms();
	if (is_complete)
		w->complete = w->reading;
	else
		clear_winners(w);
	coupon_drop(w->coupon);
}

static void add_page(struct winners *w, const struct redis_reply *page)
{
	for (size_t i = 2; i < redis_count(page); i++) {
		struct owner owner;
		if (owner_read(redis_text_at(page, i), &owner))
			add_winner(w, owner_code(owner));
	}
}

static void read_next(struct winners *w, struct str cursor)
{
	if (!str_eq(cursor, STR("0")))
		read_owners(w, cursor);
	else if (++w->segment < w->coupon->segments)
		read_owners(w, STR("0"));
	else
		end_reading(w, true);
}

static void on_owners(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct winners *w = context;
	bool is_page = end == REDIS_ANSWER && str_eq(redis_text_at(reply, 0), STR("OK"));
	bool too_many = w->count > WINNERS_MAX || ++w->pages > PAGES_MAX;
	if (too_many)
		w->too_many = w->reading;
	if (!is_page || too_many) {
		end_reading(w, false);
		return;
	}
	add_page(w, reply);
	read_next(w, redis_text_at(reply, 1));
}

/* The script compares the fence, because a segment whose server may have lost orders does not know all its winners. */
static void read_owners(struct winners *w, struct str cursor)
{
	struct redis_command c;
	redis_script(&c, &script_winners, 2);
	key_put(&c, KEY_SEGMENT, w->coupon->id, w->segment);
	key_put(&c, KEY_OWNERS, w->coupon->id, w->segment);
	fence_put(&c, w->coupon->generation);
	redis_put(&c, cursor);
	redis_put_int(&c, PAGE);
	redis_send(w->svc->redis, &c, on_owners, w);
}

void winners_read(struct winners *w, int64_t epoch)
{
	bool just_failed = w->failed_ms && clock_mono_ms() - w->failed_ms < READ_AGAIN_MS;
	if (w->segment >= 0 || w->complete == epoch || w->too_many == epoch || just_failed)
		return;
	clear_winners(w);
	grow(w);
	w->segment = w->pages = 0;
	w->reading = epoch;
	coupon_hold(w->coupon);
	read_owners(w, STR("0"));
}

struct winners *winners_new(struct service *svc, struct coupon *c)
{
	struct winners *w = alloc(sizeof *w);
	*w = (struct winners){ .svc = svc, .coupon = c, .complete = -1, .too_many = -1, .segment = -1 };
	return w;
}

void winners_free(struct winners *w)
{
	free(w->owners);
	free(w);
}
