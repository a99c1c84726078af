"""Ways to reach the points of src/host/fault.def: sales in which a process passes one, and what must hold afterwards."""

import contextlib
import re
import signal
import subprocess
import threading
import time
from typing import NamedTuple

import harness
from client import LOST
from faultpoints import BUILD, arm, disarm
from history import History, Load, Supply, problems
from ledger import Ledger
from sale import Sale
from storm import Paused, dice
from tap import faster, happens, pause, same, until

CONNECTIONS = 8


class NotPassed(AssertionError):
    """No process passed the point."""


def put_on_sale(it, **more):
    if not hasattr(it, "vendor"):
        it.vendor = it.seller()
    return it.sale(it.vendor, **more)


def people(it, count):
    if not hasattr(it, "crowd"):
        it.crowd = it.users(1600)
    return dice.sample(it.crowd, count)


def skewed(it, sale, count, share=0.75):
    """So many customers; for that share of them the first segment is their home."""
    near, far = [], []
    wanted = count if sale.segments == 1 else round(count * share)
    for user in people(it, 1600):
        if len(near) == wanted and len(far) == count - wanted:
            break
        some, most = (far, count - wanted) if sale.home(user) else (near, wanted)
        if len(some) < most:
            some.append(user)
    same(len(near), wanted, "customers of the first segment")
    return dice.sample(near + far, count)


class Passage(NamedTuple):
    """The n-th time that one process passes the point, and what happens to it then: kill, or stall=MS."""
    point: str
    action: str
    n: int

    @property
    def kills(self):
        return self.action == "kill"


class Way:
    """A sale in which a point is passed. It is judged when everything that was done to it is over."""

    KILLED = 2        # passages that are killed, each in a sale of its own
    STALL_MS = 1000   # for how long a process stands still at its first passage
    SURE = 3          # passages that must come; others may come or not
    SALE = {"amount": 90, "segments": 3}
    DRAINERS_PAUSE = False  # until the fault can happen
    PATIENCE_S = 8          # within which a passage must come

    def __init__(self, it, passage):
        self.it, self.passage, self.load = it, passage, None
        self.what = f"{type(self).__name__} {passage.point}:{passage.action}:{passage.n}"

    def is_on(self, sale):
        self.sale, self.history = sale, History(sale.amount)

    def run(self, sure):
        """Raises NotPassed."""
        self.is_on(put_on_sale(self.it, **self.SALE))
        with Paused(self.it) if self.DRAINERS_PAUSE else contextlib.nullcontext():
            self.prepare()
            done = arm(*self.passage)
        self.begin()
        try:
            self._wait_for(done, sure)
        finally:
            disarm()
        self.go_on()

    def _wait_for(self, done, sure):
        """A passage that need not come has two seconds for it."""
        if not sure:
            if not happens(lambda: done() or self.act(), 2, every=0.02):
                raise NotPassed(f"{self.what}: not within 2 s")
            return
        try:
            until(lambda: done() or self.act(), self.PATIENCE_S, self.what, every=0.02)
        except AssertionError as problem:
            raise NotPassed(str(problem))

    # What a way does differently from others: before the fault can happen; from then on; again and again until it has
    # happened; and after it.

    def prepare(self):
        pass

    def begin(self):
        pass

    def act(self):
        pass

    def go_on(self):
        pass

    def settle(self):
        """When all faults of all sales are over. finish() follows when "sold out" is no longer repeated."""

    def finish(self):
        self.load.join()
        asked = {e.user for e in self.history.events}
        self.insist([user for user in self.it.crowd if user.id in asked])  # once more: the same answers

    def judge(self, final):
        """What is wrong."""
        return [f"{rule}: {text}" for rule, text in problems(self.history, final)]

    def end_lease(self):
        """Another drainer takes over what one that stands still is at."""
        if not self.passage.kills:
            self.it.redis("DEL", self.sale.key("l"))

    def start(self, users):
        """They all ask until they have an answer; finish() waits for that."""
        self.load = Load(self.it.port, CONNECTIONS, users, lambda c, user: self.history.insist(self.sale, user, c))

    def insist(self, users):
        self.start(users)
        self.load.join()

    def again(self, users):
        """They all ask once more, if they all were answered."""
        if not any(thread.is_alive() for thread in self.load.threads):
            self.insist(users)


# Claims, grants, returns and flags

def lose_grants(it, sale, segments):
    """The hub grants a unit or more to each, and the worker that was to carry it there has died."""
    script = re.sub(r"^#!.*", "", (harness.SOURCE / "lua/exchange.lua").read_text())
    fence = it.redis("HGET", sale.key("hub"), "fence")
    for i in segments:
        numbers = it.redis("HMGET", sale.key("s", i), "I", "O", "left", "base", "term")
        answer = it.redis("EVAL", script, 1, sale.key("hub"), fence, i, *numbers, 1, 0)
        if answer[0] != "GRANT":  # the hub has given all it had
            break
    assert i > segments[0], f"no grant was lost: {answer}"


class Selling(Way):
    """Most customers live where a few of the units are; grants to all other segments were lost on their way."""

    KILLED, STALL_MS = 3, 1500  # longer than a flag lasts
    SALE = {"amount": 48, "segments": 7}

    def prepare(self):
        share = 1 if self.passage.point in ("refill_missed", "refill_redelivered") else 0.75  # nobody else finds the grants
        self.users = skewed(self.it, self.sale, 60, share)
        lose_grants(self.it, self.sale, range(1, 7))

    def begin(self):
        self.start(self.users)

    def act(self):
        self.again(self.users)

    def go_on(self):
        if self.passage.kills:
            self.load.join()


class SellingTheLast(Selling):
    """The last unit is at the hub: if it is lost on its way there is no other."""

    KILLED, SURE = 1, 1
    SALE = {"amount": 2, "segments": 2}

    def prepare(self):
        self.users = skewed(self.it, self.sale, 7)
        self.insist([self.users.pop(next(i for i, user in enumerate(self.users) if self.sale.home(user) == 0))])


# More units

class Adding(Way):
    """A sale that was sold out gets more units, while those who were refused ask all the time."""

    KILLED, STALL_MS = 3, 400
    SALE = {"amount": 4, "segments": 3}

    def prepare(self):
        self.users, self.unknown_since, self.stop = skewed(self.it, self.sale, 18), None, threading.Event()
        self.insist(self.users)
        self.load = Load(self.it.port, 3, self.users, self.ask)

    def ask(self, client, user):
        while self.history.insist(self.sale, user, client).refused and not self.stop.wait(0.1):
            pass

    def act(self):
        """The seller adds one unit."""
        start = time.monotonic()
        try:
            self.it.ask("PATCH", self.sale.path + "/stock", self.sale.seller, {"add": 1}).expect(200)
            self.history.supplies.append(Supply(1, start, time.monotonic()))
        except (*LOST, AssertionError):
            self.unknown_since = start

    def amounts(self):
        """Units in MySQL, units of which the hub was told."""
        return (self.it.sql.number(f"SELECT amount FROM coupons WHERE id = {self.sale.id}"),
                int(self.it.redis("HGET", self.sale.key("hub"), "amount")))

    def settle(self):
        """Units whose adding was cut short are on sale a little later: nobody is refused from then on."""
        until(lambda: len(set(self.amounts())) == 1, 5, f"{self.what}: the hub is told")

    def finish(self):
        more = self.amounts()[0] - self.history.units()
        if more:
            self.history.supplies.append(Supply(more, self.unknown_since, time.monotonic()))
        until(lambda: len(self.history.winners()) == self.history.units(), 5, f"{self.what}: all units are won")
        self.stop.set()
        super().finish()


class FindingAdded(Adding):
    """Units are in MySQL and the hub was not told, as after a kill; drainers find them."""

    PATIENCE_S = 24  # drainers look once a second, one of them at a time

    def begin(self):
        self.unknown_since = time.monotonic()

    def act(self):
        if len(set(self.amounts())) == 1:
            self.it.sql(f"UPDATE coupons SET amount = amount + 1 WHERE id = {self.sale.id}")


# A new coupon

LATE = {"name": "late", "amount": 9, "stock": 1, "description": "", "segments": 3}


class Creating(Way):
    """Coupons are made until one is cut short; the seller asks again, or the first customer completes it."""

    KILLED, STALL_MS = 3, 400

    def run(self, sure):
        self.seller = self.it.seller()
        bodies = (LATE | {"name": f"c{i}"} for i in range(20))
        done = arm(*self.passage)
        try:
            (self.cut_short if self.passage.kills else self.overtaken)(bodies, done)
        finally:
            disarm()

    def cut_short(self, bodies, done):
        for body in bodies:
            answer = create(self.it, self.seller, body)
            if done():
                break
        else:
            raise NotPassed(f"{self.what}: not by {body['name']}")
        same(answer, None, f"{self.what}: the seller's answer")
        if self.passage.n % 2 == 0:
            public = self.it.sql(f"SELECT published FROM coupons WHERE seller_id = {self.seller.id} AND name = '{body['name']}'")
            create(self.it, self.seller, body).expect(400 if public == [["1"]] else 201)
        self.customers_come(body)

    def overtaken(self, bodies, done):
        """The seller's request stands still, and customers complete what it was at."""
        body = next(bodies)
        with self.it.asking("POST", self.seller.path + "/coupons", self.seller, body) as answers:
            until(lambda: done() or answers, 5, self.what)
            if not done():
                raise NotPassed(f"{self.what}: the seller was answered")
            self.customers_come(body)
        answers[0].expect(201)

    def customers_come(self, body):
        self.is_on(Sale(self.it, self.seller, body["name"], body["amount"], None))
        self.insist(people(self.it, 12))


def create(it, seller, body):
    """None: the request may have been cut short."""
    try:
        answer = it.ask("POST", seller.path + "/coupons", seller, body)
    except LOST:
        return None
    return None if answer.status >= 500 else answer


# Orders on their way to MySQL

class Draining(Way):
    """Drainers find orders of three segments at once, and then more of them one by one."""

    DRAINERS_PAUSE = True

    def prepare(self):
        users = skewed(self.it, self.sale, 80, share=0.4)
        self.insist(users[:27])
        self.later = iter(users[27:])

    def act(self):
        self.insist([next(self.later)])

    def go_on(self):
        self.end_lease()
        self.start(list(self.later)[:9])


class Returning(Way):
    """Orders are on the lists of segments that begin anew, because MySQL has handed out later bases meanwhile."""

    DRAINERS_PAUSE = True

    def prepare(self):
        self.users = skewed(self.it, self.sale, 50, share=0.4)
        self.insist(self.users[:40])
        self.it.sql("".join("INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES "
                            f"({self.sale.id}, {i}, {5 << 20}, {5 << 20} + 1);" for i in range(3)))

    def go_on(self):
        self.end_lease()
        self.start(self.users[40:])


class Burying(Way):
    """A sale with three records that are no orders, and three orders that MySQL refuses."""

    DRAINERS_PAUSE = True
    SALE = {"amount": 40, "segments": 3}

    def prepare(self):
        it, sale, users = self.it, self.sale, people(self.it, 27)
        self.garbage, self.refused = {"a", "b", "c"}, {user.id for user in users[:3]}
        self.foreign = {f"{sale.id}-200-{i}": user.id for i, user in enumerate(users[:3], 1)}
        it.sql("".join("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
                       f"VALUES ({order.replace('-', ', ')}, {user}, 1, 1, 1);" for order, user in self.foreign.items()))
        for i, record in enumerate(self.garbage):
            it.redis("RPUSH", sale.key("q", i), record)
        self.insist(users)

    def go_on(self):
        self.end_lease()

    def finish(self):
        until(lambda: self.sale.queued() == 0, 15, f"{self.what}: the lists are empty")

    def judge(self, final):
        orders = {e.order: e.user for e in self.history.events if e.user not in self.refused}
        letters = [r[0] for r in self.it.sql(f"SELECT record FROM dead_letters WHERE coupon_id = {self.sale.id}")]
        lost = [int(r.split("|")[1]) for r in letters if "|" in r]
        sold = self.it.sql.number(f"SELECT sold FROM coupons WHERE id = {self.sale.id}")
        got = (final.rows, sorted(r for r in letters if "|" not in r), sorted(lost), sold)
        wanted = (orders | self.foreign, sorted(self.garbage), sorted(self.refused), 24)
        return [] if got == wanted else [f"{got}, not {wanted}"]


class Inspecting(Way):
    """Redis has restarted. One drainer reads; another opens the slots, and units move between them at once."""

    SALE = {"amount": 48, "segments": 7}

    def prepare(self):
        self.users = skewed(self.it, self.sale, 60, share=1)
        self.insist(self.users[:3])
        self.it.dev("stop", "redis", "-9")
        self.it.redis.close()

    def begin(self):
        self.it.dev("start", "redis")

    def go_on(self):
        self.insist(self.users[3:40])
        if not self.passage.kills:
            pause(self.STALL_MS / 1000, "until it goes on with what it read before")
        self.start(self.users[40:])


class Recovering(Way):
    """A sale, half of it sold, is recovered as after a loss; that is cut short, and another recovery finishes it."""

    KILLED, STALL_MS, SURE = 1, 3000, 1
    SALE = {"amount": 48, "segments": 3}

    def run(self, sure):
        self.is_on(put_on_sale(self.it, **self.SALE))
        users = skewed(self.it, self.sale, 60, share=0.4)
        self.insist(users[:20])
        done = arm(*self.passage)
        self.first = recover(self.it, self.sale)
        until(lambda: done() or self.first.poll() is not None, 30, self.what)
        if not done():
            disarm()
            raise NotPassed(self.what)
        if self.passage.kills:
            same(self.first.wait(30), -signal.SIGKILL, f"{self.what}: its exit")
        else:  # without its lock another one need not wait
            name = f"'seckill.recover.{self.sale.id}'"
            self.it.sql(f"KILL {self.it.sql.number(f'SELECT IS_USED_LOCK({name})')}")
        same(recover(self.it, self.sale).wait(30), 0, f"{self.what}: the exit of the next one")
        self.start(users[20:])

    def settle(self):
        assert self.first.wait(30) != 0, f"{self.what}: it was overtaken, and says that all is well"


def as_owner(it):
    """Options for an account that may do everything, also kill its own connections."""
    return "-s", "mysql_user=seckill_owner", "-s", f"mysql_password_file={it.run}/etc/mysql-owner.password"


def recover(it, sale):
    """With patience for a busy disk: a recovery that meets a time-out leaves the rest to the next one."""
    words = [BUILD / "seckillctl", "-c", it.run / "seckill.conf", *as_owner(it), "-s", "redis_timeout_ms=8000",
             "recover", sale.title]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=it.environment)


# Recoveries that stand still while drainers inspect the sale

HELD_MS = 3000  # within which a recovery that has come to its point is stopped


def inspected_beside(it, points, servers, reopened=()):
    """A recovery stands still at each point; at those of `reopened` a failover has brought an open slot back."""
    ledgers = [Ledger(it, amount=12, segments=2, customers=16) for _ in points]
    for books in ledgers:
        books.sell(5)
        books.sale.drained()
    sales = [books.sale for books in ledgers]
    recoveries = []
    try:
        for sale, point in zip(sales, points):
            recoveries.append(hold_recovery(it, sale, point, point in reopened))
        change_nothing(it, sales, servers)
    finally:
        for one in recoveries:
            one.send_signal(signal.SIGCONT)
    ends = [69 if point in reopened else 0 for point in points]
    same([one.wait(30) for one in recoveries], ends, "exits; what is not done is left to the drainers")
    until(lambda: all("@" in fence for sale in sales for fence in fences(it, sale)), 20, "all slots are open")
    for books in ledgers:
        books.keeps()
        books.sells_the_rest()
        books.sale.audit()


def hold_recovery(it, sale, point, reopen):
    """It stands still until it is continued, however long the inspections take."""
    done, began = arm(point, f"stall={HELD_MS}"), time.monotonic()
    recovery = recover(it, sale)
    until(done, 10, f"{point} is passed")
    recovery.send_signal(signal.SIGSTOP)
    faster(time.monotonic() - began, HELD_MS / 1000, f"{point}: the recovery may have gone on before it was stopped")
    if reopen:
        generation = it.sql.number(f"SELECT generation FROM coupons WHERE id = {sale.id}")
        it.redis("HSET", sale.key("s", 1), "fence", f"2:{generation}@0123456789abcdef")
    return recovery


def fences(it, sale):
    return [it.redis("HGET", key, "fence") for key in (sale.key("hub"), *(sale.key("s", i) for i in range(sale.segments)))]


def change_nothing(it, sales, servers, rounds=15):
    """The drainers inspect each of these sales so often, without waiting a second for a lock, and change nothing."""
    def hubs_read():
        found = [re.search(r"cmdstat_hgetall:calls=(\d+)", server("INFO", "commandstats")) for server in servers]
        return sum(int(one[1]) for one in found if one)

    def state(sale):
        return it.sql.number(f"SELECT generation FROM coupons WHERE id = {sale.id}"), fences(it, sale)
    before, read = [state(sale) for sale in sales], hubs_read()
    for sale in sales:
        it.redis("SADD", "sk:doubt", f"{sale.id}:{sale.segments}")
    until(lambda: hubs_read() >= read + rounds * len(sales), 8, f"{rounds} inspections of {len(sales)} sales")
    same([state(sale) for sale in sales], before, "generations and fences")
    same(it.redis("SMEMBERS", "sk:closed"), [], "closed sales")
