-- The end of a dead letter. Letters are never deleted: they account for sold units without a row.
-- Only MariaDB can add a column conditionally, so the statement is chosen by the schema that exists.

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
	AND table_name = 'dead_letters' AND column_name = 'state') > 0, 'DO 0',
	'ALTER TABLE dead_letters
		ADD COLUMN state TINYINT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''0 open, 1 became an order, 2 dropped, 3 its unit was sold again'',
		ADD COLUMN ended_at_ms BIGINT NULL,
		ADD COLUMN end_reason VARBINARY(255) NULL COMMENT ''why it was dropped'',
		ADD KEY dead_letters_state (state, id)');
PREPARE dead_letters_change FROM @change;
EXECUTE dead_letters_change;
DEALLOCATE PREPARE dead_letters_change;
