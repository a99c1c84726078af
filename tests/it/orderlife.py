"""What tests of paid, cancelled and expired orders share: a payment provider, sales with a price, and what MySQL holds."""

import subprocess

from harness import BUILD
from provider import CURRENCY, PRICE, Provider, key_file, new_secret  # noqa: F401, for those who import this
from stores import literal

STATUS = {1: "pending", 2: "paid", 3: "cancelled", 4: "expired", 5: "confirmed"}


def cancel(it, order, user, reason=None, client=None):
    return (client or it).ask("DELETE", f"/api/orders/{order}", user, None if reason is None else {"reason": reason})


# Sales

def sale_with_price(it, price=PRICE, currency=CURRENCY, late=True, pay_within=3600, **more):
    terms = {"price": price, "late_payment": late} | ({"currency": currency} if currency else {})
    return it.sale(**terms, **({"pay_within": pay_within} if pay_within else {}), **more)


def win(sale, user):
    """An order that has its row."""
    order = sale.win(user)
    sale.drained()
    return order


def where(order):
    coupon, segment, sequence = order.split("-")
    return f"coupon_id = {coupon} AND segment = {segment} AND seq = {sequence}"


# What MySQL holds

def number(it, statement):
    return it.sql.number(statement)


def status(it, order):
    return STATUS[number(it, f"SELECT status FROM orders WHERE {where(order)}")]


def events(it, order):
    """(kind, actor, reason) of each."""
    rows = it.sql(f"SELECT kind, actor, HEX(reason) FROM order_events WHERE {where(order)} ORDER BY id")
    return [(int(kind), int(actor), bytes.fromhex(reason).decode()) for kind, actor, reason in rows]


def kinds(it, order):
    return [kind for kind, _, _ in events(it, order)]


def payment(it, id):
    """amount, currency, refunded, the order that it pays, late, refund_due; None: not recorded."""
    rows = it.sql("SELECT amount, currency, refunded, IF(pays_seq IS NULL, '', CONCAT_WS('-', coupon_id, pays_segment, "
                  "pays_seq)), COALESCE(late, 0), COALESCE(refund_due, 0) FROM payments "
                  f"WHERE payment_id = {literal(id)}")
    if not rows:
        return None
    amount, currency, refunded, pays, late, due = rows[0]
    return int(amount), currency, int(refunded), pays, int(late), int(due)


def totals(it, sale):
    """sold, cancelled, final, final_cancelled of a coupon."""
    return tuple(map(int, it.sql(f"SELECT sold, cancelled, final, final_cancelled FROM coupons WHERE id = {sale.id}")[0]))


def is_unpaid(it, order):
    return number(it, f"SELECT COUNT(*) FROM unpaid_orders WHERE {where(order)}")


def is_returned(it, order):
    return number(it, f"SELECT COUNT(*) FROM returned_orders WHERE {where(order)}")


def contradictions(it, sale):
    """What the tables of one sale say that cannot be true together. Its orders must be at rest."""
    checks = {
        "sold is the number of live orders":
            "SELECT sold - (SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND status IN (1, 2, 5)) FROM coupons c",
        "cancelled is the number of orders that are over":
            "SELECT cancelled - (SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND status IN (3, 4)) FROM coupons c",
        "final is the number of paid orders":
            "SELECT IF(pay_within_s, final - final_cancelled - (SELECT COUNT(*) FROM orders o WHERE o.coupon_id = c.id AND "
            "status = 2), final + final_cancelled) FROM coupons c",
        "a paid order has one payment, and no other order has any":
            "SELECT COUNT(*) FROM orders o JOIN coupons c ON c.id = o.coupon_id AND c.id = {id} WHERE (status = 2) <> (SELECT "
            "COUNT(*) FROM payments p WHERE p.coupon_id = o.coupon_id AND p.pays_segment = o.segment AND p.pays_seq = o.seq)",
        "pending orders are in unpaid_orders, and no others":
            "SELECT (SELECT COUNT(*) FROM orders WHERE coupon_id = {id} AND status = 1) - (SELECT COUNT(*) FROM unpaid_orders "
            "WHERE coupon_id = {id}) + (SELECT COUNT(*) FROM unpaid_orders u JOIN orders o USING (coupon_id, segment, seq) WHERE "
            "coupon_id = {id} AND o.status <> 1)",
        "an order has one event for each change of its status":
            "SELECT COUNT(*) FROM orders o WHERE coupon_id = {id} AND (SELECT COUNT(*) FROM order_events e WHERE e.coupon_id = "
            "o.coupon_id AND e.segment = o.segment AND e.seq = o.seq AND e.kind IN (2, 3)) <> (status IN (3, 4))",
    }
    found = []
    for text, sql in checks.items():
        sql = sql.format(id=sale.id)
        got = number(it, sql if "{id}" in checks[text] else f"{sql} WHERE c.id = {sale.id}")
        if got:
            found.append(f"{text}: {got}")
    return found


# The drainers' transitions

def ending(it, *words):
    """tests/it/ending.c, with the drainers' account."""
    done = subprocess.run([BUILD / "tests/it/ending", it.run / "drain.conf", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout.split()


def expire(it, sale, now_ms, *orders):
    """STATUS, EXPIRED, STALE of a batch; each order with its pay_by."""
    rows = []
    for order in orders:
        _, segment, sequence = order.split("-")
        pay_by = it.sql(f"SELECT pay_by_ms FROM orders WHERE {where(order)}")
        rows.append(f"{pay_by[0][0] if pay_by else 0}:{segment}:{sequence}")
    code, expired, stale = ending(it, "expire", sale.id, now_ms, *rows)
    return code, int(expired), int(stale)
