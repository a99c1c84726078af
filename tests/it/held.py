#!/usr/bin/env -S python3 -B
"""All units are held: nothing is left, and orders that are not paid may give their units back."""

import time

from ended import Chasing, cancel, settled
from harness import main
from losers import by_nginx, counts, crowd, grown, sold_out
from tap import case, comment, pause, quick, same, until

PAY_WITHIN = 600


def held(it, **more):
    """A sale whose units all have orders that wait for payment, in MySQL; winners, losers."""
    sale, winners, losers = sold_out(it, pay_within=PAY_WITHIN, **more)
    sale.drained()
    settled(it, sale)
    return sale, winners, losers


def pay(it, sale, *users):
    """The transaction of a payment, with nothing after it."""
    for user in users:
        row = f"coupon_id = {sale.id} AND user_id = {user.id}"
        it.sql(f"START TRANSACTION; DELETE p FROM unpaid_orders p JOIN orders o USING (coupon_id, segment, seq) WHERE o.{row}; "
               f"UPDATE orders SET status = 2 WHERE {row} AND status = 1; "
               f"UPDATE coupons SET final = final + ROW_COUNT(), hub_told = 0 WHERE id = {sale.id}; COMMIT")
    settled(it, sale)


def cancel_paid(it, sale, user):
    """The transaction of a seller's cancellation of a paid order, with nothing after it."""
    row = f"coupon_id = {sale.id} AND user_id = {user.id} AND status = 2"
    it.sql(f"START TRANSACTION; INSERT INTO returned_orders SELECT coupon_id, segment, seq, user_id, unit FROM orders WHERE {row}; "
           f"UPDATE orders SET status = 3 WHERE {row}; UPDATE coupons SET sold = sold - 1, cancelled = cancelled + 1, "
           f"final_cancelled = final_cancelled + 1, hub_told = 0 WHERE id = {sale.id}; COMMIT")


def order_of(it, sale, user):
    return "-".join(it.sql(f"SELECT coupon_id, segment, seq FROM orders WHERE coupon_id = {sale.id} AND user_id = {user.id}")[0])


@case("the page of a sale: open, all held, sold out for good; of a sale without payment never all held")
def page(it):
    sale, users = it.sale(amount=2, segments=2, pay_within=PAY_WITHIN), it.users(2)
    free, user = it.sale(amount=1), it.customer()
    state = lambda of: of.read()["state"]
    sale.win(users[0])
    free.win(user)
    same((state(sale), state(free)), ("open", "sold-out"), "the pages")
    sale.win(users[1])
    same(state(sale), "all-held", "before anybody was refused")
    sale.drained()
    settled(it, sale)
    same(state(sale), "all-held", "while no order is paid")
    pay(it, sale, users[0])
    same(state(sale), "all-held", "while one is not paid")
    pay(it, sale, users[1])
    until(lambda: state(sale) == "sold-out", 3, "all are paid")
    it.redis("HSET", sale.key("hub"), "final", 1, "sold_out", 1)
    until(lambda: state(sale) == "sold-out", 1, "the hub has declared it sold out for good")
    it.redis("HSET", sale.key("hub"), "final", 2, "sold_out", 0)


@case("losers are told that all units are held, and when to ask again; winners get their orders")
def told(it):
    sale, winners, losers = held(it)
    before = counts(it)
    for user in losers[:10]:
        answer = sale.claim(user).expect(409, "all-held")
        same(answer.headers["Retry-After"], "10", "Retry-After")  # the order is due later
        answer = sale.claim_compat(user).expect(204, "all-held")
        same(answer.headers["Retry-After"], "10", "Retry-After")
    for user in winners:
        sale.claim(user).expect(200)
    same(grown(it, before, 'claims_total{end="all-held"}'), 20, "losers counted")
    due = int(it.redis("HGET", sale.key("hub"), "pay_by"))
    same((sale.read()["state"], sale.read()["left"]), ("all-held", 0), "the sale's page")
    same(due, it.sql.number(f"SELECT MIN(pay_by_ms) FROM orders WHERE coupon_id = {sale.id}"), "pay_by at the hub")
    sale.audit()


@case("Retry-After: until the next order expires; a few seconds where that is not known; never less than one")
def retry_after(it):
    sale, _, losers = held(it, segments=1)
    segment, now = sale.key("s", 0), lambda: int(time.time() * 1000)
    until(lambda: sale.claim(losers[0]).expect(409) and it.redis("HGET", segment, "held"), 3, "the segment has a flag")

    def seconds_for(due):
        """None when the flag has expired before the answer came."""
        asked = now()
        it.redis("HSET", segment, "held", due and asked + due, "until", asked + 900)
        seconds = int(sale.claim(losers[0]).expect(409, "all-held").headers["Retry-After"])
        return seconds if now() < asked + 900 else None
    for due, least, most in ((0, 5, 5), (-60_000, 1, 1), (2_000, 6, 7), (90_000, 10, 10)):  # the grace is 5 s
        seconds = until(lambda: seconds_for(due), 10, "an answer while there is a flag")
        assert least <= seconds <= most, f"{seconds} s for an order that is due in {due} ms"


@case("no worker and no nginx refuses alone while units are held; a crowd costs each segment one question a second")
def no_notice(it):
    sale, _, losers = held(it)
    crowd(sale, losers)
    before, began = counts(it), time.monotonic()
    for user in losers:
        sale.claim_compat(user).expect(204, "all-held")
    seconds = time.monotonic() - began
    same(grown(it, before, 'scripts_total{script="claim"}') >= len(losers), True, "each of them asked a segment")
    asked = grown(it, before, 'scripts_total{script="exchange"}')
    most = sale.segments * it.pool_size("hot") * (seconds + 1)
    assert asked <= most, f"{asked} questions to the hub in {seconds:.1f} s"
    same(it.redis("HMGET", sale.key("hub"), "sold_out"), ["2"], "at the hub")


@case("a unit comes back: whoever asks next gets it, without an opening")
def comes_back(it):
    sale, winners, losers = held(it)
    seconds = []
    for winner in winners:
        crowd(sale, losers[:20])
        chasing = Chasing(it, sale, [losers.pop()])
        pause(0.2, "it is refused by flags")
        cancel(it, order_of(it, sale, winner))
        chasing.began = time.monotonic()
        seconds += chasing.wait(1)
        same(it.redis("HGET", sale.key("hub"), "opening") or "0", "0", "opening of the hub")
    comment(f"from the cancellation to the order: {sorted(round(s, 2) for s in seconds)}")
    sale.drained()
    settled(it, sale)
    sale.audit()
    quick(max(seconds), 1, f"the longest of {seconds}")


@case("all are paid: sold out for good, and nginx answers alone; the seller cancels one, and it is sold once more")
def all_paid(it):
    sale, winners, losers = held(it)
    sale.claim(losers[0]).expect(409, "all-held")
    pay(it, sale, *winners[1:])
    crowd(sale, losers[:20])
    sale.claim(losers[0]).expect(409, "all-held")
    pay(it, sale, winners[0])
    until(lambda: sale.claim(losers[0]).status == 410, 3, "sold out for good")
    until(lambda: sale.read()["state"] == "sold-out", 3, "the sale's page says so")
    crowd(sale, losers, sale.claim_compat)
    until(lambda: by_nginx(it, sale, losers[0]), 3, "nginx answers alone")
    sale.audit()
    cancel_paid(it, sale, winners[0])
    chasing = Chasing(it, sale, losers[:5])
    chasing.wait(1, 5)
    comment(f"from the cancellation to the order: {chasing.seconds[0]:.2f} s")
    sale.drained()
    settled(it, sale)
    until(lambda: sale.claim(losers[-1]).code == "all-held", 3, "the new order is not paid")
    sale.audit()


@case("a hub that an earlier program made learns from the drainers that orders are paid")
def learns(it):
    sale, _, losers = held(it)
    it.redis("HDEL", sale.key("hub"), "pays", "pay_by")
    until(lambda: it.redis("HGET", sale.key("hub"), "pays") == "1", 15, "the sweep has told the hub")
    until(lambda: sale.claim(losers[0]).code == "all-held", 3, "all are held")


@case("a customer whose orders ended too often: limit-reached, on both routes")
def limit(it):
    sale, user = it.sale(amount=10, segments=2, pay_within=PAY_WITHIN), it.customer()
    order = sale.win(user)
    sale.drained()
    it.redis("HSET", sale.key("o", sale.home(user)), user.id, "-" + order.split("-")[2])
    sale.claim(user).expect(409, "limit-reached")
    sale.claim_compat(user).expect(204, "limit-reached")
    sale.claim(it.customer()).expect(201)


if __name__ == "__main__":
    main()
