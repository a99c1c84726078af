-- Tokens that were logged out and have not expired. The drainers complete Redis's set from these rows when Redis has lost
-- some, and remove expired rows.

CREATE TABLE IF NOT EXISTS revocations (
	token_id BINARY(8) NOT NULL COMMENT 'HEX() of it is the jti',
	expires_at_s BIGINT NOT NULL COMMENT 'exp, seconds since 1970 UTC',
	PRIMARY KEY (token_id),
	KEY revocations_expiry (expires_at_s)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
