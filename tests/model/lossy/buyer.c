/*
 * From a state, without further faults: processes that stand still are gone, messages are lost, servers and MySQL are
 * there. All slots are inspected, all segments report, all lists are drained, and every customer without an order claims as
 * in src/stock/refill.c. Then everyone has an order as long as units are left, and all orders are in MySQL.
 */
#include "model/lossy/lossy.h"

#include <string.h>

static void forget_all(struct state *s)
{
	memset(s->reports, 0, sizeof s->reports);
	memset(s->grants, 0, sizeof s->grants);
	memset(&s->drain, 0, sizeof s->drain);
	memset(&s->job, 0, sizeof s->job);
	s->losers = 0;
	for (int c = 0; c < CLAIMERS; c++)
		s->claimers[c].answer = s->claimers[c].number = 0;
}

static void take(struct state *s, const struct sale *sale, enum kind kind, int at, int arg)
{
	struct step step = { (uint8_t)kind, (uint8_t)at, (uint8_t)arg, AT_ONCE };
	step_take(s, sale, &step);
}

static void take_all(struct state *s, const struct sale *sale, enum kind kind)
{
	struct step list[STEPS_MOST];
	int count = steps_of(s, sale, list);
	for (int k = 0; k < count; k++)
		if (list[k].kind == kind && list[k].way == AT_ONCE)
			take(s, sale, kind, list[k].at, 0);
}

static void heal(struct state *s, const struct sale *sale)
{
	for (int round = 0; round < 4; round++) {
		take_all(s, sale, SUSPECT_AGAIN);
		for (int shard = SHARDS - 1; shard >= 0; shard--)
			if (shard == HUB || shard < sale->segments)
				inspect(s, sale, shard, 0, 0);
		take_all(s, sale, HEAR);
	}
}

/* A promoter alone, src/waiting. */
static void promote_all(struct state *s, const struct sale *sale)
{
	for (int round = 0; round < 8; round++) {
		if (s->hub.now.lacks)
			relist(s, sale);
		if (may_promote(s, sale))
			promote(s, sale);
		for (int i = 0; i < sale->segments; i++) {
			if (promised_to(&s->hub.now, i)) {
				read_promise(s, i);
				if (award(s, i, s->awards[i]) == OK)
					clear_promise(s, i);
			}
			take(s, sale, REDELIVER, i, 0);
			if (s->hub.now.waiting)
				take(s, sale, DEBIT, i, 0);
		}
		heal(s, sale);
	}
}

static const char *check_waiters(const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++) {
		bool owns = s->segments[home_of(sale, c)].now.own[c].number || s->db.row[c];
		bool waits = s->hub.now.waiting >> c & 1;
		if (!(sale->waiters >> c & 1) || owns)
			continue;
		if (!waits)
			return "R6: somebody waited, and is forgotten";
		if (unsold(s, sale))
			return "R6: somebody waits, and units are left";
	}
	return NULL;
}

/* False: the customer was told "sold out". */
static bool buy(struct state *s, const struct sale *sale, int c)
{
	int i = home_of(sale, c), number;
	for (int tries = 0; tries < 6; tries++) {
		struct message grant;
		enum word word = claim(s, i, c, &number);
		if (word == FENCED) {
			heal(s, sale);
			continue;
		}
		if (word != NEED)
			return true;
		if (hub_is_open(s) && s->hub.now.sold_out)
			return false;
		word = exchange(s, sale, i, report_of(&s->segments[i].now), 1, &grant);
		if (word == GRANT)
			credit(s, i, grant);
		for (int j = 0; j < sale->segments && word == NONE; j++) {
			take(s, sale, REDELIVER, j, 0);
			if (j != i)
				take(s, sale, DEBIT, j, 0);
		}
	}
	return true;
}

static const char *check_sold(const struct state *s, const struct sale *sale)
{
	bool all = true;
	for (int c = 0; c < sale->claimers; c++)
		all &= s->segments[home_of(sale, c)].now.own[c].number > 0;
	return all || !unsold(s, sale) ? NULL : "R2: units are left, and a customer cannot have one";
}

static const char *check_drained(const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++) {
		int number = s->segments[home_of(sale, c)].now.own[c].number;
		if (number && s->db.row[c] != number)
			return "R3: an order never gets to MySQL";
		if (number && s->db.dead[home_of(sale, c)] >> number & 1)
			return "R4: an order was named lost, and its customer has it";
	}
	return NULL;
}

/* The seller resumes the sale. */
static void resume(struct state *s)
{
	s->db.paused = s->db.acknowledged = s->db.told = 0;
	for (int i = 0; i < SEGMENTS; i++)
		s->segments[i].now.paused = 0;
}

const char *check_buyers(const struct state *from, const struct sale *sale)
{
	struct state s = *from;
	const char *wrong;
	if (!(sale->watch & R2_BOOKS))
		return NULL;
	forget_all(&s);
	heal(&s, sale);
	resume(&s);
	if (any_is_closed(&s, sale))
		return sale->watch & R5_OPEN ? check_open(&s, sale) : NULL;
	if (!all_is_open(&s, sale))
		return "R2: a slot does not open";
	if (sale->waiters) {
		promote_all(&s, sale);
		wrong = check_waiters(&s, sale);
		if (wrong)
			return wrong;
	}
	for (int c = 0; c < sale->claimers; c++)
		buy(&s, sale, c);
	drain_all(&s, sale);
	wrong = check_sold(&s, sale);
	if (!wrong)
		wrong = check_drained(&s, sale);
	return wrong ? wrong : check_state(&s, sale);
}
