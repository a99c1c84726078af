"""A nemesis: kills and freezes processes of an instance, and cuts their connections, at random."""

import collections
import os
import pathlib
import signal
import threading
import time

from harness import PARTS, POOLS
from storm import kill
from stores import Redis
from tap import pause, until


class Nemesis:
    """Picks faults, carries them out and counts them. rest() ends all of them and waits until everything runs again."""

    def __init__(self, it, dice, faults=None):
        """faults: another table than FAULTS."""
        self.it, self.dice, self.counts, self.frozen = it, dice, collections.Counter(), []
        self.faults, self.struck = faults or FAULTS, []  # what was done, as (what, start, end) by time.monotonic()

    def kills(self):
        return sum(n for what, n in self.counts.items() if is_kill(what))

    def strike(self):
        _, what, act = self.dice.choices(self.faults, [weight for weight, *_ in self.faults])[0]
        start = time.monotonic()
        self.counts[what] += act(self)
        self.struck.append((what, start, time.monotonic()))

    def rest(self):
        for thread in self.frozen:
            thread.join()
        self.frozen.clear()
        for part in POOLS:
            self.it.full(part)
        self.it.redis.close()
        self.it.client.close()

    # what it can do; each returns how often it was done

    def signal(self, part, number, everyone=False):
        pids = self.it.workers(part)
        pids = pids if everyone else self.dice.sample(pids, min(1, len(pids)))
        kill(pids, number)
        return len(pids)

    def server(self, part, *how):
        self.it.dev("stop", part, *how)
        pause(self.dice.uniform(0, 0.5), "how long it is away")
        self.it.dev("start", part)
        return 1

    def kill_redis(self):
        """
        With everysec it answers while its writes wait in its memory for a slow fsync, up to 2 s, and a kill loses them:
        Redis's own limit. So that the check stays exact it is killed when all is written, with claims waiting for it.
        """
        if self.it.environment["SECKILL_APPENDFSYNC"] == "everysec":
            redis = Redis(self.it.redis.path, self.it.redis.password)
            redis("CLIENT", "PAUSE", 60000, "WRITE")
            until(lambda: "aof_buffer_length:0\r\n" in redis("INFO", "persistence"), 10, "all is written")
            redis.close()
        return self.server("redis", "-9")

    def reload(self):
        kill([self.it.leader("nginx")], signal.SIGHUP)
        return 1

    def freeze(self, part, program=None):
        """A process stands still for a while. A pidfd, because the pid may be reused after a kill."""
        pids, seconds = self.it.pids(part, program), self.dice.uniform(0.1, 2)
        if not pids:
            return 0
        try:
            fd = os.pidfd_open(self.dice.choice(pids))
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
        except ProcessLookupError:
            return 0
        self.frozen.append(threading.Thread(target=self._thaw, args=(fd, seconds), daemon=True))
        self.frozen[-1].start()
        return 1

    def _thaw(self, fd, seconds):
        pause(seconds, "how long it stands still")
        try:
            signal.pidfd_send_signal(fd, signal.SIGCONT)
        except ProcessLookupError:
            pass
        os.close(fd)

    def redis(self, *words):
        redis = Redis(self.it.redis.path, self.it.redis.password)
        redis(*words)
        redis.close()
        return 1


# weight, what it is called, what is done
FAULTS = (
    (12, "kill hot worker", lambda n: n.signal("hot", signal.SIGKILL)),
    (3, "kill all hot workers", lambda n: n.signal("hot", signal.SIGKILL, everyone=True)),
    (3, "kill cold worker", lambda n: n.signal("cold", signal.SIGKILL)),
    (2, "kill auth worker", lambda n: n.signal("auth", signal.SIGKILL)),
    (8, "kill drainer", lambda n: n.signal("drain", signal.SIGKILL)),
    (2, "kill all drainers", lambda n: n.signal("drain", signal.SIGKILL, everyone=True)),
    (4, "term hot worker", lambda n: n.signal("hot", signal.SIGTERM)),
    (1, "term cold worker", lambda n: n.signal("cold", signal.SIGTERM)),
    (1, "term auth worker", lambda n: n.signal("auth", signal.SIGTERM)),
    (2, "term drainer", lambda n: n.signal("drain", signal.SIGTERM)),
    (4, "kill redis", lambda n: n.kill_redis()),
    (2, "kill mysql", lambda n: n.server("mysql", "-9")),
    (1, "kill nginx", lambda n: n.server("nginx", "-9")),
    (1, "stop nginx", lambda n: n.server("nginx")),
    (2, "reload nginx", lambda n: n.reload()),
    (3, "freeze hot worker", lambda n: n.freeze("hot", "seckill-api")),
    (1, "freeze cold worker", lambda n: n.freeze("cold", "seckill-api")),
    (1, "freeze auth worker", lambda n: n.freeze("auth", "seckill-api")),
    (3, "freeze drainer", lambda n: n.freeze("drain", "seckill-orderd")),
    (2, "freeze redis", lambda n: n.freeze("redis")),
    (2, "freeze mysql", lambda n: n.freeze("mysql")),
    (1, "freeze nginx", lambda n: n.freeze("nginx")),
    (3, "flush scripts", lambda n: n.redis("SCRIPT", "FLUSH")),
    (3, "cut connections", lambda n: n.redis("CLIENT", "KILL", "TYPE", "normal")),
)


def processes(it):
    """The number of lasting processes of each part. Every process that names this instance must belong to a part."""
    known = {pid for part in PARTS for pid in it.pids(part)}
    strangers = []
    for at in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = at.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(it.run) in words and int(at.parent.name) not in known:
            strangers.append((at.parent.name, words))
    return {part: len(it.lasting(part)) for part in PARTS}, strangers


def as_before(it, before):
    """Waits until the same processes run as when processes() was asked."""
    try:
        until(lambda: processes(it) == before, 15, f"processes as before: {before}")
    except AssertionError as problem:
        raise AssertionError(f"{problem}: {processes(it)}")


def is_kill(what):
    return what.startswith(("kill", "term"))


def counted(counts):
    return ", ".join(f"{what} {n}" for what, n in counts.most_common() if n)
