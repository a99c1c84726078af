/*
 * A key that another transaction has inserted and not committed is not seen by a plain SELECT. So after one that finds
 * nothing, a locking one asks whether there is such a row, and does not wait for it (NOWAIT). If the row appears after
 * that, its INSERT here waits for the other transaction, and then fails.
 */
#include "account/request_key.h"

#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "sale/db_status.h"

void request_key_set(struct request_key *k, int64_t seller, struct str key, const struct str asked[], int count)
{
	EVP_MD_CTX *c = alloc_checked(EVP_MD_CTX_new());
	bool ok = EVP_DigestInit_ex(c, EVP_sha256(), NULL);
	*k = (struct request_key){ .seller = seller, .key = key };
	for (int i = 0; i < count; i++) {
		uint64_t n = asked[i].n; /* so that "a" "bc" differs from "ab" "c" */
		ok = ok && EVP_DigestUpdate(c, &n, sizeof n) && EVP_DigestUpdate(c, asked[i].p, asked[i].n);
	}
	ok = ok && EVP_DigestFinal_ex(c, k->digest, NULL);
	EVP_MD_CTX_free(c);
	alloc_checked(ok ? k : NULL); /* SHA-256 fails only without memory */
}

static bool is_empty(const struct request_key *k)
{
	return !k || !k->key.n;
}

static struct str digest_of(const struct request_key *k)
{
	return (struct str){ (const char *)k->digest, sizeof k->digest };
}

#define KEY_ROW "SELECT digest, answer FROM idempotency_keys WHERE seller_id = ? AND idempotency_key = ?"

static enum status read_row(struct service *svc, struct arena *a, struct request_key *k, const char *sql)
{
	struct db_rows rows;
	if (db_query(svc->db, a, sql, &rows, DB_N(k->seller), DB_S(k->key)))
		return STATUS_INTERNAL;
	if (!rows.count)
		return STATUS_OK;
	k->answer = db_row(&rows, 0)[1].text;
	return str_eq(db_row(&rows, 0)[0].text, digest_of(k)) ? STATUS_REPEATED : STATUS_KEY_REUSED;
}

/* Two requests at once may both be the last one that is allowed. */
static enum status check_quota(struct service *svc, struct arena *a, struct request_key *k)
{
	struct db_rows rows;
	int most = svc->conf->keys_per_seller;
	if (!most)
		return STATUS_OK;
	if (db_query_row(svc->db, a, "SELECT COUNT(*) FROM idempotency_keys WHERE seller_id = ?", &rows,
			 DB_N(k->seller)))
		return db_status(svc->db, "request_key");
	if (db_row(&rows, 0)[0].number < most)
		return STATUS_OK;
	k->detail = arena_printf(a,
				 "you have sent %d requests with an Idempotency-Key within %d hours (keys_per_seller): "
				 "retry later, or without a key",
				 most, REQUEST_KEY_HOURS);
	return STATUS_QUOTA_EXCEEDED;
}

enum status request_key_find(struct service *svc, struct arena *a, struct request_key *k)
{
	if (is_empty(k))
		return STATUS_OK;
	enum status s = read_row(svc, a, k, KEY_ROW);
	if (s == STATUS_OK)
		s = read_row(svc, a, k, KEY_ROW " FOR UPDATE NOWAIT");
	if (s == STATUS_INTERNAL && db_failure(svc->db) == DB_TRANSIENT)
		return STATUS_IN_PROGRESS;
	if (s == STATUS_INTERNAL)
		return db_status(svc->db, "request_key");
	return s == STATUS_OK ? check_quota(svc, a, k) : s;
}

enum status request_key_write(struct service *svc, const struct request_key *k, struct str answer, int64_t coupon)
{
	if (is_empty(k))
		return STATUS_OK;
	if (db_exec(svc->db,
		    "INSERT INTO idempotency_keys (seller_id, idempotency_key, digest, at_ms, answer, coupon_id) "
		    "VALUES (?, ?, ?, ?, ?, ?)",
		    NULL, DB_N(k->seller), DB_S(k->key), DB_S(digest_of(k)), DB_N(clock_ms()), DB_S(answer),
		    DB_N(coupon)))
		return db_failure(svc->db) == DB_DUPLICATE ? STATUS_IN_PROGRESS : STATUS_INTERNAL;
	FAULT(key_written);
	return STATUS_OK;
}

enum status request_key_expire(struct service *svc, bool *more)
{
	enum { HOUR_MS = 3600000, BATCH = 1000 };
	int64_t deleted = 0;
	*more = false;
	if (db_exec(svc->db, "DELETE FROM idempotency_keys WHERE at_ms < ? ORDER BY at_ms LIMIT 1000", &deleted,
		    DB_N(clock_ms() - (int64_t)REQUEST_KEY_HOURS * HOUR_MS)))
		return db_status(svc->db, "request_key");
	*more = deleted >= BATCH;
	return STATUS_OK;
}
