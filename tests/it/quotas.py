#!/usr/bin/env -S python3 -B
"""What a stranger may create, and where it ends: quotas of a seller, sellers by invitation, creations that were cut short."""

import contextlib
import json
import os
import pty
import subprocess
from concurrent.futures import ThreadPoolExecutor

from harness import BUILD, PASSWORD, main
from tap import case, every, same, until

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


@case("creations a minute: the next one is refused with the time to wait, and succeeds after it")
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
    has(1, amount=1000000000)  # on a single server
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


@case("Redis is away: nothing of a new coupon is left behind")
def redis_away(it):
    seller = it.seller()
    it.redis.close()
    it.dev("stop", "redis", "-9")
    try:
        create(it, seller).expect(503, "unavailable")
        same(count(it, seller), 0, "rows")
    finally:
        it.dev("start", "redis")
    until(lambda: create(it, seller).status == 201, 10, "the coupon is created")


@contextlib.contextmanager
def invited(it):
    it.environment["SECKILL_SELLERS"] = "invited"
    for pool in ("cold", "auth"):
        it.dev("stop", pool)
        it.dev("start", pool)
    try:
        yield
    finally:
        del it.environment["SECKILL_SELLERS"]
        for pool in ("cold", "auth"):
            it.dev("stop", pool)
            it.dev("start", pool)


def ctl(it, *words, password=""):
    return it.ctl(*words, input=password)


@case("sellers = invited: only an operator makes sellers; customers register as before")
def by_invitation(it):
    with invited(it):
        for kind in ("seller", "saler"):
            name = it.name("uninvited")
            it.register(name, kind).expect(403, "forbidden").names("seller")
            same(it.sql.number(f"SELECT COUNT(*) FROM users WHERE name = '{name}'"), 0, "rows")
        it.account(it.name("customer"), "customer")
        name = it.name("invited ☃")
        same(ctl(it, "user", "add", name, "--seller", password=PASSWORD + "\n").returncode, 0, "exit")
        token = it.log_in(name).expect(200).json["token"]
        it.ask("GET", f"/api/users/{name.replace(' ', '%20').replace('☃', '%E2%98%83')}/coupons",
               authorization=token).expect(204)


def typed(it, *words, typed):
    """Runs it with a terminal for its input, and says whether what is typed is seen there."""
    ours, its = pty.openpty()
    with subprocess.Popen([BUILD / "seckillctl", "-c", it.run / "seckill.conf", *words], stdin=its, stdout=its,
                          stderr=its, env=it.environment) as process:
        os.close(its)  # reading fails once the program has ended
        seen = b""
        while b"password: " not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, typed.encode() + b"\n")
        while b"new password" not in seen:
            seen += os.read(ours, 1000)
        same(process.wait(20), 0, "exit")
    os.close(ours)
    return typed.encode() in seen


@case("seckillctl user: accounts are made, listed, disabled and given a new password; wrong arguments change nothing")
def operators_accounts(it):
    name, other, file = it.name("made"), "another password", it.run / "tmp/password"
    same(ctl(it, "user", "add", name, "--customer", password=PASSWORD).returncode, 0, "without an end of line")
    same(it.log_in(name).expect(200).json["kind"], "customer", "kind")
    file.write_text(other + "\n")
    seller = it.name("made")
    same(ctl(it, "user", "add", seller, "--seller", "--password-file", file).returncode, 0, "with a file")
    same(it.log_in(seller, other).expect(200).json["kind"], "saler", "kind")
    users = it.sql("SELECT name, kind, password FROM users ORDER BY name")

    def refused(words, password, code, said):
        done = ctl(it, "user", *words, password=password)
        same((done.returncode, said in done.stderr), (code, True), f"exit {done.stderr!r}")
    every([(("add", name, "--seller"), PASSWORD, 1, "taken"),
           (("add", it.name("x"), "--seller"), "short", 1, "6 to 128"),
           (("add", it.name("x"), "--seller"), "", 1, "6 to 128"),
           (("add", "a/b", "--seller"), PASSWORD, 1, "name"),
           (("add", it.name("x"), "--seller", "--password-file", "/nonexistent"), "", 71, "/nonexistent"),
           (("add", it.name("x")), PASSWORD, 64, "usage"), (("add", "--seller"), PASSWORD, 64, "usage"),
           (("add", it.name("x"), "--seller", "--customer"), PASSWORD, 64, "usage"),
           (("add", it.name("x"), "--seller", "hunter2"), PASSWORD, 64, "usage"),
           (("password", "nobody has this"), PASSWORD, 1, "no such user"), (("disable", "nobody has this"), "", 1, "no such user"),
           (("fly",), "", 64, "usage"), ((), "", 64, "usage")], refused)
    same(it.sql("SELECT name, kind, password FROM users ORDER BY name"), users, "users")
    same(ctl(it, "user", "password", name, password=other).returncode, 0, "a new password")
    it.log_in(name).expect(401)
    it.log_in(name, other).expect(200)
    same(ctl(it, "user", "disable", name).returncode, 0, "disabled")
    it.log_in(name, other).expect(401)
    same(ctl(it, "user", "password", name, password=PASSWORD).returncode, 0, "enabled again")
    it.log_in(name).expect(200)
    same(typed(it, "user", "password", name, typed=other), False, "the password is shown on the terminal")
    it.log_in(name, other).expect(200)
    owner = it.seller()
    create(it, owner, segments=7).expect(201)
    create(it, owner, segments=2, ends_at="2099-01-01T00:00:00Z").expect(201)
    listed = ctl(it, "user", "list")
    line, = (line.split("\t") for line in listed.stdout.splitlines() if line.split("\t")[0] == owner.name)
    same((listed.returncode, line), (0, [owner.name, str(owner.id), "2", "9", "no"]), "the seller's line")
    lines = {line.split("\t")[0]: line for line in listed.stdout.splitlines()}
    same((seller in lines, name in lines), (True, False), "sellers are listed, customers are not")


@case("seckillctl quota: what a seller has used of each quota; sales that are over, by time or by their seller, do not count")
def use_of_quotas(it):
    seller = it.seller()

    def used():
        rows = json.loads(ctl(it, "--json", "quota", seller.name).stdout)
        lines = [line.split("\t") for line in ctl(it, "quota", seller.name).stdout.splitlines()]
        same([[row["quota"], str(row["used"]), str(row["limit"] or "no limit")] for row in rows], lines, "lines")
        return {row["quota"]: (row["used"], row["limit"]) for row in rows}
    limits = {"coupons_per_seller": COUPONS, "segments_per_seller": SEGMENTS, "creations_per_minute": A_MINUTE,
              "keys_per_seller": 0}
    same(used(), {name: (0, limit) for name, limit in limits.items()}, "of a seller without coupons")
    for segments in (7, 2, 3):
        create(it, seller, segments=segments).expect(201)
    it.ask("POST", seller.path + "/coupons", seller, COUPON | {"segments": 5}, headers={"Idempotency-Key": "k"}).expect(201)
    it.sql(f"UPDATE coupons SET ends_at_ms = 1, created_at_ms = 1 WHERE seller_id = {seller.id} AND segments = 7")
    it.sql(f"UPDATE coupons SET state = 2 WHERE seller_id = {seller.id} AND segments = 2")
    same(used(), {name: (count, limits[name]) for name, count in zip(limits, (2, 8, 3, 1))}, "used")
    every([(("nobody has this",), 1, "no such user"), ((it.customer().name,), 1, "customer"), ((), 64, "usage"),
           ((seller.name, seller.name), 64, "usage")],
          lambda words, code, said: same([(done.returncode, said in done.stderr) for done in [ctl(it, "quota", *words)]],
                                         [(code, True)], "refused"))


# Creations that were cut short

def cut_short(it, age_s, **more):
    """A sale as it is when its creation died right before it was published."""
    sale = it.sale(**more)
    it.sql(f"UPDATE coupons SET published = 0, created_at_ms = created_at_ms - {age_s * 1000} WHERE id = {sale.id}")
    for key in it.redis.keys():
        if key.startswith("sk:n:"):
            it.redis("HDEL", key, sale.title)
    it.redis("DEL", sale.key("d"))
    it.redis("DEL", f"sk:s:{{{sale.seller.id}}}")
    return sale


def traces(it, sale):
    """Its keys in Redis, its rows in MySQL."""
    return (sum(key.startswith(f"sk:{{{sale.id}:") for key in it.redis.keys()),
            it.sql.number(f"SELECT COUNT(*) FROM coupons WHERE id = {sale.id}"))


@case("a creation that was cut short is removed, row and keys, and no other; its name is free again")
def unpublished(it):
    old, fresh = cut_short(it, 601, segments=3), cut_short(it, 500, segments=3)
    published = it.sale(segments=3)
    it.sql(f"UPDATE coupons SET created_at_ms = 1 WHERE id = {published.id}")
    sold = cut_short(it, 601, segments=2)
    it.redis("HSET", sold.key("s", 1), "sold", 1)
    described = cut_short(it, 601, segments=2)
    it.redis("HSET", described.key("d"), "id", described.id)
    ordered = cut_short(it, 601, segments=2)
    it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
           f"VALUES ({ordered.id}, 0, 1, {it.customer().id}, 1, 1, 1)")
    kept = [fresh, published, sold, described, ordered]
    before = [traces(it, sale) for sale in kept]
    it.dev("stop", "drain")
    it.dev("start", "drain")
    until(lambda: traces(it, old) == (0, 0), 20, "the old one goes away")
    same([traces(it, sale) for sale in kept], before, "what the others have")
    same(create(it, old.seller, name=old.name).expect(201).status, 201, "its name")
    it.sql(f"DELETE FROM orders WHERE coupon_id = {ordered.id}")
    it.sql("DELETE FROM coupons WHERE published = 0")


if __name__ == "__main__":
    main(SECKILL_COUPONS_PER_SELLER=COUPONS, SECKILL_SEGMENTS_PER_SELLER=SEGMENTS, SECKILL_CREATIONS_PER_MINUTE=A_MINUTE,
         SECKILL_SEGMENTS_MAX=SEGMENTS_MAX, SECKILL_REDIS_RESERVE=20, SECKILL_PASSWORD_COST=1, SECKILL_COLD=4,
         SECKILL_KEYS_PER_SELLER=0)
