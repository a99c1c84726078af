#!/usr/bin/env -S python3 -B
"""Several hosts and a Redis Cluster, in network namespaces: the chapter of docs/operations.md, and storms of faults.

Needs root. IT_SOAK_FAULTS=n: storms of all faults instead, until so many were done at wait_replicas 0 and as many at 1.
Each storm has an installation of its own and depends on nothing but its seed (and the machine); IT_SEED=n is the first
one, IT_WAIT_REPLICAS=n does one of the two, IT_FAULTS="a; b" names some of the faults. What there is to know of a storm that failed is kept in tests/it/hosts.kept of the build directory.
"""

import collections
import concurrent.futures
import os
import random
import shutil
import time
import traceback

import netns
from cluster_storm import Storm, back, counted, role
from harness import BUILD, SERVERS
from history import Event
from installation import Installation, block
from judge import RULES, Stores, Told, judge
from stores import Redis, RedisError
from tap import case, comment, run_cases, same, until

SOAK = int(os.environ.get("IT_SOAK_FAULTS") or 0)
SEED = int(os.environ.get("IT_SEED") or random.randrange(10**6))
WAITS = os.environ.get("IT_WAIT_REPLICAS", "0 1").split()
ONLY = os.environ.get("IT_FAULTS") and os.environ["IT_FAULTS"].split("; ")
KEPT = BUILD / "tests/it/hosts.kept"
FAULTS_OF_A_STORM = 5


def clocks(seed):
    """In every second storm the clocks of some hosts are three seconds ahead."""
    dice = random.Random(seed)
    return {name: 3 for name in ("app2", *(f"redis{n}" for n in range(1, 7))) if seed % 2 and dice.random() < 0.4}


def storm(it, seed, faults, **more):
    """Findings by kind; data and logs are kept if there are any."""
    the = Storm(it, seed, **more)
    folder = KEPT / f"{it.settings.replace(' = ', '-')}-seed-{seed}"
    try:
        the.run(faults)
        the.heal()
        found, text = the.verdict()
        comment(f"seed {seed}: {text}; {counted(the.nemesis.counts)}")
    except Exception as problem:
        the.keep(folder)
        (folder / "problem").write_text("".join(traceback.format_exception(problem)))
        return {"the storm did not come to its end": [repr(problem)]}, the
    if found:
        the.keep(folder)
        (folder / "verdict").write_text("".join(f"{kind}: {text}\n" for kind, texts in found.items() for text in texts))
    return found, the


def soak(wait):
    """Runs storms until there were so many faults, and counts findings by kind."""
    counts, kinds, items, orders = (collections.Counter() for _ in range(4))
    seed, failed = SEED, 0
    while sum(counts.values()) < SOAK:
        with Installation(f"wait_replicas = {wait}", clocks(seed)) as it:
            found, the = storm(it, seed, FAULTS_OF_A_STORM, only=ONLY)
        for kind, texts in found.items():
            comment(f"IT_SEED={seed} IT_WAIT_REPLICAS={wait}: {kind}: {len(texts)}, such as {str(texts)[:6000]}")
        kinds.update(found.keys())
        items.update({kind: len(texts) for kind, texts in found.items()})
        orders.update({"told": the.acknowledged, "lost and named": the.lost, "recoveries": len(the.recovered)})
        counts.update(the.nemesis.counts)
        failed, seed = failed + bool(found), seed + 1
    said = ", ".join(f"{kind}: {items[kind]} in {n} storms" for kind, n in kinds.most_common())
    comment(f"wait_replicas {wait}, IT_SEED={SEED} and on: {sum(counts.values())} faults in {seed - SEED} storms, {dict(orders)}; "
            f"{failed} storms failed ({said}); faults: {counted(counts)}")
    assert not failed, f"{failed} of {seed - SEED} storms failed: {said}"


# The chapter, as it is followed

SAFE = ("kill a master, restart it", "power lost in a write of a master", "a replica cut off", "CLUSTER FAILOVER",
        "an app host cut off", "an app host stopped", "an app host killed", "an app host lost with its files",
        "the database cut off", "the database stopped", "the database killed", "the drainers of a host killed")


def ask(it, sale, user, app=0):
    return it.apps[app].ask("POST", sale.path + "/claims", user)


def insist(it, sale, user, app=0):
    later = ("unavailable", "busy", "not-replicated", "outcome-unknown")
    return until(lambda: (a := ask(it, sale, user, app)).code not in later and a, 20, "an answer", every=0.05)


def everybody(it, sale, users):
    """All customers ask on both hosts, in either order. Returns the answers."""
    def both(user):
        first = user.id % 2
        told = {app: insist(it, sale, user, app) for app in (first, 1 - first)}
        return user, [told[app].json.get("order") or told[app].code for app in (0, 1)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        return list(pool.map(both, users))


def proven(it, sale, users):
    """All customers ask; the answers agree with the stores."""
    told = everybody(it, sale, users)
    same([(u, answers) for u, answers in told if len(set(answers)) > 1], [], "customers who were told different things")
    sale.drained()
    won = {answers[0]: user.id for user, answers in told if answers[0] != "sold-out"}
    same(sale.rows(), won, "orders in MySQL")
    same(len(won), min(sale.amount, len(users)), "units sold")


def home(it, sale, master):
    return [i for i in range(sale.segments) if it.nodes.master_of(it.nodes.slot(sale.key("s", i))) is master]


def replica_of(it, master):
    return until(lambda: master.replica(it.nodes.nodes), 20, f"{master.name} has a replica", every=0.05)


def redis_cli(it, word, **names):
    """A line of the chapter, with names filled in."""
    line = next(line for line in block(word).replace("\\\n", " ").split("\n") if word in line)
    words = line.split()
    for old, new in names.items():
        words = [new if w == old else w for w in words]
    return it.nodes.cli(*words[words.index("--cluster") + 1:])


def innocent():
    """Makes a sale of three units in one segment, sells two of them, to customers 1 and 2, and compares answers and stores."""
    stores = Stores()
    vars(stores).update(
        id=7, rows={(0, 1): 1, (0, 2): 2}, over=set(), amount=3, dead={}, hub={"avail": "1", "G0": "2", "R0": "0"},
        totals=[{"sold": "2", "left": "0", "I": "2", "O": "0"}], bases={}, owners=[{1: 1, 2: 2}], lists=[[]],
        indexes={1: ["7-0-1"], 2: ["7-0-2"], 3: []})
    return [Event(1, 0, 1, 201, None, "7-0-1"), Event(2, 0, 1, 201, None, "7-0-2"), Event(1, 2, 3, 200, None, "7-0-1")], stores


CRIMES = {
    "number twice": lambda events, s: events.append(Event(3, 4, 5, 201, None, "7-0-2")),
    "two numbers": lambda events, s: events.append(Event(1, 4, 5, 201, None, "7-0-3")),
    "lost in silence": lambda events, s: s.rows.pop((0, 2)),
    "oversold": lambda events, s: setattr(s, "amount", 1),
    "refused falsely": lambda events, s: events.append(Event(3, 4, 5, 410, "sold-out")),
    "winner refused": lambda events, s: events.append(Event(1, 1.5, 1.6, 410, "sold-out")),
    "unanswered": lambda events, s: events.append(Event(3, 4, 5, 503, "busy")),
    "not drained": lambda events, s: s.lists[0].append("3|3|1"),
    "row without owner": lambda events, s: s.owners[0].pop(2),
    "units off the books": lambda events, s: s.hub.update(avail="0"),
    "sold to nobody": lambda events, s: s.totals[0].update(sold="3"),
    "number of no range": lambda events, s: s.totals[0].update(base="1048576"),
    "order not in its list": lambda events, s: (s.rows.pop((0, 2)), s.indexes[2].clear()),
    "list of no order": lambda events, s: s.indexes[3].append("7-0-9"),
}


def judged(it):
    same(judge(Told(innocent()[0]), innocent()[1]), {}, "what is found where nothing is wrong")
    same(set(CRIMES), {rule.__name__.replace("_", " ") for rule in RULES}, "rules")
    for kind, commit in CRIMES.items():
        events, stores = innocent()
        commit(events, stores)
        found = judge(Told(events), stores)
        assert kind in found, f"{kind} is not found, but {found}"
    events, stores = innocent()
    stores.rows.pop((0, 2)), stores.owners[0].pop(2)
    stores.dead[(0, 2)] = "lost"
    same(judge(Told(events), stores), {}, "what is found where an order is lost and named")


def chapter(it):
    """The nodes of a new cluster need a moment until all of them name every replica."""
    parts = {"redis": "ok", "replicas": "ok: an acknowledged claim is on its master's disk and in the memory of 1 replica",
             "mysql": "ok", "schema": "ok", "layout": "ok", "board": "ok", "marks": "ok"}
    for app in it.apps:
        for settings, role in (("seckill.conf", "workers"), ("drain.conf", "drainers")):
            place = f"check on {app.name} with {settings}"
            done = until(lambda app=app, settings=settings: (d := app.ctl("check", settings=settings)).returncode == 0 and d,
                         20, f"{place} ends with 0")
            said = dict(line.split(None, 1) for line in done.stdout.splitlines())
            same(said, {**parts, "account": f"ok for {role}"}, place)
    proven(it, it.sale(amount=120, segments=6), it.users(150))


def rights(it):
    secret = (netns.ROOT / "secrets/redis.password").read_text().strip()
    node = it.nodes.nodes[0]
    for words in (["CLUSTER", "SETSLOT", 1, "STABLE"], ["CLUSTER", "FAILOVER"], ["MIGRATE", "h", 1, "k", 0, 1], ["FLUSHALL"]):
        service = Redis(node.path, None)
        try:
            service("AUTH", "seckill", secret)
            service(*words)
            raise AssertionError(f"the service's account may do {words}")
        except RedisError as problem:
            assert str(problem).startswith("NOPERM"), problem
        finally:
            service.close()
    sale, users = it.sale(amount=100, segments=6), it.users(130)
    everybody(it, sale, users[:50])
    source, to = it.nodes.masters()[:2]
    before = it.nodes.slots_of(source)
    redis_cli(it, "reshard", SOURCE_ID=source("CLUSTER", "MYID"), TARGET_ID=to("CLUSTER", "MYID"), **{"1000": "300"})
    same(it.nodes.slots_of(source), before - 300, "slots of the source")
    proven(it, sale, users)


def half_moved(it):
    sale, users = it.sale(amount=60, segments=3), it.users(80)
    everybody(it, sale, users[:30])
    master = next(m for m in it.nodes.masters() if home(it, sale, m))
    to, slot = next(m for m in it.nodes.masters() if m is not master), it.nodes.slot(sale.key("s", home(it, sale, master)[0]))
    to("CLUSTER", "SETSLOT", slot, "IMPORTING", master("CLUSTER", "MYID"))
    master("CLUSTER", "SETSLOT", slot, "MIGRATING", to("CLUSTER", "MYID"))
    key = master("CLUSTER", "GETKEYSINSLOT", slot, 1)[0]
    master("MIGRATE", to.address, to.port, "", 0, 5000, "AUTH2", "admin", it.nodes.password, "KEYS", key)
    same(it.nodes.half_moved(), [(slot, to)], "slots on the way")
    until(lambda: ask(it, sale, next(u for u in users if it.nodes.slot(sale.key("s", sale.home(u))) == slot)).code == "unavailable",
          5, "claims there are refused")
    text = block("finish()").replace("finish SLOT 10.0.0.31 10.0.0.32", f"finish {slot} {master.address} {to.address}")
    said = to.run("bash", "-euo", "pipefail", "-c", text, env=os.environ | {"REDISCLI_AUTH": it.nodes.password})
    same(said.split(), ["OK"] * 6, f"what {text} prints")
    same((it.nodes.half_moved(), it.nodes.master_of(slot)), ([], to), "slots on the way, its master")
    proven(it, sale, users)


def waits(it):
    sale, users = it.sale(amount=60, segments=6), it.users(80)
    master = next(m for m in it.nodes.masters() if home(it, sale, m))
    here = [u for u in users if sale.home(u) in home(it, sale, master)][:5]
    elsewhere = [u for u in users if sale.home(u) not in home(it, sale, master)][:5]
    replica = replica_of(it, master)
    replica.cut()
    until(lambda: ask(it, sale, here[0]).code == "not-replicated", 5, "the replica is away")
    same({ask(it, sale, u).code for u in here}, {"not-replicated"}, "answers of a master whose replica is away")
    same({insist(it, sale, u).status for u in elsewhere}, {201}, "answers of others")
    replica.join()
    it.nodes.until_whole()
    proven(it, sale, users)


def refuses(it):
    """min-replicas-to-write."""
    sale, users = it.sale(amount=60, segments=6), it.users(80)
    master = next(m for m in it.nodes.masters() if home(it, sale, m))
    here = [u for u in users if sale.home(u) in home(it, sale, master)]
    replica = replica_of(it, master)
    for name, value in (("min-replicas-max-lag", 1), ("min-replicas-to-write", 1)):
        master("CONFIG", "SET", name, value)
    replica.cut()
    until(lambda: ask(it, sale, here[0]).code == "unavailable", 10, "writes are refused", every=0.1)
    replica.join()
    it.nodes.until_whole()
    master("CONFIG", "SET", "min-replicas-to-write", 0)
    proven(it, sale, users)


def replaced(it):
    """A Redis host is lost with all its files."""
    sale, users = it.sale(amount=60, segments=6), it.users(80)
    everybody(it, sale, users[:20])
    lost = next(m for m in it.nodes.masters() if home(it, sale, m))
    replica, id = replica_of(it, lost), lost("CLUSTER", "MYID")
    until(lost.replicated, 10, "the replica has everything")
    lost.down()
    it.nodes.lost.add(lost)
    it.nodes.desk = replica
    until(lambda: role(replica) == "master", 20, "its replica takes over", every=0.05)
    everybody(it, sale, [u for u in users if sale.home(u) not in home(it, sale, replica)][:10])
    shutil.rmtree(lost.data)
    back(lost)
    redis_cli(it, "FORGET", LOST_ID=id, **{"10.0.0.32:6379": replica.at})
    redis_cli(it, "add-node", MASTER_ID=replica("CLUSTER", "MYID"), **{"10.0.0.32:6379": replica.at, "10.0.0.31:6379": lost.at})
    it.nodes.lost.discard(lost)
    it.nodes.until_whole()
    proven(it, sale, users)


def short_storm(it):
    found, the = storm(it, SEED, FAULTS_OF_A_STORM, only=SAFE)
    same(found, {}, f"IT_SEED={SEED}, what was found")


if SOAK:
    for number in WAITS:
        case(f"{SOAK} faults at wait_replicas {number}")(lambda it, number=number: soak(number))
else:
    case("the judge finds each kind of failure in what it reads, and nothing where there is none")(judged)
    case("the installation of docs/operations.md: check says ok on both hosts; a sale over both of them is exact")(chapter)
    case("the service's account may not move slots; the administrator's moves some while a sale goes on")(rights)
    case("a slot that was left half-way between two masters: the chapter's line puts it right")(half_moved)
    case("wait_replicas: without its replica a master's customers get no order, others do; then the same order is theirs")(waits)
    case("min-replicas-to-write: without its replica a master refuses to write, and nothing is lost of it")(refuses)
    case("a Redis host is lost with its files: the chapter's lines put another in its place")(replaced)
    case("a storm of faults that lose nothing, at wait_replicas 1")(short_storm)


def main():
    netns.enter(*SERVERS)
    began = time.monotonic()
    if SOAK:
        failures = run_cases(None)
    else:
        with Installation(clocks={"app2": 3}) as it:
            comment(f"installation: {time.monotonic() - began:.1f} s")
            failures = run_cases(it)
            if failures:
                it.print_logs()
    comment(f"all: {time.monotonic() - began:.1f} s")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
