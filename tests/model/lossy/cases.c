#include "model/lossy/lossy.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

enum { SEGMENT_0 = 1, SEGMENT_1 = 2, THE_HUB = 1 << HUB };

/* What was seen on a real cluster; the search must find each in today's rules. */
const struct fault_row faults[] = {
	{ "B1",
	  "sold out for good, with units left",
	  { .segments = 1,
	    .units = 1,
	    .claimers = 2,
	    .first = { 1 },
	    .hosts = 1,
	    .wait = 1,
	    .copies = 1,
	    .failovers = 1,
	    .fails = SEGMENT_0,
	    .watch = R2_WORD } },
	{ "B1, two segments",
	  "sold out for good, with units left",
	  { .segments = 2,
	    .units = 2,
	    .claimers = 3,
	    .first = { 1, 1 },
	    .home = { 0, 1, 1 },
	    .hosts = 1,
	    .wait = 1,
	    .copies = 1,
	    .failovers = 1,
	    .fails = SEGMENT_0,
	    .watch = R2_WORD } },
	{ "B2, lost",
	  "an acknowledged order is lost in silence, as the inspecting host was not told of it",
	  { .segments = 1,
	    .units = 2,
	    .claimers = 2,
	    .first = { 2 },
	    .hosts = 2,
	    .copies = 1,
	    .failovers = 1,
	    .fails = SEGMENT_0,
	    .watch = R4_NAMED } },
	{ "B2, twice",
	  "a number is given to two customers",
	  { .segments = 1,
	    .units = 2,
	    .claimers = 2,
	    .first = { 2 },
	    .hosts = 2,
	    .copies = 1,
	    .failovers = 1,
	    .fails = SEGMENT_0,
	    .watch = R1_NUMBERS } },
	{ "B3",
	  "a repeated claim is confirmed on a server that does not have the order",
	  { .segments = 1,
	    .units = 1,
	    .claimers = 1,
	    .first = { 1 },
	    .hosts = 1,
	    .wait = 1,
	    .copies = 1,
	    .failovers = 1,
	    .fails = SEGMENT_0,
	    .watch = R3_TRUTH } },
	{ "B6",
	  "a winner is told sold out, from a list of winners read without a fence",
	  { .segments = 1,
	    .units = 1,
	    .claimers = 2,
	    .first = { 1 },
	    .hosts = 1,
	    .wait = 1,
	    .copies = 1,
	    .failovers = 1,
	    .fails = SEGMENT_0,
	    .faults = WORDS,
	    .watch = R3_WINNERS } },
	{ "B7",
	  "a recovery on one of two hosts gives a number of the other again",
	  { .segments = 1,
	    .units = 2,
	    .claimers = 2,
	    .first = { 2 },
	    .hosts = 2,
	    .copies = 1,
	    .failovers = 1,
	    .fails = SEGMENT_0,
	    .faults = RECOVERY,
	    .watch = R1_NUMBERS | AFTER_RECOVERY } },
};
const size_t fault_count = COUNT(faults);

enum { MESSAGES = LATE_GRANTS | LATE_REPORTS, STALLS = LATE_DRAIN | LATE_INSPECTOR };

#define ONE(units_, first_) .segments = 1, .units = (units_), .claimers = 2, .first = { first_ }
#define TWO(units_, a, b) .segments = 2, .units = (units_), .claimers = 2, .first = { a, b }, .home = { 0, 1 }
#define FAILS(shards, failovers_, copies_) .fails = (shards), .failovers = (failovers_), .copies = (copies_)
#define WAIT(replicas, hosts_) .wait = (replicas), .hosts = (hosts_), .watch = ALL

static const struct sale quick[] = {
	{ "a segment fails over", ONE(2, 1), FAILS(SEGMENT_0, 1, 1), WAIT(0, 2), .faults = MESSAGES | WORDS | LATE_ANSWERS },
	{ "a segment fails over, with WAIT", ONE(2, 1), FAILS(SEGMENT_0, 1, 1), WAIT(1, 2), .faults = MESSAGES | WORDS },
	{ "the last unit, with WAIT", ONE(1, 1), FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(1, 1), .faults = MESSAGES | WORDS },
	{ "a segment fails over, stalls", ONE(2, 1), FAILS(SEGMENT_0, 1, 1), WAIT(0, 1), .faults = STALLS },
	{ "a segment fails over twice, stalls", ONE(2, 1), FAILS(SEGMENT_0, 2, 1), WAIT(0, 1), .faults = LATE_INSPECTOR },
	{ "a segment fails over twice, late messages", ONE(1, 1), FAILS(SEGMENT_0, 2, 1), WAIT(1, 1), .faults = MESSAGES | LATE_INSPECTOR, .bases = 4 },
	{ "a segment fails over twice, drainer", ONE(2, 2), FAILS(SEGMENT_0, 2, 1), WAIT(0, 2), .faults = LATE_DRAIN },
	{ "a segment fails over, to a stale and a staler replica", ONE(2, 2), FAILS(SEGMENT_0, 2, 2), WAIT(0, 2), .faults = LATE_DRAIN },
	{ "the hub fails over", ONE(2, 1), FAILS(THE_HUB, 1, 1), WAIT(0, 1), .faults = MESSAGES | WORDS },
	{ "hub or segment fail over", ONE(2, 1), FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(0, 1), .faults = MESSAGES },
	{ "hub or segment fail over, stalls", ONE(2, 1), FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(0, 1), .faults = LATE_INSPECTOR },
	{ "one of two segments fails over", TWO(2, 1, 0), FAILS(SEGMENT_0, 1, 1), WAIT(0, 1), .faults = MESSAGES | WORDS },
	{ "the hub of two segments fails over", TWO(2, 1, 0), FAILS(THE_HUB, 1, 1), WAIT(0, 1), .faults = MESSAGES | WORDS },
};

static const struct sale more[] = {
	{ "a segment fails over, to a stale and a staler replica, with WAIT", ONE(2, 2), FAILS(SEGMENT_0, 2, 2), WAIT(1, 1), .faults = LATE_DRAIN },
	{ "the hub fails over, stalls", ONE(2, 1), FAILS(THE_HUB, 2, 1), WAIT(0, 1), .faults = MESSAGES | STALLS },
	{ "hub or segment fail over, with WAIT", ONE(2, 1), FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(1, 1), .faults = MESSAGES },
	{ "one of two segments fails over, with WAIT", TWO(2, 1, 0), FAILS(SEGMENT_0, 1, 1), WAIT(1, 1), .faults = MESSAGES | WORDS },
	{ "a segment fails over, stalls and late answers", ONE(2, 1), FAILS(SEGMENT_0, 1, 1), WAIT(0, 1), .faults = STALLS | LATE_ANSWERS },
	{ "any of three shards fails over", TWO(2, 1, 0), FAILS(SEGMENT_0 | SEGMENT_1 | THE_HUB, 1, 1), WAIT(0, 1), .faults = MESSAGES | WORDS | LATE_DRAIN },
};

const size_t implied_count = 9;
const struct sales quick_sales = { quick, COUNT(quick) }, long_sales = { more, COUNT(more) };

enum rules rules = NEXT;
enum mutant mutant = NO_MUTANT;

const struct mutant_row mutants[MUTANTS] = {
#define MUTANT(id, found, name, what) [id] = { found, name, what },
#include "model/lossy/mutants.def"
#undef MUTANT
};
