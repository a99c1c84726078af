#include "stock/sold_out.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sale/fence.h"
#include "sale/scripts.h"
#include "stock/nginx_marker.h"

enum {
	RENEW_MS = 150,
	REREAD_MS = 1000, /* the winners, where a segment did not say them */
	CROWD = 16,       /* losers that make it worth the while */
	IDLE_MS = 2000,   /* after the last claim that needed it */
	PAGE = 1000,
	WINNERS_MAX = 1 << 21,
	PAGES_MAX = 4 * (WINNERS_MAX / PAGE) /* a page may have fewer than it could: but a scan has an end */
};

struct sold_out {
	struct service *svc;
	struct coupon *coupon;
	struct loop_timer renew;
	bool asking;
	int losers;
	int64_t epoch, until_ms, sent_ms, used_ms;
	/* the winners under `complete`, or those found so far */
	int64_t complete;  /* the epoch of which all winners are known; -1: of none */
	int64_t too_many;  /* the epoch that has more winners than are kept; -1: none */
	int64_t reading;   /* the epoch for which they are being read */
	int64_t failed_ms; /* when they were not read to the end; 0: never */
	int pages;         /* of these winners, so far */
	int segment;       /* whose owners are being read; -1: nobody's */
	int64_t *winners;  /* open addressing, 0 is free */
	size_t size, count;
	struct nginx_marker marker;
};

/* Winners */

static size_t slot_of(const struct sold_out *s, int64_t user)
{
	size_t i = (size_t)((uint64_t)user * 0x9e3779b97f4a7c15u >> 20) & (s->size - 1);
	while (s->winners[i] && s->winners[i] != user)
		i = (i + 1) & (s->size - 1);
	return i;
}

static void grow(struct sold_out *s)
{
	struct sold_out old = *s;
	s->size = old.size ? 2 * old.size : 1024;
	s->winners = alloc_zeroed(s->size, sizeof *s->winners);
	for (size_t i = 0; i < old.size; i++)
		if (old.winners[i])
			s->winners[slot_of(s, old.winners[i])] = old.winners[i];
	free(old.winners);
}

static void add_winner(struct sold_out *s, int64_t user)
{
	if (2 * s->count >= s->size)
		grow(s);
	int64_t *at = &s->winners[slot_of(s, user)];
	s->count += !*at;
	*at = user;
}

static void forget_winners(struct sold_out *s)
{
	free(s->winners);
	s->winners = NULL;
	s->size = s->count = 0;
	s->complete = -1;
}

static void read_owners(struct sold_out *s, struct str cursor);

static void end_reading(struct sold_out *s, bool whole)
{
	s->segment = -1;
	s->failed_ms = whole ? 0 : clock_mono_ms();
	if (whole)
		s->complete = s->reading;
	else
		forget_winners(s);
	coupon_drop(s->coupon);
}

static void on_owners(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct sold_out *s = context;
	struct str cursor = redis_text_at(reply, 1);
	bool is_page = end == REDIS_ANSWER && str_eq(redis_text_at(reply, 0), STR("OK"));
	bool too_many = s->count > WINNERS_MAX || ++s->pages > PAGES_MAX;
	if (too_many)
		s->too_many = s->reading;
	if (!is_page || too_many) {
		end_reading(s, false);
		return;
	}
	for (size_t i = 2; i < redis_count(reply); i++) {
		int64_t user;
		if (redis_number_in(redis_at(reply, i), 1, NUMBER_MAX, &user))
			add_winner(s, user);
	}
	if (!str_eq(cursor, STR("0"))) {
		read_owners(s, cursor);
	} else if (++s->segment < s->coupon->segments) {
		read_owners(s, STR("0"));
	} else {
		end_reading(s, true);
	}
}

/* Under the fence: a segment whose server may have lost orders does not say who has won. */
static void read_owners(struct sold_out *s, struct str cursor)
{
	struct redis_command c;
	redis_script(&c, &script_winners, 2);
	key_put(&c, KEY_SEGMENT, s->coupon->id, s->segment);
	key_put(&c, KEY_OWNERS, s->coupon->id, s->segment);
	fence_put(&c, s->coupon->generation);
	redis_put(&c, cursor);
	redis_put_int(&c, PAGE);
	redis_send(s->svc->redis, &c, on_owners, s);
}

/* Once for an epoch, and only after its word: nobody wins under it any more. */
static void read_winners(struct sold_out *s)
{
	bool just_failed = s->failed_ms && clock_mono_ms() - s->failed_ms < REREAD_MS;
	if (s->segment >= 0 || s->complete == s->epoch || s->too_many == s->epoch || just_failed)
		return;
	forget_winners(s);
	grow(s);
	s->segment = s->pages = 0;
	s->reading = s->epoch;
	coupon_hold(s->coupon);
	read_owners(s, STR("0"));
}

/* The word */

static void ask(struct sold_out *s);

/* Also when no answer came: what nginx was told ends with the word. */
static void on_renew(struct loop_timer *t)
{
	struct sold_out *s = container_of(t, struct sold_out, renew);
	int64_t now = clock_mono_ms();
	if (now >= s->until_ms) {
		nginx_marker_take_back(&s->marker);
		return;
	}
	loop_timer_set(s->svc->loop, &s->renew, s->until_ms - now);
	bool wanted = now - s->used_ms < IDLE_MS && s->coupon->cached;
	if (wanted && !s->asking && (!s->coupon->ends_ms || clock_ms() < s->coupon->ends_ms))
		ask(s);
}

/* Of our generation, and in the present life of the hub's server: else an inspection must look at it first. */
static bool is_ours(const struct sold_out *s, struct str fence)
{
	char text[KEY_TEXT];
	return fence_generation(fence) == s->coupon->generation &&
	       str_eq(fence_incarnation(fence),
		      str_of(redis_incarnation(s->svc->redis, key_text(text, KEY_HUB, s->coupon->id, 0))));
}

static void on_word(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct sold_out *s = context;
	struct str fence = redis_text_at(reply, 0);
	s->asking = false;
	int64_t epoch = 0;
	bool sold_out = end == REDIS_ANSWER && is_ours(s, fence) && redis_number_at(reply, 1) == 1 &&
			redis_number_in(redis_at(reply, 2), 0, NUMBER_MAX, &epoch);
	if (sold_out) {
		s->epoch = epoch;
		s->until_ms = s->sent_ms + SOLD_OUT_LEASE_MS;
		nginx_marker_leave(&s->marker, s->until_ms - clock_mono_ms());
		read_winners(s);
		loop_timer_set(s->svc->loop, &s->renew, RENEW_MS);
	}
	if (end == REDIS_ANSWER && !sold_out) {
		s->until_ms = 0;
		nginx_marker_take_back(&s->marker);
	}
	coupon_drop(s->coupon); /* without an answer nothing is renewed: the word runs out */
}

static void ask(struct sold_out *s)
{
	struct redis_command c;
	s->asking = true;
	s->sent_ms = clock_mono_ms();
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, s->coupon->id, 0);
	redis_put_text(&c, "fence");
	redis_put_text(&c, "sold_out");
	redis_put_text(&c, "epoch");
	coupon_hold(s->coupon);
	redis_send(s->svc->redis, &c, on_word, s);
}

void sold_out_heard(struct service *svc, struct coupon *c)
{
	struct sold_out *s = c->sold_out;
	if (!s) {
		s = c->sold_out = alloc_zeroed(1, sizeof *s);
		*s = (struct sold_out){ .svc = svc, .coupon = c, .complete = -1, .too_many = -1, .segment = -1 };
		s->marker = (struct nginx_marker){
			.conf = svc->conf, .stats = svc->stats, .seller = c->seller_name, .name = c->name
		};
		s->renew.fn = on_renew;
	}
	int64_t now = clock_mono_ms();
	s->used_ms = now;
	if (++s->losers >= CROWD && !s->asking && now >= s->until_ms && c->cached)
		ask(s);
}

bool sold_out_is_lost(struct coupon *c, int64_t user)
{
	struct sold_out *s = c->sold_out;
	if (!s || s->complete != s->epoch || s->segment >= 0)
		return false;
	int64_t now = clock_mono_ms();
	if (now >= s->until_ms)
		return false;
	s->used_ms = now;
	return !s->winners[slot_of(s, user)];
}

void sold_out_outlast(int64_t since_ms)
{
	while (clock_mono_ms() - since_ms <= SOLD_OUT_LEASE_MS)
		usleep(10000);
}

void sold_out_free(struct sold_out *s)
{
	if (!s)
		return;
	loop_timer_cancel(s->svc->loop, &s->renew);
	nginx_marker_take_back(&s->marker);
	free(s->winners);
	free(s);
}
