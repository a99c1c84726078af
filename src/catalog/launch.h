/*
 * Puts a coupon on sale: writes the row in MySQL, the hub and the segments in Redis, then the entries by which claims
 * find the coupon. Every step may be repeated, and if a creation is interrupted, the next request for the coupon
 * finishes it. Blocks, so it is for the cold pool only.
 */
#ifndef CATALOG_LAUNCH_H
#define CATALOG_LAUNCH_H

#include "account/request_key.h"
#include "catalog/quota.h"
#include "sale/coupon.h"

/*
 * How many segments a coupon with `amount` units gets: `wanted` or, when that is 0, the setting `segments`; when that
 * is 0, too: 1 on a single server, four for each master of a cluster, but at most one for ten units. In any case at
 * most segments_max, and at most one for each unit, because a segment without units only costs memory. 0: Redis does
 * not answer. May block.
 */
int launch_segments(struct service *svc, int64_t amount, int wanted);

/*
 * Creates a coupon and puts it on sale. The caller sets seller, seller_name, name, description, amount, face_value,
 * starts_ms, ends_ms, pay_within_s, price, currency, checkout_url, late_payment, waits and segments. STATUS_CREATED;
 * STATUS_DUPLICATE_COUPON; STATUS_QUOTA_EXCEEDED: nothing was created; STATUS_UNAVAILABLE: if the request is repeated,
 * it goes on where this one has stopped; STATUS_BUSY: another process creates a coupon of this name, or a drainer has
 * removed this creation, because it took too long; STATUS_FENCED; STATUS_IN_PROGRESS: a request with this key was
 * faster; STATUS_INTERNAL. *r is set with STATUS_QUOTA_EXCEEDED and perhaps with STATUS_UNAVAILABLE. `key` may be NULL:
 * of the request; it is written with the row of the coupon.
 */
enum status launch_create(struct service *svc, struct arena *a, struct coupon *c, const struct request_key *key,
			  struct refusal *r);

/*
 * For a request whose key was found (STATUS_REPEATED): finishes the creation if it was cut short. STATUS_CREATED, also
 * when the sale was closed or archived since; STATUS_BUSY: a drainer has just removed the unfinished creation, with its
 * key; STATUS_UNAVAILABLE; STATUS_INTERNAL.
 */
enum status launch_repeat(struct service *svc, struct arena *a, struct str seller_name, struct str name);

/*
 * Writes the entries of a coupon that the catalog does not have, and publishes it first if that was not done.
 * STATUS_OK; STATUS_NO_SUCH_COUPON: MySQL does not have the coupon either; STATUS_ENDED: it is archived;
 * STATUS_FENCED: it was on sale, and Redis has lost its stock; STATUS_UNAVAILABLE; STATUS_INTERNAL.
 */
enum status launch_heal(struct service *svc, struct arena *a, struct str seller_name, struct str name);

#endif
