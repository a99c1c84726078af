#!/usr/bin/env -S python3 -B
"""Processes are killed, or stand still, at each step of a waiting list: nobody's place and no unit is lost."""

import faultpoints
from ended import PAY_GRACE, cancel, settled, statuses
from harness import main
from tap import case, comment, same, until
from waiters import PROMOTED, WAITS, becomes, in_line, join, lose, place, promoted, queue, taken, whole

HOT = ("waiting_asked", "waiting_answered")
POINTS = ("journal_read", "journal_committed", "promote_read", "promote_noted", "promote_awarded", "promote_cleared", "promote_left",
          "relist_compared")
WAITING, MORE = 4, 2


class Line:
    """A sale whose units are taken, people who wait, and orders that end."""

    def __init__(self, it, what, loses):
        self.it, self.what, self.loses = it, what, loses
        self.sale, orders = taken(it, amount=WAITING + MORE + 1, segments=3, pay_within=600)
        self.orders, self.users = list(orders), it.users(WAITING + MORE)

    def go(self):
        in_line(self.it, self.sale, self.users[:WAITING])
        if self.loses:
            until(lambda: self.it.sql.number(f"SELECT COUNT(*) FROM waiting_entries WHERE coupon_id = {self.sale.id}") == WAITING,
                  5, "MySQL has the entries")
            lose(self.it, self.sale, self.users[1])
        for order in self.orders[:WAITING]:
            cancel(self.it, order)

    def judge(self):
        it, sale = self.it, self.sale
        for user in self.users[:WAITING]:
            promoted(it, sale, user, 20)
        whole(it, sale)
        same(queue(it, sale), 0, "how many wait")
        until(lambda: sale.claim(self.users[-1]).code == "waiting-list", 5, "no unit is left")
        in_line(it, sale, self.users[WAITING:])
        becomes(it, sale, dict.fromkeys(self.users[:WAITING], PROMOTED) | dict.fromkeys(self.users[WAITING:], WAITS))
        cancel(it, self.orders[WAITING])
        promoted(it, sale, self.users[WAITING])
        same(place(it, sale, self.users[-1]).json["position"], 1, "the last one")
        sale.drained()
        settled(it, sale)
        same(statuses(it, sale), {1: WAITING + MORE + 1, 3: WAITING + 1}, "orders")
        rows = it.sql(f"SELECT segment, promotion FROM orders WHERE coupon_id = {sale.id} AND promotion > 0 ORDER BY segment, seq")
        same(rows, sorted(rows, key=lambda row: (int(row[0]), int(row[1]))), "the tickets by segment and number")
        sale.audit()


def judged(it, rows):
    lines = []
    for point, action in rows:
        line = Line(it, f"{point}:{action}", point.startswith("relist"))
        struck = faultpoints.arm(point, action)
        line.go()
        until(struck, 15, point)
        lines.append(line)
    problems = []
    for line in lines:
        try:
            line.judge()
        except AssertionError as problem:
            problems.append(f"{line.what}: {problem}")
    assert not problems, "\n".join(problems)
    comment(f"{len(rows)} faults")


@case("a drainer is killed at each step")
def killed(it):
    judged(it, [(point, "kill") for point in POINTS])


@case("a drainer stands still at a step, and another one overtakes it")
def stalled(it):
    judged(it, [(point, "stall=2500") for point in faultpoints.some(POINTS)])


@case("a worker is killed while customers join: each has one place, in the order of their requests")
def workers(it):
    sale, _ = taken(it, amount=2, segments=2, pay_within=600)
    users = it.users(8)
    for n, user in enumerate(users):
        struck = faultpoints.arm(HOT[n % 2], "kill")
        until(lambda: join(it, sale, user).status in (200, 201), 5, f"{user} joins")
        assert struck(), HOT[n % 2]
        it.full("hot")
    same([place(it, sale, user).json["position"] for user in users], list(range(1, 9)), "the places")
    same(queue(it, sale), 8, "how many wait")


if __name__ == "__main__":
    faultpoints.build()
    main(SECKILL_PASSWORD_COST=1, SECKILL_DRAINERS=3, **PAY_GRACE, **faultpoints.SETTINGS)
