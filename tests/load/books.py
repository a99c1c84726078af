"""The orders of a run, counted three times: by the clients, in Redis, in MySQL. A difference fails the run.

wrk does not wait for the last answers, so for its sales the clients' count is a lower and an upper bound; load.c waits for
every answer, so for its sales all three must be equal.
"""

import json


def exact_sale(b):
    """More customers than units, with drainers, and every answer is counted."""
    count = min(10_000, b.o.tokens)
    return b.load(b.sale("exact", amount=count // 2), tokens=b.some_tokens(count))


def balance(b):
    b.drainers(True)
    exact_sale(b)
    b.drained()
    return count(b)


def count(b):
    audits = {coupon["name"]: coupon for coupon in json.loads(b.ctl("--json", "audit").stdout)}
    rows = dict(b.it.sql("SELECT c.name, COUNT(o.seq) FROM coupons c LEFT JOIN orders o ON o.coupon_id = c.id "
                         "GROUP BY c.id"))
    problems, totals = list(b.problems), {"told": 0, "told_or_unknown": 0, "redis": 0, "mysql": 0}
    for name, book in b.books.items():
        sold = [(audits.get(sale), int(rows.get(sale, -1))) for sale in book["sales"]]
        for audit, in_mysql in sold:
            problems += [f"{name}: {problem}" for problem in differences(audit, in_mysql)]
        in_redis = sum(audit["sold"] for audit, _ in sold if audit)
        if not book["least"] <= in_redis <= book["most"]:
            problems.append(f"{name}: clients were told of {book['least']} to {book['most']} orders, "
                            f"Redis sold {in_redis}")
        for key, value in zip(totals, (book["least"], book["most"], in_redis, sum(n for _, n in sold))):
            totals[key] += value
    totals["sales"] = sum(len(book["sales"]) for book in b.books.values())
    return totals | {"peer": peer(b, problems), "problems": problems}


def differences(audit, in_mysql):
    if not audit:
        yield "it was not audited"
        return
    if not audit["balanced"]:
        yield f"the audit does not balance: {audit['problems'][:3]}"
    if audit["sold"] > audit["amount"]:
        yield f"oversold: {audit['sold']} of {audit['amount']}"
    if not audit["sold"] == audit["rows"] + audit["cancelled"] == in_mysql or audit["queued"] or audit["dead_letters"]:
        yield (f"Redis sold {audit['sold']}, MySQL has {in_mysql} (by the audit {audit['rows']}), "
               f"{audit['queued']} queued, {audit['dead_letters']} dead letters")


def peer(b, problems):
    total = 0
    for name, least, most in b.peer_sales:
        sold = b.rig.peer_sold(name)
        total += sold
        if not least <= sold <= most:
            problems.append(f"the peer's {name}: clients were told of {least} to {most} orders, its Redis sold {sold}")
    return total
