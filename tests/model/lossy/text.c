/* Traces, for people. */
#include "model/lossy/lossy.h"

#include <stdio.h>

static const char *const texts[KINDS] = {
	[CLAIM] = "customer %d claims",
	[TELL] = "customer %d is told of the order",
	[DROP] = "customer %d gets no answer, or 503",
	[DEBIT] = "segment %d sends back what it has",
	[REPORT] = "a late report of segment %d arrives at the hub",
	[CREDIT] = "a late grant arrives at segment %d",
	[REDELIVER] = "the hub's totals are told to segment %d again",
	[HEAR] = "segment %d learns of the new hub and says what it has",
	[HEARD] = "a late answer of segment %d arrives at the new hub",
	[REPLICATE] = "a replica of shard %d catches up",
	[FAILOVER] = "the server of shard %d is lost, and a replica promoted",
	[DRAIN] = "orders of segment %d go into MySQL",
	[PEEK] = "a drainer reads the list of segment %d, and stands still",
	[COMMIT] = "the drainer goes on, and commits",
	[TRIM] = "the drainer goes on, and trims",
	[INSPECT] = "shard %d is inspected",
	[BEGIN] = "an inspection of shard %d begins, and stands still",
	[GO_ON] = "the inspection goes on by a step",
	[DOUBT] = "segment %d is in doubt: another base was given since",
	[KEEP] = "a worker keeps \"sold out\", and reads the winners",
	[FORGET] = "workers forget \"sold out\"",
	[LOOK] = "customer %d asks for the order",
	[RECOVER] = "the coupon is recovered",
};

static void print_step(int number, const struct step *step, enum word word)
{
	printf("#   %2d ", number);
	printf(texts[step->kind], step->at);
	if (step->kind == INSPECT || step->kind == BEGIN)
		printf(" by host %d", step->arg);
	if (step->kind == REPLICATE || step->kind == FAILOVER)
		printf(", copy %d", step->arg);
	if (step->kind == DRAIN && !step->arg)
		printf(", and are not trimmed");
	if (step->kind == REPORT && step->arg)
		printf(", which is asked for units");
	if (step->kind == CLAIM && step->arg == 2)
		printf(", finds nothing, and the hub is asked");
	if ((step->kind == CLAIM && step->arg == 1) ||
	    (step->way == WAITS && step->kind != CLAIM && step->kind != REPORT))
		printf("; the message waits");
	else if (step->way == WAITS)
		printf("; the grant waits");
	printf("%s%s\n", word ? " -> " : "", word ? word_names[word] : "");
}

static void print_fence(int fence)
{
	static const char *const names[] = { [HELD] = "held", [SUSPECT] = "suspect", [CLOSED] = "closed" };
	if (fence < HELD)
		printf("fence %d", fence);
	else
		printf("%s", names[fence]);
}

static void print_segment(const struct sale *sale, const struct segment *g, int i)
{
	print_fence(g->fence);
	printf(" left %d I %d O %d sold %d last %d", g->left, g->received, g->sent, g->sold, g->last);
	if (rules == NEXT)
		printf(" inc %d hub %d", g->inc, g->hub_inc);
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i && g->own[c].number)
			printf(" %d:%d%s", c, g->own[c].number, g->own[c].listed ? "*" : "");
}

static void print_hub(const struct sale *sale, const struct hub *h)
{
	print_fence(h->fence);
	printf(" avail %d", h->avail);
	for (int i = 0; i < sale->segments; i++)
		printf(" G%d %d R%d %d%s", i, h->with[i].granted, i, h->with[i].taken,
		       h->empty >> i & 1 ? " empty" : "");
	if (rules == NEXT)
		printf(" inc %d knows %d %d heard %d", h->inc, h->with[0].inc, h->with[1].inc, h->heard);
	printf("%s", h->sold_out ? " SOLD OUT" : "");
}

static void print_state(const struct state *s, const struct sale *sale)
{
	for (int i = 0; i < sale->segments; i++) {
		printf("#        segment %d, life %d: ", i, s->life[i]);
		print_segment(sale, &s->segments[i].now, i);
		printf("; MySQL: next %d base %d dead %x held %x mark %d %d\n", s->db.cursor[i].next,
		       s->db.cursor[i].inc * RANGE, s->db.dead[i], s->db.held[i], s->marks[0][i], s->marks[1][i]);
	}
	printf("#        hub, life %d: ", s->life[HUB]);
	print_hub(sale, &s->hub.now);
	for (int c = 0; c < sale->claimers; c++)
		printf("; %d: row %d told %x gone %x", c, s->db.row[c], s->claimers[c].told, s->claimers[c].gone);
	printf("\n");
}

void print_trace(const struct sale *sale, const struct finding *f)
{
	struct state s;
	state_init(&s, sale);
	printf("#   %d segments, %d units, %d customers, wait_replicas %d\n", sale->segments, sale->units,
	       sale->claimers, sale->wait);
	print_state(&s, sale);
	for (int i = 0; i < f->trace_length; i++) {
		print_step(i + 1, &f->trace[i], step_take(&s, sale, &f->trace[i]));
		print_state(&s, sale);
	}
	printf("#   %s\n", f->wrong);
}
