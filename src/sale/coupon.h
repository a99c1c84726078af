/*
 * A coupon: the values that do not change after its creation, and those that its seller changes at most a few times:
 * window, description and price, of which the hub has the version. A worker reads a coupon from Redis once, and keeps
 * it in a bounded cache; it reads it again when it learns of a higher version (page/coupon_view.h). The number of
 * units left changes, and is never cached.
 */
#ifndef SALE_COUPON_H
#define SALE_COUPON_H

#include "base/arena.h"
#include "base/siphash.h"
#include "base/table.h"
#include "sale/owner.h"
#include "sale/service.h"
#include "sale/status.h"

enum { SEGMENTS_MAX = 256 };

/*
 * State that a file of a room above keeps with a coupon. The file embeds it in a struct of its own, and sets
 * states[KEY] to it when needed. release frees that struct when the coupon is freed.
 */
struct coupon_state {
	void (*release)(struct coupon_state *state);
};
enum coupon_state_key { COUPON_CLAIM_WORDS, COUPON_REFILLS, COUPON_SOLD_OUT, COUPON_AVAILABILITY, COUPON_STATES };

struct coupon {
	int64_t id, seller, generation;
	struct str seller_name, name, description;
	int64_t amount, face_value; /* units at creation; money, in the smallest unit of the currency */
	int64_t starts_ms, ends_ms; /* since 1970 by the sale clock; 0: on sale at once, without end */
	int64_t created_ms;
	int64_t pay_within_s;    /* an order expires when it is not paid within it; 0: no payment is asked for */
	int64_t price;           /* of one unit, in the smallest unit of the currency */
	int64_t waits;           /* 1: people may wait for units that come back, or are added */
	struct str currency;     /* ISO 4217, or empty */
	struct str checkout_url; /* where a customer pays; {order} stands for the order number; may be empty */
	int64_t late_payment;    /* 1: a payment after an order has expired gets a unit, if one is left */
	int64_t limit;           /* units of one customer, 1 to UNITS_MAX */
	int64_t version;         /* of what the seller may change (catalog/settings.h); 0: nothing was changed */
	int segments;
	uint8_t hash_key[SIPHASH_KEY];

	struct coupon_state *states[COUPON_STATES]; /* by key; NULL: not set */

	/* used by coupon.c */
	struct arena arena;
	struct table_node by_name, by_id;
	int64_t read_ms; /* when the coupon was read from Redis, by clock_mono_ms */
	bool cached;
	int holders;
};

/* Whether two coupons are equal in all that their seller chose, except names and amount. */
bool coupon_same_terms(const struct coupon *a, const struct coupon *b);

/* The home segment of a user. */
int coupon_home(const struct coupon *c, int64_t user);

struct coupons;
struct coupons *coupons_new(void);
void coupons_free(struct coupons *cs);

/* A coupon of the cache, or NULL. Valid until the caller returns to the loop; coupon_hold keeps it longer. */
struct coupon *coupon_cached(const struct coupons *cs, struct str seller, struct str name);

/*
 * Finds a coupon, by its names or by its id, in the cache or in Redis. Does not block; done is called once, perhaps
 * before this returns: STATUS_OK; STATUS_NO_SUCH_COUPON (not in Redis, or unreadable there) or STATUS_UNAVAILABLE, both
 * with NULL. The coupon is valid while done runs; coupon_hold keeps it longer.
 */
typedef void coupon_done(void *context, enum status s, struct coupon *c);
void coupon_find(struct service *svc, struct str seller, struct str name, coupon_done *done, void *context);
void coupon_find_id(struct service *svc, int64_t id, coupon_done *done, void *context);

/* Takes a reference, and drops one; dropping the last reference frees the coupon. */
struct coupon *coupon_hold(struct coupon *c);
void coupon_drop(struct coupon *c);

/* Takes a coupon out of the cache, because it may be old. The next coupon_find reads it from Redis. */
void coupon_forget(struct coupons *cs, struct coupon *c);

/*
 * Reads a descriptor, the reply of HGETALL. False: a field is missing or not allowed. Descriptors of earlier versions
 * have no price, currency, checkout_url, late_payment, limit and version: they get the defaults. Texts are in c->arena.
 */
bool coupon_read(struct coupon *c, const struct redis_reply *descriptor);

#endif
