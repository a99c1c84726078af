#!/usr/bin/env -S python3 -B
"""Nobody is refused while a unit is left: loads whose every request is logged and judged. The judge comes first."""

import itertools
import json
import pathlib
import random
import threading

from client import Client
from harness import main
from history import Event, Final, History, Load, Supply, problems
from tap import case, comment, every, quick, same, until


# The judge

def story(amount, *lines, rows=None, **audit):
    """Lines "user start end status [order]" or "+units start end". The final state agrees, unless it is given."""
    history = History(amount)
    for user, start, end, *answer in map(str.split, lines):
        if user[0] == "+":
            history.supplies.append(Supply(int(user), float(start), float(end)))
            continue
        status = int(answer[0]) if answer else None
        code = {410: "sold-out", 409: "not-started", 503: "busy"}.get(status)
        history.events.append(Event(user, float(start), float(end), status, code, (answer + [None, None])[1]))
    if rows is None:
        rows = {e.order: e.user for e in history.events if e.order}
    sums = {"amount": history.units(), "sold": len(rows), "rows": len(rows), "queued": 0, "dead_letters": 0, "hub": 0,
            "in_flight": 0, "left": history.units() - len(rows), "balanced": True, "problems": []}
    return history, Final(rows, sums | audit)


SOLD_TWO = ("a 0 2 201 x", "b 1 3 201 y")

GOOD = (
    ("all sold, then refused", 2, *SOLD_TWO, "c 4 5 410"),
    ("more units than customers", 5, *SOLD_TWO),
    ("refused while the last win was under way", 2, "a 0 1 201 x", "c 2 5 410", "b 4 9 201 y"),
    ("the answer was lost, the repeat names the order", 1, "a 0 1", "a 2 3 503", "a 4 5 200 x", "b 1 2 410"),
    ("asked again", 2, *SOLD_TWO, "a 4 5 200 x", "a 6 7 200 x"),
    ("added, refused before that was acknowledged", 1, "a 0 1 201 x", "+1 2 9", "c 3 8 410", "c 10 11 201 z"),
    ("refused in a request begun before the acknowledgement", 1, "a 0 1 201 x", "+1 2 4", "c 3 8 410", "b 5 9 201 y"),
    ("added, sold before that was acknowledged", 1, "a 0 1 201 x", "+1 2 9", "b 3 4 201 y", "c 10 11 410"),
    ("refused, then won an added unit", 1, "a 0 1 201 x", "b 1 2 410", "+1 3 9", "b 4 5 201 y"),
    ("nobody wanted the added units", 1, "a 0 1 201 x", "b 2 3 410", "+5 4 5"),
)

BAD = (
    ("answers", 1, "a 0 1 201 x", "b 0 1", "b 1 2 503"),
    ("answers", 1, "a 0 1 201 x", "b 0 1 500", "b 2 3 410"),
    ("answers", 1, "a 0 1 409", "a 2 3 201 x"),
    ("refused_truly", 3, *SOLD_TWO, "c 2 4 410", "d 6 7 201 z"),
    ("refused_truly", 1, "a 3 4 201 x", "b 1 2 410"),
    ("refused_truly", 1, "a 0 1 201 x", "+1 2 4", "c 5 6 410", "b 7 8 201 y"),
    ("refused_truly", 2, "a 0 1 201 x", "+1 2 4", "c 3 8 410", "b 5 9 201 y", "d 9 10 201 z"),
    ("refused_truly", 1, "a 0 1 410", "+1 2 3", "a 4 5 201 x", "b 4 5 201 y"),
    ("winners_not_refused", 2, *SOLD_TWO, "a 4 5 410"),
    ("winners_not_refused", 2, *SOLD_TWO, "b 1 3 410"),
    ("winners_not_refused", 2, *SOLD_TWO, "+1 4 5", "b 6 7 410", "c 6 7 201 z"),
)

BAD_ENDS = (
    ("one_order_each", story(3, *SOLD_TWO, "a 4 5 200 z")),
    ("one_order_each", story(1, "a 0 1 201 x", "b 0 1 201 x")),
    ("one_order_each", story(3, *SOLD_TWO, rows={"x": "a", "y": "b", "z": "a"})),
    ("told_is_kept", story(2, *SOLD_TWO, rows={"x": "a"})),
    ("told_is_kept", story(2, *SOLD_TWO, rows={"x": "a", "y": "c"})),
    ("told_is_kept", story(2, "a 0 1 201 x", "b 0 1", rows={"x": "a", "y": "b"})),
    ("sold_exactly", story(1, *SOLD_TWO)),
    ("sold_exactly", story(3, *SOLD_TWO, "c 4 5 410")),
    ("sold_exactly", story(2, *SOLD_TWO, "+1 4 5", "c 6 7 410")),
    ("sold_exactly", story(2, *SOLD_TWO, rows={})),
    ("audit_agrees", story(2, *SOLD_TWO, balanced=False, problems=["left"])),
    ("audit_agrees", story(2, *SOLD_TWO, sold=1)),
    ("audit_agrees", story(2, *SOLD_TWO, queued=1)),
    ("audit_agrees", story(2, *SOLD_TWO, in_flight=1)),
    ("audit_agrees", story(2, *SOLD_TWO, dead_letters=1)),
)


@case("the judge accepts correct histories")
def judge_good(it):
    every(GOOD, lambda name, *lines: same(problems(*story(*lines)), [], name))


@case("the judge: every rule fires where it should, and nowhere else")
def judge_bad(it):
    every(BAD, lambda rule, *lines: same({found for found, _ in problems(*story(*lines))}, {rule}, "rules broken"))
    for rule, ending in BAD_ENDS:
        found = {found for found, _ in problems(*ending)}
        assert rule in found, f"{rule} was not found in {ending[1]}: {found}"


# Loads

def users_of(it, count):
    """Customers are for all the loads: minting tokens is a good part of the time."""
    if not hasattr(it, "crowd"):
        it.crowd = it.users(1600)
    return random.sample(it.crowd, count)


def judge(it, sale, history):
    sale.drained()
    audit = it.ctl("--json", "audit", sale.title)
    found = problems(history, Final(sale.rows(), json.loads(audit.stdout)[0]))
    wins, refused = len(history.winners()), sum(e.refused for e in history.events)
    comment(f"{len(history.events)} requests, {wins} winners, {refused} refusals, "
            f"{sum(e.unknown for e in history.events)} without a definite answer")
    assert not found, f"{len(found)} broken:\n" + "\n".join(map(str, found[:10]))
    same(audit.returncode, 0, "exit of the audit")


def sell(it, amount, segments, users, threads=24):
    """Everyone asks until answered, and a random one of all asks once more, now and then."""
    sale, history = it.sale(amount=amount, segments=segments), History(amount)

    def work(client, user):
        history.insist(sale, user, client)
        if random.random() < 0.2:
            history.insist(sale, random.choice(users), client)

    Load(it.port, threads, users, work).join()
    judge(it, sale, history)


@case("uniform: 400 customers on 300 units in 10 segments")
def uniform(it):
    sell(it, 300, 10, users_of(it, 400))


@case("as many customers as units: nobody is refused")
def exact(it):
    sell(it, 300, 10, users_of(it, 300))


@case("all customers in one home segment")
def one_home(it):
    sale, history = it.sale(amount=80, segments=10), History(80)
    crowd = [u for u in users_of(it, 1600) if sale.home(u) == 7][:110]
    Load(it.port, 24, crowd, lambda client, user: history.insist(sale, user, client)).join()
    same({e.order.split("-")[1] for e in history.events if e.order}, {"7"}, "segments in the order numbers")
    judge(it, sale, history)


@case("as few units as segments")
def few_units(it):
    for amount in (1, 5, 20):
        sell(it, amount, amount, users_of(it, amount + 40), threads=32)


@case("256 segments")
def most_segments(it):
    sell(it, 256, 256, users_of(it, 320))


@case("every claim is sent four times at once: nobody is refused who has an order")
def duplicates(it):
    for _ in range(12):
        sale, history = it.sale(amount=10, segments=8), History(10)
        copies = [user for user in users_of(it, 30) for _ in range(4)]
        Load(it.port, 32, copies, lambda client, user: history.insist(sale, user, client)).join()
        judge(it, sale, history)


@case("customers give up after 0.1 to 30 ms and ask again until they have an answer")
def hasty(it):
    amount, users = 200, users_of(it, 260)
    sale, history = it.sale(amount=amount, segments=8), History(amount)

    def work(client, user):
        for _ in range(random.randrange(1, 4)):
            hurried = Client(it.port, timeout=random.choice([0.0001, 0.0003, 0.001, 0.003, 0.03]))
            history.ask(sale, user, hurried)
            hurried.close()
        history.insist(sale, user, client)

    Load(it.port, 24, users, work).join()
    assert any(e.status is None for e in history.events), "no client gave up: nothing was tested"
    judge(it, sale, history)


# Re-opening

THREADS, FIRST, MORE = 32, 60, 500


class Hammer:
    """Threads that claim all the time, each for customers of its own who have no order yet."""

    def __init__(self, it, sale, history, users):
        self.sale, self.history, self.over = sale, history, threading.Event()
        self.load = Load(it.port, THREADS, (users[i::THREADS] for i in range(THREADS)), self._work)

    def _work(self, client, users):
        for user in itertools.cycle(users):
            if self.over.is_set():
                return
            if user in users and self.history.insist(self.sale, user, client).order:
                users.remove(user)
            assert users, "this thread has no customers left"

    def stop(self):
        self.over.set()
        self.load.join()


def bytes_read(pid):
    return int(pathlib.Path(f"/proc/{pid}/io").read_text().split()[1])


def reopen(it, sale, history):
    """Adds units while everybody is refused; all workers are at work within the second that follows."""
    before = {pid: bytes_read(pid) for pid in it.full("hot")}
    supply = history.supply(sale, MORE)
    until(lambda: sale.claimed() == history.units(), 20, "all sold again")
    wins = sorted(e.end for e in list(history.events) if e.status == 201 and e.end > supply.start)
    comment(f"acknowledged after {supply.end - supply.start:.3f} s, first win after {wins[0] - supply.start:.3f} s")
    quick(supply.end - supply.start, 1.5, "the acknowledgement, which waits for a lease")
    quick(wins[0] - supply.start, 1, "the first win")
    same([pid for pid in before if bytes_read(pid) <= before[pid]], [], "workers that did nothing")


@case("units are added to a sold-out sale while 32 threads hammer: it opens again, on every worker")
def added(it):
    sale, history = it.sale(amount=FIRST, segments=10), History(FIRST)
    hammer = Hammer(it, sale, history, users_of(it, 1600))
    try:
        for _ in range(2):
            until(lambda: sum(e.refused for e in history.events[-500:]) == 500, 20, "everybody is refused")
            reopen(it, sale, history)
        until(lambda: sum(e.refused for e in history.events[-500:]) == 500, 20, "everybody is refused after the end, too")
    finally:
        hammer.stop()
    judge(it, sale, history)


if __name__ == "__main__":
    main(SECKILL_HOT=3)
