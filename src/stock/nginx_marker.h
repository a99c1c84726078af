/*
 * What nginx answers alone, and for how long. An empty file DIRECTORY/QUARTER/SELLER/COUPON says that a coupon is sold
 * out in that quarter of a second of the wall clock, the only clock that nginx can name a file by. So a worker that
 * dies leaves nothing behind that could refuse anybody later. And because the wall clock may be set back, so that a
 * quarter comes a second time, no file is left to that clock alone: the worker that put it takes it back when its word
 * has run out by the monotonic clock, every worker removes what others have left behind, and all of it when the clock
 * was set.
 *
 * Pages of coupons nginx keeps by itself, under the quarter as well, and no worker can remove them. While quarters come
 * a second time, DIRECTORY/set-back is there, and nginx neither keeps pages nor uses those that it has.
 *
 * All of this is of one host: nginx and workers on it have the same clock. Nothing here when sold_out_dir is empty.
 */
#ifndef STOCK_NGINX_MARKER_H
#define STOCK_NGINX_MARKER_H

#include "sale/service.h"

/* The files of one coupon that one worker has put. Zeroes, but for the first four. */
struct nginx_marker {
	const struct conf *conf;
	struct stats *stats;     /* counts files that cannot be written */
	struct str seller, name; /* the caller's, and live as long as this */
	int64_t begin, end;      /* quarters since 1970: from begin to before end */
};

/* Writes a file for each quarter that ends within lasts_ms from now, and removes this marker's other files. */
void nginx_marker_leave(struct nginx_marker *m, int64_t lasts_ms);

/* Removes all files of this marker. */
void nginx_marker_take_back(struct nginx_marker *m);

/* Removes the files that all workers of this host have written for a coupon. Call it before units are put on sale. */
void nginx_marker_remove(const struct conf *conf, struct str seller, struct str name);

/* Removes all files now; from then on, four times a second, the expired ones, and all when the wall clock was set. */
void nginx_marker_watch(struct service *svc);

#endif
