"""Random traces of a model, replayed step by step on a private Redis with the scripts of lua/ (replay.py, lossy/replay.py)."""

import collections
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "it"))
from tap import bail_out, case, comment, need_all, run_cases, until  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("top_srcdir") or HERE.parents[1])
BUILD = pathlib.Path(os.environ.get("top_builddir") or SOURCE / "build")


class Different(Exception):
    """Redis and the model differ."""


class Redis:
    """A private server on a socket in a directory of its own, and one pipelined connection to it."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="replay.", dir="/tmp")
        path = self.directory + "/sock"
        self.server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path, "--dir", self.directory, "--save", "",
             "--appendonly", "no", "--daemonize", "no"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.connection = socket.socket(socket.AF_UNIX)
            until(lambda: self.connection.connect_ex(path) == 0, 10, "redis-server answers")
            self.reader = self.connection.makefile("rb")
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self.connection.close()
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def all(self, commands):
        """Sends them at once, and returns their replies."""
        self.connection.sendall(b"".join(map(self._encode, commands)))
        return [self._read() for _ in commands]

    @staticmethod
    def _encode(command):
        words = [str(word).encode() for word in command]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)

    def _read(self):
        line = self.reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest.decode()
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self._read() for _ in range(int(rest))]
        raise Different(f"Redis says {line!r}")


def load(redis, kind, script=None, old="", new=""):
    """Loads the scripts of lua/ that this kind of trace calls, one of them perhaps broken; returns their SHA1 by name."""
    originals = {name: (SOURCE / "lua" / f"{name}.lua").read_text() for name in kind.SCRIPTS}
    texts = dict(originals)
    for name, text, instead in [(script, old, new)] * bool(script) + list(kind.EVERYWHERE):
        assert text in originals[name], f"{name}.lua no longer contains {text!r}"
        texts[name] = texts[name].replace(text, instead)
    return dict(zip(texts, redis.all([("SCRIPT", "LOAD", text) for text in texts.values()])))


def words(answer):
    said = [int(word) if word.isdigit() else word for word in answer.split(" ")]
    return said[:-1] if said[0] == "NEED" else said  # without the moment


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def same(got, wanted, what):
    if got != wanted:
        raise Different(f"{what}: Redis has {got}, the model {wanted}")


def same_fields(got, wanted, what):
    for field, value in wanted.items():
        same(got.get(field), str(value), f"{field} of {what}")


def traces(model, count, seed):
    """Pairs: a sale, and its steps."""
    run = subprocess.run([model, "--traces", str(count), "--seed", str(seed)], capture_output=True, text=True)
    if run.returncode:
        bail_out(f"{model}: {run.stderr}")
    read = []
    for line in map(json.loads, run.stdout.splitlines()):
        if "trace" in line:
            read.append((line, []))
        else:
            read[-1][1].append(line)
    return read


class Trace:
    """One trace, on a coupon of its own. Each model has a class that adds take(step), which raises Different."""

    PROGRAM = ""     # the model's, below the build's tests/model
    SCRIPTS = ()     # the scripts of lua/ that are called
    EVERYWHERE = ()  # a script, a text in it, and what replaces that
    BROKEN = ()      # the same, with a name first: what must show as a difference
    KNOWN = (0, 0)   # traces on which it must show, and their seed: always the same, so that this is not luck
    LENGTH = (0, 0)  # traces of a run, and of a long one

    def __init__(self, redis, shas, sale):
        self.redis, self.shas, self.sale, self.segments = redis, shas, sale, sale["segments"]
        self.hub = f"{sale['trace']}:hub"
        redis.all([("DEL", key) for i in range(self.segments) for key in [self.hub, *self.keys(i)]])

    @staticmethod
    def may_show(broken, sale):
        """Whether a trace of this sale is to be tried with a script that is broken so."""
        return True

    def keys(self, segment):
        return [f"{self.sale['trace']}:{segment}:{part}" for part in ("segment", "owners", "orders")]

    def script(self, name, keys, *args):
        return ("EVALSHA", self.shas[name], len(keys), *keys, *args)

    def reads(self):
        """Commands that read the hub, and the segment, owners and orders of each segment."""
        reads = [("HGETALL", self.hub)]
        for segment, owners, orders in map(self.keys, range(self.segments)):
            reads += [("HGETALL", segment), ("HGETALL", owners), ("LRANGE", orders, 0, -1)]
        return reads


def replay(kind, redis, shas, read):
    """Returns how many steps were the same; raises Different with the way to the first that is not."""
    count = 0
    for sale, steps in read:
        trace = kind(redis, shas, sale)
        for number, step in enumerate(steps, 1):
            try:
                trace.take(step)
            except Different as difference:
                way = [kind.text(s) for s in steps[:number]]
                raise Different("\n".join([f"trace {sale['trace']}, step {number}: {difference}", str(sale), *way]))
            count += 1
    return count


def expect_difference(kind, read, name, *broken):
    @case(f"a script that is broken on purpose is noticed: {name}")
    def shows(redis, _):
        try:
            replay(kind, redis, load(redis, kind, *broken), read)
        except Different as difference:
            comment(str(difference).splitlines()[0])
            return
        raise AssertionError(f"{len(read)} traces without a difference")


def main(kind, name):
    """usage: replay.py [TRACES [SEED]]"""
    need_all("redis-server")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends, too
    count = int(sys.argv[1]) if len(sys.argv) > 1 else kind.LENGTH[os.environ.get("SECKILL_SOAK") == "1"]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    program = os.environ.get("MODEL") or str(BUILD / "tests/model" / kind.PROGRAM)
    comment(f"seed {seed}: replay.py {count} {seed}")

    @case(name)
    def traces_agree(redis, read):
        steps = replay(kind, redis, load(redis, kind), read)
        kinds = collections.Counter(kind.summary(step) for _, all_steps in read for step in all_steps)
        comment(f"{len(read)} traces, {steps} steps")
        comment(", ".join(f"{text} {n}" for text, n in sorted(kinds.items())))
    known = traces(program, *kind.KNOWN)
    for broken in kind.BROKEN:
        expect_difference(kind, [trace for trace in known if kind.may_show(broken, trace[0])], *broken)
    redis = Redis()
    try:
        return run_cases(redis, traces(program, count, seed))
    finally:
        redis.stop()
