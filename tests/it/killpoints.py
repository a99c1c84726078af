#!/usr/bin/env -S python3 -B
"""Processes die, or stall, at every point that src/host/fault.def names; every promise is kept all the same.

The programs are built a second time, with --enable-faults. A fault is a file that the process which acts removes: it
happens once, and the process that is started in its place lives.

IT_SOAK=n: the first n passages of each point, instead of 1 to 3, and n times the chances. IT_SEED=n: a run's choices.
"""

import collections
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import threading
import time

import harness
from client import LOST
from history import Final, History, Load, Supply, problems
from sale import Sale
from storm import SEED, Paused, dice
from tap import case, comment, every, same, until

SOAK = int(os.environ.get("IT_SOAK") or 0)
BUILD = harness.BUILD / "faults"
FOLDER = tempfile.TemporaryDirectory(prefix="skf", dir="/tmp")
FILE = pathlib.Path(FOLDER.name, "fault")
CONNECTIONS = 8
LEASE_S = 1.25  # of a "sold out", with what clocks may be apart
INSPECTION_S = 1  # that a drainer stands still in one


def arm(point, action, when=1):
    """The next process that passes the point for the when-th time does it. Says whether it was done already."""
    new = FILE.with_suffix(".new")
    new.write_text(f"{point}:{action}:{when}:{next(numbers)}")  # another text each time: passages count from here
    new.rename(FILE)
    return lambda: not FILE.exists()


numbers = itertools.count(1)


class NotPassed(AssertionError):
    pass


def drive(done, act, seconds, what):
    """Does it again and again until the fault is done."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            disarm()
            raise NotPassed(f"{what}: not within {seconds} s")
        act()
        time.sleep(0.02)


def disarm():
    FILE.unlink(missing_ok=True)


# The customers of a sale, and what they prove

class Proof:
    """A sale, judged when all that was done to it is over."""

    def __init__(self, it, what, sale):
        self.it, self.what, self.sale, self.history, self.load = it, what, sale, History(sale.amount), None

    def start(self, users, connections=CONNECTIONS):
        """They all ask until they know; finish() waits for that."""
        self.load = Load(self.it.port, connections, users, lambda c, user: self.history.insist(self.sale, user, c))

    def insist(self, users):
        self.start(users)
        self.load.join()

    def again(self, users):
        """They all ask once more, if they all were answered."""
        if not any(thread.is_alive() for thread in self.load.threads):
            self.insist(users)

    def settle(self):
        """When all faults are over; again a second later."""

    def finish(self):
        self.load.join()
        asked = {e.user for e in self.history.events}
        self.insist([user for user in self.it.crowd if user.id in asked])  # once more: the same answers

    def judge(self, final):
        return [f"{rule}: {text}" for rule, text in problems(self.history, final)]


def read_all(it):
    """The audit by a coupon's title, orders in MySQL by its id."""
    audits = {f"{a['seller']}/{a['name']}": a for a in json.loads(it.ctl("--json", "audit").stdout)}
    rows = collections.defaultdict(dict)
    for coupon, *number, user in it.sql("SELECT coupon_id, segment, seq, user_id FROM orders"):
        rows[int(coupon)]["-".join([coupon, *number])] = int(user)
    return audits, rows


def judge(it, proofs):
    """Lets everything come to rest, and applies every rule of history.py."""
    for part in harness.POOLS:
        it.full(part)
    for proof in proofs:
        proof.settle()
    time.sleep(LEASE_S)
    for proof in proofs:
        proof.finish()
    until(lambda: sum(proof.sale.queued() for proof in proofs) == 0, 25, "the lists are empty")
    audits, rows = read_all(it)
    wrong = [f"{p.what}: {text}" for p in proofs for text in p.judge(Final(rows[p.sale.id], audits[p.sale.title]))]
    assert not wrong, f"{len(wrong)} problems, IT_SEED={SEED}:\n" + "\n".join(wrong[:40])
    events = [e for proof in proofs for e in proof.history.events]
    comment(f"{len(proofs)} sales, {len(events)} claims, {sum(e.unknown for e in events)} without an answer; "
            f"the longest took {max((e.end - e.start for e in events), default=0):.1f} s; IT_SEED={SEED}")


def put_on_sale(it, **more):
    if not hasattr(it, "vendor"):
        it.vendor = it.seller()
    return it.sale(it.vendor, **more)


def people(it, count):
    if not hasattr(it, "crowd"):
        it.crowd = it.users(1600)
    return dice.sample(it.crowd, count)


def skewed(it, sale, count, share=0.75):
    """So many customers; that share of them lives in the first segment."""
    near, far = [], []
    wanted = count if sale.segments == 1 else round(count * share)
    for user in people(it, 1600):
        if len(near) == wanted and len(far) == count - wanted:
            break
        some, most = (far, count - wanted) if sale.home(user) else (near, wanted)
        if len(some) < most:
            some.append(user)
    same(len(near), wanted, "customers who live there")
    return dice.sample(near + far, count)


# Passages that come for sure, else 3. Workers keep "sold out" for a while: the hub says it once to each of them, and
# again only when it was forgotten. A sale in doubt is looked at by one drainer, once. A sale of one unit has one of
# everything, and so has a coupon that is made once.
INSPECT = ["inspect_numbered", "inspect_judged", "inspect_admitted", "inspect_mended", "inspect_settled"]
SURE = {"refill_sold_out": 1} | dict.fromkeys(INSPECT, 1)


def is_sure(scenario, point, action, n):
    only_one = scenario is selling_one or scenario is creating and action != "kill"
    return n <= (1 if only_one else SURE.get(point, 3))


def patience(scenario, point, action, n):
    return 8 if is_sure(scenario, point, action, n) else 2


# What happens around a point: each drives the service until the fault is done, and returns the proofs.

def lose_grants(it, sale, segments):
    """The hub grants a unit or more, and whoever was to carry it there has died."""
    script = re.sub(r"^#!.*", "", (harness.SOURCE / "lua/exchange.lua").read_text())
    fence = it.redis("HGET", sale.key("hub"), "fence")
    for i in segments:
        numbers = it.redis("HMGET", sale.key("s", i), "I", "O", "left", "base", "term")
        answer = it.redis("EVAL", script, 1, sale.key("hub"), fence, i, *numbers, 1, 0)
        if answer[0] != "GRANT":  # the hub has given all it had
            break
    assert i > segments[0], f"no grant was lost: {answer}"


def selling(it, point, action, n):
    """Most customers live where a few of the units are; grants to all other segments were lost on their way."""
    sale = put_on_sale(it, amount=48, segments=7)
    share = 1 if point in ("refill_missed", "refill_redelivered") else 0.75  # nobody else finds what was lost
    proof, users = Proof(it, f"{point}:{action}:{n}", sale), skewed(it, sale, 60, share)
    lose_grants(it, sale, range(1, 7))
    done = arm(point, action, n)
    proof.start(users)
    drive(done, lambda: proof.again(users), patience(selling, point, action, n), proof.what)
    if action == "kill":
        proof.load.join()
    return proof


def selling_one(it, point, action, n):
    """The last unit is at the hub: what is lost on its way now is all there is."""
    sale = put_on_sale(it, amount=2, segments=2)
    proof, users = Proof(it, f"one unit, {point}:{action}:{n}", sale), skewed(it, sale, 7)
    proof.insist([users.pop(next(i for i, user in enumerate(users) if sale.home(user) == 0))])
    done = arm(point, action, n)
    proof.start(users)
    drive(done, lambda: proof.again(users), patience(selling_one, point, action, n), proof.what)
    if action == "kill":
        proof.load.join()
    return proof


class Supplied(Proof):
    """A sale that was sold out and gets more units, while those who were refused ask all the time."""

    def __init__(self, it, what):
        super().__init__(it, what, put_on_sale(it, amount=4, segments=3))
        self.users, self.unknown_since, self.stop = skewed(it, self.sale, 18), None, threading.Event()
        self.insist(self.users)
        self.load = Load(it.port, 3, self.users, self.ask)

    def ask(self, client, user):
        while self.history.insist(self.sale, user, client).refused and not self.stop.wait(0.1):
            pass

    def add(self):
        """One unit, by the seller."""
        start = time.monotonic()
        try:
            self.it.ask("PATCH", self.sale.path + "/stock", self.sale.seller, {"add": 1}).expect(200)
            self.history.supplies.append(Supply(1, start, time.monotonic()))
        except (*LOST, AssertionError):
            self.unknown_since = start

    def amounts(self):
        """Units in MySQL, units that the hub knows of."""
        return (self.it.sql.number(f"SELECT amount FROM coupons WHERE id = {self.sale.id}"),
                int(self.it.redis("HGET", self.sale.key("hub"), "amount")))

    def settle(self):
        """Units whose adding was cut short are on sale a little later: nobody is refused from then on."""
        until(lambda: len(set(self.amounts())) == 1, 5, f"{self.what}: the hub is told")

    def finish(self):
        more = self.amounts()[0] - self.history.units()
        if more:
            self.history.supplies.append(Supply(more, self.unknown_since, time.monotonic()))
        until(lambda: len(self.history.winners()) == self.history.units(), 5, f"{self.what}: all units are won")
        self.stop.set()
        super().finish()


def adding(it, point, action, n):
    proof = Supplied(it, f"{point}:{action}:{n}")
    done = arm(point, action, n)
    drive(done, proof.add, 8, proof.what)
    return proof


def finding(it, point, action, n):
    """Units are counted and the hub is not told, as after a kill; drainers find them."""
    proof = Supplied(it, f"{point}:{action}:{n}")
    done, proof.unknown_since = arm(point, action, n), time.monotonic()

    def cut_short():
        if len(set(proof.amounts())) == 1:
            it.sql(f"UPDATE coupons SET amount = amount + 1 WHERE id = {proof.sale.id}")
    drive(done, cut_short, 8 * n, proof.what)  # a look around a second, shared by all drainers
    return proof


def creating(it, point, action, n):
    """Coupons are made until one is cut short; the seller asks again, or the first customer finds it so."""
    seller, done, what = it.seller(), arm(point, action, n), f"{point}:{action}:{n}"
    bodies = ({"name": f"c{i}", "amount": 9, "stock": 1, "description": "", "segments": 3} for i in range(20))
    if action != "kill":
        return overtaking(it, seller, next(bodies), done, what)
    for body in bodies:
        cut = create(it, seller, body)
        if done():
            break
    else:
        raise NotPassed(f"{what}: not by {body['name']}")
    same(cut, None, f"{what}: the seller's answer")
    if n % 2 == 0:
        code = 400 if is_public(it, seller, body) else 201
        create(it, seller, body).expect(code)
    proof = Proof(it, what, Sale(it, seller, body["name"], body["amount"], None))
    proof.insist(people(it, 12))
    return proof


def overtaking(it, seller, body, done, what):
    """The seller's request stands still, and customers finish what it was at."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(create(it, seller, body)))
    thread.start()
    until(lambda: done() or not thread.is_alive(), 5, what)
    if not done():
        thread.join()
        raise NotPassed(f"{what}: the seller was answered")
    proof = Proof(it, what, Sale(it, seller, body["name"], body["amount"], None))
    proof.insist(people(it, 12))
    thread.join()
    answers[0].expect(201)
    return proof


def create(it, seller, body):
    try:
        answer = it.ask("POST", seller.path + "/coupons", seller, body)
    except LOST:
        return None
    return None if answer.status >= 500 else answer


def is_public(it, seller, body):
    return it.sql(f"SELECT published FROM coupons WHERE seller_id = {seller.id} AND name = '{body['name']}'") == [["1"]]


def draining(it, point, action, n):
    """Drainers find orders of three segments at once, and then more of them one by one."""
    sale = put_on_sale(it, amount=90, segments=3)
    proof, users = Proof(it, f"{point}:{action}:{n}", sale), skewed(it, sale, 80, share=0.4)
    with Paused(it):
        proof.insist(users[:27])
        done = arm(point, action, n)
    later = iter(users[27:])
    drive(done, lambda: proof.insist([next(later)]), 8, proof.what)
    if action != "kill":
        it.redis("DEL", sale.key("l"))  # the lease runs out, and another takes over what this one is still at
    proof.start(list(later)[:9])
    return proof


class Poisoned(Proof):
    """A sale with three records that are no orders, and three orders that MySQL refuses."""

    def __init__(self, it, what):
        super().__init__(it, what, put_on_sale(it, amount=40, segments=3))
        self.garbage, users, sale = {"a", "b", "c"}, people(it, 27), self.sale
        self.refused = {user.id for user in users[:3]}
        self.foreign = {f"{sale.id}-200-{i}": user.id for i, user in enumerate(users[:3], 1)}
        it.sql("".join("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
                   f"VALUES ({order.replace('-', ', ')}, {user}, 1, 1, 1);" for order, user in self.foreign.items()))
        for i, record in enumerate(self.garbage):
            it.redis("RPUSH", sale.key("q", i), record)
        self.insist(users)

    def finish(self):
        until(lambda: self.sale.queued() == 0, 15, f"{self.what}: the lists are empty")

    def judge(self, final):
        orders = {e.order: e.user for e in self.history.events if e.user not in self.refused}
        letters = [r[0] for r in self.it.sql(f"SELECT record FROM dead_letters WHERE coupon_id = {self.sale.id}")]
        lost = [int(r.split("|")[1]) for r in letters if "|" in r]
        sold = self.it.sql.number(f"SELECT sold FROM coupons WHERE id = {self.sale.id}")
        got = (final.rows, sorted(r for r in letters if "|" not in r), sorted(lost), sold)
        wanted = (orders | self.foreign, sorted(self.garbage), sorted(self.refused), 24)
        return [] if got == wanted else [f"{got}, not {wanted}"]


def burying(it, point, action, n):
    with Paused(it):
        proof = Poisoned(it, f"{point}:{action}:{n}")
        done = arm(point, action, n)
    drive(done, lambda: None, 8, proof.what)
    if action != "kill":
        it.redis("DEL", proof.sale.key("l"))
    return proof


def returning(it, point, action, n):
    """Orders are on the lists of segments that begin anew, because MySQL has handed out later bases meanwhile."""
    sale = put_on_sale(it, amount=90, segments=3)
    proof, users = Proof(it, f"returning, {point}:{action}:{n}", sale), skewed(it, sale, 50, share=0.4)
    with Paused(it):
        proof.insist(users[:40])
        it.sql("".join("INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES "
                       f"({sale.id}, {i}, {5 << 20}, {5 << 20} + 1);" for i in range(3)))
        done = arm(point, action, n)
    drive(done, lambda: None, patience(returning, point, action, n), proof.what)
    if action != "kill":
        it.redis("DEL", sale.key("l"))
    proof.start(users[40:])
    return proof


class Forgotten(Proof):
    """A sale whose server has lost six of twelve orders, which their customers' lists still name."""

    def __init__(self, it, what):
        super().__init__(it, what, put_on_sale(it, amount=40, segments=3))
        self.insist(people(it, 12))
        self.sale.drained()
        orders = {e.order: e.user for e in self.history.events}
        self.lost = dict(dice.sample(sorted(orders.items()), 6))
        self.kept = {order: user for order, user in orders.items() if order not in self.lost}
        for order, user in self.lost.items():
            _, segment, number = order.split("-")
            it.redis("HDEL", self.sale.key("o", segment), user)
            it.sql(f"DELETE FROM orders WHERE coupon_id = {self.sale.id} AND segment = {segment} AND seq = {number}")
        self.suspicions = [f"{order}:{user}" for order, user in orders.items()]

    def finish(self):
        until(lambda: not self.it.redis("SCARD", "sk:lost"), 15, f"{self.what}: all suspicions are looked at")

    def judge(self, final):
        letters = [f"{self.sale.id}-{segment}-{number}" for segment, number in self.it.sql(
            f"SELECT segment, seq FROM dead_letters WHERE coupon_id = {self.sale.id}")]
        got, wanted = (final.rows, sorted(letters)), (self.kept, sorted(self.lost))
        return [] if got == wanted else [f"{got}, not {wanted}"]


def suspecting(it, point, action, n):
    """Drainers look at orders that are lost, and at some that are not."""
    proof = Forgotten(it, f"{point}:{action}:{n}")
    done = arm(point, action, n)
    it.redis("SADD", "sk:lost", *proof.suspicions)
    drive(done, lambda: None, 8, proof.what)
    return proof


def inspecting(it, point, action, n):
    """Redis has restarted. One drainer reads; another opens the slots, and units move between them at once."""
    sale = put_on_sale(it, amount=48, segments=7)
    proof, users = Proof(it, f"{point}:{action}:{n}", sale), skewed(it, sale, 60, share=1)
    proof.insist(users[:3])
    it.dev("stop", "redis", "-9")
    it.redis.close()
    done = arm(point, action, n)
    it.dev("start", "redis")
    drive(done, lambda: None, patience(inspecting, point, action, n), proof.what)
    proof.insist(users[3:40])
    if action != "kill":
        time.sleep(INSPECTION_S)  # it goes on, with what it read before
    proof.start(users[40:])
    return proof


# Every point and what leads there. Those of a migration have a case of their own.
SCENARIOS = {
    selling: ["claim_asked", "claim_answered", "claim_confirmed", "claim_indexed", "refill_dry", "refill_granted", "refill_sold_out",
              "refill_none", "refill_debited", "refill_missed", "refill_redelivered",
              "refill_probed"],
    selling_one: ["refill_dry", "refill_granted", "refill_sold_out", "refill_none", "refill_debited",
                  "refill_probed"],
    adding: ["supply_counted", "supply_told", "supply_cleared", "supply_opening_waits"],
    finding: ["supply_found"],
    creating: ["create_inserted", "create_hub", "create_segment", "create_published", "create_entering",
               "create_entered"],
    draining: ["drain_leased", "drain_peeked", "drain_locked", "drain_inserted", "drain_counted", "drain_moved",
               "drain_committed", "drain_trimmed", "drain_forgotten"],
    inspecting: INSPECT,
    returning: ["drain_peeked", "drain_locked", "drain_inserted", "drain_counted", "drain_committed", "drain_trimmed"],
    suspecting: ["lost_looked", "lost_named"],
    burying: ["drain_refused", "drain_buried", "drain_garbage"],
}
RECOVERY = ["recover_raised", "recover_closed", "recover_drained", "recover_numbered", "recover_stored",
            "recover_segment", "recover_restored", "recover_opened"]
REMOVAL = ["abandoned_deleted"]
MIGRATION = ["migrate_locked", "migrate_statement", "migrate_applied", "migrate_recorded"]


def run(it, action, scenarios, passages):
    """Every point, every passage; judged together, as the lease of a drainer that was killed takes seconds to end."""
    proofs = []
    for scenario in scenarios:
        for point in SCENARIOS[scenario]:
            proofs += passages_of(it, scenario, point, action, SOAK or passages)
    judge(it, proofs)


def passages_of(it, scenario, point, action, passages):
    proofs = []
    for n in range(1, passages + 1):
        try:
            proofs.append(scenario(it, point, action, n))
        except NotPassed:
            if is_sure(scenario, point, action, n):
                raise
            break  # one process does not pass it that often here
        finally:
            disarm()
    return proofs


@case("every point is in the test build, has a row here, and is not in the build that is shipped")
def points(it):
    done = subprocess.run([BUILD / "seckillctl", "faults"], capture_output=True, text=True)
    names = [line.split("\t")[0] for line in done.stdout.splitlines()]
    same(set(sum(SCENARIOS.values(), RECOVERY + REMOVAL + MIGRATION)), set(names), "points with a row")
    traces = re.compile(r"\b(SECKILL_FAULT|fault_\w+|%s)\b".encode() % "|".join(names).encode())
    for program in ("seckill-api", "seckill-orderd", "seckillctl"):
        assert traces.search((BUILD / program).read_bytes()), f"no point was found in the test build of {program}"
        same(set(traces.findall((harness.BUILD / program).read_bytes())), set(), f"traces in {program}")


BAD = ["nowhere:kill:1", "claim_asked:explode:1", "claim_asked:kill", "claim_asked:kill:0", "claim_asked:kill:1x",
       "claim_asked:kill:101%", "claim_asked:stall:1", "claim_asked:stall=:1", "claim_asked:kill:20%:x", "x*:kill:1", "::"]


@case("a fault that cannot be understood ends the program at its start")
def bad_faults(it):
    def ends(spec, code=78):
        done = subprocess.run([BUILD / "seckillctl", "-V"], env={"SECKILL_FAULT": spec}, capture_output=True)
        same(done.returncode, code, "exit")
    every(BAD, ends)
    ends("claim_*:stall=5:20%:7", 0)


@case("slots in doubt: a drainer is killed, or falls behind another one, while it looks at them")
def inspection(it):
    run(it, f"stall={INSPECTION_S}000", [inspecting], 1)
    run(it, "kill", [inspecting], 2)


@case("claims, grants, returns and flags: killed at each point")
def kill_selling(it):
    run(it, "kill", [selling], 3)
    run(it, "kill", [selling_one], 1)


@case("orders and dead letters on their way to MySQL: killed at each point")
def kill_draining(it):
    run(it, "kill", [draining, burying, returning, suspecting], 2)


@case("more units, a new coupon: killed at each point")
def kill_making(it):
    run(it, "kill", [adding, finding, creating], 3)


@case("claims, grants, returns and flags: stalled at each point for longer than a flag lives, others overtake")
def stall_selling(it):
    with hot_pool(it, size=5):
        run(it, "stall=1500", [selling, selling_one], 1)


@case("orders and dead letters on their way to MySQL: stalled at each point, another drainer overtakes")
def stall_draining(it):
    run(it, "stall=1000", [draining, burying, returning, suspecting], 1)


@case("more units, a new coupon: stalled at each point, customers overtake")
def stall_making(it):
    run(it, "stall=400", [adding, finding, creating], 1)


@contextlib.contextmanager
def hot_pool(it, size=2, fault=f"@{FILE}"):
    """Another hot pool for a while."""
    before = it.environment
    for environment in (before | {"SECKILL_HOT": str(size), "SECKILL_FAULT": fault}, before):
        it.environment = environment
        it.dev("stop", "hot")
        it.dev("start", "hot")
        if environment is not before:
            yield


LATE = {"name": "late", "amount": 9, "stock": 1, "description": "", "segments": 3}


def keys_of_sales(it):
    return {key for key in it.redis.keys() if re.match(r"sk:\{\d+:", key)}


def grow_old(it, seller):
    """So old that it counts as abandoned; those drainers that multiwatch starts look at once."""
    it.sql(f"UPDATE coupons SET created_at_ms = created_at_ms - 700000 WHERE seller_id = {seller.id}")
    for pid in it.full("drain"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: it.sql(f"SELECT id FROM coupons WHERE seller_id = {seller.id}") == [], 3, "it is removed")


@case("a drainer that removes an abandoned creation is killed after its row: the next audit removes the keys")
def removal_cut_short(it):
    seller, keys, killed = it.seller(), keys_of_sales(it), arm("create_segment", "kill", 3)
    same(create(it, seller, LATE), None, "the seller's answer")
    until(killed, 5, "create_segment")
    left = keys_of_sales(it) - keys
    assert left, "the creation has left no keys"
    killed = arm(*REMOVAL, "kill")
    grow_old(it, seller)
    until(killed, 5, *REMOVAL)
    it.full("drain")
    same(keys_of_sales(it) - keys, left, "keys after the removal was cut short")
    it.ctl("audit")  # finds the bad records of other cases, too
    same(keys_of_sales(it) - keys, set(), "keys after the audit")


@case("a creation stalls until the drainers have removed it: the seller is told to ask again, and nothing is left of it")
def removed_meanwhile(it):
    for point in ("create_inserted", "create_segment"):
        seller, answers, body = it.seller(), [], LATE
        keys, done = keys_of_sales(it), arm(point, "stall=4000")
        thread = threading.Thread(target=lambda: answers.append(it.new_client().ask("POST", seller.path + "/coupons",
                                                                                    seller, body)))
        thread.start()
        until(done, 5, point)
        grow_old(it, seller)
        thread.join()
        answers[0].expect(503, "busy")
        same(keys_of_sales(it) - keys, set(), "keys")
        it.ask("POST", seller.path + "/coupons", seller, body).expect(201)
        same(it.ctl("audit", seller.name + "/late").returncode, 0, "exit of the audit")


@case("each step of a grant, a return or a flag kills with a chance of 20 %: all is sold, nobody is refused too early")
def chance(it):
    proofs = []
    for kinds in [[(8, 8), (12, 3), (300, 4)], [(2, 1), (60, 4)]] * (SOAK or 1):
        seed = dice.randrange(1 << 31)
        with hot_pool(it, fault=f"transfer_*:kill:20%:{seed}"):
            proofs += [crashing(it, amount, segments, seed) for amount, segments in kinds]
    judge(it, proofs)


def crashing(it, amount, segments, seed):
    sale, log, began = put_on_sale(it, amount=amount, segments=segments), it.run / "log/hot.log", time.monotonic()
    before, proof = log.read_text().count(f"seed={seed}"), Proof(it, f"{amount} of {segments}, seed {seed}", sale)
    proof.insist(skewed(it, sale, amount + 12))
    deaths = log.read_text().count(f"seed={seed}") - before
    comment(f"{amount} units, {segments} segments, seed {seed}: {deaths} deaths in {time.monotonic() - began:.1f} s")
    return proof


def owner(it):
    """As who may kill his own connections."""
    return "-s", "mysql_user=seckill_owner", "-s", f"mysql_password_file={it.run}/etc/mysql-owner.password"


def recover(it, sale, fault=""):
    words = [BUILD / "seckillctl", "-c", it.run / "seckill.conf", *owner(it), "recover", sale.title]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env=it.environment | {"SECKILL_FAULT": fault})


def recovering(it, point, action, meanwhile):
    """A sale, half of it sold, is recovered as after a loss; that is cut short, and done again."""
    sale = put_on_sale(it, amount=48, segments=3)
    proof, users = Proof(it, f"{point}:{action}", sale), skewed(it, sale, 60, share=0.4)
    proof.insist(users[:20])
    meanwhile(sale, recover(it, sale, f"{point}:{action}"))
    proof.start(users[20:])
    return proof


@case("a recovery: killed at each point, the next one finishes it")
def kill_recovering(it):
    def cut_short(sale, first):
        same(first.wait(30), -signal.SIGKILL, "the one that is killed")
        same(recover(it, sale).wait(30), 0, "the next one")
    judge(it, [recovering(it, point, f"kill:{n}", cut_short) for point in RECOVERY
               for n in range(1, 4 if point == "recover_segment" else 2)])


@case("a recovery: stalled at each point and without its lock, another one overtakes it, and customers come")
def stall_recovering(it):
    late = []

    def overtaken(sale, first):
        name = f"'seckill.recover.{sale.id}'"
        generation = it.sql.number(f"SELECT generation FROM coupons WHERE id = {sale.id}")
        time.sleep(0.5)  # it stands still now
        it.sql(f"KILL {it.sql.number(f'SELECT IS_USED_LOCK({name})')}")
        same(recover(it, sale).wait(30), 0, f"the one that overtakes generation {generation}")
        late.append(first)
    proofs = [recovering(it, point, "stall=3000:1", overtaken) for point in RECOVERY[:-2]]
    for first in late:
        assert first.wait(30) != 0, "a recovery that was overtaken says that all is well"
    judge(it, proofs)


SCHEMA = """SELECT table_name, column_name, column_type FROM information_schema.columns
    WHERE table_schema = 'seckill' ORDER BY 1, 2"""


def migrate(it, fault):
    words = [BUILD / "seckillctl", "-c", it.run / "seckill.conf", *owner(it), "migrate"]
    return subprocess.run(words, capture_output=True, text=True,
                          timeout=90, env=it.environment | {"SECKILL_FAULT": fault}).returncode


@case("a migration: killed at each point and after each statement, the next one finishes it")
def kill_migrating(it):
    schema = it.sql(SCHEMA)
    for part in harness.POOLS:
        it.dev("stop", part)
    for point in MIGRATION:
        for n in itertools.count(1):
            tables = ", ".join({row[0] for row in it.sql(SCHEMA)})
            it.sql(f"SET foreign_key_checks = 0; DROP TABLE IF EXISTS {tables or 'none'}")
            code = migrate(it, f"{point}:kill:{n}")
            if code == 0:
                break
            same(code, -signal.SIGKILL, f"{point}:kill:{n}")
            same((migrate(it, ""), it.sql(SCHEMA)), (0, schema), f"after {point}:kill:{n}")
        assert n > 1, f"{point} was never passed"
    kill_migrating_orders(it, schema)


ORDERS = "SELECT coupon_id, segment, seq, user_id, status, live_user FROM orders ORDER BY 1, 2, 3"


def kill_migrating_orders(it, schema):
    """The same with orders of an earlier version: they are what they were."""
    dump = (harness.SOURCE / "tests/it/earlier/0375a1f/mysql.sql").read_bytes()
    for n in itertools.count(1):
        it.sql("DROP DATABASE seckill; CREATE DATABASE seckill CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        subprocess.run(it.sql.command, input=dump, check=True)
        orders = it.sql(ORDERS)
        code = migrate(it, f"migrate_statement:kill:{n}")
        same((migrate(it, ""), it.sql(SCHEMA), it.sql(ORDERS)), (0, schema, orders), f"after statement {n}")
        if code == 0:
            break
    assert n > 10 and len(orders) > 10, (n, len(orders))


def build():
    quiet = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    done = subprocess.run(["make", "-C", harness.BUILD, "faults"], env=quiet, capture_output=True, text=True)
    if done.returncode:
        harness.bail_out(done.stdout[-2000:] + done.stderr[-2000:])


if __name__ == "__main__":
    build()
    harness.main(SECKILL_PASSWORD_COST=1, SECKILL_DRAINERS=3, SECKILL_BUILD=BUILD, SECKILL_FAULT=f"@{FILE}")
