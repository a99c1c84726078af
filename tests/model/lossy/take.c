/* What a step does. */
#include "model/lossy/lossy.h"

#include <string.h>

static enum word tell(struct state *s, const struct sale *sale, int c)
{
	struct claimer *p = &s->claimers[c];
	int i = home_of(sale, c), number = p->number;
	uint8_t *mark = &s->acknowledged[host_of(sale, c)][i];
	enum word word = OK;
	if (p->answer == IS_MINE && sale->wait) {
		word = confirm(s, i, c, number);
		if (word == OK)
			s->segments[i].copy[0] = s->segments[i].now;
	}
	p->answer = p->number = p->incarnation = 0;
	if (word != OK)
		return word;
	p->told |= bit(number);
	if (number > *mark)
		*mark = (uint8_t)number;
	if (!sale->wait && !is_order(s, sale, c, number))
		p->gone |= bit(number);
	return OK;
}

static enum word deliver(struct state *s, int i, struct message grant, enum way way)
{
	if (way == AT_ONCE)
		return credit(s, i, grant);
	s->grants[i] = grant;
	return OK;
}

static enum word ask_hub(struct state *s, const struct sale *sale, int i, struct message report, int want, enum way way)
{
	struct message grant;
	enum word word = exchange(s, sale, i, report, want, &grant);
	if (word == GRANT)
		deliver(s, i, grant, way);
	return word;
}

static enum word claim_and_answer(struct state *s, const struct sale *sale, int c)
{
	struct claimer *p = &s->claimers[c];
	int i = home_of(sale, c), number = 0;
	enum word word = claim(s, i, c, &number);
	if (word != WON && word != MINE)
		return word;
	if (rules == EARLIER && word == WON && number <= s->acknowledged[host_of(sale, c)][i]) {
		s->segments[i].now.fence = CLOSED;
		return REGRESS;
	}
	p->answer = word == WON ? IS_WON : IS_MINE;
	p->number = (uint8_t)number;
	p->incarnation = s->incarnation[i];
	if (!sale->wait && !(sale->faults & LATE_ANSWERS))
		tell(s, sale, c);
	return word;
}

static enum word claim_step(struct state *s, const struct sale *sale, const struct step *step)
{
	int i = home_of(sale, step->at);
	enum word word = claim_and_answer(s, sale, step->at);
	if (word != NEED)
		return word;
	struct message report = report_of(&s->segments[i].now);
	if (step->arg == QUESTION_WAITS) {
		s->reports[i] = report;
		return NEED;
	}
	word = ask_hub(s, sale, i, report, 1, step->way);
	return word == GRANT && step->way == AT_ONCE ? claim_and_answer(s, sale, step->at) : word;
}

static enum word debit_step(struct state *s, const struct sale *sale, const struct step *step)
{
	struct message report;
	enum word word = debit(s, step->at, &report);
	if (word != OK)
		return word;
	if (step->way == AT_ONCE)
		return exchange(s, sale, step->at, report, 0, NULL);
	s->reports[step->at] = report;
	return OK;
}

static enum word report_step(struct state *s, const struct sale *sale, const struct step *step)
{
	struct message report = s->reports[step->at];
	memset(&s->reports[step->at], 0, sizeof report);
	return ask_hub(s, sale, step->at, report, step->arg, step->way);
}

static enum word credit_step(struct state *s, int i)
{
	struct message grant = s->grants[i];
	memset(&s->grants[i], 0, sizeof grant);
	return credit(s, i, grant);
}

static enum word hear_step(struct state *s, const struct sale *sale, const struct step *step)
{
	struct message report;
	enum word word = hear_hub(s, step->at, &report);
	if (word != OK)
		return word;
	if (step->way == AT_ONCE)
		return exchange(s, sale, step->at, report, 0, NULL);
	s->reports[step->at] = report;
	return OK;
}

/* Copies that will never be needed are made equal. */
static void keep_copies(struct state *s, const struct sale *sale)
{
	for (int i = 0; i < SEGMENTS; i++)
		for (int k = 0; k < COPIES; k++)
			if (!fails(sale, s, i) || k >= sale->copies)
				s->segments[i].copy[k] = s->segments[i].now;
	for (int k = 0; k < COPIES; k++)
		if (!fails(sale, s, HUB) || k >= sale->copies)
			s->hub.copy[k] = s->hub.now;
}

static void replicate(struct state *s, int shard, int k)
{
	if (shard == HUB)
		s->hub.copy[k] = s->hub.now;
	else
		s->segments[shard].copy[k] = s->segments[shard].now;
}

/* Told orders that are on no server now: permitted when no server had to confirm them, or the one that did is gone. */
static void note_gone(struct state *s, const struct sale *sale, int i, int k)
{
	for (int c = 0; c < sale->claimers; c++)
		for (int n = 1; n < 16 && home_of(sale, c) == i; n++) {
			bool confirmed_elsewhere = sale->copies > 1 && s->segments[i].copy[!k].own[c].number == n;
			if (s->claimers[c].told >> n & 1 && !is_order(s, sale, c, n) &&
			    (!sale->wait || confirmed_elsewhere))
				s->claimers[c].gone |= bit(n);
		}
}

static void fail_over(struct state *s, const struct sale *sale, int shard, int k)
{
	s->failovers++;
	s->incarnation[shard]++;
	if (shard == HUB) {
		s->hub.now = s->hub.copy[k];
		return;
	}
	s->segments[shard].now = s->segments[shard].copy[k];
	note_gone(s, sale, shard, k);
}

static enum word trim_step(struct state *s)
{
	struct drain d = s->drain;
	memset(&s->drain, 0, sizeof s->drain);
	return trim(s, d.segment, d.base, d.upto);
}

static enum word drain_step(struct state *s, const struct sale *sale, const struct step *step)
{
	struct drain late = s->drain;
	drain_peek(s, sale, step->at);
	enum word word = drain_commit(s, sale);
	if (s->drain.phase == COMMITTED && step->arg)
		trim_step(s);
	s->drain = late;
	return word;
}

static enum word award_step(struct state *s, int i)
{
	enum word word = award(s, i, s->awards[i]);
	s->awards[i].zero |= word == OK;
	if (word != OK)
		memset(&s->awards[i], 0, sizeof s->awards[i]);
	return word;
}

static void keep_word(struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++)
		if (!s->segments[home_of(sale, c)].now.own[c].number)
			s->losers |= bit(c);
}

static enum word take(struct state *s, const struct sale *sale, const struct step *step)
{
	switch ((enum kind)step->kind) {
	case CLAIM:
		return claim_step(s, sale, step);
	case TELL:
		return tell(s, sale, step->at);
	case DROP:
		s->claimers[step->at].answer = s->claimers[step->at].number = s->claimers[step->at].incarnation = 0;
		return NOTHING;
	case DEBIT:
		return debit_step(s, sale, step);
	case REPORT:
		return report_step(s, sale, step);
	case CREDIT:
		return credit_step(s, step->at);
	case REDELIVER:
		return deliver(s, step->at, totals_of(&s->hub.now, step->at), step->way);
	case HEAR:
		return hear_step(s, sale, step);
	case REPLICATE:
		replicate(s, step->at, step->arg);
		return NOTHING;
	case FAILOVER:
		fail_over(s, sale, step->at, step->arg);
		return NOTHING;
	case DRAIN:
		return drain_step(s, sale, step);
	case PEEK:
		drain_peek(s, sale, step->at);
		return NOTHING;
	case COMMIT:
		return drain_commit(s, sale);
	case TRIM:
		return trim_step(s);
	case INSPECT:
		inspect(s, sale, step->at, step->arg, step->way);
		return NOTHING;
	case BEGIN:
		begin_inspection(s, sale, step->at, step->arg);
		return NOTHING;
	case GO_ON:
		return go_on_inspecting(s, sale);
	case SUSPECT_AGAIN:
		s->segments[step->at].now.fence = SUSPECT;
		return NOTHING;
	case KEEP:
		keep_word(s, sale);
		return NOTHING;
	case FORGET:
		s->losers = 0;
		return NOTHING;
	case LOOK:
		look_for_order(s, sale, step->at);
		return NOTHING;
	case LOSE_OWNERS:
		memset(s->segments[step->at].now.own, 0, sizeof s->segments[step->at].now.own);
		s->owners_lost = 1;
		return NOTHING;
	case PROMOTE:
		promote(s, sale);
		return OK;
	case READ_PROMISE:
		read_promise(s, step->at);
		return OK;
	case AWARD:
		return award_step(s, step->at);
	case CLEAR:
		return clear_promise(s, step->at);
	case RELIST:
		relist(s, sale);
		return OK;
	case PAUSE:
		s->db.paused = 1;
		return OK;
	case TELL_PAUSE:
		s->segments[step->at].now.paused = 1;
		s->db.told |= bit(step->at);
		return OK;
	case ACKNOWLEDGE_PAUSE:
		s->db.acknowledged = 1;
		return OK;
	case RECOVER:
		recover(s, sale, step->arg);
		return NOTHING;
	case KINDS:
		return NOTHING;
	}
	return NOTHING;
}

enum word step_take(struct state *s, const struct sale *sale, const struct step *step)
{
	enum word word = take(s, sale, step);
	keep_copies(s, sale);
	return word;
}

void state_init(struct state *s, const struct sale *sale)
{
	memset(s, 0, sizeof *s);
	s->hub.now.avail = (int8_t)sale->units;
	s->hub.now.heard = (uint8_t)(bit(sale->segments) - 1);
	for (int i = 0; i < sale->segments; i++) {
		s->hub.now.avail -= (int8_t)sale->first[i];
		s->hub.now.with[i].granted = (uint8_t)sale->first[i];
		s->segments[i].now.left = s->segments[i].now.received = (uint8_t)sale->first[i];
		s->db.cursor[i].next = 1;
	}
	s->hub.now.waiting = (uint8_t)sale->waiters & 7;
	for (int k = 0; k < COPIES; k++) {
		s->hub.copy[k] = s->hub.now;
		for (int i = 0; i < sale->segments; i++)
			s->segments[i].copy[k] = s->segments[i].now;
	}
}
