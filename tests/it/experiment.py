#!/usr/bin/env -S python3 -B
"""Customers at once on segmented stock. All units are sold, nobody is refused too early."""

from harness import main
from sale import Crowd
from tap import case, same, until


def sell(it, amount, customers, segments, compat=False):
    sale = it.sale(amount=amount, segments=segments)
    outcomes = sale.rush(it.users(customers), compat=compat)
    sale.prove(outcomes)
    return sale, outcomes


@case("100 customers at once on 100 units in 10 segments: 100 of 100, nobody refused, ten times")
def as_many_as_units(it):
    users = it.users(100)
    for _ in range(10):
        sale = it.sale(amount=100, segments=10)
        outcomes = sale.rush(users)
        same([o.codes for o in outcomes if o.codes], [], "refusals")
        sale.prove(outcomes)


@case("the same by the compat PATCH")
def by_the_compat_route(it):
    sell(it, amount=100, customers=100, segments=10, compat=True)


@case("more customers than units: every unit is won, and the others are told \"sold out\"")
def more_customers(it):
    sale, outcomes = sell(it, amount=100, customers=160, segments=10)
    sale.ask_again(outcomes)


@case("all customers have one home segment: stock travels there")
def one_home(it):
    sale = it.sale(amount=60, segments=10)
    users = it.users(900)
    crowd = [u for u in users if sale.home(u) == 3][:70]
    assert len(crowd) >= 60, f"only {len(crowd)} customers live in segment 3"
    outcomes = sale.rush(crowd)
    sale.prove(outcomes)
    same(it.redis("HLEN", sale.key("o", 3)), 60, "owners in segment 3")
    same({o.order.split("-")[1] for o in outcomes if o.order}, {"3"}, "segments in the order numbers")


@case("as few units as segments")
def few_units(it):
    sell(it, amount=64, customers=100, segments=64)


@case("one unit")
def one_unit(it):
    for _ in range(3):
        sell(it, amount=1, customers=50, segments=1)


@case("one segment")
def one_segment(it):
    sell(it, amount=30, customers=50, segments=1)


@case("256 segments, more units than customers in any of them")
def most_segments(it):
    sell(it, amount=300, customers=200, segments=256)


@case("256 segments, sold out")
def most_segments_sold_out(it):
    sell(it, amount=256, customers=290, segments=256)


@case("units are added while customers ask: exactly all of them are sold")
def added(it):
    sale, users = it.sale(amount=50, segments=10), it.users(200)
    crowd = Crowd(sale, users, connections=20, lasting=True)
    crowd.start()
    for _ in range(5):
        it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 20}).expect(200)
    sale.amount = 150
    until(lambda: sale.claimed() == 150, 10, "all units are claimed")
    outcomes = crowd.join()
    won = {o.order: o.user.id for o in outcomes if o.order}
    same((len(won), {len(o.orders) for o in outcomes if o.order}), (150, {1}), "orders, orders of one winner")
    same(set().union(*(o.codes for o in outcomes)) - {"sold-out"}, set(), "other answers")
    sale.drained()
    same(sale.rows(), won, "orders in MySQL")
    sale.audit()


@case("one by one, the last unit is found wherever it is")
def one_by_one(it):
    sale = it.sale(amount=40, segments=16)
    users = it.users(41)
    for user in users[:40]:
        sale.win(user)
    sale.claim(users[40]).expect(410, "sold-out")
    sale.claim_compat(users[40]).expect(204, "sold-out")
    sale.drained()
    sale.audit()


@case("the audit of all sales is balanced")
def everything(it):
    same(it.ctl("audit").returncode, 0, "exit of the audit")


if __name__ == "__main__":
    main()
