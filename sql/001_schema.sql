-- The first schema, for MariaDB 10.11 and MySQL 8. Every statement can be repeated: DDL commits implicitly, so a migration that
-- was killed half-way is run again from its start.
--
-- Names, descriptions and records are VARBINARY: MariaDB's utf8mb4_bin ignores trailing spaces, but names are compared by
-- bytes. A name has at most 60 characters, which is 240 bytes of UTF-8.
-- Columns that end in _ms are milliseconds since 1970 UTC, as the scripts read Redis's clock; columns that no program reads
-- are DATETIME.

CREATE TABLE IF NOT EXISTS schema_migrations (
	version INT UNSIGNED NOT NULL,
	name VARBINARY(255) NOT NULL,
	applied_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	PRIMARY KEY (version)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS users (
	id BIGINT NOT NULL AUTO_INCREMENT,
	name VARBINARY(240) NOT NULL,
	kind TINYINT UNSIGNED NOT NULL COMMENT '1 customer, 2 seller',
	password VARBINARY(255) NOT NULL COMMENT 'as crypt(5) writes it; ! is a user who cannot log in',
	created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	PRIMARY KEY (id),
	UNIQUE KEY users_name (name),
	CONSTRAINT users_kind CHECK (kind IN (1, 2))
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- sold: the number of live orders. The drainer adds to it; cancelling an order takes one off and adds one to cancelled.
-- segments, hash_key: never change, because a customer's home segment must not move.
-- published: 0 until Redis has the coupon; distinguishes an unfinished creation from a sale.
CREATE TABLE IF NOT EXISTS coupons (
	id BIGINT NOT NULL AUTO_INCREMENT,
	seller_id BIGINT NOT NULL,
	name VARBINARY(240) NOT NULL,
	amount INT UNSIGNED NOT NULL COMMENT 'units on sale',
	stock BIGINT NOT NULL COMMENT 'face value, in the smallest unit of the currency',
	description VARBINARY(4096) NOT NULL,
	starts_at_ms BIGINT NOT NULL DEFAULT 0 COMMENT '0: at once',
	ends_at_ms BIGINT NOT NULL DEFAULT 0 COMMENT '0: never',
	segments SMALLINT UNSIGNED NOT NULL,
	pay_within_s INT UNSIGNED NOT NULL DEFAULT 0 COMMENT '0: no limit',
	hash_key BINARY(16) NOT NULL,
	generation INT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'fences off scripts from before a rebuild',
	sold INT UNSIGNED NOT NULL DEFAULT 0,
	cancelled INT UNSIGNED NOT NULL DEFAULT 0,
	published TINYINT UNSIGNED NOT NULL DEFAULT 0,
	created_at_ms BIGINT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE KEY coupons_seller_name (seller_id, name),
	CONSTRAINT coupons_seller FOREIGN KEY (seller_id) REFERENCES users (id),
	CONSTRAINT coupons_amount CHECK (amount BETWEEN 1 AND 1000000000),
	CONSTRAINT coupons_stock CHECK (stock >= 0),
	CONSTRAINT coupons_sold CHECK (sold <= amount),
	CONSTRAINT coupons_segments CHECK (segments BETWEEN 1 AND 256),
	CONSTRAINT coupons_window CHECK (ends_at_ms = 0 OR ends_at_ms > starts_at_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One live order per customer and coupon: live_user is NULL once the order is over, and a unique key admits many NULLs.
-- It is STORED, not virtual: one row format for both servers, and an index on a stored column purges reliably.
--
-- No foreign keys. To users: an acknowledged order must not be lost because its user is missing; it is kept, and the audit
-- reports orders of unknown users. To coupons: the check would take a shared lock on the coupon's row at every insert, and two
-- drainers of one coupon that both go on to write `sold` would always deadlock; that conditional update fails in the same
-- transaction if the coupon does not exist.
CREATE TABLE IF NOT EXISTS orders (
	coupon_id BIGINT NOT NULL,
	segment SMALLINT UNSIGNED NOT NULL,
	seq INT UNSIGNED NOT NULL,
	user_id BIGINT NOT NULL,
	status TINYINT UNSIGNED NOT NULL COMMENT '1 pending, 2 paid, 3 cancelled, 4 expired',
	claimed_at_ms BIGINT NOT NULL,
	confirmed_at_ms BIGINT NOT NULL,
	live_user BIGINT GENERATED ALWAYS AS (CASE WHEN status IN (1, 2) THEN user_id END) STORED,
	PRIMARY KEY (coupon_id, segment, seq),
	UNIQUE KEY orders_live_user (coupon_id, live_user),
	KEY orders_user_claimed (user_id, claimed_at_ms),
	CONSTRAINT orders_status CHECK (status BETWEEN 1 AND 4),
	CONSTRAINT orders_seq CHECK (seq >= 1)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Cursors: how far each segment is drained. Written in the transaction that inserts the orders.
CREATE TABLE IF NOT EXISTS drain_cursors (
	coupon_id BIGINT NOT NULL,
	segment SMALLINT UNSIGNED NOT NULL,
	next_seq INT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'everything below is committed or a dead letter',
	PRIMARY KEY (coupon_id, segment)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Records that cannot become orders, unchanged, for an operator to decide about. The digest (SHA-256 of the record) makes a
-- repeated batch harmless. seq is NULL if the record has no readable one.
CREATE TABLE IF NOT EXISTS dead_letters (
	id BIGINT NOT NULL AUTO_INCREMENT,
	coupon_id BIGINT NOT NULL,
	segment SMALLINT UNSIGNED NOT NULL,
	seq INT UNSIGNED NULL,
	record VARBINARY(4096) NOT NULL,
	digest BINARY(32) NOT NULL,
	reason VARBINARY(255) NOT NULL,
	at_ms BIGINT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE KEY dead_letters_record (coupon_id, segment, digest)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
