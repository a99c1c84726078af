/* What an audit finds wrong: a kind from finding.def, and the numbers in its text. */
#ifndef AUDIT_FINDING_H
#define AUDIT_FINDING_H

#include <stdint.h>

#include "base/buf.h"

enum finding_kind {
#define X(name, word, text) FINDING_##name,
#include "audit/finding.def"
#undef X
	FINDINGS
};

struct finding {
	enum finding_kind kind;
	int segment;
	int64_t sequence, user; /* these and kind, segment and unit identify the finding */
	int unit;               /* of the user's units of the coupon; 0: it is about none */
	int64_t is, want;       /* found and expected; may differ in a second reading of the same finding */
};

/* The first 10,000 findings in the order in which they were added; `more` counts the others. findings_release frees. */
struct findings {
	struct finding *at;
	int count;
	int64_t more;
};

void findings_add(struct findings *f, struct finding one);
void findings_release(struct findings *f);

/* Each adds a finding unless is == want, or is <= want. */
void findings_expect_equal(struct findings *f, enum finding_kind kind, int segment, int64_t is, int64_t want);
void findings_expect_at_most(struct findings *f, enum finding_kind kind, int segment, int64_t is, int64_t want);

/* Removes from `now` the findings that `before` lacks; removes nothing if either has `more`. Sorts `before`. */
void findings_keep_common(struct findings *now, const struct findings *before);

/* Whether units, orders and payments agree. A provider's wrong refund is a finding that stays, and no fault here. */
bool findings_balance(const struct findings *f);

/* A word for the kind that does not change between versions, for programs. */
const char *finding_word(enum finding_kind kind);
/* Puts the text of the finding, without a newline: what is wrong, and what to do. */
void finding_text(struct buf *to, const struct finding *f, int64_t coupon);

#endif
