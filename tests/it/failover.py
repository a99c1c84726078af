#!/usr/bin/env -S python3 -B
"""A master of the cluster is away, hangs or was replaced: its slots wait, and the others go on as before."""

import collections
import contextlib
import itertools
import json
import signal
import statistics
import threading
import time

from clustered import list_of, main, nodes, on_cluster
from killways import lose_grants
from nodes import NODE_TIMEOUT_MS
from stores import SqlError
from storm import Paused
from tap import comment, pause, quick, same, until


def keys_of(sale):
    """All keys that a sale needs: hub, segments, and its entries in lists."""
    return [sale.key("hub"), *(sale.key("s", i) for i in range(sale.segments)), "sk:s:{%d}" % sale.seller.id]


def lies_on(sale, masters):
    return all(nodes.master_of_key(key) in masters for key in keys_of(sale))


def first(it, is_right, *seller, **sale):
    """A sale whose slots are on the masters that the case needs."""
    found = next((s for s in (it.sale(*seller, **sale) for _ in range(100)) if is_right(s)), None)
    assert found, "no sale of a hundred lies like that"
    return found


def seconds_of(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began


def wins(sale, user):
    return sale.claim(user).status in (200, 201)


def answers(sql):
    with contextlib.suppress(SqlError):
        return sql("SELECT 1")
    return None


def until_closed(it, sale):
    until(lambda: sale.title in it.ask("GET", "/readyz").json.get("closed", []), 15, "readyz names it")


class Shoppers:
    """A customer of each sale claims until he has a unit; returns how long after a moment that was."""

    def __init__(self, it, sales, users, threads=20):
        self.pairs, self.ended, self.it = list(zip(sales, users, strict=True)), {}, it
        self.threads = [threading.Thread(target=self._work, args=(self.pairs[i::threads],), daemon=True)
                        for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def _work(self, pairs):
        client = self.it.new_client()
        while pairs:
            pairs = [pair for pair in pairs if not self._ask(client, *pair)]
            pause(0.02, "the pace of a customer")

    def _ask(self, client, sale, user):
        with contextlib.suppress(OSError):
            if sale.claim(user, client).status in (200, 201):
                self.ended[sale.id] = time.monotonic()
                return True
        return False

    def join(self, seconds=30):
        for thread in self.threads:
            thread.join(seconds)
        same(len(self.ended), len(self.pairs), "sales that sell again")


@contextlib.contextmanager
def patient_nodes(ms):
    """The nodes notice a lost master only after this time, in which every process meets its absence many times."""
    for node in nodes.nodes:
        node("CONFIG", "SET", "cluster-node-timeout", ms)
    try:
        yield
    finally:
        for node in nodes.alive():
            node("CONFIG", "SET", "cluster-node-timeout", NODE_TIMEOUT_MS)


def is_listed_on(sale, masters):
    """Its seller's entry in the directory, and its own in the catalog."""
    def has(kind, name):
        return any(n("HEXISTS", key, name) for n in masters for key in n("KEYS", f"sk:{kind}:*"))
    return has("w", sale.seller.name) and has("n", sale.title)


@on_cluster("while a master is away recover --all recovers the sales that do not need it")
def recovery_of_the_rest(it):
    rest = [n for n in nodes.masters() if n in (nodes.master_of_key("sk:closed"), nodes.master_of_key("sk:doubt"))]
    lost = next(n for n in nodes.masters() if n not in rest)
    rest = [n for n in nodes.masters() if n is not lost]
    there = first(it, lambda s: not lies_on(s, rest), amount=20, segments=2)
    apart = first(it, lambda s: lies_on(s, rest) and is_listed_on(s, rest), amount=20, segments=2)
    orders = {(sale, user): sale.win(user) for sale in (there, apart) for user in it.users(5)}
    there.drained(), apart.drained()
    with gone(lost, signal.SIGKILL):
        done = it.ctl("recover", "--all")
    same(done.returncode, 69, f"exit: {done.stderr}")
    assert f"coupon {apart.id} is open again" in done.stdout, done
    assert f"coupon {there.id} is open again" not in done.stdout and f"coupon {there.id}: " in done.stderr, done
    done = it.ctl("recover", "--all")
    same(done.returncode, 0, f"exit once all are there: {done.stderr}")
    for (sale, user), order in orders.items():
        same(sale.claim(user).expect(200).json["order"], order, "the order of before")


@on_cluster("a master dies with segments of 100 sales: all of them sell again within 1.5 s after its replica was promoted")
def many_sales(it):
    seller = it.seller()
    sales = [it.sale(seller, amount=12, segments=6) for _ in range(100)]
    users = it.users(600)
    master = max(nodes.masters(), key=lambda m: sum(len(nodes.segments_of(s, m)) for s in sales[:20]))
    pairs = []
    for sale in sales:
        lost = nodes.segments_of(sale, master)
        if lost:
            pairs.append((sale, next(u for u in users if sale.home(u) in lost)))
    count = sum(len(nodes.segments_of(s, master)) for s in sales)
    replica = nodes.replica_of(master)
    until(master.replicated, 5, "the replica has everything")
    with patient_nodes(6000):
        nodes.lost.add(master)
        master.kill()
        shoppers = Shoppers(it, *zip(*pairs))
        until(lambda: replica.info()["role"] == "master", 30, "the replica takes over", every=0.005)
        promoted = time.monotonic()
        shoppers.join()
    took = sorted(ended - promoted for ended in shoppers.ended.values())
    comment(f"{count} segments of {len(pairs)} sales: they sold again {statistics.median(took):.2f} s (median), {took[-1]:.2f} s (last) "
            "after the promotion")
    nodes.revive(master)
    quick(took[-1], 1.5, "the last one sold again")


@contextlib.contextmanager
def gone(master, number):
    """A master dies or hangs, and its replica with it, so that no node takes its place. Afterwards both are back."""
    replica = nodes.replica_of(master)
    nodes.lost.update((replica, master))
    replica.kill()
    master.process.send_signal(number)
    master.close()
    try:
        yield
    finally:
        if number == signal.SIGSTOP:
            master.process.send_signal(signal.SIGCONT)
        else:
            master.process.wait(20)
            master.start()
        until(master.answers, 10, "it answers")
        nodes.lost.discard(master)
        nodes.revive(replica)


@contextlib.contextmanager
def asking_for(it, sale, customers=8):
    """Meanwhile others ask for the page of this sale; any answer will do."""
    over = threading.Event()

    def ask(number):
        client = it.new_client()
        for i in itertools.count():
            if over.is_set():
                break
            client.ask("GET", f"{sale.path}?{number}-{i}")
            pause(0.02, "the pace of a customer")
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(customers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


def beside_the_lost(it, number):
    """
    The lost master is the one of sk:dirty, the worklist of the drainers. Measured is what needs only the other masters:
    orders of their segments, of a sale that has segments on the lost one, too; pages; suspect slots; a recovery.
    """
    lost = nodes.master_of_key("sk:dirty")
    one, other = rest = [n for n in nodes.masters() if n is not lost]
    seller = next(s for s in it.users(20, "seller") if nodes.master_of_key("sk:s:{%d}" % s.id) in rest)
    mixed = first(it, lambda s: nodes.hub_master(s) is one and 0 < len(nodes.segments_of(s, lost)) < 12, seller,
                  amount=600, segments=12)
    whole = first(it, lambda s: nodes.hub_master(s) is other and lies_on(s, rest), amount=40, segments=1)
    home = nodes.segments_of(mixed, lost)
    crowd = [u for u in it.users(300) if nodes.master_of_key(list_of(u)) in rest and mixed.home(u) not in home]
    buyers, ledger = iter(crowd), {}

    def order():
        """A customer buys; the time until MySQL has the order."""
        user, answers = next(buyers), []

        def claimed():
            answers.append(mixed.claim(user))
            return answers[-1].status in (200, 201)
        try:
            until(claimed, 10, "it wins")
        except AssertionError as late:
            raise AssertionError(f"{late}, in segment {mixed.home(user)}: {collections.Counter(map(str, answers))}") from None
        ledger[answers[-1].json["order"]] = user.id
        where = f"coupon_id = {mixed.id} AND user_id = {user.id}"
        return seconds_of(lambda: until(lambda: it.sql.number(f"SELECT COUNT(*) FROM orders WHERE {where}"), 20,
                                        "its order is in MySQL"))

    def page():
        return seconds_of(lambda: it.ask("GET", f"{whole.seller.path}/coupons?{it.name('now')}", whole.seller).expect(200))

    def doubt():
        """Makes every slot of a live master suspect; the time until those of two sales are open again."""
        slots = [whole.key("hub"), *(mixed.key("s", i) for i in nodes.segments_of(mixed, other))]
        fences = [other("HGET", key, "fence") for key in slots]

        def are_open():
            now = [other("HGET", key, "fence") for key in slots]
            return all(a != b and "?" not in b for a, b in zip(fences, now, strict=True))
        other("DEBUG", "CHANGE-REPL-ID")
        return seconds_of(lambda: until(are_open, 20, "the slots are open"))

    def measure(times):
        return {what.__name__: statistics.median(what() for _ in range(times)) for what in (order, page, doubt)}
    before = measure(9)
    with gone(lost, number), asking_for(it, mixed):
        until(lambda: it.ask("GET", f"{mixed.path}?{it.name('now')}").status == 503, 10, "the loss is met")
        while_lost = measure(9)
    for what, seconds in before.items():
        comment(f"{what}: {seconds:.3f} s before, {while_lost[what]:.3f} s meanwhile (medians)")
    late = [what for what, seconds in before.items() if while_lost[what] > 3 * seconds + 0.5]
    same(late, [], "slower by far while the other master was lost")
    until(lambda: it.ask("GET", "/readyz").status == 200, 20, "ready again")
    mixed.drained(30)
    assert ledger.items() <= mixed.rows().items(), "an order is another in MySQL"
    mixed.audit()


@on_cluster("a master and its replica die: orders, pages, inspections of the other masters' slots go on as before")
def beside_the_dead(it):
    beside_the_lost(it, signal.SIGKILL)


@on_cluster("a master hangs and nobody takes its place: orders, pages, inspections of the other masters' slots go on as before")
def beside_the_hanging(it):
    beside_the_lost(it, signal.SIGSTOP)


@on_cluster("too few replicas: Redis refuses every lease and every trim, and every order is drained once")
def refused_writes(it):
    it.environment["SECKILL_DRAIN_BATCH"] = "8"  # the lists are longer than what is read of them at once
    it.restart("drain")
    sale, users = it.sale(amount=120, segments=4), it.users(120)
    with Paused(it):
        orders = {sale.win(user): user.id for user in users}
        for master in nodes.masters():
            master("CONFIG", "SET", "min-replicas-to-write", 3)
    try:
        until(lambda: len(sale.rows()) == 120, 20, "the orders are in MySQL")
        same((sale.rows(), sale.queued()), (orders, 120), "orders in MySQL, orders on the lists")
    finally:
        for master in nodes.masters():
            master("CONFIG", "SET", "min-replicas-to-write", 0)
    sale.drained()
    sale.audit()
    del it.environment["SECKILL_DRAIN_BATCH"]
    it.restart("drain")


@on_cluster("units in flight to slots whose server is replaced arrive within 2 s after the cluster is whole, and nobody claims")
def in_flight(it):
    sale = it.sale(amount=80, segments=4)
    lose_grants(it, sale, range(4))

    def flying():
        """Segments to which units are on their way."""
        fields = nodes("HGETALL", sale.key("hub"))
        hub = dict(zip(fields[::2], fields[1::2]))
        return [i for i in range(4) if int(hub[f"G{i}"]) > int(nodes("HGET", sale.key("s", i), "I"))]
    same(flying(), [0, 1, 2, 3], "segments whose grant was lost")
    segments, hub = nodes.master_without_hub(sale), nodes.hub_master(sale)
    for master, slots in (segments, nodes.segments_of(sale, segments)), (hub, range(4)):
        nodes.take_over(nodes.replica_of(master))
        nodes.until_whole()
        took = seconds_of(lambda slots=slots: until(lambda: not set(flying()) & set(slots), 20, "they arrive"))
        comment(f"units for {len(slots)} segments: {took:.2f} s")
        quick(took, 2, "units in flight arrive")
    sale.audit()


def not_refused(sale, user):
    """The first answer that is no 503."""
    return until(lambda: (a := sale.claim(user)).status != 503 and a, 10, "an answer", every=0.05)


@on_cluster("units are added to a sold-out sale while a master hangs: acknowledged when no flag there can be valid, and nobody is refused")
def added_beside_the_hanging(it):
    sale, users = it.sale(amount=12, segments=6), iter(it.users(200))
    lost = nodes.master_without_hub(sale)
    away = nodes.segments_of(sale, lost)
    until(lambda: sale.claim(next(users)).status == 410, 20, "sold out")
    users = list(users)
    there, elsewhere = [u for u in users if sale.home(u) in away], [u for u in users if sale.home(u) not in away]
    for user in there[10:20] + elsewhere[10:40]:
        sale.claim(user).expect(410, "sold-out")  # every segment has a flag, and every worker a notice
    with gone(lost, signal.SIGSTOP):
        took = seconds_of(lambda: it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 4}).expect(200))
        answers = [not_refused(sale, user) for user in elsewhere[:3]]
    same([a.status for a in answers], [201] * 3, "answers to those who ask now")
    last = not_refused(sale, there[0])
    assert last.status in (200, 201), last  # 200: the first answer came too late, because the master hung
    comment(f"the seller was answered after {took:.2f} s")
    assert took >= 1.25, f"{took:.2f} s"
    nodes.until_whole()
    sale.drained()
    sale.audit()
    quick(took, 3, "the seller was answered")


@on_cluster("MySQL is away and hash slots move: their sales wait, all others sell on, and within a second of its return these, too")
def moved_without_mysql(it):
    sales, users = [it.sale(amount=20, segments=3) for _ in range(10)], it.users(200)
    master = next(m for m in nodes.masters() if all(nodes.segments_of(s, m) for s in sales[:3]))
    replica = nodes.replica_of(master)
    pairs = [(s, next(u for u in users if s.home(u) in nodes.segments_of(s, master)))
             for s in sales if nodes.segments_of(s, master)]
    others = iter([(s, u) for u in users[:30] for s in sales if s.home(u) not in nodes.segments_of(s, master)][:40])
    it.dev("stop", "mysql", "-9")
    try:
        until(master.replicated, 5, "the replica has everything")
        nodes.take_over(replica)
        ended = time.monotonic() + 8  # so long that a process with growing pauses waits long
        while time.monotonic() < ended:
            for sale, user in pairs:
                same(sale.claim(user).code, "busy", "a claim of a slot that moved")
            for sale, user in itertools.islice(others, 20):
                same(sale.claim(user).status, 201, "a claim of another slot")
    finally:
        shoppers, starting = Shoppers(it, *zip(*pairs)), threading.Thread(target=it.dev, args=("start", "mysql"))
        starting.start()
    until(lambda: answers(it.sql), 20, "MySQL answers", every=0.005)
    back = time.monotonic()
    shoppers.join()
    starting.join(20)
    took = max(shoppers.ended.values()) - back
    comment(f"{len(pairs)} sales: the last sold again {took:.2f} s after MySQL was back")
    same(list(others), [], "claims of other slots that were not made")
    quick(took, 1, "the last sold again")


@on_cluster("a master is cut off from its replica and from the other masters: it acknowledges nothing for as long as that lasts")
def minority(it):
    sale, users, said = it.sale(amount=60, segments=6), it.users(80), []
    master = next(m for m in nodes.masters() if nodes.segments_of(sale, m))
    here = [u for u in users if sale.home(u) in nodes.segments_of(sale, master)]
    sale.win(here.pop())
    with nodes.stopped([n for n in nodes.nodes if n is not master]):
        ended = time.monotonic() + 4 * NODE_TIMEOUT_MS / 1000  # it misses the others after one, and takes no writes then
        while time.monotonic() < ended:
            said += [sale.claim(user) for user in here[:4]]
    codes = collections.Counter(answer.code for answer in said)
    comment(f"answers of its segments: {dict(codes)}")
    assert codes["not-replicated"] and not codes[None], codes
    nodes.until_whole()
    for user in users:
        until(lambda user=user: sale.claim(user).status in (200, 201, 410), 20, "an answer", every=0.05)
    sale.drained()
    sale.audit()


@on_cluster("a replica that must not be promoted, or is missing: check and /readyz say so, and how many replicas a claim waits for")
def what_holds(it):
    def ready():
        return it.ask("GET", "/readyz").expect(200).json
    done = it.ctl("check")
    same(done.returncode, 0, f"exit of check: {done.stdout}")
    assert "in the memory of 1 replica\n" in done.stdout, done.stdout
    same((ready()["wait_replicas"], ready()["warnings"]), (1, []), "what readyz says")
    master = nodes.masters()[0]
    replica = nodes.replica_of(master)
    replica("CONFIG", "SET", "appendonly", "no")
    done = it.ctl("check")
    wrong = f"Redis {replica.address} (a replica): appendonly is not yes"
    assert done.returncode == 1 and wrong in done.stdout, done.stdout
    assert any(wrong in w for w in ready()["warnings"]), ready()
    nodes.take_over(replica)
    until(lambda: it.ask("GET", "/readyz").status == 503, 10, "not ready: it is the master")
    it.ask("GET", "/readyz").expect(503).names(f"Redis {replica.address}: appendonly is not yes")
    replica("CONFIG", "SET", "appendonly", "yes")
    until(lambda: it.ask("GET", "/readyz").status == 200, 10, "ready again")
    nodes.until_whole()
    nodes.lost.add(master)
    master.kill()  # a replica by now
    nodes.until_failed(master)
    missing = f"Redis {replica.address} has 0 of 1 replicas"
    until(lambda: any(missing in w for w in ready()["warnings"]), 10, "readyz says that a master has none")
    same(ready()["wait_replicas"], 0, "what every master waits for")
    done = it.ctl("check")
    assert done.returncode == 1 and missing in done.stdout, done.stdout
    sale, users = it.sale(amount=30, segments=6), it.users(30)
    for user in users:
        until(lambda user=user: wins(sale, user), 10, "claims are won without it", every=0.05)
    nodes.revive(master)
    until(lambda: ready()["wait_replicas"] == 1, 30, "readyz says that every master has one again")
    sale.drained()


@on_cluster("a recovery needs a master that is away: it changes neither the generation nor a slot")
def recovery_looks_first(it):
    lost = nodes.master_of_key("sk:u:{1}")
    rest = [n for n in nodes.masters() if n is not lost]
    sale = first(it, lambda s: lies_on(s, rest), amount=20, segments=1)
    users = it.users(12)
    orders = {sale.win(user): user for user in users}
    with Paused(it):
        more = [sale.win(user) for user in it.users(6)]
        for kind in "oq":  # six numbers that only the customers' lists have
            nodes("DEL", sale.key(kind, 0))
        nodes("HSET", sale.key("s", 0), "fence", "1!")
    until_closed(it, sale)

    def state():
        generation = it.sql.number(f"SELECT generation FROM coupons WHERE id = {sale.id}")
        return generation, [nodes("HGET", key, "fence") for key in keys_of(sale)[:2]]
    before = state()
    for number in (signal.SIGKILL, signal.SIGSTOP):
        with gone(lost, number):
            done = it.ctl("recover", sale.title)
            same((done.returncode, state()), (69, before), f"exit, state: {done.stderr}")
    done = it.ctl("--json", "recover", sale.title)
    found = json.loads(done.stdout)
    same((done.returncode, found["orders"], found["unknown"]), (0, len(orders) + len(more), 0), "exit, orders, lost")
    for order, user in orders.items():
        same(sale.claim(user).expect(200).json["order"], order, "the order of before")


if __name__ == "__main__":
    main(SECKILL_REDIS=lambda _: "cluster:" + ",".join(n.address for n in nodes.nodes))  # any two of them are lost here
