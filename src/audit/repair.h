/*
 * What an audit found and what has exactly one right repair: a copy that can be made again from the truth. Everything
 * else needs a person. Blocks.
 */
#ifndef AUDIT_REPAIR_H
#define AUDIT_REPAIR_H

#include "audit/audit.h"

enum repair_end {
	REPAIR_PERSON, /* nothing was done: there is no one right repair */
	REPAIR_DONE,   /* or, on a dry run: it would be done */
	REPAIR_AWAY,   /* a server is away, or refuses: nothing was done, or the answer was lost; repeating is safe */
};

/* What the repair of this kind does, or NULL when it has none. */
const char *repair_text(enum finding_kind kind);

/*
 * Repairs one finding of this audit, unless it is a dry run. *why, of a constant text, says why not. What has changed
 * since the audit is noticed, and left alone.
 */
enum repair_end repair(struct service *svc, struct arena *a, const struct audit *audit, const struct finding *f,
		       bool dry, const char **why);

#endif
