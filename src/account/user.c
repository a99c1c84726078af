/*
 * The unique key alone decides whether a name is taken; looking first only saves hashing a password. Bulk users are
 * found and created a batch at a time, and looked for again afterwards, because another process may have created some
 * of them.
 */
#include "account/user.h"

#include "account/password.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/random.h"
#include "host/log.h"
#include "sale/db_status.h"
#include "sale/seller_index.h"

enum { BATCH = 500, ROUNDS = 4, BULK_COLUMNS = 3, HASHING_PATIENCE_MS = 5000 };

static struct user user_row(const struct db_value *v)
{
	return (struct user){ .id = v[0].number, .kind = (enum user_kind)v[1].number };
}

enum status user_find(struct service *s, struct arena *a, struct str name, struct user *user)
{
	struct db_rows rows;
	if (db_query(s->db, a, "SELECT id, kind FROM users WHERE name = ?", &rows, DB_S(name)) < 0)
		return db_status(s->db, "user_find");
	if (rows.count == 0)
		return STATUS_UNKNOWN_USER;
	*user = user_row(db_row(&rows, 0));
	return STATUS_OK;
}

/* The duplicate may be the name or the random id; after a duplicate id the loop tries another one. */
static enum status insert_user(struct service *s, struct arena *a, const struct new_user *u, const char *hash,
			       int64_t *id)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct user taken;
		*id = random_id();
		if (db_exec(s->db, "INSERT INTO users (id, name, kind, password) VALUES (?, ?, ?, ?)", NULL, DB_N(*id),
			    DB_S(u->name), DB_N(u->kind), DB_S(str_of(hash))) == 0)
			return STATUS_OK;
		if (db_failure(s->db) != DB_DUPLICATE)
			break;
		enum status status = user_find(s, a, u->name, &taken);
		if (status != STATUS_UNKNOWN_USER)
			return status == STATUS_OK ? STATUS_NAME_TAKEN : status;
	}
	return db_status(s->db, "user_create");
}

static enum status hash_of(struct service *s, struct str password, char hash[PASSWORD_TEXT])
{
	if (!permit_take(s->hashing, HASHING_PATIENCE_MS))
		return STATUS_BUSY;
	bool is_hashed = password_hash(password, s->conf->password_cost, hash);
	permit_return(s->hashing);
	if (is_hashed)
		return STATUS_OK;
	log_error_limited("password_hash_failed", LOG_INT("cost", s->conf->password_cost));
	return STATUS_INTERNAL;
}

enum status user_create(struct service *s, struct arena *a, const struct new_user *u, int64_t *id)
{
	struct user taken;
	enum status status = user_find(s, a, u->name, &taken);
	if (status != STATUS_UNKNOWN_USER)
		return status == STATUS_OK ? STATUS_NAME_TAKEN : status;
	char hash[PASSWORD_TEXT];
	status = hash_of(s, u->password, hash);
	return status == STATUS_OK ? insert_user(s, a, u, hash, id) : status;
}

static enum status store_password(struct service *s, struct arena *a, struct str name, const char *stored)
{
	struct user user;
	enum status status = user_find(s, a, name, &user);
	if (status != STATUS_OK)
		return status;
	if (db_exec(s->db, "UPDATE users SET password = ? WHERE id = ?", NULL, DB_S(str_of(stored)), DB_N(user.id)) < 0)
		return db_status(s->db, "user_password");
	return STATUS_OK;
}

enum status user_set_password(struct service *s, struct arena *a, struct str name, struct str password)
{
	char hash[PASSWORD_TEXT];
	enum status status = hash_of(s, password, hash);
	return status == STATUS_OK ? store_password(s, a, name, hash) : status;
}

enum status user_disable(struct service *s, struct arena *a, struct str name)
{
	return store_password(s, a, name, PASSWORD_UNUSABLE);
}

enum status user_list_sellers(struct service *s, struct arena *a, int64_t after, int most, struct sellers *out)
{
	struct db_rows rows;
	*out = (struct sellers){ 0 };
	if (db_query(
		    s->db, a,
		    "SELECT u.id, u.name, COUNT(c.id), COALESCE(SUM(c.segments), 0), u.password <> '" PASSWORD_UNUSABLE
		    "' FROM users u LEFT JOIN coupons c ON c.seller_id = u.id AND (c.ends_at_ms = 0 OR c.ends_at_ms > ?) AND c.state < 2 "
		    "WHERE u.kind = 2 AND u.id > ? GROUP BY u.id ORDER BY u.id LIMIT ?",
		    &rows, DB_N(clock_ms()), DB_N(after), DB_N(most)) < 0)
		return db_status(s->db, "user_list");
	out->at = arena_alloc(a, (size_t)(rows.count + 1) * sizeof *out->at);
	for (; out->count < rows.count; out->count++) {
		const struct db_value *v = db_row(&rows, out->count);
		out->at[out->count] =
			(struct seller){ v[0].number, v[1].text, v[2].number, v[3].number, v[4].number != 0 };
	}
	return STATUS_OK;
}

/* Stores the password with the present cost. When this fails, the user's next login tries again. */
static void rehash(struct service *s, int64_t id, struct str stored, struct str password)
{
	char hash[PASSWORD_TEXT];
	if (hash_of(s, password, hash) != STATUS_OK)
		return;
	if (db_exec(s->db, "UPDATE users SET password = ? WHERE id = ? AND password = ?", NULL, DB_S(str_of(hash)),
		    DB_N(id), DB_S(stored)) < 0)
		log_warn_limited("rehash_failed", LOG_INT("user", id), LOG_TEXT("error", db_error(s->db)));
}

static enum status verify(struct service *s, struct str password, struct str stored)
{
	if (!permit_take(s->hashing, HASHING_PATIENCE_MS))
		return STATUS_BUSY;
	bool is_right = password_verify(password, stored, s->conf->password_cost);
	permit_return(s->hashing);
	return is_right ? STATUS_OK : STATUS_WRONG_LOGIN;
}

enum status user_login(struct service *s, struct arena *a, struct str name, struct str password, struct user *user)
{
	struct db_rows rows;
	if (db_query(s->db, a, "SELECT id, kind, password FROM users WHERE name = ?", &rows, DB_S(name)) < 0)
		return db_status(s->db, "user_login");
	struct str stored = db_row(&rows, 0)[2].text;
	enum status status = verify(s, password, stored);
	if (status != STATUS_OK)
		return status;
	*user = user_row(db_row(&rows, 0));
	if (!password_is_current(stored, s->conf->password_cost))
		rehash(s, user->id, stored, password);
	return STATUS_OK;
}

/* A batch of users, PREFIX(first) to PREFIX(first + count - 1). */
struct bulk {
	struct str prefix;
	int first, count;
	enum user_kind kind;
	int64_t *ids; /* 0: the user was not found yet */
	struct str *names;
	struct db_value *params;
};

static void repeat(struct buf *sql, const char *item, int count)
{
	for (int i = 0; i < count; i++) {
		buf_puts(sql, i ? ", " : "");
		buf_puts(sql, item);
	}
}

static enum status bulk_take(struct bulk *b, const struct db_value *row)
{
	struct str digits = { row[1].text.p + b->prefix.n, row[1].text.n - b->prefix.n };
	int64_t number;
	if (!parse_int(digits, b->first, b->first + b->count - 1, &number))
		return STATUS_INTERNAL;
	b->ids[number - b->first] = row[0].number;
	return row[2].number == (int64_t)b->kind ? STATUS_OK : STATUS_NAME_TAKEN;
}

static enum status bulk_find(struct service *s, struct arena *a, struct bulk *b)
{
	struct buf sql;
	buf_init(&sql, a);
	buf_puts(&sql, "SELECT id, name, kind FROM users WHERE name IN (");
	repeat(&sql, "?", b->count);
	buf_puts(&sql, ")");
	for (int i = 0; i < b->count; i++)
		b->params[i] = DB_S(b->names[i]);
	struct db_rows rows;
	if (db_query_params(s->db, a, sql.p, &rows, b->params, b->count) < 0)
		return db_status(s->db, "users_find");
	enum status status = STATUS_OK;
	for (int i = 0; status == STATUS_OK && i < rows.count; i++)
		status = bulk_take(b, db_row(&rows, i));
	return status;
}

/* Fills the parameters with the missing users. Returns how many there are. */
static int bulk_missing(struct bulk *b)
{
	int n = 0;
	for (int i = 0; i < b->count; i++) {
		if (b->ids[i])
			continue;
		struct db_value *row = b->params + (ptrdiff_t)n++ * BULK_COLUMNS;
		row[0] = DB_N(random_id());
		row[1] = DB_S(b->names[i]);
		row[2] = DB_N(b->kind);
	}
	return n;
}

/* STATUS_BUSY: another process creates the same users or holds their locks, so look for them again. */
static enum status bulk_create(struct service *s, struct arena *a, struct bulk *b, int missing)
{
	struct buf sql;
	buf_init(&sql, a);
	buf_puts(&sql, "INSERT INTO users (id, name, kind, password) VALUES ");
	repeat(&sql, "(?, ?, ?, '" PASSWORD_UNUSABLE "')", missing);
	if (db_exec_params(s->db, sql.p, NULL, b->params, missing * BULK_COLUMNS) == 0)
		return STATUS_OK;
	bool again = db_failure(s->db) == DB_DUPLICATE || db_failure(s->db) == DB_TRANSIENT;
	return again ? STATUS_BUSY : db_status(s->db, "users_create");
}

static enum status bulk_ensure(struct service *s, struct arena *a, struct bulk *b)
{
	for (int round = 0; round < ROUNDS; round++) {
		enum status status = bulk_find(s, a, b);
		if (status != STATUS_OK)
			return status;
		int missing = bulk_missing(b);
		if (missing == 0)
			return STATUS_OK;
		status = bulk_create(s, a, b, missing);
		if (status != STATUS_OK && status != STATUS_BUSY)
			return status;
	}
	return STATUS_UNAVAILABLE;
}

static enum status bulk_index_sellers(struct service *s, const struct bulk *b)
{
	enum status status = STATUS_OK;
	for (int i = 0; b->kind == KIND_SELLER && status == STATUS_OK && i < b->count; i++)
		status = seller_index_add(s, b->names[i], b->ids[i]);
	return status;
}

static enum status bulk_run(struct service *s, struct bulk *b)
{
	struct arena a;
	arena_init(&a);
	b->names = arena_alloc(&a, (size_t)b->count * sizeof *b->names);
	b->params = arena_alloc(&a, (size_t)b->count * BULK_COLUMNS * sizeof *b->params);
	for (int i = 0; i < b->count; i++)
		b->names[i] = str_of(arena_printf(&a, "%.*s%d", (int)b->prefix.n, b->prefix.p, b->first + i));
	enum status status = bulk_ensure(s, &a, b);
	if (status == STATUS_OK)
		status = bulk_index_sellers(s, b);
	arena_release(&a);
	return status;
}

enum status users_ensure(struct service *s, struct str prefix, int count, enum user_kind kind, int64_t *ids)
{
	memset(ids, 0, (size_t)count * sizeof *ids);
	enum status status = STATUS_OK;
	for (int done = 0; status == STATUS_OK && done < count; done += BATCH) {
		struct bulk b = { .prefix = prefix,
				  .first = done + 1,
				  .count = count - done < BATCH ? count - done : BATCH,
				  .kind = kind,
				  .ids = ids + done };
		status = bulk_run(s, &b);
	}
	return status;
}
