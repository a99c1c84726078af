/*
 * Takes units off sale. The hub takes what it has (withdraw.lua), and from then on whatever comes back to it. So the
 * segments that may have units return them: 1, 2, 4, ... of them in a round, because one is usually enough. A segment
 * that has not received all that the hub has granted gets that first. The hub says when there is no unit left anywhere.
 */
#include <stdio.h>

#include "catalog/supply.h"
#include "host/fault.h"
#include "sale/db_status.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "steer/patience.h"
#include "steer/steer.h"

enum { CANDIDATES_MAX = 32 };

/* A segment that is to return its units, with the totals that the hub has of it, and what it has answered. */
struct candidate {
	struct withdrawal *withdrawal;
	int64_t segment, granted, taken, base;
	int64_t left, received, sent, its_base, its_term;
	bool has_answered;
};

struct withdrawal {
	struct service *svc;
	const struct sale_settings *settings;
	int64_t withdrawn, missed, term; /* as the hub says */
	int probes;
	struct candidate candidates[CANDIDATES_MAX];
	int count;
	bool is_refused; /* a slot is suspect, or has another base or term */
	bool is_quarantined;
};

static bool is_word(const struct redis_reply *reply, const char *word)
{
	return str_eq(redis_text_at(reply, 0), str_of(word));
}

static void note_refusal(struct withdrawal *w, const struct redis_reply *reply)
{
	bool is_fenced = is_word(reply, "FENCED");
	w->is_refused = true;
	w->is_quarantined |=
		is_fenced && fence_read(redis_text_at(reply, 1), w->settings->generation) == FENCE_QUARANTINED;
}

/* The hub */

static bool read_candidate(struct withdrawal *w, const struct redis_reply *more, size_t at)
{
	struct candidate *k = &w->candidates[w->count];
	*k = (struct candidate){ .withdrawal = w };
	int64_t *const numbers[] = { &k->segment, &k->granted, &k->taken, &k->base };
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (!redis_number_in(redis_at(more, at + i), 0, NUMBER_MAX, numbers[i]))
			return false;
	return k->segment < w->settings->segments;
}

static void read_candidates(struct withdrawal *w, const struct redis_reply *more)
{
	enum { FIRST = 4, EACH = 4 };
	w->term = redis_number_at(more, 3);
	w->count = 0;
	for (size_t at = FIRST; at + EACH <= redis_count(more) && w->count < CANDIDATES_MAX; at += EACH)
		w->count += read_candidate(w, more, at);
}

/* STATUS_OK: nothing more is asked for. STATUS_PENDING: there are candidates, or the hub does not answer; see
 * is_refused. */
static enum status ask_hub(struct withdrawal *w, struct arena *a)
{
	const struct sale_settings *s = w->settings;
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_script(&c, &script_withdraw, 1);
	key_put(&c, KEY_HUB, s->id, 0);
	fence_put(&c, s->generation);
	redis_put_int(&c, s->asked);
	redis_put_int(&c, s->missed);
	redis_put_int(&c, w->probes);
	w->count = 0;
	if (redis_call(w->svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_PENDING;
	FAULT(withdraw_taken);
	bool is_done = is_word(reply, "OK");
	if (!is_done && !is_word(reply, "MORE")) {
		note_refusal(w, reply);
		return STATUS_PENDING;
	}
	if (!redis_number_in(redis_at(reply, 1), 0, NUMBER_MAX, &w->withdrawn) ||
	    !redis_number_in(redis_at(reply, 2), 0, NUMBER_MAX, &w->missed))
		return STATUS_INTERNAL;
	read_candidates(w, reply);
	return is_done ? STATUS_OK : STATUS_PENDING;
}

/* The segments */

static void on_debited(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct candidate *k = context;
	int64_t *const numbers[] = { &k->left, &k->received, &k->sent, &k->its_base, &k->its_term };
	if (end != REDIS_ANSWER)
		return;
	FAULT(withdraw_debited);
	k->has_answered = is_word(reply, "OK");
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		k->has_answered &= redis_number_in(redis_at(reply, i + 1), 0, NUMBER_MAX, numbers[i]);
	if (!k->has_answered)
		note_refusal(k->withdrawal, reply);
}

static void debit(struct candidate *k)
{
	struct withdrawal *w = k->withdrawal;
	struct redis_command c;
	redis_script(&c, &script_debit, 1);
	key_put(&c, KEY_SEGMENT, w->settings->id, k->segment);
	fence_put(&c, w->settings->generation);
	redis_put_int(&c, 1);
	redis_put_text(&c, "");
	k->has_answered = false;
	stats_add(w->svc->stats, COUNT_scripts_total__debit, 1);
	redis_send(w->svc->redis_sync, &c, on_debited, k);
}

/* A call of claim.lua with one group, of one claim for user 0, which only credits. */
static void credit(struct candidate *k)
{
	struct withdrawal *w = k->withdrawal;
	int64_t coupon = w->settings->id;
	struct redis_command c;
	char totals[96];
	snprintf(totals, sizeof totals, "%lld %lld %lld %lld", (long long)k->granted, (long long)k->taken,
		 (long long)k->base, (long long)w->term);
	redis_script(&c, &script_claim, 3);
	key_put(&c, KEY_SEGMENT, coupon, k->segment);
	key_put(&c, KEY_OWNERS, coupon, k->segment);
	key_put(&c, KEY_ORDERS, coupon, k->segment);
	redis_put_int(&c, 1);
	redis_put_int(&c, 1);
	fence_put(&c, w->settings->generation);
	redis_put_text(&c, totals);
	redis_put_text(&c, "");
	redis_put_int(&c, 0);
	stats_add(w->svc->stats, COUNT_scripts_total__claim, 1);
	redis_send(w->svc->redis_sync, &c, NULL, NULL);
}

/* Units that were granted to a segment and did not arrive: the process that was to bring them has died. */
static void debit_again(struct withdrawal *w)
{
	for (int i = 0; i < w->count; i++) {
		struct candidate *k = &w->candidates[i];
		if (!k->has_answered || k->received >= k->granted)
			continue;
		credit(k);
		debit(k);
	}
	redis_wait_all(w->svc->redis_sync);
}

static void on_reported(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct withdrawal *w = context;
	FAULT(withdraw_reported);
	if (end == REDIS_ANSWER && !is_word(reply, "OK"))
		note_refusal(w, reply);
}

static void report(const struct candidate *k)
{
	struct withdrawal *w = k->withdrawal;
	const int64_t numbers[] = { k->segment, k->received, k->sent, k->left, k->its_base, k->its_term, 0, 0 };
	struct redis_command c;
	if (!k->has_answered)
		return;
	redis_script(&c, &script_exchange, 1);
	key_put(&c, KEY_HUB, w->settings->id, 0);
	fence_put(&c, w->settings->generation);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		redis_put_int(&c, numbers[i]);
	stats_add(w->svc->stats, COUNT_scripts_total__exchange, 1);
	redis_send(w->svc->redis_sync, &c, on_reported, w);
}

/* True: a segment has returned units. */
static bool collect(struct withdrawal *w)
{
	bool any = false;
	for (int i = 0; i < w->count; i++)
		debit(&w->candidates[i]);
	redis_wait_all(w->svc->redis_sync);
	debit_again(w);
	for (int i = 0; i < w->count; i++) {
		any |= w->candidates[i].has_answered && w->candidates[i].sent > w->candidates[i].taken;
		report(&w->candidates[i]);
	}
	redis_wait_all(w->svc->redis_sync);
	return any;
}

/* The whole */

static enum status note(struct withdrawal *w)
{
	const struct sale_settings *s = w->settings;
	if (supply_raise_withdrawn(w->svc, s->id, w->withdrawn, w->missed))
		return db_status(w->svc->db, "withdraw");
	FAULT(withdraw_noted);
	return STATUS_OK;
}

static enum status take_all(struct withdrawal *w, struct arena *a, int patience_ms)
{
	struct patience p = patience_begin(w->svc, patience_ms);
	for (;;) {
		w->is_refused = w->is_quarantined = false;
		enum status s = ask_hub(w, a);
		if (s != STATUS_PENDING)
			return s;
		bool goes_on = w->count && collect(w);
		if (w->is_refused)
			worklist_inspect(w->svc->redis_sync, w->settings->id, w->settings->segments);
		bool probes_all = !w->count || w->probes == CANDIDATES_MAX;
		w->probes = w->probes * 2 < CANDIDATES_MAX ? w->probes * 2 : CANDIDATES_MAX;
		if (w->is_refused || (!goes_on && probes_all))
			if (!patience_wait(&p))
				return w->is_quarantined ? STATUS_FENCED : STATUS_BUSY;
	}
}

enum status steer_withdraw(struct service *svc, struct arena *a, const struct sale_settings *s, int patience_ms)
{
	struct withdrawal w = {
		.svc = svc, .settings = s, .withdrawn = s->withdrawn, .missed = s->missed, .probes = 1
	};
	enum status status = take_all(&w, a, patience_ms);
	enum status noted = note(&w);
	return status == STATUS_OK ? noted : status;
}
