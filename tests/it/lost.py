#!/usr/bin/env -S python3 -B
"""Orders that the servers of a cluster have lost, and only their customers' lists still name.

Drainers look for them. MySQL fails at each statement; a drainer is killed, or stands still while others overtake it.
"""

import random

import faultpoints
from clustered import main, on_cluster
from sqlproxy import behind_proxy, fails
from tap import every, same, until

LETTER = "INSERT INTO dead_letters"
STATEMENTS = [(text, "after") for text in ("FROM coupons WHERE id = . AND segments", "FOR UPDATE", LETTER, "^COMMIT$")]
STATEMENTS += [(text, "half") for text in ("SELECT seq, user_id, unit FROM orders", "SELECT seq, id, state")]
FAULTS = [(point, action, when) for point in ("lost_looked", "lost_named") for action in ("kill", "stall=1000")
          for when in ((1, 2, 3) if action == "kill" else (1,))]


class Sale:
    """Of twelve orders six were lost; drainers are to look at all of them."""

    def __init__(self, it):
        self.it, self.sale = it, it.sale(amount=40, segments=3)
        self.orders = {self.sale.win(user): user.id for user in it.users(12)}
        self.sale.drained()
        self.lost = random.sample(sorted(self.orders), 6)
        for order in self.lost:
            _, segment, number = order.split("-")
            it.redis("HDEL", self.sale.key("o", segment), self.orders[order])
            it.sql(f"DELETE FROM orders WHERE coupon_id = {self.sale.id} AND segment = {segment} AND seq = {number}")

    def look(self):
        self.it.redis("SADD", "sk:lost", *(f"{order}:{user}" for order, user in self.orders.items()))

    def judge(self):
        until(lambda: not self.it.redis("SCARD", "sk:lost"), 30, "all are looked at")
        letters = self.it.sql(f"SELECT segment, seq FROM dead_letters WHERE coupon_id = {self.sale.id}")
        same(sorted(f"{self.sale.id}-{segment}-{number}" for segment, number in letters), sorted(self.lost), "dead letters")
        same(self.sale.rows(), {o: user for o, user in self.orders.items() if o not in self.lost}, "rows")


@on_cluster("lost orders are searched for while each statement fails: each has one dead letter")
def statements_fail(it):
    def survives(statement, how):
        sale = Sale(it)
        with fails(statement, how):
            sale.look()
        sale.judge()
    every(STATEMENTS, survives)


@on_cluster("lost orders are searched for, and a drainer is killed or stands still: each has one dead letter")
def drainers_die(it):
    def survives(point, action, when):
        sale = Sale(it)
        struck = faultpoints.arm(point, action, when)
        sale.look()
        until(struck, 15, "the fault")
        sale.judge()
    every(FAULTS, survives)


if __name__ == "__main__":
    faultpoints.build()
    main(SECKILL_PASSWORD_COST=1, SECKILL_DRAINERS=2, SECKILL_MYSQL_SOCKET=behind_proxy, **faultpoints.SETTINGS)
