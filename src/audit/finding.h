/* What an audit finds wrong: a kind from audit.def, and the numbers that its text speaks of. */
#ifndef AUDIT_FINDING_H
#define AUDIT_FINDING_H

#include <stdint.h>

#include "base/buf.h"

enum finding_kind {
#define X(name, word, text) FINDING_##name,
#include "audit/audit.def"
#undef X
	FINDINGS
};

struct finding {
	enum finding_kind kind;
	int segment;
	int64_t sequence, user; /* with kind and segment: which one it is */
	int64_t is, want;       /* what it looks like, which may change while it stays the same finding */
};

/* In the order in which they were found, up to a bound; `more` counts those beyond it. malloc's memory. */
struct findings {
	struct finding *at;
	int count;
	int64_t more;
};

void findings_add(struct findings *f, struct finding one);
void findings_release(struct findings *f);

/* Keeps of `now` what `before` has too. When one of them was too long to be told whole, all of `now` stays. */
void findings_keep_common(struct findings *now, const struct findings *before);

/* A stable word, and the text, which is one line. */
const char *finding_word(enum finding_kind kind);
void finding_text(struct buf *to, const struct finding *f, int64_t coupon);

#endif
