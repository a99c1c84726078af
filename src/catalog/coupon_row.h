/* A coupon as a row of MySQL. */
#ifndef CATALOG_COUPON_ROW_H
#define CATALOG_COUPON_ROW_H

#include "sale/coupon.h"

/* The columns that coupon_row_read expects, of coupons c joined with users u. */
#define COUPON_COLUMNS                                                                                                 \
	"c.id, c.seller_id, u.name, c.name, c.description, c.amount, c.stock, c.starts_at_ms, c.ends_at_ms, "          \
	"c.segments, c.pay_within_s, c.hash_key, c.generation, c.created_at_ms, c.published, "                         \
	"c.price, c.currency, c.checkout_url, c.late_payment, c.unit_limit, c.waiting_list, "                          \
	"c.state_version"
enum { COUPON_COLUMN_COUNT = 22 };

/* Whether the coupon is archived: it was on sale, and has no slots any more. */
bool coupon_row_is_archived(const struct db_value *row);

/* Texts are in the arena of the row. 0; -1: a value is out of bounds, which counts as a failure of the database. */
int coupon_row_read(struct db *db, struct coupon *c, const struct db_value *row, bool *published) MUST_CHECK;

#endif
