/*
 * A trace: {"trace": number, "segments": ..., "amount": ..., "each": ..., "extra": ..., "homes": [...]}, then its
 * steps: {"step": "exchange", "at": segment, "args": [...], "reply": [...], "clock": ..., "hub": {...}, "segments":
 * [{...}, ...], "owners": [{...}, ...]}; fields and replies as in Redis. Steps that touch no slot, such as
 * COMMIT and ACKNOWLEDGE, are not printed; the clock is.
 */
#include "model/walk.h"

#include <stdio.h>
#include <string.h>

#include "model/common/walk.h"
#include "model/model.h"

static const struct {
	const char *name; /* NULL: touches no slot */
	int args, weight;
} kinds[KINDS] = {
	[OPEN_SEGMENT] = { "open_segment", 1, 4 },
	[CLAIM] = { "claim", 2, 6 },
	[CREDIT] = { "credit", 2, 3 },
	[DEBIT] = { "debit", 1, 2 },
	[EXCHANGE] = { "exchange", 10, 8 },
	[FLAG] = { "flag", 3, 6 },
	[COMMIT] = { NULL, 0, 1 },
	[SUPPLY] = { "supply", 6, 2 },
	[PAY] = { NULL, 0, 1 },
	[RELEASE] = { "release", 1, 2 },
	[JOIN] = { "join", 0, 3 },
	[LEAVE] = { "leave", 0, 1 },
	[PROMOTE] = { "promote", 3, 6 },
	[AWARD] = { "award", 3, 8 },
	[CLEAR] = { "promoted", 2, 3 },
	[DECIDE] = { NULL, 0, 1 },
	[STEER] = { "steer", 1, 3 },
	[PROMISE_STATE] = { NULL, 0, 1 },
	[ASK] = { NULL, 0, 1 },
	[WITHDRAW] = { "withdraw", 2, 2 },
	[NOTE] = { NULL, 0, 1 },
	[ACKNOWLEDGE] = { NULL, 0, 1 },
	[TICK] = { "tick", 0, 1 },
	[SET_BACK] = { "set_back", 0, 1 },
	[KEEP] = { NULL, 0, 1 },
	[REFUSE] = { NULL, 0, 1 },
	[ANSWER] = { NULL, 0, 1 },
	[GIVE_UP] = { NULL, 0, 1 },
};

static struct sale random_sale(void)
{
	struct sale sale = { .segments = 1 + below(3),
			     .units = 1 + below(1 + below(4)),
			     .claimers = CLAIMERS,
			     .adds = 1 + below(2),
			     .returns = 1,
			     .granted_most = COUNT_MOST,
			     .ticks = CLOCK_MOST,
			     .want = 3,
			     .opening = below(4) == 0,
			     .requests = true,
			     .set_back = true,
			     .pays = below(2),
			     .learns = below(4) == 0,
			     .waits = below(2),
			     .away = below(2),
			     .steers = below(4) ? 0 : 3,
			     .withdraws = below(3) ? 0 : 2 };
	if (sale.waits) { /* soon sold out */
		sale.segments = 1 + below(2);
		sale.units = 1 + below(4) / 3;
		sale.want = 1;
		sale.opening = false;
		sale.steers = 0; /* what a pause does to promotions is not modelled */
	}
	int share = sale.waits ? sale.units : below(sale.units + 1);
	for (int i = 0; i < sale.segments; i++)
		sale.first[i] = share / sale.segments + (i < share % sale.segments);
	for (int c = 0; c < sale.claimers; c++)
		sale.home[c] = below(sale.segments);
	return sale;
}

/* A worker that asks for stock may add the report of another segment to the same call. */
static void add_report(struct step *step, const struct step *list, int count)
{
	int number = below(count);
	const struct step *other = &list[number];
	if (step->args[3] == 0 || other->kind != EXCHANGE || other->at == step->at)
		return;
	step->args[5] = (int8_t)other->at;
	memcpy(&step->args[6], other->args, 3);
}

static int weight_of(int kind)
{
	return kinds[kind].weight;
}

static struct step random_step(const struct step *list, int count, const struct sale *sale)
{
	struct step step = list[choose_step(list, sizeof *list, count, weight_of)];
	if (step.kind != EXCHANGE)
		return step;
	step.args[4] = (int8_t)(1 + below(sale->segments));
	add_report(&step, list, count);
	return step;
}

/* Printing */

static void print_sale(int number, const struct sale *sale)
{
	int share = 0;
	for (int i = 0; i < sale->segments; i++)
		share += sale->first[i];
	printf("{\"trace\": %d, \"segments\": %d, \"amount\": %d, \"each\": %d, \"extra\": %d, \"opening\": %s, \"pays\": %d, \"waits\": %d, ",
	       number, sale->segments, sale->units, share / sale->segments, share % sale->segments,
	       sale->opening ? "true" : "false", sale->pays && !sale->learns, sale->waits);
	print_numbers("homes", sale->home, sale->claimers);
	printf("}\n");
}

static void print_hub(const struct state *s, const struct sale *sale)
{
	const struct hub *h = &s->hub;
	printf(", \"hub\": {\"amount\": %d, \"cancelled\": %d, \"avail\": %d, \"sold_out\": %d, \"epoch\": %d, \"opening\": %d",
	       h->amount, h->cancelled, h->avail, h->sold_out, h->epoch, h->opening);
	printf(", \"withdrawn\": %d, \"asked\": %d, \"missed\": %d", (int)s->steered.hub_withdrawn, (int)s->steered.hub_asked,
	       (int)s->steered.hub_missed);
	printf(", \"version\": %d", version_of(s, sale->segments));
	printf(", \"final\": %d, \"final_cancelled\": %d, \"pays\": %d", h->final, h->final_cancelled, h->pays);
	for (int i = 0; i < sale->segments; i++)
		printf(", \"G%d\": %d, \"R%d\": %d", i, h->with[i].granted, i, h->with[i].taken);
	printf(", \"empty\": \"");
	for (int i = 0; i < sale->segments; i++)
		putchar('0' + (h->empty >> i & 1));
	printf("\"}");
}

static void print_segments(const struct state *s, const struct sale *sale)
{
	int owners[CLAIMERS];
	for (int c = 0; c < CLAIMERS; c++)
		owners[c] = s->claimers[c].order;
	printf(", \"segments\": [");
	for (int i = 0; i < sale->segments; i++) {
		const struct segment *g = &s->segments[i];
		printf("%s", i ? ", " : "");
		if (g->made)
			printf("{\"left\": %d, \"I\": %d, \"O\": %d, \"n\": %d, \"epoch\": %d, \"until\": %d, \"held\": %d, \"version\": %d}",
			       g->left, g->received, g->sent, g->n, g->epoch, g->until, g->held, version_of(s, i));
		else
			printf("{}");
	}
	printf("], ");
	print_numbers("owners", owners, sale->claimers);
	printf(", ");
	int ranks[CLAIMERS], promised[2 * SEGMENTS];
	for (int c = 0; c < CLAIMERS; c++)
		ranks[c] = rank_of(s, c);
	for (int i = 0; i < 2 * SEGMENTS; i++)
		promised[i] = promised_to(s, i / 2, i % 2);
	print_numbers("ranks", ranks, sale->claimers);
	printf(", ");
	print_numbers("promised", promised, 2 * sale->segments);
}

static void print_step(const struct state *s, const struct sale *sale, const struct step *step, const struct reply *r)
{
	int args[sizeof step->args];
	for (size_t i = 0; i < sizeof step->args; i++)
		args[i] = step->args[i];
	printf("{\"step\": \"%s\", \"at\": %d, ", kinds[step->kind].name, step->at);
	print_numbers("args", args, kinds[step->kind].args);
	printf(", \"reply\": [");
	if (r->word != NOTHING)
		printf("\"%s\"", word_names[r->word]);
	for (int i = 0; i < r->count; i++)
		printf(", %d", r->values[i]);
	printf("], \"clock\": %d", s->clock);
	print_hub(s, sale);
	print_segments(s, sale);
	printf("}\n");
}

static const char *walk(int number)
{
	struct sale sale = random_sale();
	struct state s;
	struct step list[STEPS_MOST];
	const char *wrong = NULL;
	state_init(&s, &sale);
	print_sale(number, &sale);
	for (int taken = 0; taken < WALK_STEPS * (1 + sale.waits) && !wrong;) {
		struct step step = random_step(list, steps_of(&s, &sale, list), &sale);
		struct state before = s;
		struct reply r = step_take(&s, &sale, &step);
		if (!memcmp(&s, &before, sizeof s) && below(4))
			continue; /* most steps that change nothing */
		for (int i = 0; i < sale.segments; i++)
			if (s.hub.with[i].granted > sale.granted_most)
				return NULL;
		wrong = judge(&before, &s, &sale, &step, &r);
		wrong = wrong ? wrong : check_state(&s, &sale);
		if (kinds[step.kind].name) {
			print_step(&s, &sale, &step, &r);
			taken++;
		}
	}
	return wrong;
}

int print_walks(int traces, uint64_t seed)
{
	seed_choices(seed);
	for (int i = 0; i < traces; i++) {
		const char *wrong = walk(i + 1);
		if (wrong) {
			fprintf(stderr, "trace %d: %s\n", i + 1, wrong);
			return 1;
		}
	}
	return 0;
}
