#!/usr/bin/env -S python3 -B
"""A unit's way back: its order is cancelled or expires, and another customer wins it."""

import shutil
import signal
import time

from ended import PAY_GRACE, Chasing, cancel, owner, parts, settled, statuses, unreleased
from harness import main
from storm import Paused, kill
from tap import case, comment, every, pause, quick, same, until


def sold(it, amount=10, segments=3, **more):
    """A sale of which every unit is sold, and MySQL has the orders: order -> user."""
    sale, users = it.sale(amount=amount, segments=segments, **more), it.users(amount)
    orders = {sale.win(user): user for user in users}
    sale.drained()
    return sale, orders


def p99(seconds):
    seconds = sorted(seconds)
    return seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)]


@case("an order is cancelled while units are left: its customer is an owner no more, and may claim again")
def cancelled(it):
    sale, user = it.sale(amount=10, segments=2), it.customer()
    order = sale.win(user)
    sale.drained()
    same(owner(it, sale, user), order.split("-")[2], "owner")
    cancel(it, order)
    settled(it, sale)
    same(owner(it, sale, user), None, "owner")
    again = sale.win(user)
    assert again != order
    sale.drained()
    same((statuses(it, sale), sale.read()["left"]), ({3: 1, 5: 1}, 9), "orders, units left")
    sale.audit()


@case("a sold-out sale: a unit that comes back is won by another customer within a second, again and again")
def resold(it):
    sale, orders = sold(it)
    seconds, losers = [], it.users(40)
    sale.claim(losers[0]).expect(410, "sold-out")
    for n in range(25):
        order = next(iter(orders))
        del orders[order]
        chasing = Chasing(it, sale, [losers.pop()])
        pause(0.05 * (n % 9), "at another moment of the drainers' turns")
        cancel(it, order)
        chasing.began = time.monotonic()
        seconds += chasing.wait(1)
        orders |= {order: None for order in chasing.orders.values()}
        sale.drained()
    comment(f"from the cancellation to the order: {sorted(round(s, 2) for s in seconds)}")
    same(len(sale.rows()), 35, "orders")
    settled(it, sale)
    sale.audit()
    quick(p99(seconds), 1, f"p99 of {seconds}")


@case("orders that are not paid in time expire, and their units are won within a second")
def expired(it):
    sale, orders = sold(it, amount=30, segments=3, pay_within=2)
    chasing = Chasing(it, sale, it.users(30), every=0.03)
    due = it.sql.number(f"SELECT MAX(pay_by_ms) FROM orders WHERE coupon_id = {sale.id}")
    until(lambda: not it.sql.number(f"SELECT COUNT(*) FROM unpaid_orders WHERE pay_by_ms <= {due}"), 20, "all have expired")
    chasing.wait(30)
    sale.drained()
    won = it.sql(f"SELECT claimed_at_ms FROM orders WHERE coupon_id = {sale.id} ORDER BY claimed_at_ms LIMIT 30, 30")
    took = [(int(row[0]) - due) / 1000 for row in won]
    comment(f"from the last expiry to the order: {min(took):.2f} to {max(took):.2f} s")
    until(lambda: statuses(it, sale) == {4: 60}, 10, "the other orders expire, too")
    settled(it, sale)
    same(sale.read()["left"], 30, "units left")
    sale.audit()
    quick(p99(took), 1, f"p99 of {took}")


@case("2,500 orders of three sales expire in the same moment: every unit goes back, every customer may claim again")
def many(it):
    counts, users = (1500, 500, 500), it.users(1500)  # an expiry takes 500 orders at a time
    sales = [it.sale(amount=count, segments=4, pay_within=3600) for count in counts]
    for sale in sales:
        sale.rush(users[:sale.amount], connections=10)
        sale.drained()
    now = int(time.time() * 1000)
    it.sql("".join(f"UPDATE {table} SET pay_by_ms = {now};" for table in ("orders", "unpaid_orders")))
    for sale in sales:
        until(lambda: statuses(it, sale) == {4: sale.amount}, 20, "all orders have expired")
        settled(it, sale)
        same([owner(it, sale, user) for user in users], [None] * 1500, "owners")
        same(it.sql(f"SELECT sold, cancelled FROM coupons WHERE id = {sale.id}"), [["0", str(sale.amount)]], "sold, cancelled")
        events = f"SELECT COUNT(*) FROM order_events WHERE coupon_id = {sale.id} AND kind = 3"
        same(it.sql.number(events), sale.amount, "events")
        sale.audit()
    orders = {o.order for o in sales[1].rush(users[:500], connections=10)}
    same(len(orders), 500, "orders of those who claim again")


def end_orders(it, sale, user, count, actor=1):
    """This customer claims and ends so many orders; the last one."""
    for _ in range(count):
        order = sale.win(user)
        sale.drained()
        cancel(it, order, actor)
        settled(it, sale)
    return order


def last_of(order):
    return "-" + order.split("-")[2]


@case("who has cancelled a third order of a sale gets no other one; of another sale they do")
def third(it):
    sale, other, user = it.sale(amount=20, segments=2), it.sale(amount=20, segments=2), it.customer()
    order = end_orders(it, sale, user, 3)
    same(owner(it, sale, user), last_of(order), "owner")
    other.win(user)
    sale.win(it.customer())
    sale.drained()
    same((statuses(it, sale), sale.read()["left"]), ({3: 3, 5: 1}, 19), "orders, units left")


@case("what the seller cancels does not count: only what expired, or what the customer has cancelled")
def not_counted(it):
    sale, user = it.sale(amount=20, segments=2), it.customer()
    end_orders(it, sale, user, 3, actor=2)
    same(owner(it, sale, user), None, "after three that the seller has cancelled")
    end_orders(it, sale, user, 2)
    same(owner(it, sale, user), None, "after two that the customer has cancelled, too")
    same((it.ctl("recover", sale.title).returncode, owner(it, sale, user)), (0, None), "exit, and the owner after a recovery")
    order = end_orders(it, sale, user, 1)
    same(owner(it, sale, user), last_of(order), "after the third one")
    sale.audit()


def late_payment(it, order, price=500):
    """A payment of the price, which came after the order was over."""
    coupon, segment, seq = parts(order)
    it.sql("INSERT INTO payments (payment_id, coupon_id, segment, seq, amount, currency, at_ms, late) "
           f"VALUES ('late-{order}', {coupon}, {segment}, {seq}, {price}, 'EUR', 1, 1)")


def paid_by(it, order):
    """The number, in its segment, of the order that the late payment pays; 0: none yet; -1: it is to be refunded."""
    return it.sql.number(f"SELECT COALESCE(-SIGN(refund_due), pays_seq, 0) FROM payments WHERE payment_id = 'late-{order}'")


def reason_of(it, order):
    coupon, segment, seq = parts(order)
    return it.sql(f"SELECT reason FROM order_events WHERE coupon_id = {coupon} AND segment = {segment} AND seq = {seq} "
                  "ORDER BY id DESC LIMIT 1")[0][0]


PAID_SALE = {"price": 500, "currency": "EUR", "pay_within": 600}


@case("a late payment of the third order gets its unit, once; when that order is over, too, the customer gets no other one")
def third_paid(it):
    sale, user = it.sale(amount=20, segments=2, **PAID_SALE), it.customer()
    order = end_orders(it, sale, user, 3)
    same(owner(it, sale, user), last_of(order), "owner")
    late_payment(it, order)
    until(lambda: paid_by(it, order) > 0, 10, "the payment pays a new order")
    new = f"{sale.id}-{sale.home(user)}-{paid_by(it, order)}"
    same((statuses(it, sale), owner(it, sale, user)), ({2: 1, 3: 3}, new.split("-")[2]), "orders, owner")
    sale.audit()
    it.sql(f"UPDATE payments SET pays_segment = NULL, pays_seq = NULL WHERE payment_id = 'late-{order}'; "
           f"UPDATE coupons SET final_cancelled = final_cancelled + 1 WHERE id = {sale.id}")
    cancel(it, new)
    settled(it, sale)
    same(owner(it, sale, user), last_of(new), "owner, after the fourth")
    sale.claim(user).expect(409, "limit-reached")
    sale.audit()


@case("a late payment that gets no unit: the reason names the payment, and says why")
def refused(it):
    sale, orders = sold(it, amount=2, segments=1, **PAID_SALE)
    order = next(iter(orders))
    cancel(it, order)
    Chasing(it, sale, [it.customer()]).wait(1)
    sale.drained()
    settled(it, sale)
    late_payment(it, order)
    until(lambda: paid_by(it, order) < 0, 10, "the refund is due")
    same(reason_of(it, order), f"payment late-{order} came after the order was cancelled, and all units are held by other orders", "reason")


@case("while Redis is empty, a late payment waits; it gets its unit once the sale is recovered")
def emptied(it):
    sale, user = it.sale(amount=4, segments=1, **PAID_SALE), it.customer()
    order = end_orders(it, sale, user, 1)
    it.redis.close()
    it.dev("stop", "redis")
    shutil.rmtree(it.run / "data/redis")
    (it.run / "data/redis").mkdir()
    it.dev("start", "redis")
    late_payment(it, order)
    pause(3, "drainers look for a unit, again and again")
    same(paid_by(it, order), 0, "the payment, while Redis is empty")
    done = it.ctl("recover", "--all")
    same(done.returncode, 0, f"exit of recover: {done.stdout}{done.stderr}")
    until(lambda: paid_by(it, order) > 0, 15, "the payment pays a new order")
    same(statuses(it, sale), {2: 1, 3: 1}, "orders")


@case("a late payment whose customer's next order is a dead letter is to be refunded")
def dead(it):
    sale, user = it.sale(amount=4, segments=1, pay_within=1, price=500, currency="EUR"), it.customer()
    order = sale.win(user)
    until(lambda: statuses(it, sale) == {4: 1}, 10, "the order has expired")
    settled(it, sale)
    it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
           f"VALUES ({sale.id}, 200, 1, {user.id}, 5, 1, 1)")  # stands in the way of the next one
    sale.win(user)
    until(lambda: it.sql.number(f"SELECT COUNT(*) FROM dead_letters WHERE coupon_id = {sale.id}"), 10, "a dead letter")
    late_payment(it, order)
    until(lambda: paid_by(it, order) < 0, 15, "the refund is due")
    same(reason_of(it, order), f"payment late-{order} came after the order had expired, and the customer has another order of the unit, "
         "which is a dead letter", "reason")


@case("a segment that is not open keeps its owners, and holds up no other one; it is released once it is open")
def closed(it):
    def orders_of(sale):
        orders = {sale.win(user): user for user in it.users(20)}
        sale.drained()
        return orders
    broken, sound = it.sale(amount=20, segments=2), it.sale(amount=20, segments=2)
    orders = {sale: orders_of(sale) for sale in (broken, sound)}
    fence = it.redis("HGET", broken.key("s", 1), "fence")
    it.redis("HSET", broken.key("s", 1), "fence", fence.split("@")[0] + "!")
    for sale in (broken, sound):
        for order in orders[sale]:
            cancel(it, order)
    settled(it, sound)
    in_one = {order: user for order, user in orders[broken].items() if order.split("-")[1] == "1"}
    until(lambda: unreleased(it, broken) == len(in_one), 5, "the other segment is released")
    same([owner(it, broken, user) for user in in_one.values()], [order.split("-")[2] for order in in_one], "owners")
    it.redis("HSET", broken.key("s", 1), "fence", fence)
    settled(it, broken)
    same([owner(it, broken, user) for user in in_one.values()], [None] * len(in_one), "owners")


@case("Redis was away when orders ended: they are released, and their units sold, when it is back")
def redis_away(it):
    sale, orders = sold(it)
    it.dev("stop", "redis")
    for order in list(orders)[:5]:
        cancel(it, order)
    pause(1, "drainers try it without Redis")
    it.redis.close()
    it.dev("start", "redis")
    began = time.monotonic()
    Chasing(it, sale, it.users(5)).wait(5)
    comment(f"{time.monotonic() - began:.2f} s after Redis was back")
    settled(it, sale)
    sale.drained()
    sale.audit()


@case("MySQL was away when orders were due: they expire when it is back")
def mysql_away(it):
    sale, _ = sold(it, amount=6, segments=2, pay_within=2)
    others = it.users(6)
    it.dev("stop", "mysql")
    pause(2.5, "the orders are due")
    chasing = Chasing(it, sale, others, every=0.05)
    it.dev("start", "mysql")
    chasing.began = time.monotonic()
    chasing.wait(6)
    comment(f"{max(chasing.seconds):.2f} s after MySQL was back")
    after = max(chasing.seconds)
    until(lambda: statuses(it, sale) == {4: 12}, 20, "the new orders expire, too")
    settled(it, sale)
    sale.audit()
    quick(after, 3, "after MySQL was back")


@case("many sales have orders to drain: a unit that comes back meanwhile is won within a second")
def beside_drains(it):
    sale, orders = sold(it, amount=4, segments=2, pay_within=3600)
    seller, users, other = it.seller(), it.users(6), it.customer()
    sales = [it.sale(seller, amount=10, segments=1) for _ in range(150)]
    with Paused(it):
        for user in users:
            for one in sales:
                one.win(user)
        chasing = Chasing(it, sale, [other])
    ids = ", ".join(str(one.id) for one in sales)
    until(lambda: it.sql(f"SELECT 1 FROM orders WHERE coupon_id IN ({ids}) LIMIT 1"), 10, "the drain has begun", every=0.001)
    cancel(it, next(iter(orders)))
    chasing.began = time.monotonic()
    chasing.wait(1)
    queued = sum(one.queued() for one in sales)
    comment(f"{chasing.seconds[0]:.2f} s; then {queued} of 900 orders still waited")
    for one in sales:
        one.drained()
    quick(chasing.seconds[0], 1, "from the cancellation to the order")


@case("a drainer that stands still holds up another one for a few seconds at most")
def stopped(it):
    sale, orders = sold(it)
    victims = it.full("drain")
    for victim in victims:
        kill([victim], signal.SIGSTOP)
        order = orders.popitem()[0]
        cancel(it, order)
        chasing = Chasing(it, sale, [it.customer()])
        chasing.wait(1)
        comment(f"{chasing.seconds[0]:.2f} s")
        kill([victim], signal.SIGCONT)
        sale.drained()
    settled(it, sale)
    sale.audit()


@case("drainers that are killed again and again beside expiries and claims lose no unit")
def killed(it):
    sale, users = it.sale(amount=60, segments=4, pay_within=2), it.users(200)
    chasing = Chasing(it, sale, users, every=0.05)
    for _ in range(12):
        pause(0.4, "the pace of the kills")
        kill(it.workers("drain")[:1])
    chasing.wait(180, 40)
    it.full("drain")
    sale.drained()
    until(lambda: set(statuses(it, sale)) == {4}, 20, "the last orders expire")
    settled(it, sale)
    same(sale.read()["left"], 60, "units left")
    sale.audit()


if __name__ == "__main__":
    main(**PAY_GRACE)
