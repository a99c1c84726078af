#!/usr/bin/env -S python3 -B
"""Kill storms over sales that their sellers steer, and that people wait for.

200 units, one to three for each customer, up to 500 people on the waiting list, and 40 % of the orders are left to expire
(fates.py has what becomes of an order). Meanwhile the seller pauses and resumes the sale, moves its end, adds units and withdraws
some, and ends it at last; each change is sent until it is answered. killcases.py has the nemesis, IT_SEED and IT_SOAK_KILLS;
steerbooks.py proves from all requests and answers, and from the stores, that the sale was balanced to the unit and the cent, that
nobody won in a paused or ended sale, that who waits is promoted once and in order, and that nobody overtakes.

STORM_PARTS: of the PARTS below, separated by commas, those that are used; all by default.
"""

import itertools
import json
import os
import pathlib
import random
import threading
import time

import faultpoints
from client import LOST
from fates import FATES, GRACE, SECRET, Agenda, Reports, meets, never
from harness import main
from history import Load
from killcases import SOAK, Storms
from lifebooks import CANCELLED, EXPIRED, PAID, STATUSES, Final, audited, problems, sums
from provider import key_file
from steerbooks import RULES, Change, SteerBooks, SteerFinal, history, units_in_redis
from tap import comment, happens, pause, same, until

PARTS = ("steering", "limit", "waiting", "keys")
parts = set((os.environ.get("STORM_PARTS") or ",".join(PARTS)).split(","))
UNITS, USERS, WAIT = 200, 2000, 500
NEVER = 25  # the weight among the FATES with which 40 % of the orders expire
BEGIN_S = 15  # so long the sale may take to be sold out before the faults
SETTLE_S = 25  # so long people who wait are served after the faults
ANSWER_S = 60  # a seller's patience
MY_FATES = tuple((NEVER if fate is never else weight, fate) for weight, fate in FATES)
FAULTS = faultpoints.faults(
    {"kill hot worker": 10, "kill cold worker": 10, "kill drainer": 12, "kill all drainers": 4, "term cold worker": 2,
     "kill mysql": 3, "freeze drainer": 5, "freeze hot worker": 4, "freeze cold worker": 3, "kill auth worker": 0,
     "term auth worker": 0, "freeze auth worker": 0},
    ("life", "expiry", "tell", "release", "late", "supply", "drain", "claim") +
    ("steer", "steer", "withdraw") * ("steering" in parts) + ("waiting", "promote", "promote", "journal") * ("waiting" in parts) +
    ("key",) * ("keys" in parts))


class Visitor:
    """A customer, and one of the units that a customer may have."""

    def __init__(self, user, unit):
        self.user, self.unit, self.waits = user, unit, False


class Seller:
    """Steers the sale: each change is sent until it is answered, and noted."""

    def __init__(self, sale, books, client, dice):
        self.sale, self.books, self.client, self.dice = sale, books, client, dice

    def tag(self):
        """The ETag of the settings, once they are told."""
        def read():
            start = time.monotonic()
            answer = self.ask("GET", "/sale")
            if answer and answer.status == 200:
                self.books.note_tag(answer.headers["ETag"], start)
                return answer.headers["ETag"]
        return until(read, ANSWER_S, "the settings", every=0.05)

    def ask(self, method, path, body=None, **headers):
        try:
            return self.client.ask(method, self.sale.path + path, self.sale.seller, body,
                                   headers={name.replace("_", "-"): value for name, value in headers.items()})
        except LOST:
            return None

    def change(self, what, value):
        """
        Without a key a change is repeated under a condition, so that one whose answer was lost is not done later: the state and
        the end are the same when set twice, but between the two the seller may have changed them again.
        """
        path, body = ("/stock", {"add": value}) if what == "add" else ("/sale", {what: value})
        headers, start, deadline = {}, time.monotonic(), time.monotonic() + ANSWER_S
        if "keys" in parts:
            headers["Idempotency_Key"] = self.sale.instance.name(f"{what}-")
        conditional = "steering" in parts and ("keys" not in parts or self.dice.random() < 0.3)
        while True:
            if conditional and "If_Match" not in headers:
                headers["If_Match"] = self.tag()
            self.client.patience(0.05 if self.dice.random() < 0.1 else 20)
            answer = self.ask("PATCH", path, body, **headers)
            if answer is not None and answer.status == 412:
                headers.pop("If_Match")
            elif answer is not None and answer.status < 500 and answer.code not in ("in-progress", "rate-limited", "unfinished"):
                break
            assert time.monotonic() < deadline, f"{what} {value} was not answered: {answer}"
            pause(0.02, "the pace of a seller")
        self.client.patience(20)
        said = answer.json if answer.status == 200 else None
        self.books.changes.append(Change(what, value, start, time.monotonic(), answer.status, answer.code, said))
        return self.books.changes[-1]


class Storm:
    """A sale, its customers, its seller and their provider; proof() when the faults are over."""

    def __init__(self, it, dice, nemesis):
        self.it, self.dice, self.over, self.quiet = it, dice, threading.Event(), threading.Event()
        self.terms = {"price": dice.choice([2, 500, 12345]), "currency": dice.choice(["EUR", "JPY"]),
                      "pay_within": dice.choice([1, 2, 3]), "late_payment": dice.random() < 0.8}
        own = {"waiting_list": True} if "waiting" in parts else {}
        limit = dice.choice([1, 2, 3]) if "limit" in parts else 1
        own |= {"limit": limit} if limit > 1 else {}
        self.sale = it.sale(it.vendor, amount=UNITS, segments=dice.choice([1, 2, 5, 16]), **self.terms, **own)
        self.terms |= {"grace": GRACE, "limit": limit}
        self.books = SteerBooks(self.sale, self.terms, nemesis.struck)
        self.reports = Reports(it, self.books, dice)
        self.pace = dice.choice([0.005, 0.02])
        self.early = dice.choice([0, 0.02, 0.1])  # the fraction of requests whose customer does not wait for the answer
        crowd = UNITS + dice.randint(WAIT // 4, WAIT) if "waiting" in parts else round(UNITS * dice.uniform(1.2, 2.5))
        visitors = [Visitor(user, unit) for user in dice.sample(it.crowd, crowd // limit) for unit in range(1, limit + 1)]
        dice.shuffle(visitors)
        self.agenda, self.met, self.visitors = Agenda(), set(), visitors
        threads = dice.randint(8, 14)
        jobs = [(random.Random(dice.random()), visitors[i::threads]) for i in range(threads)]
        self.load = Load(it.port, threads, jobs, self._customers)
        self.sellers = [Load(it.port, 1, [random.Random(dice.random())], work) for work in (self._steers, self._stocks)
                        if "steering" in parts or work == self._stocks]
        self._begin(min(crowd - UNITS, WAIT // 4))

    def _begin(self, people):
        """Until so many wait: before that the sale is one as any other."""
        if "waiting" in parts:
            happens(lambda: sum(wish.status == 201 for wish in list(self.books.wishes)) >= people, BEGIN_S, every=0.05)

    # customers

    def _customers(self, client, job):
        """They claim, wait for a unit, look, leave, and claim again: an order that is over makes room for another one."""
        dice, visitors = job
        for visitor in itertools.cycle(visitors):
            self.agenda.do_what_is_due(client)
            if self.over.is_set():
                break
            client.patience(dice.uniform(0.001, 0.3) if dice.random() < self.early else 20)
            self._visit(visitor, client, dice)
            pause(dice.uniform(0, 2 * self.pace), "the pace of the load")
        client.patience(20)
        for visitor in itertools.cycle(visitors):
            busy = self.agenda.do_what_is_due(client)
            if self.quiet.is_set() and not busy:
                break
            if visitor.waits and not self.quiet.is_set():
                self._look(visitor, client, dice)
            pause(0.01, "the pace of the load")

    def _visit(self, visitor, client, dice):
        if visitor.waits and dice.random() < 0.9:
            self._look(visitor, client, dice)
            return
        unit = None if visitor.unit == 1 and ("limit" not in parts or dice.random() < 0.5) else visitor.unit
        event = self.books.claim(visitor.user, client, unit)
        self._meet(event.order, visitor, client, dice)
        if "waiting" in parts and event.code in ("waiting-list", "sold-out", "all-held") and dice.random() < 0.8:
            self._wish("POST", visitor, client, dice)

    def _look(self, visitor, client, dice):
        self._wish("DELETE" if dice.random() < 0.03 else "GET", visitor, client, dice)

    def _wish(self, what, visitor, client, dice):
        wish = self.books.wish(what, visitor.user, visitor.unit, client)
        self._meet(wish.order, visitor, client, dice)
        visitor.waits = wish.waits or (visitor.waits or what == "POST") and not wish.is_over

    def _meet(self, order, visitor, client, dice):
        if order and order not in self.met:
            self.met.add(order)
            meets(self, order, visitor.user, client, dice, MY_FATES)

    # the seller

    def _steers(self, client, dice):
        seller, pace = Seller(self.sale, self.books, client, dice), dice.choice([0.8, 6])
        while not self.over.wait(dice.uniform(0, pace)):
            if dice.random() < 0.3:
                seller.change("ends_at", in_future(dice.choice([100, 3600]))[0] if dice.random() < 0.7 else "")
            else:
                seller.change("state", "paused")
                self.over.wait(dice.uniform(0, 0.6))
                seller.change("state", "open")

    def _stocks(self, client, dice):
        seller, units = Seller(self.sale, self.books, client, dice), dice.choice([2, 10])
        while not self.over.wait(dice.uniform(0, 1.5)):
            if "steering" in parts and dice.random() < 0.5:
                seller.change("withdraw", dice.randint(1, units))
            else:
                seller.change("add", dice.randint(1, units))

    def _end(self):
        """The seller ends the sale, or its end passes."""
        seller = Seller(self.sale, self.books, self.it.new_client(), self.dice)
        if self.dice.random() < 0.3:
            text, at = in_future(self.dice.uniform(0.5, 2))
            if seller.change("ends_at", text).done:
                self.books.ends_ms = at
                until(lambda: seller.ask("GET", "/sale").json["state"] == "ended", 10, "the sale ends by time")
        if not self.books.ends_ms:
            assert seller.change("state", "ended").done
        same(seller.change("state", "open").code, "too-late", "to open a sale that has ended")

    # the proof

    def proof(self):
        """Checks every promise, and returns a summary of the sale."""
        self.over.set()
        for seller in self.sellers:
            seller.join()
        if "steering" in parts and self.dice.random() < 0.5:
            self._end()
            self.quiet.set()
        else:
            self._settle()
            if "steering" in parts:
                self._end()
        self.load.join()
        self.reports.end()
        final = self._rests()
        self._judge(final)
        if "steering" in parts:
            self._is_over()
            if self.dice.random() < 0.5:
                self._archive()
        return self._summary(final)

    def _final(self):
        return SteerFinal(self.it, self.sale, "waiting" in parts)

    def _settle(self):
        """People who wait get the units that are left or come back; then others may claim."""
        if "waiting" in parts:
            happens(lambda: (f := self._final()).is_at_rest() and not (f.queue and f.free()), SETTLE_S, every=0.2)
            self._serves()
        self.quiet.set()

    def _serves(self):
        """No unit is free for long while people wait."""
        def serves():
            finals[:] = [self._final()]
            return not (finals[0].queue and finals[0].free())
        finals = []
        try:
            until(serves, 10, "free units go to those who wait", every=0.05)
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {finals[0].free()} are free, {finals[0].queue} wait; {finals[0].waiting}")

    def _rests(self):
        """Until nothing is left that a clock or a drainer will end. What the stores say then, when nothing changes any more."""
        finals = []

        def rests():
            finals[:] = [self._final()]
            return finals[0].is_at_rest()
        try:
            until(rests, 30, "everything comes to its end", every=0.1)
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {finals[0].waiting}")
        return self._final()

    def _judge(self, final):
        self.books.count()
        audit = audited(self.it, self.sale)
        found = problems(self.books, final, RULES) + ([] if audit["balanced"] else [("audit", audit["problems"][:5])])
        units = units_in_redis(self.it, self.sale, final)
        found += [("units in Redis", units)] if units else []
        kinds = {kind: sum(k == kind for k, _ in found) for kind, _ in found}
        if found:
            pathlib.Path("steerstorm.history").write_text(history(self.books, final))
            comment(f"its history is in {pathlib.Path.cwd()}/steerstorm.history")
        assert not found, f"{len(found)} broken, {kinds}:\n" + "\n".join(map(str, found[:30]))

    def _is_over(self):
        """What everybody is told of a sale that has ended: who has an order has it, and the others read `ended`."""
        paid = {owner for owner, status, _ in self._final().orders.values() if status == PAID}
        for visitor in self.dice.sample(self.visitors, min(15, len(self.visitors))):
            answer = until(lambda: (a := self._claim(visitor)).status < 500 and a, 20, "an answer")
            if (visitor.user.id, visitor.unit) in paid:
                answer.expect(200)
            elif answer.code != "limit-reached":
                answer.expect(410, "ended")

    def _archive(self):
        """The sale leaves Redis, and its orders stay."""
        seller = Seller(self.sale, self.books, self.it.new_client(), self.dice)
        assert seller.change("state", "archived").done, self.books.changes[-1]
        same(self.it.redis("KEYS", "sk:{%d:*" % self.sale.id), [], "keys of an archived sale")
        same(self.sale.read()["state"], "archived", "the page of an archived sale")
        final = Final(self.it, self.sale)
        for order, (_, status, _) in self.dice.sample(sorted(final.orders.items()), min(5, len(final.orders))):
            answer = self.it.ask("GET", f"/api/orders/{order}", self.sale.seller).expect(200)
            same(answer.json["status"], STATUSES[status], f"the status of {order}")

    def _claim(self, visitor):
        return self.it.ask("POST", self.sale.path + "/claims", visitor.user, {"unit": visitor.unit} if visitor.unit > 1 else None)

    def _summary(self, final):
        paid, cancelled, expired = (len(final.with_status(status)) for status in (PAID, CANCELLED, EXPIRED))
        changes = {what: len(self.books.of(what)) for what in ("state", "ends_at", "add", "withdraw")}
        promoted = sum(bool(order.ticket) for order in final.life.values())
        return (f"{UNITS} units in {self.sale.segments} segments, limit {self.terms['limit']}, {len(self.visitors)} wanted; "
                f"changes: {json.dumps(changes)}, {self.books.amount} units put on sale, {self.books.withdrawn} withdrawn; "
                f"{len(self.books.wishes)} requests to the list, {len(final.entries)} entries, {promoted} promoted; "
                f"{len(self.books.claims)} claims, {len(final.orders)} orders, {paid} paid, {cancelled} cancelled, {expired} "
                f"expired; {len(self.books.payments)} payments; {sums(final)}")


def in_future(seconds):
    """A moment so many seconds from now, as the API has it, and in milliseconds."""
    at = int((time.time() + seconds) * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}Z", at


Storms("a storm over a steered sale", Storm, USERS, FAULTS, strikes=(20, 50) if SOAK else (1000, 1000), rate=0.15,
       seconds=20, kills=25, short=1)

if __name__ == "__main__":
    faultpoints.build()
    main(**faultpoints.SETTINGS, SECKILL_PASSWORD_COST=1, SECKILL_PAY_GRACE_S=GRACE, SECKILL_PAYMENT_KEY_FILE=key_file(SECRET))
