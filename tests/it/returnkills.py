#!/usr/bin/env -S python3 -B
"""Drainers are killed, or stand still, at each step of what they do for orders that end, and every unit goes on sale again.

killpoints.py has the other points; those in the transaction that ends an order are here, too, as the drainers pass them.
"""

import faultpoints
from ended import PAY_GRACE, Chasing, cancel, parts, settled, statuses
from harness import main
from tap import case, comment, until

EXPIRING = ("expiry_found", "life_ended", "life_not_unpaid", "life_returned", "life_event", "life_counted", "life_committed",
            "expiry_batch")
POINTS = (*EXPIRING, "tell_found", "supply_told", "tell_told", "tell_opening", "tell_opened", "release_read", "release_removed",
          "release_deleted", "late_claimed", "late_settled")


class Ending:
    """Three sales: orders expire; orders of a sold-out sale without payment are cancelled; a payment comes late."""

    def __init__(self, it, what):
        self.it, self.what = it, what
        self.users, self.others = it.users(8), it.users(8)
        self.late, self.payer = it.sale(amount=4, segments=1, pay_within=1, price=500, currency="EUR"), it.customer()
        self.expired = self.late.win(self.payer)
        until(lambda: statuses(it, self.late) == {4: 1}, 10, "the order of the late payment has expired")
        settled(it, self.late)
        self.plain = it.sale(amount=2, segments=2)
        self.cancelled = [self.plain.win(user) for user in self.users[:2]]
        self.plain.drained()
        self.unpaid = it.sale(amount=6, segments=2, pay_within=1)

    def end_orders(self):
        for user in self.users[2:]:
            self.unpaid.win(user)
        self.chasing = [Chasing(self.it, self.plain, self.others[:2], 0.05), Chasing(self.it, self.unpaid, self.others[2:], 0.05)]
        for order in self.cancelled:
            cancel(self.it, order)
        coupon, segment, seq = parts(self.expired)
        self.it.sql("INSERT INTO payments (payment_id, coupon_id, segment, seq, amount, currency, at_ms, late) "
                    f"VALUES ('late-{coupon}', {coupon}, {segment}, {seq}, 500, 'EUR', 1, 1)")

    def judge(self):
        it = self.it
        self.chasing[0].wait(2, 20)
        self.chasing[1].wait(6, 20)
        paid = f"SELECT pays_seq FROM payments WHERE payment_id = 'late-{self.late.id}' AND late IS NULL"
        until(lambda: it.sql(paid), 20, "the late payment is settled")
        until(lambda: statuses(it, self.late).get(2) == 1, 5, "the late payment pays an order")  # perhaps not the first it gets
        until(lambda: statuses(it, self.unpaid) == {4: 12}, 20, "all orders expire")
        for sale in (self.unpaid, self.plain, self.late):
            sale.drained()
            settled(it, sale)
            sale.audit()
        assert self.unpaid.read()["left"] == 6 and self.late.read()["left"] == 3 and self.plain.read()["left"] == 0


def judged(it, rows):
    """Brings about each fault, then judges all sales together."""
    endings = []
    for point, action in rows:
        ending = Ending(it, f"{point}:{action}")
        struck = faultpoints.arm(point, action)
        ending.end_orders()
        until(struck, 15, point)
        endings.append(ending)
    problems = []
    for ending in endings:
        try:
            ending.judge()
        except AssertionError as problem:
            problems.append(f"{ending.what}: {problem}")
    assert not problems, "\n".join(problems)
    comment(f"{len(rows)} faults")


@case("a drainer is killed at each step")
def killed(it):
    judged(it, [(point, "kill") for point in POINTS])


@case("a drainer stands still at a step, and another one overtakes it")
def stalled(it):
    judged(it, [(point, "stall=2500") for point in faultpoints.some(POINTS)])


if __name__ == "__main__":
    faultpoints.build()
    main(SECKILL_PASSWORD_COST=1, SECKILL_DRAINERS=3, **PAY_GRACE, **faultpoints.SETTINGS)
