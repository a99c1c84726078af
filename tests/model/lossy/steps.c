/* What may happen next. */
#include "model/lossy/lossy.h"

#include <assert.h>

struct steps {
	struct step *list;
	int count;
};

static void add(struct steps *to, enum kind kind, int at, int arg, enum way way)
{
	assert(to->count < STEPS_MOST);
	to->list[to->count++] = (struct step){ (uint8_t)kind, (uint8_t)at, (uint8_t)arg, (uint8_t)way };
}

static void add_claims(struct steps *to, const struct state *s, const struct sale *sale, int c)
{
	int i = home_of(sale, c);
	const struct segment *g = &s->segments[i].now;
	if (s->claimers[c].answer || !segment_is_open(s, i))
		return;
	if (g->own[c].number || g->left) {
		add(to, CLAIM, c, 0, AT_ONCE);
		return;
	}
	if (sale->faults & LATE_REPORTS)
		add(to, CLAIM, c, QUESTION_WAITS, AT_ONCE);
	add(to, CLAIM, c, ASKS, AT_ONCE);
	if (sale->faults & LATE_GRANTS)
		add(to, CLAIM, c, ASKS, WAITS);
}

/* WAIT covers only writes of this connection, and a connection ends with its server. */
static bool is_replicated(const struct state *s, const struct sale *sale, int c)
{
	const struct claimer *p = &s->claimers[c];
	int i = home_of(sale, c);
	if (p->incarnation != s->incarnation[i])
		return false;
	for (int k = 0; k < sale->copies && fails(sale, s, i); k++)
		if (s->segments[i].copy[k].own[c].number == p->number)
			return true;
	return !fails(sale, s, i);
}

static void add_answers(struct steps *to, const struct state *s, const struct sale *sale, int c)
{
	const struct claimer *p = &s->claimers[c];
	if (!p->answer)
		return;
	if (p->answer == IS_MINE || !sale->wait || is_replicated(s, sale, c))
		add(to, TELL, c, 0, AT_ONCE);
	if (sale->wait)
		add(to, DROP, c, 0, AT_ONCE);
}

static void add_messages(struct steps *to, const struct state *s, const struct sale *sale, int i)
{
	bool waits = sale->faults & LATE_GRANTS;
	if (segment_is_open(s, i)) {
		add(to, DEBIT, i, 0, AT_ONCE);
		if (sale->faults & LATE_REPORTS)
			add(to, DEBIT, i, 0, WAITS);
	}
	if (s->reports[i].there && hub_is_open(s)) {
		add(to, REPORT, i, 0, AT_ONCE);
		add(to, REPORT, i, 1, AT_ONCE);
		if (waits)
			add(to, REPORT, i, 1, WAITS);
	}
	if (s->grants[i].there && segment_is_open(s, i))
		add(to, CREDIT, i, 0, AT_ONCE);
	if (hub_is_open(s) && s->hub.now.with[i].granted > s->segments[i].now.received && hub_heard_all(s, sale)) {
		if (segment_is_open(s, i))
			add(to, REDELIVER, i, 0, AT_ONCE);
		if (waits)
			add(to, REDELIVER, i, 0, WAITS);
	}
}

static void add_hearings(struct steps *to, const struct state *s, const struct sale *sale, int i)
{
	if (rules == EARLIER || !hub_is_open(s))
		return;
	if (!(s->hub.now.heard >> i & 1) && segment_is_open(s, i)) {
		add(to, HEAR, i, 0, AT_ONCE);
		if (sale->faults & LATE_REPORTS)
			add(to, HEAR, i, 0, WAITS);
	}
}

static void add_failures(struct steps *to, const struct state *s, const struct sale *sale)
{
	for (int shard = 0; shard < SHARDS; shard++)
		for (int k = 0; k < sale->copies && fails(sale, s, shard); k++) {
			add(to, REPLICATE, shard, k, AT_ONCE);
			add(to, FAILOVER, shard, k, AT_ONCE);
		}
}

static bool has_listed(const struct state *s, int i);

/* Orders that wait are on a list, which moves with the numbers here: only those of rows are lost. */
static void add_losses(struct steps *to, const struct state *s, const struct sale *sale)
{
	for (int i = 0; i < sale->segments && sale->faults & LOST_OWNERS && !s->owners_lost; i++)
		if (segment_is_open(s, i) && owners_of(&s->segments[i].now) && !has_listed(s, i))
			add(to, LOSE_OWNERS, i, 0, AT_ONCE);
}

static bool has_listed(const struct state *s, int i)
{
	bool any = s->segments[i].now.listed;
	for (int c = 0; c < CLAIMERS; c++)
		any |= s->segments[i].now.own[c].listed;
	return any;
}

static void add_drains(struct steps *to, const struct state *s, const struct sale *sale)
{
	for (int i = 0; i < sale->segments; i++)
		if (has_listed(s, i)) {
			add(to, DRAIN, i, 1, AT_ONCE);
			if (sale->faults & LATE_DRAIN) {
				add(to, DRAIN, i, 0, AT_ONCE);
				add(to, PEEK, i, 0, AT_ONCE);
			}
		}
	if (s->drain.phase == PEEKED)
		add(to, COMMIT, 0, 0, AT_ONCE);
	if (s->drain.phase == COMMITTED)
		add(to, TRIM, 0, 0, AT_ONCE);
}

/* CURRENT: MySQL or the hub has a later base than the segment that was opened: it is inspected again. */
static bool is_outdated(const struct state *s, int i)
{
	const struct segment *g = &s->segments[i].now;
	return rules == CURRENT && segment_is_open(s, i) && keeps(NO_SUSPECT) &&
	       (s->db.cursor[i].base != g->base ||
		(hub_is_open(s) && is_replaced(segment_base(g), s->hub.now.with[i].base)));
}

static void add_inspections(struct steps *to, const struct state *s, const struct sale *sale)
{
	unsigned shards = (bit(sale->segments) - 1) | bit(HUB);
	int bases = sale->bases ? sale->bases : RANGES_MOST;
	for (int shard = 0; shard < SHARDS; shard++) {
		bool more = (shard == HUB ? s->db.term : s->db.cursor[shard].base) + 1 < bases;
		if (!(shards >> shard & 1) || !needs_inspection(s, shard) || !more)
			continue;
		for (int host = 0; host < sale->hosts; host++) {
			add(to, INSPECT, shard, host, AT_ONCE);
			for (int steps = 1; steps < 6 && sale->faults & KILLED_INSPECTOR && shard != HUB; steps++)
				add(to, INSPECT, shard, host, (enum way)steps);
			if (sale->faults & LATE_INSPECTOR)
				add(to, BEGIN, shard, host, AT_ONCE);
		}
	}
	if (s->job.phase)
		add(to, GO_ON, 0, 0, AT_ONCE);
	for (int i = 0; i < sale->segments; i++)
		if (is_outdated(s, i))
			add(to, SUSPECT_AGAIN, i, 0, AT_ONCE);
	if (sale->faults & RECOVERY && any_is_closed(s, sale) && !s->recovered)
		add(to, RECOVER, 0, 0, AT_ONCE);
}

/* WAIT: the hub is told once a replica has the order. */
static bool is_kept(const struct state *s, const struct sale *sale, int i)
{
	int c = s->awards[i].out - 1;
	for (int k = 0; k < sale->copies && fails(sale, s, i) && sale->wait; k++)
		if (s->segments[i].copy[k].received >= s->awards[i].in && s->segments[i].copy[k].own[c].number)
			return true;
	return !sale->wait || !fails(sale, s, i);
}

static void add_promotions(struct steps *to, const struct state *s, const struct sale *sale)
{
	if (may_promote(s, sale))
		add(to, PROMOTE, 0, 0, AT_ONCE);
	if (hub_is_open(s) && s->hub.now.lacks)
		add(to, RELIST, 0, 0, AT_ONCE);
	for (int i = 0; i < sale->segments; i++) {
		if (hub_is_open(s) && promised_to(&s->hub.now, i) && s->hub.now.heard >> i & 1)
			add(to, READ_PROMISE, i, 0, AT_ONCE);
		if (s->awards[i].there)
			add(to, AWARD, i, 0, AT_ONCE);
		if (s->awards[i].there && s->awards[i].zero && is_kept(s, sale, i))
			add(to, CLEAR, i, 0, AT_ONCE);
	}
}

static void add_pause(struct steps *to, const struct state *s, const struct sale *sale)
{
	if (!s->db.paused) {
		add(to, PAUSE, 0, 0, AT_ONCE);
		return;
	}
	for (int i = 0; i < sale->segments; i++)
		if (segment_is_open(s, i) && !(s->segments[i].now.paused && s->db.told >> i & 1))
			add(to, TELL_PAUSE, i, 0, AT_ONCE);
	if (s->db.told == bit(sale->segments) - 1 && !s->db.acknowledged)
		add(to, ACKNOWLEDGE_PAUSE, 0, 0, AT_ONCE);
}

static bool may_read_winners(const struct state *s, const struct sale *sale)
{
	bool open = true;
	for (int i = 0; i < sale->segments; i++)
		open &= segment_is_open(s, i) && !misses_owners(&s->segments[i].now);
	return hub_is_open(s) && s->hub.now.sold_out && (open || rules == EARLIER || !keeps(LIST_WITHOUT_FENCE));
}

static bool may_look(const struct state *s, const struct sale *sale, int c)
{
	int i = home_of(sale, c);
	return rules == CURRENT && segment_is_open(s, i) && s->claimers[c].gone & ~s->db.dead[i];
}

int steps_of(const struct state *s, const struct sale *sale, struct step list[STEPS_MOST])
{
	struct steps to = { list, 0 };
	for (int c = 0; c < sale->claimers; c++) {
		add_claims(&to, s, sale, c);
		add_answers(&to, s, sale, c);
		if (may_look(s, sale, c))
			add(&to, LOOK, c, 0, AT_ONCE);
	}
	for (int i = 0; i < sale->segments; i++) {
		add_messages(&to, s, sale, i);
		add_hearings(&to, s, sale, i);
	}
	add_failures(&to, s, sale);
	add_losses(&to, s, sale);
	add_drains(&to, s, sale);
	add_inspections(&to, s, sale);
	if (sale->waiters)
		add_promotions(&to, s, sale);
	if (sale->steered)
		add_pause(&to, s, sale);
	if (sale->faults & WORDS && may_read_winners(s, sale))
		add(&to, KEEP, 0, 0, AT_ONCE);
	if (s->losers)
		add(&to, FORGET, 0, 0, AT_ONCE);
	return to.count;
}
