#!/usr/bin/env -S python3 -B
"""The waiting list of a sale: who joins gets a unit in turn, when one comes back or is added."""

import time

from ended import PAY_GRACE, cancel, settled, statuses
from harness import main
from tap import allowed, case, comment, pause, same, until
from waiters import in_line, join, leave, place, promoted, queue, taken


def tickets(it, sale):
    """Of orders that were promoted, in the order of their promotions."""
    return [int(row[0]) for row in it.sql(f"SELECT promotion FROM orders WHERE coupon_id = {sale.id} AND promotion > 0 "
                                          "ORDER BY claimed_at_ms, promotion")]


@case("a customer joins, asks for the place, leaves; who waits is not on the list twice")
def joins(it):
    sale, _ = taken(it, pay_within=600)
    users = it.users(3)
    place(it, sale, users[0]).expect(404, "not-waiting")
    leave(it, sale, users[0]).expect(404, "not-waiting")
    for n, user in enumerate(users, 1):
        answer = join(it, sale, user).expect(201)
        same((answer.json["state"], answer.json["position"], answer.headers["Retry-After"]), ("waiting", n, "2"), "the answer")
    same(join(it, sale, users[1]).expect(200).json["position"], 2, "who joins again")
    got = place(it, sale, users[2]).expect(200).json
    same((got["state"], got["position"], got["waiting"]), ("waiting", 3, 3), "the place")
    same((sale.read()["state"], sale.read()["waiting"]), ("waiting-list", 3), "the sale's page")
    leave(it, sale, users[0]).expect(204)
    same([place(it, sale, user).json["position"] for user in users[1:]], [1, 2], "the places of the others")
    same(join(it, sale, users[0]).expect(201).json["position"], 3, "who has left is the last one")
    same(queue(it, sale), 3, "how many wait")


@case("units that come back go to those who wait, in their order, within a second; walk-ins get none")
def in_turn(it):
    sale, orders = taken(it, amount=6, segments=3, pay_within=600)
    users, walk_in, seconds = it.users(6), it.customer(), []
    in_line(it, sale, users)
    for n, order in enumerate(list(orders)):
        began = time.monotonic()
        cancel(it, order)
        while True:
            answer = sale.claim(walk_in)
            same(answer.code, "waiting-list", "the walk-in")
            if it.redis("HGET", sale.key("o", sale.home(users[n])), users[n].id):
                break
            assert time.monotonic() - began < 5, f"no unit for number {n}"
        seconds.append(time.monotonic() - began)
        same(place(it, sale, users[n]).expect(200).json["state"], "promoted", f"customer {n}")
        same([place(it, sale, user).json["position"] for user in users[n + 1:]], list(range(1, 6 - n)), "the others")
    comment(f"from the cancellation to the order: {sorted(round(s, 2) for s in seconds)}")
    assert max(seconds) < allowed(1), seconds
    sale.claim_compat(walk_in).expect(204, "waiting-list")
    sale.drained()
    settled(it, sale)
    same(tickets(it, sale), sorted(tickets(it, sale)), "the orders' tickets by time")
    got = place(it, sale, users[0]).expect(200).json
    same(got["pay_by"], it.ask("GET", f"/api/orders/{got['order']}", users[0]).json["pay_by"], "pay_by")
    same(join(it, sale, users[0]).expect(200).json["order"], got["order"], "who joins with an order")
    leave(it, sale, users[0]).expect(409, "promoted")
    sale.audit()


@case("units that are added go to those who wait; what is left then may be claimed")
def added(it):
    sale, _ = taken(it, amount=4, segments=2)
    users = it.users(30)
    in_line(it, sale, users)
    it.ask("PATCH", f"{sale.path}/stock", sale.seller, {"add": 20}).expect(200)
    for user in users[:20]:
        promoted(it, sale, user)
    same([place(it, sale, user).json.get("position") for user in users[20:]], list(range(1, 11)), "who still waits")
    it.ask("PATCH", f"{sale.path}/stock", sale.seller, {"add": 12}).expect(200)
    for user in users[20:]:
        promoted(it, sale, user)
    for user in it.users(2):
        until(lambda: sale.claim(user).status == 201, 5, "a walk-in")
    until(lambda: sale.claim(it.customer()).code == "sold-out", 5, "sold out")
    sale.drained()
    sale.audit()


if __name__ == "__main__":
    main(**PAY_GRACE)
