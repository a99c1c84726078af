#include "catalog/settings.h"

#include "base/etag.h"
#include "sale/db_status.h"

#define COLUMNS                                                                                                        \
	"c.id, c.seller_id, c.generation, c.segments, c.state, c.state_version, c.state_told, c.starts_at_ms, "        \
	"c.ends_at_ms, c.created_at_ms, c.amount, c.withdrawn, c.withdraw_asked, c.withdraw_missed, c.unit_limit, "    \
	"c.waiting_list, c.late_payment, c.stock, c.price, c.pay_within_s, u.name, c.name, c.currency, "               \
	"c.description, c.checkout_url"

/* Rows of COLUMNS: numbers first, then texts. */
static int read_row(struct db *db, const struct db_value *v, struct sale_settings *s)
{
	enum { NUMBERS = 20 };
	int64_t segments, state;
	if (db_int(db, &v[3], 1, SEGMENTS_MAX, &segments) || db_int(db, &v[4], 0, SALE_STATES - 1, &state))
		return -1;
	*s = (struct sale_settings){ .id = v[0].number,
				     .seller = v[1].number,
				     .generation = v[2].number,
				     .segments = (int)segments,
				     .steering = { v[5].number, (enum sale_state)state, v[7].number, v[8].number },
				     .is_told = v[6].number != 0,
				     .created_ms = v[9].number,
				     .amount = v[10].number,
				     .withdrawn = v[11].number,
				     .asked = v[12].number,
				     .missed = v[13].number,
				     .limit = v[14].number,
				     .waiting_list = v[15].number != 0,
				     .late_payment = v[16].number != 0,
				     .face_value = v[17].number,
				     .price = v[18].number,
				     .pay_within_s = v[19].number };
	struct str *const texts[] = { &s->seller_name, &s->name, &s->currency, &s->description, &s->checkout_url };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		*texts[i] = v[NUMBERS + i].text;
	return 0;
}

/* STATUS_INTERNAL: the database has failed; nothing is logged. */
static enum status take_row(struct service *svc, const struct db_rows *rows, struct sale_settings *out)
{
	if (!rows->count)
		return STATUS_NO_SUCH_COUPON;
	return read_row(svc->db, db_row(rows, 0), out) ? STATUS_INTERNAL : STATUS_OK;
}

static enum status log_failure(struct service *svc, enum status s)
{
	return s == STATUS_INTERNAL ? db_status(svc->db, "settings") : s;
}

#define SELECT "SELECT " COLUMNS " FROM coupons c JOIN users u ON u.id = c.seller_id WHERE "

enum status settings_read(struct service *svc, struct arena *a, struct str seller_name, struct str name,
			  struct sale_settings *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SELECT "u.name = ? AND c.name = ? AND c.published >= 1", &rows, DB_S(seller_name),
		     DB_S(name)))
		return db_status(svc->db, "settings");
	return log_failure(svc, take_row(svc, &rows, out));
}

static enum status query_id(struct service *svc, struct arena *a, int64_t coupon, struct sale_settings *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a, SELECT "c.id = ? AND c.published >= 1", &rows, DB_N(coupon)))
		return STATUS_INTERNAL;
	return take_row(svc, &rows, out);
}

enum status settings_read_id(struct service *svc, struct arena *a, int64_t coupon, struct sale_settings *out)
{
	return log_failure(svc, query_id(svc, a, coupon, out));
}

/* The lock first and alone: FOR UPDATE would lock the seller's row, too. */
enum status settings_lock(struct service *svc, struct arena *a, int64_t coupon, struct sale_settings *out)
{
	struct db_rows rows;
	if (db_query(svc->db, a, "SELECT id FROM coupons WHERE id = ? FOR UPDATE", &rows, DB_N(coupon)))
		return STATUS_INTERNAL;
	return query_id(svc, a, coupon, out);
}

enum status settings_raise(struct service *svc, int64_t coupon, const struct steering *s)
{
	if (db_exec(svc->db,
		    "UPDATE coupons SET state = ?, starts_at_ms = ?, ends_at_ms = ?, state_told = 0, state_version = ? "
		    "WHERE id = ? AND state_version < ?",
		    NULL, DB_N(s->state), DB_N(s->starts_ms), DB_N(s->ends_ms), DB_N(s->version), DB_N(coupon),
		    DB_N(s->version)))
		return db_status(svc->db, "settings");
	return STATUS_OK;
}

enum status settings_untell(struct service *svc, int64_t coupon)
{
	if (db_exec(svc->db, "UPDATE coupons SET state_told = 0 WHERE id = ?", NULL, DB_N(coupon)))
		return db_status(svc->db, "settings");
	return STATUS_OK;
}

struct str settings_etag(struct arena *a, const struct sale_settings *s)
{
	return str_of(arena_printf(a, "\"%lld-%lld-%lld\"", (long long)s->steering.version, (long long)s->amount,
				   (long long)s->withdrawn));
}

bool settings_match(struct arena *a, const struct sale_settings *s, struct str if_match)
{
	return !if_match.n || etag_list_has(if_match, settings_etag(a, s));
}
