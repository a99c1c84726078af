"""What becomes of orders in a storm: a payment provider reports, customers and sellers cancel, and some do nothing."""

import collections
import heapq
import itertools
import queue
import threading
import time

from lifebooks import Payment
from provider import Provider, insist, new_secret
from tap import same

GRACE = 1  # pay_grace_s of the instance
SECRET = new_secret()


class Agenda:
    """What each client's thread is to do, and when."""

    def __init__(self):
        self.jobs, self.number = collections.defaultdict(list), itertools.count()

    def later(self, client, seconds, action):
        heapq.heappush(self.jobs[client], (time.monotonic() + seconds, next(self.number), action))

    def do_what_is_due(self, client):
        """Does it. Returns whether anything is left to do later."""
        jobs = self.jobs[client]
        while jobs and jobs[0][0] <= time.monotonic():
            client.patience(20)
            heapq.heappop(jobs)[2]()
        return bool(jobs)


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
    """An order that a customer was told. storm: a sale with terms, books, reports and an agenda."""

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
        self.storm.agenda.later(self.client, seconds, action)


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


def meets(storm, order, user, client, dice, fates=FATES):
    """Draws one of the fates for an order, which begins at once."""
    fate = dice.choices([f for _, f in fates], [w for w, _ in fates])[0]
    fate(Life(storm, order, user, client, dice))
