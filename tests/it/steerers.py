"""What steered.py and steer_cluster.py share: calls of src/steer (steering.c), and customers who claim meanwhile."""

import subprocess
import threading
import time
from typing import NamedTuple

from harness import BUILD
from tap import same, until


def now_ms():
    return int(time.time() * 1000)


def rfc3339(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03}Z"


class Settings(NamedTuple):
    status: str
    state: str
    version: int
    amount: int
    withdrawn: int
    asked: int
    missed: int
    told: bool
    detail: str


def call(it, sale, *words, settings="seckill.conf", build=BUILD):
    """A call of tests/it/steering.c; None when it was killed."""
    done = subprocess.run([build / "tests/it/steering", it.run / settings, words[0], sale.seller.name, sale.name, *words[1:]],
                          capture_output=True, text=True, timeout=60, env=it.environment)
    if done.returncode < 0:
        return None
    assert done.returncode == 0, done
    status, state, version, amount, withdrawn, asked, missed, told, detail = done.stdout.rstrip("\n").split(" ", 8)
    return Settings(status, state, int(version), int(amount), int(withdrawn), int(asked), int(missed), told == "1", detail)


def steer(it, sale, **members):
    return call(it, sale, "apply", *(f"{name.replace('_', '-') if name == 'if_match' else name}={value}"
                                     for name, value in members.items()))


def expect(it, sale, status="ok", detail="", **members):
    said = steer(it, sale, **members)
    same(said.status, status, f"{members}: {said}")
    assert detail in said.detail, said
    return said


def slots(it, sale, *fields):
    """The fields of the hub, then of each segment."""
    keys = [sale.key("hub")] + [sale.key("s", i) for i in range(sale.segments)]
    return [tuple(it.redis("HMGET", key, *fields)) for key in keys]


def everywhere(it, sale, *wanted, fields=("version", "state")):
    same(set(slots(it, sale, *fields)), {tuple(map(str, wanted))}, "what the slots have")


class Crowd:
    """Customers who claim without rest until the block ends: (when it was asked, status, code) of each answer."""

    def __init__(self, it, sale, threads=6, users=600):
        self.it, self.sale, self.answers, self.stopped = it, sale, [], False
        people = it.users(users)
        self.threads = [threading.Thread(target=self._claim, args=(people[n::threads],), daemon=True) for n in range(threads)]

    def _claim(self, people):
        client = self.it.new_client()
        for user in people * 50:
            if self.stopped:
                return
            asked = time.monotonic()
            answer = self.sale.claim(user, client)
            self.answers.append((asked, answer.status, answer.code if answer.status >= 400 else ""))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        until(lambda: len(self.answers) > 20, 10, "claims run")
        return self

    def __exit__(self, *_):
        self.stopped = True
        for thread in self.threads:
            thread.join(20)

    def won_after(self, moment):
        return [a for a in self.answers if a[1] == 201 and a[0] > moment]
