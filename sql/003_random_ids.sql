-- Ids of users and coupons are random numbers that the program chooses. A counter would hand out ids a second time after
-- the database was restored from an older backup, while tokens, Redis and orders still name the first owners.

ALTER TABLE users MODIFY id BIGINT NOT NULL COMMENT '48 random bits; smaller ones were counted';
ALTER TABLE coupons MODIFY id BIGINT NOT NULL COMMENT '48 random bits; smaller ones were counted';
