/* Prints traces for people. */
#include "model/life/life.h"

#include <stdio.h>
#include <string.h>

static const char *const texts[KINDS] = {
	[CLAIM] = "customer %d claims",
	[DRAIN] = "order %d goes into MySQL",
	[BURY] = "order %d becomes a dead letter",
	[PAY] = "payment %d comes",
	[PAY_WRONG] = "payment %d comes, of another amount",
	[REFUND] = "a refund of payment %d comes",
	[CANCEL] = "the customer cancels order %d",
	[SELLER_CANCEL] = "the seller cancels order %d",
	[EXPIRE] = "a drainer expires order %d",
	[RELEASE] = "the owner of order %d is removed",
	[FORGET] = "order %d leaves returned_orders",
	[TELL] = "the hub is told the totals after change %d",
	[CLEAR] = "who told the hub sets hub_told",
	[LATE_CLAIM] = "a drainer claims for late payment %d",
	[LATE_LIFT] = "the limit of late payment %d's customer is lifted",
	[LATE_APPLY] = "late payment %d is applied",
	[LATE_REFUSE] = "late payment %d gets no unit",
};

static const char *const statuses[] = {
	[NONE] = "-",          [QUEUED] = "queued", [PENDING] = "pending", [PAID] = "paid", [CANCELLED] = "cancelled",
	[EXPIRED] = "expired", [DEAD] = "dead"
};

static void print_step(int number, const struct step *step, struct reply r)
{
	printf("#   %2d ", number);
	printf(texts[step->kind], step->at);
	if (step->order)
		printf(", order %d", step->order);
	if (r.word != DONE)
		printf(" -> %s", word_names[r.word]);
	if (r.number)
		printf(" %d", r.number);
	printf("\n");
}

static char *put_totals(char *to, const char *name, struct totals t)
{
	return to + sprintf(to, "%s cancelled %d final %d final_cancelled %d", name, t.cancelled, t.final,
			    t.final_cancelled);
}

static void put_mysql(char *to, const struct state *s)
{
	to += sprintf(to, "MySQL:");
	for (int n = 1; n <= order_count(s); n++) {
		const struct order *o = &s->orders[n];
		to += sprintf(to, " %d %s of customer %d%s%s,", n, statuses[o->status], o->customer,
			      o->unpaid ? " (unpaid)" : "", o->returned ? " (returned)" : "");
	}
	to += sprintf(to, " sold %d", s->sold);
	to = put_totals(to, ",", s->totals);
	sprintf(to, ", hub_told %d", s->hub_told);
}

static void put_redis(char *to, const struct state *s, const struct sale *sale)
{
	to += sprintf(to, "Redis: available %d, claimed %d, unowned %d,", available(s, sale), s->claimed, s->unowned);
	to = put_totals(to, " hub", s->hub);
	to += sprintf(to, s->word ? ", %s" : "", word_names[s->word]);
	for (int c = 0; c < sale->customers; c++)
		if (s->owners[c].number)
			to += sprintf(to, ", customer %d has %s%d", c, s->owners[c].tombstone ? "-" : "",
				      s->owners[c].number);
}

static void put_money(char *to, const struct state *s, const struct sale *sale)
{
	to += sprintf(to, "money:");
	for (int p = 0; p < sale->payments; p++) {
		const struct payment *by = &s->payments[p];
		if (by->named || by->refunded)
			to += sprintf(to, " payment %d for order %d pays %d%s%s;", p, by->named, by->pays,
				      by->late ? ", late" : "", by->refunded ? ", refunded" : "");
	}
}

/* Only what has changed. */
static void print_state(const struct state *s, const struct sale *sale)
{
	enum { LINES = 3 };
	static char before[LINES][400];
	char now[LINES][400];
	put_mysql(now[0], s);
	put_redis(now[1], s, sale);
	put_money(now[2], s, sale);
	for (int k = 0; k < LINES; k++)
		if (strcmp(now[k], before[k]) != 0)
			printf("#        %s\n", strcpy(before[k], now[k]));
}

void print_trace(const struct sale *sale, const struct finding *f)
{
	struct state s;
	state_init(&s);
	printf("#   %d units, %d customers: %s\n", sale->units, sale->customers, sale->name);
	print_state(&s, sale);
	for (int i = 0; i < f->trace_length; i++) {
		struct reply r = step_take(&s, sale, &f->trace[i]);
		print_step(i + 1, &f->trace[i], r);
		print_state(&s, sale);
	}
	printf("#   %s\n", f->wrong);
}
