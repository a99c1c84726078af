"""The installation of "On a cluster, on several hosts" (docs/operations.md), made from the blocks of that chapter.

Two hosts with nginx, workers and drainers, one with MariaDB, six with Redis. The servers listen in the network of
netns.py only; this process asks them as administrator through their unix sockets, which no fault of the network touches.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import papers
from client import Client
from harness import BUILD, PATIENT, SOURCE, Instance
from netns import ROOT, Host, call
from nodes import Cluster
from stores import Redis, RedisError, Sql
from tap import until

CHAPTER = "## On a cluster, on several hosts"
POOLS = ("hot", "cold", "auth", "drain", "nginx")
NODES = 6
ENVIRONMENT = os.environ | PATIENT | {"SECKILL_BUILD": str(BUILD), "SECKILL_LISTEN": "8080", "SECKILL_PASSWORD_COST": "1",
                                      "SECKILL_LOGIN_DELAY": "0", "SECKILL_IN_FLIGHT": "60000", "SECKILL_COUPONS_PER_SELLER": "0",
                                      "SECKILL_CREATIONS_PER_MINUTE": "0", "SECKILL_CLAIMS_PER_SECOND": "0",
                                      "SECKILL_CREATE_RATE": "1000r/s",
                                      "SECKILL_REDIS_TIMEOUT_MS": "1000"}
# The command lines of parts, as ./dev has them, with the files that they need.
COMMANDS = """set -uo pipefail
TOP=$1; shift
. "$TOP/docker/instance.sh"
instance_init hosts
PORT=8080
make_directories
for part in "$@"; do
	command_for "$part"
	printf '%s\\0' "${CMD[@]}"
	printf '\\1'
done"""


def commands(run, *parts, what="command_for"):
    done = subprocess.run(["bash", "-c", COMMANDS.replace("command_for", what), "-", SOURCE, *parts], env=ENVIRONMENT | {"SECKILL_RUN": str(run)},
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return {part: words.rstrip("\0").split("\0") for part, words in zip(parts, done.stdout.split("\1"))}


def block(word):
    """The block of the chapter that contains this word."""
    text = (SOURCE / "docs/operations.md").read_text().split(CHAPTER)[1].split("\n## ")[0]
    found = [piece.text for piece in papers.markdown("docs/operations.md") if piece.block and word in piece.text]
    found = [piece for piece in found if piece.split("\n")[0] in text]
    assert len(found) == 1, f"{len(found)} blocks with {word!r}"
    return found[0]


def type_in(text, folder, **names):
    """Runs a block in bash, with other paths for /etc and the samples, and another way to start servers."""
    text = re.sub(r"^service .*$", "", text, flags=re.M)
    for old, new in ({"/etc/": f"{folder}/etc/", "cd /usr/local/share/seckill/examples": f"cd {SOURCE}/docker"} | names).items():
        text = text.replace(old, str(new))
    call("bash", "-euo", "pipefail", "-c", text)


class Node(Redis, Host):
    """A host with a Redis server, called like one."""

    def __init__(self, number, secrets, clocks):
        Host.__init__(self, f"redis{number}", 30 + number, clock_s=clocks.get(f"redis{number}", 0))
        Redis.__init__(self, str(self.files / "redis.sock"), (secrets / "redis-admin.password").read_text().strip())
        self.number, self.secrets, self.port = number, secrets, 6379
        self.data, self.at = self.files / "data", f"{self.address}:6379"
        self._settle()
        self.up()

    def _settle(self):
        """Step 4 of the installation, and the additions of the chapter."""
        etc = self.files / "etc"
        (etc / "redis").mkdir(parents=True)
        shutil.copy(self.secrets / "users.acl", etc / "redis/users.acl")
        shutil.copytree(self.secrets, etc / "seckill")
        self.conf = etc / "redis/redis.conf"
        self.conf.write_text(f"include {SOURCE}/docker/redis.conf\nunixsocket {self.path}\naclfile {etc}/redis/users.acl\n"
                             f"dir {self.data}\nrepl-diskless-sync-delay 0\n")
        type_in(block("cluster-node-timeout 2000"), self.files, **{"10.0.0.31": self.address})

    def up(self):
        self.data.mkdir(exist_ok=True)
        self.start("redis", ["redis-server", self.conf], ENVIRONMENT)

    def down(self):
        self.kill("redis")
        self.close()

    def answers(self):
        """True also for a replica whose master is away, although it refuses almost everything (MASTERDOWN)."""
        try:
            return self("PING") == "PONG"
        except RedisError as problem:
            return str(problem).startswith("MASTERDOWN")
        except OSError:
            self.close()
            return False

    def info(self):
        lines = self("INFO", "replication").splitlines() + self("CLUSTER", "INFO").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def whole(self):
        try:
            i = self.info()
        except (OSError, RedisError):
            self.close()
            return False
        linked = i.get("connected_slaves") == "1" if i["role"] == "master" else i["master_link_status"] == "up"
        return linked and (i["cluster_state"], i["cluster_slots_ok"], i["cluster_known_nodes"]) == ("ok", "16384", str(NODES))

    def replica(self, others):
        """The replica of this node that has everything; None if there is none."""
        i = self.info()
        for name in ("slave0", "slave1"):
            found = re.match(r"ip=(.*),port=\d+,state=online,", i.get(name, ""))
            if found:
                return next((n for n in others if n.address == found[1]), None)
        return None

    def replicated(self):
        i = self.info()
        return f"offset={i['master_repl_offset']}," in i.get("slave0", "")

    @property
    def log(self):
        return self.files / "log/redis.log"


class Nodes(Cluster):
    """The cluster of these hosts, called like a Redis. lost: nodes that are not to be asked now."""

    def __init__(self, secrets, clocks):
        super().__init__()
        self.password = (secrets / "redis-admin.password").read_text().strip()
        for number in range(1, NODES + 1):
            self.nodes.append(Node(number, secrets, clocks))
        until(lambda: all(n.answers() for n in self.nodes), 30, "six nodes answer")
        self.desk = self.nodes[0]  # on whose host redis-cli is run

    def create(self):
        words = block("--cluster create").split("redis-cli", 1)[1].replace("\\\n", " ").split()
        self.cli(*words[words.index("create"):])
        self.until_whole()

    def _adopt(self):
        """A master that was replaced twice may stay a master without hash slots; an operator makes it a replica again."""
        def is_alone(node):
            return node.info().get("connected_slaves") == "0" and node.info()["role"] == "master"
        with contextlib.suppress(OSError, RedisError, KeyError):
            alone = [n for n in self.nodes if is_alone(n)]
            spare = [n for n in alone if n not in self.masters()]
            needy = [n for n in alone if n in self.masters()]
            if spare and needy:
                spare[0]("CLUSTER", "REPLICATE", needy[0]("CLUSTER", "MYID"))
            ids = {n("CLUSTER", "MYID") for n in self.nodes}
            for node in self.nodes:
                for gone in {line.split()[0] for line in node("CLUSTER", "NODES").splitlines()} - ids:
                    node("CLUSTER", "FORGET", gone)  # another node may have named it again

    def until_whole(self, seconds=40):
        half, whole = time.monotonic() + seconds / 2, lambda: all(n.whole() for n in self.nodes)

        def look():
            if not whole() and time.monotonic() > half:
                self._adopt()
            return whole()
        try:
            until(look, seconds, "the cluster is whole", every=0.05)
        except AssertionError:
            seen = {n.name: n.info() for n in self.nodes if n.answers()}
            raise AssertionError(f"the cluster is not whole in {seconds} s: {seen}") from None

    def cli(self, *words):
        words = [w for w in words if w != "--cluster-yes"]
        return self.desk.run("redis-cli", "--user", "admin", "--no-auth-warning", "--cluster", *words, "--cluster-yes",
                             env=ENVIRONMENT | {"REDISCLI_AUTH": self.password}, timeout=120)

    def at(self, address):
        return next((n for n in self.nodes if n.at == address), None)

    def ranges(self):
        """As one node sees it. It may not have the address of another one yet."""
        return [(first, last, node) for first, last, node in super().ranges() if node]

    def master_of(self, slot):
        return next((node for first, last, node in self.ranges() if first <= slot <= last), None)

    # slots that were left half-way

    def half_moved(self):
        """(hash slot, the master that still waits for keys of it)."""
        return [(int(slot), node) for node in self.nodes for line in node("CLUSTER", "NODES").splitlines()
                if "myself,master" in line for slot in re.findall(r"\[(\d+)-<-", line)]

    def owner(self, slot):
        """As the waiting node reports it: it is not informed of a failover of the other node."""
        return next((node for node in self.nodes for first, last, master, *_ in node("CLUSTER", "SLOTS")
                     if first <= slot <= last and master[0] == node.address), None)

    def finish(self):
        """Moves the remaining keys of such hash slots, as in the chapter. A key that is on both nodes is kept at the owner."""
        for slot, to in self.half_moved():
            source = self.owner(slot) or to
            if source is not to:  # after a failover neither node has the state of the move
                source("CLUSTER", "SETSLOT", slot, "MIGRATING", to("CLUSTER", "MYID"))
                to("CLUSTER", "SETSLOT", slot, "NODE", source("CLUSTER", "MYID"))
                to("CLUSTER", "SETSLOT", slot, "IMPORTING", source("CLUSTER", "MYID"))
            while source is not to and (keys := source("CLUSTER", "GETKEYSINSLOT", slot, 10)):
                move = ["MIGRATE", to.address, to.port, "", 0, 5000, "AUTH2", "admin", self.password, "KEYS", *keys]
                try:
                    source(*move)
                except RedisError as problem:
                    if "BUSYKEY" not in str(problem):
                        raise
                    source(*move[:6], "REPLACE", *move[6:])
            for node in dict.fromkeys([to, source, *self.masters()]):
                node("CLUSTER", "SETSLOT", slot, "NODE", to("CLUSTER", "MYID"))
        for node in self.nodes:  # a node that still migrates a hash slot to a master that no longer waits for it
            for line in node("CLUSTER", "NODES").splitlines():
                for slot in re.findall(r"\[(\d+)->-", line) if "myself,master" in line else ():
                    node("CLUSTER", "SETSLOT", slot, "STABLE")


class Application(Host):
    """nginx, workers and drainers."""

    def __init__(self, name, number, secrets, settings, clock_s):
        super().__init__(name, number, front=True, clock_s=clock_s)
        self.secrets, self.settings = secrets, settings
        self.settle()

    def settle(self):
        """A host that was just installed, with the common secrets."""
        self.set_aside_logs()
        shutil.rmtree(self.files, ignore_errors=True)
        shutil.copytree(self.secrets, self.files / "etc")
        self.commands = commands(self.files, *POOLS)
        (self.files / "etc/seckill").symlink_to(self.files)
        type_in(block("redis = cluster:"), self.files, **{"wait_replicas = 1": self.settings})

    def up(self, *parts):
        for part in parts or POOLS:
            (self.files / f"{part}.sock").unlink(missing_ok=True)
            self.start(part, self.commands[part], ENVIRONMENT)

    def ctl(self, *words, settings="seckill.conf", **more):
        return subprocess.run(self.words(BUILD / "seckillctl", "-c", self.files / settings, *words), text=True,
                              capture_output=True, env=ENVIRONMENT, timeout=120, stdin=subprocess.DEVNULL, **more)

    def ask(self, *words, timeout=3):
        client = Client(8080, timeout, host=self.front)
        try:
            return client.ask(*words)
        finally:
            client.close()

    def ready(self):
        with contextlib.suppress(OSError):
            return self.ask("GET", "/readyz").status == 200
        return False


class Database(Host):
    def __init__(self, secrets):
        super().__init__("db", 21)
        shutil.copytree(secrets, self.files / "etc")
        self.command = commands(self.files, "mysql")["mysql"]
        local = self.files / "etc/mysql/mariadb.conf.d"
        local.mkdir(parents=True)
        os.symlink(self.files / "etc", self.files / "etc/seckill")
        type_in(block("bind-address").split("\nservice")[0], self.files)
        self.listen = ["--skip-networking=0"] + ["--" + line.replace(" = ", "=") for line in
                                                 (local / "60-seckill.cnf").read_text().splitlines()]
        self.sql = Sql(self.files / "etc/mysql-owner.cnf")
        self.up()
        until(self.answers, 60, "MariaDB answers")
        commands(self.files, "mysql", what="migrate ; command_for")
        root = f"| mariadb --no-defaults --socket={self.files}/mysql.sock -u root"
        type_in("cd" + block("bind-address").split("\ncd", 1)[1], self.files, **{"| mariadb": root})

    def up(self):
        self.start("mysql", self.command + self.listen, ENVIRONMENT)

    def answers(self):
        return subprocess.run(self.sql.command + ["-e", "DO 0"], capture_output=True).returncode == 0


class Installation(Instance):
    """
    What an Instance of one host is to its tests; settings are lines for the files of both hosts, as the chapter ends
    with one: "wait_replicas = 1". clocks: by how many seconds those of some hosts are ahead.
    """

    def __init__(self, settings="wait_replicas = 1", clocks=None):
        self.names, self.settings, self.clocks = 0, settings, clocks or {}
        self.hosts, self.apps = [], []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.print_logs()
            self.__exit__()
            raise
        return self

    def _start(self):
        secrets = ROOT / "secrets"
        shutil.rmtree(secrets, ignore_errors=True)
        (ROOT / "made/etc").mkdir(parents=True, exist_ok=True)
        commands(ROOT / "made", "redis", "mysql", "drain")  # makes all secrets
        for line in block("redis-replica.password\n").split("\n"):
            type_in(line, "", **{"/etc/seckill": ROOT / "made/etc", "//": "/"})
        (ROOT / "made/etc").rename(secrets)
        shutil.rmtree(ROOT / "made")
        database = Database(secrets)
        self.hosts.append(database)
        self.database, self.sql = database, database.sql
        self.nodes = self.redis = Nodes(secrets, self.clocks)
        self.hosts += self.nodes.nodes
        self.nodes.create()
        for name, number in (("app1", 11), ("app2", 12)):
            self.apps.append(Application(name, number, secrets, self.settings, self.clocks.get(name, 0)))
            self.apps[-1].up()
        self.hosts += self.apps
        until(lambda: all(app.ready() for app in self.apps), 30, "both hosts are ready", every=0.05)
        self.client = Client(8080, host=self.apps[0].front)
        self.ask = self.client.ask

    def __exit__(self, *_):
        for host in self.hosts:
            host.signal(signal.SIGKILL)
        for host in self.hosts:
            host.remove()

    def ctl(self, *words, **more):
        return self.apps[0].ctl(*words, **more)

    def print_logs(self, lines=5):
        for host in self.hosts:
            host.print_logs(lines)
