-- Sales that their sellers steer, units of one customer, waiting lists, and keys against repeated requests. Only MariaDB can add
-- a column or an index conditionally, so the statement is chosen by the schema that exists.

-- withdraw_asked, withdraw_missed: totals, like withdrawn; a withdrawal is pending while asked > missed + withdrawn. state_told: 0
-- until every slot has the state of state_version and no withdrawal is pending. published: 2 once a coupon is archived.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
	AND table_name = 'coupons' AND column_name = 'state_told') > 0, 'DO 0',
	'ALTER TABLE coupons
		ADD COLUMN withdraw_asked BIGINT NOT NULL DEFAULT 0 COMMENT ''units that the seller has wanted back, ever'',
		ADD COLUMN withdraw_missed BIGINT NOT NULL DEFAULT 0 COMMENT ''of these, units that were not found'',
		ADD COLUMN state_told TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT ''0: not every slot has the state of state_version'',
		ADD KEY coupons_state_told (state_told)');
PREPARE coupons_change FROM @change;
EXECUTE coupons_change;
DEALLOCATE PREPARE coupons_change;

-- Which of its customer's units a returned order is, so that the right owner is removed.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
	AND table_name = 'returned_orders' AND column_name = 'unit') > 0, 'DO 0',
	'ALTER TABLE returned_orders
		ADD COLUMN unit TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT ''as in orders''');
PREPARE returned_change FROM @change;
EXECUTE returned_change;
DEALLOCATE PREPARE returned_change;

-- Requests of sellers that carry an Idempotency-Key, written in the transaction that does what they ask for.
CREATE TABLE IF NOT EXISTS idempotency_keys (
	seller_id BIGINT NOT NULL,
	idempotency_key VARBINARY(255) NOT NULL,
	digest BINARY(32) NOT NULL COMMENT 'SHA-256 of method, path and body',
	at_ms BIGINT NOT NULL,
	answer VARBINARY(32768) NOT NULL COMMENT 'what the request was answered',
	coupon_id BIGINT NOT NULL DEFAULT 0 COMMENT 'of a creation: with its row, this row is removed',
	PRIMARY KEY (seller_id, idempotency_key),
	KEY idempotency_keys_at (at_ms),
	KEY idempotency_keys_coupon (coupon_id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Entries of waiting lists, present and past, copied from the journal in Redis. Tickets are given in the order of joining.
CREATE TABLE IF NOT EXISTS waiting_entries (
	coupon_id BIGINT NOT NULL,
	ticket BIGINT NOT NULL,
	user_id BIGINT NOT NULL,
	unit TINYINT UNSIGNED NOT NULL DEFAULT 1,
	joined_at_ms BIGINT NOT NULL,
	state TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT '0 waiting, 1 promoted, 2 left, 3 ended with the sale',
	PRIMARY KEY (coupon_id, ticket),
	KEY waiting_entries_user (coupon_id, user_id, unit),
	KEY waiting_entries_state (coupon_id, state, ticket)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
