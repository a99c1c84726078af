#include "waiting/waited.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/sold_out.h"

enum { AWAY_MS = 1000 };

void waited_init(struct waited *w, int64_t coupon, int segments)
{
	*w = (struct waited){ .coupon = coupon, .segments = segments };
	w->away_until = alloc_zeroed((size_t)segments, sizeof *w->away_until);
}

void waited_release(struct waited *w)
{
	free(w->away_until);
	w->away_until = NULL;
}

bool waited_is_away(struct service *svc, const struct waited *w, int segment)
{
	char text[KEY_TEXT];
	return clock_mono_ms() < w->away_until[segment] ||
	       !redis_reaches(svc->redis_sync, key_text(text, KEY_SEGMENT, w->coupon, segment));
}

void waited_note_away(struct waited *w, int segment)
{
	w->away_until[segment] = clock_mono_ms() + AWAY_MS;
	w->skipped = 0;
}

/* Calls of promote.lua */

static const char *const words[WAITED_WORDS] = {
	[WAITED_OK] = "OK",           [WAITED_LATER] = "LATER",
	[WAITED_UNHEARD] = "UNHEARD", [WAITED_UNLISTED] = "UNLISTED",
	[WAITED_EARLY] = "EARLY",     [WAITED_PAUSED] = "PAUSED",
	[WAITED_ENDED] = "ENDED",     [WAITED_NOLIST] = "NOLIST",
};

static enum waited_word read_word(struct str text)
{
	for (int i = WAITED_OK; i < WAITED_WORDS; i++)
		if (str_eq(text, str_of(words[i])))
			return (enum waited_word)i;
	return WAITED_AWAY;
}

/* The epoch of the hub's last LATER, when all sold-out notices from before it have ended since. */
static void put_epoch(struct redis_command *cmd, const struct waited *w)
{
	if (w->opening_epoch && clock_mono_ms() - w->opening_ms > SOLD_OUT_NOTICE_MS)
		redis_put_int(cmd, w->opening_epoch);
	else
		redis_put_text(cmd, "");
}

static void put_call(struct redis_command *cmd, const struct waited *w, const struct coupon *c,
		     const struct str *entries)
{
	redis_script(cmd, &script_promote, 2);
	key_put(cmd, KEY_HUB, c->id, 0);
	key_put(cmd, KEY_WAITING, c->id, 0);
	fence_put(cmd, c->generation);
	redis_put_int(cmd, c->starts_ms);
	redis_put_int(cmd, c->ends_ms);
	put_epoch(cmd, w);
	if (!entries)
		return;
	redis_put_int(cmd, w->skipped);
	redis_put(cmd, *entries);
}

static bool read_promotion(const struct redis_reply *reply, size_t at, int segments, struct promotion *p)
{
	int64_t segment;
	p->entries = redis_text_at(reply, at + 3);
	bool is_whole = redis_number_in(redis_at(reply, at), 0, segments - 1, &segment) &&
			redis_number_in(redis_at(reply, at + 1), 0, NUMBER_MAX, &p->granted) &&
			redis_number_in(redis_at(reply, at + 2), 0, NUMBER_MAX, &p->base) && p->entries.n > 0;
	p->segment = is_whole ? (int)segment : -1;
	return is_whole;
}

/* False: the reply lacks something that the script documents. */
static bool read_answer(struct arena *a, const struct redis_reply *reply, int segments, struct hub_answer *answer)
{
	enum { NUMBERS = 7, EACH = 4 };
	size_t count = redis_count(reply);
	answer->word = read_word(redis_text_at(reply, 0));
	if (answer->word == WAITED_NOLIST)
		return true;
	answer->empty = redis_text_at(reply, 5);
	if (!answer->word || answer->empty.n != (size_t)segments ||
	    !redis_number_in(redis_at(reply, 1), 0, NUMBER_MAX, &answer->epoch) ||
	    !redis_number_in(redis_at(reply, 2), -NUMBER_MAX, NUMBER_MAX, &answer->avail) ||
	    !redis_number_in(redis_at(reply, 3), 0, NUMBER_MAX, &answer->queue) ||
	    !redis_number_in(redis_at(reply, 4), 0, NUMBER_MAX, &answer->term) ||
	    !redis_number_in(redis_at(reply, 6), 0, NUMBER_MAX, &answer->promoted))
		return false;
	answer->outstanding = arena_alloc(a, (count + 1) * sizeof *answer->outstanding);
	for (size_t i = NUMBERS; i + EACH <= count; i += EACH)
		if (!read_promotion(reply, i, segments, &answer->outstanding[answer->count++]))
			return false;
	return true;
}

/* A hub of another generation: the coupon is read again in the next step. */
static void refuse_fence(struct service *svc, struct coupon *c, struct str fence)
{
	if (fence_read(fence, c->generation) == FENCE_OTHER)
		coupon_forget(svc->coupons, c);
	else
		worklist_inspect(svc->redis_sync, c->id, c->segments);
}

static void note_opening(struct waited *w, const struct hub_answer *answer)
{
	if (answer->word == WAITED_LATER && answer->epoch != w->opening_epoch) {
		w->opening_epoch = answer->epoch;
		w->opening_ms = clock_mono_ms();
	}
}

void waited_ask(struct service *svc, struct arena *a, struct waited *w, struct coupon *c, const struct str *entries,
		struct hub_answer *answer)
{
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	*answer = (struct hub_answer){ .word = WAITED_AWAY };
	put_call(&cmd, w, c, entries);
	stats_add(svc->stats, COUNT_scripts_total__promote, 1);
	if (redis_call(svc->redis_sync, a, &cmd, &reply) != REDIS_ANSWER)
		return;
	if (str_eq(redis_text_at(reply, 0), STR("FENCED"))) {
		refuse_fence(svc, c, redis_text_at(reply, 1));
		return;
	}
	if (!read_answer(a, reply, c->segments, answer)) {
		log_error_limited("script_reply_unreadable", LOG_TEXT("script", "promote"));
		*answer = (struct hub_answer){ .word = WAITED_AWAY };
		return;
	}
	if (answer->word == WAITED_UNHEARD)
		worklist_inspect(svc->redis_sync, c->id, c->segments);
	note_opening(w, answer);
	w->queue = answer->queue;
}
