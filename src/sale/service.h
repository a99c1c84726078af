/* What every part of the sale works with: one per process, made by the mains, handed down, never global. */
#ifndef SALE_SERVICE_H
#define SALE_SERVICE_H

#include "base/loop.h"
#include "host/conf.h"
#include "host/high_water.h"
#include "host/stats.h"
#include "mysql/db.h"
#include "redis/redis.h"

/* stock.c: sales that are being read, in a ring; the first follows the last. */
struct availability_turns {
	struct availability_read *last; /* NULL: none */
	int under_way;                  /* commands to segments */
	bool taking;
};

struct service {
	const struct conf *conf;
	struct loop *loop;        /* the process's event loop */
	struct redis *redis;      /* on that loop; hot pool only */
	struct redis *redis_sync; /* on a loop of its own, for redis_call; everything but the hot pool */
	struct db *db;            /* everything but the hot pool */
	struct loop *loop_sync;   /* redis_sync's */
	struct tokens *tokens;
	struct coupons *coupons;            /* the hot pool's cache */
	struct lists *lists;                /* http/handle_list.c: sellers' pages that are being read */
	struct stock_change *stock_changes; /* http/handle_coupon.c: made, and not answered yet */
	struct availability_turns availability_turns;
	struct stats *stats;
	struct high_water *high_water;
	int64_t revoked_at;      /* revoke.c: score of the logout that was read last, */
	char revoked_last[48];   /* and its entry ("": none was read); */
	int64_t revoked_read_ms; /* when it was asked */
	struct loop_timer revoked_timer;
	struct loop_timer marker_timer;
	int64_t clock_offset_ms;   /* marker.c: as it was a moment ago */
	int64_t set_back_until_ms; /* marker.c: by clock_mono_ms; 0: nginx keeps pages */
};

#endif
