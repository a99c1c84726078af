-- What counting a seller's coupons reads, and what finds creations that were cut short. Neither server can add an index
-- only if it is missing, so the statement is chosen by what is there.

SET @change = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
	AND table_name = 'coupons' AND index_name = 'coupons_on_sale') > 0, 'DO 0',
	'ALTER TABLE coupons
		ADD KEY coupons_on_sale (seller_id, ends_at_ms, segments),
		ADD KEY coupons_created (seller_id, created_at_ms),
		ADD KEY coupons_published (published)');
PREPARE coupons_change FROM @change;
EXECUTE coupons_change;
DEALLOCATE PREPARE coupons_change;

-- The drainers delete creations that were cut short through this view, so that they need no right to delete a coupon.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW unpublished_coupons AS
	SELECT id, segments, created_at_ms FROM coupons WHERE published = 0;
