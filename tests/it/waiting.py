#!/usr/bin/env -S python3 -B
"""The waiting list of a sale: who joins gets a unit in turn, when one comes back or is added."""

import time

from ended import PAY_GRACE, cancel, owner, settled, statuses
from harness import main
from storm import Paused, kill
from tap import allowed, case, comment, pause, same, until
from waiters import in_line, join, leave, place, promoted, queue, taken


def tickets(it, sale):
    """Of orders that were promoted, in the order of their promotions."""
    return [int(row[0]) for row in it.sql(f"SELECT promotion FROM orders WHERE coupon_id = {sale.id} AND promotion > 0 "
                                          "ORDER BY claimed_at_ms, promotion")]


def steer(it, sale, state):
    it.ask("PATCH", f"{sale.path}/sale", sale.seller, {"state": state}).expect(200)


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


@case("who is promoted and does not pay loses the unit to the next one, and waits again only after joining again")
def expired(it):
    sale, _ = taken(it, amount=2, segments=2, pay_within=2)
    first, second, third = it.users(3)
    in_line(it, sale, [first, second])
    orders = [promoted(it, sale, user, 10) for user in (first, second)]
    until(lambda: sale.claim(third).code == "waiting-list", 2, "the third one is told to join")
    join(it, sale, third).expect(201)
    third_order = promoted(it, sale, third, 10)
    until(lambda: {o["order"]: o["status"] for o in it.ask("GET", f"{first.path}/orders", first).json["data"]} == {orders[0]: "expired"},
          10, "the first order has expired")
    until(lambda: place(it, sale, first).code == "not-waiting", 5, "the first one does not wait")
    until(lambda: owner(it, sale, third) is None, 10, "the third one does not pay either")
    until(lambda: sale.read()["left"] == 2, 10, "nobody waits: the units are for whoever claims")
    again = sale.claim(first).expect(201).json["order"]
    assert again not in orders + [third_order]
    settled(it, sale)
    sale.drained()
    sale.audit()


@case("a paused sale promotes nobody, and goes on when it is open again; an ended one refuses those who wait")
def steered(it):
    sale, orders = taken(it, amount=3, segments=2, pay_within=600)
    users = it.users(4)
    in_line(it, sale, users)
    steer(it, sale, "paused")
    cancel(it, list(orders)[0])
    settled(it, sale)
    pause(0.5, "a unit is there, and the sale is paused")
    same([place(it, sale, user).json["position"] for user in users], [1, 2, 3, 4], "places while the sale is paused")
    steer(it, sale, "open")
    promoted(it, sale, users[0])
    steer(it, sale, "ended")
    cancel(it, list(orders)[1])
    settled(it, sale)
    pause(0.5, "a unit is there, and the sale has ended")
    for user in users[1:]:
        place(it, sale, user).expect(410, "ended")
        join(it, sale, user).expect(410, "ended")
    same(place(it, sale, users[0]).json["state"], "promoted", "who was promoted before")
    leave(it, sale, users[1]).expect(204)
    sale.drained()


@case("a sale that ends by the clock: nobody is promoted after its end")
def over(it):
    ends = time.time() + 2.5
    sale, orders = taken(it, amount=2, segments=1, pay_within=600,
                         ends_at=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ends)) + f".{int(ends % 1 * 1000):03d}Z")
    user = it.customer()
    join(it, sale, user).expect(201)
    until(lambda: place(it, sale, user).code == "ended", 5, "the sale has ended")
    cancel(it, list(orders)[0])
    settled(it, sale)
    pause(0.3, "a unit is there")
    place(it, sale, user).expect(410, "ended")
    same(int(it.redis("HGET", sale.key("hub"), "avail")), 1, "the unit stays at the hub")


@case("what is refused: no list, units left, a list that is full, a unit that is none, another role, the limit of orders")
def refused(it):
    plain, sale = it.sale(amount=1), it.sale(amount=1, waiting_list=True)
    user, other = it.users(2)
    for ask in (join, place, leave):
        ask(it, plain, user).expect(409, "no-waiting-list")
    join(it, sale, user).expect(409, "units-left")
    sale.win(user)
    until(lambda: sale.claim(other).code == "sold-out", 5, "sold out")
    answer = join(it, sale, user).expect(200).json
    same((answer["state"], "order" in answer), ("promoted", True), "the winner")
    for unit in ("0", "101", "x", "-1"):
        it.ask("POST", f"{sale.path}/waiting?unit={unit}", other).expect(400, "bad-field")
    it.ask("POST", f"{sale.path}/waiting", sale.seller).expect(403)
    it.ask("GET", f"{sale.path}/waiting").expect(401)
    it.ask("POST", f"{sale.seller.path}/coupons/none/waiting", user).expect(404, "no-such-coupon")
    answer = it.ask("POST", f"{sale.path}/waiting?unit=2", other).expect(409, "limit-reached")
    assert "at most 1 unit" in answer.json["detail"], answer
    it.redis("HSET", sale.key("o", sale.home(other)), other.id, "-7")
    join(it, sale, other).expect(409, "limit-reached")
    it.redis("HSET", sale.key("hub"), "queue", 1000000)
    answer = join(it, sale, it.customer()).expect(503, "list-full")
    same(answer.headers["Retry-After"], "30", "Retry-After")


@case("who has one unit of a sale with a limit of two waits for the second")
def second(it):
    sale, orders = taken(it, amount=2, segments=2, pay_within=600, limit=2)
    (first, user), (other, _) = orders.items()
    path = f"{sale.path}/waiting?unit=2"
    same(join(it, sale, user).expect(200).json["order"], first, "unit 1")
    it.ask("POST", path, user).expect(201)
    cancel(it, other)
    got = until(lambda: it.ask("GET", path, user).json.get("order"), 5, "unit 2")
    sale.drained()
    settled(it, sale)
    rows = it.sql(f"SELECT unit, promotion FROM orders WHERE coupon_id = {sale.id} AND user_id = {user.id} ORDER BY unit")
    same(rows, [["1", "NULL"], ["2", "1"]], f"orders {first} and {got}")
    sale.audit()


@case("units that are left in segments are brought to those who wait, although no claim asks for them")
def collected(it):
    sale, orders = taken(it, amount=8, segments=4, pay_within=600)
    users = it.users(3)
    in_line(it, sale, users)
    segment = sale.key("s", (sale.home(users[0]) + 1) % 4)
    it.redis("HINCRBY", segment, "left", 2)  # as if the hub had granted two units more
    it.redis("HINCRBY", segment, "I", 2)
    number = segment.split(":")[2].rstrip("}")
    it.redis("HINCRBY", sale.key("hub"), f"G{number}", 2)
    it.redis("HINCRBY", sale.key("hub"), "amount", 2)
    it.sql(f"UPDATE coupons SET amount = amount + 2 WHERE id = {sale.id}")
    empty = it.redis("HGET", sale.key("hub"), "empty")
    it.redis("HSET", sale.key("hub"), "empty", empty[:int(number)] + "0" + empty[int(number) + 1:])
    for user in users[:2]:
        promoted(it, sale, user)
    same(place(it, sale, users[2]).json["position"], 1, "the third one")
    sale.drained()
    sale.audit()


@case("a seller's worker was killed while it added units, and nobody claims: those who wait get them")
def opening(it):
    sale, _ = taken(it, amount=2, segments=2)
    users = it.users(2)
    in_line(it, sale, users)
    with Paused(it):
        it.sql(f"UPDATE coupons SET amount = amount + 2 WHERE id = {sale.id}")
        it.redis("HINCRBY", sale.key("hub"), "amount", 2)
        it.redis("HINCRBY", sale.key("hub"), "avail", 2)
        it.redis("HINCRBY", sale.key("hub"), "epoch", 1)
        it.redis("HSET", sale.key("hub"), "sold_out", 0, "opening", 1)
    for user in users:
        promoted(it, sale, user)
    sale.drained()
    sale.audit()


@case("150 wait, and 150 orders expire at once: all are promoted, in each segment in the order of their tickets")
def many(it):
    sale, users = it.sale(amount=150, segments=8, waiting_list=True, pay_within=3600), it.users(300)
    sale.rush(users[:150], connections=10)
    sale.drained()
    until(lambda: sale.claim(users[150]).code == "waiting-list", 5, "all are taken")
    in_line(it, sale, users[150:])
    began = time.monotonic()
    it.sql("".join(f"UPDATE {table} SET pay_by_ms = 1 WHERE coupon_id = {sale.id};" for table in ("orders", "unpaid_orders")))
    until(lambda: not queue(it, sale), 20, "nobody waits")
    comment(f"150 were promoted in {time.monotonic() - began:.2f} s")
    sale.drained()
    settled(it, sale)
    same(statuses(it, sale), {1: 150, 4: 150}, "orders")
    rank = {user.id: n for n, user in enumerate(users)}
    for segment in range(sale.segments):
        rows = it.sql(f"SELECT user_id FROM orders WHERE coupon_id = {sale.id} AND segment = {segment} AND status = 1 ORDER BY seq")
        ranks = [rank[int(row[0])] for row in rows]
        same(ranks, sorted(ranks), f"the order in segment {segment}")
    sale.audit()


@case("Redis is away: nobody's place changes; MySQL is away: people join, ask and leave, and a unit at the hub is promoted")
def away(it):
    sale, orders = taken(it, amount=3, segments=2, pay_within=600)
    users, late = it.users(5), it.customer()
    in_line(it, sale, users)
    cancel(it, list(orders)[0])
    promoted(it, sale, users[0])
    it.dev("stop", "redis")
    place(it, sale, users[1]).expect(503)
    it.redis.close()
    it.dev("start", "redis")
    until(lambda: place(it, sale, users[1]).status == 200, 10, "Redis is back")
    same([place(it, sale, user).json["position"] for user in users[1:]], [1, 2, 3, 4], "the places")
    it.dev("stop", "mysql")
    same(join(it, sale, late).expect(201).json["position"], 5, "who joins without MySQL")
    leave(it, sale, users[2]).expect(204)
    for field in ("amount", "avail"):
        it.redis("HINCRBY", sale.key("hub"), field, 1)  # as if it was added just before
    until(lambda: owner(it, sale, users[1]), 5, "the next one has an order")
    same([place(it, sale, user).json["position"] for user in users[3:] + [late]], [1, 2, 3], "the others' places")
    it.dev("start", "mysql")
    cancel(it, list(orders)[1])
    promoted(it, sale, users[3], 10)
    sale.drained(30)
    settled(it, sale)
    sale.audit()


@case("drainers that are killed again and again lose nobody's place and no unit")
def killed(it):
    sale, orders = taken(it, amount=20, segments=4, pay_within=600)
    users = it.users(30)
    in_line(it, sale, users)
    for order in orders:
        cancel(it, order)
        kill(it.workers("drain")[:1])
    it.full("drain")
    for user in users[:20]:
        promoted(it, sale, user, 15)
    same([place(it, sale, user).json["position"] for user in users[20:]], list(range(1, 11)), "who still waits")
    sale.drained()
    settled(it, sale)
    sale.audit()


if __name__ == "__main__":
    main(**PAY_GRACE)
