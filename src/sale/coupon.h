/*
 * A coupon as a worker knows it: what is frozen when the sale is opened. It
 * is read from Redis once and kept in a bounded cache; stock is never kept.
 */
#ifndef SALE_COUPON_H
#define SALE_COUPON_H

#include "base/arena.h"
#include "base/siphash.h"
#include "base/table.h"
#include "sale/service.h"
#include "sale/status.h"

enum { SEGMENTS_MAX = 256 };

struct coupon {
	int64_t id, seller, generation;
	struct str seller_name, name, description;
	int64_t amount, stock;            /* units at creation; face value in the smallest currency unit */
	int64_t starts_ms, ends_ms;       /* 0: from the start, for ever */
	int64_t created_ms, pay_within_s; /* 0: no limit */
	int segments;
	uint8_t hash_key[SIPHASH_KEY];
	struct refill **refills;   /* transfer.c's: one running refill a segment, or NULL; from coupon_prepare on */
	struct sold_out *sold_out; /* sold_out.c's: the hub's word and the winners, or NULL */
	struct availability_read *reading; /* stock.c's: the read that is under way, or NULL */
	int64_t later_epoch;               /* transfer.c's: that of which the hub said LATER, 0: never, */
	int64_t later_ms;                  /* and when, by clock_mono_ms */

	struct arena arena;
	struct table_node by_name, by_id;
	int64_t read_ms; /* when it was read, by clock_mono_ms */
	bool cached;
	int holders;
};

/* The segment a user always claims from. */
int coupon_home(const struct coupon *c, int64_t user);

struct coupons;
struct coupons *coupons_new(void);
void coupons_free(struct coupons *cs);

/*
 * Finds a coupon, by names or by id, in the cache or in Redis; done is called
 * once, perhaps before this returns: STATUS_OK, STATUS_NO_SUCH_COUPON (Redis
 * does not know it), STATUS_UNAVAILABLE. The coupon is the callback's while it
 * runs; coupon_hold keeps it longer.
 */
typedef void coupon_done(void *context, enum status s, struct coupon *c);
void coupon_find(struct service *svc, struct str seller, struct str name, coupon_done *done, void *context);
void coupon_find_id(struct service *svc, int64_t id, coupon_done *done, void *context);

/* What claims keep for each segment is allocated by the first of them: most coupons that are read have none. */
void coupon_prepare(struct coupon *c);

struct coupon *coupon_hold(struct coupon *c);
void coupon_drop(struct coupon *c);

/* Redis answered FENCED: this copy is of an older generation. The next find reads it anew. */
void coupon_forget(struct coupons *cs, struct coupon *c);

/* A descriptor's fields and values as HGETALL gives them; false when one is missing, or is not what it may be. */
bool coupon_read(struct coupon *c, const struct redis_reply *descriptor);

#endif
