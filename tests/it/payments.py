#!/usr/bin/env -S python3 -B
"""Payments, refunds and cancellations of orders: what is accepted, what MySQL holds then, and who wins a race."""

import json
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import BUILD, main
from orderlife import (CURRENCY, PRICE, Provider, cancel, contradictions, ending, events, expire, is_returned, is_unpaid,
                       key_file, kinds, new_secret, number, payment, sale_with_price, status, totals, where, win)
from stores import Session
from storm import Paused, dice, kill
from tap import case, comment, every, pause, quick, same, until

OLD, NEW = new_secret(), new_secret(24)  # both are in the file: OLD is being replaced
PAID, CANCELLED, EXPIRED, FAILED, REFUSED, PAID_LATE, REFUNDED, MISFIT = range(1, 9)
CUSTOMER, SELLER, PROVIDER, OPERATOR, SERVICE = range(1, 6)
NOW = 1 << 52  # later than every pay_by


def provider(it):
    return Provider(it, OLD)


def said(answer, order, state, outcome):
    same(answer.expect(200).json, {"errMsg": "", "order": order, "status": state, "payment": outcome}, "answer")


def untouched(it, sale, order, before=None):
    """Nothing of what was refused has left a trace."""
    now = (status(it, order), events(it, order), totals(it, sale), is_unpaid(it, order), is_returned(it, order),
           number(it, f"SELECT COUNT(*) FROM payments WHERE coupon_id = {sale.id}"), number(it, "SELECT COUNT(*) FROM refunds"))
    if before:
        same(now, before, "what MySQL holds")
    return now


# Signatures

@case("a signed payment of the price makes the order paid: order, payment, event, totals")
def paid(it):
    sale, user, p = sale_with_price(it), it.customer(), provider(it)
    order = win(sale, user)
    same((status(it, order), is_unpaid(it, order), totals(it, sale)), ("pending", 1, (1, 0, 0, 0)), "before")
    with Paused(it):
        it.sql(f"UPDATE coupons SET hub_told = 1 WHERE id = {sale.id}")
        said(p.pay(order, "pay_1"), order, "paid", "paid")
        same(number(it, f"SELECT hub_told FROM coupons WHERE id = {sale.id}"), 0, "hub_told")
    same((status(it, order), is_unpaid(it, order), is_returned(it, order)), ("paid", 0, 0), "order")
    same(payment(it, "pay_1"), (PRICE, CURRENCY, 0, order, 0, 0), "payment")
    same(events(it, order), [(PAID, PROVIDER, "")], "events")
    same((totals(it, sale), contradictions(it, sale)), ((1, 0, 1, 0), []), "totals")
    now = int(it.redis("TIME")[0])
    assert abs(number(it, f"SELECT at_ms FROM order_events WHERE {where(order)}") // 1000 - now) < 20, "time of the event"


@case("a message that is not signed, by us, now, is refused and changes nothing")
def signatures(it):
    sale, p = sale_with_price(it), provider(it)
    order = win(sale, it.customer())
    body = json.dumps({"type": "payment.succeeded", "data": {"payment": "pay_sig", "amount": PRICE, "currency": CURRENCY}}).encode()
    good, now, before = p.headers(body), int(time.time()), untouched(it, sale, order)

    def refused(what, changes, body=body, word=None):
        headers = {name: value for name, value in (good | changes).items() if value is not None}
        answer = it.ask("POST", f"/api/orders/{order}/payment", body=body, headers=headers).expect(401, "bad-signature")
        answer.names(word or "webhook-signature")
    every([
        ("no headers", dict.fromkeys(good), body, "webhook-id"),
        ("no id", {"webhook-id": None}, body, "webhook-id"),
        ("no time", {"webhook-timestamp": None}, body, "webhook-timestamp"),
        ("no signature", {"webhook-signature": None}),
        ("empty signature", {"webhook-signature": ""}),
        ("another id", {"webhook-id": "msg_other"}),
        ("an id with a space", {"webhook-id": "msg 1"}, body, "webhook-id"),
        ("an id of 129 characters", {"webhook-id": "m" * 129}, body, "webhook-id"),
        ("an id as SQL", {"webhook-id": "'; DROP TABLE payments; --"}, body, "webhook-id"),
        ("another time", {"webhook-timestamp": str(int(good["webhook-timestamp"]) - 1)}),
        ("301 s old", p.headers(body, at=now - 303), body, "webhook-timestamp"),
        ("a day old", p.headers(body, at=now - 86400), body, "webhook-timestamp"),
        ("in the future", p.headers(body, at=now + 330), body, "webhook-timestamp"),
        ("a time that is no number", p.headers(body, at="now"), body, "webhook-timestamp"),
        ("a time in milliseconds", p.headers(body, at=now * 1000), body, "webhook-timestamp"),
        ("a time with a sign", p.headers(body, at=f"+{now}"), body, "webhook-timestamp"),
        ("another key", p.headers(body, secret=new_secret())),
        ("another body", {}, body + b" "),
        ("no body", {}, b""),
        ("without v1", {"webhook-signature": good["webhook-signature"][3:]}),
        ("as v2", {"webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}),
        ("cut short", {"webhook-signature": good["webhook-signature"][:-1]}),
        ("commas", {"webhook-signature": ",,,"}),
        ("bytes", {"webhook-signature": "v1,\xff\xfe"}),
        ("long garbage", {"webhook-signature": "v1,A " * 1500}),
        ("a user's token", {"webhook-signature": None, "Authorization": f"Bearer {sale.seller.token}"}),
    ], refused)
    untouched(it, sale, order, before)
    said(it.ask("POST", f"/api/orders/{order}/payment", body=body, headers=good), order, "paid", "paid")


@case("keys are replaced: any key of the file, one of several signatures; 300 s late or early")
def rotation(it):
    sale, p = sale_with_price(it, amount=20), provider(it)
    now = int(time.time())
    for n, how in enumerate(({"secret": NEW}, {"at": now - 290}, {"at": now + 290})):
        order = win(sale, it.customer())
        body = {"type": "payment.succeeded", "data": {"payment": f"pay_rot{n}", "amount": PRICE, "currency": CURRENCY}}
        said(p.post(order, body, **how), order, "paid", "paid")
    order, body = win(sale, it.customer()), json.dumps({"type": "payment.failed", "data": {}}).encode()
    headers, other = p.headers(body), p.headers(body, secret=new_secret())
    headers["webhook-signature"] = f"v1a,AAAA {other['webhook-signature']} {headers['webhook-signature']}"
    said(it.ask("POST", f"/api/orders/{order}/payment", body=body, headers=headers), order, "pending", "failed")


@case("a body is bounded, and another method or path is refused")
def bounds(it):
    sale, p = sale_with_price(it), provider(it)
    order = win(sale, it.customer())
    body = {"type": "payment.failed", "data": {"payment": "pay_big"}}
    padded = json.dumps(body).encode().ljust(16384)
    said(p.post(order, padded), order, "pending", "failed")
    p.post(order, padded + b" ").expect(413, "too-large")
    it.ask("GET", f"/api/orders/{order}/payment").expect(405, "method-not-allowed")
    it.ask("DELETE", f"/api/orders/{order}/payment").expect(405, "method-not-allowed")
    p.post(order + "/x", body).expect(404, "not-found")
    same(it.ask("PATCH", f"/api/orders/{order}", it.customer()).expect(405).headers["Allow"], "GET, HEAD, DELETE", "Allow")


def message(type="payment.succeeded", **data):
    return {"type": type, "data": {"payment": "pay_bad", "amount": PRICE, "currency": CURRENCY} | data}


def without(*names, type="payment.succeeded"):
    body = message(type, refund="re_bad")
    return body | {"data": {name: value for name, value in body["data"].items() if name not in names}}


@case("a signed message that makes no sense says what is wrong, and changes nothing")
def hostile_messages(it):
    sale, p = sale_with_price(it), provider(it)
    order, other = win(sale, it.customer()), win(sale, it.customer())
    before = untouched(it, sale, order)

    def refused(body, word, code="bad-field"):
        p.post(order, body).expect(400, code).names(word)
    every([
        (b"", "JSON", "bad-json"), (b"payment=1", "JSON", "bad-json"), (b"[]", "object", "bad-json"),
        (b"{\"type\":\"payment.succeeded\",\"data\":{\"amount\":01}}", "JSON", "bad-json"),
        ({}, "type"), ({"type": 1}, "type"), ({"type": ""}, "type"), ({"type": "payment.succeeded"}, "data"),
        ({"type": "payment.succeeded", "data": []}, "data"), ({"type": "payment.succeeded", "data": "{}"}, "data"),
        (b'{"type":"payment.failed","type":"payment.succeeded","data":{}}', "type"),
        (b'{"type":"payment.succeeded","data":{"payment":"a","amount":1000,"amount":1,"currency":"EUR"}}', "amount"),
        (without("payment"), "payment"), (without("amount"), "amount"), (without("currency"), "currency"),
        (without("refund", type="refund.succeeded"), "refund"), (without("payment", type="refund.succeeded"), "payment"),
        (message(payment=""), "payment"), (message(payment="a b"), "payment"), (message(payment="p" * 129), "payment"),
        (message(payment="'; DELETE FROM payments; --"), "payment"), (message(payment="pay\n1"), "payment"),
        (message(payment="päy"), "payment"), (message(payment=7), "payment"), (message(payment=["a"]), "payment"),
        (message("refund.succeeded", refund="re 1"), "refund"), (message("refund.succeeded", refund="<re>"), "refund"),
        (message(amount=-1), "amount"), (message(amount=10.5), "amount"), (message(amount="1000"), "amount"),
        (message(amount=10**12 + 1), "amount"), (message(amount=10**30), "amount"), (message(amount=True), "amount"),
        (message("refund.succeeded", refund="re_0", amount=0), "amount"),
        (message(currency="eur"), "currency"), (message(currency="EURO"), "currency"), (message(currency="E1R"), "currency"),
        (message(order=other), "order"), (message(order="1-2"), "order"), (message(order=order + "0"), "order"),
        (message(order=0), "order"),
    ], refused)
    untouched(it, sale, order, before)
    every(["0-0-1", "1-0-1", f"{sale.id}-0-999999999", f"{sale.id}-255-1", "x", "1-2-3-4", "'"],
          lambda no: p.post(no, message()).expect(404, "no-such-order"))
    untouched(it, sale, order, before)
    said(p.post(order, message(payment="A-z_0.9:" + "x" * 120, order=order)), order, "paid", "paid")


@case("a type that we do not know is accepted and ignored, for any order")
def unknown_types(it):
    sale, p = sale_with_price(it), provider(it)
    order = win(sale, it.customer())
    before = untouched(it, sale, order)
    for body in (message("payment.expired"), message("payment.created", payment="no id"), {"type": "ping"},
                 message("PAYMENT.SUCCEEDED"), message("payment.succeeded "),
                 *({"type": "foo.bar", "data": data} for data in (7, "x", [], None, True))):
        same(p.post(order, body).expect(200).json, {"errMsg": "", "order": order, "payment": "ignored"}, body["type"])
    p.post("1-0-1", {"type": "ping"}).expect(200)
    untouched(it, sale, order, before)


# Payments

@case("a message that is repeated, or a payment under another message, is recorded once")
def idempotent(it):
    sale, p = sale_with_price(it, amount=20), provider(it)
    order = win(sale, it.customer())
    for more in ({"id": "msg_1"}, {"id": "msg_1"}, {}):
        said(p.pay(order, "pay_idem", **more), order, "paid", "paid")
    same((payment(it, "pay_idem"), kinds(it, order)), ((PRICE, CURRENCY, 0, order, 0, 0), [PAID]), "payment, events")
    same((totals(it, sale), contradictions(it, sale)), ((1, 0, 1, 0), []), "books")


@case("a known payment that comes for another order, or as another amount, is a conflict: the first one counts, and it is told")
def conflicts(it):
    sale, p = sale_with_price(it, amount=20), provider(it)
    order, other = win(sale, it.customer()), win(sale, it.customer())
    said(p.pay(order, "pay_con"), order, "paid", "paid")
    known = f"payment pay_con is recorded as {PRICE} {CURRENCY} for order {order}, and was reported again, as"
    for n, (asked, state, amount, currency) in enumerate(((other, "pending", PRICE, CURRENCY), (order, "paid", 1, CURRENCY),
                                                          (order, "paid", PRICE, "USD"))):
        for _ in range(2):
            said(p.pay(asked, "pay_con", amount, currency, id=f"msg_con{n}"), asked, state, "conflict")
        same(events(it, asked)[-1], (REFUSED, PROVIDER, f"{known} {amount} {currency} for order {asked}"), "event")
    same((kinds(it, order), kinds(it, other)), ([PAID, REFUSED, REFUSED], [REFUSED]), "one event for each message")
    assert "payment_differs" in (it.run / "log/cold.log").read_text(), "no word in the log"
    same(payment(it, "pay_con"), (PRICE, CURRENCY, 0, order, 0, 0), "payment")
    done = it.ctl("orders", "pay", other, "--id", "pay_con", "--amount", str(PRICE), "--currency", CURRENCY)
    same((done.returncode, f"for order {order}" in done.stderr), (1, True), done.stderr)
    same((totals(it, sale), contradictions(it, sale)), ((2, 0, 1, 0), []), "books")


@case("a known refund with another payment or amount is a conflict; one that does not fit its payment is recorded, and told")
def refunds_that_do_not_fit(it):
    sale, p = sale_with_price(it, amount=20), provider(it)
    order = win(sale, it.customer())
    said(p.pay(order, "pay_fit"), order, "paid", "paid")
    said(p.refund(order, "pay_fit", "re_f1", 300), order, "paid", "paid")
    for _ in range(2):
        said(p.refund(order, "pay_fit", "re_f1", 400, id="msg_ref"), order, "paid", "conflict")
    same(events(it, order)[1:], [
        (REFUNDED, PROVIDER, "300 EUR of payment pay_fit"),
        (MISFIT, PROVIDER, "refund re_f1 is recorded as 300 EUR of payment pay_fit, and was reported again, as 400 EUR of payment pay_fit"),
    ], "a conflict")
    p.refund(order, "pay_fit", "re_usd", 500, "USD").expect(200)
    same(events(it, order)[3:], [
        (MISFIT, PROVIDER, f"refund re_usd is 500 USD, payment pay_fit is {PRICE} EUR: it does not count as refunded")], "another currency")
    said(p.refund(order, "pay_fit", "re_f2", PRICE), order, "paid", "refunded")
    same(events(it, order)[4:], [
        (REFUNDED, PROVIDER, f"{PRICE} EUR of payment pay_fit"),
        (MISFIT, PROVIDER, f"with refund re_f2, {PRICE + 300} EUR of payment pay_fit are refunded, which is {PRICE} EUR")], "too much")
    same((payment(it, "pay_fit")[2], it.sql("SELECT COUNT(*) FROM refunds WHERE payment_id = 'pay_fit'")), (PRICE + 300, [["3"]]), "refunds")
    assert "refund_misfit" in (it.run / "log/cold.log").read_text(), "no word in the log"


@case("another amount or currency is recorded, to be refunded, and the order waits on; the price pays it")
def wrong_amounts(it):
    sale, p = sale_with_price(it), provider(it)
    order = win(sale, it.customer())
    wrong = [("pay_less", PRICE - 1, CURRENCY), ("pay_more", PRICE + 1, CURRENCY), ("pay_usd", PRICE, "USD"), ("pay_0", 0, CURRENCY)]
    for id, amount, currency in wrong:
        said(p.pay(order, id, amount, currency), order, "pending", "refund-due" if amount else "refunded")
        same(payment(it, id), (amount, currency, 0, "", 0, amount), id)
    same(events(it, order), [(REFUSED, PROVIDER, f"payment {id} is of {amount} {currency}, the price is {PRICE} {CURRENCY}")
                             for id, amount, currency in wrong], "events")
    same((is_unpaid(it, order), totals(it, sale)), (1, (1, 0, 0, 0)), "order")
    said(p.pay(order, "pay_right"), order, "paid", "paid")
    same(contradictions(it, sale), [], "contradictions")


@case("a second payment of a paid order is to be refunded, and the order stays paid")
def double_payment(it):
    sale, p = sale_with_price(it), provider(it)
    order = win(sale, it.customer())
    said(p.pay(order, "pay_d1"), order, "paid", "paid")
    said(p.pay(order, "pay_d2"), order, "paid", "refund-due")
    same((payment(it, "pay_d1"), payment(it, "pay_d2")),
         ((PRICE, CURRENCY, 0, order, 0, 0), (PRICE, CURRENCY, 0, "", 0, PRICE)), "payments")
    said(p.refund(order, "pay_d2", "re_d2", PRICE), order, "paid", "refunded")
    same((status(it, order), payment(it, "pay_d2"), payment(it, "pay_d1")[5]), ("paid", (PRICE, CURRENCY, PRICE, "", 0, 0), 0), "after")
    same((kinds(it, order), totals(it, sale), contradictions(it, sale)), ([PAID, REFUSED, REFUNDED], (1, 0, 1, 0), []), "books")


@case("a payment that failed keeps the order, one event for each message; it never takes back what is paid")
def failures(it):
    sale, p = sale_with_price(it), provider(it)
    order = win(sale, it.customer())
    for id in ("msg_f1", "msg_f1", "msg_f2"):
        said(p.fail(order, "pay_f", id=id), order, "pending", "failed")
    said(p.tell(order, "payment.failed"), order, "pending", "failed")
    same(events(it, order), [(FAILED, PROVIDER, "payment pay_f")] * 2 + [(FAILED, PROVIDER, "")], "events")
    said(p.pay(order, "pay_f"), order, "paid", "paid")
    said(p.fail(order, "pay_f", id="msg_f3"), order, "paid", "failed")
    same((status(it, order), payment(it, "pay_f")[3], contradictions(it, sale)), ("paid", order, []), "order")


@case("refunds: before their payment, in parts, twice, in another currency; a full refund leaves the order paid, its unit sold")
def refunds(it):
    sale, p = sale_with_price(it, amount=20), provider(it)
    order = win(sale, it.customer())
    said(p.refund(order, "pay_r", "re_1", 300), order, "pending", "refunded")
    same((payment(it, "pay_r"), kinds(it, order)), (None, [REFUNDED]), "a refund alone")
    said(p.pay(order, "pay_r"), order, "paid", "paid")
    same(payment(it, "pay_r"), (PRICE, CURRENCY, 300, order, 0, 0), "payment after its refund")
    for _ in range(2):
        said(p.refund(order, "pay_r", "re_2", 200), order, "paid", "paid")
    p.refund(order, "pay_r", "re_2", 999).expect(200)
    p.refund(order, "pay_r", "re_usd", 500, "USD").expect(200)
    same(payment(it, "pay_r")[2], 500, "refunded")
    said(p.refund(order, "pay_r", "re_3", 500), order, "paid", "refunded")
    same((status(it, order), payment(it, "pay_r"), totals(it, sale), is_returned(it, order)),
         ("paid", (PRICE, CURRENCY, PRICE, order, 0, 0), (1, 0, 1, 0), 0), "after a full refund")
    same(events(it, order)[-1], (REFUNDED, PROVIDER, "500 EUR of payment pay_r"), "event")
    whole = win(sale, it.customer())
    said(p.refund(whole, "pay_w", "re_w", PRICE), whole, "pending", "refunded")
    said(p.pay(whole, "pay_w"), whole, "paid", "refunded")
    same((status(it, whole), contradictions(it, sale)), ("paid", []), "refunded before it was paid")


@case("price 0: any currency, but no amount; a sale without pay_within is paid, too, and counts nothing as final")
def other_sales(it):
    p = provider(it)
    free = sale_with_price(it, price=0, currency="")
    order = win(free, it.customer())
    said(p.pay(order, "pay_z1", 1), order, "pending", "refund-due")
    same(events(it, order), [(REFUSED, PROVIDER, f"payment pay_z1 is of 1 {CURRENCY}, the price is 0")], "event")
    said(p.pay(order, "pay_z0", 0, "JPY"), order, "paid", "paid")
    same(contradictions(it, free), [], "contradictions")
    calm = sale_with_price(it, pay_within=0)
    order = win(calm, it.customer())
    same(status(it, order), "confirmed", "before")
    said(p.pay(order, "pay_c1"), order, "paid", "paid")
    same((status(it, order), totals(it, calm), contradictions(it, calm)), ("paid", (1, 0, 0, 0), []), "after")


@case("a payment of an order that is over: late if it has expired, the sale allows it and the amount is right; else to be refunded")
def late_payments(it):
    p = provider(it)
    allowing, refusing = sale_with_price(it, amount=20), sale_with_price(it, late=False)
    ended, other, no = win(allowing, it.customer()), win(allowing, it.customer()), it.customer()
    refused, regretted = win(refusing, it.customer()), win(allowing, no)
    with Paused(it):  # so that no drainer looks for a unit
        same(expire(it, allowing, NOW, ended, other), ("ok", 2, 0), "expiry")
        same(expire(it, refusing, NOW, refused), ("ok", 1, 0), "expiry")
        cancel(it, regretted, no).expect(200)
        said(p.pay(ended, "pay_l1"), ended, "expired", "late")
        said(p.pay(ended, "pay_l1"), ended, "expired", "late")
        said(p.pay(other, "pay_l2", PRICE - 1), other, "expired", "refund-due")
        said(p.pay(refused, "pay_l3"), refused, "expired", "refund-due")
        said(p.pay(regretted, "pay_l4"), regretted, "cancelled", "refund-due")
        same([payment(it, id) for id in ("pay_l1", "pay_l2", "pay_l3")],
             [(PRICE, CURRENCY, 0, "", 1, 0), (PRICE - 1, CURRENCY, 0, "", 0, PRICE - 1), (PRICE, CURRENCY, 0, "", 0, PRICE)], "payments")
        same((kinds(it, ended), kinds(it, other), kinds(it, refused)), ([EXPIRED], [EXPIRED, REFUSED], [EXPIRED, REFUSED]), "events")
        same(events(it, regretted)[-1], (REFUSED, PROVIDER, "payment pay_l4 came when the order was cancelled"), "event")
        said(p.refund(ended, "pay_l1", "re_l1", PRICE), ended, "expired", "refunded")
        same(payment(it, "pay_l1"), (PRICE, CURRENCY, PRICE, "", 0, 0), "a late payment that was refunded takes no unit")
    same(contradictions(it, allowing) + contradictions(it, refusing), [], "contradictions")


@case("a late payment pays the customer's next order, once; without one it is to be refunded")
def late_settled(it):
    sale, p, user = sale_with_price(it, amount=20), provider(it), it.customer()
    old, new, foreign = win(sale, user), None, win(sale, it.customer())
    with Paused(it):
        same(expire(it, sale, NOW, old), ("ok", 1, 0), "expiry")
        said(p.pay(old, "pay_s1"), old, "expired", "late")
        said(p.pay(old, "pay_s2"), old, "expired", "late")
        coupon, segment, sequence = old.split("-")
        new = f"{coupon}-{segment}-{int(sequence) + 500}"  # as the drain would insert it after another claim
        it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms, pay_by_ms) VALUES "
               f"({coupon}, {segment}, {int(sequence) + 500}, {user.id}, 1, 1, 1, 5); INSERT INTO unpaid_orders (coupon_id, pay_by_ms, "
               f"segment, seq) VALUES ({coupon}, 5, {segment}, {int(sequence) + 500}); UPDATE coupons SET sold = sold + 1 WHERE id = {coupon}")
        same(ending(it, "late", "pay_s1", foreign), ["no-such-order"], "another customer's order")
        same(ending(it, "late", "pay_s1", f"{coupon}-{segment}-77777"), ["pending"], "an order without a row")
        same(ending(it, "late", "pay_s1", old), ["already-expired"], "the order that is over")
        same(payment(it, "pay_s1"), (PRICE, CURRENCY, 0, "", 1, 0), "still late")
        for _ in range(2):
            same(ending(it, "late", "pay_s1", new), ["ok"], "the next order")
        same((status(it, new), is_unpaid(it, new), payment(it, "pay_s1")), ("paid", 0, (PRICE, CURRENCY, 0, new, 0, 0)), "paid")
        same((events(it, old)[-1], events(it, new)), ((PAID_LATE, SERVICE, new), [(PAID, SERVICE, "")]), "events")
        same(ending(it, "late", "pay_s2", new), ["already-paid"], "a second one")
        for _ in range(2):
            same(ending(it, "refuse", "pay_s2", "no unit is left"), ["ok"], "refused")
        same((payment(it, "pay_s2"), events(it, old)[-1]), ((PRICE, CURRENCY, 0, "", 0, PRICE), (REFUSED, SERVICE, "no unit is left")), "refused")
        same(ending(it, "late", "pay_s2", new), ["ok"], "not late any more")
        said(p.pay(old, "pay_s1"), old, "expired", "paid")
    same(contradictions(it, sale), [], "contradictions")
    it.sql(f"DELETE FROM orders WHERE {where(new)}; DELETE FROM payments WHERE coupon_id = {sale.id}")


# Cancelling

@case("its owner cancels an order, without a body: the unit comes back in MySQL, once")
def cancel_own(it):
    sale, user = sale_with_price(it), it.customer()
    order = win(sale, user)
    with Paused(it):
        it.sql(f"UPDATE coupons SET hub_told = 1 WHERE id = {sale.id}")
        for _ in range(2):
            same(cancel(it, order, user).expect(200).json, {"errMsg": "", "order": order, "status": "cancelled"}, "answer")
        same((status(it, order), is_unpaid(it, order), is_returned(it, order)), ("cancelled", 0, 0), "order, released")
        same(number(it, f"SELECT hub_told FROM coupons WHERE id = {sale.id}"), 0, "hub_told")
    same((events(it, order), totals(it, sale)), ([(CANCELLED, CUSTOMER, "")], (0, 1, 0, 0)), "events, totals")
    same(cancel(it, order, sale.seller, "again").expect(200).json["status"], "cancelled", "again, by the seller")
    same((len(events(it, order)), contradictions(it, sale)), (1, []), "books")
    other = sale_with_price(it, pay_within=0)
    order = win(other, user)
    cancel(it, order, user, "too dear").expect(200)
    same((events(it, order), totals(it, other)), ([(CANCELLED, CUSTOMER, "too dear")], (0, 1, 0, 0)), "a confirmed order")


@case("a claim after a cancellation is a new purchase, also while no drainer runs")
def claim_again(it):
    sale, user = sale_with_price(it), it.customer()
    orders = [win(sale, user)]
    for _ in range(2):
        with Paused(it):
            cancel(it, orders[-1], user).expect(200)
            same((is_returned(it, orders[-1]), totals(it, sale)[0]), (0, 0), "released")
            orders.append(sale.win(user))
        sale.drained()
    same((len(set(orders)), [status(it, order) for order in orders]), (3, ["cancelled", "cancelled", "pending"]), "orders")


@case("a paid order: its customer is refused; its seller cancels it, and the payment is to be refunded")
def cancel_paid(it):
    sale, user, p = sale_with_price(it), it.customer(), provider(it)
    order = win(sale, user)
    said(p.pay(order, "pay_cp"), order, "paid", "paid")
    cancel(it, order, user).expect(409, "already-paid")
    same((status(it, order), totals(it, sale)), ("paid", (1, 0, 1, 0)), "refused")
    cancel(it, order, sale.seller, "out of stock").expect(200)
    same((status(it, order), totals(it, sale), payment(it, "pay_cp")),
         ("cancelled", (0, 1, 1, 1), (PRICE, CURRENCY, 0, "", 0, PRICE)), "cancelled")
    same(events(it, order), [(PAID, PROVIDER, ""), (CANCELLED, SELLER, "out of stock")], "events")
    said(p.pay(order, "pay_cp"), order, "cancelled", "refund-due")
    cancel(it, order, user).expect(200)
    said(p.refund(order, "pay_cp", "re_cp", PRICE), order, "cancelled", "refunded")
    same((payment(it, "pay_cp")[5], contradictions(it, sale)), (0, []), "books")


@case("an expired order is not cancelled, whoever asks")
def cancel_expired(it):
    sale, user = sale_with_price(it), it.customer()
    order = win(sale, user)
    same(expire(it, sale, NOW, order), ("ok", 1, 0), "expiry")
    cancel(it, order, user).expect(409, "already-expired")
    cancel(it, order, sale.seller, "late").expect(409, "already-expired")
    same((status(it, order), kinds(it, order), totals(it, sale)), ("expired", [EXPIRED], (0, 1, 0, 0)), "order")


@case("an order's number is no permission: for anybody else there is no such order")
def strangers(it):
    sale, user = sale_with_price(it), it.customer()
    order, before = win(sale, user), None
    before = untouched(it, sale, order)
    stranger, other_seller = it.customer(), it.sale().seller
    every([(stranger, None), (stranger, "please"), (other_seller, "mine")],
          lambda who, reason: cancel(it, order, who, reason).expect(404, "no-such-order"))
    it.ask("DELETE", f"/api/orders/{order}").expect(401, "no-token")
    it.ask("DELETE", f"/api/orders/{order}", authorization="Bearer x").expect(401, "bad-token")
    every(["0-0-1", f"{sale.id}-0-999999999", f"{sale.id}-99-1", "x", "1-2", order + "x", "'"],
          lambda no: cancel(it, no, user).expect(404, "no-such-order"))
    untouched(it, sale, order, before)


TEXTS = ["x", "a" * 250, "\U0001f600" * 250, "<script>alert(1)</script>", "'; DROP TABLE orders; --", 'quote " back \\ slash',
         "%s%n%d", "\u202fx", "{order}", "ends with space "]
BAD_TEXTS = ["", "a" * 251, "\U0001f600" * 251, "two\nlines", "nul\x00", "bell\x07", "\x1b[31mred", "\u202eright to left", "\x85"]
BLANK_TEXTS = [" ", "\u202f\u3000", "\u200b", "\ufeff \u2060"]


@case("a seller's reason: 1 to 250 characters of one line, kept as they are; without one nothing is cancelled")
def reasons(it):
    sale, users = sale_with_price(it, amount=40), it.users(len(TEXTS))
    orders = [sale.win(user) for user in users]
    sale.drained()

    def refused(body):
        answer = it.ask("DELETE", f"/api/orders/{orders[0]}", sale.seller, body)
        assert answer.status == 400 and answer.code in ("bad-field", "bad-json"), answer
    every([None, b"", b"{}", b"[]", b"x", {"reason": 1}, {"reason": None}, {"reason": ["a"]}, b'{"reason":"\xff"}',
           b'{"reason":"a","reason":"b"}', *({"reason": text} for text in BAD_TEXTS + BLANK_TEXTS)], refused)
    every([None, b"{}", *({"reason": text} for text in ["", *BLANK_TEXTS])],
          lambda body: it.ask("DELETE", f"/api/orders/{orders[0]}", sale.seller, body).expect(400).names('{"reason": "..."}'))
    every(BAD_TEXTS + BLANK_TEXTS, lambda text: cancel(it, orders[0], users[0], text).expect(400, "bad-field"))
    every(["", "two\nlines", "\x1b[31mred", "a" * 251, "\udcff", *BLANK_TEXTS],
          lambda text: same(it.ctl("orders", "cancel", orders[0], "--reason", text).returncode, 64, "exit code"))
    cancel(it, orders[0], sale.seller, "a" * 5000).expect(413, "too-large")
    same((it.sql(f"SELECT COUNT(*) FROM order_events WHERE coupon_id = {sale.id}"), totals(it, sale)[1]), ([["0"]], 0), "nothing")
    for order, text in zip(orders, TEXTS):
        cancel(it, order, sale.seller, text).expect(200)
        same(events(it, order), [(CANCELLED, SELLER, text)], "event")


# Orders without a row

@case("an order that is still queued: the request waits for its row, and the worker serves others meanwhile")
def queued(it):
    sale, users, p = sale_with_price(it, amount=30, price=0, currency=""), it.users(3), provider(it)
    with Paused(it):
        orders = [sale.win(user) for user in users]
        asked = [("DELETE", f"/api/orders/{orders[0]}", users[0]), ("DELETE", f"/api/orders/{orders[1]}", sale.seller, {"reason": "r"})]
        with it.asking(*asked[0]) as own, it.asking(*asked[1]) as by_seller:
            with ThreadPoolExecutor(1) as pool:
                paying = pool.submit(p.pay, orders[2], "pay_q", 0, client=it.new_client())
                pause(0.25, "the requests wait")
                same((own, by_seller, paying.done()), ([], [], False), "answers while the row is missing")
                began = time.monotonic()
                it.ask("GET", f"/api/orders/{orders[0]}", users[0]).expect(200)
                comment(f"another request took {1000 * (time.monotonic() - began):.0f} ms")
                kill(it.workers("drain"), signal.SIGCONT)
        same([answer.expect(200).json["status"] for answer in own + by_seller], ["cancelled"] * 2, "cancelled")
        paying.result().expect(200)
    same([status(it, order) for order in orders], ["cancelled", "cancelled", "paid"], "orders")


@case("a queued order whose row does not come: 503 busy after a second, for strangers 404 at once; few wait for one order")
def queued_too_long(it):
    sale, user, p = sale_with_price(it, amount=30), it.customer(), provider(it)
    with Paused(it):
        order = sale.win(user)
        began = time.monotonic()
        cancel(it, order, it.customer()).expect(404, "no-such-order")
        at_once = time.monotonic() - began
        answer, slow = timed(lambda: cancel(it, order, user).expect(503, "busy"))
        same(int(answer.headers["Retry-After"]), 1, "Retry-After")
        p.pay(order, "pay_ql").expect(503, "busy")
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda _: timed(lambda: cancel(it, order, user, client=it.new_client())), range(32)))
        same({answer.status for answer, _ in answers}, {503}, "statuses")
        least = min(seconds for _, seconds in answers)
        comment(f"{sum(seconds > 0.8 for _, seconds in answers)} of 32 requests waited")
        same(payment(it, "pay_ql"), None, "the payment")
    sale.drained()
    cancel(it, order, user).expect(200)
    assert slow > 0.8, f"{slow:.2f} s"
    quick(slow, 5, "the answer to its customer")
    quick(at_once, 0.7, "the answer to a stranger")
    quick(least, 0.8, "the answer to one for whom there was no room to wait")


def timed(ask):
    began = time.monotonic()
    return ask(), time.monotonic() - began


@case("an order that failed or is lost has no row: what was paid for it is recorded, to be refunded; there is nothing to cancel")
def without_rows(it):
    sale, user, p = sale_with_price(it), it.customer(), provider(it)
    for reason, state in (("MySQL refuses it", "failed"), ("given out, and lost by Redis: whose it was is not known", "lost")):
        order = win(sale, user := it.customer())
        coupon, segment, sequence = order.split("-")
        it.sql("INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) SELECT coupon_id, segment, seq, "
               f"CONCAT(seq, '|', user_id, '|', claimed_at_ms), UNHEX(SHA2(RAND(), 256)), '{reason}', 1 FROM orders WHERE {where(order)}; "
               f"DELETE FROM orders WHERE {where(order)}; DELETE FROM unpaid_orders WHERE {where(order)}")
        same(it.ask("GET", f"/api/orders/{order}", user).expect(200).json["status"], state, "order")
        id = f"pay_{state}"
        for _ in range(2):
            said(p.pay(order, id), order, "lost", "refund-due")
        same((payment(it, id), events(it, order)),
             ((PRICE, CURRENCY, 0, "", 0, PRICE), [(REFUSED, PROVIDER, f"payment {id} came when the order was lost")]), state)
        said(p.fail(order, id), order, "lost", "failed")
        said(p.refund(order, id, f"re_{state}", PRICE), order, "lost", "refunded")
        same(payment(it, id)[5], 0, "to be refunded")
        cancel(it, order, user).expect(404, "no-such-order").names(state)
        it.sql(f"UPDATE coupons SET sold = sold - 1 WHERE id = {sale.id}")


# Expiry

@case("expiry: what is due and pending, and nothing else; stale rows go; a batch is one transaction; 500 at once")
def expiry(it):
    sale, p, users = sale_with_price(it, amount=1000, segments=10), provider(it), it.users(520)
    sale.rush(users)
    sale.drained()
    orders = sorted(sale.rows(), key=lambda no: (int(no.split("-")[2]), no))
    with Paused(it):  # because the drainers would expire them
        it.sql(f"UPDATE orders SET status = 1, pay_by_ms = 1000000 + seq WHERE coupon_id = {sale.id}; DELETE FROM unpaid_orders WHERE "
               f"coupon_id = {sale.id}; INSERT INTO unpaid_orders (coupon_id, pay_by_ms, segment, seq) SELECT coupon_id, pay_by_ms, "
               f"segment, seq FROM orders WHERE coupon_id = {sale.id}")
        first, paid, cancelled, missing = orders[:4]
        pay_by = number(it, f"SELECT pay_by_ms FROM orders WHERE {where(first)}")
        same(expire(it, sale, pay_by + 4999, first), ("ok", 0, 0), "within pay_grace_s")
        same(expire(it, sale, pay_by + 5000, first), ("ok", 1, 0), "after it")
        same(expire(it, sale, pay_by + 5000, first), ("ok", 0, 1), "again: its row in unpaid_orders is gone")
        p.pay(paid, "pay_x").expect(200)
        cancel(it, cancelled, sale.seller, "r").expect(200)
        it.sql("INSERT INTO unpaid_orders (coupon_id, pay_by_ms, segment, seq) SELECT coupon_id, pay_by_ms, segment, seq FROM orders "
               f"WHERE {where(paid)}; DELETE FROM orders WHERE {where(missing)}; UPDATE coupons SET sold = sold - 1 WHERE id = {sale.id}")
        code, expired, stale = ending(it, "expire", sale.id, NOW, *(f"{1000000 + int(no.split('-')[2])}:{':'.join(no.split('-')[1:])}"
                                                                    for no in (paid, cancelled, missing)))
        same((code, expired, stale), ("ok", "0", "3"), "paid, cancelled, missing")
        rest = orders[4:504]
        rows = [f"{1000000 + int(no.split('-')[2])}:{':'.join(no.split('-')[1:])}" for no in rest]
        dice.shuffle(rows)
        began = time.monotonic()
        same(ending(it, "expire", sale.id, NOW, *rows), ["ok", "500", "0"], "500 at once")
        comment(f"500 orders expired in {1000 * (time.monotonic() - began):.0f} ms, with the start of a process")
        same((number(it, f"SELECT COUNT(*) FROM returned_orders WHERE coupon_id = {sale.id}"),
              number(it, f"SELECT COUNT(*) FROM order_events WHERE coupon_id = {sale.id} AND kind = 3 AND actor = 5"),
              number(it, f"SELECT COUNT(*) FROM unpaid_orders WHERE coupon_id = {sale.id}")), (501, 501, 16), "rows")
        same(totals(it, sale), (520 - 503, 502, 1, 0), "totals")
    same(contradictions(it, sale), [], "contradictions")


# Races

def at_once(*calls):
    """Their results; they begin at the same moment, each with a client of its own."""
    gate = threading.Barrier(len(calls))

    def go(call):
        gate.wait()
        return call()
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(go, call) for call in calls]]


def crowd(it, sale, count):
    users = it.users(count)
    orders = {user: sale.win(user) for user in users}
    sale.drained()
    return list(orders.items())


@case("two payments at once, the same one, or the same message: one pays, once")
def racing_payments(it):
    sale, p = sale_with_price(it, amount=60, segments=4), provider(it)
    for n, (user, order) in enumerate(crowd(it, sale, 12)):
        ids = [f"pay_ra{n}", f"pay_ra{n}", f"pay_rb{n}", f"pay_rb{n}"]
        answers = at_once(*(lambda id=id: p.pay(order, id, client=it.new_client(), id=f"msg_{id}") for id in ids))
        found = sorted(answer.expect(200).json["payment"] for answer in answers)
        same(found, ["paid", "paid", "refund-due", "refund-due"], "answers")
        same(sorted(kinds(it, order)), [PAID, REFUSED], "events")
        failed = at_once(*(lambda: p.fail(order, "f", client=it.new_client(), id=f"msg_f{n}"),) * 4)
        same((kinds(it, order).count(FAILED), {a.status for a in failed}), (1, {200}), "failures")
    same((totals(it, sale), contradictions(it, sale)), ((12, 0, 12, 0), []), "books")


@case("a payment of two orders at once under one id: it pays one of them")
def racing_ids(it):
    sale, p = sale_with_price(it, amount=60, segments=4), provider(it)
    people = crowd(it, sale, 12)
    for n in range(0, 12, 2):
        orders = [order for _, order in people[n:n + 2]]
        answers = at_once(*(lambda order=order: p.pay(order, f"pay_two{n}", client=it.new_client()) for order in orders * 2))
        same({answer.expect(200).json["payment"] for answer in answers}, {"paid", "conflict"}, "answers")
        same(sorted(status(it, order) for order in orders), ["paid", "pending"], "orders")
    same((totals(it, sale)[2], contradictions(it, sale)), (6, []), "books")


@case("payment, cancellations and expiry of an order at once: one wins, the others are told how it ended")
def racing_ends(it):
    sale, p, ends = sale_with_price(it, amount=80, segments=4), provider(it), {}
    people = crowd(it, sale, 36)
    with Paused(it):  # so that late payments get no units
        for n, (user, order) in enumerate(people):
            results = at_once_shuffled(end_calls(it, sale, p, n, user, order))
            end = status(it, order)
            ends[end] = ends.get(end, 0) + 1
            judge(it, order, end, results, f"pay_e{n}")
        comment(f"{ends}")
        same((sum(totals(it, sale)[:2]), contradictions(it, sale)), (36, []), "books")


def end_calls(it, sale, p, n, user, order):
    def soon(call):  # about when the process that expires has started
        pause(dice.uniform(0, 0.08) if n % 2 else 0, "so that each may come first")
        return call()
    calls = {"pay": lambda: soon(lambda: p.pay(order, f"pay_e{n}", client=it.new_client())),
             "own": lambda: soon(lambda: cancel(it, order, user, client=it.new_client())),
             "expire": lambda: expire(it, sale, NOW, order)}
    if n % 3 == 2:
        calls["seller"] = lambda: soon(lambda: cancel(it, order, sale.seller, "r", client=it.new_client()))
    return calls


def at_once_shuffled(calls):
    names = dice.sample(list(calls), len(calls))
    return dict(zip(names, at_once(*(calls[name] for name in names))))


def judge(it, order, end, results, id):
    paid, own = results["pay"].expect(200).json["payment"], results["own"]
    history = [kind for kind in kinds(it, order) if kind in (PAID, CANCELLED, EXPIRED)]
    if end == "paid":
        same((paid, own.expect(409).code, history, results["expire"][1:]), ("paid", "already-paid", [PAID], (0, results["expire"][2])), "paid")
    elif end == "expired":
        same((own.expect(409).code, history), ("already-expired", [EXPIRED]), "expired")
    else:
        same(history, [CANCELLED] if PAID not in history else [PAID, CANCELLED], "cancelled")
        assert own.status == 200 or (PAID in history and own.code == "already-paid"), own
    amount, _, refunded, pays, late, due = payment(it, id)
    if end != "paid":
        same((pays, late + (due > 0)), ("", 1), "the payment of an order that is over")


@case("many orders of one sale are paid and cancelled at once: nobody is turned away")
def crowded(it):
    sale, p = sale_with_price(it, amount=120, segments=4), provider(it)
    people, began = crowd(it, sale, 80), time.monotonic()

    def act(n):
        user, order = people[n % 80]
        if n % 2:
            return p.pay(order, f"pay_m{n}", client=it.new_client()).status
        return cancel(it, order, user, client=it.new_client()).status
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(act, dice.sample(range(160), 160)))
    comment(f"160 requests in {time.monotonic() - began:.1f} s")
    same((set(statuses) <= {200, 409}, contradictions(it, sale)), (True, []), f"{sorted(set(statuses))}")


@case("MySQL makes a transaction wait: it is repeated, or answered 503, and nothing is half done")
def locked(it):
    sale, user, p = sale_with_price(it), it.customer(), provider(it)
    order = win(sale, user)
    with Session(it.sql) as session:
        session(f"BEGIN; SELECT 1 FROM orders WHERE {where(order)} FOR UPDATE")
        with it.asking("DELETE", f"/api/orders/{order}", user) as answers:
            pause(3, "longer than one attempt waits for a lock")
            session("COMMIT")
        answers[0].expect(200)
    same(contradictions(it, sale), [], "contradictions")
    order = win(sale, it.customer())
    with Session(it.sql) as session:
        session(f"BEGIN; SELECT 1 FROM coupons WHERE id = {sale.id} FOR UPDATE")
        with it.asking("POST", f"/api/orders/{order}/payment", None, body := json.dumps(message(payment="pay_lock")).encode(), None,
                       p.headers(body)) as answers:
            until(lambda: answers, 25, "an answer while the coupon is locked")
            answers[0].expect(503, "unavailable")
        same((status(it, order), payment(it, "pay_lock"), kinds(it, order)), ("pending", None, []), "nothing is done")
        session("COMMIT")
    said(p.pay(order, "pay_lock"), order, "paid", "paid")


@case("Redis is away: payments and cancellations need MySQL alone")
def without_redis(it):
    sale, users, p = sale_with_price(it, amount=20), it.users(2), provider(it)
    orders = [win(sale, user) for user in users]
    it.redis.close()
    it.dev("stop", "redis")
    try:
        said(p.pay(orders[0], "pay_nr"), orders[0], "paid", "paid")
        cancel(it, orders[1], users[1]).expect(200)
        same(it.sql(f"SELECT user_id FROM returned_orders WHERE {where(orders[1])}"), [[str(users[1].id)]], "who is still owner")
    finally:
        it.dev("start", "redis")
    same(contradictions(it, sale), [], "contradictions")
    at = number(it, f"SELECT at_ms FROM payments WHERE payment_id = 'pay_nr'")
    assert abs(at / 1000 - time.time()) < 60, at


@case("without payment_key_file no payment is taken, and nothing is recorded")
def no_keys(it):
    sale, p = sale_with_price(it), provider(it)
    order = win(sale, it.customer())
    keys = it.environment["SECKILL_PAYMENT_KEY_FILE"]
    it.environment["SECKILL_PAYMENT_KEY_FILE"] = ""
    try:
        it.restart("cold")
        p.pay(order, "pay_nk").expect(404, "not-found").names("payment_key_file")
        same(payment(it, "pay_nk"), None, "payment")
    finally:
        it.environment["SECKILL_PAYMENT_KEY_FILE"] = keys
        it.restart("cold")
    said(p.pay(order, "pay_nk"), order, "paid", "paid")


@case("a key file that is wrong ends the start of the cold pool, and is named without its keys")
def bad_key_files(it):
    path = it.run / "tmp/bad.keys"
    path.parent.mkdir(exist_ok=True)

    def start(pool="cold"):
        return subprocess.run([BUILD / "seckill-api", "-c", it.run / "seckill.conf", "-p", pool, "-s", f"payment_key_file={path}"],
                              env={name: value for name, value in it.environment.items() if name != "SECKILL_PAYMENT_KEY_FILE"},
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)

    def refused(text, word, mode=0o600):
        path.unlink(missing_ok=True)
        if text is not None:
            path.touch(mode)
            path.chmod(mode)
            path.write_text(text)
        done = start()
        same((done.returncode, word in done.stderr, str(path) in done.stderr, NEW[6:] in done.stderr), (78, True, True, False), done.stderr)
    every([(None, "No such file"), ("", "no key"), (NEW[:-4], "line 1"), (f"{NEW}\n{NEW}", "line 2"), (f"{NEW}\n", "open to others", 0o644)],
          refused)
    same("payment_key_file" in start("auth").stderr, True, "others may not read the file, whichever pool")


if __name__ == "__main__":
    main(SECKILL_PAYMENT_KEY_FILE=key_file(f"# the key that is being replaced, and the next one\n{OLD}", NEW), SECKILL_COLD=4,
         SECKILL_PASSWORD_COST=1)
