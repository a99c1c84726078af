#include "catalog/coupon_row.h"

bool coupon_row_is_archived(const struct db_value *row)
{
	enum { ARCHIVED = 2 };
	return row[14].number == ARCHIVED;
}

int coupon_row_read(struct db *db, struct coupon *c, const struct db_value *row, bool *published)
{
	int64_t segments;
	if (db_int(db, &row[0], 1, NUMBER_MAX, &c->id) || db_int(db, &row[9], 1, SEGMENTS_MAX, &segments) ||
	    db_int(db, &row[12], 1, NUMBER_MAX, &c->generation) || db_int(db, &row[19], 1, UNITS_MAX, &c->limit))
		return -1;
	c->seller = row[1].number;
	c->seller_name = row[2].text;
	c->name = row[3].text;
	c->description = row[4].text;
	c->amount = row[5].number;
	c->face_value = row[6].number;
	c->starts_ms = row[7].number;
	c->ends_ms = row[8].number;
	c->segments = (int)segments;
	c->pay_within_s = row[10].number;
	memcpy(c->hash_key, row[11].text.p, row[11].text.n < SIPHASH_KEY ? row[11].text.n : SIPHASH_KEY);
	c->created_ms = row[13].number;
	*published = row[14].number != 0;
	c->price = row[15].number;
	c->currency = row[16].text;
	c->checkout_url = row[17].text;
	c->late_payment = row[18].number;
	c->waits = row[20].number;
	c->version = row[21].number;
	return 0;
}
