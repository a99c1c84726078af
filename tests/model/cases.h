/* The sales that are searched. */
#ifndef MODEL_CASES_H
#define MODEL_CASES_H

#include "model/model.h"

/* Sales that differ in the claimers' homes only; the claimers are alike, so only sorted homes count. */
struct family {
	const char *name;
	int segments, units, first_share; /* granted at the opening, evenly, as src/catalog/launch.c does */
	int claimers, adds, returns;
	int granted_most, ticks, want;
	enum { OPENING = 1, REQUESTS = 2, CLOCK_BACK = 4, PAYS = 8, LEARNS = 16, WAITING = 32, AWAY = 64, STEERED = 128, WITHDRAWN = 256 } watched;
};

struct families {
	const struct family *list;
	size_t count;
};

extern const struct families quick_families, long_families;
extern const struct families small_families; /* small enough to be searched with the inert messages too */
extern const struct family steering_family, withdrawal_family;
extern const struct family mutants_family, implied_family, two_supplies_family, payments_family, waiting_family;

/* The first way to share the claimers out, and the next; false after the last. */
void first_homes(const struct family *f, struct sale *sale);
bool next_homes(struct sale *sale);
const char *sale_text(char text[160], const struct sale *sale);

#endif
