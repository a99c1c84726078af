"""A storm of faults over an installation of several hosts: one sale, its customers, the nemesis, and the verdict.

A fault is a context manager: what is before its yield is done to the installation, what is behind it undone. It returns
without having done anything (Unfit) when the cluster is not in a state in which it means something.
"""

import collections
import contextlib
import itertools
import json
import random
import shutil
import signal
import threading
import time

from client import LOST, Client
from history import Event, History
from judge import FOUND, Stores, Told, judge, lost_and_named
from stores import RedisError
from tap import happens, pause, until

THREADS = 12
LASTS_S = 20  # how long a sale lasts


class Unfit(Exception):
    """This fault is not possible now."""


class Nemesis:
    """Chooses faults; has the installation and what is down at the moment."""

    def __init__(self, it, dice, sale):
        self.it, self.dice, self.sale, self.busy = it, dice, sale, set()
        self.nodes, self.counts, self.notes, self.began = it.nodes, collections.Counter(), [], time.monotonic()
        self.half_moved = False

    def note(self, text):
        self.notes.append(f"{time.monotonic() - self.began:6.2f} {text}")

    def last(self, least, most):
        """Waits for as long as the fault lasts."""
        pause(self.dice.uniform(least, most), "how long the fault lasts")

    # choosing

    def shard(self, whole=True):
        """A master without a fault, mostly one that this sale needs; and its replica, if one is required."""
        if len(self.nodes.alive()) < 3:
            raise Unfit("too many are away already")
        needed = {self.nodes.master_of(self.nodes.slot(self.sale.key("hub")))} | {
            self.nodes.master_of(self.nodes.slot(self.sale.key("s", i))) for i in range(self.sale.segments)}
        masters = [m for m in self.nodes.masters() if m in needed] or list(self.nodes.masters())
        self.dice.shuffle(masters)
        for master in masters:
            with contextlib.suppress(OSError, RedisError):
                replica = master.replica(self.nodes.nodes)
                if not {master, replica} & self.busy and (replica or not whole):
                    return master, replica
        raise Unfit("no whole shard")

    def app(self):
        apps = [app for app in self.it.apps if app not in self.busy]
        if len(apps) < 2:
            raise Unfit("a host is away already")
        return self.dice.choice(apps)

    @contextlib.contextmanager
    def taking(self, *hosts):
        """Reserves these nodes: no other fault hits them meanwhile, and commands go to others."""
        hosts = {host for host in hosts if host}
        if hosts & self.busy:
            raise Unfit("taken")
        self.busy |= hosts
        self.nodes.lost |= hosts
        try:
            yield
        finally:
            self.busy -= hosts
            self.nodes.lost -= hosts

    # waiting

    def until_promoted(self, replica, seconds=8):
        """Waits for a failover; after so many seconds an operator promotes the replica, because Redis does not always."""
        if not happens(lambda: role(replica) == "master", seconds, every=0.05):
            self.note(f"no failover to {replica.name} in {seconds} s")
            replica("CLUSTER", "FAILOVER", "TAKEOVER")
            until(lambda: role(replica) == "master", 10, f"{replica.name} takes over", every=0.05)
        self.note(f"{replica.name} is the master")


def role(node):
    try:
        return node.info()["role"]
    except (OSError, RedisError):
        node.close()
        return None


def back(node):
    node.up()
    until(node.answers, 20, f"{node.name} answers")


# The faults

@contextlib.contextmanager
def kill_and_restart(n):
    master, _ = n.shard()
    with n.taking(master):
        master.down()
        yield
        back(master)


@contextlib.contextmanager
def kill_for_long(n):
    master, replica = n.shard()
    with n.taking(master, replica):
        master.down()
        n.until_promoted(replica)
        yield
        back(master)


@contextlib.contextmanager
def kill_shard(n):
    master, replica = n.shard()
    with n.taking(master, replica):
        master.down()
        replica.down()
        yield
        for node in n.dice.sample([master, replica], 2):
            back(node)
            n.last(0, 0.5)


@contextlib.contextmanager
def kill_majority(n):
    """Two of three masters: nobody can vote, and an operator promotes the replicas."""
    if n.busy:
        raise Unfit("something else is away")
    one, its = n.shard()
    with n.taking(one, its):
        other, others = n.shard()
        with n.taking(other, others):
            one.down()
            other.down()
            n.last(2, 4)
            for replica in (its, others):
                replica("CLUSTER", "FAILOVER", "TAKEOVER")
                n.until_promoted(replica)
            yield
            back(one)
            back(other)


@contextlib.contextmanager
def torn_write(n):
    """Power is lost during a write: everything that was synced is there, followed by half a command."""
    master, _ = n.shard()
    with n.taking(master):
        master.down()
        newest = max(master.data.glob("appendonlydir/*.incr.aof"), key=lambda f: f.stat().st_mtime)
        with open(newest, "ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$9\r\nunfin")
        yield
        back(master)


@contextlib.contextmanager
def old_copy(n):
    """A disk loses synced data, or a snapshot is restored: the master comes back with older data before a replica takes over."""
    master, _ = n.shard()
    copy = master.files / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(master.data, copy)
    n.last(0.5, 2.5)
    with n.taking(master):
        master.down()
        shutil.rmtree(master.data)
        copy.rename(master.data)
        back(master)
        yield


@contextlib.contextmanager
def empty_master(n):
    """A master comes back at once without its data, and its replica copies that."""
    master, replica = n.shard()
    with n.taking(master, replica):
        master.down()
        shutil.rmtree(master.data / "appendonlydir")
        back(master)
        yield


@contextlib.contextmanager
def empty_replica(n):
    _, replica = n.shard()
    with n.taking(replica):
        replica.down()
        shutil.rmtree(replica.data / "appendonlydir")
        back(replica)
        yield


@contextlib.contextmanager
def lost_node(n):
    """A host of Redis is lost with all its files, and another one takes its place, as a replica."""
    master, replica = n.shard()
    with n.taking(master, replica):
        id = master("CLUSTER", "MYID")
        master.down()
        n.until_promoted(replica)
        yield
        shutil.rmtree(master.data)
        back(master)
        for other in n.nodes.alive():
            with contextlib.suppress(RedisError, OSError):
                other("CLUSTER", "FORGET", id)
        replica("CLUSTER", "FORGET", id)
        master("CLUSTER", "MEET", replica.address, replica.port)
        new = replica("CLUSTER", "MYID")

        def follows():
            with contextlib.suppress(RedisError):
                return master("CLUSTER", "REPLICATE", new) == "OK"
        until(follows, 10, "the new node follows", every=0.1)


@contextlib.contextmanager
def stale_replica(n):
    """A replica is cut off while orders come in; then its master is killed, and the replica takes over without them."""
    master, replica = n.shard()
    with n.taking(master, replica):
        replica.cut()
        n.last(0.5, 2.5)
        master.down()
        replica.join()
        n.until_promoted(replica)
        yield
        back(master)


@contextlib.contextmanager
def replica_away(n):
    _, replica = n.shard()
    with n.taking(replica):
        replica.cut()
        yield
        replica.join()


@contextlib.contextmanager
def minority(n):
    """A master and an application host on one side, everything else on the other."""
    (master, replica), app = n.shard(), n.app()
    with n.taking(master, replica, app):
        master.cut()
        app.cut()
        n.until_promoted(replica)
        yield
        app.join()
        master.join()


@contextlib.contextmanager
def short_partition(n):
    """A partition that ends before a failover, or at the same time."""
    (master, _), app = n.shard(), n.app()
    with n.taking(master, app):
        master.cut()
        app.cut()
        n.last(0.3, 2)
        yield
        master.join()
        app.join()


@contextlib.contextmanager
def master_cut_off(n):
    master, replica = n.shard()
    with n.taking(master, replica):
        master.cut()
        n.until_promoted(replica)
        yield
        master.join()


@contextlib.contextmanager
def app_cut_off(n):
    app = n.app()
    with n.taking(app):
        app.cut()
        yield
        app.join()


@contextlib.contextmanager
def database_cut_off(n):
    with n.taking(n.it.database):
        n.it.database.cut()
        yield
        n.it.database.join()


@contextlib.contextmanager
def slot_half_moved(n):
    """Resharding stops within a hash slot: some keys are on one node, the others on the other."""
    master, _ = n.shard()
    to = next((m for m in n.nodes.masters() if m is not master and m not in n.busy), None)
    if not to:
        raise Unfit("no other master")
    parts = [n.sale.key("hub"), *(n.sale.key("s", i) for i in range(n.sale.segments))]
    slots = {n.nodes.slot(key) for key in parts}
    slot = n.dice.choice(sorted(s for s in slots if n.nodes.master_of(s) is master) or [0])
    with n.taking(master, to):
        n.half_moved = True
        try:
            to("CLUSTER", "SETSLOT", slot, "IMPORTING", master("CLUSTER", "MYID"))
            master("CLUSTER", "SETSLOT", slot, "MIGRATING", to("CLUSTER", "MYID"))
            for key in master("CLUSTER", "GETKEYSINSLOT", slot, n.dice.randint(0, 2)):
                master("MIGRATE", to.address, to.port, "", 0, 5000, "AUTH2", "admin", n.nodes.password, "KEYS", key)
        except RedisError as problem:
            raise Unfit("another fault is in its way") from problem
        yield


@contextlib.contextmanager
def failover(n, *how):
    master, replica = n.shard()
    with n.taking(master, replica):
        with contextlib.suppress(RedisError):
            replica("CLUSTER", "FAILOVER", *how)
        yield


@contextlib.contextmanager
def slow_network(n):
    """Delay and loss between one node and all others."""
    node = n.dice.choice([node for node in n.nodes.nodes if node not in n.busy] or [None])
    if not node or not node.slow("delay", "30ms", "10ms", "loss", "3%"):
        raise Unfit("no netem in this kernel")
    try:
        yield
    finally:
        node.quick()


@contextlib.contextmanager
def stopped(n, choose):
    host = choose(n)
    with n.taking(host):
        host.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            host.signal(signal.SIGCONT)


@contextlib.contextmanager
def master_stopped(n):
    """A master hangs until its replica has taken over, and then goes on."""
    master, replica = n.shard()
    with n.taking(master, replica):
        master.signal(signal.SIGSTOP)
        try:
            n.until_promoted(replica)
            yield
        finally:
            master.signal(signal.SIGCONT)


@contextlib.contextmanager
def app_killed(n):
    app = n.app()
    with n.taking(app):
        app.kill()
        yield
        app.up()


@contextlib.contextmanager
def app_lost(n):
    app = n.app()
    with n.taking(app):
        app.kill()
        yield
        app.settle()
        app.up()


@contextlib.contextmanager
def database_killed(n):
    with n.taking(n.it.database):
        n.it.database.kill()
        yield
        n.it.database.up()
        until(n.it.database.answers, 30, "MariaDB answers", every=0.1)


@contextlib.contextmanager
def drainers_killed(n):
    app = n.app()
    app.kill("drain")
    yield
    app.up("drain")


# weight, name, what is done
FAULTS = (
    (3, "kill a master, restart it", kill_and_restart),
    (3, "kill a master, its replica takes over", kill_for_long),
    (1, "kill a master and its replica, restart them", kill_shard),
    (1, "kill two of three masters, an operator promotes their replicas", kill_majority),
    (2, "power lost in a write of a master", torn_write),
    (3, "a master restarts from an earlier copy", old_copy),
    (1, "a master starts empty", empty_master),
    (1, "a replica starts empty", empty_replica),
    (1, "a Redis host lost with its files", lost_node),
    (4, "a replica cut off and then promoted", stale_replica),
    (1, "a replica cut off", replica_away),
    (3, "partition, a master and an app host in the minority", minority),
    (2, "a short partition, a master and an app host", short_partition),
    (1, "a master cut off", master_cut_off),
    (1, "an app host cut off", app_cut_off),
    (1, "the database cut off", database_cut_off),
    (2, "resharding stopped half-way", slot_half_moved),
    (2, "CLUSTER FAILOVER", failover),
    (1, "CLUSTER FAILOVER FORCE", lambda n: failover(n, "FORCE")),
    (2, "CLUSTER FAILOVER TAKEOVER", lambda n: failover(n, "TAKEOVER")),
    (1, "delay and loss", slow_network),
    (2, "a master stopped", master_stopped),
    (1, "an app host stopped", lambda n: stopped(n, Nemesis.app)),
    (1, "the database stopped", lambda n: stopped(n, lambda n: n.it.database)),
    (1, "an app host killed", app_killed),
    (1, "an app host lost with its files", app_lost),
    (1, "the database killed", database_killed),
    (1, "the drainers of a host killed", drainers_killed),
)


class Storm:
    """A sale under faults. only: names of faults to choose from; None for all, by weight."""

    def __init__(self, it, seed, only=None, amount=None):
        self.it, self.dice, self.seed = it, random.Random(seed), seed
        self.table = [row for row in FAULTS if only is None or row[1] in only]
        amount = amount or self.dice.randint(60, 400)
        self.sale = it.sale(amount=amount, segments=self.dice.choice([1, 3, 6, 12]))
        self.users = it.users(round(amount * self.dice.uniform(0.9, 1.6)))
        self.history, self.over, self.recovered = History(amount), threading.Event(), []
        self.nemesis = Nemesis(it, random.Random(self.dice.random()), self.sale)
        self.pace = LASTS_S * THREADS / amount  # seconds between two customers of a thread
        self.failures, self.stuck, self.acknowledged, self.lost = [], [], 0, 0
        self.threads = [threading.Thread(target=self._safely, args=(random.Random(self.dice.random()), self.users[i::THREADS]),
                                         daemon=True) for i in range(THREADS)]

    # customers, who use both hosts

    def ask(self, user, clients, dice):
        client = dice.choice(clients)
        start = time.monotonic()
        try:
            answer = self.sale.claim(user, client)
            order = answer.json["order"] if answer.status in (200, 201) else None
            event = Event(user.id, start, time.monotonic(), answer.status, answer.code, order)
        except LOST:
            event = Event(user.id, start, time.monotonic(), None)
        self.history.events.append(event)
        return event

    def clients(self, seconds=3):
        return [Client(8080, seconds, host=app.front) for app in self.it.apps]

    def _customers(self, dice, users):
        clients = self.clients()
        for user in itertools.cycle(users):
            tries = dice.randint(1, 4)
            while not self.over.is_set() and self.ask(user, clients, dice).unknown and (tries := tries - 1):
                self.over.wait(0.1)
            if self.over.wait(dice.uniform(0, 2 * self.pace)):
                break

    def _safely(self, *arguments):
        try:
            self._customers(*arguments)
        except Exception as problem:
            self.failures.append(problem)

    # the storm

    def run(self, faults):
        """Carries out so many faults, mostly one after the other, sometimes two at a time."""
        for thread in self.threads:
            thread.start()
        n = self.nemesis
        until(lambda: any(e.status == 201 for e in list(self.history.events)), 20, "units are sold")
        try:
            while sum(n.counts.values()) < faults:
                with contextlib.ExitStack() as struck:
                    for _ in range(n.dice.choice([1, 1, 1, 2])):
                        self._strike(struck)
                    n.last(0.2, 2.5)
                n.last(0, 1)
                if n.dice.random() < 0.7:  # an operator is awake
                    self._recover()
        finally:
            n.note("the faults are over")

    def _strike(self, struck):
        n = self.nemesis
        for _ in range(20):
            _, name, fault = n.dice.choices(self.table, [row[0] for row in self.table])[0]
            with contextlib.suppress(Unfit):
                n.note(f"? {name}")
                struck.enter_context(self._undone(name, fault(n)))
                n.note(f"! {name}")
                n.counts[name] += 1
                return

    @contextlib.contextmanager
    def _undone(self, name, fault):
        with fault:
            yield
        self.nemesis.note(f". {name}")

    # healing, and the end

    def heal(self):
        """Does what an operator does: fixes half-moved hash slots and recovers quarantined sales. Then everybody asks again."""
        n = self.nemesis
        until(lambda: all(node.answers() for node in n.nodes.nodes), 20, "all nodes answer")
        if n.half_moved:
            until(self._finished, 20, "half-moved slots are finished", every=0.5)
        n.nodes.until_whole()
        n.note("the cluster is whole")
        pause(2, "requests and messages that are on their way arrive within this time, as promised")
        until(lambda: all(app.ready() for app in self.it.apps), 30, "both hosts are ready", every=0.1)
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failures, self.failures
        for _ in range(4):
            self._recover()
            if not self._last_round():
                break
        self._drained()
        self._audit("--repair", "--yes")
        self._drained()

    def _audit(self, *words):
        """Audits on every host, because each has other high-water marks; returns findings other than dead letters."""
        found = []
        for app in self.it.apps:
            done = app.ctl("--json", "audit", *words, self.sale.title, settings="drain.conf")
            self.nemesis.note(f"audit {' '.join(words)} on {app.name}: exit {done.returncode} {done.stdout.strip()} {done.stderr.strip()}")
            said = json.loads(done.stdout or "[]")
            found += [p["text"] for p in said[-1]["problems"] if p["kind"] != "dead-letter"] if said else [done.stderr.strip()]
        return found

    def _finished(self):
        """False while a node has not noticed a failover."""
        nodes, half = self.it.nodes, []
        try:
            half = nodes.half_moved()
            nodes.finish()
            return not nodes.half_moved()
        except RedisError as problem:
            self.nemesis.note(f"{problem}")
        finally:
            self.nemesis.note(f"half-moved slots: {[(slot, to.name) for slot, to in half]}")

    def _named_closed(self):
        """Whether either host names the sale, in three tries: an inspection may be under way."""
        found = set()
        for _ in range(3):
            for app in self.it.apps:
                with contextlib.suppress(*LOST, ValueError):
                    found |= set(app.ask("GET", "/readyz").json.get("closed", []))
            if found:
                break
            pause(0.3, "an inspection may be on its way")
        return self.sale.title in found

    def _recover(self):
        """Recovers the sale on either host, if one of them names it as closed."""
        if not self._named_closed():
            return
        app = self.dice.choice(self.it.apps)
        done = app.ctl("--json", "recover", self.sale.title, settings="drain.conf")
        self.nemesis.note(f"recover on {app.name}: exit {done.returncode} {done.stdout.strip()} {done.stderr.strip()}")
        self.recovered.append((app.name, done.returncode, done.stdout.strip()))

    def _closings(self):
        """Log lines on inspections and recoveries of this sale."""
        return [f"{host.name} {line}" for host in self.it.apps for log in host.logs()
                for line in log.read_text(errors="replace").splitlines()
                if str(self.sale.id) in line and ("coupon_" in line or "regress" in line)]

    def _last_round(self):
        """Everybody asks until there is an answer, for up to 20 s. True when the sale is quarantined (again)."""
        queue, deadline = collections.deque(self.users), time.monotonic() + 20
        fenced = threading.Event()

        def work(dice):
            clients = self.clients(5)
            while queue and time.monotonic() < deadline and not fenced.is_set():
                with contextlib.suppress(IndexError):
                    user = queue.popleft()
                    event = self.ask(user, clients, dice)
                    if event.code == "fenced":
                        fenced.set()
                    if event.unknown:
                        queue.append(user)
                        pause(0.05, "the pace of a customer")
        threads = [threading.Thread(target=work, args=(random.Random(self.dice.random()),), daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(40)
        self.stuck = [user.id for user in queue]
        return fenced.is_set()

    def _drained(self, seconds=15):
        """Waits until the lists are empty; the judge finds what is left there."""
        def empty():
            return not any(self.it.redis("LLEN", self.sale.key("q", i)) for i in range(self.sale.segments))
        with contextlib.suppress(AssertionError, RedisError):
            until(empty, seconds, "the lists are empty", every=0.05)
        pause(0.3, "entries of customers' lists are written after the trim")

    def _ask_for_lost(self, told):
        """An order may be lost together with its customer's list and the host that acknowledged it. No server has evidence of it
        then, but its customer who asks for the number is told that it is lost."""
        users = {user.id: user for user in self.users}
        for user, orders in told.orders.items():
            for at in orders:
                if at not in self.stores.rows and at not in self.stores.dead:
                    answer = self.it.apps[0].ask("GET", f"/api/orders/{self.stores.name(at)}", users[user])
                    if answer.status == 200 and answer.json["status"] == "lost":
                        self.stores.dead[at] = FOUND

    def verdict(self):
        """Findings by kind, and a summary of the sale."""
        told = Told(self.history.events)
        for user in self.stuck:
            told.last.pop(user, None)
        self.stores = Stores().read(self.sale, self.it.sql, self.it.redis, [user.id for user in self.users])
        self.told = told
        if self.nemesis.counts["an app host lost with its files"]:
            self._ask_for_lost(told)
        found = judge(told, self.stores)
        lost = lost_and_named(told, self.stores)
        if self.recovered and self.recovered[-1][1]:
            found["recover failed"] = [str(self.recovered[-1])]
        if self.recovered and not self.stores.dead:
            found["closed with nothing lost"] = [str(self.recovered), *self._closings()]
        audited = self._audit()
        if audited:
            found["the audit"] = audited
        self.acknowledged, self.lost = sum(map(len, told.orders.values())), len(lost)
        codes = collections.Counter(e.code or str(e.status) for e in self.history.events)
        return found, (f"{self.sale.amount} units in {self.sale.segments} segments, {len(self.users)} customers, "
                       f"{dict(codes)}, {len(self.stores.rows)} rows, {len(lost)} lost and named, "
                       f"{len(self.recovered)} times recovered")

    def keep(self, folder):
        """Keeps everything that is needed to find out what happened."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "faults").write_text("\n".join(self.nemesis.notes) + "\n")
        start = self.nemesis.began
        (folder / "requests").write_text("".join(
            f"{e.start - start:8.3f} {e.end - start:8.3f} {e.user} {e.status} {e.code or ''} {e.order or ''}\n"
            for e in sorted(self.history.events, key=lambda e: e.end)))
        if hasattr(self, "stores"):
            (folder / "stores").write_text("".join(f"{name} {value}\n" for name, value in vars(self.stores).items()))
        for host in self.it.hosts:
            for log in host.logs():
                shutil.copy(log, folder / f"{host.name}.{log.parent.name}.{log.name}")


def counted(counts):
    return ", ".join(f"{name} {counts[name]}" for _, name, _ in FAULTS if counts[name])
