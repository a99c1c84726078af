#!/usr/bin/env -S python3 -B
"""What the stores answer is changed on its way (mutate.py) while a sale runs and everybody asks for everything.

No process ends or hangs, every request is answered; when it is over the service is whole again: what was hurt goes on,
or is closed and named, and a new sale is exact.

IT_SEED=n repeats the mutations, as far as the order of events does; IT_MUTATIONS=n: so many seconds of each store.
"""

import os
import random
import threading

from client import LOST, Client
from harness import PASSWORD, POOLS, main
from mutate import Packets, Proxy, Resp
from storm import SEED
from tap import case, comment, pause, same, until

SECONDS = float(os.environ.get("IT_MUTATIONS") or 4)
CUSTOMERS, CLIENTS, UNITS = 200, 32, 1_000_000
PATIENCE = 30 + SECONDS  # of one request: the sum of its time-outs
redis_proxy, mysql_proxy = Proxy(Resp, SEED), Proxy(Packets, SEED + 1)


class Everybody:
    """Clients that send every kind of request, from a table, until the end."""

    def __init__(self, it, sale, users):
        self.it, self.sale, self.users, self.over = it, sale, users, threading.Event()
        self.statuses, self.problems = {}, []
        self.threads = [threading.Thread(target=self._ask, args=(i,), daemon=True) for i in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), "a request is still not answered"

    def _ask(self, number):
        dice, client = random.Random(SEED + number), Client(self.it.port, PATIENCE)
        while not self.over.is_set():
            user, seller, path = dice.choice(self.users), self.sale.seller, self.sale.path
            method, where, who, body = dice.choice((
                ("POST", path + "/claims", user, None),
                ("POST", path + "/claims", user, None),
                ("POST", path + "/claims", user, None),
                ("PATCH", path, user, None),
                ("GET", f"{path}?{dice.random()}", dice.choice((user, seller)), None),
                ("GET", user.path + "/coupons", user, None),
                ("GET", seller.path + "/coupons", user, None),
                ("GET", user.path + "/orders", user, None),
                ("GET", f"/api/orders/{self.sale.id}-0-{dice.randrange(1, 9)}", user, None),
                ("PATCH", path + "/stock", seller, {"add": 1}),
                ("POST", seller.path + "/coupons", seller, {"name": f"m{number}-{dice.random()}", "amount": 1,
                                                            "stock": 1, "description": "x"}),
                ("POST", "/api/users", None, {"username": f"m{dice.random()}", "password": PASSWORD, "kind": "customer"}),
                ("POST", "/api/auth", None, {"username": user.name, "password": PASSWORD}),
                ("GET", "/api/time", None, None),
                ("GET", "/readyz", None, None),
                ("GET", "/metrics", None, None),
            ))
            self._note(client, method, where, who, body)
        client.close()

    def _note(self, client, method, where, who, body):
        try:
            answer = client.ask(method, where, who, body)
        except LOST as problem:
            self.problems.append(f"{method} {where}: {problem!r}")
            return
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1


def workers(it):
    return {part: it.full(part) for part in POOLS}


def mutate(it, proxy, rate):
    """Returns the sale that was under way."""
    sale, users, before = it.sale(amount=UNITS, segments=4), it.users(CUSTOMERS), workers(it)
    with Everybody(it, sale, users) as everybody:
        until(lambda: everybody.statuses.get(201), 10, "a claim is won")
        proxy.counts.clear()
        proxy.rate = rate
        pause(SECONDS, "how long answers are changed")
        proxy.sound()
    comment(f"IT_SEED={SEED}: {proxy.counts.total()} mutations {dict(proxy.counts)}")
    comment(f"answers {everybody.statuses}")
    same(everybody.problems, [], "requests without an answer")
    same(workers(it), before, "workers")
    it.client.close()  # nginx has closed the idle connection
    return sale


def whole(it):
    """Waits until every worker is ready, and returns the body of a worker that has asked both stores."""
    def ready():
        return all(it.new_client().ask("GET", "/readyz").status == 200 for _ in range(8))
    until(ready, 15, "the service is ready")
    return it.new_client().ask("GET", "/readyz").expect(200).json


def goes_on_or_is_named(it, sale):
    """A new customer's claim is decided, or the sale is quarantined and /readyz names it."""
    user = it.customer()

    def settled():
        answer = sale.claim(user)
        if answer.status < 500:
            return f"decided: {answer.status} {answer.code or ''}"
        return answer.code == "fenced" and sale.title in whole(it)["closed"] and "closed, and named"
    comment(until(settled, 20, "the sale goes on, or is named", every=0.05))
    sold, amount = map(int, it.sql(f"SELECT COUNT(*), MAX(c.amount) FROM orders o JOIN coupons c ON c.id = o.coupon_id "
                                   f"WHERE c.id = {sale.id}")[0])
    assert sold <= amount, f"{sold} of {amount} are sold"


def exact(it):
    """A new sale is not affected."""
    sale = it.sale(amount=40, segments=4)
    sale.prove(sale.rush(it.users(60), connections=20))


@case("Redis's answers are changed: no process ends, every request is answered, and the service recovers")
def redis(it):
    sale = mutate(it, redis_proxy, 0.03)
    whole(it)
    goes_on_or_is_named(it, sale)
    exact(it)


@case("MySQL's answers are changed: no process ends, every request is answered, and the service recovers")
def mysql(it):
    sale = mutate(it, mysql_proxy, 0.02)
    whole(it)
    goes_on_or_is_named(it, sale)
    exact(it)


def proxied(it):
    """Sets where the stores of this instance will be, before anything starts."""
    redis_proxy.target, mysql_proxy.target = it.run / "redis.sock", it.run / "mysql.sock"


if __name__ == "__main__":
    with redis_proxy, mysql_proxy:
        main(proxied, SECKILL_REDIS=f"unix:{redis_proxy.path}", SECKILL_MYSQL_SOCKET=str(mysql_proxy.path),
             SECKILL_PASSWORD_COST=1, SECKILL_REDIS_TIMEOUT_MS=200, SECKILL_MYSQL_TIMEOUT_S=1)
