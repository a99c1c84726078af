"""A coupon on sale: claiming its units, many at once, and proving afterwards that every promise was kept."""

import itertools
import threading
import time

from client import LOST, Client, quote
from stores import literal
from tap import pause, same, until

PATIENCE = 30  # seconds that a customer goes on asking
RANGE = 1 << 20  # bases of order numbers are multiples of it


class Outcome:
    """The answers to one customer: order numbers, or the codes of errors. There should be exactly one."""

    def __init__(self, user):
        self.user, self.orders, self.codes = user, set(), set()
        self.unanswered, self.refused = 0, []  # before the answer: broken connections, codes of 5xx
        self.began = self.ended = 0.0  # the first question, the first answer
        self.lock = threading.Lock()

    @property
    def order(self):
        return next(iter(self.orders), None)

    def note(self, answer):
        self.ended = self.ended or time.monotonic()
        if answer.status in (200, 201):
            self.orders.add(answer.json["order"])
        elif answer.status == 204 and answer.code == "already-claimed":
            self.orders.add(answer.headers["Seckill-Order"])
        else:
            self.codes.add(answer.code)


class Sale:
    def __init__(self, instance, seller, name, amount, location):
        self.instance, self.seller, self.name, self.amount, self.location = instance, seller, name, amount, location
        self.path = seller.path + "/coupons/" + quote(name)
        self.title = f"{seller.name}/{name}"
        id, segments = instance.sql("SELECT c.id, c.segments FROM coupons c JOIN users u ON u.id = c.seller_id WHERE "
                                    f"u.name = {literal(seller.name)} AND c.name = {literal(name)}")[0]
        self.id, self.segments = int(id), int(segments)

    # single requests

    def claim(self, user, client=None, unit=None):
        return (client or self.instance).ask("POST", self.path + "/claims", user, None if unit is None else {"unit": unit})

    def claim_compat(self, user, client=None):
        return (client or self.instance).ask("PATCH", self.path, user)

    def read(self, user=None):
        """The current page: nginx keeps public pages for a moment, by their whole URL."""
        return self.instance.ask("GET", f"{self.path}?{self.instance.name('now')}", user).expect(200).json

    def win(self, user, unit=None):
        """Claims a unit and returns the order's number."""
        return self.claim(user, unit=unit).expect(201).json["order"]

    # what the stores hold

    def key(self, kind, segment="h"):
        """kind: hub, d of the hub; s, o, q of a segment."""
        return "sk:{%s:%s}:%s" % (self.id, segment, kind)

    def queued(self):
        return sum(self.instance.redis("LLEN", self.key("q", i)) for i in range(self.segments))

    def claimed(self):
        return sum(int(self.instance.redis("HGET", self.key("s", i), "sold")) for i in range(self.segments))

    def rows(self):
        """Orders in MySQL: number -> user."""
        rows = self.instance.sql(f"SELECT coupon_id, segment, seq, user_id FROM orders WHERE coupon_id = {self.id}")
        return {"-".join(row[:3]): int(row[3]) for row in rows}

    def home(self, user):
        key = self.instance.redis("HGET", self.key("d"), "key").encode("utf-8", "surrogateescape")
        return siphash(key, user.id.to_bytes(8, "little")) % self.segments

    def drained(self, seconds=15):
        """Waits until every order is in MySQL, or a dead letter, and off the lists."""
        claimed = self.claimed()
        rows = (f"SELECT (SELECT COUNT(*) FROM orders WHERE coupon_id = {self.id}) + (SELECT COUNT(*) FROM dead_letters "
                f"WHERE coupon_id = {self.id} AND seq IS NOT NULL AND state NOT IN (1, 3))")
        until(lambda: self.queued() == 0 and self.instance.sql.number(rows) >= claimed, seconds,
              f"{claimed} orders of {self.title} in MySQL", every=0.03)

    def audit(self):
        done = self.instance.ctl("audit", self.title)
        assert done.returncode == 0, f"audit: exit {done.returncode}\n{done.stdout}{done.stderr}"

    # what inspections leave

    def begin_anew(self, segment=0):
        """Gives the segment a new base, in Redis and in MySQL, and returns it."""
        it = self.instance
        last, before = map(int, it.redis("HMGET", self.key("s", segment), "last", "base"))
        base = (last // RANGE + 1) * RANGE
        it.sql(f"INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES ({self.id}, {segment}, {base}, "
               f"{base + 1}) ON DUPLICATE KEY UPDATE base = {base}, next_number = {base + 1}; INSERT INTO number_ranges "
               f"(coupon_id, segment, base, count) VALUES ({self.id}, {segment}, {before}, {last - before}) "
               "ON DUPLICATE KEY UPDATE count = GREATEST(count, VALUES(count))")
        it.redis("HSET", self.key("s", segment), "base", base, "last", base)
        it.redis("HSET", self.key("hub"), f"B{segment}", base)
        return base

    def name_lost(self, *numbers, segment=0):
        """Before begin_anew(): names these numbers as lost; each holds a unit."""
        redis = self.instance.redis
        for number in numbers:
            redis("RPUSH", self.key("q", segment), f"{number}|?|1700000000000")
            redis("HINCRBY", self.key("s", segment), "sold", 1)
            redis("HINCRBY", self.key("s", segment), "left", -1)
            redis("HSET", self.key("s", segment), "last", number)

    # many customers

    def rush(self, users, connections=None, compat=False):
        """All these customers claim at once, and ask again for as long as they get no answer. Their outcomes."""
        crowd = Crowd(self, users, connections or len(users), compat)
        crowd.start()
        return crowd.join()

    def prove(self, outcomes):
        """Checks every promise after a rush of all customers."""
        winners, losers = [o for o in outcomes if o.order], [o for o in outcomes if not o.order]
        won = {o.order: o.user.id for o in winners}
        same(len(won), len(winners), "different order numbers")
        same(len(won), min(self.amount, len(outcomes)), "units sold")
        torn = [(o.user, o.orders, o.codes) for o in winners if len(o.orders) > 1 or o.codes]
        same(torn, [], "winners who were told one thing, then another")
        same([(o.user, o.codes) for o in losers if o.codes != {"sold-out"}], [], "answers besides won and sold out")
        for o in losers:  # "sold out" is true: as many claims as there are units had begun before it was said
            begun = sum(1 for w in winners if w.began < o.ended)
            assert begun >= self.amount, f"{o.user} was told sold out when {begun} of {self.amount} were claimed"
        self.drained()
        same(self.rows(), won, "orders in MySQL")
        same(self.read()["left"], self.amount - len(won), "units left")
        self.audit()

    def ask_again(self, outcomes):
        """A retry names the same order."""
        for o in outcomes:
            if o.order:
                same(self.claim(o.user).expect(200).json["order"], o.order, f"the order of {o.user}, asked again")


class Crowd:
    """Customers who claim on a number of connections; each asks until there is an answer.

    lasting: when all were answered they ask once more, round after round, until enough() is said.
    """

    def __init__(self, sale, users, connections, compat=False, lasting=False):
        self.sale, self.compat = sale, compat
        self.outcomes = [Outcome(user) for user in users]
        self.turns = itertools.cycle(self.outcomes) if lasting else iter(self.outcomes)
        self.least, self.asked, self.lasting = len(users), 0, lasting
        self.lock, self.gate = threading.Lock(), threading.Barrier(connections)
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(connections)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def enough(self):
        """Ends the rounds: customers without an answer still ask, the others do not."""
        self.lasting = False

    def join(self):
        self.enough()
        for thread in self.threads:
            thread.join(PATIENCE + 60)
            assert not thread.is_alive(), "a customer is still asking"
        return self.outcomes

    def _next(self):
        with self.lock:
            if self.asked >= self.least and not self.lasting:
                return None
            self.asked += 1
            return next(self.turns)

    def _work(self):
        client = Client(self.sale.instance.port)
        self.gate.wait()
        while outcome := self._next():
            with outcome.lock:
                self._insist(client, outcome)
        client.close()

    def _insist(self, client, outcome):
        claim = self.sale.claim_compat if self.compat else self.sale.claim
        began = time.monotonic()
        outcome.began = outcome.began or began
        while time.monotonic() < began + PATIENCE:
            try:
                answer = claim(outcome.user, client)
            except LOST:
                outcome.unanswered += 1
                pause(0.01, "the pace of a customer")
                continue
            if answer.status < 500:
                outcome.note(answer)
                return
            outcome.refused.append(answer.code)
            pause(0.01, "the pace of a customer")
        outcome.codes.add(f"no answer in {PATIENCE} s: {outcome.refused[-1:]}")


def siphash(key, data):
    """SipHash-2-4 (Aumasson, Bernstein 2012), as src/base/siphash.c."""
    mask = (1 << 64) - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(x, bits):
        return (x << bits | x >> (64 - bits)) & mask

    def rounds(count):
        for _ in range(count):
            v[0], v[2] = v[0] + v[1] & mask, v[2] + v[3] & mask
            v[1], v[3] = rotate(v[1], 13) ^ v[0], rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2], v[0] = v[2] + v[1] & mask, v[0] + v[3] & mask
            v[1], v[3] = rotate(v[1], 17) ^ v[2], rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    padded = data + b"\0" * (-(len(data) + 1) % 8) + bytes([len(data) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
