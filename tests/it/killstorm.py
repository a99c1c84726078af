#!/usr/bin/env -S python3 -B
"""Kill storms: sales under load while everything around them dies, hangs and loses its connections, at random.

Each sale has customers, who ask until they know, or give up early and come back, and a seller, who adds units in the middle.
When it was struck often enough (killcases.py, which also reads IT_SEED and IT_SOAK_KILLS), the history checker, the audit, the
queues and the processes must all be clean.
"""

import itertools
import json
import random
import threading
import time

from client import LOST
from harness import main
from history import Final, History, Load, Supply, problems
from killcases import Storms
from tap import pause, same, until

USERS = 4000
LEASE_S = 1.25  # of a "sold out", with what clocks may be apart
LATER = {"busy", "unavailable", "outcome-unknown"}


class Storm:
    """A sale, its customers and its seller; proof() when the faults are over."""

    def __init__(self, it, dice, nemesis):
        self.it, self.over, self.doubtful = it, threading.Event(), []
        self.sale = it.sale(it.vendor, amount=dice.randint(200, 2000), segments=dice.choice([1, 2, 5, 16, 32, 64]))
        self.history = History(self.sale.amount)
        self.units = [dice.randint(1, 1 + self.sale.amount // 4) for _ in range(dice.choice([0, 0, 1, 2, 3]))]
        self.pace = dice.choice([0.002, 0.01, 0.03])
        self.early = dice.choice([0, 0.02, 0.2])  # the fraction of customers who give up before they are answered
        users = dice.sample(it.crowd, min(USERS, round(self.sale.amount * dice.uniform(0.8, 1.6))))
        self.threads = dice.randint(12, 24)
        parts = [(random.Random(dice.random()), users[i::self.threads]) for i in range(self.threads)]
        seller = random.Random(dice.random())
        self.load = Load(it.port, self.threads, parts, self._customers)
        self.seller = Load(it.port, 1, [seller], self._seller)

    def _customers(self, client, part):
        """A customer who cannot be served does not delay others; in the end everyone who asked gets an answer."""
        dice, users = part
        owed = {}
        for user in itertools.cycle(users):
            if self.over.is_set():
                break
            client.patience(dice.uniform(0.001, 0.3) if dice.random() < self.early else 20)
            if self.history.ask(self.sale, user, client).unknown:
                owed[user.id] = user
            else:
                owed.pop(user.id, None)
            pause(dice.uniform(0, 2 * self.pace), "the pace of the load")
        client.patience(20)
        for user in owed.values():
            self.history.insist(self.sale, user, client)

    def _seller(self, client, dice):
        """Adding is not safe to repeat: after a lost answer it is unknown whether the units count."""
        for units in self.units:
            if self.over.wait(dice.uniform(0.2, 3)):
                return
            start = time.monotonic()
            try:
                status = client.ask("PATCH", self.sale.path + "/stock", self.sale.seller, {"add": units}).status
            except LOST:
                status = None
            if status == 200:
                self.history.supplies.append(Supply(units, start, time.monotonic()))
            else:
                self.doubtful.append((units, start, status))

    def proof(self):
        """Checks every promise, and returns a summary of the sale."""
        self.over.set()
        self.seller.join()
        self.load.join()
        self._count_units()
        asked = {e.user for e in self.history.events}
        Load(self.it.port, 8, [u for u in self.it.crowd if u.id in asked],
             lambda client, user: self.history.insist(self.sale, user, client)).join()
        self.sale.drained(25)
        audit = self.it.ctl("--json", "audit", self.sale.title)
        same((audit.returncode, audit.stderr), (0, ""), f"the audit: {audit.stdout}")
        events = self.history.events
        found = problems(self.history, Final(self.sale.rows(), json.loads(audit.stdout)[0]))
        found += [("fenced", e) for e in events if e.status == 503 and e.code not in LATER]
        assert not found, f"{len(found)} broken:\n" + "\n".join(map(str, found[:20]))
        same(self.sale.queued(), 0, "orders that wait")
        return (f"{self.sale.amount} units and {sum(s.units for s in self.history.supplies)} more in {self.sale.segments} "
                f"segments, {len(asked)} customers on {self.threads} connections: {len(events)} claims, "
                f"{sum(e.status is None for e in events)} lost, {sum(e.status == 503 for e in events)} times 503, the "
                f"longest took {max(e.end - e.start for e in events):.1f} s")

    def _count_units(self):
        """MySQL has the units whose answer was lost; they are on sale once the hub has them."""
        def on_sale():
            amount = self.it.sql.number(f"SELECT amount FROM coupons WHERE id = {self.sale.id}")
            return int(self.it.redis("HGET", self.sale.key("hub"), "amount")) == amount and amount
        until(on_sale, 20, "all units of MySQL are on sale", every=0.1)
        pause(LEASE_S, "workers forget \"sold out\"")
        more = on_sale() - self.history.units()
        sums = {sum(some) for n in range(len(self.doubtful) + 1)
                for some in itertools.combinations([units for units, *_ in self.doubtful], n)}
        assert more in sums, f"{more} more units than acknowledged; in doubt: {self.doubtful}"
        if more:
            self.history.supplies.append(Supply(more, min(start for _, start, _ in self.doubtful), time.monotonic()))


Storms("a storm of faults", Storm, USERS)

if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
