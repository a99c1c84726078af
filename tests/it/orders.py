#!/usr/bin/env -S python3 -B
"""What a sale asks for its units, and what its customers and its seller read of the orders."""

import re
import urllib.parse

from harness import main
from tap import case, every, same, until

CHECKOUT = "https://shop.example/pay?order={order}"
PRICED = {"price": 500, "currency": "EUR", "pay_within": 900, "checkout_url": CHECKOUT}
TERMS = ("price", "currency", "pay_within", "checkout_url")


def terms(sale):
    return {name: value for name, value in sale.read().items() if name in TERMS}


@case("the page of a sale has what a unit costs and where it is paid, also when Redis has lost its descriptor")
def shown_terms(it):
    for more, wanted in ((PRICED, PRICED), ({}, {"price": 0}),
                         ({"pay_within": 60, "late_payment": False}, {"price": 0, "pay_within": 60}),
                         ({"price": 7, "currency": "JPY"}, {"price": 7, "currency": "JPY"})):
        sale = it.sale(**more)
        same(terms(sale), wanted, f"terms of {more}")
        it.redis("DEL", sale.key("d"))
        it.restart("hot")
        same(terms(sale), wanted, f"terms of {more}, read from MySQL")
        sale.audit()


@case("a creation that is repeated is the same one only if it asks the same for a unit")
def repeated_terms(it):
    seller = it.seller()
    sale = it.sale(seller, **PRICED)
    body = {"name": sale.name, "amount": 10, "stock": 100, "description": "a coupon", "segments": 1}

    def unfinished():
        it.sql(f"UPDATE coupons SET published = 0 WHERE id = {sale.id}")

    def refused(**more):
        unfinished()
        it.ask("POST", seller.path + "/coupons", seller, body | PRICED | more).expect(400, "duplicate-coupon")
    for other in ({"price": 501}, {"currency": "USD"}, {"pay_within": 901}, {"checkout_url": CHECKOUT + "x"},
                  {"checkout_url": None}, {"late_payment": False}):
        refused(**other)
    unfinished()
    it.ask("POST", seller.path + "/coupons", seller, body | PRICED | {"late_payment": True}).expect(201)


@case("the descriptor of an earlier version, which has no price, is read; the audit misses what it lacks")
def earlier_descriptors(it):
    fields = ("price", "currency", "checkout", "late")
    plain, priced = it.sale(), it.sale(**PRICED | {"late_payment": False})
    for sale in (plain, priced):
        it.redis("HDEL", sale.key("d"), *fields)
    it.restart("hot")
    same(terms(plain), {"price": 0}, "terms of a plain sale")
    plain.win(it.customer())
    plain.drained()
    plain.audit()
    done = it.ctl("audit", priced.title)
    assert done.returncode and "descriptor" in done.stdout, done

    def differs(field, value):
        it.redis("HSET", sale.key("d"), field, value)
        assert "descriptor" in it.ctl("audit", sale.title).stdout, f"{field} = {value}"
        it.redis("HDEL", sale.key("d"), field)
        sale.audit()
    sale = plain
    every([("price", "1"), ("currency", "EUR"), ("checkout", CHECKOUT), ("late", "0"), ("price", "x"), ("price", "-1"),
           ("currency", "EURO"), ("checkout", "javascript:{order}")], differs)


ROWS = {"pending": 1, "paid": 2, "cancelled": 3, "expired": 4, "confirmed": 5}
ALL = "queued,pending,paid,cancelled,expired,confirmed,failed,lost"


def put_rows(it, sale, rows):
    """Rows as drainers and payments leave them: (segment, seq, user, status)."""
    values = ", ".join(f"({sale.id}, {segment}, {seq}, {user}, {ROWS[status]}, {1700000000000 + n}, {1700000000500 + n}, "
                       f"{0 if status == 'confirmed' else 1700000900000 + n})"
                       for n, (segment, seq, user, status) in enumerate(rows))
    it.sql(f"INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms, pay_by_ms) VALUES {values}")


def next_of(answer):
    link = answer.headers["Link"]
    return link and re.fullmatch(r'<([^<>"; ]*)>; rel="next"', link).group(1)


def walk(it, path, user):
    """The orders of every page, by pages."""
    pages = []
    while path:
        answer = it.ask("GET", path, user).expect(200)
        pages.append(answer.json["data"])
        path = next_of(answer)
    return pages


@case("an order: what it costs, until when and where it is paid, and for its seller who has it")
def one_order(it):
    sale, user = it.sale(**PRICED), it.customer()
    plain = it.sale()
    no = f"{sale.id}-0-1000"
    put_rows(it, sale, [(0, 1000, user.id, "pending")])
    put_rows(it, plain, [(0, 1000, user.id, "confirmed"), (0, 1001, 4711, "cancelled")])

    def check(status):
        pay_by = 0 if status == "confirmed" else 1700000900000
        it.sql(f"UPDATE orders SET status = {ROWS[status]}, pay_by_ms = {pay_by} WHERE coupon_id = {sale.id}")
        own, sold = (it.ask("GET", f"/api/orders/{no}", who).expect(200).json for who in (user, sale.seller))
        same((own["status"], own["price"], own["currency"], own["stock"]), (status, 500, "EUR", 100), status)
        same(own["pay_by"], None if status == "confirmed" else "2023-11-14T22:28:20.000Z", f"pay_by of {status}")
        wanted = CHECKOUT.replace("{order}", no) if status == "pending" else None
        same(own.get("checkout_url"), wanted, f"checkout_url of {status}")
        same("customer" in own, False, "its customer's name for the customer")
        same(sold, own | {"customer": user.name}, "what its seller reads")
    every([(status,) for status in ROWS], check)
    own = it.ask("GET", f"/api/orders/{plain.id}-0-1000", user).expect(200).json
    same((own["price"], "currency" in own, own["pay_by"]), (0, False, None), "an order that costs nothing")
    sold = it.ask("GET", f"/api/orders/{plain.id}-0-1001", plain.seller).expect(200).json
    same("customer" in sold, False, "a customer whom MySQL does not have")
    it.ask("GET", f"/api/orders/{plain.id}-0-1000", sale.seller).expect(404, "no-such-order")
    it.sql(f"DELETE FROM orders WHERE coupon_id IN ({sale.id}, {plain.id})")


@case("what happened to an order, oldest first; ids of payments, and reasons that name them, are for its seller")
def history(it):
    sale, user = it.sale(**PRICED), it.customer()
    put_rows(it, sale, [(0, 1000, user.id, "expired"), (0, 1001, user.id, "paid")])
    old, new = (f"{sale.id}-0-{seq}" for seq in (1000, 1001))
    it.sql("INSERT INTO order_events (coupon_id, segment, seq, at_ms, kind, actor, reason, source) VALUES "
           f"({sale.id}, 0, 1000, 1700000001000, 4, 3, 'payment p0', 'm0'), "
           f"({sale.id}, 0, 1000, 1700000000900, 3, 5, '', NULL), ({sale.id}, 0, 1000, 1700000002000, 6, 5, '{new}', NULL), "
           f"({sale.id}, 0, 1001, 1700000002000, 1, 5, '', NULL), ({sale.id}, 0, 1001, 1700000003000, 5, 3, 'payment p2 is late', NULL), "
           f"({sale.id}, 0, 1001, 1700000004000, 2, 2, 'é \\\\\"', NULL)")
    it.sql("INSERT INTO payments (payment_id, coupon_id, segment, seq, amount, currency, refunded, at_ms, pays_segment, pays_seq, late) "
           f"VALUES ('p1', {sale.id}, 0, 1000, 500, 'EUR', 100, 1700000001500, 0, 1001, NULL), "
           f"('p2', {sale.id}, 0, 1001, 7, 'USD', 0, 1700000003000, NULL, NULL, NULL), "
           f"('p3', {sale.id}, 0, 1000, 500, 'EUR', 0, 1700000002500, NULL, NULL, 1)")

    def seen(no, who):
        order = it.ask("GET", f"/api/orders/{no}", who).expect(200).json
        return order["events"], order["payments"]

    def event(kind, second, by, reason=""):
        return {"kind": kind, "at": f"2023-11-14T22:13:{second}Z", "by": by, "reason": reason}

    def payment(id, status, amount, refunded, currency, second, **more):
        return {"payment": id, "status": status, "amount": amount, "refunded": refunded, "currency": currency,
                "at": f"2023-11-14T22:13:{second}Z"} | more
    events = [event("payment-failed", "21.000", "provider", "payment p0"), event("expired", "20.900", "service"),
              event("paid-late", "22.000", "service", new)]
    p1, p2 = payment("p1", "paid", 500, 100, "EUR", "21.500", order=old, pays=new), payment("p2", "refund-due", 7, 0, "USD", "23.000", order=new)
    payments = [p1, payment("p3", "late", 500, 0, "EUR", "22.500", order=old)]
    same(seen(old, sale.seller), (events, payments), "the old order, for its seller")
    bare = [{k: v for k, v in p.items() if k != "payment"} for p in payments]
    same(seen(old, user), ([events[0] | {"reason": ""}] + events[1:], bare), "the old order, for its customer")
    events, payments = seen(new, user)
    same([e["kind"] for e in events], ["paid", "payment-refused", "cancelled"], "events of the new order")
    same(events[2], event("cancelled", "24.000", "seller", '\u00e9 \\"'), "a reason")
    same(payments, [{k: v for k, v in p.items() if k != "payment"} for p in (p1, p2)], "payments of the new order")
    assert not re.search(r'"p[0-3]"|payment p', it.ask("GET", f"/api/orders/{new}", user).body.decode()), "an id of a payment"
    rows = ", ".join(f"({sale.id}, 0, 1001, {1700000005000 + n}, 4, 3, '', 'again{n}')" for n in range(120))
    it.sql(f"INSERT INTO order_events (coupon_id, segment, seq, at_ms, kind, actor, reason, source) VALUES {rows}")
    it.sql("INSERT INTO order_events (coupon_id, segment, seq, at_ms, kind, actor) "
           f"VALUES ({sale.id}, 0, 1001, 1700000009000, 1, 3)")
    events, payments = seen(new, user)
    same((len(events), len(payments), events[-1]["kind"], events[0]["at"]), (100, 2, "paid", "2023-11-14T22:13:25.021Z"),
         "the latest 100 events, oldest first")
    for table in ("orders", "order_events", "payments"):
        it.sql(f"DELETE FROM {table} WHERE coupon_id = {sale.id}")


@case("an order that is queued has a price and no pay_by yet")
def queued_order(it):
    sale, user = it.sale(**PRICED), it.customer()
    it.dev("stop", "drain")
    try:
        order = it.ask("GET", f"/api/orders/{sale.win(user)}", user).expect(200).json
        same((order["status"], order["price"], order["currency"], order["pay_by"], "checkout_url" in order),
             ("queued", 500, "EUR", None, False), "a queued order")
        same(it.ask("GET", user.path + "/orders?status=queued", user).json["data"], [{k: v for k, v in order.items() if k not in ("errMsg", "events", "payments")}],
             "the list of queued ones")
        same(it.ask("GET", user.path + "/orders?status=pending,confirmed", user).json["data"], [], "the list of others")
        it.ask("GET", sale.path + "/orders", sale.seller).expect(200)
    finally:
        it.dev("start", "drain")
    sale.drained()


@case("your orders by status, over three pages: each Link leads to the next page, the last has none")
def own_list(it):
    user, seller = it.customer(), it.seller()
    sales = [it.sale(seller) for _ in range(2)]
    mine = [(0, 1000 + n, user.id, ("cancelled", "expired")[n % 2]) for n in range(99)]
    for sale in sales:
        put_rows(it, sale, mine)
    put_rows(it, sales[0], [(0, 5000, user.id, "paid"), (0, 5001, it.customer().id, "pending")])
    path = user.path + "/orders"
    pages = walk(it, path, user)
    same([len(page) for page in pages], [20] * 9 + [19], "orders a page")
    all_orders = sum(pages, [])
    same(len({o["order"] for o in all_orders}), 199, "different orders")
    times = [o["claimed_at"] for o in all_orders]
    same(times, sorted(times, reverse=True), "newest first")

    def filtered(status, count):
        pages = walk(it, f"{path}?status={status}", user)
        found = sum(pages, [])
        wanted = [o for o in all_orders if o["status"] in urllib.parse.unquote(status).split(",")]
        same((found, len(found)), (wanted, count), f"status={status}")
    every([("cancelled", 100), ("expired", 98), ("paid", 1), ("pending", 0), ("cancelled,paid", 101), ("paid%2Cexpired", 99),
           ("paid,paid", 1), ("%70aid", 1), (ALL, 199)], filtered)
    same([len(page) for page in walk(it, path + "?status=cancelled", user)], [20] * 5, "full pages, and none behind the last")
    same(next_of(it.ask("GET", path + "?page=2&status=expired,paid", user)), path + "?page=3&status=paid,expired", "Link")
    same(next_of(it.ask("GET", path + "?page=1000000000", user)), None, "Link of the last page there can be")
    same(len(it.ask("GET", path + "?status=", user).expect(200).json["data"]), 20, "status=")
    it.sql(f"DELETE FROM orders WHERE coupon_id IN ({sales[0].id}, {sales[1].id})")


@case("a status that there is not: 400 that names those that there are")
def unknown_statuses(it):
    sale, user = it.sale(), it.customer()

    def refused(path, who, status, allowed):
        it.ask("GET", f"{path}?status={status}", who).expect(400, "bad-field").names(allowed)
    strange = ("x", "Pending", "PAID", "1", "pending,", ",pending", ",", "pending,,paid", "pending;paid", "pending%20", "pend",
               "pendings", "pending%00", "%", "%2", "%zz", "%C0%80", "%27%20OR%201=1", "pending%0d%0aX:%20y", "x" * 1000)
    every([(user.path + "/orders", user, status, ALL) for status in strange] +
          [(sale.path + "/orders", sale.seller, status, "of " + ",".join(ROWS) + ", with")
           for status in strange + ("queued", "failed", "lost", "paid,lost")], refused)


@case("a seller's list, over three pages and four segments: every order once, by number, with its customer's name")
def sold_list(it):
    sale, users = it.sale(amount=400, segments=4, **PRICED), it.users(3)
    words = list(ROWS)
    base = 1 << 20
    rows = [(n % 4, (n % 2) * base + n + 1, users[n % 3].id, words[n % 4 + 1 if n % 5 else 0]) for n in range(250)]
    rows += [(3, 3 * base + n, 4711 + n, "cancelled") for n in range(3)]
    live, kept = set(), []
    for row in rows:  # a customer has one live order
        is_live = row[3] in ("pending", "paid", "confirmed")
        if is_live and row[2] in live:
            row = row[:3] + ("expired",)
        live |= {row[2]} if is_live else set()
        kept.append(row)
    put_rows(it, sale, kept)
    wanted = [(f"{sale.id}-{segment}-{seq}", status) for segment, seq, _, status in sorted(kept)]
    path = sale.path + "/orders"
    pages = walk(it, path, sale.seller)
    same([len(page) for page in pages], [100, 100, 53], "orders a page")
    same([(o["order"], o["status"]) for o in sum(pages, [])], wanted, "orders")
    names = {user.id: user.name for user in users}
    by_number = {f"{sale.id}-{segment}-{seq}": names.get(user) for segment, seq, user, _ in kept}
    same({o["order"]: o.get("customer") for o in sum(pages, [])}, by_number, "customers")
    first = pages[0][0]
    same((first["price"], first["currency"], first["seller"], first["coupon"]), (500, "EUR", sale.seller.name, sale.name), "an order")
    same("checkout_url" in first, False, "checkout_url in a list")

    def filtered(status):
        found = [(o["order"], o["status"]) for o in sum(walk(it, f"{path}?status={status}", sale.seller), [])]
        same(found, [row for row in wanted if row[1] in status.split(",")], f"status={status}")
    every([(status,) for status in (*ROWS, "expired,paid", "pending,confirmed", ",".join(ROWS))], filtered)
    same(walk(it, path + "?status=pending", sale.seller)[0][0]["status"], "pending", "pending")
    last = pages[1][-1]["order"]
    same([o["order"] for o in it.ask("GET", f"{path}?after={last}", sale.seller).json["data"]],
         [o["order"] for o in pages[2]], "behind a cursor")
    same(it.ask("GET", f"{path}?after={sale.id}-255-9007199254740992", sale.seller).expect(200).json["data"], [], "behind all")
    it.sql(f"DELETE FROM orders WHERE coupon_id = {sale.id}")
    same(it.ask("GET", path, sale.seller).expect(200).json["data"], [], "no orders")


@case("cursors that no Link had: 400, and nothing of them is interpreted")
def hostile_cursors(it):
    seller = it.seller()
    sale, other = it.sale(seller), it.sale(seller)

    def refused(cursor):
        answer = it.ask("GET", f"{sale.path}/orders?after={cursor}", seller).expect(400, "bad-page").names("after")
        assert "Link" not in answer.headers, answer
    every([(cursor,) for cursor in
           ("x", "0", "1-2", "-1-0-1", f"{other.id}-0-1", f"{sale.id}-256-1", f"{sale.id}-0-0", f"{sale.id}-0--1",
            f"{sale.id}-0-9007199254740993", f"{sale.id}-00-1", f"{sale.id}-0-1x", f"{sale.id}-0-1-1", f"+{sale.id}-0-1",
            f"%20{sale.id}-0-1", f"{sale.id}-0-1%00", f"{sale.id}%2D0%2D1", "%27%20OR%201=1", "99999999999999999999-0-1",
            "%0d%0aX-Evil:%201", "9" * 1500)], refused)


@case("only its own seller reads the list of a coupon's orders")
def foreign_lists(it):
    sale, stranger = it.sale(), it.seller()
    same_name = it.sale(stranger, sale.name)
    path = sale.path + "/orders"
    it.ask("GET", path).expect(401, "no-token")
    it.ask("GET", path, it.customer()).expect(403, "forbidden")
    it.ask("GET", path, stranger).expect(403, "forbidden")
    it.ask("GET", stranger.path + "/coupons/nothing/orders", stranger).expect(404, "no-such-coupon")
    it.ask("POST", path, sale.seller).expect(405, "method-not-allowed")
    user = it.customer()
    order = sale.win(user)
    sale.drained()
    same([o["order"] for o in it.ask("GET", path, sale.seller).expect(200).json["data"]], [order], "its seller's list")
    same(it.ask("GET", same_name.path + "/orders", stranger).expect(200).json["data"], [], "the stranger's list")
    it.ask("GET", user.path + "/orders", sale.seller).expect(403, "forbidden")


@case("a queued order comes into the seller's list with its row")
def queued_then_listed(it):
    sale = it.sale()
    it.dev("stop", "drain")
    try:
        order = sale.win(it.customer())
        same(it.ask("GET", sale.path + "/orders", sale.seller).expect(200).json["data"], [], "while it is queued")
    finally:
        it.dev("start", "drain")
    until(lambda: [o["order"] for o in it.ask("GET", sale.path + "/orders", sale.seller).json["data"]] == [order], 10, "the order")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
