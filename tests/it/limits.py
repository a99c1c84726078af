#!/usr/bin/env -S python3 -B
"""A sale of which a customer may have several units: each unit is claimed, ends and is recovered for itself."""

import shutil
import threading

from ended import PAY_GRACE, cancel, owner, settled, statuses
from harness import main
from storm import Paused, kill
from stores import SqlError
from tap import case, same, until

LIMIT = 3


def units(it, sale, user):
    """The customer's orders in MySQL: unit -> number."""
    rows = it.sql(f"SELECT unit, CONCAT_WS('-', coupon_id, segment, seq) FROM orders WHERE coupon_id = {sale.id} AND "
                  f"user_id = {user.id} AND live_user IS NOT NULL")
    return {int(unit): order for unit, order in rows}


def win_all(sale, user, count=LIMIT):
    return {unit: sale.win(user, unit) for unit in range(1, count + 1)}


def again(sale, user, units=(1, 2, 3)):
    """The orders of units that the customer has."""
    return [sale.claim(user, unit=unit).expect(200).json["order"] for unit in units]


def restart(it, change=lambda: None):
    """Kills Redis, changes its data and starts it again."""
    it.dev("stop", "redis", "-9")
    it.redis.close()
    change()
    it.dev("start", "redis")


def all_at_once(*calls):
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


def end_orders(it, sale, user, unit, count):
    for _ in range(count):
        order = sale.win(user, unit)
        sale.drained()
        cancel(it, order)
        settled(it, sale)


@case("units are claimed in any order, each of them once: a claim again names the order; no body is unit 1")
def any_order(it):
    sale, user, other = it.sale(amount=10, segments=2, limit=LIMIT), it.customer(), it.customer()
    same(sale.read()["limit"], LIMIT, "the page's limit")
    orders = {unit: sale.win(user, unit) for unit in (3, 1, 2)}
    same(len(set(orders.values())), 3, "orders")
    same(again(sale, user), [orders[unit] for unit in (1, 2, 3)], "claimed again")
    same(sale.claim(user).expect(200).json["order"], orders[1], "without a body")
    same(sale.claim_compat(user).expect(204, "already-claimed").headers["Seckill-Order"], orders[1], "the compat route")
    theirs = it.ask("PATCH", sale.path, other).expect(201).json["order"]
    sale.drained()
    same(units(it, sale, user), orders, "rows")
    same(units(it, sale, other), {1: theirs}, "rows of the compat route's customer")
    same(again(sale, user), [orders[unit] for unit in (1, 2, 3)], "once more")
    same(sale.read()["left"], 6, "units left")
    sale.audit()


@case("a unit that is no number from 1 to 100 is a bad field; one above the sale's limit is refused as limit-reached")
def refused(it):
    sale, plain, user = it.sale(amount=10, limit=LIMIT), it.sale(), it.customer()
    for unit in (0, -1, 101, 2**31, 1.5, "1", True, [1]):
        sale.claim(user, unit=unit).expect(400, "bad-field")
    it.ask("POST", sale.path + "/claims", user, "[").expect(400, "bad-json")
    same(sale.claim(user, unit=LIMIT + 1).expect(409, "limit-reached").json["detail"],
         "a customer can have at most 3 units of this sale", "detail")
    same(plain.claim(user, unit=2).expect(409, "limit-reached").json["detail"],
         "a customer can have at most 1 unit of this sale", "detail")
    same((sale.read()["left"], plain.read()["limit"]), (10, 1), "units left; the limit of a sale that names none")
    seller = it.seller()
    for limit in (0, -1, 101, 1.5, "2", True):
        body = {"name": "x", "amount": 1, "stock": 1, "description": "", "limit": limit}
        it.ask("POST", f"{seller.path}/coupons", seller, body).expect(400, "bad-field")
    it.sale(seller, name="most", limit=100).win(user, 100)


@case("an order has its unit wherever it is shown: queued or in MySQL, alone or in a list, to customer, seller and operator")
def shown(it):
    sale, user = it.sale(amount=10, segments=2, limit=LIMIT), it.customer()

    def everywhere():
        alone = {unit: it.ask("GET", f"/api/orders/{order}", user).expect(200).json["unit"] for unit, order in orders.items()}
        same(alone, {1: 1, 2: 2, 3: 3}, "orders that are read alone")
        listed = it.ask("GET", f"{user.path}/orders", user).expect(200).json["data"]
        same({o["order"]: o["unit"] for o in listed}, {order: unit for unit, order in orders.items()}, "the customer's list")
        same(len(it.ask("GET", f"{user.path}/coupons", user).expect(200).json["data"]), 1, "coupons won")

    with Paused(it):
        orders = win_all(sale, user)
        everywhere()
    sale.drained()
    everywhere()
    listed = it.ask("GET", f"{sale.path}/orders", sale.seller).expect(200).json["data"]
    same({o["order"]: o["unit"] for o in listed}, {order: unit for unit, order in orders.items()}, "the seller's list")
    same(it.ask("GET", f"/api/orders/{orders[2]}", sale.seller).expect(200).json["unit"], 2, "for the seller")


@case("one unit claimed by many connections at once is one order; all units at once are one order each")
def at_once(it):
    sale, user, answers = it.sale(amount=30, segments=2, limit=LIMIT), it.customer(), []

    def claim(unit):
        return lambda: answers.append((unit, sale.claim(user, it.new_client(), unit)))

    all_at_once(*(claim(unit) for unit in (1, 2, 3) for _ in range(8)))
    same([a.status for _, a in answers if a.status not in (200, 201)], [], "other answers")
    won = {unit: {a.json["order"] for u, a in answers if u == unit} for unit in (1, 2, 3)}
    same([len(orders) for orders in won.values()], [1, 1, 1], "orders of each unit")
    sale.drained()
    same(units(it, sale, user), {unit: orders.pop() for unit, orders in won.items()}, "rows")
    same(sale.read()["left"], 27, "units left")
    sale.audit()


@case("sold out: who has an order of the unit is told it, also by the notice of a worker; of another unit, sold-out")
def sold_out(it):
    sale, users = it.sale(amount=8, segments=2, limit=2), it.users(4)
    orders = {user: win_all(sale, user, 2) for user in users}
    crowd = it.users(150)
    for _ in range(2):
        for loser in crowd:
            sale.claim(loser).expect(410, "sold-out")
        sale.claim(users[0], unit=3).expect(409, "limit-reached")
        for user in users:
            same(again(sale, user, (1, 2)), list(orders[user].values()), "again")
    sale.drained()
    cancel(it, orders[users[0]][2])
    settled(it, sale)
    until(lambda: sale.claim(users[1], unit=2).status == 200 and sale.claim(users[0], unit=2).status == 201, 5, "it is won again")
    sale.drained()
    sale.claim(crowd[0]).expect(410, "sold-out")
    sale.audit()


@case("three endings of one unit are the limit of this unit only; a recovery keeps it so")
def endings(it):
    sale, user = it.sale(amount=20, segments=2, limit=LIMIT), it.customer()
    first = sale.win(user, 1)
    sale.drained()
    end_orders(it, sale, user, 2, 2)
    end_orders(it, sale, user, 3, 2)
    assert owner(it, sale, user, 2) is None and owner(it, sale, user, 3) is None
    end_orders(it, sale, user, 2, 1)
    assert owner(it, sale, user, 2).startswith("-"), owner(it, sale, user, 2)
    assert "have expired" in sale.claim(user, unit=2).expect(409, "limit-reached").json["detail"]
    third = sale.win(user, 3)
    same(sale.claim(user).expect(200).json["order"], first, "unit 1")
    sale.drained()
    same(it.ctl("recover", sale.title).returncode, 0, "exit of recover")
    sale.claim(user, unit=2).expect(409, "limit-reached")
    same(again(sale, user, (1, 3)), [first, third], "after the recovery")
    same(statuses(it, sale), {3: 5, 5: 2}, "orders")
    sale.audit()


@case("orders of one customer expire for themselves; a late payment pays the unit of its order, and no other one")
def late(it):
    sale = it.sale(amount=10, segments=1, limit=LIMIT, pay_within=3600, price=500, currency="EUR")
    user = it.customer()
    orders = win_all(sale, user)
    sale.drained()
    due = f"coupon_id = {sale.id} AND seq = {orders[2].split('-')[2]}"
    it.sql("".join(f"UPDATE {table} SET pay_by_ms = 1 WHERE {due};" for table in ("orders", "unpaid_orders")))
    until(lambda: statuses(it, sale) == {1: 2, 4: 1}, 10, "the second unit has expired")
    settled(it, sale)
    same((owner(it, sale, user), owner(it, sale, user, 2)), (orders[1].split("-")[2], None), "owners")
    it.sql("INSERT INTO payments (payment_id, coupon_id, segment, seq, amount, currency, at_ms, late) VALUES "
           f"('late-{orders[2]}', {sale.id}, 0, {orders[2].split('-')[2]}, 500, 'EUR', 1, 1)")
    paid = f"SELECT COALESCE(pays_seq, 0) FROM payments WHERE payment_id = 'late-{orders[2]}'"
    until(lambda: it.sql.number(paid), 10, "the payment pays an order")
    same(it.sql(f"SELECT unit, status FROM orders WHERE coupon_id = {sale.id} AND seq = {it.sql.number(paid)}"), [["2", "2"]],
         "unit and status of the order that it pays")
    same(statuses(it, sale), {1: 2, 2: 1, 4: 1}, "orders")
    sale.audit()


@case("Redis and drainers are killed while units are claimed: every unit that was told is there, once")
def killed(it):
    sale, users = it.sale(amount=60, segments=3, limit=LIMIT), it.users(20)
    told = {}

    def insist(user):
        client = it.new_client()
        for unit in (2, 3, 1):
            answer = until(lambda: (a := sale.claim(user, client, unit)).status in (200, 201) and a, 30, f"unit {unit}")
            told[user.id, unit] = answer.json["order"]
        client.close()

    threads = [threading.Thread(target=insist, args=(user,), daemon=True) for user in users]
    for thread in threads:
        thread.start()
    kill(it.workers("drain"))
    restart(it)
    kill(it.workers("drain"))
    for thread in threads:
        thread.join(60)
    sale.drained()
    rows = it.sql(f"SELECT user_id, unit, CONCAT_WS('-', coupon_id, segment, seq) FROM orders WHERE coupon_id = {sale.id}")
    same({(int(user), int(unit)): order for user, unit, order in rows}, told, "orders")
    same(len(rows), 60, "rows")
    sale.audit()


@case("Redis comes back with older data, then with none: every unit stays its customer's, under its number")
def recovered(it):
    sale, user, other = it.sale(amount=10, segments=1, limit=LIMIT), it.customer(), it.customer()
    data, old = it.run / "data/redis", it.run / "old"
    first = sale.win(user, 3)
    sale.drained()
    shutil.copytree(data, old)
    orders = {3: first, 2: sale.win(user, 2)}
    theirs = sale.win(other, 3)
    sale.drained()

    def put_back():
        shutil.rmtree(data)
        shutil.copytree(old, data)

    restart(it, put_back)
    until(lambda: sale.claim(user, unit=3).status == 200, 10, "the sale is open")
    same(again(sale, user, (3, 2)), [orders[3], orders[2]], "written back")
    same(sale.claim(other, unit=3).expect(200).json["order"], theirs, "the other customer's")
    orders[1] = sale.win(user, 1)
    sale.drained()
    restart(it, lambda: (shutil.rmtree(data), data.mkdir()))
    done = it.ctl("recover", "--all")
    same(done.returncode, 0, f"exit of recover: {done.stdout}{done.stderr}")
    same(again(sale, user), [orders[unit] for unit in (1, 2, 3)], "recovered")
    same((sale.claim(other, unit=3).expect(200).json["order"], sale.read()["left"]), (theirs, 6), "the other's, units left")
    sale.audit()
    shutil.rmtree(old)


@case("owners of units are lost, or their records: the audit names the unit, and repairs it")
def repaired(it):
    sale, user = it.sale(amount=10, segments=1, limit=LIMIT), it.customer()
    orders = win_all(sale, user)
    sale.drained()
    it.redis("HDEL", sale.key("o", 0), f"{user.id}#2")
    it.redis("HINCRBY", sale.key("s", 0), "unowned", 1)
    found = it.ctl("audit", sale.title)
    assert f"order {orders[2]} of user {user.id} (unit 2) has no owner" in found.stdout, found.stdout
    it.ctl("audit", "--repair", "--yes", sale.title)
    same(owner(it, sale, user, 2), orders[2].split("-")[2], "the owner")
    it.redis("HSET", sale.key("s", 0), "unowned", 0)
    with Paused(it):
        queued = sale.win(it.customer(), 3)
        it.redis("DEL", sale.key("q", 0))
        found = it.ctl("audit", "--repair", "--yes", sale.title)
    assert f"order {queued} of user" in found.stdout and "(unit 3) is neither" in found.stdout, found.stdout
    sale.drained()
    same(it.sql.number(f"SELECT unit FROM orders WHERE coupon_id = {sale.id} AND seq = {queued.split('-')[2]}"), 3, "its unit")
    sale.audit()


@case("a row of a unit above the limit is a finding; so is an owner of one; a unit has one live order in MySQL")
def above(it):
    sale, user = it.sale(amount=10, segments=1, limit=2), it.customer()
    orders = win_all(sale, user, 2)
    sale.drained()
    row = f"coupon_id = {sale.id} AND seq = {orders[2].split('-')[2]}"
    it.sql(f"UPDATE orders SET unit = 3 WHERE {row}")
    found = it.ctl("audit", sale.title)
    assert "is owned by user" in found.stdout, found.stdout
    it.redis("HDEL", sale.key("o", 0), f"{user.id}#2")
    it.redis("HSET", sale.key("o", 0), f"{user.id}#3", orders[2].split("-")[2])
    found = it.ctl("audit", sale.title)
    same(found.stdout.count("above the limit"), 1, f"findings: {found.stdout}")
    assert f"order {orders[2]} of user {user.id} (unit 3) is of a unit above the limit of the sale, 2 units" in found.stdout
    it.redis("HDEL", sale.key("o", 0), f"{user.id}#3")
    it.redis("HSET", sale.key("o", 0), f"{user.id}#2", orders[2].split("-")[2])
    try:
        it.sql(f"UPDATE orders SET unit = 1 WHERE {row}")
        raise AssertionError("MySQL has two live orders of one unit")
    except SqlError as problem:
        assert "orders_live_unit" in str(problem), problem
    it.sql(f"UPDATE orders SET unit = 2 WHERE {row}")
    sale.audit()


if __name__ == "__main__":
    main(**PAY_GRACE)
