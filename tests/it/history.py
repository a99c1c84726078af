"""A log of every request of a load, and what it proves together with the final state.

History.ask() sends a claim and logs it. problems() applies every rule and returns what was broken, as (rule, text).

"Sold out" is judged from outside, without looking into the stores. A win takes its unit after the start of the request
that brought it, and units that a seller adds are there when his request is acknowledged. So at a moment t at least
    units certainly left = units acknowledged by t - wins whose request had started by t
are unsold or in flight. A refusal during which that never fell to 0 was false. There is no slack for the flags' lease
of a second: no flag is raised while a unit is left, and added units are acknowledged when no flag can refuse any more.
"""

import bisect
import collections
import threading
import time
from typing import NamedTuple

from client import LOST, Client
from tap import pause

PATIENCE = 30  # seconds that a customer goes on asking


class Event(NamedTuple):
    """A request. status: None when there was no answer; order: its number, when the answer names one."""
    user: object
    start: float
    end: float
    status: int | None
    code: str | None = None
    order: str | None = None

    @property
    def refused(self):
        return self.code == "sold-out"

    @property
    def unknown(self):
        """The request may have been executed."""
        return self.status is None or self.status >= 500


class Supply(NamedTuple):
    units: int
    start: float
    end: float


class Final(NamedTuple):
    """rows: orders in MySQL, number -> user; audit: its JSON."""
    rows: dict
    audit: dict


class History:
    def __init__(self, amount):
        self.amount, self.events, self.supplies, self.in_vain = amount, [], [], False

    # making it

    def ask(self, sale, user, client):
        start = time.monotonic()
        try:
            answer = sale.claim(user, client)
        except LOST:
            event = Event(user.id, start, time.monotonic(), None)
        else:
            order = answer.json["order"] if answer.status in (200, 201) else None
            event = Event(user.id, start, time.monotonic(), answer.status, answer.code, order)
        self.events.append(event)
        return event

    def insist(self, sale, user, client):
        """Asks until the outcome is known. Once a customer has waited in vain, the others ask only once."""
        deadline = time.monotonic() + PATIENCE
        while (event := self.ask(sale, user, client)).unknown and not self.in_vain:
            self.in_vain = time.monotonic() > deadline
            pause(0.01, "the pace of a customer")
        return event

    def supply(self, sale, units):
        """The seller adds units; the request must be acknowledged."""
        start = time.monotonic()
        sale.instance.ask("PATCH", sale.path + "/stock", sale.seller, {"add": units}).expect(200)
        self.supplies.append(Supply(units, start, time.monotonic()))
        return self.supplies[-1]

    # reading it

    def units(self):
        return self.amount + sum(s.units for s in self.supplies)

    def by_user(self):
        users = collections.defaultdict(list)
        for event in self.events:
            users[event.user].append(event)
        return users

    def winners(self):
        """The requests of each user who was told an order."""
        return {user: events for user, events in self.by_user().items() if any(e.order for e in events)}


def win_began(events):
    """The earliest moment at which this user's order can have been made."""
    made = [e.start for e in events if e.status == 201] or [e.start for e in events if e.order or e.unknown]
    return min(made)


def win_told(events):
    return min(e.end for e in events if e.order)


# The rules; each yields violations.

def answers(history, final):
    """Every customer got an answer, and only won, already yours, sold out, or 503."""
    for user, events in history.by_user().items():
        if all(e.unknown for e in events):
            yield f"{user} was never answered: {events[-1]}"
    for e in history.events:
        if not (e.status in (None, 503) or e.order or e.refused):
            yield f"unexpected: {e}"


def one_order_each(history, final):
    """A customer is told one order number, on every repeat, and no two are told the same. In MySQL nobody has two."""
    owners = collections.defaultdict(set)
    for user, events in history.winners().items():
        orders = {e.order for e in events if e.order}
        if len(orders) > 1:
            yield f"{user} was told {sorted(orders)}"
        for order in orders:
            owners[order].add(user)
    yield from (f"{order} was told to {users}" for order, users in owners.items() if len(users) > 1)
    counts = collections.Counter(final.rows.values())
    yield from (f"{user} has {n} orders in MySQL" for user, n in counts.items() if n > 1)


def told_is_kept(history, final):
    """The orders that were told are those in MySQL, neither more nor fewer."""
    told = {e.order: e.user for e in history.events if e.order}
    yield from (f"{o} of {u} was told, and is not in MySQL" for o, u in told.items() if final.rows.get(o) != u)
    yield from (f"{o} of {u} is in MySQL, and was told to nobody" for o, u in final.rows.items() if o not in told)


def sold_exactly(history, final):
    """All units are sold, or one to each customer who asked after the last addition."""
    last = max((s.end for s in history.supplies), default=float("-inf"))
    asked = set(final.rows.values()) | {e.user for e in history.events if e.start >= last}
    wanted = min(history.units(), len(asked))
    if len(final.rows) != wanted:
        yield f"{len(final.rows)} sold, not {wanted}: {history.units()} units, {len(asked)} customers"


def audit_agrees(history, final):
    a, sold = final.audit, len(final.rows)
    if not a["balanced"]:
        yield f"the audit is not balanced: {a['problems']}"
    wanted = {"amount": history.units(), "sold": sold, "rows": sold, "queued": 0, "dead_letters": 0}
    if {name: a[name] for name in wanted} != wanted:
        yield f"the audit says {a}, not {wanted}"
    if a["hub"] + a["in_flight"] + a["left"] != history.units() - sold:
        yield f"the audit's unsold units are not {history.units() - sold}: {a}"


def refused_truly(history, final):
    """For each "sold out" there was an instant inside the request when nothing was left or in flight."""
    begun = sorted(win_began(events) for events in history.winners().values())
    acknowledged = sorted((s.end, s.units) for s in history.supplies)

    def certainly_left(t):  # just before additions that were acknowledged at t
        return history.amount + sum(units for end, units in acknowledged if end < t) - bisect.bisect_right(begun, t)

    for e in history.events:
        if e.refused:  # between acknowledgements it only falls
            least = min(map(certainly_left, [e.end] + [end for end, _ in acknowledged if e.start < end <= e.end]))
            if least > 0:
                yield f"{least} units were left all the time: {e}"


def winners_not_refused(history, final):
    """A customer who has an order is told so. A refusal before the order is possible only if units were added in between."""
    for events in history.winners().values():
        told = win_told(events)
        for e in events:
            added = any(s.start <= told and s.end >= e.start for s in history.supplies)
            if e.refused and (e.start > told or not added):
                yield f"{e}, but he has order {next(e.order for e in events if e.order)}"


RULES = (answers, one_order_each, told_is_kept, sold_exactly, audit_agrees, refused_truly, winners_not_refused)


def problems(history, final):
    return [(rule.__name__, text) for rule in RULES for text in rule(history, final)]


class Load:
    """Threads, each with an HTTP client of its own; all begin at once. work(client, job) for every job."""

    def __init__(self, port, threads, jobs, work):
        self.port, self.jobs, self.work, self.failures = port, collections.deque(jobs), work, []
        self.gate = threading.Barrier(threads)
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        client = Client(self.port)
        self.gate.wait()
        try:
            while True:
                try:
                    job = self.jobs.popleft()
                except IndexError:
                    return
                self.work(client, job)
        except Exception as problem:
            self.failures.append(problem)
        finally:
            client.close()

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE + 60)
            assert not thread.is_alive(), "a customer is still asking"
        assert not self.failures, self.failures[:3]
