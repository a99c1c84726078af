#include "model/model.h"

enum mutant mutant = NO_MUTANT;

const struct mutant_row mutants[MUTANTS] = {
	[NO_MUTANT] = { "none", "the engine as it is", IMPLIED, false },
	[NO_G_COMPARISON] = { "no-g-comparison", "exchange marks a segment empty whatever was granted since", BY_SEARCH, false },
	[NO_R_COMPARISON] = { "no-r-comparison", "exchange takes any total sent back, also a late, smaller one", BY_SEARCH, false },
	[NO_R_COMPARISON_IN_MARK] = { "no-r-comparison-in-mark", "exchange marks a segment empty whatever was taken back",
	                              IMPLIED, false },
	[NO_EPOCH_CHECK] = { "no-epoch-check", "flag believes a \"sold out\" of an older epoch", BY_SEARCH, false },
	[CREDIT_AMOUNTS] = { "credit-amounts", "grants carry units, not totals", BY_SEARCH, false },
	[RETURN_AMOUNTS] = { "return-amounts", "returns carry units, not totals", BY_SEARCH, false },
	[SUPPLY_AMOUNTS] = { "supply-amounts", "supply adds units, not totals", BY_SEARCH, false },
	[SCAN_SEGMENTS] = { "scan-segments", "a worker says \"sold out\" when it has read zero everywhere, one by one",
	                    BY_SEARCH, false },
	[RELATIVE_LEASE] = { "relative-lease", "a flag counts its lease from its arrival", BY_SEARCH, false },
	[HASTY_ACKNOWLEDGEMENT] = { "hasty-acknowledgement", "supply is acknowledged without waiting for the segments",
	                            BY_SEARCH, false },
	[SUPPLY_KEEPS_EPOCH] = { "supply-keeps-epoch", "supply opens a sold-out sale within the same epoch", BY_SEARCH, false },
	[ANY_EPOCH_OPENS] = { "any-epoch-opens", "flag takes an \"open again\" of an older epoch, and forgets the newer",
	                      BY_SEARCH, true },
	[GRANT_KEEPS_MARK] = { "grant-keeps-mark", "a grant leaves the segment marked empty", BY_SEARCH, false },
	[ANY_WORD_ANSWERS] = { "any-word-answers", "a word from before a claim answers it", BY_SEARCH, false },
	[NO_REDELIVERY] = { "no-redelivery", "a probe does not deliver a grant that its segment never got", BY_BUYER, false },
	[NO_OWNER_LOOKUP] = { "no-owner-lookup", "claim does not look for the user's order first", BY_SEARCH, false },
};
