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

enum { MESSAGES = LATE_GRANTS | LATE_REPORTS };

#define ONE(units_, first_)                .segments = 1, .units = (units_), .claimers = 2, .first = { first_ }
#define TWO(units_, a, b)                  .segments = 2, .units = (units_), .claimers = 2, .first = { a, b }, .home = { 0, 1 }
#define FAILS(shards, failovers_, copies_) .fails = (shards), .failovers = (failovers_), .copies = (copies_)
#define WAIT(replicas, hosts_)             .wait = (replicas), .hosts = (hosts_), .watch = ALL

static const struct sale quick[SALES] = {
	[ONCE] = { "a segment fails over", ONE(2, 1), FAILS(SEGMENT_0, 1, 1), WAIT(0, 2),
		   .faults = MESSAGES | WORDS | LATE_ANSWERS },
	[ONCE_WAIT] = { "a segment fails over, with WAIT", ONE(2, 1), FAILS(SEGMENT_0, 1, 1), WAIT(1, 2),
			.faults = MESSAGES | WORDS },
	[ONCE_STALLS] = { "a segment fails over, processes stand still", ONE(2, 1), FAILS(SEGMENT_0, 1, 1), WAIT(0, 1),
			  .faults = LATE_DRAIN | LATE_INSPECTOR | KILLED_INSPECTOR },
	[LAST_UNIT] = { "the last unit, with WAIT", ONE(1, 1), FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(1, 1),
			.faults = MESSAGES | WORDS },
	[TWICE_STALLS] = { "a segment fails over twice, an inspector stands still", ONE(2, 1), FAILS(SEGMENT_0, 2, 1),
			   WAIT(0, 1), .faults = LATE_INSPECTOR | KILLED_INSPECTOR },
	[TWICE_LATE] = { "a segment fails over twice, messages are late, with WAIT", ONE(1, 1), FAILS(SEGMENT_0, 2, 1),
			 WAIT(1, 1), .faults = MESSAGES | LATE_INSPECTOR },
	[TWICE_DRAIN] = { "a segment fails over twice, a drainer stands still", ONE(2, 2), FAILS(SEGMENT_0, 2, 1),
			  WAIT(0, 2), .faults = LATE_DRAIN },
	[STALER] = { "a stale and a staler replica, a drainer stands still", ONE(2, 2), FAILS(SEGMENT_0, 2, 2),
		     WAIT(0, 2), .faults = LATE_DRAIN },
	[STALER_STALLS] = { "a stale and a staler replica, an inspector stands still", ONE(2, 2),
			    FAILS(SEGMENT_0, 2, 2), WAIT(0, 1), .faults = LATE_INSPECTOR | KILLED_INSPECTOR,
			    .bases = 4 },
	[HUB_ONCE] = { "the hub fails over", ONE(2, 1), FAILS(THE_HUB, 1, 1), WAIT(0, 1), .faults = MESSAGES | WORDS },
	[BOTH] = { "hub and segment fail over", ONE(2, 1), FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(0, 1),
		   .faults = MESSAGES },
	[BOTH_STALLS] = { "hub and segment fail over, an inspector stands still", ONE(2, 1),
			  FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(0, 1), .faults = LATE_INSPECTOR | KILLED_INSPECTOR,
			  .bases = 4 },
	[ONE_OF_TWO] = { "one of two segments fails over", TWO(2, 1, 0), FAILS(SEGMENT_0, 1, 1), WAIT(0, 1),
			 .faults = MESSAGES | WORDS },
	[HUB_OF_TWO] = { "the hub of two segments fails over", TWO(2, 1, 0), FAILS(THE_HUB, 1, 1), WAIT(0, 1),
			 .faults = MESSAGES | WORDS },
	[BOTH_OF_TWO] = { "the last unit of two segments, hub and segment fail over", TWO(1, 1, 0),
			  FAILS(SEGMENT_0 | THE_HUB, 2, 1), WAIT(1, 1), .faults = 0 },
};

static const struct sale more[] = {
	{ "the last unit of two segments, any two shards fail over", TWO(1, 1, 0), FAILS(SEGMENT_0 | THE_HUB, 2, 1),
	  WAIT(1, 1), .faults = LATE_REPORTS | WORDS },

	{ "a segment fails over, processes stand still, answers are late", ONE(2, 1), FAILS(SEGMENT_0, 1, 1),
	  WAIT(0, 1), .faults = LATE_DRAIN | LATE_INSPECTOR | LATE_ANSWERS },
	{ "a stale and a staler replica, with WAIT", ONE(2, 2), FAILS(SEGMENT_0, 2, 2), WAIT(1, 1),
	  .faults = LATE_DRAIN },
	{ "the hub fails over twice, processes stand still", ONE(2, 1), FAILS(THE_HUB, 2, 1), WAIT(0, 1),
	  .faults = MESSAGES | LATE_DRAIN | LATE_INSPECTOR },
	{ "hub and segment fail over, with WAIT", ONE(2, 1), FAILS(THE_HUB | SEGMENT_0, 2, 1), WAIT(1, 1),
	  .faults = MESSAGES },
	{ "one of two segments fails over, with WAIT", TWO(2, 1, 0), FAILS(SEGMENT_0, 1, 1), WAIT(1, 1),
	  .faults = MESSAGES | WORDS },
	{ "any of three shards fails over", TWO(2, 1, 0), FAILS(SEGMENT_0 | SEGMENT_1 | THE_HUB, 1, 1), WAIT(0, 1),
	  .faults = MESSAGES | WORDS },
	{ "three customers of one segment", .segments = 1, .units = 2, .claimers = 3, .first = { 1 },
	  FAILS(SEGMENT_0, 1, 1), WAIT(0, 2), .faults = MESSAGES | WORDS },
	{ "two segments, all may fail over, twice", TWO(1, 1, 0), FAILS(SEGMENT_0 | SEGMENT_1 | THE_HUB, 2, 1),
	  WAIT(1, 1), .faults = 0 },
	{ "two segments, all may fail over, three times", TWO(1, 1, 0), FAILS(SEGMENT_0 | SEGMENT_1 | THE_HUB, 3, 1),
	  WAIT(0, 1), .faults = 0 },
	{ "three units", .segments = 1, .units = 3, .claimers = 3, .first = { 2 }, FAILS(SEGMENT_0 | THE_HUB, 2, 1),
	  WAIT(0, 1), .faults = 0 },
};

const struct sales quick_sales = { quick, COUNT(quick) }, long_sales = { more, COUNT(more) };

enum rules rules = NEXT;
enum mutant mutant = NO_MUTANT;

const struct mutant_row mutants[MUTANTS] = {
#define MUTANT(id, found, sale, name, what) [id] = { found, sale, name, what },
#include "model/lossy/mutants.def"
#undef MUTANT
};
