#!/usr/bin/env -S python3 -B
"""Losers are nearly free: workers answer them without Redis, nginx without a worker, and neither refuses a unit that is there."""

import threading
import time

from client import LOST
from harness import main
from losers import by_nginx, counts, crowd, grown, sold_out
from storm import kill
from tap import case, every, quick, same, until


@case("losers cost no call to Redis, and winners who ask again get their order")
def without_redis(it):
    sale, winners, losers = sold_out(it)
    crowd(sale, losers)
    before = counts(it)
    for user in losers:
        sale.claim(user).expect(410, "sold-out")
    same(grown(it, before, "scripts_total"), 0, "scripts for losers")
    same(grown(it, before, 'claims_total{end="sold-out"}'), len(losers), "losers counted")
    for user in winners:
        sale.claim(user).expect(200)


@case("a winner whose entry Redis had lost wins again at every worker, once the audit has repaired it")
def mended(it):
    sale, winners, losers = sold_out(it)
    sale.drained()
    homes = [sale.home(user) for user in winners]
    winner = next(user for user in winners if homes.count(sale.home(user)) > 1)  # the segment keeps another owner
    it.redis("HDEL", sale.key("o", sale.home(winner)), winner.id)
    crowd(sale, losers)
    sale.claim(winner).expect(410, "sold-out")
    it.ctl("audit", "--repair", "--yes", sale.title)
    same(it.ctl("audit", sale.title).returncode, 0, "exit of the next audit")
    crowd(sale, losers[:10])
    until(lambda: sale.claim(winner).status == 200, 2, "he is told his order")
    for _ in range(20):
        it.new_client().ask("POST", sale.path + "/claims", winner).expect(200)


@case("losers of the compat claim cost no worker; who sends no token, or an Idempotency-Key, is answered by one")
def without_worker(it):
    sale, winners, losers = sold_out(it)
    crowd(sale, losers, sale.claim_compat)
    until(lambda: by_nginx(it, sale, losers[0]), 3, "nginx answers alone")
    it.ask("PATCH", sale.path).expect(401)
    for user in winners:
        sale.claim(user).expect(200)
        sale.claim_compat(user).expect(204)
    before = counts(it)
    it.ask("PATCH", sale.path, losers[0], headers={"Idempotency-Key": "k"}).expect(204, "sold-out")
    same(grown(it, before, 'requests_total{class="2xx"}'), 2, "answers of workers")
    it.ask("GET", sale.path).expect(200)


@case("units are added: every request after the acknowledgement gets one, from every worker and through nginx")
def reopened(it):
    (sale, _, losers), took = sold_out(it, losers=80), []
    for _ in range(4):
        crowd(sale, losers[:20], sale.claim_compat)
        until(lambda: by_nginx(it, sale, losers[0]), 3, "nginx answers alone")
        began = time.monotonic()
        it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 10}).expect(200)
        took.append(time.monotonic() - began)
        lucky = [losers.pop() for _ in range(10)]
        for i, user in enumerate(lucky):
            (sale.claim_compat if i % 2 else sale.claim)(user, it.new_client()).expect(201)
    sale.drained()
    same(len(sale.rows()), 45, "orders")
    sale.audit()
    quick(max(took), 2, "the acknowledgement, which waits for a lease")


@case("units are added: a winner is not refused by a worker that has not noticed them yet")
def won_and_refused(it):
    sale, _, losers = sold_out(it, losers=60)
    for _ in range(4):
        crowd(sale, losers[:20])
        lucky, told, acknowledged = [losers.pop() for _ in range(8)], {}, threading.Event()

        def ask(user):
            answers, end = told.setdefault(user.id, []), None
            while end is None or time.monotonic() < end:
                client = it.new_client()  # now this worker, now that one
                answers.append(sale.claim(user, client).status)
                client.close()
                end = end or acknowledged.is_set() and time.monotonic() + 0.2 or None
        threads = [threading.Thread(target=ask, args=(user,)) for user in lucky]
        for thread in threads:
            thread.start()
        it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 8}).expect(200)
        acknowledged.set()
        for thread in threads:
            thread.join()
        for user in lucky:
            assert 201 in told[user.id], f"{user} has none: {set(told[user.id])}"
            same(set(told[user.id][told[user.id].index(201) + 1:]), {200}, f"answers to {user} after the order")


@case("units are added beside an addition that is not acknowledged yet: neither refuses anybody afterwards")
def reopened_twice(it):
    sale, _, losers = sold_out(it, losers=60)
    crowd(sale, losers[:20], sale.claim_compat)
    until(lambda: by_nginx(it, sale, losers[0]), 3, "nginx answers alone")
    epoch = it.redis("HGET", sale.key("hub"), "epoch")
    first = threading.Thread(target=lambda: it.new_client().ask("PATCH", sale.path + "/stock", sale.seller, {"add": 1}))
    first.start()
    until(lambda: it.redis("HGET", sale.key("hub"), "epoch") != epoch, 5, "the first has told the hub, and waits")
    it.new_client().ask("PATCH", sale.path + "/stock", sale.seller, {"add": 20}).expect(200)
    for user in losers[-20:]:
        sale.claim_compat(user).expect(201)
    first.join()


@case("units are added, and the seller's worker is killed before it opens the sale: customers get them all the same")
def opened_by_customers(it):
    sale, _, losers = sold_out(it, losers=30)
    crowd(sale, losers[10:])
    epoch = it.redis("HGET", sale.key("hub"), "epoch")

    def add():
        try:
            it.new_client().ask("PATCH", sale.path + "/stock", sale.seller, {"add": 10})
        except LOST:
            pass
    workers, seller = it.full("cold"), threading.Thread(target=add)
    seller.start()
    until(lambda: it.redis("HGET", sale.key("hub"), "epoch") != epoch, 5, "the hub was told of the units")
    kill(workers)
    same(it.redis("HGET", sale.key("hub"), "opening"), "1", "the hub is opening")
    for user in losers[:10]:
        until(lambda: sale.claim(user, it.new_client()).status in (200, 201), 10, "a unit")
    same(it.redis("HGET", sale.key("hub"), "opening"), "0", "the hub has opened")
    seller.join()
    sale.drained()
    sale.audit()


@case("workers that are gone leave nothing behind: within a second nginx refuses nobody any more")
def workers_die(it):
    sale, _, losers = sold_out(it)
    crowd(sale, losers, sale.claim_compat)
    until(lambda: by_nginx(it, sale, losers[0]), 3, "nginx answers alone")
    it.dev("stop", "hot", "-9")
    until(lambda: sale.claim_compat(losers[0]).status == 503, 1.1, "nginx no longer refuses")
    it.dev("start", "hot")
    until(lambda: sale.claim_compat(losers[0]).status == 204, 5, "workers answer again")


@case("a path has one reading: nginx and a worker mean the same sale, and answer alike, sold out or not")
def one_reading(it):
    name, other = it.name("read"), it.name("open")
    sale, _, losers = sold_out(it, name=name)
    fresh = it.sale(seller=sale.seller, name=other, amount=1000)
    users = iter(it.users(40))
    crowd(sale, losers, sale.claim_compat)
    until(lambda: by_nginx(it, sale, losers[0]), 3, "nginx answers alone")
    base = sale.seller.path + "/coupons/"

    def ask(path, user, key=None):
        sale.claim_compat(losers[1])  # somebody asks: the word is kept alive
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = it.ask("PATCH", path, user, headers=headers)
        return answer.status, answer.code

    def check(spelling, found):
        for target, status in ((name, (204, "sold-out")), (other, (201, None))):
            path = spelling.format(base=base, name=target, percent=f"%{ord(target[0]):02x}{target[1:]}",
                                   neighbour=fresh.name if target == name else name)
            by_worker = ask(path, losers[0] if target == name else next(users), "k")
            same(ask(path, losers[0] if target == name else next(users)), by_worker, f"{path}: by nginx, by a worker")
            same(by_worker, status if found else by_worker, path)
            assert found or by_worker[0] in (400, 404), f"{path}: {by_worker}"
    every([(spelling, True) for spelling in (
        "{base}{name}", "{base}{name}/", "{base}{name}//", "{base}{neighbour}/../{name}", "{base}./{name}", "/{base}{name}",
        "{base}{percent}", "{base}{name}/.", "{base}{name}?x=1", "{base}{name}/claims/..", "{base}{name}#x",
        "/api/%2e%2e{base}{name}")] +
        [(spelling, False) for spelling in (
            "{base}{name}%0a", "{base}{name}%0a/", "{base}{name}%20x%00", "{base}{name}%2f%2fx", "{base}{name}/../..",
            "{base}%0a{name}", "{base}{name}/x")], check)


@case("nginx finds markers of names of any kind, and none of another sale")
def names(it):
    def check(name):
        sale, _, losers = sold_out(it, amount=1, segments=1, losers=20, name=name)
        other = it.sale(seller=sale.seller, name=name + "2", amount=1)
        crowd(sale, losers, sale.claim_compat)
        until(lambda: by_nginx(it, sale, losers[0]), 3, "nginx answers alone")
        other.claim_compat(losers[0]).expect(201)
    every([("täglich",), ("a b",), ("50%",), ("claims",), ("{x}:1",), ("..x",), ("#?&",), ("\\",)], check)


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
