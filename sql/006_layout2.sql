-- Layout 2: order numbers come from ranges that this database hands out, so none is given twice, whatever Redis loses. Columns for
-- paying, cancelling, limits, waiting lists and pausing are added here, too, so that the many orders are rewritten only once. Only
-- MariaDB can add a column conditionally, so the statements are chosen by the schema that exists.

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
	AND table_name = 'orders' AND column_name = 'unit') > 0, 'DO 0',
	'ALTER TABLE orders
		DROP CONSTRAINT orders_status,
		MODIFY seq BIGINT NOT NULL COMMENT ''above the base of one of the segment''''s ranges'',
		MODIFY status TINYINT UNSIGNED NOT NULL COMMENT ''1 pending, 2 paid, 3 cancelled, 4 expired, 5 confirmed'',
		MODIFY live_user BIGINT GENERATED ALWAYS AS (CASE WHEN status IN (1, 2, 5) THEN user_id END) STORED,
		ADD COLUMN unit TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT ''which one of its customer and coupon'',
		ADD COLUMN promotion BIGINT NULL COMMENT ''of the waiting list'',
		ADD COLUMN pay_by_ms BIGINT NOT NULL DEFAULT 0 COMMENT ''0: any time'',
		ADD COLUMN unreleased TINYINT UNSIGNED NULL COMMENT ''1: over, and its unit is not on sale again yet'',
		DROP KEY orders_live_user,
		ADD UNIQUE KEY orders_live_unit (coupon_id, live_user, unit),
		ADD CONSTRAINT orders_status CHECK (status BETWEEN 1 AND 5)');
PREPARE orders_change FROM @change;
EXECUTE orders_change;
DEALLOCATE PREPARE orders_change;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
	AND table_name = 'dead_letters' AND index_name = 'dead_letters_seq') > 0, 'DO 0',
	'ALTER TABLE dead_letters
		MODIFY seq BIGINT NULL,
		ADD KEY dead_letters_seq (coupon_id, segment, seq)');
PREPARE letters_change FROM @change;
EXECUTE letters_change;
DEALLOCATE PREPARE letters_change;

-- The column is renamed so that a drainer of an earlier version fails: it would take every order of a range below the cursor
-- for committed, and trim it from its list.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
	AND table_name = 'drain_cursors' AND column_name = 'base') > 0, 'DO 0',
	'ALTER TABLE drain_cursors
		CHANGE next_seq next_number BIGINT NOT NULL DEFAULT 1 COMMENT ''of this base, everything below is committed or a dead letter'',
		ADD COLUMN base BIGINT NOT NULL DEFAULT 0 COMMENT ''the highest that was handed out''');
PREPARE cursors_change FROM @change;
EXECUTE cursors_change;
DEALLOCATE PREPARE cursors_change;

-- Ranges of a segment's earlier bases: base + 1 to base + count. The count is how many numbers are known to have been given out
-- when the segment got another base; it grows if later ones are found.
CREATE TABLE IF NOT EXISTS number_ranges (
	coupon_id BIGINT NOT NULL,
	segment SMALLINT UNSIGNED NOT NULL,
	base BIGINT NOT NULL,
	count BIGINT NOT NULL,
	PRIMARY KEY (coupon_id, segment, base)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
	AND table_name = 'coupons' AND column_name = 'hub_term') > 0, 'DO 0',
	'ALTER TABLE coupons
		ADD COLUMN hub_term BIGINT NOT NULL DEFAULT 0 COMMENT ''how often the hub has begun anew'',
		ADD COLUMN withdrawn INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''of amount, taken off sale again'',
		ADD COLUMN unit_limit TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT ''units of one customer'',
		ADD COLUMN price BIGINT NOT NULL DEFAULT 0 COMMENT ''in the smallest unit of the currency'',
		ADD COLUMN currency VARBINARY(3) NOT NULL DEFAULT '''' COMMENT ''ISO 4217'',
		ADD COLUMN late_payment TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT ''1: takes a unit that is left'',
		ADD COLUMN checkout_url VARBINARY(2048) NOT NULL DEFAULT '''',
		ADD COLUMN waiting_list TINYINT UNSIGNED NOT NULL DEFAULT 0,
		ADD COLUMN state TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''0 open, 1 paused, 2 ended, 3 archived'',
		ADD COLUMN state_version BIGINT NOT NULL DEFAULT 0');
PREPARE coupons_change FROM @change;
EXECUTE coupons_change;
DEALLOCATE PREPARE coupons_change;
