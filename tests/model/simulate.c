/*
 * What a choice of constants costs: sales of real size on the scripts of the search (scripts.c, with wider fields),
 * called as src/stock/refill.c calls them, until every unit is sold.
 *
 *   simulate                                         are the shipped constants near the best of the grid? (TAP)
 *   simulate --grid                                  print the shipped constants and the grid
 *   simulate UNITS SEGMENTS CONCURRENCY PROCESSES    scripts per winning claim with what is shipped
 *
 * A worker sends its scripts at the end of a turn, Redis runs all of them, and the worker reads all replies: each
 * process's scripts run in batches, and the processes take turns. Homes are uniform. CONCURRENCY claims are under way
 * until as many customers as units have claimed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

enum { PROBES_MAX = 32, PROCESSES = 8 };
enum mutant mutant = NO_MUTANT;
static bool few; /* fewer sales: enough to compare */

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 16) % n);
}

/* A script on its way, and what its reply is for. */
struct call {
	struct reply (*run)(const struct call *c);
	void (*then)(const struct call *c, const struct reply *r);
	struct reply reply;
	int process, claimer, segment, granted, taken, want; /* granted -1: no credit */
	struct refill *refill;
	struct call *next;
};

struct refill {
	struct report home, heard[SEGMENTS];
	int process, probes, outstanding, reports, waiting, first, last; /* a list of claimers */
};

static struct {
	struct sale sale;
	struct state state;
	int processes, next[PROCESSES];
	struct refill *refills[PROCESSES][SEGMENTS];
	int behind[CLAIMERS]; /* in the list of a refill */
	struct call *first[PROCESSES], **last[PROCESSES];
	size_t scripts;
} sim;

static void send(struct call call)
{
	struct call *c = malloc(sizeof *c);
	if (!c)
		abort();
	*c = call;
	c->next = NULL;
	*sim.last[c->process] = c;
	sim.last[c->process] = &c->next;
}

static struct reply run_claim(const struct call *c);
static void on_claim(const struct call *c, const struct reply *r);
static struct reply run_hub(const struct call *c);
static void on_hub(const struct call *c, const struct reply *r);

static void send_claim(int claimer, int granted, int taken)
{
	send((struct call){ run_claim, on_claim, .process = claimer % sim.processes, .claimer = claimer,
			    .granted = granted, .taken = taken });
}

static int home(int claimer)
{
	return sim.state.claimers[claimer].request; /* a field that scripts do not touch */
}

static struct refill **refill_of(int claimer)
{
	return &sim.refills[claimer % sim.processes][home(claimer)];
}

static bool join(int claimer)
{
	struct refill *r = *refill_of(claimer);
	if (!r)
		return false;
	if (r->waiting++)
		sim.behind[r->last] = claimer;
	else
		r->first = claimer;
	r->last = claimer;
	return true;
}

static void ask_hub(struct refill *r)
{
	send((struct call){ run_hub, on_hub, .process = r->process, .refill = r, .want = r->waiting });
}

static void wait_for_stock(int claimer, int received, int sent)
{
	if (join(claimer))
		return;
	struct refill *r = malloc(sizeof *r);
	if (!r)
		abort();
	*r = (struct refill){ .home = { home(claimer), received, sent, 0 }, .process = claimer % sim.processes, .probes = 1 };
	*refill_of(claimer) = r;
	join(claimer);
	ask_hub(r);
}

/* Every process has customers of its own. */
static void next_customer(int process)
{
	int claimer = sim.next[process];
	if (claimer >= sim.sale.units)
		return;
	sim.next[process] += sim.processes;
	sim.state.claimers[claimer].request = (int)below((uint32_t)sim.sale.segments);
	if (!join(claimer))
		send_claim(claimer, -1, 0);
}

static struct reply run_index(const struct call *c)
{
	(void)c;
	return (struct reply){ 0 };
}

static void on_indexed(const struct call *c, const struct reply *r)
{
	(void)r;
	next_customer(c->process);
}

static struct reply run_claim(const struct call *c)
{
	return claim_lua(&sim.state, home(c->claimer), user_of(c->claimer), c->granted, c->taken);
}

static void on_claim(const struct call *c, const struct reply *r)
{
	if (r->word == NEED)
		wait_for_stock(c->claimer, r->values[0], r->values[1]);
	else /* the customer's list is no script; then the winner is answered, and another customer comes */
		send((struct call){ run_index, on_indexed, .process = c->process });
}

static int take_first(struct refill *r)
{
	int claimer = r->first;
	r->first = sim.behind[claimer];
	r->waiting--;
	return claimer;
}

static void send_all(struct refill *r, int granted, int taken)
{
	sim.refills[r->process][r->home.segment] = NULL;
	for (; r->waiting; granted = -1)
		send_claim(take_first(r), granted, taken);
	free(r);
}

/* Another segment sends back what it has. */

static void probe_over(struct refill *r)
{
	if (--r->outstanding == 0)
		ask_hub(r);
}

static struct reply run_credit(const struct call *c)
{
	return claim_lua(&sim.state, c->segment, 0, c->granted, c->taken);
}

static void on_credited(const struct call *c, const struct reply *r)
{
	(void)r;
	probe_over(c->refill);
}

static struct reply run_debit(const struct call *c)
{
	return debit_lua(&sim.state, c->segment, true);
}

static void on_debited(const struct call *c, const struct reply *r)
{
	struct refill *f = c->refill;
	f->heard[f->reports++] = (struct report){ c->segment, r->values[1], r->values[2], r->values[0] };
	if (c->granted > r->values[1])
		send((struct call){ run_credit, on_credited, .process = c->process, .segment = c->segment,
				    .granted = c->granted, .taken = c->taken, .refill = f });
	else
		probe_over(f);
}

static void probe_all(struct refill *f, const struct reply *none)
{
	f->outstanding = 1;
	f->probes = f->probes < PROBES_MAX ? f->probes * 2 : f->probes;
	for (int i = 2; i < none->count; i += 3, f->outstanding++)
		send((struct call){ run_debit, on_debited, .process = f->process, .segment = none->values[i],
				    .granted = none->values[i + 1], .taken = none->values[i + 2], .refill = f });
	probe_over(f);
}

/* The hub */

static struct reply run_hub(const struct call *c)
{
	struct refill *f = c->refill;
	int count = f->reports;
	f->reports = 0; /* no report comes while the hub is asked */
	return exchange_lua(&sim.state, &sim.sale, f->home, c->want, f->probes, f->heard, count, 0);
}

static void send_some(struct refill *f, int units, int granted, int taken)
{
	f->home.received = granted;
	for (; units > 0; units--, granted = -1)
		send_claim(take_first(f), granted, taken);
	f->home.left = 1;
	ask_hub(f);
}

static void on_hub(const struct call *c, const struct reply *r)
{
	struct refill *f = c->refill;
	int granted = r->values[0], taken = r->values[1], units = granted - f->home.received;
	if (r->word == SOLDOUT)
		send_all(f, -1, 0); /* as refill.c does, but without the flag: nobody is refused here */
	else if (r->word == GRANT && units < f->waiting)
		send_some(f, units, granted, taken);
	else if (r->word == GRANT || units > 0)
		send_all(f, granted, taken);
	else if (f->home.left)
		send_all(f, -1, 0);
	else
		probe_all(f, r);
}

/* A sale */

static void open_sale(int units, int segments)
{
	int share = units * tuning.first_num / tuning.first_den;
	sim.sale = (struct sale){ .units = units, .segments = segments };
	sim.state.hub = (struct hub){ 0 };
	memset(sim.state.segments, 0, sizeof sim.state.segments);
	memset(sim.state.claimers, 0, (size_t)units * sizeof sim.state.claimers[0]);
	sim.state.hub.amount = units;
	sim.state.hub.avail = units - share;
	for (int i = 0; i < segments; i++) {
		int first = share / segments + (i < share % segments);
		open_segment_lua(&sim.state, i, first);
		sim.state.hub.with[i].granted = first;
	}
}

/* Runs all scripts that a process has to send, then reads all replies. False: there were none. */
static bool batch(int process)
{
	struct call *all = sim.first[process];
	sim.first[process] = NULL;
	sim.last[process] = &sim.first[process];
	for (struct call *c = all; c; c = c->next)
		c->reply = c->run(c), sim.scripts += c->run != run_index;
	for (struct call *c = all, *next; c; c = next) {
		next = c->next;
		c->then(c, &c->reply);
		free(c);
	}
	return all;
}

static size_t sell(int units, int segments, int concurrency, int processes)
{
	open_sale(units, segments);
	sim.processes = processes;
	sim.scripts = 0;
	for (int i = 0; i < processes; i++) {
		sim.last[i] = &sim.first[i];
		sim.next[i] = i;
	}
	for (int i = 0; i < concurrency; i++)
		next_customer(i % processes);
	for (bool idle = false; !idle;) {
		idle = true;
		for (int i = 0; i < processes; i++)
			idle = !batch(i) && idle;
	}
	for (int i = 0; i < units; i++)
		if (!sim.state.claimers[i].order)
			abort();
	return sim.scripts;
}

/* The mean of enough sales, always of the same customers. */
static double cost(int units, int segments, int concurrency, int processes)
{
	int sales = (few ? 10000 : 100000) / units;
	size_t scripts = 0;
	random_state = 0x5eed5eed5eed;
	for (int i = 0; i < sales; i++)
		scripts += sell(units, segments, concurrency, processes);
	return (double)scripts / sales / units;
}

/* The grid */

static const struct {
	int units, segments;
} sizes[] = { { 10000, 64 }, { 1000, 16 }, { 100, 10 } };

static const int concurrencies[] = { 1, 8, 64 };
static const struct {
	const char *text;
	int num, den;
} shares[] = { { "0", 0, 1 }, { "1/2", 1, 2 }, { "3/4", 3, 4 }, { "7/8", 7, 8 }, { "1", 1, 1 } },
  chunks[] = { { "1/2", 1, 2 }, { "1", 1, 1 }, { "3/2", 3, 2 }, { "2", 2, 1 } };
static const char *const backs[] = { [RETURN_ONE] = "1", [RETURN_HALF] = "half", [RETURN_ALL] = "all" };

enum { SIZES = 3, CONCURRENCIES = 3, SHARES = 5, CHUNKS = 4, BACKS = 3, ROWS = SHARES * CHUNKS * BACKS };

static struct tuning tuning_of(int row)
{
	int share = row / (CHUNKS * BACKS), chunk = row / BACKS % CHUNKS;
	return (struct tuning){ shares[share].num, shares[share].den, chunks[chunk].num, chunks[chunk].den, row % BACKS };
}

/* One claim at a time needs one process; two pull at the stock from two sides. */
static double cell(int size, int concurrency)
{
	return cost(sizes[size].units, sizes[size].segments, concurrencies[concurrency], concurrency ? 2 : 1);
}

static double mean(int size)
{
	double sum = 0;
	for (int i = 0; i < CONCURRENCIES; i++)
		sum += cell(size, i);
	return sum / CONCURRENCIES;
}

/* A row for each share and chunk; in it, each size, and each way to return. */
static void print_grid(void)
{
	printf("| granted at first | chunk |");
	for (int i = 0; i < SIZES * BACKS; i++)
		printf(" %d in %d, return %s |", sizes[i / BACKS].units, sizes[i / BACKS].segments, backs[i % BACKS]);
	printf("\n| --- | --- |");
	for (int i = 0; i < SIZES * BACKS; i++)
		printf(" --- |");
	puts("");
	for (int row = 0; row < ROWS; row += BACKS) {
		printf("| %s | %s |", shares[row / (CHUNKS * BACKS)].text, chunks[row / BACKS % CHUNKS].text);
		for (int i = 0; i < SIZES * BACKS; i++) {
			tuning = tuning_of(row + i % BACKS);
			printf(" %.3f |", mean(i / BACKS));
		}
		puts("");
		fflush(stdout);
	}
}

static int print_tables(void)
{
	const struct tuning shipped = SHIPPED;
	tuning = shipped;
	puts("| claims under way | 10000 in 64 | 1000 in 16 | 100 in 10 |\n| --- | --- | --- | --- |");
	for (int i = 0; i < CONCURRENCIES; i++)
		printf("| %d | %.3f | %.3f | %.3f |\n", concurrencies[i], cell(0, i), cell(1, i), cell(2, i));
	puts("");
	print_grid();
	return 0;
}

/* One choice serves all sizes and loads: it is judged by its mean over the loads, size by size. */
static bool check_size(int size)
{
	const struct tuning shipped = SHIPPED;
	tuning = shipped;
	double ours = mean(size), best = ours;
	int best_row = -1;
	for (int row = 0; row < ROWS; row++) {
		tuning = tuning_of(row);
		double theirs = mean(size);
		if (theirs < best) {
			best = theirs;
			best_row = row;
		}
	}
	bool ok = ours <= best * 1.03;
	printf("%sok %d - %d units, %d segments: what is shipped is within 3%% of the best\n", ok ? "" : "not ", size + 1,
	       sizes[size].units, sizes[size].segments);
	printf("# %.3f scripts a claim; the best, %.3f, with %s granted at first, chunks of %s, %s sent back\n", ours, best,
	       best_row < 0 ? "what is shipped" : shares[best_row / (CHUNKS * BACKS)].text,
	       best_row < 0 ? "the same" : chunks[best_row / BACKS % CHUNKS].text,
	       best_row < 0 ? "the same" : backs[best_row % BACKS]);
	return ok;
}

static int check(void)
{
	bool ok = true;
	few = true;
	printf("1..%d\n", SIZES);
	for (int size = 0; size < SIZES; size++)
		ok = check_size(size) && ok;
	return !ok;
}

int main(int argc, char **argv)
{
	if (argc == 5) {
		printf("%.4f\n", cost(atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), atoi(argv[4])));
		return 0;
	}
	return argc == 2 && strcmp(argv[1], "--grid") == 0 ? print_tables() : check();
}
