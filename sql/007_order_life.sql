-- How an order ends: paid, cancelled or expired; and the way of its unit back to the sale. Only MariaDB can change a column or
-- an index conditionally, so the statements are chosen by the schema that exists.

-- Orders that wait for their payment. The drainers expire what is due, without looking at other orders.
CREATE TABLE IF NOT EXISTS unpaid_orders (
	coupon_id BIGINT NOT NULL,
	pay_by_ms BIGINT NOT NULL COMMENT 'as in orders',
	segment SMALLINT UNSIGNED NOT NULL,
	seq BIGINT NOT NULL,
	PRIMARY KEY (coupon_id, pay_by_ms, segment, seq),
	KEY unpaid_orders_due (pay_by_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Orders that are over, and whose customers are still owners in Redis. The drainers remove these owners, then these rows.
CREATE TABLE IF NOT EXISTS returned_orders (
	coupon_id BIGINT NOT NULL,
	segment SMALLINT UNSIGNED NOT NULL,
	seq BIGINT NOT NULL,
	user_id BIGINT NOT NULL,
	PRIMARY KEY (coupon_id, segment, seq)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What happened to an order after its row was inserted; only appended to. (The claim, and the row itself, are claimed_at_ms and
-- confirmed_at_ms of the order.) source is the id of a provider's message, so a repeated message adds no event.
CREATE TABLE IF NOT EXISTS order_events (
	id BIGINT NOT NULL AUTO_INCREMENT,
	coupon_id BIGINT NOT NULL,
	segment SMALLINT UNSIGNED NOT NULL,
	seq BIGINT NOT NULL,
	at_ms BIGINT NOT NULL COMMENT 'by the sale clock',
	kind TINYINT UNSIGNED NOT NULL COMMENT 'src/lifecycle/event.def',
	actor TINYINT UNSIGNED NOT NULL COMMENT '1 customer, 2 seller, 3 payment provider, 4 operator, 5 the service',
	reason VARBINARY(1020) NOT NULL DEFAULT '',
	source VARBINARY(128) NULL,
	PRIMARY KEY (id),
	UNIQUE KEY order_events_source (coupon_id, segment, seq, source)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Payments, under the provider's ids. coupon_id, segment and seq are of the order that the payment names; pays_segment and
-- pays_seq of the order, of the same coupon, that it pays. A payment that pays no order is to be refunded, unless a unit is still
-- being looked for (late).
CREATE TABLE IF NOT EXISTS payments (
	payment_id VARBINARY(128) NOT NULL,
	coupon_id BIGINT NOT NULL,
	segment SMALLINT UNSIGNED NOT NULL,
	seq BIGINT NOT NULL,
	amount BIGINT NOT NULL COMMENT 'in the smallest unit of the currency',
	currency VARBINARY(3) NOT NULL,
	refunded BIGINT NOT NULL DEFAULT 0 COMMENT 'the sum of its refunds',
	at_ms BIGINT NOT NULL COMMENT 'by the sale clock',
	pays_segment SMALLINT UNSIGNED NULL,
	pays_seq BIGINT NULL,
	late TINYINT UNSIGNED NULL COMMENT '1: came after the order was over, and a unit is looked for',
	refund_due BIGINT GENERATED ALWAYS AS
		(CASE WHEN pays_seq IS NULL AND late IS NULL AND refunded < amount THEN amount - refunded END) STORED,
	PRIMARY KEY (payment_id),
	KEY payments_order (coupon_id, segment, seq),
	KEY payments_pays (coupon_id, pays_segment, pays_seq),
	KEY payments_late (late),
	KEY payments_refund_due (refund_due)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A refund may be reported before its payment.
CREATE TABLE IF NOT EXISTS refunds (
	refund_id VARBINARY(128) NOT NULL,
	payment_id VARBINARY(128) NOT NULL,
	amount BIGINT NOT NULL,
	currency VARBINARY(3) NOT NULL,
	at_ms BIGINT NOT NULL COMMENT 'by the sale clock',
	PRIMARY KEY (refund_id),
	KEY refunds_payment (payment_id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- final, final_cancelled: totals, which only grow. held = amount - withdrawn - (final - final_cancelled) units may still come back.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
	AND table_name = 'coupons' AND column_name = 'hub_told') > 0, 'DO 0',
	'ALTER TABLE coupons
		ADD COLUMN final INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''units whose order was paid or confirmed, or that a dead letter holds, ever'',
		ADD COLUMN final_cancelled INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''of these, units that are not final any more'',
		ADD COLUMN hub_told TINYINT UNSIGNED NOT NULL DEFAULT 1 COMMENT ''0: the totals have changed since the hub got them'',
		ADD KEY coupons_hub_told (hub_told)');
PREPARE coupons_change FROM @change;
EXECUTE coupons_change;
DEALLOCATE PREPARE coupons_change;

-- Until now no order was paid: those that exist are confirmed, and their units final. The hub has not been told.
SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
	AND table_name = 'orders' AND index_name = 'orders_coupon_status') > 0, 'DO 0',
	'UPDATE coupons SET hub_told = 0, final = sold + (SELECT COUNT(DISTINCT segment, seq) FROM dead_letters WHERE
		coupon_id = coupons.id AND seq IS NOT NULL AND state NOT IN (1, 3)
		AND reason <> ''acknowledged, and lost by the servers that had it'') WHERE pay_within_s > 0');
PREPARE coupons_change FROM @change;
EXECUTE coupons_change;
DEALLOCATE PREPARE coupons_change;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
	AND table_name = 'orders' AND index_name = 'orders_coupon_status') > 0, 'DO 0',
	'UPDATE orders SET status = 5 WHERE status = 1');
PREPARE orders_change FROM @change;
EXECUTE orders_change;
DEALLOCATE PREPARE orders_change;

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
	AND table_name = 'orders' AND index_name = 'orders_coupon_status') > 0, 'DO 0',
	'ALTER TABLE orders
		DROP COLUMN unreleased,
		ADD KEY orders_coupon_status (coupon_id, status)');
PREPARE orders_change FROM @change;
EXECUTE orders_change;
DEALLOCATE PREPARE orders_change;
