/* What may happen next, and what it does. */
#include "model/lossy/lossy.h"

#include <assert.h>
#include <string.h>

struct steps {
	struct step *list;
	int count;
};

static void add(struct steps *to, enum kind kind, int at, int arg, enum way way)
{
	assert(to->count < STEPS_MOST);
	to->list[to->count++] = (struct step){ (uint8_t)kind, (uint8_t)at, (uint8_t)arg, (uint8_t)way };
}

/* What a step may do with the claim that finds nothing left: its question waits, or is put at once. */
enum { QUESTION_WAITS = 1, ASKS = 2 };

static bool fails(const struct sale *sale, const struct state *s, int shard)
{
	return sale->fails >> shard & 1 && s->failovers < sale->failovers;
}

/* Customers */

static int host_of(const struct sale *sale, int c)
{
	return c % sale->hosts;
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

/* WAIT speaks of this connection's writes, and a connection ends with its server. */
static bool is_replicated(const struct state *s, const struct sale *sale, int c)
{
	const struct claimer *p = &s->claimers[c];
	int i = home_of(sale, c);
	if (p->life != s->life[i])
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

static enum word tell(struct state *s, const struct sale *sale, int c)
{
	struct claimer *p = &s->claimers[c];
	int i = home_of(sale, c), number = p->number;
	uint8_t *mark = &s->marks[host_of(sale, c)][i];
	enum word word = OK;
	if (p->answer == IS_MINE && sale->wait) {
		word = confirm(s, i, c, number);
		if (word == OK)
			s->segments[i].copy[0] = s->segments[i].now;
	}
	p->answer = p->number = p->life = 0;
	if (word != OK)
		return word;
	p->told |= bit(number);
	if (number > *mark)
		*mark = (uint8_t)number;
	if (!sale->wait && !is_order(s, sale, c, number))
		p->gone |= bit(number);
	return OK;
}

/* Messages */

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
	if (rules == TODAY && word == WON && number <= s->marks[host_of(sale, c)][i]) {
		s->segments[i].now.fence = CLOSED;
		return REGRESS;
	}
	p->answer = word == WON ? IS_WON : IS_MINE;
	p->number = (uint8_t)number;
	p->life = s->life[i];
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

/* A hub in a new incarnation */

static void add_hearings(struct steps *to, const struct state *s, const struct sale *sale, int i)
{
	if (rules == TODAY || !hub_is_open(s))
		return;
	if (!(s->hub.now.heard >> i & 1) && segment_is_open(s, i)) {
		add(to, HEAR, i, 0, AT_ONCE);
		if (sale->faults & LATE_REPORTS)
			add(to, HEAR, i, 0, WAITS);
	}
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

/* Servers */

static void add_failures(struct steps *to, const struct state *s, const struct sale *sale)
{
	for (int shard = 0; shard < SHARDS; shard++)
		for (int k = 0; k < sale->copies && fails(sale, s, shard); k++) {
			add(to, REPLICATE, shard, k, AT_ONCE);
			add(to, FAILOVER, shard, k, AT_ONCE);
		}
}

/* A copy that will never be needed is not told apart. */
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

/* Orders that were told of and that no server has now: right, when no server had to confirm, or another one was lost.
 */
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
	s->life[shard]++;
	if (shard == HUB) {
		s->hub.now = s->hub.copy[k];
		return;
	}
	s->segments[shard].now = s->segments[shard].copy[k];
	note_gone(s, sale, shard, k);
}

/* MySQL, and inspections */

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

static enum word trim_step(struct state *s)
{
	struct drain d = s->drain;
	memset(&s->drain, 0, sizeof s->drain);
	return trim(s, d.segment, d.inc, d.upto);
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

/* NEXT: MySQL or the hub know a later incarnation than the one that was opened: look again. */
static bool is_outdated(const struct state *s, int i)
{
	const struct segment *g = &s->segments[i].now;
	return rules == NEXT && segment_is_open(s, i) && keeps(NO_SUSPECT) &&
	       (s->db.cursor[i].inc != g->inc ||
		(hub_is_open(s) && is_replaced(segment_inc(g), s->hub.now.with[i].inc)));
}

static void add_inspections(struct steps *to, const struct state *s, const struct sale *sale)
{
	unsigned shards = (bit(sale->segments) - 1) | bit(HUB);
	int bases = sale->bases ? sale->bases : RANGES_MOST;
	for (int shard = 0; shard < SHARDS; shard++) {
		bool more = (shard == HUB ? s->db.hub_inc : s->db.cursor[shard].inc) + 1 < bases;
		if (!(shards >> shard & 1) || !needs_inspection(s, shard) || !more)
			continue;
		for (int host = 0; host < sale->hosts; host++) {
			add(to, INSPECT, shard, host, AT_ONCE);
			for (int steps = 1; steps < 5 && sale->faults & KILLED_INSPECTOR && shard != HUB; steps++)
				add(to, INSPECT, shard, host, (enum way)steps);
			if (sale->faults & LATE_INSPECTOR)
				add(to, BEGIN, shard, host, AT_ONCE);
		}
	}
	if (s->job.phase)
		add(to, GO_ON, 0, 0, AT_ONCE);
	for (int i = 0; i < sale->segments; i++)
		if (is_outdated(s, i))
			add(to, DOUBT, i, 0, AT_ONCE);
	if (sale->faults & RECOVERY && any_is_closed(s, sale) && !s->recovered)
		add(to, RECOVER, 0, 0, AT_ONCE);
}

/* Words */

static bool may_read_winners(const struct state *s, const struct sale *sale)
{
	bool open = true;
	for (int i = 0; i < sale->segments; i++)
		open &= segment_is_open(s, i);
	return hub_is_open(s) && s->hub.now.sold_out && (open || rules == TODAY || !keeps(LIST_WITHOUT_FENCE));
}

static void keep_word(struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++)
		if (!s->segments[home_of(sale, c)].now.own[c].number)
			s->losers |= bit(c);
}

static bool may_look(const struct state *s, const struct sale *sale, int c)
{
	int i = home_of(sale, c);
	return rules == NEXT && segment_is_open(s, i) && s->claimers[c].gone & ~s->db.dead[i];
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
	add_drains(&to, s, sale);
	add_inspections(&to, s, sale);
	if (sale->faults & WORDS && may_read_winners(s, sale))
		add(&to, KEEP, 0, 0, AT_ONCE);
	if (s->losers)
		add(&to, FORGET, 0, 0, AT_ONCE);
	return to.count;
}

static enum word take(struct state *s, const struct sale *sale, const struct step *step)
{
	switch ((enum kind)step->kind) {
	case CLAIM:
		return claim_step(s, sale, step);
	case TELL:
		return tell(s, sale, step->at);
	case DROP:
		s->claimers[step->at].answer = s->claimers[step->at].number = s->claimers[step->at].life = 0;
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
	case DOUBT:
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
	for (int k = 0; k < COPIES; k++) {
		s->hub.copy[k] = s->hub.now;
		for (int i = 0; i < sale->segments; i++)
			s->segments[i].copy[k] = s->segments[i].now;
	}
}
