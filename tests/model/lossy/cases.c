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
};
const size_t fault_count = COUNT(faults);

enum { MESSAGES = LATE_GRANTS | LATE_REPORTS, STALLS = LATE_DRAIN | LATE_INSPECTOR };

static const struct sale quick[] = {
	{ "one segment fails over", .segments = 1, .units = 2, .claimers = 2, .first = { 1 }, .hosts = 2, .copies = 1,
	  .failovers = 1, .fails = SEGMENT_0, .faults = MESSAGES, .watch = ALL },
};

static const struct sale more[] = {
	{ "one segment fails over", .segments = 1, .units = 2, .claimers = 2, .first = { 1 }, .hosts = 2, .copies = 1,
	  .failovers = 1, .fails = SEGMENT_0, .faults = MESSAGES | STALLS, .watch = ALL },
};

const struct sales quick_sales = { quick, COUNT(quick) }, long_sales = { more, COUNT(more) };

enum rules rules = NEXT;
enum mutant mutant = NO_MUTANT;

const struct mutant_row mutants[MUTANTS] = {
#define MUTANT(id, name, what) [id] = { name, what },
#include "model/lossy/mutants.def"
#undef MUTANT
};
