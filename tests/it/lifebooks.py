"""The books of a sale whose orders are paid, cancelled and expire, kept from outside, and whether the stores agree with them.

LifeBooks notes what was asked and what was answered. Final reads, when everything is at rest, what the stores say. The
rules compare the two, to the unit and to the cent; each yields what is wrong.
"""

import bisect
import collections
import json
import time
from typing import NamedTuple

import orderlife
from client import LOST
from history import Event

PENDING, PAID, CANCELLED, EXPIRED, CONFIRMED = 1, 2, 3, 4, 5
OVER = (CANCELLED, EXPIRED)
STATUSES = ("", "pending", "paid", "cancelled", "expired", "confirmed")  # by their numbers
KINDS = {1: "paid", 2: "cancelled", 3: "expired", 4: "payment-failed", 5: "payment-refused", 6: "paid-late", 7: "refunded", 8: "refund-misfit"}
ENDS = 3  # so many orders of a customer expire or are cancelled by the customer; then there is no other one


class Owner(NamedTuple):
    """Who may have one live order: a customer, for which one of the units that he may have."""
    user: int
    unit: int = 1


class Cancel(NamedTuple):
    """A request to cancel an order. status: None when there was no answer."""
    order: str
    by: str
    start: float
    end: float
    status: int | None
    code: str | None


class Said(NamedTuple):
    """What was answered to a report of a payment or its refund."""
    word: str
    start: float
    end: float


class Payment:
    """What the provider has reported of a payment, and the answers of the service."""

    def __init__(self, order, amount, currency, right):
        self.order, self.amount, self.currency, self.right = order, amount, currency, right
        self.began, self.answers = time.monotonic(), []

    def __repr__(self):
        return f"{self.amount} {self.currency} for {self.order}, answered {self.answers}"

    def was(self, word):
        return any(said.word == word for said in self.answers)

    def paid_after_refund_due(self):
        """Reports go side by side, so what counts is that one began when the other was answered."""
        due = min((said.end for said in self.answers if said.word == "refund-due"), default=float("inf"))
        return any(said.word == "paid" and said.start > due for said in self.answers)


class LifeBooks:
    refusals = {"sold-out", "all-held", "limit-reached"}  # of a claim

    def __init__(self, sale, terms):
        self.sale, self.terms, self.amount, self.withdrawn, self.limit = sale, terms, sale.amount, 0, 1
        self.claims, self.cancels, self.payments, self.refunds, self.odd = [], [], {}, {}, []

    # asking

    def claim(self, user, client, unit=None):
        """The Event's user is an Owner. unit None: the request names none, which means the first."""
        owner, start = Owner(user.id, unit or 1), time.monotonic()
        try:
            answer = client.ask("POST", self.sale.path + "/claims", user, unit and {"unit": unit})
        except LOST:
            event = Event(owner, start, time.monotonic(), None)
        else:
            order = answer.json["order"] if answer.status in (200, 201) else None
            event = Event(owner, start, time.monotonic(), answer.status, answer.code, order)
        self.claims.append(event)
        return event

    def cancel(self, order, user, by, client):
        start = time.monotonic()
        try:
            answer = orderlife.cancel(self.sale.instance, order, user, by == "seller" and "the storm" or None, client)
            cancel = Cancel(order, by, start, time.monotonic(), answer.status, answer.code)
        except LOST:
            cancel = Cancel(order, by, start, time.monotonic(), None, None)
        self.cancels.append(cancel)
        return cancel

    def note_payment(self, id, answer, start):
        """An answer to a report of a payment or its refund, which began at start."""
        if answer is not None and answer.status == 200:
            self.payments[id].answers.append(Said(answer.json["payment"], start, time.monotonic()))
        else:
            self.odd.append(f"payment {id} was answered {answer}")

    # reading

    def orders(self):
        """Each order that was told, and the owners to whom."""
        told = collections.defaultdict(set)
        for e in self.told():
            told[e.order].add(e.user)
        return told

    def told(self):
        """The events that named an order."""
        return [e for e in self.claims if e.order]

    def unsure(self):
        """When each owner began to ask for what may have brought an order that was not told."""
        starts = collections.defaultdict(list)
        for e in self.claims:
            if e.unknown and not e.order:
                starts[e.user].append(e.start)
        return starts

    def on_sale(self, start, end):
        """So many units at least were on sale all the time between these moments."""
        return self.amount


class Final:
    """What MySQL and the hub say."""

    def __init__(self, it, sale):
        sql = it.sql
        number = "CONCAT_WS('-', coupon_id, segment, seq)"
        pays = "IF(pays_seq IS NULL, '', CONCAT_WS('-', coupon_id, pays_segment, pays_seq))"
        mine = f"WHERE coupon_id = {sale.id}"
        self.orders = {row[0]: (Owner(int(row[1]), int(row[2])), int(row[3]), int(row[4])) for row in
                       sql(f"SELECT {number}, user_id, unit, status, pay_by_ms FROM orders {mine}")}
        self.payments = {row[0]: (row[1], row[2], int(row[3]), row[4], int(row[5]), int(row[6])) for row in
                         sql(f"SELECT payment_id, {number}, {pays}, amount, currency, refunded, IFNULL(refund_due, 0) "
                             f"FROM payments {mine}")}
        self.refunds = {row[0]: (row[1], int(row[2])) for row in sql("SELECT refund_id, payment_id, amount FROM refunds")}
        self.ends = collections.Counter(Owner(*map(int, row)) for row in sql(
            f"SELECT user_id, unit FROM orders o {mine} AND (status = 4 OR (status = 3 AND EXISTS (SELECT 1 FROM order_events e "
            "WHERE e.coupon_id = o.coupon_id AND e.segment = o.segment AND e.seq = o.seq AND kind = 2 AND actor = 1)))"))
        self.events = collections.defaultdict(list)
        for order, kind, at in sql(f"SELECT {number}, kind, at_ms FROM order_events {mine} ORDER BY id"):
            self.events[order].append((KINDS[int(kind)], int(at)))
        names = ("amount", "withdrawn", "sold", "cancelled", "final", "final_cancelled", "hub_told")
        self.coupon = dict(zip(names, map(int, sql(f"SELECT {', '.join(names)} FROM coupons WHERE id = {sale.id}")[0])))
        shared = ("amount", "withdrawn", "cancelled", "final", "final_cancelled")
        self.hub = dict(zip(shared, (int(n or 0) for n in it.redis("HMGET", sale.key("hub"), *shared))))
        self.waiting = {name: sql.number(f"SELECT COUNT(*) FROM {name} {mine}") for name in ("unpaid_orders", "returned_orders")}
        self.waiting["late payments"] = sql.number(f"SELECT COUNT(*) FROM payments {mine} AND late IS NOT NULL")
        self.waiting["queued orders"] = sale.queued()

    def with_status(self, *wanted):
        return [order for order, (_, status, _) in self.orders.items() if status in wanted]

    def kinds(self, order):
        return [kind for kind, _ in self.events[order]]


# The rules; each yields violations.

def answers(books, final):
    for e in books.claims:
        if not (e.status in (None, 503) or e.order or e.code in books.refusals):
            yield f"unexpected: {e}"
    for c in books.cancels:
        if c.status not in (None, 200, 503) and c.code not in ("already-paid", "already-expired"):
            yield f"unexpected: {c}"
    yield from books.odd


def told_is_kept(books, final):
    """Who was told an order has it, whatever became of it; and each order is told, or can be explained."""
    for order, users in books.orders().items():
        if len(users) > 1:
            yield f"{order} was told to {users}"
        user = final.orders.get(order, (None,))[0]
        if user not in users:
            yield f"{order} was told to {users}, and MySQL has {user}"
    unsure = books.unsure()
    late = {final.orders[p.order][0] for p in books.payments.values() if final.orders.get(p.order, (0, 0))[1] in OVER}
    for order in final.orders.keys() - books.orders().keys():
        user = final.orders[order][0]
        if user not in unsure and user not in late:
            yield f"{order} of {user} is in MySQL, and was told to nobody"


def never_oversold(books, final):
    live = collections.Counter(final.orders[order][0] for order in final.with_status(PENDING, PAID, CONFIRMED))
    if live.total() > books.amount - books.withdrawn:
        yield f"{live.total()} live orders of {books.amount - books.withdrawn} units"
    yield from (f"{owner} has {n} live orders" for owner, n in live.items() if n > 1)
    yield from (f"{owner} has an order, and the limit is {books.limit}" for owner, *_ in final.orders.values()
                if not 1 <= owner.unit <= books.limit)


def ends_once(books, final):
    for order, (_, status, pay_by) in final.orders.items():
        kinds = collections.Counter(final.kinds(order))
        ends = kinds["cancelled"] + kinds["expired"]
        wanted = {PENDING: (0, 0), PAID: (1, 0), CANCELLED: (kinds["paid"], 1), EXPIRED: (0, 1)}[status]
        if (kinds["paid"], ends) != wanted or kinds["paid"] > 1 or (status == EXPIRED) != (kinds["expired"] == 1):
            yield f"{order} has status {status} after {final.events[order]}"
        for kind, at in final.events[order]:
            if kind == "expired" and at < pay_by + books.terms["grace"] * 1000:
                yield f"{order} expired {pay_by + books.terms['grace'] * 1000 - at} ms too early"


def cancels(books, final):
    """A cancel that was acknowledged holds; one that was refused tells the truth; and nothing is cancelled by itself."""
    for c in books.cancels:
        status, kinds = final.orders.get(c.order, (0, 0))[1], final.kinds(c.order)
        if (c.status == 200 and status != CANCELLED) or (c.code == "already-paid" and "paid" not in kinds) or \
                (c.code == "already-expired" and status != EXPIRED):
            yield f"{c}, and it has status {status} after {kinds}"
        if c.by == "seller" and c.code == "already-paid":
            yield f"a seller may cancel a paid order: {c}"
    for order in set(final.with_status(CANCELLED)) - {c.order for c in books.cancels}:
        yield f"{order} was cancelled by nobody"
    for order in final.with_status(CANCELLED):
        if "paid" in final.kinds(order) and not any(c.by == "seller" for c in books.cancels if c.order == order):
            yield f"{order} was paid, and its customer has cancelled it"


def money(books, final):
    """Every cent that came pays a live order, was refunded, or is due."""
    payers = collections.Counter()
    for id in final.payments.keys() | books.payments.keys():
        sent, row = books.payments.get(id), final.payments.get(id)
        if not (sent and row) or row[:1] + row[2:4] != (sent.order, sent.amount, sent.currency):
            if row or sent.answers:
                yield f"payment {id}: MySQL has {row}, sent was {sent}"
            continue
        _, pays, amount, _, refunded, due = row
        yield from (f"payment {id}: {text}; {row}; {sent}" for text in problems_of_payment(books, final, sent, row))
        if refunded != sum(n for payment, n in final.refunds.values() if payment == id):
            yield f"payment {id}: refunded is not the sum of its refunds: {row}"
        if due != (0 if pays else max(0, amount - refunded)):
            yield f"payment {id}: {due} are due: {row}"
        payers[pays] += 1
    for order in final.orders:
        if payers[order] != (final.orders[order][1] == PAID):
            yield f"{order} has status {final.orders[order][1]} and {payers[order]} payments"
    for id, (payment, amount) in books.refunds.items():
        if final.refunds.get(id) != (payment, amount):
            yield f"refund {id} of {payment} was acknowledged, and MySQL has {final.refunds.get(id)}"


def problems_of_payment(books, final, sent, row):
    order, pays, amount, currency, _, due = row
    if pays and not sent.right:
        yield "it is not the price, and pays"
    if pays and final.orders[pays][1] != PAID:
        yield "it pays an order that is not paid"
    if pays and final.orders[pays][0] != final.orders[order][0]:
        yield "it pays the order of another customer"
    if pays not in ("", order) and "paid-late" not in final.kinds(order):
        yield "it pays another order, and was not late"
    if sent.was("refund-due") and (pays or sent.paid_after_refund_due()):
        yield "it was to be refunded, and pays"
    if sent.was("paid") and not {"paid", "paid-late"} & set(final.kinds(order)):
        yield "it was answered paid, and the order never was"


def order_began(books):
    """The earliest moment at which each order that was told can have been made, perhaps by a request whose answer was lost."""
    named, unsure = collections.defaultdict(list), books.unsure()
    for e in books.told():
        named[e.order].append(e)
    return {order: min(unsure[events[0].user] + [e.start for e in events]) for order, events in named.items()}


def refused_truly(books, final):
    """
    All units are claimed before anybody is refused, and all are paid before that is final. A unit that came back since may
    still be on its way, so this is what must hold at least.
    """
    began = sorted(order_began(books).values())
    untold = len(final.orders.keys() - books.orders().keys())
    paid = {p.order: p.began for p in sorted(books.payments.values(), key=lambda p: -p.began) if p.right}
    paid = sorted(paid.values())
    for e in books.claims:
        units = books.on_sale(e.start, e.end)
        if e.code in ("sold-out", "all-held"):
            claimed = bisect.bisect_left(began, e.end) + untold
            if claimed < units:
                yield f"{e} when at most {claimed} of {units} were claimed"
        if e.code == "sold-out":
            final_units = bisect.bisect_left(paid, e.end)
            if final_units < units:
                yield f"{e} when at most {final_units} of {units} were paid"
        if e.code == "limit-reached":
            if final.ends[e.user] < ENDS and e.user.unit <= books.limit:
                yield f"{e} after {final.ends[e.user]} orders that have expired, or that the customer has cancelled"


def totals(books, final):
    live, over = len(final.with_status(PENDING, PAID, CONFIRMED)), len(final.with_status(*OVER))
    paid = len(final.with_status(PAID))
    c = final.coupon
    if (c["amount"], c["withdrawn"], c["sold"], c["cancelled"], c["final"] - c["final_cancelled"]) != \
            (books.amount, books.withdrawn, live, over, paid):
        yield f"{live} live, {over} over, {paid} paid of {books.amount} units, {books.withdrawn} withdrawn, and MySQL counts {c}"
    if final.hub != {name: c[name] for name in final.hub}:
        yield f"MySQL counts {c}, the hub {final.hub}"


def at_rest(books, final):
    if any(final.waiting.values()) or not final.coupon["hub_told"]:
        yield f"still waiting: {final.waiting}, hub_told {final.coupon['hub_told']}"


RULES = (answers, told_is_kept, never_oversold, ends_once, cancels, money, refused_truly, totals, at_rest)


def problems(books, final, rules=RULES):
    return [(rule.__name__, text) for rule in rules for text in rule(books, final)]


def sums(final):
    """What came, what pays, what was refunded and what is due, in cents; for the summary, and they must add up."""
    came = sum(row[2] for row in final.payments.values())
    refunded = sum(row[4] for row in final.payments.values())
    due = sum(row[5] for row in final.payments.values())
    pays = sum(row[2] for row in final.payments.values() if row[1])
    over_refunded = sum(min(row[2], row[4]) for row in final.payments.values() if row[1])
    beyond = sum(max(0, row[4] - row[2]) for row in final.payments.values())
    assert came == pays + (refunded - over_refunded - beyond) + due, (came, pays, refunded, due)
    return f"{came} cents came: {pays} pay, {refunded} were refunded, {due} are due"


def audited(it, sale):
    done = it.ctl("--json", "audit", sale.title)
    assert done.returncode == 0, f"audit: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)[0]
