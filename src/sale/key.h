/*
 * All Redis keys are built here, from integers only: nothing that a client sends becomes part of a key. The part in
 * braces decides the hash slot. The texts are in key.c; SCAN patterns in catalog/stray.c, order/customer_lists.c and
 * store/retired.c repeat two of them, and lua/forget.lua a third.
 */
#ifndef SALE_KEY_H
#define SALE_KEY_H

#include "base/str.h"
#include "redis/redis.h"

enum key {
	KEY_HUB,          /* (coupon)           hash: units that no segment holds, totals */
	KEY_DESCRIPTOR,   /* (coupon)           hash: what the coupon is */
	KEY_SEGMENT,      /* (coupon, segment)  hash: a share of the units */
	KEY_OWNERS,       /* (coupon, segment)  hash: user -> sequence */
	KEY_ORDERS,       /* (coupon, segment)  list: sequence|user|ms */
	KEY_LEASE,        /* (coupon)           string: the drainer at work; avoids double work, but is not a lock */
	KEY_WAITING,      /* (coupon)           sorted set: owner -> ticket, who waits for a unit */
	KEY_JOURNAL,      /* (coupon)           list: who joined or left the waiting list, until MySQL has it */
	KEY_CATALOG,      /* (bucket)           hash: "seller/name" -> coupon */
	KEY_SELLER_INDEX, /* (bucket)           hash: seller's name -> user */
	KEY_CUSTOMER,     /* (user)             sorted set by ms: order numbers; on a cluster only */
	KEY_SELLER,       /* (user)             sorted set by ms: coupons */
	KEY_DIRTY,        /*                    set: coupon:segments of coupons that have orders to drain */
	KEY_SUSPECTS,     /*                    set: coupon:segments of coupons with a suspect slot */
	KEY_QUARANTINED,  /*                    set: coupon:segments of coupons with a quarantined slot */
	KEY_LOST,         /*                    set: order:user of orders that may be lost */
	KEY_WAITED,       /*                    set: coupon:segments of coupons for which people wait */
	KEY_LAYOUT,       /*                    number: the layout of the hubs and segments */
	KEY_REVOKED,      /*                    sorted set in the order of logouts: jti:exp of tokens */
	KEY_FAILURES,     /* (account, network) failed logins, by hashes of both: hash; network 0, all of the account:
			     number */
	KEYS_COUNT
};

enum { KEY_TEXT = 64, KEY_BUCKETS = 1024 };

/* The key as text; a and b are the numbers in the list above, or 0. */
struct str key_text(char text[KEY_TEXT], enum key key, int64_t a, int64_t b);

/* Puts a key as the next argument of a command. */
void key_put(struct redis_command *c, enum key key, int64_t a, int64_t b);

/* A hash of a name, for keys that must not contain the name itself. */
int64_t key_hash(struct str name);

/* The bucket of a name in the catalog ("seller/name") or the seller index ("seller"). */
int64_t key_bucket(struct str name);

#endif
