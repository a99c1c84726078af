#!/usr/bin/env -S python3 -B
"""A worker or a drainer is killed at each step of a change of a sale: before the commit nothing has happened, after it the
drainers finish, whoever else is killed.

killpoints.py has the other points.
"""

from typing import NamedTuple

import faultpoints
from ended import PAY_GRACE, settled
from harness import main
from storm import Paused
from tap import case, comment, same, until

DECIDING = ("steer_locked", "steer_written")  # nothing is committed
DOING = ("steer_committed", "steer_slot", "steer_told", "steer_done")
WITHDRAWING = ("withdraw_taken", "withdraw_debited", "withdraw_reported", "withdraw_noted")
ARCHIVING = ("archive_hidden", "archive_removed")
DRAINERS = ("steer_found", "steer_slot", "steer_told", "steer_done")


class Settings(NamedTuple):
    state: int
    version: int
    told: int
    withdrawn: int
    asked: int
    missed: int


def settings(it, sale):
    row = it.sql(f"SELECT state, state_version, state_told, withdrawn, withdraw_asked, withdraw_missed FROM coupons "
                 f"WHERE id = {sale.id}")[0]
    return Settings(*map(int, row))


class Change:
    """A sale, a change of it, and what must hold once the drainers are done."""

    body = {}

    def __init__(self, it):
        self.it, self.sale = it, it.sale(amount=24, segments=3)
        for user in it.users(3):
            self.sale.win(user)
        self.sale.drained()
        self.before = settings(it, self.sale)

    def ask(self):
        return self.it.new_client().ask("PATCH", self.sale.path + "/sale", self.sale.seller, self.body)

    def repeat(self):
        self.ask().expect(200)

    def judge(self):
        raise NotImplementedError

    def done(self):
        until(lambda: settings(self.it, self.sale).told, 15, f"{self.body} is done")

    def finish(self, decided):
        if not decided:
            same(settings(self.it, self.sale), self.before, "settings after nothing was committed")
            self.repeat()
        self.done()
        self.judge()
        if decided:
            self.repeat_judged()

    def repeat_judged(self):
        self.repeat()
        self.judge()


class Pausing(Change):
    body = {"state": "paused"}

    def judge(self):
        version = settings(self.it, self.sale).version
        same(version, self.before.version + 1, "version")
        for key in [self.sale.key("hub")] + [self.sale.key("s", i) for i in range(3)]:
            same(self.it.redis("HMGET", key, "version", "state"), [str(version), "paused"], key)
        self.sale.claim(self.it.customer()).expect(409, "paused")
        self.sale.audit()


class Withdrawing(Change):
    body = {"withdraw": 15}

    def judge(self):
        same(settings(self.it, self.sale)[3:], (15, 15, 0), "withdrawn")
        same(self.sale.read()["left"], 6, "units left")
        self.sale.audit()

    def repeat_judged(self):
        """Another 15 are asked for: there are six."""
        self.repeat()
        self.done()
        same(settings(self.it, self.sale)[3:], (21, 30, 9), "withdrawn")
        self.sale.audit()


class Archiving(Change):
    body = {"state": "archived"}

    def __init__(self, it):
        super().__init__(it)
        self.it.ask("PATCH", self.sale.path + "/sale", self.sale.seller, {"state": "ended"}).expect(200)
        settled(it, self.sale)
        self.before = settings(it, self.sale)

    def judge(self):
        same([k for k in self.it.redis.keys() if f"{{{self.sale.id}:" in k], [], "keys of the sale")
        same(settings(self.it, self.sale).state, 3, "state")


def strike(it, change, point, action="kill"):
    """The change is asked for while the point is armed; its worker is killed there."""
    struck = faultpoints.arm(point, action)
    with it.asking("PATCH", change.sale.path + "/sale", change.sale.seller, change.body):
        until(struck, 15, point)


@case("the worker of a seller is killed at each step: nothing has happened, or drainers finish; repeating is success")
def workers(it):
    for kind, points in ((Pausing, DECIDING + DOING), (Withdrawing, DECIDING + WITHDRAWING + DOING), (Archiving, ARCHIVING)):
        for point in points:
            change = kind(it)
            strike(it, change, point)
            try:
                change.finish(point not in DECIDING)
            except AssertionError as problem:
                raise AssertionError(f"{kind.__name__} {point}: {problem}") from None
    it.full("cold")


@case("the worker is killed after the commit, then a drainer at each step of what is left")
def drainers(it):
    for kind, points in ((Pausing, DRAINERS), (Withdrawing, WITHDRAWING + DRAINERS), (Archiving, ARCHIVING)):
        for point in points:
            change = kind(it)
            with Paused(it):
                strike(it, change, "steer_committed")
                struck = faultpoints.arm(point, "kill")
            until(struck, 15, point)
            try:
                change.done()
                change.judge()
            except AssertionError as problem:
                raise AssertionError(f"{kind.__name__} {point}: {problem}") from None
    comment("every drainer's step")


@case("a worker stands still at a step, and drainers and a later change overtake it")
def stalled(it):
    for point in faultpoints.some(DOING[:-1]):
        change = Pausing(it)
        struck = faultpoints.arm(point, "stall=1500")
        with it.asking("PATCH", change.sale.path + "/sale", change.sale.seller, change.body) as answers:
            until(struck, 15, point)
            change.it.new_client().ask("PATCH", change.sale.path + "/sale", change.sale.seller, {"state": "open"}).expect(200)
            change.sale.win(it.customer())
        answers[0].expect(200)
        change.done()
        same(settings(it, change.sale)[:2], (0, change.before.version + 2), "the later change")
        change.sale.win(it.customer())
        change.sale.drained()
        change.sale.audit()


if __name__ == "__main__":
    faultpoints.build()
    main(SECKILL_PASSWORD_COST=1, SECKILL_DRAINERS=3, **PAY_GRACE, **faultpoints.SETTINGS)
