/* Prints traces for people. */
#include "model/lossy/lossy.h"

#include <stdio.h>
#include <string.h>

static const char *const texts[KINDS] = {
	[CLAIM] = "customer %d claims",
	[TELL] = "customer %d is told of the order",
	[DROP] = "customer %d gets no answer, or 503",
	[DEBIT] = "segment %d sends back what it has",
	[REPORT] = "a late report of segment %d arrives at the hub",
	[CREDIT] = "a late grant arrives at segment %d",
	[REDELIVER] = "the hub's totals are sent to segment %d again",
	[HEAR] = "segment %d learns the new term and reports",
	[REPLICATE] = "a replica of shard %d catches up",
	[FAILOVER] = "the server of shard %d is lost, and a replica promoted",
	[DRAIN] = "orders of segment %d go into MySQL",
	[PEEK] = "a drainer reads the list of segment %d, and stands still",
	[COMMIT] = "the drainer goes on, and commits",
	[TRIM] = "the drainer goes on, and trims",
	[INSPECT] = "shard %d is inspected",
	[BEGIN] = "an inspection of shard %d begins, and stands still",
	[GO_ON] = "the inspection goes on by a step",
	[SUSPECT_AGAIN] = "segment %d is suspect: another base was given since",
	[KEEP] = "a worker takes a sold-out notice, and reads the winners",
	[FORGET] = "the sold-out notices expire",
	[LOOK] = "customer %d asks for the order",
	[RECOVER] = "the coupon is recovered",
	[PROMOTE] = "the first who waits is promoted%.0d",
	[READ_PROMISE] = "a promoter finds the promotion for segment %d",
	[AWARD] = "the promotion arrives at segment %d",
	[CLEAR] = "the hub forgets the promotion for segment %d",
	[RELIST] = "the list is compared with MySQL%.0d",
	[PAUSE] = "MySQL has that the sale is paused%.0d",
	[TELL_PAUSE] = "segment %d is told of the pause",
	[ACKNOWLEDGE_PAUSE] = "the pause is acknowledged%.0d",
	[LOSE_OWNERS] = "segment %d loses its owners alone",
};

static void print_step(int number, const struct step *step, enum word word)
{
	printf("#   %2d ", number);
	printf(texts[step->kind], step->at);
	if (step->kind == INSPECT || step->kind == BEGIN)
		printf(" by host %d", step->arg);
	if (step->kind == INSPECT && step->way)
		printf(", which is killed after %d steps", step->way);
	if (step->kind == REPLICATE || step->kind == FAILOVER)
		printf(", copy %d", step->arg);
	if (step->kind == DRAIN && !step->arg)
		printf(", and are not trimmed");
	if (step->kind == REPORT && step->arg)
		printf(", which is asked for units");
	if (step->kind == CLAIM && step->arg == 2)
		printf(", finds nothing, and the hub is asked");
	if ((step->kind == CLAIM && step->arg == 1) ||
	    (step->way == WAITS && step->kind != CLAIM && step->kind != REPORT && step->kind != INSPECT))
		printf("; the message waits");
	else if (step->way == WAITS && step->kind != INSPECT)
		printf("; the grant waits");
	printf("%s%s\n", word ? " -> " : "", word ? word_names[word] : "");
}

static int put_fence(char *to, int fence)
{
	static const char *const names[] = { [HELD] = "locked", [SUSPECT] = "suspect", [CLOSED] = "quarantined" };
	return fence < HELD ? sprintf(to, "fence %d", fence) : sprintf(to, "%s", names[fence]);
}

static void put_segment(char *to, const struct state *s, const struct sale *sale, int i)
{
	const struct segment *g = &s->segments[i].now;
	to += sprintf(to, "segment %d, incarnation %d: ", i, s->incarnation[i]);
	to += put_fence(to, g->fence);
	to += sprintf(to, ", left %d I %d O %d sold %d last %d", g->left, g->received, g->sent, g->sold, g->last);
	if (rules == CURRENT)
		to += sprintf(to, ", base %d, term %d, lost %x", g->base * RANGE, g->term, g->lost);
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i && g->own[c].number)
			to += sprintf(to, ", customer %d has %d%s", c, g->own[c].number,
				      g->own[c].listed ? " (listed)" : "");
}

static void put_mysql(char *to, const struct state *s, const struct sale *sale)
{
	to += sprintf(to, "MySQL:");
	for (int i = 0; i < sale->segments; i++)
		to += sprintf(to, " next %d base %d dead %x held %x;", s->db.cursor[i].next,
			      s->db.cursor[i].base * RANGE, s->db.dead[i], s->db.held[i]);
	for (int c = 0; c < sale->claimers; c++)
		if (s->db.row[c])
			to += sprintf(to, " customer %d has %d", c, s->db.row[c]);
}

static void put_hub(char *to, const struct state *s, const struct sale *sale)
{
	const struct hub *h = &s->hub.now;
	to += sprintf(to, "hub, incarnation %d: ", s->incarnation[HUB]);
	to += put_fence(to, h->fence);
	to += sprintf(to, ", avail %d", h->avail);
	for (int i = 0; i < sale->segments; i++) {
		to += sprintf(to, ", %d: G %d R %d", i, h->with[i].granted, h->with[i].taken);
		if (rules == CURRENT)
			to += sprintf(to, " base %d", h->with[i].base);
		to += sprintf(to, "%s", h->empty >> i & 1 ? " empty" : "");
	}
	if (rules == CURRENT)
		to += sprintf(to, ", term %d heard %x", h->term, h->heard);
	if (sale->waiters)
		to += sprintf(to, ", waiting %x promised %x lacks %d", h->waiting, h->promised, h->lacks);
	sprintf(to, "%s", h->sold_out ? ", SOLD OUT" : "");
}

static void put_people(char *to, const struct state *s, const struct sale *sale)
{
	to += sprintf(to, "told:");
	for (int c = 0; c < sale->claimers; c++)
		to += sprintf(to, " %x (gone %x)", s->claimers[c].told, s->claimers[c].gone);
	for (int host = 0; host < sale->hosts; host++)
		for (int i = 0; i < sale->segments; i++)
			to += sprintf(to, ", host %d acknowledged up to %d:%d", host, i, s->acknowledged[host][i]);
	if (s->losers)
		sprintf(to, "; refused: %x", s->losers);
}

/* Only what has changed. */
static void print_state(const struct state *s, const struct sale *sale)
{
	static char before[SEGMENTS + 3][400];
	char now[SEGMENTS + 3][400] = { "" };
	for (int i = 0; i < sale->segments; i++)
		put_segment(now[i], s, sale, i);
	put_hub(now[SEGMENTS], s, sale);
	put_mysql(now[SEGMENTS + 1], s, sale);
	put_people(now[SEGMENTS + 2], s, sale);
	for (int k = 0; k < SEGMENTS + 3; k++) {
		if (*now[k] && strcmp(now[k], before[k]) != 0)
			printf("#        %s\n", now[k]);
		memcpy(before[k], now[k], sizeof now[k]);
	}
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
