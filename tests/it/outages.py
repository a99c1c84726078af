#!/usr/bin/env -S python3 -B
"""Redis and MySQL are killed, hang, fill up and stay away: nothing acknowledged is lost, and all goes on by itself."""

import os
import re
import signal
import subprocess
import threading
import time

from harness import BUILD, POOLS, claims_of, main
from stores import Redis, RedisError
from storm import Storm, kill, steady
from tap import case, every, quick, same, until


def redis_dies(it):
    it.dev("stop", "redis", "-9")
    it.redis.close()


def all_workers(it):
    return [it.workers(part) for part in POOLS]


@case("Redis is killed twice and comes back: nothing that was acknowledged is lost")
def redis_killed(it):
    workers, storm = all_workers(it), Storm(it)
    for fraction in (0.2, 0.6):
        storm.reach(fraction)
        redis_dies(it)
        it.dev("start", "redis")
    storm.proof()
    same(all_workers(it), workers, "workers")


@case("MySQL is killed and comes back while orders are drained: no claim fails")
def mysql_killed(it):
    workers, storm = all_workers(it), Storm(it)
    storm.reach(0.3)
    it.dev("stop", "mysql", "-9")
    storm.reach(0.6)
    it.dev("start", "mysql")
    storm.proof()
    same(all_workers(it), workers, "workers")


@case("Redis and MySQL are killed at once")
def both_killed(it):
    storm = Storm(it)
    storm.reach(0.5)
    redis_dies(it)
    it.dev("stop", "mysql", "-9")
    it.dev("start", "redis", "mysql")
    storm.proof()


@case("a Redis that hangs: 503 in time, and the answers are right afterwards")
def redis_hangs(it):
    storm = Storm(it)
    storm.reach(0.2)
    redis = it.leader("redis")
    os.kill(redis, signal.SIGSTOP)
    try:
        began = time.monotonic()
        it.ask("GET", storm.sale.path).expect(503)
        took = time.monotonic() - began
    finally:
        os.kill(redis, signal.SIGCONT)
    storm.proof()
    quick(took, 3, "the answer")


@case("a Redis that hangs while more claims wait than its socket takes: every worker notices in time")
def redis_hangs_full(it):
    sale, tokens = it.sale(amount=60000, segments=4), it.run / "many"
    same(it.ctl("token", "--count", "60000", "--prefix", "many", "--out", str(tokens)).returncode, 0, "exit")
    load = subprocess.Popen([BUILD / "tests/load/load", f"http://127.0.0.1:{it.port}", sale.title, "--tokens", tokens,
                             "--connections", "3000"], stdout=subprocess.DEVNULL)
    until(lambda: sale.claimed() > 3000, 20, "many claim")
    redis, log = it.leader("redis"), it.run / "log/hot.log"
    before = log.read_text()
    os.kill(redis, signal.SIGSTOP)
    try:
        def noticed():
            return set(re.findall(r"redis_timeout pid=(\d+)", log.read_text()[len(before):])) == set(map(str, it.workers("hot")))
        until(noticed, 4, "every worker gives it up")
    finally:
        os.kill(redis, signal.SIGCONT)
        load.terminate()
        load.wait()
    until(lambda: it.ask("GET", sale.path).status == 200, 5, "it goes on")


@case("Redis is away: 503 and Retry-After, readiness names it, and it goes on without a restart")
def redis_away(it):
    sale, user, other = it.sale(amount=5), it.account(it.name("r"), "customer"), it.customer()
    leaver = it.customer()  # whose logout reaches Redis once it is back
    workers, order = all_workers(it), sale.win(user)
    sale.drained()
    redis_dies(it)
    coupon = {"name": "later", "amount": 5, "stock": 1, "description": ""}

    def away(method, path, who, body=None):
        began = time.monotonic()
        it.ask(method, path, who, body).expect(503)
        assert time.monotonic() - began < 3, "that took too long"
    every([("POST", sale.path + "/claims", user), ("POST", sale.path + "/claims", other), ("PATCH", sale.path, other),
           ("GET", sale.path, None), ("GET", sale.seller.path + "/coupons", user),
           ("GET", user.path + "/coupons", user), ("POST", sale.seller.path + "/coupons", sale.seller, coupon),
           ("POST", "/api/auth/logout", leaver), ("GET", "/api/time", None), ("GET", user.path + "/orders", user)], away)
    it.ask("GET", "/readyz").expect(503).names("Redis")
    it.ask("GET", "/healthz").expect(200)
    it.log_in(user.name).expect(200)
    it.dev("start", "redis")
    steady(it, sale)
    until(lambda: it.ask("GET", "/readyz").status == 200, 5, "ready again")
    again = until(lambda: (a := sale.claim(user)).status < 500 and a, 10, "the sale is inspected")
    same(again.expect(200).json["order"], order, "the order from before")
    sale.win(other)
    same(all_workers(it), workers, "workers")
    sale.drained()
    sale.audit()


@case("a coupon whose creation was cut short is not a finding, and the next request completes it")
def creation_cut_short(it):
    seller, body = it.seller(), {"name": "cut", "amount": 5, "stock": 1, "description": ""}
    it.ask("GET", seller.path + "/coupons", seller).expect(204)
    redis_dies(it)
    it.ask("POST", seller.path + "/coupons", seller, body).expect(503)
    it.dev("start", "redis")
    audit = it.ctl("audit")
    path = seller.path + "/coupons"
    for member in ({"amount": 6}, {"description": "another"}, {"segments": 4}, {"starts_at": "2090-01-01T00:00:00Z"}):
        it.ask("POST", path, seller, body | member).expect(400, "duplicate-coupon")
    until(lambda: it.ask("POST", path, seller, body).status == 201, 5, "the coupon is made")
    until(lambda: it.ask("GET", path + "/cut").status == 200, 5, "the coupon is read")
    same(it.ask("GET", path + "/cut").json["left"], 5, "units")
    same(len(it.ask("GET", path, seller).json["data"]), 1, "coupons")
    it.ask("POST", path, seller, body).expect(400, "duplicate-coupon")
    same((audit.returncode, audit.stderr), (0, ""), "the audit before it was finished")


@case("a coupon whose creation was cut short is finished by the first customer")
def creation_finished_by_customer(it):
    seller, body, user = it.seller(), {"name": "cut", "amount": 1, "stock": 1, "description": ""}, it.customer()
    redis_dies(it)
    it.ask("POST", seller.path + "/coupons", seller, body).expect(503)
    it.dev("start", "redis")
    claims = seller.path + "/coupons/cut/claims"
    until(lambda: it.ask("POST", claims, user).status in (200, 201), 5, "a claim")
    it.ask("POST", claims, it.customer()).expect(410, "sold-out")


@case("MySQL is away: claims go on, logins are 503; afterwards all is drained without a restart")
def mysql_away(it):
    sale, users, name = it.sale(amount=30, segments=4), it.users(40), it.name("m")
    it.account(name, "customer")
    workers = all_workers(it)
    steady(it, sale)
    it.dev("stop", "mysql", "-9")
    outcomes = sale.rush(users)
    same(sum(1 for o in outcomes if o.order), 30, "units won")
    same([o.refused for o in outcomes if o.refused], [], "refusals")
    sale.read(users[0])
    winner = next(o.user for o in outcomes if o.order)
    listed = it.ask("GET", winner.path + "/coupons", winner)
    same((listed.status, len(listed.json["data"])), (200, 1), "coupons won")
    assert "earlier are missing" in listed.json["errMsg"], listed
    it.log_in(name).expect(503)
    it.register(it.name("n"), "customer").expect(503)
    it.ask("GET", winner.path + "/orders", winner).expect(503)
    it.ask("PATCH", sale.seller.path + "/coupons/unknown", users[0]).expect(503)  # nobody can tell
    it.ask("GET", "/readyz").expect(503).names("MySQL")
    same(sale.queued(), 30, "orders that wait")
    it.dev("start", "mysql")
    until(lambda: it.ask("GET", "/readyz").status == 200, 10, "ready again")
    it.log_in(name).expect(200)
    sale.prove(outcomes)
    same(all_workers(it), workers, "workers")


@case("a logout while Redis or MySQL is away: 503, safe to repeat, and kept by both once they are back")
def logout_halfway(it):
    one, two, three = (it.account(it.name("leaver"), "customer") for _ in range(3))
    shop = it.seller().path + "/coupons"  # for the hot pool; orders are for the cold one

    def is_refused(user):
        return [it.ask("GET", path, user).status for path in (shop, user.path + "/orders")] == [401, 401]

    def has_row(user):
        return it.sql.number(f"SELECT COUNT(*) FROM revocations WHERE token_id = x'{claims_of(user.token)['jti']}'")
    it.dev("stop", "mysql", "-9")
    try:
        it.ask("POST", "/api/auth/logout", one).expect(503, "unavailable").names("retry")
        until(lambda: it.ask("GET", shop, one).status == 401, 3, "it is refused at once")
        until(lambda: it.ask("POST", "/api/auth/logout", one).code == "revoked-token", 3, "a second logout, too")
    finally:
        it.dev("start", "mysql")
    until(lambda: has_row(one), 20, "MySQL has it, too")
    redis_dies(it)
    try:
        it.ask("POST", "/api/auth/logout", two).expect(503, "unavailable").names("retry")
        it.ask("POST", "/api/auth/logout", two).expect(503, "unavailable")
        same((has_row(two), has_row(three)), (1, 0), "rows")
    finally:
        it.dev("start", "redis")
    until(lambda: is_refused(two), 20, "it is refused once Redis is back, though nobody asked again")
    it.ask("POST", "/api/auth/logout", three).expect(200)
    same(has_row(three), 1, "rows of the third")


@case("a full Redis: claims are 503, orders are still drained, and it goes on when there is room")
def redis_full(it):
    sale, users = it.sale(amount=20, segments=2), it.users(10)
    kill(it.workers("drain"), signal.SIGSTOP)
    try:
        orders = {sale.win(user): user.id for user in users[:6]}
        it.redis("CONFIG", "SET", "maxmemory", 1)
        sale.claim(users[6]).expect(503)
    finally:
        kill(it.workers("drain"), signal.SIGCONT)
    try:
        until(lambda: sale.queued() == 0, 15, "the lists are empty")
        same(sale.rows(), orders, "orders in MySQL")
    finally:
        it.redis("CONFIG", "SET", "maxmemory", 2**30)
    sale.win(users[6])
    sale.drained()
    sale.audit()


@case("a Redis that lost its data does not sell: a claim never creates keys")
def redis_empty(it):
    sale, users = it.sale(amount=3), it.users(2)
    sale.win(users[0])
    sale.drained()
    keys = [sale.key("hub"), sale.key("d")] + [sale.key(kind, i) for kind in "soq" for i in range(sale.segments)]
    it.redis("DEL", *keys)
    sale.claim(users[1]).expect(503, "fenced")
    sale.claim_compat(users[1]).expect(503, "fenced")
    sale.claim(users[0]).expect(503, "fenced")
    same(it.redis("EXISTS", *keys), 0, "keys made anew")
    done = it.ctl("audit", sale.title)
    same(done.returncode, 1, f"exit of the audit: {done.stdout}")


def is_busy(it):
    try:
        it.redis("PING")
    except RedisError as problem:
        return str(problem).startswith("BUSY")
    return False


@case("workers start while a script keeps Redis busy: they serve when it is over")
def busy_at_start(it):
    sale, users = it.sale(amount=4), it.users(4)
    it.redis("CONFIG", "SET", "busy-reply-threshold", 50)
    it.dev("stop", "hot")
    slow = threading.Thread(target=Redis(it.redis.path, it.redis.password), args=(
        "EVAL", "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 3 do end return 1", 0))
    slow.start()
    until(lambda: is_busy(it), 2, "Redis answers BUSY")
    it.dev("start", "hot")
    slow.join()
    it.redis("CONFIG", "SET", "busy-reply-threshold", 5000)
    for user in users:
        until(lambda: sale.claim(user).status in (200, 201), 5, "claims are answered again")
    other = it.sale(amount=1)
    until(lambda: other.claim(users[0]).status in (200, 201), 5, "and those of a coupon that is new")


@case("more orders wait for MySQL than may: 503 busy, nothing is lost, and it goes on when there is room")
def queue_full(it):
    it.environment["SECKILL_QUEUE_MAX"] = "16"
    it.dev("stop", "hot")
    it.dev("start", "hot")
    sale, users = it.sale(amount=40, segments=2), it.users(44)
    it.dev("stop", "drain")
    answers = [sale.claim(user) for user in users]
    won = [a for a in answers if a.status == 201]
    same(sale.queued(), len(won), "orders that wait")
    same({a.code for a in answers if a.status != 201}, {"busy"}, "the answers of the others")
    assert len(won) == 16, f"{len(won)} won, not 16"
    assert all("Retry-After" in a.headers for a in answers if a.status == 503), "no Retry-After"
    it.dev("start", "drain")
    outcomes = sale.rush(users, connections=8)
    sold = sum(1 for o in outcomes if o.order)
    same(sold, 40, "units sold")
    sale.drained()
    sale.audit()


if __name__ == "__main__":
    # With a reserve Redis is asked before the row of a coupon is committed, and a Redis that is away cuts no creation short.
    main(SECKILL_PASSWORD_COST=1, SECKILL_REDIS_TIMEOUT_MS=500, SECKILL_REDIS_RESERVE=0)
