/*
 * A page of a seller's coupons, newest first. An index in Redis names them. Descriptors come from the cache,
 * availabilities from Redis; all are requested at once.
 */
#ifndef PAGE_COUPON_PAGE_H
#define PAGE_COUPON_PAGE_H

#include "sale/coupon.h"

enum { COUPON_PAGE_SIZE = 20 };

struct coupon_page {
	/* Set by the caller, who keeps the memory until coupon_page_release. */
	struct service *service;
	int64_t number; /* from 1 */
	void (*done)(struct coupon_page *p, enum status s);

	/* The result. */
	int count;
	struct coupon_page_entry {
		struct coupon_page *page;
		struct coupon *coupon; /* NULL: the entry is to be left out */
		bool has_units;        /* false: the sale is closed or to be inspected */
		int64_t left, amount;
		const char *state; /* as availability_state */
	} entries[COUPON_PAGE_SIZE];

	/* Private. */
	int outstanding;
	enum status status;
};

/*
 * Each reads a page and calls done once, perhaps before it returns, with STATUS_OK, STATUS_NO_CONTENT (the page is
 * empty) or STATUS_UNAVAILABLE; coupon_page_of_name also with STATUS_UNKNOWN_USER (the index of sellers does not have
 * the name). They do not block.
 */
void coupon_page_of_seller(struct coupon_page *p, int64_t seller);
void coupon_page_of_name(struct coupon_page *p, struct str seller);

/* Drops the coupons of the entries; to be called after done was called. */
void coupon_page_release(struct coupon_page *p);

#endif
