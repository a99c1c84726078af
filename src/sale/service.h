/*
 * What all rooms above work with: one struct service for each process, created by its main and passed down.
 *
 * Six values decide whether numbers of a sale are still valid. docs/design.md has the reasons.
 *
 *   base         of a segment: the number before its first order number. MySQL gives the segment a higher one whenever
 *                the segment's server may have lost orders, so that no number is given out twice (numbers.h)
 *   term         of a hub: counts in MySQL how often the hub's server may have lost writes (numbers.h)
 *   epoch        of a hub: rises when the coupon is sold out, and when it is on sale again; what workers and segments
 *                keep of "sold out" is for one epoch (stock/sold_out.h)
 *   generation   of a coupon's slots: rises with each recovery, which writes all slots anew (fence.h)
 *   incarnation  of a Redis server and its data: another one after a restart or a failover. A slot whose fence names
 *                an earlier one is suspect (fence.h)
 *   layout       of hubs and segments: which fields they have; rises with versions of this program (fence.h)
 */
#ifndef SALE_SERVICE_H
#define SALE_SERVICE_H

#include "base/loop.h"
#include "host/conf.h"
#include "host/high_water.h"
#include "host/permit.h"
#include "host/rate.h"
#include "host/stats.h"
#include "mysql/db.h"
#include "redis/redis.h"

struct service {
	const struct conf *conf;
	struct loop *loop;        /* the process's event loop */
	struct redis *redis;      /* on that loop; hot pool only */
	struct redis *redis_sync; /* on a loop of its own, for redis_call; everything but the hot pool */
	struct db *db;            /* everything but the hot pool */
	struct loop *loop_sync;   /* the loop of redis_sync */
	struct tokens *tokens;
	struct webhook_keys *payment_keys; /* of payment providers; cold pool only */
	struct coupons *coupons;           /* the hot pool's cache */
	struct stats *stats;
	struct high_water *high_water;
	struct permits *hashing;   /* to hash a password */
	struct rates *claim_rates; /* claims of customers; hot pool only; NULL: they have no limit */

	/* each is the state of one file, which creates it when needed; opaque to all others */
	struct availability_turns *availability_turns; /* page/availability.c */
	struct revocation_reader *revocations;         /* account/revocation.c */
	struct marker_watch *marker_watch;             /* stock/nginx_marker.c */
};

#endif
