/*
 * Random traces of the next rules, a JSON object a line: {"trace": number, ...}, then its steps, {"step": "claim", "at":
 * ..., "arg": ..., "way": ..., "word": "WON", "state": {...}}, with what is known after them. An inspection and a drainer
 * that do all at once are printed step by step, between "suspend" and "resume", as others may stand still. Times at which
 * workers keep "sold out" are left out, as are recoveries.
 */
#include "model/lossy/lossy.h"

#include <stdio.h>
#include <string.h>

enum { WALK_STEPS = 40 };

static uint64_t random_state;

/* splitmix64 */
static uint64_t random_next(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int below(int n)
{
	return (int)(random_next() % (unsigned)n);
}

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
	[BEGIN] = { "begin", 4 },       [GO_ON] = { "go_on", 12 },      [DOUBT] = { "doubt", 4 },
	[LOOK] = { "look", 1 },         [LOSE_OWNERS] = { "lose_owners", 2 },
};

/* First what is done, then with what: else the many messages would crowd out everything else. */
static struct step random_step(const struct step *list, int count)
{
	int of_kind[KINDS] = { 0 }, total = 0, kind = 0, number;
	for (int i = 0; i < count; i++)
		if (!of_kind[list[i].kind]++)
			total += kinds[list[i].kind].weight;
	for (int at = below(total); kind < KINDS; kind++)
		if (of_kind[kind] && (at -= kinds[kind].weight) < 0)
			break;
	number = below(of_kind[kind]);
	for (int i = 0; i < count; i++)
		if (list[i].kind == kind && !number--)
			return list[i];
	return list[0];
}

/* Printing */

static void print_numbers(const char *name, const int *numbers, int count)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < count; i++)
		printf("%s%d", i ? ", " : "", numbers[i]);
	printf("]");
}

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
	printf("{\"fence\": %d, \"left\": %d, \"I\": %d, \"O\": %d, \"sold\": %d, \"last\": %d, \"inc\": %d, \"term\": %d, "
	       "\"next\": %d, ",
	       g->fence, g->left, g->received, g->sent, g->sold, g->last, g->inc, g->hub_inc, g->next);
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
	       h->avail, h->empty, h->heard, h->sold_out, h->inc);
	for (int i = 0; i < sale->segments; i++) {
		const int with[] = { h->with[i].granted, h->with[i].taken, h->with[i].inc };
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
		printf("{\"zero\": %d, \"term\": %d, \"inc\": %d, \"in\": %d, \"out\": %d}", m->zero, m->hub_inc, m->seg_inc,
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
	printf(", \"job\": {\"phase\": %d, \"target\": %d, \"life\": %d, \"term\": %d, \"inc\": %d, \"mark\": %d, ",
	       job->phase, job->target, job->life, job->hub_inc, job->inc, job->mark);
	print_each("row", job->row);
	printf(", ");
	print_each("own", job->own);
	printf(", ");
	print_bits("held", job->held);
	printf("}");
}

static void print_state(const struct state *s, const struct sale *sale)
{
	const int life[SHARDS] = { s->life[0], s->life[1], s->life[2] };
	printf("\"state\": {");
	print_numbers("life", life, SHARDS);
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
	printf(", \"drain\": {\"phase\": %d, \"segment\": %d, \"inc\": %d, \"upto\": %d}, ", s->drain.phase,
	       s->drain.segment, s->drain.inc, s->drain.upto);
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
		struct step step = random_step(list, count);
		struct state after = s;
		step_take(&after, &sale, &step);
		if (!memcmp(&s, &after, sizeof s) && below(4))
			continue; /* most of what changes nothing */
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
	rules = NEXT;
	random_state = seed;
	for (int i = 0; i < traces; i++)
		walk(i + 1);
}
