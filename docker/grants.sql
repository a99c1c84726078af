-- The rights of the accounts, table by table; run by the owner after every migration, because a table or column must exist
-- first. Neither account may change the schema, or delete an order, a payment or an event. Both may end the wait for a payment,
-- and the drainers may delete expired logouts, and coupons whose creation was cut short, through a view that has no others. (They may also mark a coupon as published or not, so the view prevents
-- mistakes, not misuse of their password.)
--
-- seckill: the workers and seckillctl (but recover, dead retry, dead drop and audit --repair --yes).
GRANT SELECT ON seckill.* TO seckill@localhost;
GRANT INSERT, UPDATE (password) ON seckill.users TO seckill@localhost;
GRANT INSERT, UPDATE (published, amount, sold, cancelled, final, final_cancelled, hub_told) ON seckill.coupons TO seckill@localhost;
GRANT INSERT ON seckill.revocations TO seckill@localhost;
GRANT UPDATE (status) ON seckill.orders TO seckill@localhost;
GRANT INSERT ON seckill.order_events TO seckill@localhost;
GRANT INSERT, UPDATE (refunded, pays_segment, pays_seq, late) ON seckill.payments TO seckill@localhost;
GRANT INSERT ON seckill.refunds TO seckill@localhost;
GRANT DELETE ON seckill.unpaid_orders TO seckill@localhost;
GRANT INSERT, DELETE ON seckill.returned_orders TO seckill@localhost;
GRANT UPDATE (state, state_version, state_told, starts_at_ms, ends_at_ms) ON seckill.coupons TO seckill@localhost;
GRANT UPDATE (description, price, withdrawn, withdraw_asked, withdraw_missed) ON seckill.coupons TO seckill@localhost;
GRANT INSERT ON seckill.idempotency_keys TO seckill@localhost;

-- seckill_drain: the drainers, and these commands of seckillctl. It sees no password, and records no payment.
GRANT SELECT ON seckill.schema_migrations TO seckill_drain@localhost;
GRANT SELECT (id, name) ON seckill.users TO seckill_drain@localhost;
GRANT SELECT, UPDATE (sold, generation, amount, cancelled, withdrawn, published, hub_term) ON seckill.coupons TO seckill_drain@localhost;
GRANT UPDATE (final, final_cancelled, hub_told) ON seckill.coupons TO seckill_drain@localhost;
GRANT SELECT, INSERT, UPDATE (status) ON seckill.orders TO seckill_drain@localhost;
GRANT SELECT, INSERT ON seckill.order_events TO seckill_drain@localhost;
GRANT SELECT, UPDATE (pays_segment, pays_seq, late) ON seckill.payments TO seckill_drain@localhost;
GRANT SELECT ON seckill.refunds TO seckill_drain@localhost;
GRANT SELECT, INSERT, DELETE ON seckill.unpaid_orders TO seckill_drain@localhost;
GRANT SELECT, INSERT, DELETE ON seckill.returned_orders TO seckill_drain@localhost;
GRANT SELECT, INSERT, UPDATE ON seckill.drain_cursors TO seckill_drain@localhost;
GRANT SELECT, INSERT, UPDATE ON seckill.number_ranges TO seckill_drain@localhost;
GRANT SELECT, INSERT, UPDATE (state, ended_at_ms, end_reason) ON seckill.dead_letters TO seckill_drain@localhost;
GRANT SELECT, INSERT, DELETE ON seckill.revocations TO seckill_drain@localhost;
GRANT SELECT, DELETE ON seckill.unpublished_coupons TO seckill_drain@localhost;
GRANT UPDATE (state, state_version, state_told, starts_at_ms, ends_at_ms) ON seckill.coupons TO seckill_drain@localhost;
GRANT UPDATE (withdraw_asked, withdraw_missed) ON seckill.coupons TO seckill_drain@localhost;
GRANT SELECT (seller_id, idempotency_key, at_ms, coupon_id), DELETE ON seckill.idempotency_keys TO seckill_drain@localhost;
GRANT SELECT, INSERT, UPDATE (state) ON seckill.waiting_entries TO seckill_drain@localhost;
