#include "inspect/quarantined.h"

#include "catalog/stray.h"
#include "sale/catalog_index.h"
#include "sale/worklist.h"

static struct str stray_title(struct service *svc, struct arena *a, int64_t coupon)
{
	struct stray s;
	if (stray_names(svc, a, coupon, &s) != STATUS_OK)
		s.seller_name = s.name = STR("?");
	return str_of(arena_printf(a, "%.*s/%.*s (%lld, not in MySQL)", (int)s.seller_name.n, s.seller_name.p,
				   (int)s.name.n, s.name.p, (long long)coupon));
}

/*
 * The title of a coupon that is not in MySQL includes its id, because another coupon may have the same name, and
 * because its own may be unreadable. False: MySQL does not answer.
 */
static bool read_title(struct service *svc, struct arena *a, int64_t coupon, struct str *title)
{
	struct db_rows rows;
	char path[CATALOG_PATH];
	if (db_query(svc->db, a,
		     "SELECT u.name, c.name FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?", &rows,
		     DB_N(coupon)))
		return false;
	if (rows.count)
		*title = arena_str(a, catalog_path(path, db_row(&rows, 0)[0].text, db_row(&rows, 0)[1].text));
	else
		*title = stray_title(svc, a, coupon);
	return true;
}

enum status quarantined_list(struct service *svc, struct arena *a, struct str **titles, int *count)
{
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SMEMBERS");
	key_put(&c, KEY_QUARANTINED, 0, 0);
	if (redis_call(svc->redis_sync, a, &c, &members) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	*titles = arena_alloc(a, (redis_count(members) + 1) * sizeof **titles);
	*count = 0;
	for (size_t i = 0; i < redis_count(members); i++) {
		int64_t coupon;
		int segments;
		if (!worklist_read(redis_text_at(members, i), &coupon, &segments))
			continue;
		if (!read_title(svc, a, coupon, &(*titles)[*count]))
			return STATUS_UNAVAILABLE;
		++*count;
	}
	return STATUS_OK;
}
