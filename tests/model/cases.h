/* The sales that are searched. */
#ifndef MODEL_CASES_H
#define MODEL_CASES_H

#include "model/model.h"

/* Sales that differ in the claimers' homes only; the claimers are alike, so only sorted homes count. */
struct family {
	const char *name;
	struct sale sale; /* without first and home */
	int first_share;  /* granted at the opening, evenly as src/sale/publish.c does */
};

struct families {
	const struct family *list;
	size_t count;
};

extern const struct families quick_families, long_families;
extern const struct family mutants_family, two_supplies_family; /* in which mutants show */
extern const struct families small_families; /* small enough to be searched with the inert messages too */

/* The first way to share the claimers out, and the next; false after the last. */
void first_homes(const struct family *f, struct sale *sale);
bool next_homes(struct sale *sale);
const char *sale_text(char text[160], const struct sale *sale);

#endif
