/*
 * Repairs findings of an audit for which exactly one repair is right, usually to write a copy again from its source. An
 * operator must decide about all others.
 */
#ifndef AUDIT_REPAIR_H
#define AUDIT_REPAIR_H

#include "audit/report.h"

enum repair_outcome {
	REPAIR_NEEDS_OPERATOR, /* nothing was done: there is no single right repair */
	REPAIR_DONE,           /* on a dry run: the repair is possible */
	REPAIR_AWAY, /* a server is unreachable or refuses: nothing was done, or its answer was lost; safe to repeat */
};

/* What the repair of this kind does ("add the coupon to sk:dirty"); NULL: there is no repair. */
const char *repair_text(enum finding_kind kind);

struct repair_job {
	struct service *svc;
	struct arena *arena;
	const struct audit *audit;
	const struct finding *finding; /* one of the audit's */
	bool dry;                      /* only check whether the repair is possible */
	const char *why;               /* out, constant: the reason for an outcome other than REPAIR_DONE */
};

/* Does nothing if the finding's data has changed since the audit. Blocks. */
enum repair_outcome repair(struct repair_job *j);

#endif
