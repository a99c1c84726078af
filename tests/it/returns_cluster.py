#!/usr/bin/env -S python3 -B
"""A unit's way back on a Redis Cluster: hub, segments and customers' lists are on several masters, which fail over."""

import time

from clustered import list_of, main, nodes, on_cluster
from ended import PAY_GRACE, Chasing, cancel, owner, settled, statuses
from tap import comment, pause, quick, same, until


def won(sale, user):
    """After a failover of an earlier case, slots may still be inspected."""
    return until(lambda: (a := sale.claim(user)).status in (200, 201) and a, 20, "a unit is won").json["order"]


def sold(it, amount=12, segments=6, **more):
    sale, users = it.sale(amount=amount, segments=segments, **more), it.users(amount)
    orders = {won(sale, user): user for user in users}
    sale.drained()
    return sale, orders


@on_cluster("a sold-out sale: a unit that comes back is won by another customer within a second, again and again")
def resold(it):
    sale, orders = sold(it)
    seconds, losers = [], it.users(12)
    for n in range(12):
        order = list(orders)[n]
        chasing = Chasing(it, sale, [losers[n]])
        pause(0.05 * (n % 9), "at another moment of the drainers' turns")
        cancel(it, order)
        chasing.began = time.monotonic()
        seconds += chasing.wait(1)
    comment(f"from the cancellation to the order: {sorted(round(s, 2) for s in seconds)}")
    settled(it, sale)
    sale.drained()
    same([owner(it, sale, user) for user in orders.values()], [None] * 12, "owners of cancelled orders")
    sale.audit()
    quick(max(seconds), 1, f"the longest of {seconds}")


@on_cluster("orders expire, their units are won again; their customers still list them, but not as coupons won")
def expired(it):
    sale, orders = sold(it, pay_within=2)
    chasing = Chasing(it, sale, it.users(12), every=0.05)
    chasing.wait(12)
    until(lambda: statuses(it, sale) == {4: 24}, 20, "all orders expire")
    settled(it, sale)
    same(sale.read()["left"], 12, "units left")
    listed = [it.redis("ZRANGE", list_of(user), 0, -1) for user in orders.values()]
    same(listed, [[order] for order in orders], "customers' lists")
    for user in list(orders.values())[:3]:
        it.ask("GET", f"{user.path}/coupons", user).expect(204)
        same(len(it.ask("GET", f"{user.path}/orders", user).json["data"]), 1, "orders that are listed")
    sale.audit()


@on_cluster("a master fails over while orders are cancelled: their units are won, and their customers are owners no more")
def failed_over(it):
    sale, orders = sold(it)
    master = nodes.master_without_hub(sale)
    half = list(orders)[:6]
    nodes.lost.add(master)
    master.kill()
    for order in half:
        cancel(it, order)
    chasing = Chasing(it, sale, it.users(6), every=0.1)
    chasing.wait(6, 40)
    comment(f"the units were won {max(chasing.seconds):.2f} s after the cancellations")
    settled(it, sale, 30)
    same([owner(it, sale, orders[order]) for order in half], [None] * 6, "owners")
    sale.drained(30)
    sale.audit()


def forgets(it, master_of):
    """The replica that takes over knows nothing of the release of orders that are over, and nothing of the hub's new totals."""
    sale, orders = sold(it)
    master = master_of(sale)
    mine = [i for i in range(sale.segments) if nodes.master_of_key(sale.key("s", i)) is master]
    over = [order for order in orders if int(order.split("-")[1]) in mine or master is nodes.hub_master(sale)]

    def end():
        for order in over:
            cancel(it, order)
        settled(it, sale)
        same([owner(it, sale, orders[order]) for order in over], [None] * len(over), "owners before")
    nodes.fall_back(master, end)
    page = f"{sale.path}?{it.name('after')}"
    until(lambda: it.ask("GET", page).json.get("left") == len(over), 30, "the units are on sale")
    until(lambda: not any(owner(it, sale, orders[order]) for order in over), 20, "orders that are over have no owners")
    for order in over:
        again = until(lambda: (a := sale.claim(orders[order])).status in (200, 201) and a, 20, "the customer buys again").json["order"]
        assert again != order, order
    until(lambda: sale.claim(it.customer()).code == "sold-out", 20, "sold out")
    sale.drained()
    nodes.revive(master)
    settled(it, sale)
    sale.audit()


@on_cluster("a failover takes back what a segment knew of orders that are over: their owners are removed once more")
def segment_forgets(it):
    forgets(it, nodes.master_without_hub)


@on_cluster("a failover takes back what the hub knew of orders that are over: it is told once more")
def hub_forgets(it):
    forgets(it, nodes.hub_master)


if __name__ == "__main__":
    main(**PAY_GRACE)
