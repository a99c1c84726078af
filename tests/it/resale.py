#!/usr/bin/env -S python3 -B
"""Units that come back: they are sold again, nobody is refused meanwhile, and it does not take long."""

import threading
import time

from harness import main
from history import Load
from lifebooks import CANCELLED, EXPIRED, PAID, Final, LifeBooks, Payment, audited, problems
from orderlife import cancel
from provider import Provider, key_file, new_secret
from tap import case, comment, pause, quick, same, until

TERMS = {"price": 500, "currency": "EUR"}
SECRET = new_secret()
GRACE = 1
LATER = {"busy", "unavailable", "outcome-unknown"}


def quantile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def told(what, times):
    """Prints how long it took, in ms, and checks that it was less than a second for 99 of 100."""
    p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
    comment(f"{what}: {len(times)} times, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(times):.0f} ms")
    quick(p99 / 1000, 1, f"{what}: p99")


def wins(sale, user, client=None, every=0.005, seconds=20):
    """Claims until it is won."""
    return until(lambda: (a := sale.claim(user, client)).status in (200, 201) and a, seconds, f"{user} wins", every).json["order"]


def pay(provider, order, client=None):
    """An order that is not in MySQL yet is answered 503, after a while."""
    return until(lambda: (a := provider.pay(order, f"pay_{order}", TERMS["price"], client=client)).status < 500 and a, 20,
                 f"{order} is paid")


class Market:
    """Customers who claim until they win or are told "sold out"; so many of the first do not pay."""

    def __init__(self, it, sale, users, leavers):
        self.sale, self.books = sale, LifeBooks(sale, TERMS | {"grace": GRACE})
        self.leavers, self.provider, self.lock = leavers, Provider(it, SECRET), threading.Lock()
        self.load = Load(it.port, 12, users, self._buy)

    def _buy(self, client, user):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            event = self.books.claim(user, client)
            if event.order:
                return self._own(client, event.order)
            if event.code == "sold-out":
                return None
            pause(0.05, "the pace of a customer")
        raise AssertionError(f"{user} was never told: {event}")

    def _own(self, client, order):
        with self.lock:
            self.leavers -= 1
            leaves = self.leavers >= 0
        if not leaves:
            payment = f"pay_{order}"
            self.books.payments[payment] = Payment(order, TERMS["price"], TERMS["currency"], True)
            start = time.monotonic()
            self.books.note_payment(payment, pay(self.provider, order, client), start)


@case("1,000 units, 30 % of the orders expire: 1,000 are sold and paid, and nobody is told \"sold out\" before")
def thirty_percent(it):
    sale = it.sale(amount=1000, segments=10, pay_within=2, **TERMS)
    market = Market(it, sale, it.users(1400), leavers=300)
    market.load.join()

    def rests():
        final = Final(it, sale)
        return not any(final.waiting.values()) and final.coupon["hub_told"]
    until(rests, 20, "everything is at rest", every=0.1)
    audited(it, sale)
    final = Final(it, sale)
    found = problems(market.books, final)  # among them: "sold out" is said when 1,000 were paid, and not before
    assert not found, f"{len(found)} broken:\n" + "\n".join(map(str, found[:20]))
    same([len(final.with_status(s)) for s in (PAID, CANCELLED, EXPIRED)], [1000, 0, 300], "paid, cancelled, expired")
    codes = [e.code for e in market.books.claims]
    same(codes.count("sold-out"), 100, "customers who are told \"sold out\"")
    comment(f"{len(codes)} claims: {codes.count('all-held')} times all-held, {sum(c in LATER for c in codes)} times 503")


def held(it, amount, **more):
    """A sale of which all units are held, and its orders."""
    sale = it.sale(amount=amount, segments=4, **TERMS | more)
    owners = {}
    for user in it.users(amount):
        owners[wins(sale, user)] = user
    sale.drained()
    return sale, owners


@case("a customer cancels, and another one who waits has the unit: p99 below a second")
def after_a_cancel(it):
    sale, owners = held(it, 60, pay_within=600)
    times = []
    for (order, owner), fresh in zip(owners.items(), it.users(60)):
        sale.claim(fresh).expect(409, "all-held")
        cancel(it, order, owner).expect(200)
        began = time.monotonic()
        wins(sale, fresh)
        times.append((time.monotonic() - began) * 1000)
    told("from a cancel to a claim that wins", times)
    sale.drained()
    until(lambda: Final(it, sale).coupon["hub_told"], 5, "the hub is told")
    audited(it, sale)


@case("orders expire one after the other, and customers who wait have the units: p99 below a second")
def after_an_expiry(it):
    count = 100
    sale = it.sale(amount=count, segments=4, pay_within=2, **TERMS)
    fresh = it.users(count)
    for user in it.users(count):
        wins(sale, user)
        pause(0.03, "orders are due at different moments")
    load = Load(it.port, 6, fresh, lambda client, user: wins(sale, user, client, every=0.01, seconds=30))
    load.join()
    sale.drained()
    expired = [(int(at), int(due) + GRACE * 1000) for at, due in
               it.sql("SELECT e.at_ms, o.pay_by_ms FROM order_events e JOIN orders o USING (coupon_id, segment, seq) "
                      f"WHERE e.coupon_id = {sale.id} AND e.kind = 3 ORDER BY e.at_ms")]
    claimed = f"SELECT claimed_at_ms FROM orders WHERE coupon_id = {sale.id} ORDER BY claimed_at_ms"
    won = [int(row[0]) for row in it.sql(claimed)][count:]
    told("from the moment when an order is due to its expiry", [at - due for at, due in expired])
    told("from an expiry to a claim that wins", [max(0, w - at) for w, (at, _) in zip(won, expired)])


@case("a seller cancels a paid order of a sale that is sold out: it opens again")
def after_sold_out(it):
    sale, owners = held(it, 8, pay_within=600)
    provider, times = Provider(it, SECRET), []
    for order in owners:
        pay(provider, order).expect(200)
    for order, fresh in zip(owners, it.users(8)):
        until(lambda: sale.claim(fresh).code == "sold-out", 5, "sold out for good")
        cancel(it, order, sale.seller, "a test").expect(200)
        began = time.monotonic()
        new = wins(sale, fresh)
        times.append((time.monotonic() - began) * 1000)
        pay(provider, new).expect(200)
    told("from a seller's cancel in a sold-out sale to a claim that wins", times)


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1, SECKILL_PAY_GRACE_S=GRACE, SECKILL_PAYMENT_KEY_FILE=key_file(SECRET))
