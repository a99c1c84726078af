-- The program chooses ids of users and coupons at random. A counter would hand out ids a second time after the database was
-- restored from an older backup, while tokens, Redis and orders still name their first owners.

-- MySQL 8 refuses to change a column that a foreign key names while foreign keys are checked.
SET SESSION foreign_key_checks = 0;
ALTER TABLE users MODIFY id BIGINT NOT NULL COMMENT '48 random bits; smaller ones were counted';
ALTER TABLE coupons MODIFY id BIGINT NOT NULL COMMENT '48 random bits; smaller ones were counted';
SET SESSION foreign_key_checks = 1;
