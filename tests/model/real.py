"""A private Redis and the scripts of lua/ in it, and traces of a model that are compared with what happens there."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "it"))
from tap import bail_out, until  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("top_srcdir") or HERE.parents[1])
BUILD = pathlib.Path(os.environ.get("top_builddir") or SOURCE / "build")


class Different(Exception):
    pass


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


def load(redis, names, script=None, old="", new="", everywhere=()):
    """The scripts of lua/, one of them perhaps broken; their SHA1 by name."""
    texts = {name: (SOURCE / "lua" / f"{name}.lua").read_text() for name in names}
    if script:
        assert old in texts[script], f"{script}.lua has no {old!r} any more"
        texts[script] = texts[script].replace(old, new)
    for where, there, instead in everywhere:
        texts[where] = texts[where].replace(there, instead)
    return dict(zip(names, redis.all([("SCRIPT", "LOAD", texts[name]) for name in names])))


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
