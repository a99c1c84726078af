/*
 * Putting a coupon on sale: the row in MySQL, the hub and the segments in
 * Redis, then the entry in the catalog by which claims find it. Every step
 * may be repeated; a creation that died half-way is finished by the next
 * request for the coupon. Blocks; cold pool only.
 */
#ifndef CATALOG_PUBLISH_H
#define CATALOG_PUBLISH_H

#include "catalog/quota.h"
#include "sale/coupon.h"

/*
 * Segments of a coupon of so many units: `wanted` of them, or when that is 0 the settings' default. Never more than
 * segments_max, and never more than units, as a segment that can have none only costs memory.
 */
int publish_segments(const struct conf *conf, int64_t amount, int wanted);

/*
 * Creates and opens. The caller fills seller, seller_name, name, description, amount, stock, starts_ms, ends_ms,
 * pay_within_s and segments. STATUS_CREATED, STATUS_DUPLICATE_COUPON, STATUS_QUOTA_EXCEEDED (nothing was created),
 * STATUS_UNAVAILABLE (ask again, the same: it goes on where it stopped), STATUS_BUSY (another process makes a coupon of
 * this name, or a drainer has just removed this creation, which took too long), STATUS_FENCED, STATUS_INTERNAL. *r is
 * set with STATUS_QUOTA_EXCEEDED and perhaps with STATUS_UNAVAILABLE.
 */
enum status publish_create(struct service *svc, struct arena *a, struct coupon *c, struct refusal *r);

/*
 * A coupon that Redis does not know: STATUS_NO_SUCH_COUPON when MySQL does not either; STATUS_OK when it is in the
 * catalog now; STATUS_FENCED when it was on sale and its stock is gone from Redis; STATUS_UNAVAILABLE.
 */
enum status publish_heal(struct service *svc, struct arena *a, struct str seller_name, struct str name);

/* The entries by which a coupon is found and described: written again. STATUS_OK, STATUS_UNAVAILABLE. */
enum status publish_enter(struct service *svc, struct arena *a, const struct coupon *c);

/*
 * Columns of coupons that publish_row reads, for a SELECT joined with users u. Not 0: the row is none of a coupon, and
 * the database has failed for this reason.
 */
#define PUBLISH_COLUMNS                                                                                                \
	"c.id, c.seller_id, u.name, c.name, c.description, c.amount, c.stock, c.starts_at_ms, c.ends_at_ms, "          \
	"c.segments, c.pay_within_s, c.hash_key, c.generation, c.created_at_ms, c.published"
int publish_row(struct db *db, struct coupon *c, const struct db_value *row, bool *published) MUST_CHECK;

#endif
