"""./dev bench expiry: orders that expire at the same moment, beside a million that wait for their payment and beside claims.

Claims come at a fixed rate, with drainers running: alone; beside a million pending orders; and while a tenth of so many
expire in one second. An order's delay is the time from its claim to its row in MySQL.
"""

import threading
import time

from bench_cases import BUSY, enter
from bench_rig import cpu_us
from growth import STRANGER
from report import judged
from tap import pause, until

RATE, AHEAD_S, GRACE_S = 4000, 3, 5
GROUPS = ("drain", "mysql", "redis")


def measure(b):
    expiring = 5_000 if b.o.quick else 100_000
    enter(b, None, BUSY)
    alone = beside(b)
    add_pending(b, expiring * 9)
    pending = beside(b)
    sale, due_s = expire_at_once(b, expiring)
    pause(max(0, due_s - AHEAD_S - time.time()), "the orders are due three seconds after the claims begin")
    watch = Watch(b, sale, due_s, expiring)
    during = beside(b)
    took = watch.join()
    found = [judged("p99 of a claim while orders expire / beside pending ones", during["p99_us"] / pending["p99_us"], "<=", None),
             judged("an order's p99 delay while orders expire, s", during["delay_p99_ms"] / 1000, "<=", 1.0),
             judged("orders expired a second", expiring / took["expired_s"], ">=", None)]
    return {"expiry": {"orders": expiring, "rate": RATE, "alone": alone, "pending": pending, "during": during, **took},
            "judged": found}


def beside(b):
    """Claims at the rate for a while; the delays of their orders, and the CPU meanwhile."""
    seconds = 5 if b.o.quick else 15
    sale = b.sale("beside", amount=RATE * seconds)
    before = {group: cpu_us(b.it.pids(group)) for group in GROUPS}
    r = b.load(sale, "--seconds", seconds, "--rate", RATE)
    spent = {f"{group}_cpu": round((cpu_us(b.it.pids(group)) - before[group]) / 1e6 / seconds, 3) for group in GROUPS}
    sale.drained(60)
    delays = [int(row[0]) for row in b.it.sql(f"SELECT confirmed_at_ms - claimed_at_ms FROM orders WHERE coupon_id = {sale.id} "
                                              "ORDER BY 1")]
    row = {"won": r["won"], "p50_us": r["latency"]["p50_us"], "p99_us": r["latency"]["p99_us"], "max_us": r["latency"]["max_us"],
           "delay_p50_ms": delays[len(delays) // 2], "delay_p99_ms": delays[len(delays) * 99 // 100], "delay_max_ms": delays[-1]}
    b.say(", ".join(f"{key} {value:,}" for key, value in (row | spent).items()))
    return row | spent


def add_pending(b, count):
    """Pending orders that are not due: rows alone, of a coupon that does not exist."""
    later = int(time.time() * 1000) + 86_400_000
    for start in range(0, count, 100_000):
        numbers = f"seq_{start + 1}_to_{min(start + 100_000, count)}"
        b.it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms, pay_by_ms) "
                 f"SELECT {STRANGER}, 0, seq, seq * 7919 % 10000019, 1, seq, seq, {later} + seq FROM {numbers}")
        b.it.sql("INSERT INTO unpaid_orders (coupon_id, pay_by_ms, segment, seq) "
                 f"SELECT {STRANGER}, {later} + seq, 0, seq FROM {numbers}")


def expire_at_once(b, count):
    """A sold-out sale whose orders are all due at one moment. Returns it, and the moment when they expire."""
    sale = b.sale("expiring", amount=count, pay_within=3600)
    won = b.load(sale, tokens=b.mint(b.it.name("payer"), count))["won"]
    assert won == count, f"{won} of {count} were won"
    sale.drained(120)
    due_ms = int(time.time() * 1000) + 20_000 + count // 5
    b.it.sql(f"UPDATE orders SET pay_by_ms = {due_ms} WHERE coupon_id = {sale.id}; "
             f"UPDATE unpaid_orders SET pay_by_ms = {due_ms} WHERE coupon_id = {sale.id}")
    return sale, due_ms / 1000 + GRACE_S


class Watch:
    """How long after the moment the orders have expired, their units are at the hub, and their customers are owners no more."""

    def __init__(self, b, sale, due_s, count):
        self.b, self.sale, self.due_s, self.count, self.took = b, sale, due_s, count, {}
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _note(self, what, question):
        until(question, 180, what, every=0.05)
        self.took[what] = round(time.time() - self.due_s, 2)

    def _watch(self):
        sql, redis = self.b.it.sql, self.b.it.redis
        cancelled = f"SELECT cancelled FROM coupons WHERE id = {self.sale.id}"
        self._note("first_s", lambda: sql.number(cancelled) > 0)
        self._note("first_told_s", lambda: int(redis("HGET", self.sale.key("hub"), "cancelled")) > 0)
        self._note("expired_s", lambda: sql.number(cancelled) == self.count)
        self._note("told_s", lambda: int(redis("HGET", self.sale.key("hub"), "cancelled")) == self.count)
        self._note("released_s", lambda: not sql("SELECT 1 FROM returned_orders LIMIT 1"))

    def join(self):
        self.thread.join(200)
        self.b.say(", ".join(f"{key} {value:,}" for key, value in self.took.items()))
        return self.took
