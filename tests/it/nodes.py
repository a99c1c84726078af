"""A Redis Cluster of three masters and three replicas on loopback, for a test that brings its own Redis."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile

from stores import Redis, RedisError
from tap import bail_out, comment, need_all, until

BUS = 10000  # a node's second port is this much above its first
NODE_TIMEOUT_MS = 1500
# The other masters go on when one is lost, so the service must notice by itself that the map has changed.
OPTIONS = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always",
           "--no-appendfsync-on-rewrite", "no", "--maxmemory-policy", "noeviction", "--cluster-enabled", "yes",
           "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-require-full-coverage", "no",
           "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes")


def free_ports(count):
    """
    Below the range from which the system serves outgoing connections, so that none takes one meanwhile; and none of
    them is another's second port.
    """
    found = set()
    while len(found) < count:
        port = random.randrange(11000, 11000 + BUS)
        if all(map(is_free, (port, port + BUS))):
            found.add(port)
    return sorted(found)


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Node(Redis):
    """One server, and a connection to it."""

    def __init__(self, directory, port):
        super().__init__(None, None)
        self.directory, self.port, self.address = directory / str(port), port, f"127.0.0.1:{port}"
        self.directory.mkdir()
        self.log = self.directory / "log"
        self.start()

    def start(self):
        own = ("--port", str(self.port), "--dir", str(self.directory), "--logfile", str(self.log))
        self.process = subprocess.Popen(["redis-server", *own, *OPTIONS], stdin=subprocess.DEVNULL)

    def _connect(self):
        with socket.create_connection(("127.0.0.1", self.port), 20) as s:
            self.file = s.makefile("rwb")

    def answers(self):
        try:
            return self("PING") == "PONG"
        except (OSError, RedisError):
            return False

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.close()

    def info(self):
        lines = self("INFO", "replication").splitlines() + self("CLUSTER", "INFO").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def whole(self):
        """It sees a whole cluster, and is connected to its replica or master."""
        i = self.info()
        linked = i.get("connected_slaves") == "1" if i["role"] == "master" else i["master_link_status"] == "up"
        return linked and (i["cluster_state"], i["cluster_slots_ok"], i["cluster_known_nodes"]) == ("ok", "16384", "6")

    def replicated(self):
        """The replica has acknowledged everything."""
        i = self.info()
        return f"offset={i['master_repl_offset']}," in i.get("slave0", "")


class Cluster:
    """Called like a Redis: the command goes to the node that has the key, which is the second word."""

    def __init__(self):
        self.nodes, self.lost = [], set()

    def __enter__(self):
        need_all("redis-server")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="skc", dir="/tmp"))
        try:
            self._start()
        except BaseException as problem:
            self.print_logs()
            self.__exit__()
            bail_out(problem)
        return self

    def _start(self):
        for port in free_ports(6):
            self.nodes.append(Node(self.directory, port))
        until(lambda: all(n.answers() for n in self.nodes), 20, "six nodes answer")
        self.cli("create", *(n.address for n in self.nodes), "--cluster-replicas", "1")
        self.until_whole()

    def until_whole(self):
        until(lambda: all(n.whole() for n in self.nodes), 30, "the cluster is whole", every=0.05)

    def __exit__(self, *_):
        for node in self.nodes:
            node.kill()
        if not os.environ.get("IT_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def print_logs(self, lines=15):
        for node in self.nodes:
            comment(f"--- node {node.port}")
            comment("\n".join(node.log.read_text(errors="replace").splitlines()[-lines:]))

    def cli(self, *words):
        """redis-cli --cluster ..."""
        done = subprocess.run(["redis-cli", "--cluster", *words, "--cluster-yes"], capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"redis-cli --cluster {' '.join(words)}: {done.stdout[-2000:]}{done.stderr}"

    # asking

    @contextlib.contextmanager
    def without(self, node, number):
        """Kills or stops a node; commands go to the others. A stopped node goes on afterwards."""
        self.lost.add(node)
        node.process.send_signal(number)
        try:
            yield
        finally:
            node.close()
            if number == signal.SIGSTOP:
                node.process.send_signal(signal.SIGCONT)
                self.lost.remove(node)

    def alive(self):
        return [n for n in self.nodes if n not in self.lost]

    def setting(self):
        """A value for `redis =`: two nodes are enough to find the others."""
        return "cluster:" + ",".join(n.address for n in self.nodes[2:4])

    def call(self, kind, name):
        """Sets cluster-preferred-endpoint-type and the host's name, and waits until all nodes announce it."""
        for node in self.nodes:
            node("CONFIG", "SET", "cluster-announce-hostname", name, "cluster-preferred-endpoint-type", kind)
        hosts = {"ip": {"127.0.0.1"}, "hostname": {name}, "unknown-endpoint": {None}}[kind]
        until(lambda: all({node[0] for n in self.nodes for row in n("CLUSTER", "SLOTS") for node in row[2:]} == hosts
                          for _ in range(3)), 20, f"the nodes call each other {hosts}")

    def at(self, address):
        """By its port: a node may announce no host."""
        return next(n for n in self.nodes if n.port == int(address.rpartition(":")[2]))

    def ranges(self):
        """(first hash slot, last hash slot, master), as a running node sees it."""
        return [(first, last, self.at("%s:%d" % tuple(master[:2])))
                for first, last, master, *_ in self.alive()[0]("CLUSTER", "SLOTS")]

    def masters(self):
        return sorted({node for _, _, node in self.ranges()}, key=lambda n: n.port)

    def slot(self, key):
        return self.alive()[0]("CLUSTER", "KEYSLOT", key)

    def master_of(self, slot):
        return next(node for first, last, node in self.ranges() if first <= slot <= last)

    def master_of_key(self, key):
        return self.master_of(self.slot(key))

    def hub_master(self, sale):
        return self.master_of_key(sale.key("hub"))

    def master_without_hub(self, sale):
        """A master that has segments of this sale, but not its hub."""
        hub = self.hub_master(sale)
        return next(n for n in self.masters() if n is not hub and self.segments_of(sale, n))

    def slots_of(self, master):
        return sum(last - first + 1 for first, last, node in self.ranges() if node is master)

    def __call__(self, *words):
        node = self.alive()[0]
        while True:
            try:
                return node(*words)
            except RedisError as problem:
                word, *rest = str(problem).split()
                if word != "MOVED":
                    raise
                node = self.at(rest[1])

    def close(self):
        for node in self.nodes:
            node.close()

    # replicas

    def replicas(self):
        return [n for n in self.alive() if n.info()["role"] == "slave"]

    def replica_of(self, master):
        return next(n for n in self.replicas() if int(n.info()["master_port"]) == master.port)

    def segments_of(self, sale, master):
        """Segments of this sale that this master has."""
        return [i for i in range(sale.segments) if self.master_of_key(sale.key("s", i)) is master]

    def take_over(self, replica):
        """A replica becomes the master, coordinated with its master. This may take several tries."""
        for _ in range(5):
            with contextlib.suppress(RedisError):
                replica("CLUSTER", "FAILOVER")
            with contextlib.suppress(AssertionError):
                return until(lambda: replica in self.masters(), 5, "it is the master")
        raise AssertionError("the failover did not come about")

    @contextlib.contextmanager
    def stopped(self, some):
        """These nodes stand still; commands go to the others meanwhile."""
        self.lost.update(some)
        for node in some:
            node.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for node in some:
                node.process.send_signal(signal.SIGCONT)
            self.lost.difference_update(some)

    @contextlib.contextmanager
    def behind(self, master):
        """The replica of this master stands still and misses what the master does meanwhile."""
        replica = self.replica_of(master)
        until(master.replicated, 5, "the replica has everything")
        with self.stopped([replica]):
            master("CLIENT", "KILL", "TYPE", "REPLICA")  # otherwise data in the socket would still arrive
            yield replica

    def fall_back(self, master, action):
        """The master does something that its replica misses; then the master is killed and the replica promoted."""
        with self.behind(master) as replica:
            action()
            self.lost.add(master)
            master.kill()
        until(lambda: replica.info()["role"] == "master", 20, "the replica takes over")
        until(lambda: replica in self.masters(), 20, "the others know")

    def until_failed(self, node):
        """The others agree that the node has failed."""
        def agree():
            lines = [line.split() for n in self.alive() for line in n("CLUSTER", "NODES").splitlines()]
            return all("fail" in flags.split(",") for _, address, flags, *_ in lines if address.startswith(node.address))
        until(agree, 20, "the others miss it")

    def revive(self, node):
        """Starts a node that was killed, and waits until the cluster is whole."""
        node.start()
        until(node.answers, 10, "it answers")
        self.lost.discard(node)
        self.until_whole()

    # moving slots

    def move(self, slot, to, while_half=lambda: None):
        """Moves a hash slot in the steps of redis-cli. while_half is called when some keys are on either node."""
        source = self.master_of(slot)
        to("CLUSTER", "SETSLOT", slot, "IMPORTING", source("CLUSTER", "MYID"))
        source("CLUSTER", "SETSLOT", slot, "MIGRATING", to("CLUSTER", "MYID"))
        moved = False
        while keys := source("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
            if not moved:
                while_half()
            moved = True
        for node in (to, source, *self.masters()):
            node("CLUSTER", "SETSLOT", slot, "NODE", to("CLUSTER", "MYID"))
