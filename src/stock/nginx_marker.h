/*
 * nginx markers: files by which nginx refuses claims of a coupon without a worker. An empty file
 * DIRECTORY/QUARTER/SELLER/COUPON marks the coupon as sold out in that quarter of a second of the wall clock, the only
 * clock by which nginx can name a file. So the files of a killed worker refuse nobody later. But the wall clock may be
 * set back, and a quarter then comes a second time. Therefore a worker removes its files when its sold-out notice ends
 * by the monotonic clock; and every worker removes the expired files of other workers, and all files when the clock was
 * set.
 *
 * nginx also caches pages of coupons by the quarter, and workers cannot remove pages from that cache. While quarters
 * come a second time there is a file DIRECTORY/set-back, and nginx neither stores pages nor uses stored ones.
 *
 * Markers belong to one host, where nginx and the workers have the same clock. When the setting sold_out_dir is empty,
 * no marker is written.
 */
#ifndef STOCK_NGINX_MARKER_H
#define STOCK_NGINX_MARKER_H

#include "sale/service.h"

/* The files of one worker for one coupon. The caller sets the first four members, and zeroes the others. */
struct nginx_marker {
	const struct conf *conf;
	struct stats *stats;     /* counts files that cannot be written */
	struct str seller, name; /* not copied */
	int64_t begin, end;      /* quarters since 1970, from begin to before end */
};

/* Writes a file for each quarter that ends within lasts_ms from now, and removes this marker's other files. */
void nginx_marker_put(struct nginx_marker *m, int64_t lasts_ms);

/* Removes all files of this marker. */
void nginx_marker_clear(struct nginx_marker *m);

/* Removes the files of all workers of this host for a coupon; for use before units are put on sale. */
void nginx_marker_remove(const struct conf *conf, struct str seller, struct str name);

/* Removes all files now; from then on four times a second the expired ones, or all when the wall clock was set. */
void nginx_marker_watch(struct service *svc);

#endif
