#include "model/model.h"

enum mutant mutant = NO_MUTANT;

const struct mutant_row mutants[MUTANTS] = {
	[NO_MUTANT] = { IMPLIED, "none", "the engine as it is" },
	[NO_G_COMPARISON] = { BY_SEARCH, "no-g-comparison",
			      "exchange marks a segment empty whatever was granted since" },
	[NO_R_COMPARISON] = { BY_SEARCH, "no-r-comparison", "exchange takes any total sent back, a smaller one too" },
	[NO_R_COMPARISON_IN_MARK] = { IMPLIED, "no-r-comparison-in-mark", "the mark does not ask what was taken back" },
	[NO_EPOCH_CHECK] = { BY_SEARCH, "no-epoch-check", "flag believes a \"sold out\" of an older epoch" },
	[CREDIT_AMOUNTS] = { BY_SEARCH, "credit-amounts", "grants carry units, not totals" },
	[RETURN_AMOUNTS] = { BY_SEARCH, "return-amounts", "returns carry units, not totals" },
	[SUPPLY_AMOUNTS] = { BY_SEARCH, "supply-amounts", "supply adds units, not totals" },
	[SCAN_SEGMENTS] = { BY_SEARCH, "scan-segments", "a worker that read zero everywhere says \"sold out\" itself" },
	[RELATIVE_LEASE] = { BY_SEARCH, "relative-lease", "a flag counts its lease from its arrival" },
	[HASTY_ACKNOWLEDGEMENT] = { BY_SEARCH, "hasty-acknowledgement", "supply does not wait for the segments" },
	[SUPPLY_KEEPS_EPOCH] = { BY_SEARCH, "supply-keeps-epoch", "supply opens a sale within the epoch it closed in" },
	[ANY_EPOCH_OPENS] = { BY_TWO_SUPPLIES, "any-epoch-opens", "flag takes an old \"open again\", and its epoch" },
	[GRANT_KEEPS_MARK] = { BY_SEARCH, "grant-keeps-mark", "a grant leaves the segment marked empty" },
	[ANY_WORD_ANSWERS] = { BY_SEARCH, "any-word-answers", "a word that was asked for before a claim answers it" },
	[NO_OWNER_LOOKUP] = { BY_SEARCH, "no-owner-lookup", "claim does not look for the user's order first" },
	[GRANT_AT_ONCE] = { BY_SEARCH, "grant-at-once", "the hub grants while workers keep its word of before" },
	[WORDS_OUTLIVE_SUPPLY] = { BY_SEARCH, "words-outlive-supply",
				   "supply does not wait for workers that keep the hub's word" },
	[LEASE_OUTLIVES_CLOCK] = { BY_SEARCH, "lease-outlives-clock",
				   "claim believes a lease from before Redis's clock was set back" },
	[ANY_WAIT_OPENS] = { BY_TWO_SUPPLIES, "any-wait-opens", "who has waited for an earlier opening ends this one" },
	[NO_REDELIVERY] = { BY_BUYER, "no-redelivery", "a probe does not deliver what its segment never got" },
};
