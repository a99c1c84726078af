#!/usr/bin/env -S python3 -B
"""seckillctl orders: what an operator sees of orders and payments, and does about them, at the counter."""

import json
import re

from ended import PAY_GRACE, settled, unreleased
from harness import main
from storm import Paused
from tap import case, every, same, until


def orders(it, *words, code=0):
    done = it.ctl("--json", "orders", *words)
    same(done.returncode, code, f"exit of {words}: {done}")
    same(bool(done.stderr), code != 0 and not done.stdout, f"errors of {words}: {done}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def sold(it, count, **more):
    """A sale of which so many units are sold and drained; its customers, and their orders."""
    sale, users = it.sale(amount=max(count, 2), **({"pay_within": 3600, "price": 500, "currency": "EUR"} | more)), it.users(count)
    numbers = [sale.win(user) for user in users]
    sale.drained()
    return sale, users, numbers


def pay(it, number, id, amount=500, currency="EUR", code=0):
    return orders(it, "pay", number, "--id", id, "--amount", amount, "--currency", currency, code=code)[0]


@case("orders are listed by coupon and status, page by page, as lines and as JSON")
def listed(it):
    sale, users, numbers = sold(it, 230, segments=3)
    pay(it, numbers[0], it.name("p"))
    orders(it, "cancel", numbers[1], "--reason", "no")
    found = orders(it, "list", sale.title)
    same({one["order"] for one in found}, set(numbers), "orders")
    one = next(one for one in found if one["order"] == numbers[2])
    shown = {k: one[k] for k in ("status", "seller", "coupon", "user", "customer", "price", "currency")}
    same(shown, {"status": "pending", "seller": sale.seller.name, "coupon": sale.name, "user": users[2].id, "customer": users[2].name,
                 "price": 500, "currency": "EUR"}, "an order")
    assert one["pay_by"] > one["claimed_at"], one
    for statuses, wanted in (("paid", numbers[:1]), ("cancelled,paid", numbers[:2]), ("expired", [])):
        same({one["order"] for one in orders(it, "list", sale.title, "--status", statuses)}, set(wanted), statuses)
    other, _, more = sold(it, 2)
    everything = [one["order"] for one in orders(it, "list")]
    assert set(numbers + more) <= set(everything) and len(everything) == len(set(everything)), len(everything)
    text = it.ctl("orders", "list", other.title).stdout
    assert all(number in text for number in more) and "pending" in text and other.title in text, text
    same(it.ctl("orders", "list", other.title, "--status", "paid").stdout, "no orders\n", "an empty list")


@case("an order is shown with everything that happened to it")
def shown(it):
    sale, users, (number,) = sold(it, 1)
    id = it.name("pay")
    same(pay(it, number, id), {"order": number, "status": "paid", "payment": "paid"}, "a payment")
    same(pay(it, number, id), {"order": number, "status": "paid", "payment": "paid"}, "the same again")
    same(pay(it, number, id + "-2", code=1), {"order": number, "status": "paid", "payment": "refund-due"}, "a second one")
    one = orders(it, "show", number)[0]
    same((one["order"], one["status"], one["customer"]), (number, "paid", users[0].name), "the order")
    same([(e["kind"], e["by"]) for e in one["events"]], [("paid", "operator"), ("payment-refused", "operator")], "events")
    same(sorted((p["payment"], p["status"]) for p in one["payments"]), [(id, "paid"), (id + "-2", "refund-due")], "payments")
    text = it.ctl("orders", "show", number).stdout
    assert number in text and id in text and "paid by operator" in text and "500 EUR" in text, text
    with Paused(it):
        sale, user = it.sale(amount=2), it.customer()
        waits = sale.win(user)
        same(orders(it, "show", waits)[0]["status"], "queued", "an order on its list")


@case("an operator cancels a paid order: its unit is on sale again, and its refund is due until it is reported")
def cancelled(it):
    (sale, users, numbers), other = sold(it, 2), it.sale(amount=1)
    id = it.name("pay")
    pay(it, numbers[0], id)
    same([one for one in orders(it, "refund-due") if one["order"] == numbers[0]], [], "refunds before")
    for _ in range(2):
        same(orders(it, "cancel", numbers[0], "--reason", "asked by phone"), [{"order": numbers[0], "status": "cancelled"}], "cancelled")
    due = [one for one in orders(it, "refund-due") if one["order"] == numbers[0]]
    same([(one["payment"], one["due"], one["currency"], one["amount"], one["refunded"]) for one in due], [(id, 500, "EUR", 500, 0)], "due")
    same((due[0]["seller"], due[0]["coupon"]), (sale.seller.name, sale.name), "its coupon")
    same(orders(it, "refund-due", sale.title), due, "those of the coupon")
    same(orders(it, "refund-due", other.title), [], "those of another coupon")
    same(it.ctl("orders", "refund-due", other.title).stdout, "no refunds due\n", "as text")
    line = it.ctl("orders", "refund-due", sale.title).stdout
    assert id in line and sale.title in line, line
    money = ("--id", id, "--currency", "EUR")
    said = orders(it, "refund", numbers[0], *money, "--refund", id + "-a", "--amount", 200, code=1)[0]
    same(said, {"order": numbers[0], "status": "cancelled", "payment": "refund-due"}, "a part")
    for _ in range(2):
        said = orders(it, "refund", numbers[0], *money, "--refund", id + "-b", "--amount", 300)[0]
    same(said["payment"], "refunded", "the rest")
    same([one for one in orders(it, "refund-due") if one["order"] == numbers[0]], [], "refunds due in the end")
    same(unreleased(it, sale), 0, "owners that wait")
    until(lambda: sale.claim(users[0]).status == 201, 10, "the customer buys again")
    events = orders(it, "show", numbers[0])[0]["events"]
    ends = [(e["kind"], e["by"], e["reason"]) for e in events]
    assert ("cancelled", "operator", "asked by phone") in ends and [e[0] for e in ends].count("refunded") == 2, ends
    same(pay(it, numbers[0], it.name("late"), amount=400, code=1)["payment"], "refund-due", "a payment of another amount")
    settled(it, sale)
    sale.drained()
    sale.audit()


@case("an order that waits on its list: paying and cancelling wait for its row, and say so when it does not come")
def queued(it):
    sale, users = it.sale(amount=4, pay_within=3600, price=500, currency="EUR"), it.users(2)
    with Paused(it):
        numbers = [sale.win(user) for user in users]
        for words in (("pay", numbers[0], "--id", it.name("p"), "--amount", 500, "--currency", "EUR"),
                      ("cancel", numbers[1], "--reason", "x")):
            done = it.ctl("orders", *words)
            assert done.returncode == 2 and "no row in MySQL yet" in done.stderr, done
    same(pay(it, numbers[0], it.name("p"))["status"], "paid", "paid")
    same(orders(it, "cancel", numbers[1], "--reason", "x")[0]["status"], "cancelled", "cancelled")
    settled(it, sale)
    sale.audit()


@case("what is wrong is named, and changes nothing")
def refused(it):
    sale, users, (number,) = sold(it, 1)
    before = orders(it, "show", number)
    money = ("--id", "x", "--amount", "500", "--currency", "EUR")
    wrong = {(): "say list", ("buy",): "say list", ("show",): "takes one order number", ("show", "x"): "no order number",
             ("show", number, number): "takes one order number", ("refund-due", "x"): "SELLER/COUPON", ("list", "nope"): "SELLER/COUPON",
             ("refund-due", "a/b", "c/d"): "one coupon",
             ("list", "a/b", "c/d"): "one coupon", ("list", "--status", "sold"): "--status takes some of pending,paid",
             ("list", "--reason", "x"): "list has no option --reason", ("cancel", number): "needs --reason",
             ("cancel", number, "--reason", ""): "1 to 250 characters", ("cancel", number, "--reason", "x" * 251): "1 to 250 characters",
             ("pay", number): "pay needs", ("pay", number, *money[:4]): "--currency takes", ("pay", number, *money, "--status", "x"): "no option",
             ("pay", number, "--id", "a b", *money[2:]): "an id has", ("pay", number, *money[:3], "1.50", *money[4:]): "--amount takes",
             ("pay", number, *money[:5], "euro"): "--currency takes"}

    def wrong_usage(words):
        done = it.ctl("orders", *words)
        assert done.returncode == 64 and wrong[words] in done.stderr and "usage:" in done.stderr, done
    every([(words,) for words in wrong], wrong_usage)
    coupon = number.split("-")[0]
    for words in (("show", f"{coupon}-0-999999"), ("show", "1-0-1"), ("list", "no/such"), ("refund-due", "no/such"),
                  ("cancel", "1-0-1", "--reason", "x"), ("pay", "1-0-1", *money)):
        done = it.ctl("orders", *words)
        assert done.returncode == 1 and "no such" in done.stderr, (words, done)
    same(orders(it, "show", number), before, "the order")


def metric(it, name):
    text = it.ask("GET", "/metrics").expect(200).body.decode()
    return int(re.search(rf"^seckill_{re.escape(name)} (\d+)$", text, re.M).group(1))


@case("the metrics count what became of orders, what waits for its payment, and what is to be refunded")
def metrics(it):
    totals = ["order_changes_total{to=\"%s\"}" % to for to in ("paid", "cancelled", "expired")]
    before = [metric(it, name) for name in totals]
    sale, _, numbers = sold(it, 4)
    quick, _, _ = sold(it, 1, pay_within=1)
    pay(it, numbers[0], it.name("p"))
    pay(it, numbers[0], it.name("p"), code=1)
    for number in numbers[:2]:
        orders(it, "cancel", number, "--reason", "x")
    orders(it, "cancel", numbers[1], "--reason", "x")
    until(lambda: [metric(it, name) for name in totals] == [before[0] + 1, before[1] + 2, before[2] + 1], 15, "changes")
    for name, rows in (("orders_unpaid", "unpaid_orders"), ("refunds_due", "payments WHERE refund_due IS NOT NULL")):
        until(lambda: metric(it, name) == it.sql.number(f"SELECT COUNT(*) FROM {rows}") > 0, 15, f"the gauge {name}")
    for name in ("orders_returned", "hubs_untold", "expiry_lag_ms"):
        until(lambda: metric(it, name) == 0, 15, f"the gauge {name}")


@case("with the drainers' account, which may not record payments, the command says which account it needs, and changes nothing")
def drainers_account(it):
    sale, users, (number, other) = sold(it, 2)
    before = orders(it, "show", number)
    money = ("--id", it.name("p"), "--amount", 500, "--currency", "EUR")
    for words in (("pay", number, *money), ("refund", number, *money, "--refund", "r")):
        done = it.ctl_as("drain.conf", "orders", *words)
        same((done.returncode, done.stdout), (2, ""), f"exit and output of {words}")
        assert "the workers' settings" in done.stderr and "command denied" not in done.stderr, done.stderr
    same(orders(it, "show", number), before, "the order")
    same(it.ctl_as("drain.conf", "orders", "cancel", other, "--reason", "x").returncode, 0, "a cancellation needs no such right")
    settled(it, sale)
    sale.audit()


@case("while MySQL is away nothing is done, and it is said")
def away(it):
    sale, users, (number,) = sold(it, 1)
    it.dev("stop", "mysql")
    try:
        for words in (("list",), ("refund-due",), ("show", number), ("cancel", number, "--reason", "x"),
                      ("pay", number, "--id", "x", "--amount", "500", "--currency", "EUR")):
            done = it.ctl("orders", *words)
            assert done.returncode == 2 and done.stderr and not done.stdout, (words, done)
    finally:
        it.dev("start", "mysql")
    until(lambda: it.ask("GET", "/readyz").status == 200, 20, "ready")


main(SECKILL_PASSWORD_COST=1, **PAY_GRACE)
