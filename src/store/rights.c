#include "store/rights.h"

#include "host/log.h"

/*
 * A statement for each right that docker/grants.sql gives to a role (tests/repo/acl.sh compares them). The statements
 * are only prepared, never executed: the server checks rights when it prepares a statement.
 */
static const struct {
	enum rights role;
	const char *sql;
} needs[] = {
	{ RIGHTS_WORKERS,
	  "SELECT users.password, coupons.*, orders.*, drain_cursors.*, number_ranges.*, dead_letters.*, "
	  "revocations.* FROM users, coupons, orders, drain_cursors, number_ranges, dead_letters, "
	  "revocations, schema_migrations" },
	{ RIGHTS_WORKERS, "SELECT unpaid_orders.*, returned_orders.*, order_events.*, payments.*, refunds.* "
			  "FROM unpaid_orders, returned_orders, order_events, payments, refunds" },
	{ RIGHTS_WORKERS, "INSERT INTO revocations (token_id) VALUES ('')" },
	{ RIGHTS_WORKERS, "INSERT INTO users (name) VALUES ('')" },
	{ RIGHTS_WORKERS, "UPDATE users SET password = '' WHERE FALSE" },
	{ RIGHTS_WORKERS, "INSERT INTO coupons (name) VALUES ('')" },
	{ RIGHTS_WORKERS, "UPDATE coupons SET published = 0, amount = 0, sold = 0, cancelled = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "UPDATE coupons SET final = 0, final_cancelled = 0, hub_told = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "UPDATE orders SET status = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "INSERT INTO order_events (kind) VALUES (0)" },
	{ RIGHTS_WORKERS, "INSERT INTO payments (payment_id) VALUES ('')" },
	{ RIGHTS_WORKERS, "UPDATE payments SET refunded = 0, pays_segment = 0, pays_seq = 0, late = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "INSERT INTO refunds (refund_id) VALUES ('')" },
	{ RIGHTS_WORKERS, "DELETE FROM unpaid_orders WHERE FALSE" },
	{ RIGHTS_WORKERS, "INSERT INTO returned_orders (seq) VALUES (0)" },
	{ RIGHTS_WORKERS, "DELETE FROM returned_orders WHERE FALSE" },
	{ RIGHTS_WORKERS, "UPDATE coupons SET state = 0, state_version = 0, state_told = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "UPDATE coupons SET starts_at_ms = 0, ends_at_ms = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "UPDATE coupons SET description = '', price = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "UPDATE coupons SET withdrawn = 0, withdraw_asked = 0, withdraw_missed = 0 WHERE FALSE" },
	{ RIGHTS_WORKERS, "SELECT idempotency_keys.*, waiting_entries.* FROM idempotency_keys, waiting_entries" },
	{ RIGHTS_WORKERS, "INSERT INTO idempotency_keys (answer) VALUES ('')" },
	{ RIGHTS_DRAINERS,
	  "SELECT users.id, users.name, coupons.*, orders.*, drain_cursors.*, number_ranges.*, dead_letters.*, "
	  "revocations.*, schema_migrations.* FROM users, coupons, orders, drain_cursors, number_ranges, dead_letters, "
	  "revocations, schema_migrations" },
	{ RIGHTS_DRAINERS, "SELECT unpaid_orders.*, returned_orders.*, order_events.*, payments.*, refunds.* "
			   "FROM unpaid_orders, returned_orders, order_events, payments, refunds" },
	{ RIGHTS_DRAINERS, "UPDATE coupons SET sold = 0, generation = 0, published = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "UPDATE coupons SET amount = 0, cancelled = 0, withdrawn = 0, hub_term = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "UPDATE coupons SET final = 0, final_cancelled = 0, hub_told = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO revocations (token_id) VALUES ('')" },
	{ RIGHTS_DRAINERS, "DELETE FROM revocations WHERE FALSE" },
	{ RIGHTS_DRAINERS, "SELECT * FROM unpublished_coupons" },
	{ RIGHTS_DRAINERS, "DELETE FROM unpublished_coupons WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO orders (seq) VALUES (0)" },
	{ RIGHTS_DRAINERS, "UPDATE orders SET status = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO order_events (kind) VALUES (0)" },
	{ RIGHTS_DRAINERS, "UPDATE payments SET pays_segment = 0, pays_seq = 0, late = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO unpaid_orders (seq) VALUES (0)" },
	{ RIGHTS_DRAINERS, "DELETE FROM unpaid_orders WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO returned_orders (seq) VALUES (0)" },
	{ RIGHTS_DRAINERS, "DELETE FROM returned_orders WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO drain_cursors (segment) VALUES (0)" },
	{ RIGHTS_DRAINERS, "UPDATE drain_cursors SET next_number = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO number_ranges (base) VALUES (0)" },
	{ RIGHTS_DRAINERS, "UPDATE number_ranges SET count = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "INSERT INTO dead_letters (segment) VALUES (0)" },
	{ RIGHTS_DRAINERS, "UPDATE dead_letters SET state = 0, ended_at_ms = 0, end_reason = '' WHERE FALSE" },
	{ RIGHTS_DRAINERS, "UPDATE coupons SET state = 0, state_version = 0, state_told = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "UPDATE coupons SET starts_at_ms = 0, ends_at_ms = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "UPDATE coupons SET withdraw_asked = 0, withdraw_missed = 0 WHERE FALSE" },
	{ RIGHTS_DRAINERS, "SELECT seller_id, idempotency_key, at_ms, coupon_id FROM idempotency_keys" },
	{ RIGHTS_DRAINERS, "DELETE FROM idempotency_keys WHERE FALSE" },
	{ RIGHTS_DRAINERS, "SELECT * FROM waiting_entries" },
	{ RIGHTS_DRAINERS, "INSERT INTO waiting_entries (ticket) VALUES (0)" },
	{ RIGHTS_DRAINERS, "UPDATE waiting_entries SET state = 0 WHERE FALSE" },
};

const char *rights_name(enum rights role)
{
	return role == RIGHTS_WORKERS ? "workers" : "drainers";
}

const char *rights_problem(struct service *svc, struct arena *a, enum rights role, bool *away)
{
	*away = false;
	for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
		if (needs[i].role != role || !db_may(svc->db, needs[i].sql))
			continue;
		enum db_failure f = db_failure(svc->db);
		*away = f == DB_AWAY || f == DB_TRANSIENT;
		return *away ? NULL
			     : arena_printf(
				       a,
				       "the MySQL account '%s' lacks a right of the %s: %s; set mysql_user to their "
				       "account, or run grants.sql",
				       svc->conf->mysql_user, rights_name(role), db_error(svc->db));
	}
	return NULL;
}

bool rights_refused(struct service *svc, enum rights role, bool *away)
{
	struct arena a = { 0 };
	const char *problem = rights_problem(svc, &a, role, away);
	if (problem)
		log_error("account_refused", LOG_TEXT("problem", problem));
	arena_release(&a);
	return problem;
}
