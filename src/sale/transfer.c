/*
 * A refill asks the hub until it has an answer:
 *
 *   exchange(home, want) -> GRANT    the waiting claims go again, the first with the credit in the same script,
 *                                    so that two segments cannot pull the last unit to and fro for ever
 *                        -> SOLDOUT  the word is left at the segment as a lease, and the claims end
 *                        -> NONE     the hub names segments that may hold stock: each sends half of it back
 *                                    (debit, then exchange as a report), and the hub is asked again
 *
 * Rounds ask 1, 2, 4, ... segments: while stock is plenty one is enough, and
 * to prove that none is left takes few rounds.
 */
#include "sale/transfer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "sale/key.h"
#include "sale/scripts.h"

enum { PATIENCE_MS = 250, PROBES_MAX = 64 };

struct refill {
	struct service *service;
	struct coupon *coupon;
	int segment;
	int64_t received, sent; /* the segment's totals when it was found empty */
	int probes, outstanding;
	int64_t deadline_ms;
	enum status trouble; /* STATUS_OK, or why this round cannot be trusted */
	struct claim *first, **last;
	int waiting;
};

struct probe {
	struct refill *refill;
	int segment;
	int64_t received;
};

static const enum status failures[] = {
	[REDIS_REFUSED] = STATUS_BUSY, [REDIS_UNKNOWN] = STATUS_BUSY, [REDIS_BROKEN] = STATUS_FENCED
};

static void ask_hub(struct refill *r);

/* Detaches the waiting claims and frees the refill; a claim that finds nothing again starts a new one. */
static struct claim *dissolve(struct refill *r)
{
	struct claim *waiting = r->first;
	r->coupon->refills[r->segment] = NULL;
	coupon_drop(r->coupon);
	free(r);
	return waiting;
}

static void end_all(struct refill *r, enum status s)
{
	for (struct claim *c = dissolve(r), *next; c; c = next) {
		next = c->next;
		claim_end(c, s);
	}
}

static void send_all(struct refill *r, struct totals credit)
{
	const struct totals *first = &credit;
	for (struct claim *c = dissolve(r), *next; c; c = next, first = NULL) {
		next = c->next;
		claim_send(c, first);
	}
}

static bool is(const struct redis_reply *reply, const char *word)
{
	return str_eq(redis_text_at(reply, 0), str_of(word));
}

/* FENCED and REGRESS: nothing more can be said of this coupon here. */
static enum status refusal(struct refill *r, const struct redis_reply *reply)
{
	if (is(reply, "REGRESS"))
		log_error("hub_regress", LOG_INT("coupon", r->coupon->id), LOG_INT("segment", r->segment));
	coupon_forget(r->service->coupons, r->coupon);
	return STATUS_FENCED;
}

static void send_exchange(struct refill *r, int segment, int64_t received, int64_t sent, int64_t left, int want,
			  redis_done *done, void *context)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_exchange, 1);
	key_put(&cmd, KEY_HUB, r->coupon->id, 0);
	redis_put_int(&cmd, r->coupon->generation);
	redis_put_int(&cmd, segment);
	redis_put_int(&cmd, received);
	redis_put_int(&cmd, sent);
	redis_put_int(&cmd, left);
	redis_put_int(&cmd, want);
	redis_put_int(&cmd, r->probes);
	board_add(r->service->board, COUNT_scripts_total__exchange, 1);
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
	if (r->trouble != STATUS_OK)
		end_all(r, r->trouble);
	else
		ask_hub(r);
}

static void on_credited(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct probe *p = context;
	bool refused = end == REDIS_ANSWER && !is(reply, "OK");
	probe_over(p, end != REDIS_ANSWER ? failures[end] : refused ? refusal(p->refill, reply) : STATUS_OK);
}

/* A grant to this segment was never credited: its messenger died. Deliver the total again. */
static void redeliver(struct probe *p, int64_t granted, int64_t taken)
{
	struct refill *r = p->refill;
	struct redis_command cmd;
	redis_script(&cmd, &script_claim, 3);
	key_put(&cmd, KEY_SEGMENT, r->coupon->id, p->segment);
	key_put(&cmd, KEY_OWNERS, r->coupon->id, p->segment);
	key_put(&cmd, KEY_ORDERS, r->coupon->id, p->segment);
	redis_put_int(&cmd, r->coupon->generation);
	redis_put_int(&cmd, 0);
	redis_put_int(&cmd, granted);
	redis_put_int(&cmd, taken);
	board_add(r->service->board, COUNT_scripts_total__claim, 1);
	redis_send(r->service->redis, &cmd, on_credited, p);
}

static void on_reported(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct probe *p = context;
	if (end != REDIS_ANSWER)
		probe_over(p, failures[end]);
	else if (!is(reply, "OK"))
		probe_over(p, refusal(p->refill, reply));
	else if (redis_number_at(reply, 1) > p->received)
		redeliver(p, redis_number_at(reply, 1), redis_number_at(reply, 2));
	else
		probe_over(p, STATUS_OK);
}

static void on_debited(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct probe *p = context;
	if (end != REDIS_ANSWER) {
		probe_over(p, failures[end]);
		return;
	}
	if (!is(reply, "OK")) {
		probe_over(p, refusal(p->refill, reply));
		return;
	}
	p->received = redis_number_at(reply, 2);
	board_add(p->refill->service->board, COUNT_stock_moves_total__return, 1);
	send_exchange(p->refill, p->segment, p->received, redis_number_at(reply, 3), redis_number_at(reply, 1), 0,
		      on_reported, p);
}

static void probe(struct refill *r, int segment)
{
	struct probe *p = malloc(sizeof *p);
	if (!p)
		abort();
	*p = (struct probe){ .refill = r, .segment = segment };
	struct redis_command cmd;
	redis_script(&cmd, &script_debit, 1);
	key_put(&cmd, KEY_SEGMENT, r->coupon->id, segment);
	redis_put_int(&cmd, r->coupon->generation);
	redis_put_int(&cmd, 1);
	board_add(r->service->board, COUNT_scripts_total__debit, 1);
	redis_send(r->service->redis, &cmd, on_debited, p);
}

static void probe_all(struct refill *r, const struct redis_reply *none)
{
	size_t count = redis_count(none);
	r->outstanding = (int)count - 3 + 1; /* one for this loop, as a probe may be over before it returns */
	for (size_t i = 3; i < count; i++)
		probe(r, (int)redis_number_at(none, i));
	struct probe *loop = calloc(1, sizeof *loop);
	if (!loop)
		abort();
	loop->refill = r;
	if (r->probes < PROBES_MAX)
		r->probes *= 2;
	probe_over(loop, STATUS_OK);
}

/* The hub's answers */

/* The lease saves the next claims a question; whether it arrives does not matter. */
static void leave_flag(struct refill *r, int64_t epoch, int64_t until)
{
	struct redis_command cmd;
	redis_script(&cmd, &script_flag, 1);
	key_put(&cmd, KEY_SEGMENT, r->coupon->id, r->segment);
	redis_put_int(&cmd, r->coupon->generation);
	redis_put_int(&cmd, epoch);
	redis_put_int(&cmd, until);
	board_add(r->service->board, COUNT_scripts_total__flag, 1);
	redis_send(r->service->redis, &cmd, NULL, NULL);
}

/* They ask their segment once more, which has the flag by now: a copy of a claim may have won meanwhile elsewhere. */
static void end_sold_out(struct refill *r)
{
	for (struct claim *c = dissolve(r), *next; c; c = next) {
		next = c->next;
		claim_send(c, NULL);
	}
}

static void on_none(struct refill *r, const struct redis_reply *reply)
{
	if (redis_number_at(reply, 1) > r->received) /* an earlier grant to us was not credited */
		send_all(r, (struct totals){ redis_number_at(reply, 1), redis_number_at(reply, 2) });
	else if (clock_mono_ms() > r->deadline_ms)
		end_all(r, STATUS_BUSY);
	else
		probe_all(r, reply);
}

static void on_hub(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct refill *r = context;
	if (end != REDIS_ANSWER) {
		end_all(r, failures[end]);
	} else if (is(reply, "GRANT")) {
		board_add(r->service->board, COUNT_stock_moves_total__grant, 1);
		send_all(r, (struct totals){ redis_number_at(reply, 1), redis_number_at(reply, 2) });
	} else if (is(reply, "NONE")) {
		on_none(r, reply);
	} else if (is(reply, "SOLDOUT")) {
		leave_flag(r, redis_number_at(reply, 1), redis_number_at(reply, 2));
		end_sold_out(r);
	} else {
		end_all(r, refusal(r, reply));
	}
}

static void ask_hub(struct refill *r)
{
	send_exchange(r, r->segment, r->received, r->sent, 0, r->waiting, on_hub, r);
}

static void append(struct refill *r, struct claim *c)
{
	c->next = NULL;
	*r->last = c;
	r->last = &c->next;
	r->waiting++;
}

static struct refill *refill_new(struct claim *c, int64_t received, int64_t sent)
{
	struct refill *r = malloc(sizeof *r);
	if (!r)
		abort();
	*r = (struct refill){ .service = c->service,
			      .coupon = coupon_hold(c->coupon),
			      .segment = c->segment,
			      .received = received,
			      .sent = sent,
			      .probes = 1,
			      .deadline_ms = clock_mono_ms() + PATIENCE_MS,
			      .trouble = STATUS_OK };
	r->last = &r->first;
	c->coupon->refills[c->segment] = r;
	return r;
}

bool transfer_join(struct claim *c)
{
	struct refill *r = c->coupon->refills[c->segment];
	if (r)
		append(r, c);
	return r != NULL;
}

void transfer_wait(struct claim *c, int64_t received, int64_t sent)
{
	int64_t now = clock_mono_ms();
	if (!c->deadline_ms)
		c->deadline_ms = now + PATIENCE_MS;
	if (now > c->deadline_ms) {
		claim_end(c, STATUS_BUSY);
	} else if (!transfer_join(c)) {
		struct refill *r = refill_new(c, received, sent);
		append(r, c);
		ask_hub(r);
	}
}
