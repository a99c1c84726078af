"""
The cases of a kill storm: one sale after the other, while a nemesis kills what serves it.

A storm begins with a restart of everything; even seeds run Redis with appendfsync always, odd ones with everysec (see
Nemesis.kill_redis). It has as many sales as it takes: when it was struck often enough, a sale has to prove what it promises, and
when all are over the queues, the dead letters and the processes must be as before.

IT_SEED=n: the first storm has this seed, the next ones n+1, n+2... A storm depends on nothing but its seed (and the machine), so
that each can be repeated alone. IT_SOAK_KILLS=n: storms until so many processes were killed (kill -9 and TERM), instead of a
few short ones.
"""

import collections
import os
import random
import time

from nemesis import FAULTS, Nemesis, as_before, counted, is_kill, processes
from storm import SEED
from tap import case, comment, pause, same

SOAK = int(os.environ.get("IT_SOAK_KILLS") or 0)
KILLS = 25  # of a storm, when it is a long one


class Storms:
    """
    what: the storm's name. make(it, dice) returns a sale under load, which has `over`, an Event that ends its load, and
    proof(), which checks it and returns a summary. strikes: how many a sale gets, at least and at most; rate: the most
    seconds between two of them; short: how many storms, when they are short; a short one ends after so many seconds of faults,
    or so many kills.
    """

    def __init__(self, what, make, users, faults=FAULTS, strikes=(8, 24), rate=0.3, seconds=7, kills=1000, short=2):
        self.make, self.users, self.faults = make, users, faults
        self.strikes, self.rate, self.seconds, self.most = strikes, rate, seconds, kills
        self.total = collections.Counter()
        for seed in range(SEED, SEED + (-(-SOAK // KILLS) if SOAK else short)):
            case(f"{what}, seed {seed}")(lambda it, seed=seed: self.storm(it, seed))
        case("in the end everything is balanced")(self.in_the_end)

    def kills(self):
        return sum(n for what, n in self.total.items() if is_kill(what))

    def storm(self, it, seed):
        if SOAK and self.kills() >= SOAK:
            return comment("enough were killed")
        dice = self.begin(it, seed)
        before, nemesis, faults = processes(it), Nemesis(it, random.Random(dice.random()), self.faults), 0.0
        try:
            while nemesis.kills() < (KILLS if SOAK else self.most) and (SOAK or faults < self.seconds):
                faults += self.one_sale(it, dice, nemesis, self.seconds - faults)
            same(it.sql("SELECT * FROM dead_letters"), [], "dead letters")
            as_before(it, before)
        finally:
            self.total.update(nemesis.counts)
            comment(f"{nemesis.kills()} kills: {counted(nemesis.counts)}")

    def begin(self, it, seed):
        """Everything anew. Returns the dice of this storm."""
        sync = ("always", "everysec")[seed % 2]
        it.environment["SECKILL_APPENDFSYNC"] = sync
        comment(f"IT_SEED={seed}, appendfsync {sync}")
        it.dev("stop")
        it.dev("start")
        it.redis.close()
        it.client.close()
        if not hasattr(it, "crowd"):
            it.crowd, it.vendor = it.users(self.users), it.seller()
        return random.Random(seed)

    def one_sale(self, it, dice, nemesis, seconds):
        """Strikes it, in a short storm for so many seconds at most, then lets it prove itself. Returns how long it was struck."""
        sale, began = self.make(it, dice, nemesis), time.monotonic()
        try:
            for _ in range(nemesis.dice.randint(*self.strikes)):
                nemesis.strike()
                pause(nemesis.dice.uniform(0, self.rate), "the rate of the faults")
                if not SOAK and (time.monotonic() - began > seconds or nemesis.kills() >= self.most):
                    break
            struck = time.monotonic() - began
            nemesis.rest()
            comment(sale.proof())
            return struck
        finally:
            sale.over.set()

    def in_the_end(self, it):
        audit = it.ctl("audit")
        same((audit.returncode, audit.stderr), (0, ""), f"the audit: {audit.stdout}")
        comment(f"{self.kills()} kills, IT_SEED={SEED}: {counted(self.total)}")
