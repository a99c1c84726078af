/*
 * The settings of a sale: what its seller may change after the creation, as MySQL has it, and what else a seller reads
 * with it. Redis has copies of the state and the window in the hub and in each segment (lua/steer.lua).
 */
#ifndef CATALOG_SETTINGS_H
#define CATALOG_SETTINGS_H

#include "sale/coupon.h"
#include "sale/state.h"

struct sale_settings {
	int64_t id, seller, generation;
	struct str seller_name, name;
	int segments;
	/*
	 * State and window, and their version, which rises with each change of these, description or price. A sale that
	 * is over by time stays open or paused here: compare ends_ms with the sale clock.
	 */
	struct steering steering;
	bool is_told; /* every slot has this version, and no withdrawal is pending; false: drainers finish it */
	int64_t created_ms;
	int64_t amount;    /* units ever put on sale */
	int64_t withdrawn; /* of these, units that were taken off sale again */
	/*
	 * Units that the seller has wanted back, ever, and of these, units that were not found: totals that only grow.
	 * A withdrawal is pending while asked > missed + withdrawn.
	 */
	int64_t asked, missed;
	int64_t limit; /* units of one customer */
	bool waiting_list, late_payment;
	int64_t face_value, price, pay_within_s; /* as in struct coupon */
	struct str currency, description, checkout_url;
};

/*
 * Read a published or archived coupon from MySQL, with texts in the arena. STATUS_OK; STATUS_NO_SUCH_COUPON;
 * STATUS_UNAVAILABLE or STATUS_INTERNAL, which are logged. Block for MySQL.
 */
enum status settings_read(struct service *svc, struct arena *a, struct str seller_name, struct str name,
			  struct sale_settings *out);
enum status settings_read_id(struct service *svc, struct arena *a, int64_t coupon, struct sale_settings *out);

/*
 * As settings_read_id, in a transaction: locks the coupon's row. STATUS_INTERNAL: the database has failed, and the
 * caller looks at db_failure; nothing is logged.
 */
enum status settings_lock(struct service *svc, struct arena *a, int64_t coupon, struct sale_settings *out);

/*
 * MySQL is older than a slot: gives it the slot's state and window, unless it has this version or a later one; all
 * slots are to be told again. settings_untell: only that. STATUS_OK; STATUS_UNAVAILABLE, STATUS_INTERNAL. Block for
 * MySQL.
 */
enum status settings_raise(struct service *svc, int64_t coupon, const struct steering *s);
enum status settings_untell(struct service *svc, int64_t coupon);

/* The entity tag, with its quotes: "VERSION-AMOUNT-WITHDRAWN". In the arena. */
struct str settings_etag(struct arena *a, const struct sale_settings *s);

/*
 * Whether the value of an If-Match header names the present entity tag, or is "*". An empty value: true. A weak tag
 * never matches, nor does a value that is not a list of tags.
 */
bool settings_match(struct arena *a, const struct sale_settings *s, struct str if_match);

#endif
