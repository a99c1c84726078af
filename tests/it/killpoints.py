#!/usr/bin/env -S python3 -B
"""Processes are killed, or stand still, at every point of src/host/fault.def, and every promise is kept.

POINTS is the table: a row for each point, and the ways in which it is reached. A way (killways.py) is a sale, what is done
with it until a process passes the point, and what must hold afterwards. faultpoints.py says how a fault works.

IT_SOAK=n: the first n passages of each point instead of one of the first 1 to 3, and n times the chances. IT_SEED=n: a run's
choices.
"""

import collections
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import time
from typing import NamedTuple

import faultpoints
import harness
from faultpoints import BUILD, FILE, arm
from history import Final
from killways import (LATE, Adding, Burying, Creating, Draining, FindingAdded, Inspecting, NotPassed, Passage,
                      Recovering, Returning, Selling, SellingTheLast, Way, as_owner, create, inspected_beside, put_on_sale,
                      skewed)
from storm import SEED, dice
from tap import allowed, case, comment, every, pause, same, until

SOAK = int(os.environ.get("IT_SOAK") or 0)
NOTICE_S = 1.25  # how long "sold out" may be repeated after stock came back, with what clocks may be apart


# The table

class Row(NamedTuple):
    """A point without a way has a case of its own, below."""
    point: str
    ways: tuple = ()
    sure: int = 3           # passages that must come, where the ways do not say fewer
    killed: int | None = None  # passages, where it is not the ways' number
    stalled: bool = True


POINTS = (
    Row("claim_asked", (Selling,)),
    Row("claim_answered", (Selling,)),
    Row("claim_replicated", (Selling,)),
    Row("claim_indexed", (Selling,)),
    Row("refill_dry", (Selling, SellingTheLast)),
    Row("refill_granted", (Selling, SellingTheLast)),
    Row("refill_sold_out", (Selling, SellingTheLast), sure=1),  # the hub says it once to each worker, which repeats it
    Row("refill_none", (Selling, SellingTheLast)),
    Row("refill_debited", (Selling, SellingTheLast)),
    Row("refill_missed", (Selling,)),
    Row("refill_redelivered", (Selling,)),
    Row("refill_probed", (Selling, SellingTheLast)),
    Row("supply_written", (Adding,)),
    Row("supply_counted", (Adding,)),
    Row("supply_told", (Adding,)),
    Row("supply_cleared", (Adding,)),
    Row("supply_opening_waits", (Adding,)),
    Row("supply_found", (FindingAdded,)),
    Row("create_inserted", (Creating,)),
    Row("create_hub", (Creating,)),
    Row("create_segment", (Creating,)),
    Row("create_published", (Creating,)),
    Row("create_entering", (Creating,)),
    Row("create_entered", (Creating,)),
    Row("abandoned_deleted"),
    Row("key_written"),  # in keys.py
    Row("inspect_numbered", (Inspecting,), sure=1),  # one drainer inspects a suspect sale, once
    Row("inspect_judged", (Inspecting,), sure=1),
    Row("inspect_admitted", (Inspecting,), sure=1),
    Row("inspect_mended", (Inspecting,), sure=1),
    Row("inspect_settled", (Inspecting,), sure=1),
    Row("recover_raised", (Recovering,)),
    Row("recover_closed", (Recovering,)),
    Row("recover_drained", (Recovering,)),
    Row("recover_numbered", (Recovering,)),
    Row("recover_stored", (Recovering,)),
    Row("recover_segment", (Recovering,), killed=3),
    Row("recover_rewritten", (Recovering,), stalled=False),  # all is written: nothing is left to overtake
    Row("recover_opened", (Recovering,), stalled=False),
    Row("drain_leased", (Draining,)),
    Row("drain_peeked", (Draining, Returning)),
    Row("drain_locked", (Draining, Returning)),
    Row("drain_inserted", (Draining, Returning)),
    Row("drain_counted", (Draining, Returning)),
    Row("drain_moved", (Draining,)),
    Row("drain_committed", (Draining, Returning)),
    Row("drain_trimmed", (Draining, Returning)),
    Row("drain_forgotten", (Draining,)),
    Row("drain_refused", (Burying,)),
    Row("drain_buried", (Burying,)),
    Row("drain_garbage", (Burying,)),
    Row("lost_looked"),  # in lost.py, on a cluster
    Row("lost_named"),
    Row("life_locked"),  # in struck.py
    Row("life_recorded"),
    Row("life_paid"),
    Row("life_ended"),
    Row("life_not_unpaid"),
    Row("life_returned"),
    Row("life_event"),
    Row("life_counted"),
    Row("life_committed"),
    Row("expiry_found"),  # in returnkills.py
    Row("expiry_batch"),
    Row("tell_found"),
    Row("tell_told"),
    Row("tell_opening"),
    Row("tell_opened"),
    Row("release_read"),
    Row("release_removed"),
    Row("release_deleted"),
    Row("late_claimed"),
    Row("late_settled"),
    Row("waiting_asked"),  # in waitkills.py
    Row("waiting_answered"),
    Row("waiting_replicated"),  # on a cluster, in waiting_cluster.py
    Row("promote_read"),
    Row("promote_noted"),
    Row("promote_awarded"),
    Row("promote_cleared"),
    Row("journal_read"),
    Row("journal_committed"),
    Row("relist_compared"),
    Row("promote_left"),
    Row("steer_locked"),  # in steerkills.py
    Row("steer_written"),
    Row("steer_committed"),
    Row("steer_slot"),
    Row("steer_told"),
    Row("steer_done"),
    Row("steer_found"),
    Row("withdraw_taken"),
    Row("withdraw_debited"),
    Row("withdraw_reported"),
    Row("withdraw_noted"),
    Row("archive_hidden"),
    Row("archive_removed"),
    Row("migrate_locked"),
    Row("migrate_statement"),
    Row("migrate_applied"),
    Row("migrate_recorded"),
)
CASES = {
    "suspect slots are inspected": (Inspecting,),
    "claims, grants, returns and flags": (Selling, SellingTheLast),
    "orders and dead letters on their way to MySQL": (Draining, Burying, Returning),
    "more units, a new coupon": (Adding, FindingAdded, Creating),
    "a recovery": (Recovering,),
}


@case("every point is in the test build, has a row here, and is not in the build that is shipped")
def points(it):
    done = subprocess.run([BUILD / "seckillctl", "faults"], capture_output=True, text=True)
    names = [line.split("\t")[0] for line in done.stdout.splitlines()]
    same(sorted(row.point for row in POINTS), sorted(names), "points with a row")
    ways = {way for row in POINTS for way in row.ways}
    same(ways, {way for ways in CASES.values() for way in ways}, "ways with a case")
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


# The loop

def passages_of(it, way, row, action, count):
    """Sales in which the point was passed, once in each: at one of the first `count` passages; in the soak, at the first of all."""
    sales, sure = [], min(way.SURE, row.sure)
    for n in range(1, SOAK + 1) if SOAK else [dice.randint(1, count)]:
        try:
            sales.append(way(it, Passage(row.point, action, n)))
            sales[-1].run(n <= sure)
        except NotPassed:
            if n <= sure:
                raise
            sales.pop()  # one process does not pass it that often here
            break
    if not sales:
        sales.append(way(it, Passage(row.point, action, 1)))
        sales[0].run(True)
    return sales


def run(it, ways, kills):
    """Every point, every passage; judged together, because the lease of a drainer that was killed lasts for seconds."""
    sales, began = [], time.monotonic()
    rows = [(way, row) for way in ways for row in POINTS if way in row.ways]
    for way, row in rows if kills else faultpoints.some(rows):
        if kills:
            sales += passages_of(it, way, row, "kill", row.killed or way.KILLED)
        elif row.stalled:
            sales += passages_of(it, way, row, f"stall={way.STALL_MS}", 1)
    comment(f"{time.monotonic() - began:.1f} s")
    judge(it, sales)


def judge(it, sales):
    """Lets everything come to rest, and applies every rule of history.py."""
    for part in harness.POOLS:
        it.full(part)
    for sale in sales:
        sale.settle()
    pause(NOTICE_S, "workers forget \"sold out\"")
    for sale in sales:
        sale.finish()
    until(lambda: sum(s.sale.queued() for s in sales) == 0, 25, "the lists are empty")
    audits, rows = read_all(it)
    wrong = [f"{s.what}: {text}" for s in sales for text in s.judge(Final(rows[s.sale.id], audits[s.sale.title]))]
    assert not wrong, f"{len(wrong)} problems, IT_SEED={SEED}:\n" + "\n".join(wrong[:40])
    events = [e for s in sales for e in s.history.events]
    comment(f"{len(sales)} sales, {len(events)} claims, {sum(e.unknown for e in events)} without an answer; "
            f"the longest took {max((e.end - e.start for e in events), default=0):.1f} s; IT_SEED={SEED}")


def read_all(it):
    """The audit by a coupon's title, orders in MySQL by its id."""
    audits = {f"{a['seller']}/{a['name']}": a for a in json.loads(it.ctl("--json", "audit").stdout)}
    rows = collections.defaultdict(dict)
    for coupon, *number, user in it.sql("SELECT coupon_id, segment, seq, user_id FROM orders"):
        rows[int(coupon)]["-".join([coupon, *number])] = int(user)
    return audits, rows


@contextlib.contextmanager
def hot_pool(it, size=2, fault=f"@{FILE}"):
    """Another hot pool for a while."""
    before = it.environment
    for environment in (before | {"SECKILL_HOT": str(size), "SECKILL_FAULT": fault}, before):
        it.environment = environment
        it.restart("hot")
        if environment is not before:
            yield


def register(name, ways):
    @case(f"{name}: a process is killed at each point")
    def killed(it):
        run(it, ways, kills=True)

    @case(f"{name}: a process stands still at a point, and others overtake it")
    def stalled(it):
        with hot_pool(it, size=5) if Selling in ways else contextlib.nullcontext():
            run(it, ways, kills=False)


for name, ways in CASES.items():
    register(name, ways)


# Cases of their own

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
    killed = arm("abandoned_deleted", "kill")
    grow_old(it, seller)
    until(killed, 5, "abandoned_deleted")
    it.full("drain")
    same(keys_of_sales(it) - keys, left, "keys after the removal was cut short")
    it.ctl("audit")  # finds the bad records of other cases, too
    same(keys_of_sales(it) - keys, set(), "keys after the audit")


@case("a creation stands still until the drainers have removed it: the seller gets 503, and nothing is left of it")
def removed_meanwhile(it):
    for point in ("create_inserted", "create_segment"):
        seller, keys, done = it.seller(), keys_of_sales(it), arm(point, f"stall={round(4000 * allowed(1))}")
        with it.asking("POST", seller.path + "/coupons", seller, LATE) as answers:
            until(done, 5, point)
            grow_old(it, seller)
        answers[0].expect(503, "busy")
        same(keys_of_sales(it) - keys, set(), "keys")
        create(it, seller, LATE).expect(201)
        same(it.ctl("audit", seller.name + "/late").returncode, 0, "exit of the audit")


@case("each step of a grant, a return or a flag kills with a chance of 20 %: all is sold, nobody is refused too early")
def chance(it):
    sales = []
    for kinds in [[(8, 8), (12, 3), (300, 4)], [(2, 1), (60, 4)]] * SOAK or [[(8, 8), (12, 3), (2, 1), (60, 4)]]:
        seed = dice.randrange(1 << 31)
        with hot_pool(it, fault=f"refill_*:kill:20%:{seed}"):
            sales += [crashing(it, amount, segments, seed) for amount, segments in kinds]
    judge(it, sales)


def crashing(it, amount, segments, seed):
    log, began, way = it.run / "log/hot.log", time.monotonic(), Way(it, Passage("refill_*", "kill", seed))
    way.is_on(put_on_sale(it, amount=amount, segments=segments))
    before = log.read_text().count(f"seed={seed}")
    way.insist(skewed(it, way.sale, amount + 12))
    deaths = log.read_text().count(f"seed={seed}") - before
    comment(f"{amount} units, {segments} segments, seed {seed}: {deaths} deaths in {time.monotonic() - began:.1f} s")
    return way


@case("sales are inspected while recoveries of them stand still, at each point: nothing is opened or closed beside them")
def beside_recoveries(it):
    inspected_beside(it, [row.point for row in POINTS if Recovering in row.ways and row.point != "recover_opened"], [it.redis])


SCHEMA = """SELECT table_name, column_name, column_type FROM information_schema.columns
    WHERE table_schema = 'seckill' ORDER BY 1, 2"""


def migrate(it, fault):
    words = [BUILD / "seckillctl", "-c", it.run / "seckill.conf", *as_owner(it), "migrate"]
    return subprocess.run(words, capture_output=True, text=True,
                          timeout=90, env=it.environment | {"SECKILL_FAULT": fault}).returncode


@case("a migration: killed at each point and after each statement, the next one finishes it")
def kill_migrating(it):
    schema = it.sql(SCHEMA)
    for part in harness.POOLS:
        it.dev("stop", part)
    for point in (row.point for row in POINTS if row.point.startswith("migrate_")):
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


# Orders of before migration 7 ask for no payment: what was pending is confirmed.
ORDERS = "SELECT coupon_id, segment, seq, user_id, IF(status = 1, 5, status), live_user FROM orders ORDER BY 1, 2, 3"


def kill_migrating_orders(it, schema):
    """The same with orders of an earlier version: they are what they were, and confirmed."""
    dump = (harness.SOURCE / "tests/it/earlier/0375a1f/mysql.sql").read_bytes()
    for n in itertools.count(1):
        it.sql("DROP DATABASE seckill; CREATE DATABASE seckill CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        subprocess.run(it.sql.command, input=dump, check=True)
        orders = it.sql(ORDERS)
        code = migrate(it, f"migrate_statement:kill:{n}")
        same((migrate(it, ""), it.sql(SCHEMA), it.sql(ORDERS)), (0, schema, orders), f"after statement {n}")
        same(it.sql("SELECT COUNT(*) FROM orders WHERE status = 1"), [["0"]], "pending orders")
        if code == 0:
            break
    assert n > 10 and len(orders) > 10, (n, len(orders))


if __name__ == "__main__":
    faultpoints.build()
    harness.main(SECKILL_PASSWORD_COST=1, SECKILL_DRAINERS=3, **faultpoints.SETTINGS)
