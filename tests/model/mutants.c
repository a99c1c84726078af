#include "model/model.h"

enum mutant mutant = NO_MUTANT;

const struct mutant_row mutants[MUTANTS] = {
	[NO_MUTANT] = { IMPLIED, "none", "the engine as it is" },
	[NO_G_COMPARISON] = { BY_SEARCH, "no-g-comparison",
			      "exchange marks a segment empty whatever was granted since" },
	[NO_R_COMPARISON] = { BY_SEARCH, "no-r-comparison", "exchange accepts any total sent back, also a smaller one" },
	[NO_R_COMPARISON_IN_MARK] = { IMPLIED, "no-r-comparison-in-mark", "a segment is marked empty without comparing what was taken back" },
	[NO_EPOCH_CHECK] = { BY_SEARCH, "no-epoch-check", "flag accepts \"sold out\" of an older epoch" },
	[CREDIT_AMOUNTS] = { BY_SEARCH, "credit-amounts", "grants carry units, not totals" },
	[RETURN_AMOUNTS] = { BY_SEARCH, "return-amounts", "returns carry units, not totals" },
	[SUPPLY_AMOUNTS] = { BY_SEARCH, "supply-amounts", "supply adds units, not totals" },
	[SCAN_SEGMENTS] = { BY_SEARCH, "scan-segments", "a worker that read zero everywhere answers \"sold out\" itself" },
	[RELATIVE_LEASE] = { BY_SEARCH, "relative-lease", "a flag counts its lease from its arrival" },
	[HASTY_ACKNOWLEDGEMENT] = { BY_SEARCH, "hasty-acknowledgement", "supply does not wait for the segments" },
	[SUPPLY_KEEPS_EPOCH] = { BY_SEARCH, "supply-keeps-epoch", "supply opens a sale within the epoch it closed in" },
	[ANY_EPOCH_OPENS] = { BY_TWO_SUPPLIES, "any-epoch-opens", "flag accepts an old \"open again\", and its epoch" },
	[GRANT_KEEPS_MARK] = { BY_SEARCH, "grant-keeps-mark", "a grant leaves the segment marked empty" },
	[ANY_SOLDOUT_ANSWERS] = { BY_SEARCH, "any-soldout-answers", "\"sold out\" answers a claim that came after the question" },
	[NO_OWNER_LOOKUP] = { BY_SEARCH, "no-owner-lookup", "claim does not look for the user's order first" },
	[GRANT_AT_ONCE] = { BY_SEARCH, "grant-at-once", "the hub grants before sold-out notices have expired" },
	[NOTICES_OUTLIVE_SUPPLY] = { BY_SEARCH, "notices-outlive-supply",
				   "supply does not wait until sold-out notices have expired" },
	[LEASE_OUTLIVES_CLOCK] = { BY_SEARCH, "lease-outlives-clock",
				   "claim accepts a lease from before Redis's clock was set back" },
	[ANY_WAIT_OPENS] = { BY_TWO_SUPPLIES, "any-wait-opens", "a worker that has waited for an earlier opening ends this one" },
	[NO_REDELIVERY] = { BY_BUYER, "no-redelivery", "a probe does not deliver a grant that its segment never received" },
};
