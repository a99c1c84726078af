/* A change that a seller asks for, and what became of it. */
#ifndef STEER_CHANGE_H
#define STEER_CHANGE_H

#include "catalog/settings.h"

/*
 * Called in the transaction after the change, before the commit; `after` has the settings as they will be committed.
 * Any other status than STATUS_OK undoes everything, and steer_apply returns it. STATUS_INTERNAL: the database has
 * failed; the transaction, and this function with it, may be repeated.
 */
struct steer_result;
typedef enum status steer_also(struct service *svc, struct arena *a, const struct steer_result *after, void *context);

/* A change; what has no flag stays as it is. */
struct steer_change {
	struct str seller_name, name;
	bool has_state, has_starts, has_ends, has_description, has_price;
	enum sale_state state;
	int64_t starts_ms, ends_ms; /* 0: at once, without end */
	int64_t price;
	struct str description;
	int64_t withdraw;    /* units to take off sale, 1 to 1,000,000,000; 0: none */
	struct str if_match; /* the header's value; empty: no condition */
	steer_also *also;    /* NULL: nothing */
	void *context;       /* for also */
};

struct steer_result {
	struct sale_settings settings; /* texts in the arena */
	int64_t asked_before;          /* settings.asked before this change */
	int64_t withdraw;              /* as in the change */
	bool changed;                  /* false: the sale had all of this already */
	const char *detail;            /* of a refusal, for the seller to read; NULL: the text of the status */
};

#endif
