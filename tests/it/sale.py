"""A coupon on sale: claiming its units, many at once, and proving afterwards that every promise was kept."""

import threading
import time

from client import LOST, Client, quote
from stores import literal
from tap import same, until

PATIENCE = 30  # seconds that a customer goes on asking


class Outcome:
    """What one customer was told. order: the number, when they won; code: the reason, when not."""

    def __init__(self, user):
        self.user, self.order, self.code = user, None, None
        self.orders, self.unanswered, self.refused = set(), 0, []  # refused: the 503s and other 5xx on the way
        self.began = self.ended = 0.0


class Sale:
    def __init__(self, instance, seller, name, amount, location):
        self.instance, self.seller, self.name, self.amount, self.location = instance, seller, name, amount, location
        self.path = seller.path + "/coupons/" + quote(name)
        self.title = f"{seller.name}/{name}"
        id, segments = instance.sql("SELECT c.id, c.segments FROM coupons c JOIN users u ON u.id = c.seller_id WHERE "
                                    f"u.name = {literal(seller.name)} AND c.name = {literal(name)}")[0]
        self.id, self.segments = int(id), int(segments)

    # single requests

    def claim(self, user, client=None):
        return (client or self.instance).ask("POST", self.path + "/claims", user)

    def claim_course(self, user, client=None):
        return (client or self.instance).ask("PATCH", self.path, user)

    def read(self, user=None):
        return self.instance.ask("GET", self.path, user).expect(200).json

    def win(self, user):
        """Claims a unit and returns the order's number."""
        return self.claim(user).expect(201).json["order"]

    # what the stores hold

    def key(self, kind, segment="h"):
        """kind: hub, d of the hub; s, o, q of a segment."""
        return "sk:{%s:%s}:%s" % (self.id, segment, kind)

    def queued(self):
        return sum(self.instance.redis("LLEN", self.key("q", i)) for i in range(self.segments))

    def claimed(self):
        return sum(int(self.instance.redis("HGET", self.key("s", i), "n")) for i in range(self.segments))

    def rows(self):
        """Orders in MySQL: number -> user."""
        rows = self.instance.sql(f"SELECT coupon_id, segment, seq, user_id FROM orders WHERE coupon_id = {self.id}")
        return {"-".join(row[:3]): int(row[3]) for row in rows}

    def home(self, user):
        key = self.instance.redis("HGET", self.key("d"), "key").encode("utf-8", "surrogateescape")
        return siphash(key, user.id.to_bytes(8, "little")) % self.segments

    def drained(self, seconds=15):
        """Waits until every order is in MySQL and off the lists."""
        claimed = self.claimed()
        rows = f"SELECT COUNT(*) FROM orders WHERE coupon_id = {self.id}"
        until(lambda: self.queued() == 0 and self.instance.sql.number(rows) >= claimed, seconds,
              f"{claimed} orders of {self.title} in MySQL", every=0.03)

    def audit(self):
        done = self.instance.ctl("audit", self.title)
        assert done.returncode == 0, f"audit: exit {done.returncode}\n{done.stdout}{done.stderr}"

    # many customers

    def rush(self, users, connections=None, course=False):
        """All these customers claim at once, and ask again for as long as they get no answer. Their outcomes."""
        crowd = Crowd(self, users, connections or len(users), course)
        crowd.start()
        return crowd.join()

    def prove(self, outcomes):
        """After a rush of all who wanted one: everything that was promised to them."""
        won = {o.order: o.user.id for o in outcomes if o.order}
        same(len(won), sum(1 for o in outcomes if o.order), "different order numbers")
        same(len(won), min(self.amount, len(outcomes)), "units sold")
        same({o.code for o in outcomes if not o.order} - {"sold-out"}, set(), "other answers than won and sold out")
        same([o.user for o in outcomes if len(o.orders) > 1], [], "customers who got two order numbers")
        for o in outcomes:  # "sold out" is true: as many claims as there are units had begun before it was said
            if o.code == "sold-out":
                begun = sum(1 for w in outcomes if w.order and w.began < o.ended)
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
    """Customers who claim on a number of connections; each asks until there is an answer."""

    def __init__(self, sale, users, connections, course=False):
        self.sale, self.course = sale, course
        self.waiting = list(reversed(users))
        self.outcomes, self.lock = [], threading.Lock()
        self.gate = threading.Barrier(connections)
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(connections)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE + 60)
            assert not thread.is_alive(), "a customer is still asking"
        return self.outcomes

    def is_over(self):
        return not any(thread.is_alive() for thread in self.threads)

    def _work(self):
        client = Client(self.sale.instance.port)
        self.gate.wait()
        while True:
            with self.lock:
                if not self.waiting:
                    break
                outcome = Outcome(self.waiting.pop())
                self.outcomes.append(outcome)
            self._insist(client, outcome)
        client.close()

    def _insist(self, client, outcome):
        claim = self.sale.claim_course if self.course else self.sale.claim
        outcome.began = time.monotonic()
        while time.monotonic() < outcome.began + PATIENCE:
            try:
                answer = claim(outcome.user, client)
            except LOST:
                outcome.unanswered += 1
                time.sleep(0.01)
                continue
            outcome.ended = time.monotonic()
            if answer.status < 500:
                _note(outcome, answer)
                return
            outcome.refused.append(answer)
            time.sleep(0.01)
        outcome.code = f"no answer in {PATIENCE} s: {outcome.refused[-1:]}"


def _note(outcome, answer):
    if answer.status in (200, 201):
        outcome.order = answer.json["order"]
    elif answer.status == 204 and answer.code == "already-claimed":  # a first answer was lost
        outcome.order = answer.headers["Seckill-Order"]
    else:
        outcome.code = answer.code
    if outcome.order:
        outcome.orders.add(outcome.order)


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
