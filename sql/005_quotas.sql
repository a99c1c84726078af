-- Indexes for counting a seller's coupons and for finding unfinished creations. Only MariaDB can add an index conditionally, so
-- the statement is chosen by the schema that exists.

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
	AND table_name = 'coupons' AND index_name = 'coupons_on_sale') > 0, 'DO 0',
	'ALTER TABLE coupons
		ADD KEY coupons_on_sale (seller_id, ends_at_ms, segments),
		ADD KEY coupons_created (seller_id, created_at_ms),
		ADD KEY coupons_published (published)');
PREPARE coupons_change FROM @change;
EXECUTE coupons_change;
DEALLOCATE PREPARE coupons_change;

-- The drainers delete unfinished creations through this view, so they need no right to delete a coupon.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW unpublished_coupons AS
	SELECT id, segments, created_at_ms FROM coupons WHERE published = 0;
