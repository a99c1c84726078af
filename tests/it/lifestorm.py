#!/usr/bin/env -S python3 -B
"""Kill storms over the whole life of orders: claimed, paid in time or late, twice or wrongly, refunded, cancelled, expired.

The customers of each sale claim, and each order meets one of the FATES; a payment provider repeats what it has to say until it is
answered; the seller cancels; and a nemesis kills, at random and at points of the code (the programs are those with the points of
src/host/fault.def; killcases.py reads IT_SEED and IT_SOAK_KILLS). When it has had enough, everything that can end comes to its
end, and the books that were kept outside (lifebooks.py) must agree with the stores to the unit and the cent. Then the units that
came back are sold and paid.
"""

import itertools
import json
import random
import threading

import faultpoints
from fates import GRACE, SECRET, Agenda, Reports, meets
from harness import main
from history import Load
from killcases import SOAK, Storms
from lifebooks import CANCELLED, ENDS, EXPIRED, PAID, STATUSES, Final, LifeBooks, Owner, audited, problems, sums
from provider import Provider, insist, key_file
from tap import pause, same, until

USERS = 2000
FAULTS = faultpoints.faults(
    {"kill hot worker": 6, "kill cold worker": 9, "kill drainer": 10, "kill all drainers": 4, "term cold worker": 2,
     "kill mysql": 4, "freeze drainer": 4, "freeze cold worker": 3, "kill auth worker": 0, "term auth worker": 0,
     "freeze auth worker": 0},
    ("life", "life", "life", "expiry", "tell", "release", "release", "late", "supply", "drain", "claim"))


class Storm:
    """A sale, its customers, its seller and their provider; proof() when the faults are over."""

    def __init__(self, it, dice, nemesis):
        self.it, self.dice, self.over = it, dice, threading.Event()
        self.terms = {"price": dice.choice([2, 500, 12345]), "currency": dice.choice(["EUR", "JPY"]),
                      "pay_within": dice.choice([1, 2, 3]), "late_payment": dice.random() < 0.8}
        self.sale = it.sale(it.vendor, amount=dice.randint(40, 150), segments=dice.choice([1, 2, 5, 16]), **self.terms)
        self.terms["grace"] = GRACE
        self.books = LifeBooks(self.sale, self.terms)
        self.reports = Reports(it, self.books, dice)
        self.pace = dice.choice([0.005, 0.02])
        self.early = dice.choice([0, 0.02, 0.1])  # the fraction of claims whose customer does not wait for the answer
        self.users = dice.sample(it.crowd, min(USERS, round(self.sale.amount * dice.uniform(1.2, 2.5))))
        self.agenda, self.met = Agenda(), set()
        threads = dice.randint(6, 12)
        parts = [(random.Random(dice.random()), self.users[i::threads]) for i in range(threads)]
        self.load = Load(it.port, threads, parts, self._customers)

    def _customers(self, client, part):
        """They claim again and again: an order that is over makes room for another one."""
        dice, users = part
        for user in itertools.cycle(users):
            self.agenda.do_what_is_due(client)
            if self.over.is_set():
                break
            client.patience(dice.uniform(0.001, 0.3) if dice.random() < self.early else 20)
            self._meet(self.books.claim(user, client).order, user, client, dice)
            pause(dice.uniform(0, 2 * self.pace), "the pace of the load")
        while self.agenda.do_what_is_due(client):
            pause(0.02, "nothing is due")

    def _meet(self, order, user, client, dice):
        if order and order not in self.met:
            self.met.add(order)
            meets(self, order, user, client, dice)

    def proof(self):
        """Checks every promise, and returns a summary of the sale."""
        self.over.set()
        self.load.join()
        self.reports.end()
        self.rests()
        final = self.judge()
        money = sums(final)
        late = sum(p.was("late") for p in self.books.payments.values())
        self.sell_the_rest()
        paid, cancelled, expired = (len(final.with_status(status)) for status in (PAID, CANCELLED, EXPIRED))
        return (f"{self.sale.amount} units in {self.sale.segments} segments, {len(self.users)} customers: "
                f"{len(self.books.claims)} claims, {len(final.orders)} orders, {paid} paid, {cancelled} cancelled, {expired} "
                f"expired; {len(self.books.payments)} payments, {late} late; {money}")

    def rests(self):
        """Until nothing is left that a clock or a drainer will end."""
        def waiting():
            final = Final(self.it, self.sale)
            return {name: n for name, n in final.waiting.items() if n} | ({} if final.coupon["hub_told"] else {"hub_told": 0})
        try:
            until(lambda: not waiting(), 30, "everything comes to its end", every=0.1)
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {waiting()}")

    def judge(self):
        audit, final = audited(self.it, self.sale), Final(self.it, self.sale)
        found = problems(self.books, final) + ([] if audit["balanced"] else [("audit", audit["problems"][:5])])
        assert not found, f"{len(found)} broken:\n" + "\n".join(map(str, found[:20]))
        self.reads_the_same(final)
        self.claims_the_same(final)
        return final

    def claims_the_same(self, final):
        """Who has a paid order is told so again; who has let three orders end, and paid for none, gets no other one."""
        live = {owner: order for order, (owner, status, _) in final.orders.items() if status == PAID}
        payers = {final.orders[p.order][0] for p in self.books.payments.values() if p.right and p.order in final.orders}
        limited = {owner for owner, ends in final.ends.items() if ends >= ENDS} - live.keys() - payers
        winners, limited = ([user for user in self.users if Owner(user.id) in some] for some in (live, limited))
        for user in self.dice.sample(winners, min(10, len(winners))):
            same(self.answer(user).expect(200).json["order"], live[Owner(user.id)], f"the order of {user}")
        for user in self.dice.sample(limited, min(5, len(limited))):
            self.answer(user).expect(409, "limit-reached")

    def answer(self, user):
        return until(lambda: (a := self.sale.claim(user)).status < 500 and a, 20, "an answer")

    def reads_the_same(self, final):
        """What the seller is shown of the orders, and an operator of the refunds."""
        shown, page = {}, self.sale.path + "/orders"
        while page:
            answer = self.it.ask("GET", page, self.sale.seller).expect(200)
            shown |= {order["order"]: STATUSES.index(order["status"]) for order in answer.json["data"]}
            page = answer.headers["Link"] and answer.headers["Link"].split(">")[0].lstrip("<")
        same(shown, {order: status for order, (_, status, _) in final.orders.items()}, "the seller's list")
        for order in self.dice.sample(sorted(final.orders), min(15, len(final.orders))):
            answer = self.it.ask("GET", f"/api/orders/{order}", self.sale.seller).expect(200).json
            same([e["kind"] for e in answer["events"]], final.kinds(order), f"events of {order}")
            paid = {p["payment"]: (p["order"], p.get("pays", ""), p["amount"], p["currency"], p["refunded"])
                    for p in answer["payments"]}
            same(paid, {id: row[:5] for id, row in final.payments.items() if order in row[:2]}, f"payments of {order}")
        listed = [json.loads(line) for line in self.it.ctl("--json", "orders", "refund-due").stdout.splitlines()]
        same({one["payment"]: one["due"] for one in listed if one["payment"] in final.payments},
             {id: row[5] for id, row in final.payments.items() if row[5]}, "seckillctl orders refund-due")

    def sell_the_rest(self):
        """All units that no live order has are there for those who ask now; they pay, and nothing is left."""
        provider, sale, (price, currency) = Provider(self.it, SECRET), self.sale, (self.terms["price"], self.terms["currency"])
        free = sale.amount - len(Final(self.it, sale).with_status(PAID))
        fresh = self.it.users(free + 1)
        for user in fresh[:free]:
            order = self.answer(user).won()
            answer = insist(lambda client: provider.pay(order, f"rest_{order}", price, currency), None, 10)
            same(answer.json["payment"], "paid", f"the payment of {order}")
        until(lambda: sale.claim(fresh[free]).code == "sold-out", 5, "sold out for good")
        self.rests()
        final = Final(self.it, sale)
        same(len(final.with_status(PAID)), sale.amount, "paid orders in the end")
        audited(self.it, sale)


Storms("a storm over the life of orders", Storm, USERS, FAULTS, strikes=(20, 50) if SOAK else (1000, 1000), rate=0.15)

if __name__ == "__main__":
    faultpoints.build()
    main(**faultpoints.SETTINGS, SECKILL_PASSWORD_COST=1, SECKILL_PAY_GRACE_S=GRACE, SECKILL_PAYMENT_KEY_FILE=key_file(SECRET))
