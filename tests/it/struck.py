#!/usr/bin/env -S python3 -B
"""An order is paid or cancelled while a worker is killed or stands still, or MySQL fails: all of it is done, or nothing."""

from concurrent.futures import ThreadPoolExecutor

import faultpoints
from harness import main
from orderlife import (CURRENCY, PRICE, Provider, cancel, contradictions, is_returned, key_file, kinds, new_secret, payment,
                       sale_with_price, status, totals, win)
from sqlproxy import behind_proxy, fails
from tap import case, every, pause, same, until

KEY = new_secret()
PAID, CANCELLED, EXPIRED, FAILED, REFUSED, PAID_LATE, REFUNDED = range(1, 8)
NOT_ANSWERED = ("unavailable", "outcome-unknown", "busy")


class Deed:
    """Something that is done to an order: before it, the request, and what MySQL holds afterwards."""

    paid = False

    def __init__(self, it):
        self.it, self.provider = it, Provider(it, KEY)
        if not hasattr(it, "shop"):
            it.shop, it.people = sale_with_price(it, amount=800, segments=4), it.users(300)
        self.sale, self.user = it.shop, it.people.pop()
        self.order = win(self.sale, self.user)
        self.id = "pay_" + self.order
        if self.paid:
            self.provider.pay(self.order, self.id).expect(200)
        self.before = totals(it, self.sale)

    def ask(self, client=None):
        raise NotImplementedError

    def expect(self, state, kinds_, growth):
        same((status(self.it, self.order), kinds(self.it, self.order)), (state, kinds_), "order")
        same(tuple(new - old for new, old in zip(totals(self.it, self.sale), self.before)), growth, "totals")

    def judge(self):
        """It is done, once. The sale's books are right."""
        raise NotImplementedError


class Pay(Deed):
    POINTS = ("life_locked", "life_recorded", "life_paid", "life_not_unpaid", "life_event", "life_counted", "life_committed")

    def ask(self, client=None):
        return self.provider.pay(self.order, self.id, client=client or self.it.new_client())

    def judge(self):
        self.expect("paid", [PAID], (0, 0, 1, 0))
        same(payment(self.it, self.id), (PRICE, CURRENCY, 0, self.order, 0, 0), "payment")


class PayTwice(Deed):
    POINTS = ("life_locked", "life_recorded", "life_event", "life_committed")
    paid = True

    def ask(self, client=None):
        return self.provider.pay(self.order, self.id + "-2", client=client or self.it.new_client())

    def judge(self):
        self.expect("paid", [PAID, REFUSED], (0, 0, 0, 0))
        same(payment(self.it, self.id + "-2"), (PRICE, CURRENCY, 0, "", 0, PRICE), "payment")


class Refund(Deed):
    POINTS = PayTwice.POINTS
    paid = True

    def ask(self, client=None):
        return self.provider.refund(self.order, self.id, "re_" + self.order, 400, client=client or self.it.new_client())

    def judge(self):
        self.expect("paid", [PAID, REFUNDED], (0, 0, 0, 0))
        same(payment(self.it, self.id), (PRICE, CURRENCY, 400, self.order, 0, 0), "payment")


class Cancel(Deed):
    POINTS = ("life_locked", "life_ended", "life_not_unpaid", "life_returned", "life_event", "life_counted", "life_committed")

    def ask(self, client=None):
        return cancel(self.it, self.order, self.user, client=client or self.it.new_client())

    def judge(self):
        self.expect("cancelled", [CANCELLED], (-1, 1, 0, 0))
        until(lambda: not is_returned(self.it, self.order), 5, "its owner is released")


class CancelPaid(Cancel):
    POINTS = tuple(point for point in Cancel.POINTS if point != "life_not_unpaid")
    paid = True

    def ask(self, client=None):
        return cancel(self.it, self.order, self.sale.seller, "no more", client=client or self.it.new_client())

    def judge(self):
        self.expect("cancelled", [PAID, CANCELLED], (-1, 1, 0, 1))
        same(payment(self.it, self.id), (PRICE, CURRENCY, 0, "", 0, PRICE), "payment")


DEEDS = (Pay, PayTwice, Refund, Cancel, CancelPaid)


def insist(deed, first=None):
    """Repeats a request until it is answered."""
    answer = first or deed.ask()
    for _ in range(50):
        if answer.status == 200:
            return
        assert answer.status == 503 and answer.code in NOT_ANSWERED, answer
        pause(0.1, "the pace of who asks again")
        answer = deed.ask()
    raise AssertionError(answer)


def finish(it):
    it.full("cold")
    same(contradictions(it, it.shop), [], "contradictions")
    it.shop.drained()
    it.shop.audit()


@case("a worker is killed at each point: another one answers the same request, and it is done once")
def killed(it):
    def survives(kind, point):
        deed = kind(it)
        struck = faultpoints.arm(point, "kill")
        try:
            answer = deed.ask()
            assert struck(), "nobody passed the point"
        finally:
            faultpoints.disarm()
        answer.expect(200)  # from another worker, because nginx sends the request again
        insist(deed)
        deed.judge()
        it.full("cold")
    every([(kind, point) for kind in DEEDS for point in kind.POINTS], survives)
    finish(it)


@case("a worker stands still at a point, for longer than MySQL waits for it: who asks meanwhile is answered, it is done once")
def stalled(it):
    def survives(kind, point):
        deed = kind(it)
        struck = faultpoints.arm(point, "stall=2600")
        try:
            answers = both(deed, struck)
        finally:
            faultpoints.disarm()
        for answer in answers:
            insist(deed, answer)
        deed.judge()
    every(faultpoints.some((kind, point) for kind in (Pay, Cancel) for point in kind.POINTS), survives)
    finish(it)


def both(deed, struck):
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(deed.ask)
        until(struck, 5, "the point")
        second = pool.submit(deed.ask)
        return [first.result(), second.result()]


STATEMENTS = ("FROM orders WHERE", "FROM coupons WHERE id", "^UPDATE .*orders .*SET .*status", "INSERT INTO order_events", "^COMMIT$")
OF_PAYMENTS = ("FROM payments WHERE payment_id", "INSERT INTO payments", "UPDATE payments SET refunded", "^DELETE .*unpaid_orders",
               "UPDATE coupons SET final")
OF_CANCELS = ("^DELETE .*unpaid_orders", "INSERT INTO returned_orders", "UPDATE coupons SET sold")
DEADLOCK, LOCK_WAIT, BROKEN = 1213, 1205, 1054


@case("MySQL fails at each statement: a lost race is repeated at once, a lost connection answered 503; it is done once")
def statements_fail(it):
    def survives(kind, statement, how):
        deed = kind(it)
        with fails(statement, how):
            answer = deed.ask()
        if how in (DEADLOCK, LOCK_WAIT) and statement != "^COMMIT$":
            answer.expect(200)
        insist(deed, answer)
        deed.judge()
    every([(kind, statement, how) for kind, own in ((Pay, OF_PAYMENTS), (Cancel, OF_CANCELS)) for statement in STATEMENTS + own
           for how in ("before", "after", DEADLOCK)] + [(Pay, "UPDATE coupons SET final", LOCK_WAIT)], survives)
    finish(it)


@case("an error of MySQL that will come again is answered 500, and nothing is done")
def broken(it):
    for kind, statement in ((Pay, "INSERT INTO order_events"), (Cancel, "UPDATE coupons SET sold")):
        deed = kind(it)
        with fails(statement, BROKEN):
            deed.ask().expect(500, "internal")
        same((status(it, deed.order), kinds(it, deed.order), payment(it, deed.id)), ("pending", [], None), "nothing")
        insist(deed)
        deed.judge()
    finish(it)


if __name__ == "__main__":
    faultpoints.build()
    main(SECKILL_PASSWORD_COST=1, SECKILL_COLD=3, SECKILL_DRAINERS=2, SECKILL_PAYMENT_KEY_FILE=key_file(KEY),
         SECKILL_MYSQL_SOCKET=behind_proxy, **faultpoints.SETTINGS)
