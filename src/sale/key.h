/*
 * Every Redis key there is, built here and nowhere else, of integers only:
 * nothing that a client sends becomes part of a key. What stands in braces
 * decides the Redis Cluster slot.
 */
#ifndef SALE_KEY_H
#define SALE_KEY_H

#include "base/str.h"
#include "redis/redis.h"

enum key {
	KEY_HUB,          /* (coupon)           hash: stock that no segment holds, totals */
	KEY_DESCRIPTOR,   /* (coupon)           hash: what the coupon is */
	KEY_SEGMENT,      /* (coupon, segment)  hash: a share of the stock */
	KEY_OWNERS,       /* (coupon, segment)  hash: user -> sequence */
	KEY_ORDERS,       /* (coupon, segment)  list: sequence|user|ms */
	KEY_LEASE,        /* (coupon)           string: the drainer at work; saves work, protects nothing */
	KEY_CATALOG,      /* (bucket)           hash: "seller/name" -> coupon */
	KEY_SELLER_INDEX, /* (bucket)           hash: seller's name -> user */
	KEY_CUSTOMER,     /* (user)             sorted set by ms: order numbers */
	KEY_SELLER,       /* (user)             sorted set by ms: coupons */
	KEY_DIRTY,        /*                    set: coupon:segments of those that have orders to drain */
	KEY_SUSPECTS,     /*                    set: coupon:segments of those that must be inspected */
	KEY_QUARANTINED,  /*                    set: coupon:segments of those that only recover.c can open */
	KEY_LOST,     /*                    set: order:user of those that were found nowhere but in a customer's list */
	KEY_LAYOUT,   /*                    number: the layout of the hubs and segments */
	KEY_REVOKED,  /*                    sorted set in the order of logouts: jti:exp of logged-out tokens */
	KEY_FAILURES, /* (account, network) failed logins, by hashes: hash; of network 0, from anywhere: number */
	KEYS_COUNT
};

enum { KEY_TEXT = 64, KEY_BUCKETS = 1024 };

/* The key as text; a and b as the list above says, else 0. */
struct str key_text(char text[KEY_TEXT], enum key key, int64_t a, int64_t b);

/* Puts a key as the next word of a command. */
void key_put(struct redis_command *c, enum key key, int64_t a, int64_t b);

/* A hash of a name that stands for it where bytes of strangers must not. */
int64_t key_hash(struct str name);

/* The bucket of a name in the catalog ("seller/name") or the directory ("seller"). */
int64_t key_bucket(struct str name);

#endif
