"""A sale that is sold unit by unit, what every customer was told of it, and whether that still holds after a loss."""

import itertools
import json

from tap import comment, same, until


class Ledger:
    """A sale, its customers, and the orders that they were told."""

    def __init__(self, it, amount=60, segments=4, customers=100, **more):
        self.it, self.sale = it, it.sale(amount=amount, segments=segments, **more)
        self.users, self.told = it.users(customers), {}

    def sell(self, count, homes=None):
        """Sells a unit to so many more customers, whose home segments are in homes."""
        fresh = (u for u in self.users if u.id not in self.told and (homes is None or self.sale.home(u) in homes))
        for user in itertools.islice(fresh, count):
            answer = self.insist(user)
            assert answer.status in (200, 201), f"{answer}"
            self.told[user.id] = answer.json["order"]

    def insist(self, user):
        """Claims until there is an answer."""
        later = ("unavailable", "busy", "not-replicated", "outcome-unknown")
        return until(lambda: (a := self.sale.claim(user)).code not in later and a, 20, "an answer", every=0.02)

    def closed(self):
        """Claims get `fenced`, and /readyz names the sale."""
        fresh = [u for u in self.users if u.id not in self.told]
        until(lambda: self.sale.claim(fresh[0]).code == "fenced", 5, "the sale is closed")
        until(lambda: self.sale.title in self.it.ask("GET", "/readyz").expect(200).json["closed"], 5, "readyz names it")

    def recover(self, *options):
        done = self.it.ctl("--json", "recover", *options, self.sale.title)
        assert done.returncode == 0, f"recover: exit {done.returncode}\n{done.stdout}{done.stderr}"
        comment(done.stdout.strip())
        return json.loads(done.stdout)

    def keeps(self, lost=()):
        """Each customer who was told a number gets the same one again."""
        for user in self.users:
            if user.id in self.told and user.id not in lost:
                same(self.insist(user).expect(200).json["order"], self.told[user.id], f"the order of {user}")

    def sells_the_rest(self, held=0, lost=()):
        """Sells exactly the units that are left; then every unit is accounted for."""
        won = 0
        for user in self.users:
            if user.id not in self.told or user.id in lost:
                answer = self.insist(user)
                assert answer.status in (200, 201, 410), f"{answer}"  # 200: won by a claim that was not answered
                won += answer.status != 410
        kept = len([u for u in self.told if u not in lost])
        same(kept + won, self.sale.amount - held, "units sold")
        until(lambda: len(self.sale.rows()) == kept + won and self.sale.queued() == 0, 10, "all orders are in MySQL")
        self.balanced()

    def balanced(self):
        """Every unit is accounted for, from the slots and MySQL; the lists must be empty."""
        sale, redis, sql = self.sale, self.it.redis, self.it.sql
        numbers = range(sale.segments)
        parts = [{k: int(redis("HGET", sale.key("s", i), k)) for k in ("left", "sold", "I", "O", "base", "last", "term")}
                 for i in numbers]
        fields = redis("HGETALL", sale.key("hub"))
        hub = dict(zip(fields[::2], fields[1::2]))
        of = {kind: [int(hub[f"{kind}{i}"]) for i in numbers] for kind in "GRB"}
        total = {k: int(hub.get(k, 0)) for k in ("amount", "cancelled", "withdrawn", "skipped", "avail", "term")}
        units = total["amount"] + total["cancelled"] - total["withdrawn"] + total["skipped"]
        somewhere = sum(p["left"] + p["sold"] + g - p["I"] + p["O"] - r for p, g, r in zip(parts, of["G"], of["R"]))
        same(total["avail"] + somewhere, units, "units at the hub, in flight, left and sold")
        same([p["left"] for p in parts], [p["I"] - p["O"] - p["sold"] for p in parts], "left")
        cursors = {int(r[0]): (int(r[1]), int(r[2])) for r in
                   sql(f"SELECT segment, base, next_number FROM drain_cursors WHERE coupon_id = {sale.id}")}
        same([(p["base"], p["last"]) for p in parts], [(base, next - 1) for base, next in
                                                       (cursors.get(i, (0, 1)) for i in numbers)], "bases, last numbers")
        same(of["B"], [p["base"] for p in parts], "bases at the hub")
        assert all(p["term"] <= total["term"] for p in parts), f"terms {[p['term'] for p in parts]} of {total['term']}"
        held = sql(f"""SELECT segment, COUNT(*) FROM (SELECT segment, seq FROM orders WHERE coupon_id = {sale.id}
                       UNION SELECT segment, seq FROM dead_letters WHERE coupon_id = {sale.id} AND seq IS NOT NULL
                       AND state NOT IN (1, 3) AND reason NOT LIKE 'acknowledged, and lost%') n GROUP BY segment""")
        held = {int(row[0]): int(row[1]) for row in held}
        same([p["sold"] for p in parts], [held.get(i, 0) for i in numbers], "orders and held numbers of each segment")

    def dead(self, state="state"):
        rows = self.it.sql(f"SELECT segment, seq, reason FROM dead_letters WHERE coupon_id = {self.sale.id} AND state = {state}")
        return [(int(row[0]), row[1], row[2]) for row in rows]
