/*
 * A refill asks the hub until it has an answer:
 *
 *   exchange(home, want) -> GRANT    as many of the waiting claims as units go again, the first with the credit in the
 *                                    same script, so that two segments cannot pull the last unit to and fro for ever
 *                        -> SOLDOUT  the word is left at the segment as a lease, and the claims end
 *                        -> NONE     the hub names segments that may hold stock: each sends all of it back (debit),
 *                                    and the hub is asked again and told of it in the same script
 *
 * Rounds ask 1, 2, 4, ... segments: while stock is plenty one is enough, and
 * to prove that none is left takes few rounds.
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

enum { PROBES_MAX = 32, LEASE_MS = 1000 };

struct refill {
	struct service *service;
	struct coupon *coupon;
	struct report home; /* found empty; left is 1 when it is not known any more */
	struct report heard[PROBES_MAX];
	int probes, outstanding, reports; /* in heard: not told to the hub yet */
	int64_t deadline_ms;
	enum status trouble; /* STATUS_OK, or why this round cannot be trusted; STATUS_PENDING: try again later */
	struct claim *first, **last;
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

/* Detaches the waiting claims and frees the refill; a claim that finds nothing again starts a new one. */
static struct claim *dissolve(struct refill *r)
{
	struct claim *waiting = r->first;
	r->coupon->refills[r->home.segment] = NULL;
	coupon_drop(r->coupon);
	free(r);
	return waiting;
}

static void end_all(struct refill *r, enum status s)
{
	for (struct claim *c = dissolve(r), *next; c; c = next) {
		next = c->next;
		if (s == STATUS_PENDING)
			claim_retry(c);
		else
			claim_end(c, s);
	}
}

static void send_all(struct refill *r, const struct totals *credit)
{
	for (struct claim *c = dissolve(r), *next; c; c = next, credit = NULL) {
		next = c->next;
		claim_send(c, credit);
	}
}

/* Numbers of an answer, one after the other; false when one of them is none, or below 0. */
static bool read_numbers(const struct redis_reply *reply, size_t first, int count, int64_t *const to[])
{
	for (int i = 0; i < count; i++)
		if (!redis_number_in(redis_at(reply, first + (size_t)i), 0, NUMBER_MAX, to[i]))
			return false;
	return true;
}

static bool is(const struct redis_reply *reply, const char *word)
{
	return str_eq(redis_text_at(reply, 0), str_of(word));
}

/*
 * Why nothing more can be said here: FENCED (and the fence) and REGRESS of this slot; REPLACED, that it or the hub is
 * in another incarnation than the message; UNHEARD, that the hub waits for all segments. An inspection ends all but the
 * first two.
 */
static enum status refusal(struct refill *r, struct str word, struct str fence, enum key key, int segment)
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

/* An answer with numbers that no script gives. */
static enum status unreadable(const char *script)
{
	log_error_limited("script_reply_unreadable", LOG_TEXT("script", script));
	return STATUS_INTERNAL;
}

/* Counted by who is told of it: when a worker is killed before that, by nobody, and later by whoever repeats the total.
 */
static void count_move(const struct refill *r, enum counter moves, enum counter units, int64_t moved)
{
	if (moved <= 0)
		return;
	stats_add(r->service->stats, moves, 1);
	stats_add(r->service->stats, units, (uint64_t)moved);
}

/* The opening for which this worker has waited until all have forgotten that nothing was left; 0: none. */
static int64_t epoch_waited_for(const struct coupon *c)
{
	return c->later_epoch && clock_mono_ms() - c->later_ms > SOLD_OUT_LEASE_MS ? c->later_epoch : 0;
}

/* Of the segments that were probed, in one word, and what comes behind it. */
static void put_reports(struct redis_command *cmd, const struct refill *r)
{
	char text[PROBES_MAX * 96]; /* numbers have up to 16 digits */
	size_t n = 0;
	for (const struct report *of = r->heard; of < r->heard + r->reports; of++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%d %lld %lld %lld %lld %lld", n ? " " : "",
				      of->segment, (long long)of->received, (long long)of->sent, (long long)of->left,
				      (long long)of->base, (long long)of->term);
	int64_t waited = epoch_waited_for(r->coupon);
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
	redis_put_int(&cmd, r->home.left);
	redis_put_int(&cmd, r->home.base);
	redis_put_int(&cmd, r->home.term);
	redis_put_int(&cmd, want);
	redis_put_int(&cmd, r->probes);
	put_reports(&cmd, r);
	r->reports = 0;
	stats_add(r->service->stats, COUNT_scripts_total__exchange, 1);
	redis_send(r->service->redis, &cmd, done, context);
}

/* Other segments send back what they can spare. */

static void probe_over(struct probe *p, enum status trouble)
{
	struct refill *r = p->refill;
	free(p);
	if (trouble != STATUS_OK)
		r->trouble = trouble;
	if (--r->outstanding)
		return;
	FAULT(refill_probed);
	if (r->trouble == STATUS_OK) {
		ask_hub(r);
		return;
	}
	if (r->reports) /* what was sent back is not kept from others */
		send_exchange(r, 0, NULL, NULL);
	end_all(r, r->trouble);
}

static void on_credited(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct probe *p = context;
	struct claim_answer said = claim_answer(reply);
	bool refused = !str_eq(said.word, STR("OK"));
	FAULT(refill_redelivered);
	probe_over(p, end != REDIS_ANSWER ? failures[end]
		      : refused           ? refusal(p->refill, said.word, said.rest, KEY_SEGMENT, p->segment)
					  : STATUS_OK);
}

/* A grant to this segment was never credited: its messenger died. Deliver the total again. */
static void redeliver(struct probe *p)
{
	struct refill *r = p->refill;
	struct redis_command cmd;
	FAULT(refill_missed);
	claim_credit_command(&cmd, r->coupon, p->segment, &p->totals);
	stats_add(r->service->stats, COUNT_scripts_total__claim, 1);
	redis_send(r->service->redis, &cmd, on_credited, p);
}

static void on_debited(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct probe *p = context;
	FAULT(refill_debited);
	if (end != REDIS_ANSWER) {
		probe_over(p, failures[end]);
		return;
	}
	if (!is(reply, "OK")) {
		probe_over(p, refusal(p->refill, redis_text_at(reply, 0), redis_text_at(reply, 1), KEY_SEGMENT,
				      p->segment));
		return;
	}
	struct report heard = { .segment = p->segment };
	int64_t *const numbers[] = { &heard.left, &heard.received, &heard.sent, &heard.base, &heard.term };
	if (!read_numbers(reply, 1, 5, numbers)) {
		probe_over(p, unreadable("debit"));
		return;
	}
	p->refill->heard[p->refill->reports++] = heard;
	count_move(p->refill, COUNT_stock_moves_total__return, COUNT_stock_units_total__return,
		   heard.sent - p->totals.taken);
	if (p->totals.granted > heard.received)
		redeliver(p);
	else
		probe_over(p, STATUS_OK);
}

static struct probe *probe_new(struct refill *r)
{
	struct probe *p = alloc_zeroed(1, sizeof *p);
	p->refill = r;
	return p;
}

static void probe(struct refill *r, int segment, struct totals totals)
{
	struct probe *p = probe_new(r);
	p->segment = segment;
	p->totals = totals;
	struct redis_command cmd;
	redis_script(&cmd, &script_debit, 1);
	key_put(&cmd, KEY_SEGMENT, r->coupon->id, segment);
	fence_put(&cmd, r->coupon->generation);
	redis_put_int(&cmd, 1);
	redis_put_text(&cmd, "");
	stats_add(r->service->stats, COUNT_scripts_total__debit, 1);
	redis_send(r->service->redis, &cmd, on_debited, p);
}

static void probe_all(struct refill *r, const struct redis_reply *none, int64_t term)
{
	enum { FIRST = 5, EACH = 4 };
	size_t count = redis_count(none);
	FAULT(refill_none);
	r->outstanding = 1; /* this loop, as a probe may be over before it returns */
	for (size_t i = FIRST; i + EACH <= count && r->outstanding <= PROBES_MAX; i += EACH) {
		int64_t segment;
		struct totals t = { .term = term };
		r->outstanding++;
		if (read_numbers(none, i, EACH, (int64_t *const[]){ &segment, &t.granted, &t.taken, &t.base }) &&
		    segment < r->coupon->segments)
			probe(r, (int)segment, t);
		else
			probe_over(probe_new(r), unreadable("exchange"));
	}
	struct probe *loop = probe_new(r);
	if (r->probes < PROBES_MAX)
		r->probes *= 2;
	probe_over(loop, STATUS_OK);
}

/* The hub's answers */

/*
 * The lease saves the next claims a question; whether it arrives does not matter. In a cluster it ends by the clock of
 * the segment's own server, a second after that found nothing left: the hub's clock may be another one.
 */
static void leave_flag(struct refill *r, int64_t epoch, int64_t until)
{
	if (!redis_is_single(r->service->redis))
		until = r->home.ms + LEASE_MS;
	struct redis_command cmd;
	redis_script(&cmd, &script_flag, 1);
	key_put(&cmd, KEY_SEGMENT, r->coupon->id, r->home.segment);
	fence_put(&cmd, r->coupon->generation);
	redis_put_int(&cmd, epoch);
	redis_put_int(&cmd, until);
	stats_add(r->service->stats, COUNT_scripts_total__flag, 1);
	redis_send(r->service->redis, &cmd, NULL, NULL);
}

/* Claims have joined since the hub was asked: those for whom there is a unit go, the others ask for theirs. */
static void send_some(struct refill *r, int64_t units, struct totals totals)
{
	const struct totals *credit = &totals;
	for (; units > 0; units--, credit = NULL) {
		struct claim *c = r->first;
		r->first = c->next;
		r->waiting--;
		claim_send(c, credit);
	}
	r->home.received = totals.granted;
	r->home.left = 1;
	ask_hub(r);
}

static void on_grant(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	struct totals totals = { number[0], number[1], number[2], number[3] };
	(void)reply;
	int64_t units = totals.granted - r->home.received;
	FAULT(refill_granted);
	count_move(r, COUNT_stock_moves_total__grant, COUNT_stock_units_total__grant, units);
	if (units > 0 && units < r->waiting)
		send_some(r, units, totals);
	else
		send_all(r, &totals);
}

static void on_none(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	struct totals totals = { number[0], number[1], number[2], number[3] };
	if (totals.granted > r->home.received) /* an earlier grant to us was not credited */
		send_all(r, &totals);
	else if (r->home.left) /* the segment knows better: it may not be empty */
		send_all(r, NULL);
	else if (clock_mono_ms() > r->deadline_ms)
		end_all(r, STATUS_BUSY);
	else
		probe_all(r, reply, totals.term);
}

/* They ask their segment once more, which has the flag by now: a copy of a claim may have won meanwhile elsewhere. */
static void on_sold_out(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	(void)reply;
	FAULT(refill_sold_out);
	leave_flag(r, number[0], number[1]);
	send_all(r, NULL);
}

/*
 * Units were added a moment ago; they are for nobody before all workers have forgotten that none was left. Whoever has
 * waited for that may say so to the hub: the seller's worker, or this one.
 */
static void on_later(struct refill *r, const struct redis_reply *reply, const int64_t number[4])
{
	struct coupon *c = r->coupon;
	(void)reply;
	int64_t epoch = number[0];
	if (epoch != c->later_epoch)
		c->later_ms = clock_mono_ms();
	c->later_epoch = epoch;
	end_all(r, STATUS_PENDING);
}

/* How many numbers an answer begins with, of which each is at hand then. */
static const struct {
	const char *word;
	int numbers;
	void (*fn)(struct refill *r, const struct redis_reply *reply, const int64_t number[4]);
} answers[] = {
	{ "GRANT", 4, on_grant }, { "NONE", 4, on_none }, { "SOLDOUT", 2, on_sold_out }, { "LATER", 1, on_later }
};

static void on_hub(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct refill *r = context;
	int64_t number[4] = { 0 };
	if (end != REDIS_ANSWER) {
		end_all(r, failures[end]);
		return;
	}
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (is(reply, answers[i].word)) {
			if (read_numbers(reply, 1, answers[i].numbers,
					 (int64_t *const[]){ &number[0], &number[1], &number[2], &number[3] }))
				answers[i].fn(r, reply, number);
			else
				end_all(r, unreadable("exchange"));
			return;
		}
	end_all(r, refusal(r, redis_text_at(reply, 0), redis_text_at(reply, 1), KEY_HUB, 0));
}

static void ask_hub(struct refill *r)
{
	send_exchange(r, r->waiting, on_hub, r);
}

static void append(struct refill *r, struct claim *c)
{
	c->next = NULL;
	*r->last = c;
	r->last = &c->next;
	r->waiting++;
}

static struct refill *refill_new(struct claim *c, const struct report *home)
{
	struct refill *r = alloc(sizeof *r);
	*r = (struct refill){ .service = c->service,
			      .coupon = coupon_hold(c->coupon),
			      .home = *home,
			      .probes = 1,
			      .deadline_ms = clock_mono_ms() + PATIENCE_MS,
			      .trouble = STATUS_OK };
	r->last = &r->first;
	c->coupon->refills[c->segment] = r;
	return r;
}

bool refill_join(struct claim *c)
{
	struct refill *r = c->coupon->refills[c->segment];
	if (r)
		append(r, c);
	return r != NULL;
}

void refill_wait(struct claim *c, const struct report *home)
{
	int64_t now = clock_mono_ms();
	if (!c->deadline_ms)
		c->deadline_ms = now + PATIENCE_MS;
	if (now > c->deadline_ms) {
		claim_end(c, STATUS_BUSY);
	} else if (!refill_join(c)) {
		struct refill *r = refill_new(c, home);
		FAULT(refill_dry);
		append(r, c);
		ask_hub(r);
	}
}
