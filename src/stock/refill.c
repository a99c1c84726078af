/*
 * A refill asks the hub (exchange.lua). The answers drive it, by the table hub_answers near the end of this file:
 *
 *   GRANT    As many waiters as units claim again. The first of them credits the units in the same script call:
 *            otherwise two segments could take the last unit from each other endlessly.
 *   SOLDOUT  The segment gets the sold-out flag, and the waiters claim again: the segment answers from the flag.
 *   HELD     The same, but units may come back: the flag says when.
 *            Without a time for the flag, the hub's units are for people who wait: no flag is set.
 *   LATER    The hub may not grant its units yet: the waiters claim again a little later.
 *   PAUSED, ENDED  The sale is not open: the same, and their segment says so.
 *   NONE     The hub has no units, and names segments that may have some. Each of these is probed and returns all
 *            its units (debit.lua); then the hub is asked again, with reports of the probed segments.
 *
 * The rounds probe 1, 2, 4, ... segments: as long as there is stock, one segment is usually enough; and when there is
 * none, a few rounds prove it.
 */
#include "stock/refill.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "stock/sold_out.h"

enum { PROBES_MAX = 32 };

/* The state that this file keeps with a coupon. */
struct refills {
	struct coupon_state state;
	int64_t opening_epoch;    /* of the hub's last LATER; 0: there was none */
	int64_t opening_ms;       /* when LATER with this epoch came first, by clock_mono_ms */
	struct refill *running[]; /* of each segment; NULL: none */
};

struct refill {
	struct service *service;
	struct coupon *coupon;
	struct report home;                /* of the segment, when it was found empty */
	bool may_have_units;               /* the segment was granted units after that */
	struct report reports[PROBES_MAX]; /* of probed segments, for the hub */
	int unreported;                    /* how many of the reports the hub does not have yet */
	int probes;                        /* most probes of the next round */
	int outstanding;                   /* probes of this round that have not ended, and the loop that starts them */
	int64_t deadline_ms;
	enum status trouble; /* STATUS_OK, or the status with which this round ends the refill */
	struct refill_waiter *first, **last;
	int waiting;
};

struct probe {
	struct refill *refill;
	int segment;
	struct totals totals; /* the hub's for this segment */
};

static const enum status failures[] = {
	[REDIS_REFUSED] = STATUS_BUSY, [REDIS_UNKNOWN] = STATUS_BUSY, [REDIS_BROKEN] = STATUS_FENCED
};

static void ask_hub(struct refill *r);

static struct refills *refills_of(const struct coupon *c)
{
	return c->states[COUPON_REFILLS] ? container_of(c->states[COUPON_REFILLS], struct refills, state) : NULL;
}

/* No refill runs any more, because each holds the coupon. */
static void release_refills(struct coupon_state *state)
{
	free(container_of(state, struct refills, state));
}

static struct refills *refills_ensure(struct coupon *c)
{
	if (!refills_of(c)) {
		size_t room = (size_t)c->segments * sizeof(struct refill *);
		struct refills *all = alloc_zeroed(1, sizeof *all + room);
		all->state.release = release_refills;
		c->states[COUPON_REFILLS] = &all->state;
	}
	return refills_of(c);
}

/*
 * Frees the refill first, then calls its waiters: a waiter whose segment is empty again starts a new refill. The first
 * waiter gets the credit. r is invalid after the call.
 */
static void end_refill(struct refill *r, enum status s, const struct totals *credit)
{
	struct refill_waiter *w = r->first;
	struct coupon *coupon = r->coupon;
	refills_of(coupon)->running[r->home.segment] = NULL;
	free(r);
	for (struct refill_waiter *next; w; w = next, credit = NULL) {
		next = w->next;
		w->done(w, s, credit);
	}
	coupon_drop(coupon);
}

/* Reads `count` numbers of an answer, from the index `first` on. False: one of them is missing or out of bounds. */
static bool read_numbers(const struct redis_reply *reply, size_t first, int count, int64_t *const to[])
{
	for (int i = 0; i < count; i++)
		if (!redis_number_in(redis_at(reply, first + (size_t)i), 0, NUMBER_MAX, to[i]))
			return false;
	return true;
}

static bool has_word(const struct redis_reply *reply, const char *word)
{
	return str_eq(redis_text_at(reply, 0), str_of(word));
}

/*
 * Acts on an answer without numbers, and returns the status for the waiters. REGRESS: the slot was rolled back, and is
 * quarantined. All others ask for an inspection. FENCED: the slot has another fence, which follows the word. REPLACED:
 * the base or the term has changed since the message was built. UNHEARD: the hub waits for reports of all segments.
 */
static enum status handle_refusal(struct refill *r, struct str word, struct str fence, enum key key, int segment)
{
	struct redis *redis = r->service->redis;
	if (str_eq(word, STR("REGRESS"))) {
		log_error("stock_regress", LOG_INT("coupon", r->coupon->id), LOG_INT("segment", r->home.segment),
			  LOG_TEXT("in", key == KEY_HUB ? "hub" : "segment"));
		fence_quarantine(redis, r->coupon, key, segment);
		return STATUS_FENCED;
	}
	worklist_inspect(redis, r->coupon->id, r->coupon->segments);
	bool closed = str_eq(word, STR("FENCED")) && fence_read(fence, r->coupon->generation) == FENCE_QUARANTINED;
	return closed ? STATUS_FENCED : STATUS_PENDING;
}

/* The answer does not have the numbers that the script documents. Returns the status for the waiters. */
static enum status log_unreadable(const char *script)
{
	log_error_limited("script_reply_unreadable", LOG_TEXT("script", script));
	return STATUS_INTERNAL;
}

/*
 * Counts moved units when the answer arrives. When the worker dies before that, the next process that reads the total
 * counts them.
 */
static void count_move(const struct refill *r, enum counter moves, enum counter units, int64_t moved)
{
	if (moved <= 0)
		return;
	stats_add(r->service->stats, moves, 1);
	stats_add(r->service->stats, units, (uint64_t)moved);
}

/* The epoch of the hub's last LATER, when all sold-out notices from before it have ended since; else 0. */
static int64_t epoch_waited_for(const struct refills *all)
{
	bool waited = all->opening_epoch && clock_mono_ms() - all->opening_ms > SOLD_OUT_NOTICE_MS;
	return waited ? all->opening_epoch : 0;
}

/* The last two arguments of exchange.lua: the reports of probed segments as one text, and the epoch. */
static void put_reports(struct redis_command *cmd, const struct refill *r)
{
	char text[PROBES_MAX * 96]; /* numbers have up to 16 digits */
	size_t n = 0;
	for (const struct report *of = r->reports; of < r->reports + r->unreported; of++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%d %lld %lld %lld %lld %lld", n ? " " : "",
				      of->segment, (long long)of->received, (long long)of->sent, (long long)of->left,
				      (long long)of->base, (long long)of->term);
	int64_t waited = epoch_waited_for(refills_of(r->coupon));
	if (n || waited)
		redis_put(cmd, (struct str){ text, n });
	if (waited)
		redis_put_int(cmd, waited);
}

static void send_exchange(struct refill *r, int want, redis_done *done, void *context)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_exchange, 1);
	key_put(&cmd, KEY_HUB, r->coupon->id, 0);
	fence_put(&cmd, r->coupon->generation);
	redis_put_int(&cmd, r->home.segment);
	redis_put_int(&cmd, r->home.received);
	redis_put_int(&cmd, r->home.sent);
	redis_put_int(&cmd, r->may_have_units); /* left */
	redis_put_int(&cmd, r->home.base);
	redis_put_int(&cmd, r->home.term);
	redis_put_int(&cmd, want);
	redis_put_int(&cmd, r->probes);
	put_reports(&cmd, r);
	r->unreported = 0;
	stats_add(r->service->stats, COUNT_scripts_total__exchange, 1);
	redis_send(r->service->redis, &cmd, done, context);
}

/* Probes of other segments */

/* Ends one part of a round. The last part ends the round: the hub is asked again, or the refill ends. */
static void end_part(struct refill *r, enum status trouble)
{
	if (trouble != STATUS_OK)
		r->trouble = trouble;
	if (--r->outstanding)
		return;
	FAULT(refill_probed);
	if (r->trouble == STATUS_OK) {
		ask_hub(r);
		return;
	}
	if (r->unreported) /* units were returned to the hub, which can grant them to other segments */
		send_exchange(r, 0, NULL, NULL);
	end_refill(r, r->trouble, NULL);
}

static void end_probe(struct probe *p, enum status trouble)
{
	struct refill *r = p->refill;
	free(p);
	end_part(r, trouble);
}

static void on_credited(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct probe *p = context;
	struct claim_answer answer = claim_script_read(reply);
	FAULT(refill_redelivered);
	if (end != REDIS_ANSWER)
		end_probe(p, failures[end]);
	else if (answer.word == CLAIM_OK)
		end_probe(p, STATUS_OK);
	else
		end_probe(p, handle_refusal(p->refill, answer.text, answer.rest, KEY_SEGMENT, p->segment));
}

/* The hub has granted more than the segment has received: the process that was to credit the units died. */
static void resend_totals(struct probe *p)
{
	struct refill *r = p->refill;
	const struct claim_call call = { r->service, r->coupon, p->segment, { 0, 1 }, &p->totals };
	FAULT(refill_missed);
	claim_script_send(&call, on_credited, p);
}

static void on_debited(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct probe *p = context;
	FAULT(refill_debited);
	if (end != REDIS_ANSWER) {
		end_probe(p, failures[end]);
		return;
	}
	if (!has_word(reply, "OK")) {
		end_probe(p, handle_refusal(p->refill, redis_text_at(reply, 0), redis_text_at(reply, 1), KEY_SEGMENT,
					    p->segment));
		return;
	}
	struct report report = { .segment = p->segment };
	int64_t *const numbers[] = { &report.left, &report.received, &report.sent, &report.base, &report.term };
	if (!read_numbers(reply, 1, 5, numbers)) {
		end_probe(p, log_unreadable("debit"));
		return;
	}
	p->refill->reports[p->refill->unreported++] = report;
	count_move(p->refill, COUNT_stock_moves_total__return, COUNT_stock_units_total__return,
		   report.sent - p->totals.taken);
	if (p->totals.granted > report.received)
		resend_totals(p);
	else
		end_probe(p, STATUS_OK);
}

static void probe_segment(struct refill *r, int segment, struct totals totals)
{
	struct probe *p = alloc(sizeof *p);
	*p = (struct probe){ r, segment, totals };
	struct redis_command cmd;
	redis_script(&cmd, &script_debit, 1);
	key_put(&cmd, KEY_SEGMENT, r->coupon->id, segment);
	fence_put(&cmd, r->coupon->generation);
	redis_put_int(&cmd, 1);
	redis_put_text(&cmd, "");
	stats_add(r->service->stats, COUNT_scripts_total__debit, 1);
	redis_send(r->service->redis, &cmd, on_debited, p);
}

static void probe_candidates(struct refill *r, const struct redis_reply *none, int64_t term)
{
	enum { FIRST = 5, EACH = 4 };
	size_t count = redis_count(none);
	FAULT(refill_none);
	r->outstanding = 1; /* for this loop: a probe may end within probe_segment, and must not end the round */
	for (size_t i = FIRST; i + EACH <= count && r->outstanding <= PROBES_MAX; i += EACH) {
		int64_t segment;
		struct totals t = { .term = term };
		r->outstanding++;
		if (read_numbers(none, i, EACH, (int64_t *const[]){ &segment, &t.granted, &t.taken, &t.base }) &&
		    segment < r->coupon->segments)
			probe_segment(r, (int)segment, t);
		else
			end_part(r, log_unreadable("exchange"));
	}
	if (r->probes < PROBES_MAX)
		r->probes *= 2;
	end_part(r, STATUS_OK);
}

/* The hub's answers */

/*
 * The sold-out flag saves the next claims a question to the hub; nothing depends on its arrival. On a cluster the
 * clocks of hub and segment may differ, so the flag ends a second after the segment was found empty, by the segment's
 * clock. pay_by: when a unit may come back, 0 if that is unknown, -1 if none may.
 */
static void set_flag(struct refill *r, int64_t epoch, int64_t until, int64_t pay_by)
{
	if (!redis_is_single(r->service->redis))
		until = r->home.ms + SOLD_OUT_FLAG_MS;
	struct redis_command cmd;
	redis_script(&cmd, &script_flag, 1);
	key_put(&cmd, KEY_SEGMENT, r->coupon->id, r->home.segment);
	fence_put(&cmd, r->coupon->generation);
	redis_put_int(&cmd, epoch);
	redis_put_int(&cmd, until);
	if (pay_by < 0)
		redis_put_text(&cmd, "");
	else
		redis_put_int(&cmd, pay_by);
	stats_add(r->service->stats, COUNT_scripts_total__flag, 1);
	redis_send(r->service->redis, &cmd, NULL, NULL);
}

/*
 * More claims have joined than the hub has granted units: as many waiters as units claim again, and the hub is asked
 * for the others.
 */
static void grant_some(struct refill *r, int64_t units, struct totals totals)
{
	const struct totals *credit = &totals;
	for (; units > 0; units--, credit = NULL) {
		struct refill_waiter *w = r->first;
		r->first = w->next;
		r->waiting--;
		w->done(w, STATUS_OK, credit);
	}
	r->home.received = totals.granted;
	r->may_have_units = true;
	ask_hub(r);
}

static void on_hub_grant(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	struct totals totals = { number[0], number[1], number[2], number[3] };
	(void)reply;
	int64_t units = totals.granted - r->home.received;
	FAULT(refill_granted);
	count_move(r, COUNT_stock_moves_total__grant, COUNT_stock_units_total__grant, units);
	if (units > 0 && units < r->waiting)
		grant_some(r, units, totals);
	else
		end_refill(r, STATUS_OK, &totals);
}

static void on_hub_none(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	struct totals totals = { number[0], number[1], number[2], number[3] };
	if (totals.granted > r->home.received) /* an earlier grant to this segment was not credited */
		end_refill(r, STATUS_OK, &totals);
	else if (r->may_have_units)
		end_refill(r, STATUS_OK, NULL);
	else if (clock_mono_ms() > r->deadline_ms)
		end_refill(r, STATUS_BUSY, NULL);
	else
		probe_candidates(r, reply, totals.term);
}

/*
 * The waiters are not refused here but claim once more, although the segment will answer from its sold-out flag: the
 * same customer may have won through another worker meanwhile.
 */
static void refuse_by_flag(struct refill *r, const int64_t number[2], int64_t pay_by)
{
	FAULT(refill_sold_out);
	set_flag(r, number[0], number[1], pay_by);
	end_refill(r, STATUS_OK, NULL);
}

static void on_hub_sold_out(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	(void)reply;
	refuse_by_flag(r, number, -1);
}

static void on_hub_held(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	(void)reply;
	if (number[1])
		refuse_by_flag(r, number, number[2]);
	else
		end_refill(r, STATUS_WAITING_LIST, NULL);
}

/*
 * Units were added a moment ago. The hub grants them after a worker has waited until all sold-out notices from before
 * have ended: the worker that added them, or this one.
 */
static void on_hub_later(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	struct refills *all = refills_of(r->coupon);
	(void)reply;
	if (number[0] != all->opening_epoch)
		all->opening_ms = clock_mono_ms();
	all->opening_epoch = number[0];
	end_refill(r, STATUS_PENDING, NULL);
}

/*
 * The waiters claim once more: their segment refuses them, too, as soon as it has been told; or one of them has won
 * through another worker meanwhile.
 */
static void on_hub_closed(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	(void)reply;
	(void)number;
	end_refill(r, STATUS_PENDING, NULL);
}

/* The hub's answers, and how many numbers they have. All other answers go to handle_refusal. */
static const struct {
	const char *word;
	int numbers;
	void (*fn)(struct refill *r, const struct redis_reply *reply, const int64_t number[4]);
} hub_answers[] = { { "GRANT", 4, on_hub_grant }, { "NONE", 4, on_hub_none },   { "SOLDOUT", 2, on_hub_sold_out },
		    { "HELD", 3, on_hub_held },   { "LATER", 1, on_hub_later }, { "PAUSED", 0, on_hub_closed },
		    { "ENDED", 0, on_hub_closed } };

static void on_exchanged(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct refill *r = context;
	int64_t number[4] = { 0 };
	if (end != REDIS_ANSWER) {
		end_refill(r, failures[end], NULL);
		return;
	}
	for (size_t i = 0; i < sizeof hub_answers / sizeof hub_answers[0]; i++)
		if (has_word(reply, hub_answers[i].word)) {
			if (read_numbers(reply, 1, hub_answers[i].numbers,
					 (int64_t *const[]){ &number[0], &number[1], &number[2], &number[3] }))
				hub_answers[i].fn(r, reply, number);
			else
				end_refill(r, log_unreadable("exchange"), NULL);
			return;
		}
	end_refill(r, handle_refusal(r, redis_text_at(reply, 0), redis_text_at(reply, 1), KEY_HUB, 0), NULL);
}

static void ask_hub(struct refill *r)
{
	send_exchange(r, r->waiting, on_exchanged, r);
}

static void append(struct refill *r, struct refill_waiter *w)
{
	w->next = NULL;
	*r->last = w;
	r->last = &w->next;
	r->waiting++;
}

bool refill_join(const struct coupon *c, int segment, struct refill_waiter *w)
{
	struct refill *r = refills_of(c) ? refills_of(c)->running[segment] : NULL;
	if (r)
		append(r, w);
	return r != NULL;
}

static struct refill *refill_new(struct service *svc, struct coupon *c, const struct report *home)
{
	struct refill *r = alloc(sizeof *r);
	*r = (struct refill){ .service = svc,
			      .coupon = coupon_hold(c),
			      .home = *home,
			      .probes = 1,
			      .deadline_ms = clock_mono_ms() + REFILL_PATIENCE_MS,
			      .trouble = STATUS_OK };
	r->last = &r->first;
	refills_ensure(c)->running[home->segment] = r;
	return r;
}

void refill_wait(struct service *svc, struct coupon *c, const struct report *home, struct refill_waiter *w)
{
	if (refill_join(c, home->segment, w))
		return;
	struct refill *r = refill_new(svc, c, home);
	FAULT(refill_dry);
	append(r, w);
	ask_hub(r);
}
