#!/usr/bin/env -S python3 -B
"""What a stranger may create, and where it ends: quotas of a seller, sellers by invitation, creations that were cut short."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

from harness import main
from tap import case, same

COUPONS, SEGMENTS, A_MINUTE, SEGMENTS_MAX = 6, 40, 9, 20
COUPON = {"name": "tea", "amount": 1000, "stock": 1, "description": ""}


def create(it, seller, client=None, **more):
    return (client or it).ask("POST", seller.path + "/coupons", seller, COUPON | {"name": it.name("c")} | more)


def count(it, seller, what="COUNT(*)"):
    return it.sql.number(f"SELECT {what} FROM coupons WHERE seller_id = {seller.id}")


def end_all(it, seller):
    """The sales of a seller are over, and were created long ago."""
    it.sql(f"UPDATE coupons SET ends_at_ms = starts_at_ms + 1, created_at_ms = 1 WHERE seller_id = {seller.id}")


def quota(answer, name, value):
    """A refusal that names the quota and its value."""
    return answer.expect(429, "quota-exceeded").names(name).names(str(value))


@case("coupons on sale: as many as the quota, and the next is refused and leaves nothing; one that is over makes room")
def coupons_on_sale(it):
    seller = it.seller()
    bodies = [COUPON | {"name": f"tea{i}", "segments": 1} for i in range(COUPONS + 1)]
    for body in bodies[:COUPONS]:
        it.ask("POST", seller.path + "/coupons", seller, body).expect(201)
    keys = it.redis.keys()
    refused = quota(it.ask("POST", seller.path + "/coupons", seller, bodies[COUPONS]), "coupons_per_seller", COUPONS)
    same(refused.headers["Retry-After"], None, "Retry-After of a limit that may never end")
    same((count(it, seller), it.redis.keys()), (COUPONS, keys), "rows and keys")
    it.ask("POST", seller.path + "/coupons", seller, bodies[0]).expect(400, "duplicate-coupon")
    create(it, it.seller()).expect(201)
    it.sql(f"UPDATE coupons SET ends_at_ms = 1 WHERE seller_id = {seller.id} AND name = 'tea0'")
    it.ask("POST", seller.path + "/coupons", seller, bodies[COUPONS]).expect(201)
    quota(create(it, seller), "coupons_per_seller", COUPONS)


@case("segments of all coupons on sale: up to the quota, not one more")
def segments_in_all(it):
    seller = it.seller()
    create(it, seller, segments=20).expect(201)
    create(it, seller, segments=19).expect(201)
    quota(create(it, seller, segments=2), "segments_per_seller", SEGMENTS)
    create(it, seller, segments=1).expect(201)
    quota(create(it, seller, segments=1), "segments_per_seller", SEGMENTS)
    same(count(it, seller, "SUM(segments)"), SEGMENTS, "segments")
    end_all(it, seller)
    create(it, seller, segments=20).expect(201)


@case("creations a minute: the next one says how long to wait, and comes through when the minute is over")
def a_minute(it):
    seller = it.seller()
    for _ in range(A_MINUTE):
        create(it, seller).expect(201)
        it.sql(f"UPDATE coupons SET ends_at_ms = 1 WHERE seller_id = {seller.id}")
    refused = quota(create(it, seller), "creations_per_minute", A_MINUTE)
    same(int(refused.headers["Retry-After"]) in range(1, 61), True, f"Retry-After {refused.headers['Retry-After']}")
    it.sql(f"UPDATE coupons SET created_at_ms = created_at_ms - 60000 WHERE seller_id = {seller.id} "
           "ORDER BY created_at_ms LIMIT 1")
    create(it, seller).expect(201)
    quota(create(it, seller), "creations_per_minute", A_MINUTE)


@case("many creations of one seller at once, in several workers: exactly as many as the quota are made")
def at_once(it):
    for _ in range(3):
        seller = it.seller()
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: create(it, seller, it.new_client(), segments=1).status, range(24)))
        same(sorted(answers), [201] * COUPONS + [429] * (24 - COUPONS), "answers")
        same((count(it, seller), count(it, seller, "SUM(published)")), (COUPONS, COUPONS), "rows and published ones")


@case("a coupon has no more segments than units, nor than the installation allows")
def few_segments(it):
    def has(wanted, **more):
        seller = it.seller()
        create(it, seller, **more).expect(201)
        same(count(it, seller, "MAX(segments)"), wanted, f"segments of {more}")
    has(3, amount=3, segments=SEGMENTS_MAX)
    has(1, amount=1, segments=4)
    has(SEGMENTS_MAX, amount=SEGMENTS_MAX, segments=SEGMENTS_MAX)
    has(1, amount=9)
    has(16, amount=1000000000)
    for more in (SEGMENTS_MAX + 1, 256):
        create(it, it.seller(), segments=more).expect(400, "bad-field").names("segments").names(str(SEGMENTS_MAX))


@case("Redis is nearly full: nobody creates a coupon, and the sales that are there go on")
def reserve(it):
    sale, users = it.sale(amount=50), it.users(20)
    full = dict(line.split(":", 1) for line in it.redis("INFO", "memory").split("\r\n") if ":" in line)
    before = it.redis("CONFIG", "GET", "maxmemory")[1]
    it.redis("CONFIG", "SET", "maxmemory", int(int(full["used_memory"]) * 1.2))
    try:
        seller = it.seller()
        keys = it.redis.keys()
        answer = create(it, seller).expect(503, "unavailable").names("redis_reserve")
        same((count(it, seller), it.redis.keys(), int(answer.headers["Retry-After"]) > 1), (0, keys, True), "rows, keys")
        for user in users:
            sale.win(user)
    finally:
        it.redis("CONFIG", "SET", "maxmemory", before)
    create(it, seller).expect(201)


@contextlib.contextmanager
def invited(it):
    it.environment["SECKILL_SELLERS"] = "invited"
    it.dev("stop", "cold")
    it.dev("start", "cold")
    try:
        yield
    finally:
        del it.environment["SECKILL_SELLERS"]
        it.dev("stop", "cold")
        it.dev("start", "cold")


@case("sellers = invited: nobody registers as one; customers register as before")
def by_invitation(it):
    with invited(it):
        for kind in ("seller", "saler"):
            name = it.name("uninvited")
            it.register(name, kind).expect(403, "forbidden").names("seller")
            same(it.sql.number(f"SELECT COUNT(*) FROM users WHERE name = '{name}'"), 0, "rows")
        it.account(it.name("customer"), "customer")


if __name__ == "__main__":
    main(SECKILL_COUPONS_PER_SELLER=COUPONS, SECKILL_SEGMENTS_PER_SELLER=SEGMENTS, SECKILL_CREATIONS_PER_MINUTE=A_MINUTE,
         SECKILL_SEGMENTS_MAX=SEGMENTS_MAX, SECKILL_REDIS_RESERVE=20, SECKILL_PASSWORD_COST=1, SECKILL_COLD=4)
