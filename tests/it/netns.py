"""Hosts in network namespaces, with namespaces of their own for processes and mounts around all of them.

enter() starts this program again in there; it never returns outside. What is started inside ends with it, whatever ends
it: the kernel kills all processes with the first one, and the namespaces, the networks and the files under ROOT go with the
last. Nothing there is seen from outside, and nothing listens outside.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from harness import SOURCE, exit_on_signals
from tap import comment, need_all

ROOT = pathlib.Path("/run/hosts")  # a file system in memory, inside only
INSIDE = "SECKILL_INSIDE_NAMESPACES"
TOOLS = ("ip", "unshare", "setpriv", "mount", "cc")


def call(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def enter(*programs):
    """Returns in namespaces of its own. programs: what else the file needs. Without root or namespaces the file is skipped."""
    if os.environ.get(INSIDE):
        return _begin()
    need_all(*TOOLS, *programs)
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "-p", "-n", "--fork", "true"], capture_output=True).returncode:
        reason = "only root can make network namespaces" if os.geteuid() else "the kernel gives no network namespaces here"
        print(f"1..0 # SKIP {reason}", flush=True)
        sys.exit(0)
    inside = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "-m", "-p", "-n", "--fork", "--kill-child",
                               sys.executable, "-B", *sys.argv], env=os.environ | {INSIDE: "yes"})
    exit_on_signals()
    try:
        sys.exit(inside.wait())
    finally:
        inside.kill()
        inside.wait()


def _begin():
    child = os.fork()
    while child:  # the first process reaps, and its child does the work
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 255)
    call("mount", "--make-rprivate", "/")
    call("mount", "-t", "proc", "proc", "/proc")
    call("mount", "-t", "tmpfs", "tmpfs", "/run")
    ROOT.mkdir()
    call("cc", "-O2", "-shared", "-fPIC", "-o", ROOT / "skew.so", SOURCE / "tests/it/skew.c")
    call("ip", "link", "set", "lo", "up")
    for name, address in (("back", None), ("island", None), ("front", "10.0.1.1/24")):
        call("ip", "link", "add", name, "type", "bridge")
        call("ip", "link", "set", name, "up")
        if address:
            call("ip", "addr", "add", address, "dev", name)


class Host:
    """
    10.0.0.NUMBER in the network "back", in which servers and workers talk; with front also 10.0.1.NUMBER, where this
    process asks as a customer. files: a directory that no other host uses. clock_s: how far its clock is ahead.
    """

    def __init__(self, name, number, front=False, clock_s=0):
        self.name, self.address, self.files = name, f"10.0.0.{number}", ROOT / name
        self.front = f"10.0.1.{number}" if front else None
        self.parts, self.ports = {}, []
        self.clock = {"LD_PRELOAD": str(ROOT / "skew.so"), "SKEW_S": str(clock_s)} if clock_s else {}
        call("ip", "netns", "add", name)
        call("ip", "-n", name, "link", "set", "lo", "up")
        self._plug(name, "eth0", self.address, "back")
        if front:
            self._plug(name + "-front", "eth1", self.front, "front")
        self.files.mkdir()

    def _plug(self, port, interface, address, bridge):
        call("ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", self.name)
        self.ports.append(port)
        call("ip", "link", "set", port, "master", bridge, "up")
        call("ip", "-n", self.name, "addr", "add", address + "/24", "dev", interface)
        call("ip", "-n", self.name, "link", "set", interface, "up")

    def remove(self):
        self.signal(signal.SIGKILL)
        for process in self.parts.values():
            process.wait()
        for port in self.ports:  # the kernel removes what is in a namespace some time after the namespace
            call("ip", "link", "del", port)
        call("ip", "netns", "del", self.name)
        for folder in (self.files, *ROOT.glob(f"{self.name}.lost-*")):
            shutil.rmtree(folder, ignore_errors=True)

    # processes: each part is a session of its own, so that all of its processes can be found

    def words(self, *words):
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def run(self, *words, **more):
        return call(*self.words(*words), **more)

    def start(self, part, words, environment):
        (self.files / "log").mkdir(exist_ok=True)
        with open(self.files / "log" / f"{part}.log", "ab") as log:
            self.parts[part] = subprocess.Popen(self.words(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                env=environment | self.clock, start_new_session=True)

    def signal(self, number, *parts):
        for part in parts or list(self.parts):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.parts[part].pid, number)

    def kill(self, *parts):
        self.signal(signal.SIGKILL, *parts)
        for part in parts or list(self.parts):
            self.parts[part].wait()

    # the network

    def cut(self, bridge="island"):
        """Moves the host to another network. Hosts that are moved to the same one still reach each other."""
        call("ip", "link", "set", self.name, "master", bridge)

    def join(self):
        self.cut("back")

    def slow(self, *words):
        """tc's netem; false when the kernel does not have it."""
        return subprocess.run(["tc", "qdisc", "replace", "dev", self.name, "root", "netem", *words],
                              capture_output=True).returncode == 0

    def quick(self):
        subprocess.run(["tc", "qdisc", "del", "dev", self.name, "root"], capture_output=True)

    # logs

    def set_aside_logs(self):
        """Keeps the logs of a host that loses its files, for whoever has to find out what it did."""
        if (self.files / "log").exists():
            (self.files / "log").rename(ROOT / f"{self.name}.lost-{len(list(ROOT.glob(f'{self.name}.lost-*')))}")

    def logs(self):
        """All log files, those of earlier lives first."""
        return sorted(ROOT.glob(f"{self.name}.lost-*/*.log")) + sorted(self.files.glob("log/*.log"))

    def print_logs(self, lines=15):
        for log in self.logs():
            comment(f"--- {self.name} {log.name}")
            comment("\n".join(log.read_text(errors="replace").splitlines()[-lines:]))
