#!/usr/bin/env -S python3 -B
"""Kill storms over the whole life of orders: claimed, paid in time or late, twice or wrongly, refunded, cancelled, expired.

A storm is one sale after the other, as in killstorm.py: its customers claim, and each order meets one of the FATES; a payment
provider repeats what it has to say until it is answered; the seller cancels; and a nemesis kills, at random and at points of
the code (the programs are those with the points of src/host/fault.def). When it has had enough, everything that can end comes
to its end, and the books that were kept outside (lifebooks.py) must agree with the stores to the unit and the cent. Then the
units that came back are sold and paid.

IT_SEED=n repeats a storm. IT_SOAK_KILLS=n: storms until so many processes were killed (kill -9 and TERM), instead of two short
ones.
"""

import collections
import heapq
import itertools
import json
import os
import queue
import random
import threading
import time

import faultpoints
from harness import main
from history import Load
from lifebooks import CANCELLED, ENDS, EXPIRED, PAID, Final, LifeBooks, Payment, audited, problems, sums
from nemesis import FAULTS, Nemesis, as_before, counted, is_kill, processes
from provider import Provider, insist, key_file, new_secret
from storm import SEED
from tap import case, comment, happens, pause, same, until

SOAK = int(os.environ.get("IT_SOAK_KILLS") or 0)
KILLS = 25   # of a storm, when it is a long one
SECONDS = 7  # of faults in a storm, when it is a short one
USERS = 2000
GRACE = 1    # pay_grace_s
STATUSES = ("", "pending", "paid", "cancelled", "expired", "confirmed")  # by their numbers
SECRET = new_secret()
total = collections.Counter()


class Reports:
    """What the provider has to say. Threads deliver each message, some of them twice, until it is answered."""

    def __init__(self, it, books, dice, threads=3):
        self.books, self.dice, self.provider = books, dice, Provider(it, SECRET)
        self.queue, self.failures, self.number = queue.Queue(), [], itertools.count(1)
        self.threads = [threading.Thread(target=self._deliver, args=(it.new_client(),), daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def pay(self, order, amount, currency, right):
        payment = f"pay_{order}_{next(self.number)}"
        self.books.payments[payment] = Payment(order, amount, currency, right)
        self._say(order, "payment.succeeded", lambda *answer: self.books.note_payment(payment, *answer),
                  payment=payment, amount=amount, currency=currency)
        return payment

    def fail(self, order, amount, currency):
        self._say(order, "payment.failed", lambda answer, _: same(answer.status, 200, "a failure is noted"),
                  payment=f"fail_{order}_{next(self.number)}", amount=amount, currency=currency)

    def refund(self, order, payment, amount, currency):
        id = f"ref_{payment}_{next(self.number)}"

        def note(*answer):
            self.books.note_payment(payment, *answer)
            self.books.refunds[id] = (payment, amount)
        self._say(order, "refund.succeeded", note, payment=payment, refund=id, amount=amount, currency=currency)

    def _say(self, order, type, note, **data):
        id = f"msg_{order}_{next(self.number)}"
        for _ in range(self.dice.choice([1, 1, 1, 2])):
            self.queue.put((note, lambda client: self.provider.tell(order, type, client, id, **data)))

    def _deliver(self, client):
        while job := self.queue.get():
            note, tell = job
            try:
                if self.dice.random() < 0.1:  # the provider hangs up, and repeats the message
                    client.patience(0.01)
                    insist(tell, client, 0)
                client.patience(20)
                start = time.monotonic()
                note(insist(tell, client, 60), start)
            except Exception as problem:
                self.failures.append(problem)
            self.queue.task_done()
        client.close()

    def end(self):
        """Returns when all messages are answered."""
        self.queue.join()
        for _ in self.threads:
            self.queue.put(None)
        assert not self.failures, self.failures[:3]


class Life:
    """What becomes of an order that a customer was told."""

    def __init__(self, storm, order, user, client, dice):
        self.storm, self.order, self.user, self.client, self.dice = storm, order, user, client, dice
        self.price, self.currency = storm.terms["price"], storm.terms["currency"]

    def pay(self, right=True):
        if right:
            return self.storm.reports.pay(self.order, self.price, self.currency, True)
        wrong = self.dice.choice([(self.price + 1, self.currency), (self.price - 1, self.currency), (self.price, "USD")])
        return self.storm.reports.pay(self.order, *wrong, False)

    def fail(self):
        self.storm.reports.fail(self.order, self.price, self.currency)

    def refund(self, payment, part=1):
        self.storm.reports.refund(self.order, payment, self.price // part, self.currency)

    def cancel(self):
        self.storm.books.cancel(self.order, self.user, "customer", self.client)

    def seller_cancels(self):
        self.storm.books.cancel(self.order, self.storm.sale.seller, "seller", self.client)

    def after(self, seconds, action):
        self.storm.later(self.client, seconds, action)


def in_time(life):
    life.after(life.dice.uniform(0, 0.5), life.pay)


def at_the_last_moment(life):
    within = life.storm.terms["pay_within"]
    life.after(life.dice.uniform(within - 0.2, within + GRACE + 0.8), life.pay)


def too_late(life):
    life.after(life.storm.terms["pay_within"] + GRACE + life.dice.uniform(0.5, 3), life.pay)


def never(life):
    pass


def failed_then_paid(life):
    life.fail()
    life.after(life.dice.uniform(0, 1), life.pay)


def wrongly_then_paid(life):
    life.pay(right=False)
    if life.dice.random() < 0.7:
        life.after(life.dice.uniform(0, 1), life.pay)


def twice(life):
    life.pay()
    life.after(life.dice.choice([0, 0.5]), life.pay)


def cancelled(life):
    life.after(life.dice.uniform(0, 0.5), life.cancel)


def cancelled_twice(life):
    life.after(0.1, life.cancel)
    life.after(0.2, life.cancel)


def cancelled_while_paid(life):
    life.pay()
    life.after(life.dice.choice([0, 0.01, 0.05]), life.cancel)


def cancelled_then_paid(life):
    life.after(0.1, life.cancel)
    life.after(life.dice.uniform(0.2, 2), life.pay)


def paid_then_cancelled_by_seller(life):
    life.pay()
    life.after(life.dice.uniform(0, 2), life.seller_cancels)


def cancelled_by_seller(life):
    life.after(life.dice.uniform(0, 1), life.seller_cancels)


def refunded(life):
    payment = life.pay()
    life.after(life.dice.choice([0, 0.5]), lambda: life.refund(payment))


def refunded_in_part(life):
    payment = life.pay()
    life.after(life.dice.choice([0, 0.5]), lambda: life.refund(payment, 2))


def late_and_refunded(life):
    def both():
        payment = life.pay()
        life.after(life.dice.choice([0, 0.2, 1]), lambda: life.refund(payment))
    life.after(life.storm.terms["pay_within"] + GRACE + 1, both)


FATES = ((10, in_time), (6, at_the_last_moment), (6, too_late), (7, never), (2, failed_then_paid), (3, wrongly_then_paid),
         (3, twice), (7, cancelled), (2, cancelled_twice), (4, cancelled_while_paid), (3, cancelled_then_paid),
         (4, paid_then_cancelled_by_seller), (2, cancelled_by_seller), (3, refunded), (2, refunded_in_part),
         (2, late_and_refunded))


def at_a_point(nemesis, action):
    """The next process that passes some point of the code is killed, or stands still; if one does soon."""
    done = faultpoints.arm(nemesis.dice.choice(POINTS) + "_*", action, nemesis.dice.randint(1, 9))
    try:
        return int(bool(happens(done, 0.3)))
    finally:
        faultpoints.disarm()


def stall(nemesis):
    return at_a_point(nemesis, f"stall={nemesis.dice.choice([50, 300, 1500])}")


WEIGHTS = {"kill hot worker": 6, "kill cold worker": 9, "kill drainer": 10, "kill all drainers": 4, "term cold worker": 2,
           "kill mysql": 4, "freeze drainer": 4, "freeze cold worker": 3, "kill auth worker": 0, "term auth worker": 0,
           "freeze auth worker": 0}
LIFE_FAULTS = [(WEIGHTS.get(what, weight), what, act) for weight, what, act in FAULTS]
LIFE_FAULTS += [(30, "kill at a point", lambda n: at_a_point(n, "kill")), (15, "stall at a point", stall)]
POINTS = ("life", "life", "life", "expiry", "tell", "release", "release", "late", "supply", "drain", "claim")  # in fault.def


class Storm:
    """A sale, its customers, its seller and their provider; proof() when the faults are over."""

    def __init__(self, it, dice):
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
        self.agenda, self.number, self.met = collections.defaultdict(list), itertools.count(), set()
        threads = dice.randint(6, 12)
        parts = [(random.Random(dice.random()), self.users[i::threads]) for i in range(threads)]
        self.load = Load(it.port, threads, parts, self._customers)

    def later(self, client, seconds, action):
        """The thread of this client does it then."""
        heapq.heappush(self.agenda[client], (time.monotonic() + seconds, next(self.number), action))

    def _customers(self, client, part):
        """They claim again and again: an order that is over makes room for another one."""
        dice, users = part
        for user in itertools.cycle(users):
            self._do_what_is_due(client)
            if self.over.is_set():
                break
            client.patience(dice.uniform(0.001, 0.3) if dice.random() < self.early else 20)
            self._meet(self.books.claim(user, client).order, user, client, dice)
            pause(dice.uniform(0, 2 * self.pace), "the pace of the load")
        while self.agenda[client]:
            self._do_what_is_due(client)
            pause(0.02, "nothing is due")

    def _meet(self, order, user, client, dice):
        if order and order not in self.met:
            self.met.add(order)
            fate = dice.choices([f for _, f in FATES], [w for w, _ in FATES])[0]
            fate(Life(self, order, user, client, dice))

    def _do_what_is_due(self, client):
        agenda = self.agenda[client]
        while agenda and agenda[0][0] <= time.monotonic():
            client.patience(20)
            heapq.heappop(agenda)[2]()

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
        live = {user: order for order, (user, status, _) in final.orders.items() if status == PAID}
        payers = {final.orders[p.order][0] for p in self.books.payments.values() if p.right and p.order in final.orders}
        winners = [user for user in self.users if user.id in live]
        limited = [user for user in self.users if final.ends[user.id] >= ENDS and user.id not in live and user.id not in payers]
        for user in self.dice.sample(winners, min(10, len(winners))):
            same(self.answer(user).expect(200).json["order"], live[user.id], f"the order of {user}")
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


def kills():
    return sum(n for what, n in total.items() if is_kill(what))


def storm(it, seed):
    if SOAK and kills() >= SOAK:
        return comment("enough were killed")
    dice = random.Random(seed)
    sync = ("always", "everysec")[seed % 2]
    it.environment["SECKILL_APPENDFSYNC"] = sync
    comment(f"IT_SEED={seed}, appendfsync {sync}")
    it.dev("stop")
    it.dev("start")
    it.redis.close()
    it.client.close()
    if not hasattr(it, "crowd"):
        it.crowd, it.vendor = it.users(USERS), it.seller()
    before, nemesis, faults = processes(it), Nemesis(it, random.Random(dice.random()), LIFE_FAULTS), 0.0
    try:
        while nemesis.kills() < KILLS if SOAK else faults < SECONDS:
            sale = Storm(it, dice)
            began = time.monotonic()
            try:
                for _ in range(nemesis.dice.randint(20, 50) if SOAK else 1000):
                    nemesis.strike()
                    pause(nemesis.dice.uniform(0, 0.15), "the rate of the faults")
                    if not SOAK and time.monotonic() - began > SECONDS:
                        break
                faults += time.monotonic() - began
                nemesis.rest()
                comment(sale.proof())
            finally:
                sale.over.set()
        same(it.sql("SELECT * FROM dead_letters"), [], "dead letters")
        as_before(it, before)
    finally:
        total.update(nemesis.counts)
        comment(f"{nemesis.kills()} kills: {counted(nemesis.counts)}")


for seed in range(SEED, SEED + (-(-SOAK // KILLS) if SOAK else 2)):
    case(f"a storm over the life of orders, seed {seed}")(lambda it, seed=seed: storm(it, seed))


@case("in the end everything is balanced")
def in_the_end(it):
    audit = it.ctl("audit")
    same((audit.returncode, audit.stderr), (0, ""), f"the audit: {audit.stdout}")
    comment(f"{kills()} kills, IT_SEED={SEED}: {counted(total)}")


if __name__ == "__main__":
    faultpoints.build()
    main(**faultpoints.SETTINGS, SECKILL_PASSWORD_COST=1, SECKILL_PAY_GRACE_S=GRACE, SECKILL_PAYMENT_KEY_FILE=key_file(SECRET))
