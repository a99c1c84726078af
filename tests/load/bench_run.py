"""One run of the benchmark: its instance, its customers, its sales, and one measurement of wrk or load.c."""

import contextlib
import json
import re
import subprocess
import sys

from bench_rig import BUILD, Instance, Rig, Wrk, cpu_us, until

SERVICE = {"nginx": ["nginx"], "worker": ["hot", "cold", "auth"], "redis": ["redis"], "drain": ["drain"], "mysql": ["mysql"]}
CEILING = {"nginx": ["ceiling"], "worker": ["hello"]}
PEER = {"nginx": ["peer"], "redis": ["peer-redis"]}


class Bench:
    def __init__(self, options, it=None):
        self.o = options
        self.own = it is None
        self.it = it or Instance(SECKILL_APPENDFSYNC="everysec")
        self.rig = Rig(self.it, "everysec")
        self.books, self.peer_sales = {}, []  # orders that clients were told, for the count at the end
        self.problems = []

    def start(self):
        if self.own:
            self.say("starting an instance")
            self.it.start()
        self.rig.start()
        self.seller = self.it.account(self.it.name("shop"), "saler")
        self.tokens = self.mint("buyer", self.o.tokens)
        self.url = f"http://127.0.0.1:{self.it.port}"

    def stop(self):
        self.rig.stop()
        if self.own:
            self.it.remove()

    def say(self, text):
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def wants(self, name):
        return not self.o.only or name in self.o.only

    def ctl(self, *words):
        return subprocess.run([BUILD / "seckillctl", "-c", self.it.run / "seckill.conf", *map(str, words)], text=True,
                              capture_output=True, env=self.it.environment)

    def fresh(self):
        """The instance, with a new connection, because nginx may have closed an idle one."""
        self.it.client.close()
        return self.it

    # customers and sales

    def mint(self, prefix, count):
        """A file with the tokens of so many new customers."""
        self.say(f"minting {count} tokens")
        path = self.it.run / f"tokens-{prefix}"
        done = self.ctl("token", "--count", count, "--prefix", prefix, "--out", path)
        assert done.returncode == 0, done
        return path

    def sale(self, name, amount=None, book=None, segments=None, **more):
        """A new sale, in as many segments as the service chooses. Its orders have a book of their own, unless it shares one."""
        exactly = name if book else self.it.name(name)
        sale = self.fresh().sale(self.seller, exactly, amount or self.o.tokens, segments=segments, **more)
        self.books.setdefault(book or sale.name, {"sales": [], "least": 0, "most": 0})["sales"].append(sale.name)
        return sale

    def expect(self, book, least, most):
        """Clients were told at least, and at most, so many orders."""
        self.books[book]["least"] += least
        self.books[book]["most"] += most

    def queued(self):
        """Orders that MySQL does not have yet."""
        report = json.loads(self.ctl("--json", "status").stdout)
        return sum(coupon["queued"] for coupon in report["coupons"])

    def drained(self, seconds=300):
        until(lambda: self.queued() == 0, seconds, "the lists are drained", every=0.1)

    # setting up a measurement

    def drainers(self, run):
        if run != bool(self.it.pids("drain")):
            self.it.dev("start" if run else "stop", "drain")

    def sync(self, policy):
        self.it.redis("CONFIG", "SET", "appendfsync", policy)
        if self.rig.redis:
            self.rig.redis("CONFIG", "SET", "appendfsync", policy)

    def redis_info(self):
        return {name: int(value) for name, value in re.findall(r"^(\w+):(\d+)\r?$", self.it.redis("INFO"), re.M)}

    @contextlib.contextmanager
    def growing_file(self):
        """Meanwhile Redis does not write its file anew, so its growth is what was appended."""
        usual = self.it.redis("CONFIG", "GET", "auto-aof-rewrite-percentage")[1]
        self.it.redis("CONFIG", "SET", "auto-aof-rewrite-percentage", 0)
        until(lambda: not self.redis_info()["aof_rewrite_in_progress"], 60, "the file is written")
        yield
        self.it.redis("CONFIG", "SET", "auto-aof-rewrite-percentage", usual)

    def counters(self):
        text = self.fresh().ask("GET", "/metrics").expect(200).body.decode()
        return {name: int(value) for name, value in re.findall(r"^(seckill_\S+) (\d+)$", text, re.M)}

    # measuring

    def wrk(self, groups, path, url=None, **more):
        """Runs wrk. Returns its numbers, with the CPU of each group of processes."""
        pids = {group: [pid for part in parts for pid in self.it.pids(part)] for group, parts in groups.items()}
        before = {group: cpu_us(ids) for group, ids in pids.items()}
        more = {"seconds": self.o.seconds, "connections": self.o.connections} | more
        measured = Wrk(url or self.url, path, **more).done()
        measured.cpu_us |= {group: cpu_us(ids) - before[group] for group, ids in pids.items()}
        enough = measured.requests > 20 * more["connections"]
        measured.busy = measured.per_second * measured.p50_us / 1e6 / more["connections"] if enough else 1.0
        if measured.broken:
            self.problems.append(f"wrk {path}: {measured.broken} requests without an answer")
        return measured

    def winners_only(self, measured, what):
        """A measurement of winning claims must have no other answers, because errors are faster."""
        if measured.refused > measured.requests // 100:
            self.problems.append(f"{what}: {measured.refused} of {measured.requests} claims that could win were refused")

    def claims(self, sale, **more):
        measured = self.winning(sale.name, sale.path, **more)
        measured.sale = sale
        return measured

    def winning(self, book, path, **more):
        """Winning claims by wrk, which does not wait for the last answer of each connection."""
        before = self.counters()
        measured = self.wrk(SERVICE, path + "/claims", method="POST", **({"tokens": self.tokens} | more))
        spent = {name: value - before.get(name, 0) for name, value in self.counters().items()}
        won = spent['seckill_claims_total{end="won"}']
        repeated = spent['seckill_claims_total{end="already-claimed"}']
        if repeated:
            self.problems.append(f"{path}: {repeated} claims of customers who had won: more --tokens are needed")
        measured.scripts = sum(n for name, n in spent.items() if name.startswith("seckill_scripts_total")) / max(won, 1)
        told, unknown = measured.requests - measured.refused - repeated, measured.refused + measured.broken
        self.expect(book, told, told + unknown + more.get("connections", self.o.connections))
        self.winners_only(measured, path)
        return measured

    def load(self, sale, *words, tokens=None):
        """load.c: it waits for every answer and counts it. Returns its report."""
        done = subprocess.run([BUILD / "tests/load/load", self.url, sale.title, "--tokens", tokens or self.tokens,
                               "--connections", str(self.o.connections), *map(str, words)], text=True, capture_output=True)
        assert done.returncode == 0, done
        report = json.loads(done.stdout)
        unknown = sum(a["count"] for name, a in report["answers"].items() if name.startswith(("0", "5")))
        self.expect(sale.name, report["won"], report["won"] + unknown)
        return report

    def some_tokens(self, count):
        """A file with the tokens of the first customers."""
        path = self.it.run / f"tokens-{count}"
        if not path.exists():
            with open(self.tokens) as every:
                path.write_text("".join(line for line, _ in zip(every, range(count))))
        return path
