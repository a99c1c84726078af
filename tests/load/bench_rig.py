"""What the benchmark runs beside the service, the load generator, and the counting of CPU.

The rig lives in the directory of the instance: an nginx with the ceilings (`return`, FastCGI hello), and where Debian's
Lua module is installed, an nginx + Lua peer with a Redis of its own that has the service's configuration.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "it"))
from harness import BUILD, PASSWORD, SOURCE, Instance, free_port  # noqa: E402, F401
from stores import Redis  # noqa: E402
from tap import until  # noqa: E402

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
LUA_MODULES = [pathlib.Path("/usr/lib/nginx/modules") / name for name in ("ndk_http_module.so", "ngx_http_lua_module.so")]
LUA_LIBRARY = pathlib.Path("/usr/share/lua/5.1/nginx/redis.lua")


def peer_is_installed():
    return all(path.exists() for path in (*LUA_MODULES, LUA_LIBRARY))


def cpu_us(pids):
    """User and system time of these processes, all threads, from /proc."""
    total = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2:].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK_US


class Measured:
    """One run of wrk."""

    def __init__(self, line):
        (self.requests, self.duration_us, self.p50_us, self.p99_us, self.max_us, client_us, self.refused,
         self.broken) = map(int, line.split()[1:])
        self.cpu_us = {"client": client_us}  # by group of processes
        self.scripts = self.sale = None

    @property
    def per_second(self):
        return self.requests * 1e6 / self.duration_us

    def cost(self, group):
        return self.cpu_us.get(group, 0) / max(self.requests, 1)


class Wrk:
    """A running wrk; done() waits for its numbers."""

    def __init__(self, url, path, seconds, connections, method="GET", tokens=None, body=None, coupons=0):
        wishes = {"REQUEST_PATH": path, "METHOD": method, "TOKENS": tokens, "BODY": body, "COUPONS": coupons}
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "8", "-s", HERE / "wrk.lua", url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env=os.environ | {k: str(v) for k, v in wishes.items() if v})

    def done(self):
        text, _ = self.process.communicate()
        lines = [line for line in text.splitlines() if line.startswith("RESULT ")]
        if self.process.returncode or not lines:
            raise RuntimeError(f"wrk failed: {text}")
        return Measured(lines[0])


class Rig:
    def __init__(self, it, appendfsync):
        self.it, self.run, self.appendfsync = it, it.run / "rig", appendfsync
        self.parts, self.has_peer = {}, peer_is_installed()
        self.redis = None

    # processes

    def start(self):
        for name in ("etc", "tmp", "redis", "log"):
            (self.run / name).mkdir(parents=True)
        workers = self.it.pool_size("hot")
        self._spawn("hello", [shutil.which("spawn-fcgi"), "-n", "-s", self.run / "hello.sock", "-M", "0660", "-b", 4096,
                              "--", shutil.which("multiwatch"), "-f", workers, "-r", 1000, "-t", 100, "--",
                              BUILD / "tests/load/hello"])
        until(lambda: _listens(self.run / "hello.sock"), 10, "hello's socket")
        self.ceiling = self._nginx("ceiling", [])
        if self.has_peer:
            self._start_peer()

    def _start_peer(self):
        path = self.run / "peer-redis.sock"
        self._spawn("peer-redis", ["redis-server", SOURCE / "docker/redis.conf", "--unixsocket", path,
                                   "--dir", self.run / "redis", "--appendfsync", self.appendfsync])
        until(lambda: _listens(path), 10, "the peer's Redis")
        self.redis = Redis(str(path), None)
        sha = self.redis("SCRIPT", "LOAD", (HERE / "peer_claim.lua").read_text())
        kid, key = self.it.token_key()
        self.peer = self._nginx("peer", LUA_MODULES, LOAD=HERE, SCRIPT=sha, KID=kid, KEY=key.hex())

    def _nginx(self, name, modules, **values):
        """An nginx with the service's main configuration and this server. Returns its URL."""
        port = free_port()
        values = {"RUN": self.run, "ACCESS_LOG": "off", "LISTEN": f"127.0.0.1:{port}"} | values
        main = (SOURCE / "nginx/nginx.conf.in").read_text()
        main = main.replace("nginx-seckill.conf", f"{name}-server.conf").replace("/tmp/nginx.pid", f"/tmp/{name}.pid")
        main = "".join(f'load_module "{m}";\n' for m in modules) + main
        _render(main, values, self.run / f"etc/{name}.conf")
        _render((HERE / f"{name}.conf.in").read_text(), values, self.run / f"etc/{name}-server.conf")
        root = ["-g", "user root;"] if os.getuid() == 0 else []
        self._spawn(name, ["nginx", "-e", "stderr", "-c", self.run / f"etc/{name}.conf", *root])
        until(lambda: _listens(port), 10, f"the nginx of {name}")
        return f"http://127.0.0.1:{port}"

    def _spawn(self, name, command):
        environment = os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        with open(self.run / f"log/{name}.log", "ab") as log:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True, env=environment)
        self.parts[name] = process
        (self.it.run / "pid" / name).write_text(f"{process.pid} -\n")  # where the instance looks for the processes of a part

    def stop(self):
        for name, process in reversed(self.parts.items()):
            for pid in self.it.pids(name):
                _kill(pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
            for pid in self.it.pids(name):
                _kill(pid, signal.SIGKILL)
            process.wait()
        self.parts = {}

    # the peer's sale

    def peer_sale(self, name, amount):
        self.redis("HSET", "peer:{shop/%s}:s" % name, "gen", 1, "state", "open", "t0", 0, "t1", 0, "left", amount, "n", 0)
        return f"/api/users/shop/coupons/{name}/claims"

    def peer_sold(self, name):
        slot = "peer:{shop/%s}:" % name
        n = int(self.redis("HGET", slot + "s", "n"))
        owners, queued = self.redis("HLEN", slot + "o"), self.redis("LLEN", slot + "q")
        assert n == owners == queued, f"the peer's own books differ: {n} sold, {owners} owners, {queued} queued"
        return n


def _render(text, values, path):
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    path.write_text(text)


def _listens(address):
    """A port of this machine, or the path of a unix socket."""
    is_port = isinstance(address, int)
    with socket.socket(socket.AF_INET if is_port else socket.AF_UNIX) as s:
        return s.connect_ex(("127.0.0.1", address) if is_port else str(address)) == 0


def _kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
