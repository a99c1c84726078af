/*
 * Random traces of the current rules, a JSON object a line: {"trace": number, ...}, then its steps, {"step": "claim", "at":
 * ..., "arg": ..., "way": ..., "word": "WON", "state": {...}}, with the state after them. An inspection and a drain in one
 * step are printed as their parts, between "suspend" and "resume", because others may stand still. Sold-out notices and
 * recoveries are left out.
 */
#include "model/lossy/lossy.h"

#include <stdio.h>
#include <string.h>

#include "model/common/walk.h"

enum { WALK_STEPS = 40 };

static struct sale random_sale(void)
{
	struct sale sale = { .segments = 1 + below(SEGMENTS),
			     .units = 1 + below(3),
			     .claimers = CLAIMERS,
			     .hosts = 1 + below(HOSTS),
			     .wait = below(2),
			     .copies = 1 + below(COPIES),
			     .failovers = below(4),
			     .faults = LATE_GRANTS | LATE_REPORTS | LATE_DRAIN | LATE_INSPECTOR | KILLED_INSPECTOR |
				       LATE_ANSWERS | LOST_OWNERS,
			     .watch = ALL };
	int share = below(sale.units + 1);
	sale.fails = 1u << HUB | (bit(sale.segments) - 1);
	for (int i = 0; i < sale.segments; i++)
		sale.first[i] = share / sale.segments + (i < share % sale.segments);
	for (int c = 0; c < sale.claimers; c++)
		sale.home[c] = below(sale.segments);
	return sale;
}

static const struct {
	const char *name;
	int weight;
} kinds[KINDS] = {
	[CLAIM] = { "claim", 8 },       [TELL] = { "tell", 4 },         [DROP] = { "drop", 1 },
	[DEBIT] = { "debit", 2 },       [REPORT] = { "report", 5 },     [CREDIT] = { "credit", 5 },
	[REDELIVER] = { "redeliver", 4 }, [HEAR] = { "hear", 5 },       [REPLICATE] = { "replicate", 5 },
	[FAILOVER] = { "failover", 4 }, [DRAIN] = { "drain", 3 },       [PEEK] = { "peek", 3 },
	[COMMIT] = { "commit", 4 },     [TRIM] = { "trim", 4 },         [INSPECT] = { "inspect", 6 },
	[BEGIN] = { "begin", 4 },       [GO_ON] = { "go_on", 12 },      [SUSPECT_AGAIN] = { "suspect", 4 },
	[LOOK] = { "look", 1 },         [LOSE_OWNERS] = { "lose_owners", 2 },
};

static int weight_of(int kind)
{
	return kinds[kind].weight;
}

/* Printing */

static void print_bits(const char *name, unsigned set)
{
	int numbers[32], count = 0;
	for (int n = 0; n < 32; n++)
		if (set >> n & 1)
			numbers[count++] = n;
	print_numbers(name, numbers, count);
}

static void print_each(const char *name, const uint8_t *numbers)
{
	int all[CLAIMERS];
	for (int c = 0; c < CLAIMERS; c++)
		all[c] = numbers[c];
	print_numbers(name, all, CLAIMERS);
}

static void print_segment(const struct segment *g)
{
	uint8_t own[CLAIMERS], listed[CLAIMERS];
	for (int c = 0; c < CLAIMERS; c++) {
		own[c] = g->own[c].number;
		listed[c] = g->own[c].listed;
	}
	printf("{\"fence\": %d, \"left\": %d, \"I\": %d, \"O\": %d, \"sold\": %d, \"last\": %d, \"base\": %d, \"term\": %d, "
	       "\"next\": %d, ",
	       g->fence, g->left, g->received, g->sent, g->sold, g->last, g->base, g->term, g->next);
	print_each("own", own);
	printf(", ");
	print_each("listed", listed);
	printf(", ");
	print_bits("lost", g->listed);
	printf("}");
}

static void print_hub(const struct hub *h, const struct sale *sale)
{
	printf("{\"fence\": %d, \"avail\": %d, \"empty\": %d, \"heard\": %d, \"sold_out\": %d, \"term\": %d", h->fence,
	       h->avail, h->empty, h->heard, h->sold_out, h->term);
	for (int i = 0; i < sale->segments; i++) {
		const int with[] = { h->with[i].granted, h->with[i].taken, h->with[i].base };
		char name[16];
		snprintf(name, sizeof name, "with%d", i);
		printf(", ");
		print_numbers(name, with, 3);
	}
	printf("}");
}

static void print_message(const struct message *m)
{
	if (m->there)
		printf("{\"zero\": %d, \"term\": %d, \"base\": %d, \"in\": %d, \"out\": %d}", m->zero, m->term, m->base,
		       m->in, m->out);
	else
		printf("null");
}

static void print_messages(const char *name, const struct message *messages, const struct sale *sale)
{
	printf(", \"%s\": [", name);
	for (int i = 0; i < sale->segments; i++) {
		printf("%s", i ? ", " : "");
		print_message(&messages[i]);
	}
	printf("]");
}

static void print_job(const struct inspection *job)
{
	printf(", \"job\": {\"phase\": %d, \"target\": %d, \"incarnation\": %d, \"term\": %d, \"base\": %d, \"acknowledged\": %d, ",
	       job->phase, job->target, job->incarnation, job->term, job->base, job->acknowledged);
	print_each("row", job->row);
	printf(", ");
	print_each("own", job->own);
	printf(", ");
	print_bits("held", job->held);
	printf("}");
}

static void print_state(const struct state *s, const struct sale *sale)
{
	const int incarnation[SHARDS] = { s->incarnation[0], s->incarnation[1], s->incarnation[2] };
	printf("\"state\": {");
	print_numbers("incarnation", incarnation, SHARDS);
	printf(", \"segments\": [");
	for (int i = 0; i < sale->segments; i++) {
		printf("%s", i ? ", " : "");
		print_segment(&s->segments[i].now);
	}
	printf("], \"hub\": ");
	print_hub(&s->hub.now, sale);
	print_messages("reports", s->reports, sale);
	print_messages("grants", s->grants, sale);
	print_job(&s->job);
	printf(", \"drain\": {\"phase\": %d, \"segment\": %d, \"base\": %d, \"upto\": %d}, ", s->drain.phase,
	       s->drain.segment, s->drain.base, s->drain.upto);
	uint8_t answers[CLAIMERS], confirmed[CLAIMERS];
	for (int c = 0; c < CLAIMERS; c++) {
		answers[c] = s->claimers[c].number;
		confirmed[c] = sale->wait && s->claimers[c].answer == IS_MINE;
	}
	print_each("answers", answers);
	printf(", ");
	print_each("confirmed", confirmed);
	printf("}");
}

static void print_step(const char *name, const struct step *step, enum word word, const struct state *s,
		       const struct sale *sale)
{
	printf("{\"step\": \"%s\", \"at\": %d, \"arg\": %d, \"way\": %d, \"word\": \"%s\", ", name, step->at, step->arg,
	       step->way, word ? word_names[word] : "");
	print_state(s, sale);
	printf("}\n");
}

static void print_sale(int number, const struct state *s, const struct sale *sale)
{
	printf("{\"trace\": %d, \"segments\": %d, \"units\": %d, \"copies\": %d, \"wait\": %d, ", number, sale->segments,
	       sale->units, sale->copies, sale->wait);
	print_numbers("first", sale->first, sale->segments);
	printf(", ");
	print_numbers("homes", sale->home, CLAIMERS);
	printf(", ");
	print_state(s, sale);
	printf("}\n");
}

/* Step by step */

static struct step walk_of(enum kind kind, const struct step *step)
{
	return (struct step){ .kind = (uint8_t)kind, .at = step->at, .arg = step->arg };
}

static enum word take_and_print(struct state *s, const struct sale *sale, struct step step)
{
	enum word word = step_take(s, sale, &step);
	print_step(kinds[step.kind].name, &step, word, s, sale);
	return word;
}

static void inspect_and_print(struct state *s, const struct sale *sale, const struct step *step)
{
	struct inspection other = s->job;
	int steps = step->way;
	memset(&s->job, 0, sizeof s->job);
	print_step("suspend", step, NOTHING, s, sale);
	take_and_print(s, sale, walk_of(BEGIN, step));
	while (s->job.phase && --steps)
		if (take_and_print(s, sale, walk_of(GO_ON, step)) != OK)
			memset(&s->job, 0, sizeof s->job);
	s->job = other;
	print_step("resume", step, NOTHING, s, sale);
}

static void drain_and_print(struct state *s, const struct sale *sale, const struct step *step)
{
	struct drain other = s->drain;
	print_step("suspend", step, NOTHING, s, sale);
	take_and_print(s, sale, walk_of(PEEK, step));
	take_and_print(s, sale, walk_of(COMMIT, step));
	if (s->drain.phase == COMMITTED && step->arg)
		take_and_print(s, sale, walk_of(TRIM, step));
	s->drain = other;
	print_step("resume", step, NOTHING, s, sale);
}

static bool is_explored(const struct state *s, const struct sale *sale)
{
	for (int i = 0; i < sale->segments; i++)
		if (s->hub.now.with[i].granted > 3 * sale->units)
			return false;
	return !check_state(s, sale);
}

static void walk(int number)
{
	struct sale sale = random_sale();
	struct state s;
	struct step list[STEPS_MOST];
	state_init(&s, &sale);
	print_sale(number, &s, &sale);
	for (int taken = 0; taken < WALK_STEPS && is_explored(&s, &sale);) {
		int count = steps_of(&s, &sale, list);
		if (!count)
			return;
		struct step step = list[choose_step(list, sizeof *list, count, weight_of)];
		struct state after = s;
		step_take(&after, &sale, &step);
		if (!memcmp(&s, &after, sizeof s) && below(4))
			continue; /* most steps that change nothing */
		if (step.kind == INSPECT)
			inspect_and_print(&s, &sale, &step);
		else if (step.kind == DRAIN)
			drain_and_print(&s, &sale, &step);
		else
			take_and_print(&s, &sale, step);
		taken++;
	}
}

void print_walks(int traces, uint64_t seed)
{
	rules = CURRENT;
	seed_choices(seed);
	for (int i = 0; i < traces; i++)
		walk(i + 1);
}
