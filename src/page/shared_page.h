/*
 * Pages of a seller's coupons, shared by requests. A page is read and rendered once for all requests within 2 ms plus
 * nine times as long as the read before took, so that reading a page takes at most a tenth of the time; but it is shown
 * for a quarter of a second at most after it was read. Requests that come after this time, while the page is still
 * being read, share the next read.
 */
#ifndef PAGE_SHARED_PAGE_H
#define PAGE_SHARED_PAGE_H

#include "base/buf.h"
#include "page/coupon_page.h"

struct shared_pages;

/* A request for a page, in the caller's memory until done is called. `text` is valid during the call of done. */
struct shared_page_reader {
	void (*done)(struct shared_page_reader *r, enum status s, struct str text);
	struct shared_page_reader *next;
};

/* render writes the text of a page; it is not called for an empty page. */
struct shared_pages *shared_pages_new(struct service *svc,
				      void (*render)(struct buf *text, const struct coupon_page *page));
/* Only to be called when no page is being read. NULL is allowed. */
void shared_pages_free(struct shared_pages *ps);

/* Calls done once, perhaps before this returns, with a status of coupon_page_of_name. Does not block. */
void shared_page_read(struct shared_pages *ps, struct str seller, int64_t number, struct shared_page_reader *r);

#endif
