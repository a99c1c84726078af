#!/usr/bin/env -S python3 -B
"""A customer's list on a single server, where nothing is written for it: a win is there at once, once, and always."""

import contextlib
import itertools
import threading

import faultpoints
from client import Client
from harness import main
from storm import Paused, kill
from tap import case, every, pause, same, until

CUSTOMERS = 24


def data(it, user, kind, page=1):
    answer = it.ask("GET", f"{user.path}/{kind}?page={page}", user)
    return [] if answer.status == 204 else answer.expect(200).json["data"]


def orders(it, user, page=1):
    return [o["order"] for o in data(it, user, "orders", page)]


def coupons(it, user, page=1):
    return [c["name"] for c in data(it, user, "coupons", page)]


def partial(it, user):
    """The names of the coupons that are listed while MySQL is away."""
    answer = it.ask("GET", user.path + "/coupons", user)
    assert answer.status == 200 and "earlier are missing" in answer.json["errMsg"], answer
    return answer.json["data"]


def forget_lists(it):
    """Whatever Redis may have as a customer's list is not needed."""
    for key in it.redis("KEYS", "sk:u:*"):
        it.redis("DEL", key)


@contextlib.contextmanager
def without_drainers(it):
    it.dev("stop", "drain")
    try:
        yield
    finally:
        it.dev("start", "drain")


def one_win_each(it, users, **more):
    sale = it.sale(amount=len(users), **more)
    return sale, {user: sale.win(user) for user in users}


def shown(it, sale, won, status):
    def check(user, order):
        same([(o["order"], o["status"]) for o in data(it, user, "orders")], [(order, status)], f"orders of {user}")
        same(coupons(it, user), [sale.name], f"coupons of {user}")
    every(won.items(), check)


@case("24 customers win while no drainer runs: each sees the win at once, after a restart of Redis, and once it is drained")
def at_once(it):
    users = it.users(CUSTOMERS)
    with without_drainers(it):
        sale, won = one_win_each(it, users, segments=8)
        forget_lists(it)
        shown(it, sale, won, "queued")
        it.dev("stop", "redis", "-9")
        it.redis.close()
        it.dev("start", "redis")
        until(lambda: it.ask("GET", users[0].path + "/orders", users[0]).status == 200, 10, "Redis is back")
        shown(it, sale, won, "queued")
    sale.drained()
    shown(it, sale, won, "confirmed")


@case("MySQL is away: wins that wait are listed as coupons, with a word that older ones are missing; orders are 503")
def without_mysql(it):
    users, nobody = it.users(CUSTOMERS), it.customer()
    earlier, _ = one_win_each(it, users)
    earlier.drained()
    other = it.sale(amount=CUSTOMERS, segments=8, stock=7, description="é")
    it.dev("stop", "mysql", "-9")
    try:
        for user in users:
            other.win(user)
            forget_lists(it)
            same(partial(it, user), [{"name": other.name, "stock": 7, "description": "é", "seller": other.seller.name}],
                 f"coupons of {user}")
        same(partial(it, nobody), [], "coupons of one who has none that waits")
        it.ask("GET", users[0].path + "/orders", users[0]).expect(503, "unavailable")
    finally:
        it.dev("start", "mysql")
    until(lambda: coupons(it, users[0]) == [other.name, earlier.name], 10, "both coupons")
    same(it.ask("GET", users[0].path + "/coupons", users[0]).json["errMsg"], "", "the word")
    other.drained()
    it.ask("GET", nobody.path + "/coupons", nobody).expect(204)


@case("a drainer is killed between commit and trim: an order that is a row and on its list is shown once")
def committed_and_listed(it):
    users = it.users(CUSTOMERS)
    it.environment["SECKILL_DRAINERS"] = "1"  # nobody continues its work
    it.restart("drain")
    done = faultpoints.arm("drain_committed", "stall=600000")
    try:
        sale, won = one_win_each(it, users, segments=1)
        until(done, 10, "a drainer stands after its commit")
        rows = sale.rows()
        until(lambda: len(rows) > 0, 5, "rows")
        both = {user: order for user, order in won.items() if order in rows}
        assert both and it.redis("LLEN", sale.key("q", 0)) == CUSTOMERS, (rows, "the list is as long as before")
        forget_lists(it)
        shown(it, sale, both, "confirmed")
        shown(it, sale, {u: o for u, o in won.items() if u not in both}, "queued")
    finally:
        kill(it.workers("drain"))
        it.environment["SECKILL_DRAINERS"] = "2"
        it.restart("drain")
    sale.drained()
    shown(it, sale, won, "confirmed")


@case("rows and waiting orders together make pages: newest first, each once, also behind many waiting ones")
def pages(it):
    seller, user = it.seller(), it.customer()
    sales = [it.sale(seller, f"page{i:02}", segments=4) for i in range(70)]
    won = [sale.win(user) for sale in sales[:30]]
    until(lambda: it.sql.number(f"SELECT COUNT(*) FROM orders WHERE user_id = {user.id}") == 30, 10, "rows")
    with without_drainers(it):
        for sale in sales[30:]:
            pause(0.002, "orders of one millisecond have no order")
            won.append(sale.win(user))
        forget_lists(it)
        listed = [orders(it, user, n) for n in (1, 2, 3, 4, 5)]
        same([len(page) for page in listed], [20, 20, 20, 10, 0], "orders a page")
        same(sum(listed, [])[:40], won[:29:-1], "the newest")
        same(sorted(sum(listed, [])), sorted(won), "orders")
        names = [coupons(it, user, n) for n in (1, 2, 3, 4)]
        same(sum(names, [])[:40], [sale.name for sale in sales[:29:-1]], "the newest coupons")
        same(sorted(sum(names, [])), [sale.name for sale in sales], "coupons")
        it.ask("GET", user.path + "/coupons?page=5", user).expect(204)


@case("pages are the same while drainers move the orders that are on them")
def steady_pages(it):
    seller, user = it.seller(), it.customer()
    sales = [it.sale(seller, f"steady{i}") for i in range(45)]
    won, wrong, over = [], [], threading.Event()
    with Paused(it):
        for sale in sales:
            won.append(sale.win(user))
            pause(0.002, "orders of one millisecond have no order")
        wanted = [won[::-1][20 * n:20 * n + 20] for n in range(3)]

        def read(number):
            client = Client(it.port)
            while not over.is_set():
                answer = client.ask("GET", f"{user.path}/orders?page={number}", user).expect(200)
                if [o["order"] for o in answer.json["data"]] != wanted[number - 1]:
                    wrong.append((number, answer.json["data"]))
            client.close()
        readers = [threading.Thread(target=read, args=(n,), daemon=True) for n in (1, 2, 3, 2)]
        for one in readers:
            one.start()
    rows = f"SELECT COUNT(*) FROM orders WHERE user_id = {user.id}"
    until(lambda: it.sql.number(rows) == len(sales) and it.redis("SCARD", "sk:dirty") == 0, 20, "all rows")
    over.set()
    for one in readers:
        one.join(30)
    same(wrong[:2], [], "pages that were different")


@case("coupons won are those of orders that are not over; a coupon that was won again is there once")
def over(it):
    user = it.customer()
    sales = [it.sale(amount=2, pay_within=3600) for _ in range(3)]
    won = [sale.win(user) for sale in sales]
    for sale in sales:
        sale.drained()
    for sale, order in zip(sales[:2], won):
        it.ask("DELETE", f"/api/orders/{order}", user).expect(200)
    same(coupons(it, user), [sales[2].name], "while two are cancelled")
    sales[0].win(user)
    same(coupons(it, user), [sales[0].name, sales[2].name], "with the one that was won again")
    sales[0].drained()
    same(coupons(it, user), [sales[0].name, sales[2].name], "once it is in MySQL")
    for sale in (sales[0], sales[2]):
        it.sql(f"UPDATE orders SET status = 4 WHERE coupon_id = {sale.id}")
    it.ask("GET", f"{user.path}/coupons", user).expect(204)
    same(len(orders(it, user)), 4, "the orders are still listed")


@case("a coupon whose descriptor is gone from Redis hides no win")
def without_descriptor(it):
    user = it.customer()
    with without_drainers(it):
        sale = it.sale(amount=2, segments=8)
        order = sale.win(user)
        forget_lists(it)
        it.redis("DEL", sale.key("d"))
        same((orders(it, user), coupons(it, user)), ([order], [sale.name]), "what is listed")


@case("more coupons with waiting orders than a list may ask about: 503 that says so, and it ends by itself")
def too_many(it):
    user = it.customer()
    sale = it.sale(amount=1)
    order = sale.win(user)
    sale.drained()
    with without_drainers(it):
        it.redis("SADD", "sk:dirty", *(f"{i}:1" for i in range(1, 2001)))
        same(orders(it, user), [order], "at the limit")
        it.redis("SADD", "sk:dirty", "2001:1")
        for kind in ("orders", "coupons"):
            answer = it.ask("GET", f"{user.path}/{kind}", user).expect(503, "busy")
            assert "too many coupons" in answer.json["detail"], answer.json
    until(lambda: it.ask("GET", user.path + "/orders", user).status == 200, 15, "drainers tidy up")
    same(orders(it, user), [order], "afterwards")


@case("MySQL has lost an order, and all of another coupon: their sales are closed, and the wins are listed as queued")
def lost_by_mysql(it):
    user, seller = it.customer(), it.seller()
    kept, gone = it.sale(seller, segments=4), it.sale(it.seller(), segments=4)
    order = kept.win(user)
    kept.drained()
    with without_drainers(it):
        other = gone.win(user)
        it.sql(f"DELETE FROM orders WHERE coupon_id = {kept.id}; DELETE FROM coupons WHERE id = {gone.id}; "
               f"UPDATE coupons SET sold = 0 WHERE id = {kept.id}")
        it.redis("DEL", "sk:dirty")
        it.redis("SADD", "sk:closed", *(f"{sale.id}:4" for sale in (kept, gone)))
        forget_lists(it)
        same({(o["order"], o["status"]) for o in data(it, user, "orders")}, {(order, "queued"), (other, "queued")}, "orders")
        same(set(coupons(it, user)), {kept.name, gone.name}, "coupons")
        it.redis("DEL", "sk:closed")


class Customer(threading.Thread):
    """Wins one coupon after the other, and looks for each win in a list at once."""

    def __init__(self, it, user, sales):
        super().__init__(daemon=True)
        self.it, self.user, self.sales, self.missing, self.problem, self.wins = it, user, sales, [], None, 0

    def run(self):
        client = Client(self.it.port)
        try:
            for sale, (kind, field) in zip(self.sales, itertools.cycle((("orders", "order"), ("coupons", "name")))):
                order = sale.claim(self.user, client).expect(201).json["order"]
                wanted = order if kind == "orders" else sale.name
                answer = client.ask("GET", f"{self.user.path}/{kind}", self.user).expect(200)
                if wanted not in [one[field] for one in answer.json["data"]]:
                    self.missing.append((order, kind, answer.json))
                self.wins += 1
        except Exception as problem:
            self.problem = problem
        client.close()


@case("whoever has the answer of a claim finds the win in every list asked afterwards, while drainers run at full speed")
def always(it):
    seller, users = it.seller(), it.users(CUSTOMERS)
    sales = [it.sale(seller, f"always{i}", amount=CUSTOMERS, segments=(1, 4)[i % 2]) for i in range(125)]
    crowd = [Customer(it, user, sales[7 * i % 125:] + sales[:7 * i % 125]) for i, user in enumerate(users)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(120)
    same([one.problem for one in crowd if one.problem], [], "problems")
    same(sum(one.wins for one in crowd), CUSTOMERS * len(sales), "wins")
    same([one for c in crowd for one in c.missing][:3], [], "wins that a list did not show")
    until(lambda: it.redis("SCARD", "sk:dirty") == 0, 20, "all is drained")
    for one in crowd[:3]:
        listed = sum([orders(it, one.user, n) for n in range(1, 9)], [])
        same((len(listed), len(set(listed))), (125, 125), "orders, and different ones")


if __name__ == "__main__":
    faultpoints.build()
    main(SECKILL_DRAIN_IDLE_MS="1", **faultpoints.SETTINGS)
