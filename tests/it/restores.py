#!/usr/bin/env -S python3 -B
"""MySQL, Redis or both are restored from backups of different ages, or lost, and `seckillctl recover --all` is run.

In each cell of the matrix the sale is recovered exactly, or it is closed and named: no order number is given twice, no
acknowledged order is lost while any copy has it, and a second recovery changes only generation, bases and term.

SECKILL_SOAK=1: every fault instead of some.
"""

import json
import os
import shutil
import subprocess

from ended import PAY_GRACE, cancel, settled, statuses
from harness import User, claims_of, main
from ledger import Ledger
from tap import case, pause, same, until

SOAK = os.environ.get("SECKILL_SOAK") == "1"
LATER = ("unavailable", "busy", "not-replicated", "outcome-unknown")


class World:
    """Sales in every state that a restore can meet, and the order number of each customer."""

    def __init__(self, it):
        self.it, self.told, self.sales, self.late = it, {}, {}, set()
        self.seller = it.account(it.name("shop"), "seller")
        self.customers = iter(it.users(200))
        for name, amount, segments in (("live", 40, 3), ("gone", 8, 2), ("more", 5, 2)):
            self.sales[name] = it.sale(self.seller, f"{self.seller.name}-{name}", amount=amount, segments=segments)
        for name, count in (("live", 6), ("gone", 3), ("more", 3)):
            self.sell(name, count)
        self.drain()
        self.old = self.copy("old")
        self.go_on()
        self.drain()
        self.recent = self.copy("recent")
        self.late = {("live", user) for user in self.sell("live", 4)}
        self.drain()

    def go_on(self):
        """Makes what the older backup lacks: orders, the end of a sale, units, a sale, its seller and a customer."""
        it = self.it
        self.sell("live", 5)
        self.sell("gone", 5)
        it.ask("PATCH", self.sales["more"].path + "/stock", self.seller, {"add": 5}).expect(200)
        self.sales["more"].amount = 10
        self.sell("more", 6)
        self.newcomer = it.account(it.name("newcomer"), "customer")
        self.sell("live", users=[self.newcomer])
        self.stranger = it.account(it.name("stranger"), "seller")
        self.sales["new"] = it.sale(self.stranger, self.stranger.name + "-new", amount=5, segments=2)
        self.sell("new", 4)
        self.ids = {u.id for u in (self.seller, self.newcomer, self.stranger)} | {s.id for s in self.sales.values()}

    def sell(self, name, count=None, users=None):
        users = users or [next(self.customers) for _ in range(count)]
        for user in users:
            answer = self.insist(name, user)
            self.told[name, user] = answer.won()
        return users

    def insist(self, name, user):
        return insist(self.sales[name], user)

    def drain(self):
        for sale in self.sales.values():
            sale.drained()

    def copy(self, name):
        """Backups of both stores at one moment."""
        to = self.it.run / name
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.it.run / "data/redis", to)
        dump = ["mariadb-dump", f"--defaults-file={self.it.run}/etc/mysql-owner.cnf", "--no-tablespaces",
                "--single-transaction", "seckill"]
        (to / "dump.sql").write_bytes(subprocess.run(dump, check=True, capture_output=True).stdout)
        return to


def insist(sale, user):
    return until(lambda: (a := sale.claim(user)).code not in LATER and a, 20, "an answer", every=0.02)


# Faults: each leaves the service running

def mysql_from(it, copy):
    it.dev("stop", "drain")
    it.sql("DROP DATABASE seckill; CREATE DATABASE seckill CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    subprocess.run(it.sql.command, input=(copy / "dump.sql").read_bytes(), check=True)
    it.dev("start", "drain")


def mysql_lost(it, copy):
    for part in ("drain", "cold", "auth", "mysql"):
        it.dev("stop", part)
    shutil.rmtree(it.run / "data/mysql")
    it.dev("start", "mysql")
    it.sql("DROP DATABASE seckill; CREATE DATABASE seckill CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    subprocess.run(it.sql.command, input=(copy / "dump.sql").read_bytes(), check=True)
    for part in ("cold", "auth", "drain"):
        it.dev("start", part)


def redis_from(it, copy=None):
    it.dev("stop", "redis", "-9")
    it.redis.close()
    shutil.rmtree(it.run / "data/redis")
    if copy:
        shutil.copytree(copy, it.run / "data/redis")
    else:
        (it.run / "data/redis").mkdir()
    it.dev("start", "redis")


def without_marks(it, restore):
    for part in ("nginx", "drain", "cold", "auth", "hot"):
        it.dev("stop", part)
    (it.run / "marks").unlink()
    restore()
    it.client.close()
    it.dev("start")


# name -> (the fault, does MySQL know the sale afterwards, are the last orders lost, are they named)
FAULTS = {
    "MySQL older": (lambda it, w: mysql_from(it, w.old), False, False),
    "MySQL a little older": (lambda it, w: mysql_from(it, w.recent), True, False),
    "Redis older": (lambda it, w: redis_from(it, w.old), True, False),
    "both older, MySQL more": (lambda it, w: (mysql_from(it, w.old), redis_from(it, w.recent)), False, True),
    "both older, Redis more": (lambda it, w: (mysql_from(it, w.recent), redis_from(it, w.old)), True, True),
    "both equally old": (lambda it, w: (mysql_from(it, w.recent), redis_from(it, w.recent)), True, True),
    "MySQL lost, restored from a dump": (lambda it, w: mysql_lost(it, w.old), False, False),
    "Redis lost": (lambda it, w: redis_from(it), True, False),
    "marks lost, Redis older": (lambda it, w: without_marks(it, lambda: redis_from(it, w.old)), True, False),
}
SHORT = ("MySQL older", "Redis older", "both older, MySQL more")


def recover(it, known):
    """Recovers all sales. Returns the output for each, without the generation, and for those that MySQL does not know."""
    done = it.ctl("--json", "recover", "--all")
    same(done.returncode, 0 if known else 1, f"exit of recover: {done.stdout}{done.stderr}")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted(({k: v for k, v in one.items() if k not in ("generation", "rescued", "renumbered", "refused", "unknown")}
                   for one in said), key=lambda one: json.dumps(one, sort_keys=True))


def dead_numbers(it, sale):
    rows = it.sql(f"SELECT segment, seq FROM dead_letters WHERE coupon_id = {sale.id} AND seq IS NOT NULL AND state = 0")
    return {f"{sale.id}-{row[0]}-{row[1]}" for row in rows}


def keeps(w, lost):
    """Every customer still has his order. The last orders are named as lost where every copy lost them."""
    it, numbers = w.it, {}
    for (name, user), number in w.told.items():
        if name == "new" and w.unknown:
            w.insist(name, user).expect(503, "fenced")
            continue
        if lost and (name, user) in w.late:
            assert number in dead_numbers(it, w.sales[name]), f"{number} of {user} is lost, and not named"
            continue
        answer = w.insist(name, user).expect(200)
        same(answer.json["order"], number, f"the order of {user} of {name}")
        numbers[number] = user
    return numbers


def sells_the_rest(w, numbers, held):
    """Every unit that is left can be sold, under numbers that no order had, and not one more."""
    ever = set(w.told.values())
    for name, sale in w.sales.items():
        if name == "new" and w.unknown:
            continue
        holds = sum(1 for number in numbers if number.startswith(f"{sale.id}-"))
        fresh = [next(w.customers) for _ in range(sale.amount - holds - (held if name == "live" else 0))]
        for user in fresh:
            number = w.insist(name, user).won()
            assert number not in ever, f"{number} was another's"
            ever.add(number)
        w.insist(name, next(w.customers)).expect(410, "sold-out")
        until(lambda: sale.queued() == 0, 15, "the lists are drained")


def balanced(w):
    """The audit finds only what an operator has to decide on: lost orders, and customers whom MySQL lost."""
    for name, sale in w.sales.items():
        if name == "new" and w.unknown:
            continue
        found = json.loads(w.it.ctl("--json", "audit", sale.title).stdout)[0]["problems"]
        wrong = [f for f in found if f["kind"] not in ("dead-letter", "unknown-user")]
        same(wrong, [], f"findings of {name}")


def unknown_sale(w, said):
    """The sale is closed, and named by recover, /readyz and audit. A new sale of its name is another coupon."""
    it, sale = w.it, w.sales["new"]
    named = [one for one in said if one.get("coupon") == sale.id]
    same([(one["known"], one["seller"], one["name"]) for one in named], [(False, w.stranger.name, sale.name)], "named")
    assert f"{sale.title} ({sale.id}, not in MySQL)" in it.ask("GET", "/readyz").expect(200).json["closed"], "not named by /readyz"
    everything = json.loads(it.ctl("--json", "audit").stdout)
    kinds = [f["kind"] for one in everything if one["id"] == sale.id for f in one["problems"]]
    same(kinds, ["unknown-coupon"], "what the audit of everything says")
    it.register(w.stranger.name, "seller").expect(201)
    token = it.log_in(w.stranger.name).expect(200).headers["Authorization"]
    again = User(w.stranger.name, claims_of(token)["sub"], token)
    assert again.id != w.stranger.id, "the seller's id came back"
    other = it.sale(again, sale.name, amount=5, segments=2)
    assert other.id != sale.id, "the sale's id came back"
    owners = [user for name, user in w.told if name == "new"]
    for user in owners + [next(w.customers)]:
        number = insist(other, user).won()
        assert number.startswith(f"{other.id}-") and number not in w.told.values(), number
    until(lambda: other.claim(next(w.customers)).code == "sold-out", 10, "sold out")
    for user in owners:  # the page of an old order is not another sale's
        it.ask("GET", f"/api/orders/{w.told['new', user]}", user).expect(404, "no-such-order")
    other.drained()


def nothing_comes_back(w):
    user, seller = w.it.account(w.it.name("fresh"), "customer"), w.it.account(w.it.name("fresh"), "seller")
    sale = w.it.sale(seller, amount=1)
    assert not {user.id, seller.id, sale.id} & w.ids, f"an id came back: {user.id}, {seller.id}, {sale.id}"
    same(w.it.ask("GET", f"{user.path}/orders", user).expect(200).json["data"], [], "orders of a new customer")


def cell(name):
    fault, known, lost = FAULTS[name]

    @case(f"{name}: recovered exactly, or quarantined and named")
    def _(it):
        w = World(it)
        w.unknown = not known
        fault(it, w)
        said = recover(it, known)
        numbers = keeps(w, lost)
        again = recover(it, known)
        same(again, said, "a second recovery")
        numbers = keeps(w, lost)
        sells_the_rest(w, numbers, held=len(w.late) if lost else 0)
        balanced(w)
        if w.unknown:
            unknown_sale(w, said)
        nothing_comes_back(w)
        forget(it)


def forget(it):
    """The next cells begin without the sales of the earlier ones."""
    it.dev("stop", "drain")
    it.sql("DELETE FROM orders; DELETE FROM drain_cursors; DELETE FROM dead_letters; DELETE FROM coupons; "
           "DELETE FROM unpaid_orders; DELETE FROM returned_orders; DELETE FROM order_events")
    keys = [key for key in it.redis.keys() if key.startswith(("sk:{", "sk:n:", "sk:s:"))]
    it.redis("DEL", "sk:closed", "sk:doubt", "sk:dirty", *keys)
    it.dev("start", "drain")


@case("MySQL lost a sale: with the next order that is drained it is closed and named, and its orders stay")
def closes_itself(it):
    w = World(it)
    mysql_from(it, w.old)
    sale, buyer = w.sales["new"], next(w.customers)
    number = w.insist("new", buyer).won()
    loser = next(w.customers)
    until(lambda: w.insist("new", loser).code == "fenced", 10, "it is closed")
    title = f"{sale.title} ({sale.id}, not in MySQL)"
    until(lambda: title in it.ask("GET", "/readyz").expect(200).json["closed"], 5, "/readyz names it")
    same(sale.queued(), 1, "orders on its lists")
    same(it.sql(f"SELECT * FROM dead_letters WHERE coupon_id = {sale.id}"), [], "dead letters")
    same(it.ctl("recover", sale.title).returncode, 1, "exit of a recovery of it alone")
    assert number not in [row for one in w.sales.values() for row in one.rows()], number
    mysql_from(it, w.recent)  # a better backup is found
    same(it.ctl("recover", "--all").returncode, 0, "exit of the recovery that knows it")
    same(w.insist("new", buyer).expect(200).json["order"], number, "the order")
    until(lambda: number in sale.rows(), 10, "its row")
    same(it.ask("GET", "/readyz").expect(200).json["closed"], [], "closed sales")
    forget(it)


@case("MySQL lost a sale, and Redis has no readable names of it: /readyz names its number, and stays 200")
def nameless(it):
    sale, other = it.sale(amount=3), it.sale(amount=3)
    it.sql(f"DELETE FROM coupons WHERE id = {sale.id}")
    it.redis("SET", sale.key("d"), "strange")
    it.redis("SADD", "sk:closed", f"{sale.id}:{sale.segments}", f"{other.id}:{other.segments}")
    same(sorted(it.ask("GET", "/readyz").expect(200).json["closed"]), sorted([other.title, f"?/? ({sale.id}, not in MySQL)"]), "closed sales")
    forget(it)


@case("MySQL lost a sale, and its name is sold anew before any recovery: the new sale sells all its units to anybody")
def same_name(it):
    w = World(it)
    old = w.sales["new"]
    w.sell("new", 1)
    old.drained()
    mysql_from(it, w.old)
    crowd = [next(w.customers) for _ in range(40)]
    for user in crowd:  # workers and nginx keep sold-out notices
        until(lambda: old.claim(user).code == "sold-out", 10, "sold out")
    new = it.sale(it.account(w.stranger.name, "seller"), old.name, amount=5, segments=2)
    assert new.id != old.id, new.id
    told = [insist(new, user).won() for user in crowd[:5]]
    assert all(number.startswith(f"{new.id}-") for number in told), told
    until(lambda: new.claim(crowd[5]).code == "sold-out", 10, "sold out")
    new.drained()
    new.audit()
    forget(it)


@case("MySQL has no coupons for a moment: sales that were closed for that open by themselves, with every order")
def empty_moment(it):
    w = World(it)
    it.sql("RENAME TABLE coupons TO kept; CREATE TABLE coupons LIKE kept")
    buyer = next(w.customers)
    number = w.insist("live", buyer).won()
    until(lambda: w.insist("live", buyer).code == "fenced", 10, "it is closed")
    it.sql("DROP TABLE coupons; RENAME TABLE kept TO coupons")
    same(until(lambda: (a := w.insist("live", buyer)).status == 200 and a, 20, "it is open again").json["order"], number, "order")
    until(lambda: number in w.sales["live"].rows(), 10, "its row")
    same(it.ask("GET", "/readyz").expect(200).json["closed"], [], "closed sales")
    w.sales["live"].audit()
    forget(it)


def age(it, sale, layout):
    """Brings the slots back to what programs before layout 2 left."""
    def set_fence(key):
        generation, run = it.redis("HGET", key, "fence").split(":")[1].split("@")
        it.redis("HDEL", key, "fence")
        it.redis("HSET", key, *(["fence", f"{generation}@{run}"] if layout else ["gen", generation]))
    for i in range(sale.segments):
        key = sale.key("s", i)
        it.redis("HSET", key, "n", it.redis("HGET", key, "last"))
        it.redis("HDEL", key, "last", "sold", "base", "term")
        set_fence(key)
    hub = sale.key("hub")
    it.redis("HDEL", hub, "withdrawn", "final", "final_cancelled", "term", "heard", *[f"B{i}" for i in range(sale.segments)])
    set_fence(hub)


@case("slots of earlier layouts: a recovery brings them to this layout, with every order; those of a stray are closed")
def old_layouts(it):
    for layout in (0, 1):
        books = Ledger(it, amount=20, segments=2, customers=30)
        sale, slots = books.sale, [books.sale.key("hub"), books.sale.key("s", 0), books.sale.key("s", 1)]
        books.sell(6)
        sale.drained()
        it.dev("stop", "drain")
        books.sell(3)
        age(it, sale, layout)
        found = books.recover()
        same((found["orders"], found["unknown"], found["available"]), (9, 0, 11), "orders, unknown, available")
        same([it.redis("HMGET", slot, "gen", "n") for slot in slots], [[None, None]] * 3, "fields of earlier layouts")
        it.dev("start", "drain")
        books.keeps()
        books.sells_the_rest()
        sale.audit()
        age(it, sale, layout)
        it.sql(f"DELETE FROM coupons WHERE id = {sale.id}")
        same(it.ctl("recover", sale.title).returncode, 1, "exit of a recovery of what MySQL does not know")
        same([it.redis("HMGET", slot, "gen", "n", "fence") for slot in slots], [[None, None, "2:2!stray"]] * 3, "closed")


@case("MySQL is restored from before the last step of a creation: the sale that Redis has is recovered")
def forgotten_publication(it):
    sale, user = it.sale(amount=3), it.customer()
    number = sale.win(user)
    sale.drained()
    it.sql(f"DELETE FROM orders WHERE coupon_id = {sale.id}; DELETE FROM drain_cursors WHERE coupon_id = {sale.id}; "
           f"UPDATE coupons SET published = 0, sold = 0 WHERE id = {sale.id}")
    same(it.ctl("recover", sale.title).returncode, 0, "exit of the recovery")
    same(insist(sale, user).expect(200).json["order"], number, "the order")
    same(list(sale.rows()), [number], "rows")
    sale.audit()


@case("MySQL lost added units: none of their orders becomes a dead letter, with or without a recovery")
def forgotten_units(it):
    sale, users = it.sale(amount=5, segments=2), it.users(12)
    for user in users[:2]:
        sale.win(user)
    sale.drained()
    dump = subprocess.run(["mariadb-dump", f"--defaults-file={it.run}/etc/mysql-owner.cnf", "--no-tablespaces", "seckill"],
                          check=True, capture_output=True).stdout
    (it.run / "dump.sql").write_bytes(dump)
    it.dev("stop", "drain")
    it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 5}).expect(200)
    for user in users[2:9]:
        sale.win(user)
    mysql_from(it, it.run)
    until(lambda: len(sale.rows()) == 9, 15, "nine rows")
    same(it.sql(f"SELECT * FROM dead_letters WHERE coupon_id = {sale.id}"), [], "dead letters")
    same(it.sql.number(f"SELECT amount FROM coupons WHERE id = {sale.id}"), 10, "units in MySQL")
    same(sale.read()["left"], 1, "units left")
    sale.audit()


# Orders that were over: MySQL has them live again, and their units may have been sold to others since.

def dump_mysql(it):
    dump = ["mariadb-dump", f"--defaults-file={it.run}/etc/mysql-owner.cnf", "--no-tablespaces", "--single-transaction", "seckill"]
    (it.run / "dump.sql").write_bytes(subprocess.run(dump, check=True, capture_output=True).stdout)


class Ended:
    """A sale that was sold out; three of its orders are over, and MySQL is to forget that."""

    def __init__(self, it, **more):
        self.it, self.sale, self.users = it, it.sale(amount=8, segments=2, **more), it.users(20)
        self.told = {user: self.sale.win(user) for user in self.users[:8]}
        self.sale.drained()
        dump_mysql(it)

    def end(self):
        self.over = self.users[:3]
        for user in self.over:
            cancel(self.it, self.told.pop(user))
        settled(self.it, self.sale)

    def sell(self, users):
        """Customers claim until the sale is closed; before that, each gets a unit for as long as one is left."""
        for user in users:
            answer = insist(self.sale, user)
            if answer.status in (200, 201):
                self.told[user] = answer.won()
            elif len(self.told) < self.sale.amount:
                answer.expect(503, "fenced")
            else:
                assert answer.code in ("sold-out", "fenced"), answer

    def closes(self):
        until(lambda: self.sale.title in self.it.ask("GET", "/readyz").json["closed"], 30, "it is closed")
        # A notice that it is sold out may be a second old.
        until(lambda: insist(self.sale, self.users[19]).code == "fenced", 5, "customers meet the closed sale")

    def recovers(self):
        """Nothing is sold twice: as many live orders as units, whoever was told of one has it, and the books balance."""
        found = [json.loads(self.it.ctl("--json", "recover", self.sale.title).stdout) for _ in range(2)][0]
        settled(self.it, self.sale)
        for user, number in self.told.items():
            same(insist(self.sale, user).expect(200).json["order"], number, f"the order of {user}")
        while (answer := insist(self.sale, fresh := self.it.customer())).status in (200, 201):
            self.told[fresh] = answer.won()
        assert answer.code in ("sold-out", "all-held"), answer
        self.sale.drained()
        live = self.it.sql.number(f"SELECT COUNT(*) FROM orders WHERE coupon_id = {self.sale.id} AND live_user IS NOT NULL")
        same(live, 8, "live orders")
        same(self.it.sql.number(f"SELECT sold FROM coupons WHERE id = {self.sale.id}"), 8, "sold")
        self.sale.audit()
        return found


@case("MySQL is restored to before orders were over, and their units were sold again: who has them keeps them")
def ended_and_sold(it):
    e = Ended(it)
    e.end()
    e.sell(e.users[8:11])
    e.sale.drained()
    mysql_from(it, it.run)
    e.closes()
    same(e.recovers()["refused"], 0, "orders without a unit")
    ended = it.sql(f"SELECT status, COUNT(*) FROM orders WHERE coupon_id = {e.sale.id} GROUP BY status ORDER BY status")
    same(ended, [["3", "3"], ["5", "8"]], "orders by status")
    for user in e.over:
        until(lambda: insist(e.sale, user).code == "sold-out", 10, "whose order was over has none")


@case("MySQL is restored to before orders were over, and their units wait to be sold: the sale is closed before one is sold twice")
def ended_and_left(it):
    e = Ended(it)
    e.end()
    it.dev("stop", "drain")
    e.sell(e.users[8:10])  # on their lists
    mysql_from(it, it.run)
    e.sell(e.users[10:13])
    e.closes()
    same(it.sql(f"SELECT reason FROM dead_letters WHERE coupon_id = {e.sale.id}"), [], "dead letters before the recovery")
    same(e.recovers()["refused"], 0, "orders without a unit")


@case("MySQL is restored to before orders were over, and Redis is lost: they are live again, and nothing is oversold")
def ended_and_lost(it):
    e = Ended(it)
    over = dict(e.told)
    e.end()
    mysql_from(it, it.run)
    redis_from(it)
    e.closes()
    e.told = over
    e.recovers()


@case("a hub knows of more orders that are over than there are, and a segment has lost owners: no order is cancelled for that")
def impossible_total(it):
    e = Ended(it)
    it.redis("HSET", e.sale.key("hub"), "cancelled", 900000000)
    e.closes()
    same(e.recovers()["refused"], 0, "orders without a unit")
    it.dev("stop", "drain")
    segment = e.sale.home(e.users[0])
    it.redis("HSET", e.sale.key("hub"), "cancelled", 2)
    it.redis("HDEL", e.sale.key("o", segment), e.users[0].id)
    it.dev("start", "drain")
    e.closes()
    e.recovers()
    same(statuses(it, e.sale), {5: 8}, "orders by status")


def expired_and_sold(it, pay_within):
    """A sale of which MySQL's copy is to forget that eight orders expired, and that four others were unpaid when the drainers
    stopped; None when the machine was too slow for that."""
    e = Ended(it, pay_within=pay_within)
    until(lambda: statuses(it, e.sale) == {4: 8}, 15 + pay_within, "they expire")
    e.told.clear()
    settled(it, e.sale)
    e.sell(e.users[8:12])
    e.sale.drained()
    it.dev("stop", "drain")
    if statuses(it, e.sale).get(4) == 8:
        return e
    it.dev("start", "drain")
    return None


@case("MySQL is restored to before unpaid orders expired: they expire again, once, and nothing is oversold")
def expired_again(it):
    e = expired_and_sold(it, 2) or expired_and_sold(it, 5) or expired_and_sold(it, 15)
    assert e, "four orders are sold and drained, and expire before the drainers stop"
    mysql_from(it, it.run)
    until(lambda: statuses(it, e.sale).get(4) == 8, 30, "they expire again")
    same(it.ctl("recover", e.sale.title).returncode, 0, "exit of the recovery")
    until(lambda: statuses(it, e.sale).get(4) == 12, 30, "the others expire, too")
    settled(it, e.sale)
    same(statuses(it, e.sale), {4: 12}, "orders by status, none twice")
    same(it.redis("HGET", e.sale.key("hub"), "cancelled"), "12", "units given back, by the hub")
    e.sale.audit()


for _name in FAULTS:
    if SOAK or _name in SHORT:
        cell(_name)


main(SECKILL_PASSWORD_COST=1, SECKILL_LOGIN_DELAY=0, **PAY_GRACE)
