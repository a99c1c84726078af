#!/usr/bin/env -S python3 -B
"""The Lua scripts alone, against a redis-server of this test: each reply, and the protocol of hub and segments under
messages that are lost, late, repeated and reordered.

Environment: top_srcdir; SEED repeats a run.
"""

import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from nodes import free_ports
from stores import Redis, RedisError
from tap import case, comment, need_all, run_cases, same, until

SOURCE = pathlib.Path(os.environ.get("top_srcdir") or pathlib.Path(__file__).parents[2])
NAMES = [path.stem for path in sorted((SOURCE / "lua").glob("*.lua"))]
FENCE = "2:5@life"
OTHER = "2:6@life"  # of a later generation
DOUBT = "2:5@"
HUB = "sk:{7:h}:hub"
FOREVER = 10**15
BASE = 1 << 20
HIGH = (2**53 - 1) // BASE * BASE  # of the highest numbers that there are


class Server(Redis):
    """A redis-server and the scripts in it."""

    def __init__(self, port=0, *options):
        self.folder = tempfile.mkdtemp(prefix="seckill-scripts-", dir="/tmp")
        super().__init__(self.folder + "/redis.sock", None)
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", self.path, "--dir", self.folder,
             "--save", "", "--logfile", self.folder + "/log", *options], stdout=subprocess.DEVNULL)
        self.sha = {}

    def _connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(self.path)
        self.file = s.makefile("rwb")
        s.close()

    def ready(self):
        def answers():
            with contextlib.suppress(OSError, RedisError):
                return self("PING") == "PONG"
        until(answers, 10, "redis-server")
        self.sha = {name: self("SCRIPT", "LOAD", (SOURCE / "lua" / (name + ".lua")).read_text()) for name in NAMES}

    def stop(self):
        self.close()
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder)

    def run(self, name, keys, *arguments):
        return self("EVALSHA", self.sha[name], len(keys), *keys, *arguments)


def words(answer):
    """Of a claim: a word and numbers; or FENCED and a fence, if there is one; or BROKEN and an error."""
    word, *rest = answer.split(" ")
    if word == "BROKEN":
        return [word, answer]
    if word == "NEED":
        assert abs(int(rest.pop()) - time.time() * 1000) < 60_000, answer
    return [word, *(rest[0] and rest or [None])] if word == "FENCED" else [word, *map(int, rest)]


class Coupon:
    """Coupon 7 in Redis, and its scripts as calls. The incarnation is the first one unless it is named: base 0, term 0."""

    at_once = True  # units that are added are for customers, without a pause

    def __init__(self, redis, amount, segments, each=0, starts=0, ends=0):
        redis("FLUSHALL")
        self.redis, self.segments = redis, segments
        self.open_hub(amount, each)
        for i in range(segments):
            self.open_segment(i, each, starts, ends)

    def open_hub(self, amount, each, extra=0, fence=FENCE, pays=0):
        return self.redis.run("open_hub", [HUB], fence, amount, self.segments, each, extra, pays)

    def open_segment(self, i, units, starts=0, ends=0, fence=FENCE):
        return self.redis.run("open_segment", [self.key(i)], fence, starts, ends, units)

    @staticmethod
    def key(i, kind="s"):
        return f"sk:{{7:{i}}}:{kind}"

    def claim(self, i, user, granted="", taken="", base=0, term=0, fence=FENCE):
        return self.batch((i, user, granted, taken, base, term, fence))[0]

    def batch(self, *claims):
        """Each of them: segment, user, granted, taken, base, term, fence. An answer each: a word, and numbers."""
        return self.groups(*((i, [user], *rest) for i, user, *rest in claims))

    def groups(self, *groups):
        """Each of them: segment, users, granted, taken, base, term, fence. An answer for each user: a word, and numbers."""
        keys = [self.key(i, kind) for i, *_ in groups for kind in "soq"]
        arguments = [word for _, users, *rest in groups for word in (len(users), *self.common(*rest), *users)]
        return [words(answer) for answer in self.redis.run("claim", keys, len(groups), *arguments)]

    @staticmethod
    def common(granted="", taken="", base=0, term=0, fence=FENCE, most=""):
        totals = "" if granted == "" else f"{granted} {taken} {base} {term}"
        return [fence, totals, most]

    def debit(self, i, take=1, term="", fence=FENCE):
        return self.redis.run("debit", [self.key(i)], fence, take, term)

    def exchange(self, i, received, sent, left, want, probes=64, *reports, base=0, term=0, fence=FENCE):
        return self.redis.run("exchange", [HUB], fence, i, received, sent, left, base, term, want, probes, *reports)

    def flag(self, i, epoch, moment, held="", fence=FENCE):
        return self.redis.run("flag", [self.key(i)], fence, epoch, moment, held)

    def supply(self, amount, cancelled=0, fence=FENCE):
        reply = self.tell(amount, cancelled, fence=fence)
        if self.at_once and self.redis("HGET", HUB, "opening") == "1":
            self.redis("HSET", HUB, "opening", 0)  # as if workers had forgotten already
        return reply[:3]  # then whether it is opening, and whether the epoch rose

    def tell(self, amount, cancelled=0, final=0, final_cancelled=0, pays=0, pay_by="", waited=0, fence=FENCE):
        return self.redis.run("supply", [HUB], fence, amount, cancelled, final, final_cancelled, pays, pay_by, waited)

    def release(self, i, *orders, fence=FENCE):
        """Each of them: user, number, 1 for an entry that stays."""
        return self.redis.run("release", [self.key(i), self.key(i, "o")], fence, *(word for order in orders for word in order))

    def hub(self):
        return self.fields(HUB)

    def segment(self, i):
        return self.fields(self.key(i))

    def segment_as_text(self, i):
        return sorted(self.redis("HGETALL", self.key(i)))

    def fields(self, key):
        flat = self.redis("HGETALL", key)
        return {name: value if name in ("fence", "state", "empty", "heard", "held") else int(value)
                for name, value in zip(flat[::2], flat[1::2])}

    def orders(self, i):
        return self.redis("LRANGE", self.key(i, "q"), 0, -1)

    def everything(self):
        return {key: self.redis("DUMP", key) for key in self.redis.keys()}


def now():
    return int(time.time() * 1000)


def unchanged(coupon, call, wanted):
    """The call says so, and did nothing."""
    before = coupon.everything()
    same(call(), wanted, "reply")
    same(coupon.everything(), before, "what is in Redis")


# Opening


@case("a coupon is opened once; opening it again changes nothing; another generation is fenced")
def opening(redis):
    c = Coupon(redis, 100, 3, each=10)
    same(c.hub(), {"fence": FENCE, "amount": 100, "withdrawn": 0, "cancelled": 0, "final": 0, "final_cancelled": 0,
                   "pays": 0, "pay_by": 0, "segments": 3, "avail": 70, "empty": "000", "heard": "111", "sold_out": 0, "epoch": 0, "term": 0,
                   "G0": 10, "G1": 10, "G2": 10, "R0": 0, "R1": 0, "R2": 0, "B0": 0, "B1": 0, "B2": 0,
                   "version": 0, "state": "open", "t0": 0, "t1": 0}, "hub")
    same(c.segment(1), {"fence": FENCE, "state": "open", "version": 0, "t0": 0, "t1": 0, "left": 10, "sold": 0, "last": 0, "base": 0,
                        "term": 0, "I": 10, "O": 0, "epoch": 0, "until": 0}, "segment")
    c.claim(1, 42)
    unchanged(c, lambda: c.open_hub(100, 10), ["OK", 0])
    unchanged(c, lambda: c.open_segment(1, 10), ["OK", 0])
    unchanged(c, lambda: c.open_hub(100, 10, fence=OTHER), ["FENCED", FENCE])
    unchanged(c, lambda: c.open_segment(1, 10, fence=OTHER), ["FENCED", FENCE])
    for fence in ("2:5@another", "2:5!"):  # of the same generation
        redis("HSET", HUB, "fence", fence)
        unchanged(c, lambda: c.open_hub(100, 10), ["OK", 0])
    redis("HSET", HUB, "fence", "5@life")  # of layout 1
    unchanged(c, lambda: c.open_hub(100, 10), ["FENCED", "5@life"])


@case("the first segments get what does not divide, and 256 segments are not too many")
def division(redis):
    c = Coupon(redis, 0, 0)
    redis("FLUSHALL")
    c.segments = 256
    same(c.open_hub(1000, 3, extra=232), ["OK", 1], "opened")
    h = c.hub()
    same([h["G0"], h["G231"], h["G232"], h["G255"], h["avail"]], [4, 4, 3, 3, 0], "granted")
    same((h["empty"], h["heard"]), ("0" * 256, "1" * 256), "marks")


# Claims


@case("a claim takes a unit, and the user's next one names the same order")
def claims(redis):
    c = Coupon(redis, 2, 1, each=2)
    won = c.claim(0, 42)
    same(won[:3], ["WON", 1, 1], "won")
    same(c.orders(0), [f"1|42|{won[3]}"], "list")
    assert abs(won[3] - time.time() * 1000) < 5000, won
    unchanged(c, lambda: c.claim(0, 42), ["MINE", 1])
    same(c.claim(0, 43)[:3], ["WON", 2, 0], "won")
    unchanged(c, lambda: c.claim(0, 44), ["NEED", 2, 0, 0, 0])
    same({k: c.segment(0)[k] for k in ("left", "sold", "last")}, {"left": 0, "sold": 2, "last": 2}, "segment")


@case("a batch: each group is decided for itself, and each claim in its order, whatever becomes of the others")
def batches(redis):
    c = Coupon(redis, 5, 3, each=1)
    redis("DEL", c.key(1, "o"))
    redis("SET", c.key(1, "o"), "no hash")
    before = c.segment(1)
    answers = c.groups((0, [42, 43, 42]), (1, [44, 48]), (0, [42, 46], 3, 0), (2, [45], "", "", 0, 0, "2:9@life"),
                       (2, [7, 8], 0, 9))  # the last one: it went back in time
    same([a[0] for a in answers], ["WON", "NEED", "MINE", "BROKEN", "BROKEN", "MINE", "WON", "FENCED", "REGRESS", "REGRESS"],
         "answers")
    assert "WRONGTYPE" in answers[3][1], answers[3]
    same((c.segment(0)["left"], c.segment(0)["sold"]), (1, 2), "left and sold where the batch won and was credited")
    same(c.segment(1), before, "the segment that is broken")
    same(c.batch((2, 45), (2, 46), (0, 43))[1][0], "NEED", "the second of two")
    same([len(c.orders(i)) for i in range(3)], [3, 0, 1], "orders")


@case("a list, owners or a number of a wrong type: nothing is written, and every claim of the group is told so")
def broken_groups(redis):
    for key, value in ((("s", 0), "left"), (("s", 0), "sold"), (("o", 0), None), (("q", 0), None)):
        c = Coupon(redis, 5, 1, each=5)
        if value:
            redis("HSET", c.key(0), value, "many")
        else:
            redis("SET", c.key(0, key[0]), "a text")
        before = c.segment_as_text(0)
        same({a[0] for a in c.groups((0, [42, 43]))}, {"BROKEN"}, f"answers with a broken {key[0]} {value or ''}")
        same(c.segment_as_text(0), before, "segment")


def random_groups(dice, segments):
    """Claims of few users, some of them twice, in groups of all kinds."""
    users = [0, *range(1, 9)]
    kinds = [(), (), (), ("", "", 0, 0, OTHER), (dice.randint(0, 9), 0), (dice.randint(0, 9), dice.randint(0, 2)),
             ("", "", 0, 0, FENCE, dice.randint(0, 3))]
    return [(dice.randrange(segments), [dice.choice(users) for _ in range(dice.randint(1, 6))], *dice.choice(kinds))
            for _ in range(dice.randint(1, 5))]


def without_moments(c, answers):
    """Answers and keys, without what the clock says."""
    orders = [[record.rsplit("|", 1)[0] for record in c.orders(i)] for i in range(c.segments)]
    owners = [c.fields(c.key(i, "o")) for i in range(c.segments)]
    return [[*a[:3], *a[4:]] if a[0] == "WON" else a[:1] if a[0] == "EARLY" else a for a in answers], \
        [c.segment(i) for i in range(c.segments)], owners, orders


@case("groups of claims do what their claims do one by one, in any state")
def groups_are_their_claims(redis):
    seed = os.environ.get("SEED") or random.randrange(10**6)
    comment(f"SEED={seed}")
    dice, kinds = random.Random(seed), set()
    for _ in range(600):
        now = int(time.time() * 1000)
        opening = dict(amount=30, segments=2, each=dice.randint(0, 5), starts=dice.choice([0, 0, 0, now + 60_000]),
                       ends=dice.choice([0, 0, 0, now - 5]))
        state, hint = dice.choice(["open"] * 4 + ["paused", "ended"]), dice.choice([0, 0, now + 900, now + 9_000])
        groups, seen = [random_groups(dice, 2) for _ in range(3)], []
        for at_once in (True, False):
            c = Coupon(redis, **opening)
            for i in range(2):
                redis("HSET", c.key(i), "state", state, "until", hint)
            answers = []
            for batch in groups:
                if at_once:
                    answers += c.groups(*batch)
                else:
                    answers += [c.groups((i, [user], *rest))[0] for i, users, *rest in batch for user in users]
            kinds |= {a[0] for a in answers}
            seen.append(without_moments(c, answers))
        if time.time() * 1000 < now + 800:  # else the flag may have ended in between
            same(seen[0], seen[1], f"{opening} {state} {hint} {groups}, at once and one by one")
    same(kinds, {"WON", "MINE", "FULL", "NEED", "SOLDOUT", "EARLY", "ENDED", "PAUSED", "OK", "FENCED", "REGRESS"}, "answers")


@case("where one server holds every slot, a coupon with orders is noted with its first one")
def noted(redis):
    c = Coupon(redis, 5, 1, each=4)

    def claim(*users):
        keys = [c.key(0), c.key(0, "o"), c.key(0, "q"), "sk:dirty"]
        return [words(a) for a in redis.run("claim", keys, 1, len(users), *c.common(), "7:1", *users)]
    same([a[0] for a in claim(42, 42, 41)], ["WON", "MINE", "WON"], "answers")
    same(redis("SMEMBERS", "sk:dirty"), ["7:1"], "coupons with orders")
    unchanged(c, lambda: claim(42)[0], ["MINE", 1])
    redis("DEL", "sk:dirty")
    same(claim(43)[0][:3], ["WON", 3, 1], "won, the third on the list")
    same(redis("EXISTS", "sk:dirty"), 0, "noted once")
    redis("DEL", c.key(0, "q"))
    redis("SET", "sk:dirty", "no set")
    same(claim(44)[0][:3], ["WON", 4, 0], "won, with a set that is none")
    same(len(c.orders(0)), 1, "orders on the list")
    unchanged(c, lambda: claim(45)[0], ["NEED", 4, 0, 0, 0])


@case("a coupon leaves the set of those with orders only if no order waits in any of its segments")
def forgetting(redis):
    redis("FLUSHALL")
    c = Coupon(redis, 12, 12, each=1)
    redis("SADD", "sk:dirty", "7:12", "8:12")
    forget = lambda: redis.run("forget", ["sk:dirty", c.key(0, "q")], "7:12", 12)
    for i in (0, 9, 10, 11):
        c.claim(i, 42 + i)
        same((forget(), redis("SCARD", "sk:dirty")), (0, 2), f"an order waits in segment {i}")
        redis("DEL", c.key(i, "q"))
    redis("CONFIG", "SET", "maxmemory", 1)
    same((forget(), redis("SMEMBERS", "sk:dirty")), (1, ["8:12"]), "none waits, on a full server")
    redis("CONFIG", "SET", "maxmemory", 0)
    same(forget(), 0, "again")


@case("credit: a total is credited once, however often it comes, and late ones are ignored")
def credit(redis):
    c = Coupon(redis, 20, 1, each=0)
    same(c.claim(0, 0, 5, 0), ["OK", 5, 5, 0], "credited")
    unchanged(c, lambda: c.claim(0, 0, 5, 0), ["OK", 5, 5, 0])
    unchanged(c, lambda: c.claim(0, 0, 3, 0), ["OK", 5, 5, 0])
    same(c.claim(0, 42, 6, 0)[:3], ["WON", 1, 5], "credited and won")
    same(c.segment(0)["I"], 6, "received")
    same(c.claim(0, 42, 9, 0), ["MINE", 1], "credited, though the user has an order")
    same(c.segment(0)["left"], 8, "left")


@case("the window is judged by Redis's clock, and an end is final")
def window(redis):
    now = int(time.time() * 1000)
    c = Coupon(redis, 5, 1, each=5, starts=now + 60000)
    early = c.claim(0, 42)
    same(early[0], "EARLY", "before the start")
    assert 50000 < early[1] <= 60000, early
    c = Coupon(redis, 5, 1, each=5, starts=now - 60000, ends=now + 60000)
    same(c.claim(0, 42)[0], "WON", "in the window")
    c = Coupon(redis, 5, 1, each=5, ends=now - 1)
    same(c.claim(0, 42), ["ENDED"], "after the end")
    redis("HSET", c.key(0), "t1", now + 60000)
    same(c.claim(0, 42), ["ENDED"], "and the clock goes back")


@case("a paused or ended sale still returns the winner's order")
def states(redis):
    c = Coupon(redis, 5, 1, each=5)
    c.claim(0, 42)
    for state, word in (("paused", "PAUSED"), ("ended", "ENDED")):
        redis("HSET", c.key(0), "state", state)
        unchanged(c, lambda: c.claim(0, 42), ["MINE", 1])
        unchanged(c, lambda: c.claim(0, 43), [word])


# Steering


@case("a slot takes a state of a higher version only, whenever it comes, and says which version it has")
def steered(redis):
    c = Coupon(redis, 10, 1, each=5)
    for key in (HUB, c.key(0)):
        def steer(version, state="paused", starts=0, ends=0, fence=FENCE):
            return redis.run("steer", [key], fence, version, state, starts, ends)
        same(steer(3, "paused", 7, 9), ["OK", 3], "a first one")
        unchanged(c, lambda: steer(3, "open"), ["OK", 3])
        unchanged(c, lambda: steer(2, "ended"), ["OK", 3])
        unchanged(c, lambda: steer(9, fence=OTHER), ["FENCED", FENCE])
        same(redis("HMGET", key, "version", "state", "t0", "t1"), ["3", "paused", "7", "9"], "what it has")
        same(steer(4, "open"), ["OK", 4], "a later one")
        redis("HDEL", key, "version", "t0", "t1")  # as earlier programs left it
        same(steer(1, "ended", 0, 5), ["OK", 1], "the first one of a slot without a version")
        same(redis("HMGET", key, "version", "state", "t1"), ["1", "ended", "5"], "what it has")


@case("a hub that is paused or over grants nothing and does not say sold out; it takes reports; an end by time is final")
def closed_hub(redis):
    c = Coupon(redis, 10, 2, each=2)
    for state, word in (("paused", "PAUSED"), ("ended", "ENDED")):
        redis("HSET", HUB, "state", state)
        unchanged(c, lambda: c.exchange(0, 2, 0, 2, 1), [word])
    redis("HSET", HUB, "state", "paused")
    c.debit(1)
    same(c.exchange(1, 2, 2, 0, 0), ["OK", 2, 2], "a report")
    same(c.hub()["avail"], 8, "units at the hub")
    for state in ("open", "paused"):
        redis("HSET", HUB, "state", state, "t1", now() - 1000)
        same(c.exchange(0, 2, 0, 0, 1), ["ENDED"], "after the end")
        same(c.hub()["state"], "ended", "state")
    redis("HDEL", HUB, "state", "t0", "t1", "version")  # as earlier programs left it
    same(c.exchange(0, 2, 0, 0, 1)[0], "GRANT", "a hub without a state")


@case("a sale that is paused when its time is over has ended")
def over_while_paused(redis):
    c = Coupon(redis, 5, 1, each=5, ends=now() - 1000)
    redis("HSET", c.key(0), "state", "paused")
    same(c.claim(0, 42), ["ENDED"], "a claim")
    same(c.segment(0)["state"], "ended", "state")


@case("an opening gives a slot the highest version that is known, and never an older one")
def opened_with_state(redis):
    c = Coupon(redis, 10, 1, each=5)
    def term(number, *state):
        redis("HSET", HUB, "fence", DOUBT)
        return redis.run("term", [HUB], DOUBT, FENCE, number, 0, *state)[0]
    same(term(1, 5, "paused", 1, 2), "OK", "a term")
    same(redis("HMGET", HUB, "version", "state", "t0", "t1"), ["5", "paused", "1", "2"], "hub")
    same(term(2, 4, "open", 0, 0), "OK", "a term with an older state")
    same(redis("HMGET", HUB, "version", "state", "t0", "t1"), ["5", "paused", "1", "2"], "hub")
    redis("HDEL", HUB, "version", "state", "t0", "t1")
    same(term(3, 0, "open", 1, 2), "OK", "a term of a hub without a version")
    same(redis("HMGET", HUB, "version", "state", "t0", "t1"), ["0", "open", "1", "2"], "hub")
    def reopen(base, *state):
        redis("HSET", c.key(0), "fence", DOUBT, "next", base)
        return redis.run("reopen", [c.key(0), c.key(0, "q"), c.key(0, "o")], DOUBT, base, FENCE, "", "", 0, *state)[0]
    same(reopen(BASE, 7, "ended", 1, 2), "OK", "an opening")
    same(redis("HMGET", c.key(0), "version", "state", "t0", "t1"), ["7", "ended", "1", "2"], "segment")
    same(reopen(2 * BASE, 6, "open", 0, 0), "OK", "an opening with an older state")
    same(redis("HMGET", c.key(0), "version", "state", "t0", "t1"), ["7", "ended", "1", "2"], "segment")


@case("withdrawing: what the hub has, then what comes back to it, then the rest is given up; late and repeated calls take nothing")
def withdrawing(redis):
    c = Coupon(redis, 10, 2, each=3)
    def withdraw(asked, missed=0, probes=8, fence=FENCE):
        return redis.run("withdraw", [HUB], fence, asked, missed, probes)
    def books():
        hub = c.hub()
        return tuple(hub.get(name, 0) for name in ("withdrawn", "asked", "missed", "avail"))
    unchanged(c, lambda: withdraw(3, fence=OTHER), ["FENCED", FENCE])
    same(withdraw(3), ["OK", 3, 0], "three")
    same(books(), (3, 3, 0, 1), "books")
    unchanged(c, lambda: withdraw(3), ["OK", 3, 0])
    unchanged(c, lambda: withdraw(2), ["OK", 3, 0])
    same(withdraw(6, probes=1), ["MORE", 4, 0, 0, 0, 3, 0, 0], "six, of which the hub has four")
    same(withdraw(6), ["MORE", 4, 0, 0, 0, 3, 0, 0, 1, 3, 0, 0], "again, with both segments")
    c.claim(0, 41)
    c.debit(0)  # of its three it returns two
    same(c.exchange(0, 3, 2, 0, 1)[0], "NONE", "a question: what was returned is withdrawn")
    same(books(), (6, 6, 0, 0), "books")
    same(withdraw(9), ["MORE", 6, 0, 0, 1, 3, 0, 0], "nine")
    for user in (51, 52):
        c.claim(1, user)
    c.debit(1)
    same(c.exchange(1, 3, 1, 0, 0), ["OK", 3, 1], "a report")
    same(books(), (7, 9, 0, 0), "books")
    same(withdraw(9), ["OK", 7, 2], "nothing is left: two are given up")
    c.supply(12)
    same(books(), (7, 9, 2, 2), "units that are added stay on sale")
    unchanged(c, lambda: withdraw(9), ["OK", 7, 2])
    unchanged(c, lambda: withdraw(8), ["OK", 7, 2])
    same(withdraw(10, 2), ["OK", 8, 2], "one more")
    redis("HSET", HUB, "heard", "10")
    unchanged(c, lambda: withdraw(11), ["UNHEARD"])


@case("a hub that lost a withdrawal gets it from MySQL; until all have reported it may have less than nothing")
def withdrawal_told(redis):
    c = Coupon(redis, 10, 1, each=7)
    def tell(withdrawn, missed):
        return redis.run("supply", [HUB], FENCE, 10, 0, 0, 0, 0, "", 0, withdrawn, missed)[0]
    same(tell(5, 2), "OK", "told")
    same({k: c.hub()[k] for k in ("withdrawn", "missed", "avail")}, {"withdrawn": 5, "missed": 2, "avail": -2}, "hub")
    unchanged(c, lambda: tell(4, 1), "OK")
    c.debit(0)
    same(c.exchange(0, 7, 7, 0, 1)[:2], ["GRANT", 12], "what is left is granted")


# Fences


@case("another generation, or nothing there at all, does nothing")
def fenced(redis):
    c = Coupon(redis, 100, 2, each=10)
    calls = [lambda: c.claim(0, 42, fence=OTHER), lambda: c.claim(0, 0, 50, 0, fence=OTHER), lambda: c.debit(0, fence=OTHER),
             lambda: c.exchange(0, 10, 0, 0, 1, fence=OTHER), lambda: c.flag(0, 1, FOREVER, fence=OTHER),
             lambda: c.supply(200, fence=OTHER), lambda: c.release(0, (42, 1, 0), fence=OTHER)]
    for call in calls:
        unchanged(c, call, ["FENCED", FENCE])
    redis("HSET", c.key(0), "fence", "2:5@")  # in doubt
    unchanged(c, lambda: c.claim(0, 42), ["FENCED", "2:5@"])
    redis("FLUSHALL")
    for call in calls:
        unchanged(c, call, ["FENCED", None])


@case("a fence is changed only where it is the one expected")
def changed(redis):
    c = Coupon(redis, 100, 1, each=10)
    fence = lambda *words: redis.run("fence", [c.key(0)], *words)
    same(fence("2:9@other", "2:5@new"), ["FENCED", FENCE], "reply")
    same(fence(FENCE, "2:5@new"), ["OK"], "reply")
    same(fence(FENCE, "2:5@new"), ["OK"], "reply")
    same(fence("", "2:5!"), ["OK"], "reply")
    unchanged(c, lambda: c.claim(0, 42, fence="2:5@new"), ["FENCED", "2:5!"])
    same(fence("", "2:6@new"), ["OK"], "reply")
    same(fence("", "2:5!"), ["FENCED", "2:6@new"], "an earlier recovery that comes late")
    for there, new, reply in (
            ("2:9@x", "2:10@x", ["OK"]), ("2:10@x", "2:9@x", ["FENCED", "2:10@x"]), ("5@x", "2:5!", ["OK"]),
            ("6@x", "2:5!", ["FENCED", "6@x"]), ("3:5@x", "2:6!", ["FENCED", "3:5@x"]), ("3:5@x", "5!", ["FENCED", "3:5@x"]),
            ("garbage", "2:6!", ["OK"]), ("", "2:6!", ["OK"]),
            (f"2:{HIGH + 1}@x", f"2:{HIGH}!", ["FENCED", f"2:{HIGH + 1}@x"])):
        redis("HSET", c.key(0), "fence", there)
        same(fence("", new), reply, f"{new} over {there}")
    redis("HDEL", c.key(0), "fence")
    same(fence("", "2:6!"), ["OK"], "reply where there was none")


@case("a description of an older generation or version changes nothing")
def described(redis):
    redis("DEL", "sk:{7:h}:d")
    for generation, version, stock, is_now in (
            ("5", "0", "1", ["5", "0", "1"]), ("7", "0", "2", ["7", "0", "2"]), ("7", "0", "3", ["7", "0", "3"]),
            ("6", "1", "4", ["7", "0", "3"]), ("7", "2", "5", ["7", "2", "5"]), ("7", "1", "6", ["7", "2", "5"]),
            ("8", "1", "7", ["8", "1", "7"])):
        same(redis.run("describe", ["sk:{7:h}:d"], generation, version, "stock", stock), ["OK"], "reply")
        same(redis("HMGET", "sk:{7:h}:d", "gen", "version", "stock"), is_now, "what is described")


@case("REGRESS: a segment or hub that was rolled back does nothing")
def regress(redis):
    c = Coupon(redis, 100, 2, each=10)
    same(c.debit(0), ["OK", 0, 10, 10, 0, 0], "debit")
    same(c.exchange(0, 10, 10, 0, 0), ["OK", 10, 10], "report")
    # the hub forgot a grant: a segment has received more than it gave
    unchanged(c, lambda: c.exchange(1, 11, 0, 0, 1), ["REGRESS"])
    # the segment forgot what it sent back: the hub has taken more than that
    redis("HSET", c.key(0), "O", 4)
    unchanged(c, lambda: c.claim(0, 42, 10, 10), ["REGRESS"])
    unchanged(c, lambda: c.claim(0, 0, 20, 10), ["REGRESS"])
    # and one of several reports is enough
    unchanged(c, lambda: c.exchange(0, 10, 10, 0, 1, 64, "1 11 0 0 0 0"), ["REGRESS"])


# Hub and segments


@case("the hub grants large chunks first and single units last, never more than it has")
def grants(redis):
    c = Coupon(redis, 1000, 4, each=0)
    granted, chunks = 0, []
    while True:
        reply = c.exchange(0, granted, 0, 0, 1)
        if reply[0] != "GRANT":
            break
        chunks.append(reply[1] - granted)
        granted = reply[1]
    same(sum(chunks), 1000, "granted in all")
    same(chunks, sorted(chunks, reverse=True), "chunks")
    same(chunks[-1], 1, "last chunk")
    assert chunks[0] > 100, chunks


@case("a crowd gets a unit each, when there are so many")
def crowds(redis):
    c = Coupon(redis, 30, 4, each=0)
    same(c.exchange(0, 0, 0, 0, 25), ["GRANT", 25, 0, 0, 0], "25 wait")
    same(c.exchange(1, 0, 0, 0, 25), ["GRANT", 5, 0, 0, 0], "25 wait for the rest")


@case("candidates for a probe may hold stock, nearest first, as many as were asked for")
def candidates(redis):
    c = Coupon(redis, 5, 5, each=1)
    same(c.exchange(2, 0, 0, 0, 1, probes=1), ["NONE", 1, 0, 0, 0, 3, 1, 0, 0], "one")
    same(c.exchange(2, 0, 0, 0, 1), ["NONE", 1, 0, 0, 0, 3, 1, 0, 0, 4, 1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0], "all")
    same(c.exchange(4, 1, 0, 0, 0), ["OK", 1, 0], "segment 4 is empty")
    same(c.exchange(2, 0, 0, 0, 1), ["NONE", 1, 0, 0, 0, 3, 1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0], "all others")


@case("one call carries several reports: returned units are granted at once, and empty segments are marked")
def reports(redis):
    c = Coupon(redis, 6, 4, each=1)
    same(c.exchange(0, 1, 0, 0, 2), ["GRANT", 3, 0, 0, 0], "the hub's two")
    same([c.debit(1), c.debit(2)], [["OK", 0, 1, 1, 0, 0]] * 2, "two send one back")
    same(c.exchange(0, 3, 0, 0, 3, 64, "1 1 1 0 0 0 2 1 1 0 0 0"), ["GRANT", 5, 0, 0, 0], "both in one")
    same({k: c.hub()[k] for k in ("avail", "R1", "R2", "empty")}, {"avail": 0, "R1": 1, "R2": 1, "empty": "0110"}, "hub")
    same(c.exchange(3, 1, 0, 0, 1, 64, "1 1 1 0 0 0 2 1 1 0 0 0"), ["NONE", 1, 0, 0, 0, 0, 5, 0, 0], "a second time it is no news")


@case("sold out is said when every segment is empty and nothing is in flight, not before")
def sold_out(redis):
    c = Coupon(redis, 2, 2, each=1)
    c.claim(0, 42)
    same(c.exchange(0, 1, 0, 0, 1), ["NONE", 1, 0, 0, 0, 1, 1, 0, 0], "segment 1 has a unit")
    same(c.debit(1), ["OK", 0, 1, 1, 0, 0], "it sends it back")
    same(c.exchange(0, 1, 0, 0, 1), ["NONE", 1, 0, 0, 0, 1, 1, 0, 0], "the unit is in flight")
    same(c.exchange(1, 1, 1, 0, 0), ["OK", 1, 1], "it arrives")
    same(c.exchange(0, 1, 0, 0, 1), ["GRANT", 2, 0, 0, 0], "and is granted")
    same(c.exchange(1, 1, 1, 0, 1), ["NONE", 1, 1, 0, 0, 0, 2, 0, 0], "the grant is in flight")
    same(c.claim(0, 43, 2, 0)[0], "WON", "the last one")
    same(c.exchange(1, 1, 1, 0, 1), ["NONE", 1, 1, 0, 0, 0, 2, 0, 0], "segment 0 did not say so yet")
    word = c.exchange(0, 2, 0, 0, 1)
    same(word[:2], ["SOLDOUT", 1], "now it is")
    assert 0 < word[2] - time.time() * 1000 <= 1100, word
    same(c.exchange(1, 1, 1, 0, 1)[:2], ["SOLDOUT", 1], "of the same epoch for all")


@case("a flag refuses claims while it is valid, except over stock, after a credit, or under an older epoch")
def flags(redis):
    c = Coupon(redis, 5, 1, each=0)
    now = int(time.time() * 1000)
    same(c.flag(0, 1, now + 900), ["OK", 1], "taken")
    same(c.claim(0, 42), ["SOLDOUT", 1], "refused")
    same(c.flag(0, 1, now + 500), ["OK", 1], "an earlier end")
    same(c.segment(0)["until"], now + 900, "does not shorten it")
    same(c.flag(0, 2, 0), ["OK", 1], "open again")
    same(c.claim(0, 42), ["NEED", 0, 0, 0, 0], "asks the hub")
    unchanged(c, lambda: c.flag(0, 1, now + 900), ["OK", 0])  # from before the opening
    unchanged(c, lambda: c.flag(0, 2, 0), ["OK", 0])
    same(c.flag(0, 3, now - 1), ["OK", 1], "a lease that has run out")
    same(c.claim(0, 42), ["NEED", 0, 0, 0, 0], "asks the hub")
    same(c.flag(0, 3, int(time.time() * 1000) + 900), ["OK", 1], "a lease")
    same(c.claim(0, 42, 1, 0)[0], "WON", "ends with a credit")
    same(c.claim(0, 43), ["NEED", 1, 0, 0, 0], "asks the hub")
    c.claim(0, 0, 2, 0)
    unchanged(c, lambda: c.flag(0, 3, now + 900), ["OK", 0])  # there is stock


@case("a lease: never longer than a second, whatever the clocks of two servers are, and void once TIME was set back")
def leases(redis):
    c = Coupon(redis, 5, 1, each=0)
    began = now()
    same(c.flag(0, 1, began + 1200), ["OK", 1], "the hub's clock is a little ahead")
    assert began + 1000 <= c.segment(0)["until"] <= now() + 1000, c.segment(0)
    same(c.claim(0, 42), ["SOLDOUT", 1], "refused")
    redis("HSET", c.key(0), "until", now() + 30_000)  # as it is when TIME was set back by 29 s
    same(c.claim(0, 42), ["NEED", 0, 0, 0, 0], "void")
    same(c.flag(0, 1, now() + 30_000), ["OK", 1], "so is a word from before")
    same(c.segment(0)["until"], 0, "and neither is kept")
    same(c.claim(0, 42), ["NEED", 0, 0, 0, 0], "asks the hub")
    same(c.flag(0, 1, now() + 1000), ["OK", 1], "a word from after it")
    same(c.claim(0, 42), ["SOLDOUT", 1], "refused")


@case("a supply: totals, once each; a sold-out sale opens again under a new epoch")
def supplies(redis):
    c = Coupon(redis, 0, 1, each=0)
    same(c.supply(10), ["OK", 0, 10], "ten units")
    unchanged(c, lambda: c.supply(10), ["OK", 0, 0])
    unchanged(c, lambda: c.supply(7), ["OK", 0, 0])
    same(c.supply(10, 2), ["OK", 0, 2], "two were cancelled")
    unchanged(c, lambda: c.supply(10, 1), ["OK", 0, 0])
    same(c.exchange(0, 0, 0, 0, 12), ["GRANT", 12, 0, 0, 0], "granted")
    same(c.exchange(0, 12, 0, 0, 1)[:2], ["SOLDOUT", 1], "and sold")
    c.at_once = False
    same(c.supply(13, 2), ["OK", 2, 3], "three more")
    for waited in ((), ("", 0), ("", 1), ("", 3)):
        unchanged(c, lambda: c.exchange(0, 12, 0, 0, 1, 64, *waited), ["LATER", 2])
    same(c.exchange(0, 12, 0, 0, 1, 64, "", 2), ["GRANT", 15, 0, 0, 0], "to a worker that has waited for this opening")
    same(c.exchange(0, 15, 0, 0, 1)[:2], ["SOLDOUT", 3], "and sold")
    same(c.tell(14, 2), ["OK", 4, 1, 1, 1], "one more")
    for waited in (0, 2, 3):
        unchanged(c, lambda: c.tell(0, waited=waited), ["OK", 4, 0, 1, 0])
    same(c.tell(0, waited=4), ["OK", 4, 0, 0, 0], "the supplier has waited")
    same(c.exchange(0, 15, 0, 0, 1), ["GRANT", 16, 0, 0, 0], "for all")


@case("all are held: no unit is left, and orders that are not final may give theirs back")
def all_held(redis):
    c = Coupon(redis, 2, 1, each=2)
    for user in (41, 42):
        c.claim(0, user)
    hub = lambda *names: redis("HMGET", HUB, *names)
    ask = lambda: c.exchange(0, 2, 0, 0, 1)
    same(c.tell(2, 0, 1, 0, 1, 7000)[:2], ["OK", 0], "one is final")
    same((ask()[:2], ask()[3], hub("sold_out", "epoch")), (["HELD", 1], 7000, ["2", "1"]), "held")
    same(abs(ask()[2] - 1000 - now()) < 500, True, "for a second")
    same(c.tell(2, 0, 2, 0, 1, 0), ["OK", 1, 0, 0, 0], "both are final")
    same((ask()[:2], hub("sold_out", "epoch")), (["SOLDOUT", 1], ["1", "1"]), "sold out, in the same epoch")
    same(c.tell(2, 1, 2, 1, 1), ["OK", 2, 1, 1, 1], "the seller cancels: notices may be valid")
    same(ask(), ["LATER", 2], "and so the hub waits")


@case("a unit comes back while all are held: it is granted at once, and flags of before are void")
def held_unit_comes_back(redis):
    c = Coupon(redis, 1, 1, each=1)
    c.claim(0, 41)
    c.tell(1, 0, 0, 0, 1, 7000)
    epoch, until = c.exchange(0, 1, 0, 0, 1)[1:3]
    same(c.flag(0, epoch, until, 7000), ["OK", 1], "flag")
    refused = c.claim(0, 42)
    same((refused[:3], abs(refused[3] - now()) < 500), (["HELD", 1, 7000], True), "a claim")
    same(c.claim(0, 41), ["MINE", 1], "the owner's")
    same(c.release(0, (41, 1, 0)), ["OK", 1], "its order is over")
    same(c.tell(1, 1, 0, 0, 1, 0), ["OK", 2, 1, 0, 1], "told")
    same(c.claim(0, 42)[0], "HELD", "until the flag is cleared")
    same(c.flag(0, 2, 0), ["OK", 1], "cleared")
    same(c.segment(0)["held"], "", "and forgotten")
    same(c.flag(0, epoch, until, 7000), ["OK", 0], "a late one")
    same(c.claim(0, 41), ["NEED", 1, 0, 0, 0], "the former owner's")
    same(c.exchange(0, 1, 0, 0, 1), ["GRANT", 2, 0, 0, 0], "granted")
    same(c.claim(0, 42, 2, 0)[:2], ["WON", 2], "won")


@case("within an epoch that has been sold out for good nothing is held, whatever the hub learns")
def sold_out_stays(redis):
    c = Coupon(redis, 1, 1, each=1)
    c.claim(0, 41)
    redis("HDEL", HUB, "pays", "pay_by")  # a hub of an earlier program
    same(c.exchange(0, 1, 0, 0, 1)[:2], ["SOLDOUT", 1], "it does not know better")
    same(c.tell(1, 0, 0, 0, 1, 7000), ["OK", 1, 0, 0, 0], "it learns that orders are paid")
    same((c.exchange(0, 1, 0, 0, 1)[:2], c.hub()["sold_out"]), (["SOLDOUT", 1], 1), "the same word")
    same(c.tell(1, 1, 0, 0, 1, 0), ["OK", 2, 1, 1, 1], "a unit comes back, with an opening")
    same(c.tell(0, waited=2), ["OK", 2, 0, 0, 0], "somebody has waited")
    same(c.exchange(0, 1, 0, 0, 1)[0], "GRANT", "granted")
    c.claim(0, 42, 2, 0)
    same(c.exchange(0, 2, 0, 0, 1)[:2], ["HELD", 3], "the next word")


@case("of two flags the one that lasts longer says whether units may come back")
def two_flags(redis):
    c = Coupon(redis, 0, 1)
    soon = now() + 400
    same(c.flag(0, 1, soon + 400), ["OK", 1], "sold out")
    same(c.flag(0, 1, soon, 7000), ["OK", 1], "held, and shorter")
    same(c.claim(0, 42), ["SOLDOUT", 1], "claim")
    same(c.flag(0, 1, soon + 500, 0), ["OK", 1], "held, and longer")
    same(c.claim(0, 42)[:3], ["HELD", 1, 0], "claim")
    redis("HDEL", c.key(0), "held")  # a segment of an earlier program
    same(c.claim(0, 42), ["SOLDOUT", 1], "claim")


@case("what else MySQL counts: totals that never get lower, a moment that is the last one told")
def other_totals(redis):
    c = Coupon(redis, 10, 1, each=5)
    read = lambda: redis("HMGET", HUB, "final", "final_cancelled", "pays", "pay_by")
    same(c.tell(10, 0, 3, 1, 1, 5000), ["OK", 0, 0, 0, 0], "nothing new on sale")
    same(read(), ["3", "1", "1", "5000"], "told")
    unchanged(c, lambda: c.tell(10, 0, 2, 0, 0), ["OK", 0, 0, 0, 0])
    same(c.tell(10, 1, 4, 1, 0, 4000), ["OK", 0, 1, 0, 0], "a unit came back")
    same(read(), ["4", "1", "1", "4000"], "told")
    redis("HDEL", HUB, "pays", "pay_by")  # a hub of an earlier program
    same(c.tell(10, 1, 4, 1, 1), ["OK", 0, 0, 0, 0], "told again")
    same(read(), ["4", "1", "1", None], "told")


@case("an order that is over is released: its customer may claim again; only by its number, once, and where the fence is open")
def releases(redis):
    c = Coupon(redis, 10, 2, each=5)
    for user in (41, 42, 43):
        c.claim(0, user)
    same(c.release(0, (42, 2, 0), (43, 3, 0)), ["OK", 2], "two")
    same(redis("HGETALL", c.key(0, "o")), ["41", "1"], "owners")
    same(c.segment(0)["unowned"], 2, "units without an owner")
    same(c.claim(0, 42)[:2], ["WON", 4], "a new order")
    unchanged(c, lambda: c.release(0, (42, 2, 0), (43, 3, 1), (44, 1, 0)), ["OK", 0])
    same(c.release(0, (42, 4, 0), (42, 4, 0)), ["OK", 1], "named twice")
    same(c.segment(0)["unowned"], 3, "units without an owner")
    unchanged(c, lambda: c.release(0), ["OK", 0])
    redis("HSET", c.key(0), "fence", DOUBT)
    unchanged(c, lambda: c.release(0, (41, 1, 0)), ["FENCED", DOUBT])


@case("a customer whose orders ended too often: the entry stays, and no claim changes it")
def tombstones(redis):
    c = Coupon(redis, 10, 1, each=5)
    c.claim(0, 42)
    same(c.release(0, (42, 1, 1)), ["OK", 1], "released")
    same(redis("HGETALL", c.key(0, "o")), ["42", "-1"], "owners")
    unchanged(c, lambda: c.release(0, (42, 1, 1), (42, 1, 0)), ["OK", 0])
    unchanged(c, lambda: c.claim(0, 42), ["MINE", -1])
    same(c.release(0, (42, -1, 0)), ["OK", 1], "an operator lifts it")
    same(c.claim(0, 42)[:2], ["WON", 2], "a new order")


@case("all released: the owners that are missing were not lost")
def all_released(redis):
    c = Coupon(redis, 10, 1, each=5)
    for user in (41, 42):
        c.claim(0, user)
    c.release(0, (41, 1, 0), (42, 2, 0))
    same(redis("EXISTS", c.key(0, "o")), 0, "no owners")
    same(redis.run("winners", [c.key(0), c.key(0, "o")], FENCE, 0, 10), ["OK", "0"], "winners")
    same(c.claim(0, 43)[:2], ["WON", 3], "a claim")
    redis("DEL", c.key(0, "o"))
    same(c.claim(0, 44), ["FENCED", DOUBT], "these were lost")


# Lists


@case("a list is trimmed by number: repeated and late trims do nothing, unreadable records stay")
def trims(redis):
    segment, queue = Coupon.key(0), Coupon.key(0, "q")
    trim = lambda n, base=0: redis.run("trim", [segment, queue], base, n)
    redis("FLUSHALL")
    same(trim(5), 0, "no list, no segment")
    redis("RPUSH", queue, *(f"{n}|4{n}|1" for n in range(3, 9)))
    same([trim(2), trim(4), trim(4), trim(3)], [0, 2, 0, 0], "dropped")
    same(redis("LINDEX", queue, 0), "5|45|1", "head")
    same(trim(8), 4, "the rest")
    redis("RPUSH", queue, "junk", "9|49|1")
    same(trim(9), -1, "no order at the head")
    drop = lambda record: redis.run("drop", [queue], hashlib.sha1(record).hexdigest())
    same([drop(b"other"), drop(b"junk"), drop(b"junk")], [0, 1, 0], "dropped, once, and only this record")
    same(trim(9), 1, "the order behind it")


@case("a list with several bases and lost numbers is trimmed by number, and only under the base that was read")
def trims_of_incarnations(redis):
    segment, queue = Coupon.key(0), Coupon.key(0, "q")
    trim = lambda n, base=HIGH: redis.run("trim", [segment, queue], base, n)
    numbers = [3, 4, 9, BASE + 1, BASE + 2, BASE + 7, HIGH + 1, HIGH + 2]
    for upto in {0, *numbers, *(n + 1 for n in numbers), FOREVER * 9}:
        redis("DEL", segment, queue)
        redis("HSET", segment, "base", HIGH)
        redis("RPUSH", queue, *(f"{n}|{'?' if n % 2 else 42}|1" for n in numbers))
        for base in (0, BASE, HIGH + BASE, ""):
            same(trim(upto, base), -2, "trimmed under another base")
        gone = sum(n <= upto for n in numbers)
        same([trim(upto), trim(upto)], [gone, 0], f"trimmed up to {upto}")
        same([int(record.split("|")[0]) for record in redis("LRANGE", queue, 0, -1)], numbers[gone:], "what is left")
    redis("DEL", queue)
    redis("RPUSH", queue, *(f"{n}|42|1" for n in numbers[:4]), "junk", *(f"{n}|42|1" for n in numbers[4:]))
    same((trim(numbers[-1]), redis("LINDEX", queue, 0)), (4, "junk"), "up to what cannot be read: drainers stop there")
    redis("LPOP", queue)
    counted = lambda n, count: redis.run("trim", [segment, queue], HIGH, n, count)
    same([counted(BASE + 7, 2), counted(BASE + 7, 2), counted(HIGH + 2, 4)], [2, 0, 2], "as many as a drainer has read")


@case("the list for MySQL is read together with its base, also from a full server")
def peeks(redis):
    c = Coupon(redis, 5, 1, each=5)
    peek = lambda skip, count: redis.run("peek", [c.key(0), c.key(0, "q")], skip, count)
    same(peek(0, 9), ["0"], "nothing waits")
    for user in range(11, 15):
        c.claim(0, user)
    redis("HSET", c.key(0), "base", HIGH)
    whole = c.orders(0)
    for skip, count in ((0, 2), (1, 2), (3, 9), (4, 9), (99, 1)):
        same(peek(skip, count), [str(HIGH), *whole[skip:skip + count]], f"{count} behind {skip}")
    redis("RPUSH", c.key(0, "q"), *(f"{n}|1|1" for n in range(5, 20005)))
    same(len(peek(0, 20000)), 20001, "a long list")
    redis("HDEL", c.key(0), "base")  # of an earlier layout
    for setting, value in (("maxmemory", 1), ("min-replicas-to-write", 1)):
        redis("CONFIG", "SET", setting, value)
        same(peek(3, 1), ["0", whole[3]], setting)
        redis("CONFIG", "SET", setting, 0)
    redis("DEL", c.key(0), c.key(0, "q"))
    same(peek(0, 9), ["0"], "no segment")


@case("an order that the list lost is put back in its place, once; others, and a list with unreadable records, stay")
def restore(redis):
    c = Coupon(redis, 20, 1, each=20)
    for user in range(11, 21):
        c.claim(0, user)
    whole = c.orders(0)

    def put_back(n, user=None, fence=FENCE, ms=5):
        keys = [c.key(0), c.key(0, "o"), c.key(0, "q")]
        return redis.run("restore", keys, fence, user or n + 10, n, whole[n - 1].split("|")[2] if ms == 5 else ms)
    for lost in ([1], [10], [5], [1, 2, 9, 10], [3, 4, 6], range(1, 11), [10, 7, 1]):
        for n in lost:
            same(redis("LREM", c.key(0, "q"), 1, whole[n - 1]), 1, "records taken away")
        for n in lost:
            same(put_back(n), ["OK", 1], f"{n} of {lost}")
            unchanged(c, lambda: put_back(n, ms=77), ["OK", 0])
        same(c.orders(0), whole, f"the list after {lost}")
    redis("LREM", c.key(0, "q"), 1, whole[4])
    unchanged(c, lambda: put_back(5, user=16), ["OTHER"])
    unchanged(c, lambda: put_back(5, user=99), ["OTHER"])
    unchanged(c, lambda: put_back(5, fence=OTHER), ["FENCED", FENCE])
    redis("LSET", c.key(0, "q"), 4, "garbage")
    unchanged(c, lambda: put_back(5), ["GARBAGE"])


@case("a full server refuses claims, and still lets stock and orders travel")
def full(redis):
    c = Coupon(redis, 10, 2, each=2)
    c.claim(0, 42)
    redis("CONFIG", "SET", "maxmemory", 1)
    try:
        try:
            c.claim(0, 43)
            raise AssertionError("a claim on a full server")
        except RedisError as error:
            assert str(error).startswith("OOM"), error
        same(c.debit(1), ["OK", 0, 2, 2, 0, 0], "debit")
        same(c.exchange(1, 2, 1, 1, 0), ["OK", 2, 1], "report")
        same(c.flag(0, 1, FOREVER), ["OK", 0], "flag")
        same(c.supply(11), ["OK", 0, 1], "supply")
        same(redis.run("trim", [c.key(0), c.key(0, "q")], 0, 1), 1, "trim")
    finally:
        redis("CONFIG", "SET", "maxmemory", 0)


# Incarnations


class Comeback(Coupon):
    """A segment and a hub that lost something, and the scripts that bring them back. In doubt: the fence DOUBT."""

    def doubt(self, *slots):
        for slot in slots:
            self.redis("HSET", HUB if slot == "hub" else self.key(slot), "fence", DOUBT)

    def admit(self, i, base, received, sent, sold, fence=FENCE):
        return self.redis.run("admit", [HUB], fence, i, base, received, sent, sold)

    def mend(self, i, base, orders="", totals=None, read=None, fence=DOUBT):
        """As it is read now, unless read says how it was: sold, last, I, O. totals: granted, taken, the hub's term."""
        read = read or self.read(i)
        totals = totals or (*read[2:], self.segment(i).get("term", 0))
        return self.redis.run("mend", [self.key(i), self.key(i, "o")], fence, *read, base, orders, *totals)

    def read(self, i):
        return self.redis("HMGET", self.key(i), "sold", "last", "I", "O")

    def settle(self, i, base, term, fence=FENCE):
        return self.redis.run("settle", [HUB], fence, i, base, term)

    def reopen(self, i, base, first="", last="", fence=DOUBT, new=FENCE):
        return self.redis.run("reopen", [self.key(i), self.key(i, "q"), self.key(i, "o")], fence, base, new, first, last)

    def term(self, number, fence=DOUBT, new=FENCE, forgets=1):
        return self.redis.run("term", [HUB], fence, new, number, forgets)

    def come_back(self, i, base, orders="", units=0, lost=("", "")):
        """All steps of an inspection, of one segment; returns the numbers that were named lost."""
        sold, _, received, sent = map(int, self.read(i))
        word, granted, taken, term = self.admit(i, base, received, sent, sold + units)[:4]
        same(word, "OK", "admitted")
        same(self.mend(i, base, orders, (granted, taken, term))[0], "OK", "mended")
        same(self.settle(i, base, term)[0], "OK", "settled")
        word, named = self.reopen(i, base, *lost)
        same(word, "OK", "opened")
        return named

    def balance(self):
        """amount + cancelled - withdrawn = hub + in flight + left + sold, and each segment adds up."""
        hub, parts = self.hub(), [self.segment(i) for i in range(self.segments)]
        units = hub["avail"]
        for i, s in enumerate(parts):
            same(s["left"], s["I"] - s["O"] - s["sold"], f"left of segment {i}")
            units += hub[f"G{i}"] - s["I"] + s["O"] - hub[f"R{i}"] + s["left"] + s["sold"]
        same(units, hub["amount"] + hub["cancelled"] - hub["withdrawn"], "units")


@case("numbers go on from the base, also from the highest one")
def numbers(redis):
    c = Comeback(redis, 4, 1, each=2)
    c.claim(0, 42)
    c.doubt(0)
    same(c.come_back(0, HIGH), 0, "numbers that are lost")
    same({k: c.segment(0)[k] for k in ("base", "last", "sold", "left")}, {"base": HIGH, "last": HIGH, "sold": 1, "left": 1},
         "segment")
    same(c.claim(0, 43)[:3], ["WON", HIGH + 1, 0], "won")
    same([c.claim(0, 42), c.claim(0, 43)], [["MINE", 1], ["MINE", HIGH + 1]], "again")
    same([order.split("|")[:2] for order in c.orders(0)], [["1", "42"], [str(HIGH + 1), "43"]], "list")
    same(c.claim(0, 44), ["NEED", 2, 0, HIGH, 0], "asks the hub")
    redis("HSET", c.key(0), "last", 2**53 - 3, "left", 1, "I", 3)
    same(c.claim(0, 44)[:2], ["WON", 2**53 - 2], "the last numbers")
    same(redis("HGET", c.key(0, "o"), 44), str(2**53 - 2), "owner")
    c.doubt(0)
    unchanged(c, lambda: c.mend(0, HIGH, read=(3, 2**53 - 1, 3, 0)), ["OTHER"])  # one more than its last number
    same(c.mend(0, HIGH)[2], 2**53 - 2, "its last number")


@case("a claim with a grant of an earlier base or term does nothing")
def late_grants(redis):
    c = Comeback(redis, 9, 1, each=1)
    redis("HSET", c.key(0), "base", BASE, "term", 3)
    for base, term in ((0, 3), (BASE, 2), (BASE - 1, 9), (0, 0)):
        unchanged(c, lambda: c.claim(0, 42, 5, 0, base, term), ["REPLACED"])
        unchanged(c, lambda: c.claim(0, 0, 5, 0, base, term), ["REPLACED"])
    unchanged(c, lambda: c.claim(0, 42, 5, 9, BASE, 3), ["REGRESS"])
    same(c.claim(0, 0, 5, 0, BASE, 3), ["OK", 5, 5, 0], "credited")
    same(c.claim(0, 0, 6, 0, 2 * BASE, 4), ["OK", 6, 6, 0], "the hub is ahead")
    same(c.segment(0)["term"], 3, "what it knows of the hub")


@case("a report of an earlier base or term does not count; others in the same call do")
def late_reports(redis):
    c = Comeback(redis, 9, 3, each=2)
    redis("HSET", HUB, "term", 4, "B1", BASE)
    unchanged(c, lambda: c.exchange(1, 2, 1, 0, 1, base=0, term=4), ["REPLACED"])
    unchanged(c, lambda: c.exchange(1, 2, 1, 0, 0, base=BASE, term=3), ["REPLACED"])
    unchanged(c, lambda: c.exchange(1, 9, 1, 0, 0, base=BASE, term=3), ["REPLACED"])  # else REGRESS
    same(c.exchange(1, 2, 1, 0, 1, 64, "0 2 2 0 0 4 2 2 0 0 0 3", base=0, term=4), ["REPLACED"], "one of two others counts")
    same({k: c.hub()[k] for k in ("avail", "R0", "R1", "R2", "empty")}, {"avail": 5, "R0": 2, "R1": 0, "R2": 0, "empty": "100"},
         "hub")
    same(c.exchange(0, 2, 2, 0, 0, 64, f"1 2 1 0 {BASE - 1} 4", term=4), ["OK", 2, 2], "another one is late")
    same(c.hub()["R1"], 0, "taken of it")
    same(c.exchange(1, 2, 0, 2, 6, base=BASE, term=4), ["GRANT", 7, 0, BASE, 4], "granted to the present one")
    same(c.exchange(1, 7, 0, 1, 1, base=BASE + 1, term=5), ["NONE", 7, 0, BASE, 4, 2, 2, 0, 0], "the segment is ahead")


@case("in a new term the hub neither grants nor says \"sold out\" until all segments have reported, and takes over their totals")
def hearings(redis):
    c = Comeback(redis, 10, 3, each=2)
    c.exchange(0, 2, 0, 1, 3)  # granted 3 more, which the segment gets
    c.claim(0, 0, 5, 0)
    redis("HSET", HUB, "avail", 4, "G0", 2, "empty", "111", "sold_out", 1)  # forgotten
    c.doubt("hub")
    same(c.term(7), ["OK", 7 << 20, 0], "a new term")
    hub = c.hub()
    same({k: hub[k] for k in ("term", "heard", "empty", "sold_out", "epoch", "opening", "fence")},
         {"term": 7, "heard": "000", "empty": "000", "sold_out": 0, "epoch": 7 << 20, "opening": 1, "fence": FENCE}, "hub")
    unchanged(c, lambda: c.exchange(1, 2, 0, 0, 1), ["REPLACED"])  # it does not know this term
    same(c.exchange(1, 2, 0, 0, 1, base=BASE, term=7), ["UNHEARD"], "segment 1")
    same({k: c.hub()[k] for k in ("heard", "B1", "G1", "avail", "empty")},
         {"heard": "010", "B1": BASE, "G1": 2, "avail": 4, "empty": "010"}, "hub")
    unchanged(c, lambda: c.exchange(1, 2, 0, 0, 1, term=7), ["REPLACED"])  # of an earlier base by now
    unchanged(c, lambda: c.exchange(1, 3, 0, 0, 1, base=BASE, term=7), ["REGRESS"])
    same(c.exchange(2, 1, 0, 1, 1, 64, "0 5 0 5 0 7", base=3 * BASE, term=7), ["LATER", 7 << 20], "both others in one")
    same({k: c.hub()[k] for k in ("heard", "B0", "G0", "B2", "G2", "avail", "empty")},
         {"heard": "111", "B0": 0, "G0": 5, "B2": 3 * BASE, "G2": 1, "avail": 2, "empty": "010"}, "hub")
    same(c.exchange(2, 1, 0, 1, 1, 64, "", 7 << 20, base=3 * BASE, term=7), ["GRANT", 2, 0, 3 * BASE, 7], "granted")


@case("a hub takes over the totals of a segment that was opened since, also lower ones, once")
def newer_hub(redis):
    c = Comeback(redis, 4, 2, each=2)
    c.debit(0)
    c.exchange(0, 2, 2, 0, 1)  # two are sent back, and one of these granted again
    redis("HSET", c.key(0), "O", 0, "left", 2)  # forgotten by the segment, which was opened under an older hub
    c.doubt("hub")
    c.term(1)
    same(c.exchange(0, 2, 0, 2, 0, term=1), ["OK", 2, 0], "the first report")
    same({k: c.hub()[k] for k in ("G0", "R0", "avail", "heard")}, {"G0": 2, "R0": 0, "avail": 0, "heard": "10"}, "hub")
    unchanged(c, lambda: c.exchange(0, 2, 0, 2, 0, term=1), ["OK", 2, 0])
    same(c.debit(0, 1, 1), ["OK", 0, 2, 2, 0, 1], "it sends them back again")
    c.balance()
    same(c.exchange(1, 2, 0, 2, 0, 64, "0 2 2 0 0 1", term=1), ["OK", 2, 0], "both report")
    c.balance()
    unchanged(c, lambda: c.exchange(0, 2, 0, 2, 0, term=1), ["OK", 2, 2])  # the first one, late


@case("a hub with less than no units neither grants nor says \"sold out\"")
def below_nothing(redis):
    c = Comeback(redis, 2, 2, each=1)
    c.doubt("hub")
    c.term(1)
    same(c.exchange(0, 2, 0, 0, 1, term=1), ["UNHEARD"], "segment 0 has a unit that segment 1 gave back")
    same(c.hub()["avail"], -1, "units")
    same(c.exchange(1, 1, 0, 0, 1, term=1), ["NONE", 1, 0, 0, 1], "segment 1 forgot it")
    same((c.hub()["empty"], c.hub()["sold_out"]), ("11", 0), "marks")


@case("a term must be above the hub's, under the fence that was read; older sold-out notices may still be valid")
def terms(redis):
    c = Comeback(redis, 10, 256, each=0)
    c.redis("HSET", HUB, "term", 5)
    unchanged(c, lambda: c.term(6), ["FENCED", FENCE])
    c.doubt("hub")
    unchanged(c, lambda: c.term(5), ["REPLACED", 5])
    unchanged(c, lambda: c.term(4), ["REPLACED", 5])
    most = 2**32 - 1
    for forgets, sold_out, opening, opens in ((0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1)):
        redis("HSET", HUB, "term", 5, "sold_out", sold_out, "opening", opening, "fence", DOUBT, "empty", "1" * 256)
        same((c.term(6, forgets=forgets), c.hub()["opening"]), (["OK", 6 << 20, 0], opens), "opening")
        same({k: c.hub()[k] for k in ("sold_out", "empty")}, {"sold_out": 0, "empty": "0" * 256}, "the word from before")
    c.doubt("hub")
    same((c.term(most), c.hub()["epoch"], c.hub()["heard"]), (["OK", most << 20, 0], most << 20, "0" * 256), "the highest")
    unchanged(c, lambda: c.term(most + 1), ["FENCED", FENCE])
    same(c.tell(10), ["OK", most << 20, 0, 1, 0], "opening")
    same(c.tell(10, waited=most << 20), ["OK", most << 20, 0, 0, 0], "somebody has waited")
    redis("DEL", HUB)
    unchanged(c, lambda: c.term(9), ["FENCED", None])


@case("a debit takes a later term to a segment, never an earlier one, and none if none is given")
def terms_at_segments(redis):
    c = Comeback(redis, 4, 1, each=4)
    same(c.debit(0, 0, 3), ["OK", 4, 4, 0, 0, 3], "told of term 3")
    for term in (3, 2, ""):
        unchanged(c, lambda: c.debit(0, 0, term), ["OK", 4, 4, 0, 0, 3])
    unchanged(c, lambda: c.debit(0, 1, 9, fence=OTHER), ["FENCED", FENCE])
    same(c.debit(0, 1, HIGH), ["OK", 0, 4, 4, 0, HIGH], "with units")


@case("the hub admits a segment: what it sent is taken, what it lacks is granted, its mark goes; again it does nothing")
def admissions(redis):
    c = Comeback(redis, 10, 3, each=2)
    c.claim(1, 42)
    c.redis("HSET", HUB, "empty", "111")
    same(c.admit(1, BASE, 2, 1, 1), ["OK", 2, 1, 0, 0, 0, 0], "it has sent one")
    hub = c.hub()
    same({k: hub[k] for k in ("avail", "G1", "R1", "B1", "empty", "sold_out", "opening")},
         {"avail": 5, "G1": 2, "R1": 1, "B1": BASE, "empty": "101", "sold_out": 0, "opening": 0}, "hub")
    unchanged(c, lambda: c.admit(1, BASE, 2, 1, 1), ["OK", 2, 1, 0, 0, 0, 0])
    unchanged(c, lambda: c.admit(1, BASE - 1, 2, 2, 9), ["REPLACED", BASE])
    unchanged(c, lambda: c.admit(1, 2 * BASE, 2, 2, 9, fence=OTHER), ["FENCED", FENCE])
    same(c.admit(1, 2 * BASE, 2, 0, 4), ["OK", 5, 1, 0, 0, 0, 0], "MySQL has three orders more than it")
    same(c.admit(1, 2 * BASE, 7, 1, 4), ["OK", 7, 1, 0, 0, 0, 0], "it has received more than the hub remembers")
    same(c.hub()["avail"], 0, "units at the hub")
    unchanged(c, lambda: c.admit(1, 3 * BASE, 7, 1, 7), ["SHORT", 1])
    redis("HSET", HUB, "heard", "110")
    same(c.admit(1, 3 * BASE, 7, 1, 7), ["OK", 8, 1, 0, 0, 0, 0], "another one was not heard yet")
    same(c.hub()["avail"], -1, "units at the hub")
    redis("DEL", HUB)
    unchanged(c, lambda: c.admit(1, 9 * BASE, 2, 1, 1), ["FENCED", None])


@case("after \"sold out\" an admission reports it, under a new epoch, until sold-out notices have expired")
def admissions_of_sold_out(redis):
    c = Comeback(redis, 2, 2, each=1)
    for i in (0, 1):
        c.claim(i, 42)
    same(c.exchange(0, 1, 0, 0, 1, 64, "1 1 0 0 0 0")[:2], ["SOLDOUT", 1], "sold out")
    same(c.admit(0, BASE, 0, 0, 0), ["OK", 1, 0, 0, 2, 1, 0], "admitted")
    unchanged(c, lambda: c.admit(0, BASE, 0, 0, 0), ["OK", 1, 0, 0, 2, 1, 0])
    same(c.tell(2, waited=2), ["OK", 2, 0, 0, 0], "somebody has waited")
    same(c.admit(0, 2 * BASE, 0, 0, 0), ["OK", 1, 0, 0, 2, 0, 0], "admitted once more")


@case("a segment is mended: orders above its last number, totals; only as it was read, and never by an earlier inspection")
def mending(redis):
    c = Comeback(redis, 50, 1, each=2)
    c.claim(0, 11)
    c.doubt(0)
    orders = f"2 12 1 3 0 1 4 11 0 {BASE - 1} 13 1"
    for read in ((2, 1, 2, 0), (1, 2, 2, 0), (1, 1, 3, 0), (1, 1, 2, 1), ("", "", "", "")):
        unchanged(c, lambda: c.mend(0, BASE, orders, (9, 0, 3), read), ["OTHER"])
    unchanged(c, lambda: c.mend(0, BASE, orders, (9, 0, 3), fence=FENCE), ["OTHER"])
    unchanged(c, lambda: c.mend(0, BASE, orders, (3, 0, 3)), ["SHORT", 1])
    unchanged(c, lambda: c.mend(0, BASE, orders, (5, 2, 3)), ["SHORT", 1])
    same(c.mend(0, BASE, orders, (9, 2, 3)), ["OK", 4, BASE - 1, 9, 2, 3], "mended")
    same({k: c.segment(0)[k] for k in ("sold", "last", "I", "O", "left", "term", "next", "base")},
         {"sold": 4, "last": BASE - 1, "I": 9, "O": 2, "left": 3, "term": 3, "next": BASE, "base": 0}, "segment")
    same(c.fields(c.key(0, "o")), {"12": 2, "11": 4, "13": BASE - 1}, "owners")
    same(len(c.orders(0)), 1, "what is on the list")
    unchanged(c, lambda: c.mend(0, BASE, orders, (9, 2, 3)), ["OK", 4, BASE - 1, 9, 2, 3])  # they are not above its last
    unchanged(c, lambda: c.mend(0, BASE, "", (1, 0, 3)), ["OK", 4, BASE - 1, 9, 2, 3])
    unchanged(c, lambda: c.mend(0, BASE - 1, "", (9, 2, 3)), ["OTHER"])
    unchanged(c, lambda: c.mend(0, 2 * BASE, "", (9, 2, 2)), ["OTHER"])  # of an earlier term
    same(c.mend(0, BASE, "", (9, 4, 3)), ["OK", 4, BASE - 1, 9, 4, 1], "two units given back")
    same(c.mend(0, 2 * BASE, "", (9, 4, 4)), ["OK", 4, BASE - 1, 9, 4, 1], "by a later inspection")
    unchanged(c, lambda: c.mend(0, BASE, "", (9, 4, 4)), ["OTHER"])
    unchanged(c, lambda: c.reopen(0, BASE), ["OTHER"])
    redis("FLUSHALL")
    unchanged(c, lambda: c.mend(0, BASE, orders, (9, 2, 3), (1, 1, 2, 0)), ["OTHER"])


@case("many orders are written back in parts, and numbers add up between them")
def mending_in_parts(redis):
    c = Comeback(redis, 20000, 1, each=0)
    c.doubt(0)
    orders = [f"{n} {n + 100} 1" for n in range(1, 12001)]
    same(c.mend(0, BASE, " ".join(orders[:9000]), (12000, 0, 0)), ["OK", 9000, 9000, 12000, 0, 3000], "the first ones")
    same(c.mend(0, BASE, " ".join(orders[9000:]), (12000, 0, 0)), ["OK", 12000, 12000, 12000, 0, 0], "the rest")
    same(redis("HLEN", c.key(0, "o")), 12000, "owners")


@case("a segment is settled where the hub has its base and its term")
def settling(redis):
    c = Comeback(redis, 10, 3, each=2)
    redis("HSET", HUB, "heard", "000", "B1", HIGH, "term", 3, "avail", -2)
    for base, term in ((HIGH - BASE, 3), (HIGH, 2), (HIGH, 4), (0, 3)):
        unchanged(c, lambda: c.settle(1, base, term), ["REPLACED"])
    unchanged(c, lambda: c.settle(1, HIGH, 3, fence=OTHER), ["FENCED", FENCE])
    same(c.settle(1, HIGH, 3), ["OK", 2, -2], "two are unheard")
    same(c.hub()["heard"], "010", "heard")
    unchanged(c, lambda: c.settle(1, HIGH, 3), ["OK", 2, -2])
    same([c.settle(0, 0, 3), c.settle(2, 0, 3)], [["OK", 1, -2], ["OK", 0, -2]], "the others")
    redis("DEL", HUB)
    unchanged(c, lambda: c.settle(1, HIGH, 3), ["FENCED", None])


@case("an opening counts the units that have no owner, whoever lost or released them")
def unowned(redis):
    c = Comeback(redis, 10, 1, each=5)
    for user in (11, 12, 13):
        c.claim(0, user)
    c.release(0, (11, 1, 0), (12, 2, 1))
    redis("HSET", c.key(0), "unowned", 99)  # forgotten
    c.doubt(0)
    same(c.come_back(0, BASE), 0, "numbers that are lost")
    same((c.segment(0)["unowned"], redis("HLEN", c.key(0, "o"))), (1, 2), "without and with an owner")
    unchanged(c, lambda: c.claim(0, 12), ["MINE", -2])
    same(c.claim(0, 11)[:2], ["WON", BASE + 1], "a new order")


@case("owners that are lost alone: nothing is claimed before an inspection; units that nobody owned then do not count as lost")
def lost_owners(redis):
    c = Comeback(redis, 10, 1, each=5)
    for user in (11, 12):
        c.claim(0, user)
    redis("DEL", c.key(0, "o"))
    winners = lambda: redis.run("winners", [c.key(0), c.key(0, "o")], FENCE, 0, 10)
    unchanged(c, winners, ["FENCED", FENCE])
    same(c.claim(0, 13), ["FENCED", DOUBT], "a claim")
    same((c.segment(0)["fence"], c.segment(0)["left"], redis("EXISTS", c.key(0, "o"))), (DOUBT, 3, 0), "the segment waits")
    same(c.mend(0, BASE, "", (5, 0, 2))[0], "OK", "mended, without any known order")
    same(c.reopen(0, BASE), ["OK", 0], "opened")
    same(c.segment(0)["unowned"], 2, "units that nobody owns")
    same(winners(), ["OK", "0"], "winners")
    same(c.claim(0, 13)[:3], ["WON", BASE + 1, 2], "won")
    same(c.claim(0, 13), ["MINE", BASE + 1], "mine")
    redis("DEL", c.key(0, "o"))
    same(c.claim(0, 13), ["FENCED", DOUBT], "they are lost again")


@case("a segment is opened as it was mended, by the inspection that mended it; lost numbers hold units while there are any")
def reopening(redis):
    c = Comeback(redis, 10, 1, each=5)
    c.claim(0, 11)
    c.redis("HSET", c.key(0), "until", FOREVER)
    c.doubt(0)
    unchanged(c, lambda: c.reopen(0, BASE), ["OTHER"])  # not mended
    for first, last, named in (("", "", []), (1, 3, [2, 3]), (3, 4, [3, 4]), (1, BASE, [2, 3, 4, 5]), (1, 1, []), (2, 0, [])):
        redis("DEL", c.key(0), c.key(0, "o"), c.key(0, "q"))
        c.open_segment(0, 5)
        c.claim(0, 11)
        c.doubt(0)
        redis("HSET", c.key(0), "until", FOREVER)
        same(c.mend(0, BASE, "", (5, 0, 2))[0], "OK", "mended")
        unchanged(c, lambda: c.reopen(0, BASE - 1), ["OTHER"])
        unchanged(c, lambda: c.reopen(0, BASE, fence=FENCE), ["OTHER"])
        unchanged(c, lambda: c.reopen(0, BASE, 1, BASE + 1), ["OTHER"])  # a number above the base was told
        began = int(time.time() * 1000)
        same(c.reopen(0, BASE, first, last), ["OK", len(named)], f"opened, {first} to {last} are lost")
        same(c.segment(0), {"fence": FENCE, "left": 4 - len(named), "sold": 1 + len(named), "last": BASE, "base": BASE, "term": 2,
                            "version": 0, "state": "open", "t0": 0, "t1": 0, "I": 5, "O": 0, "epoch": 0, "until": 0, "unowned": len(named)}, "segment")
        records = [record.split("|") for record in c.orders(0)[1:]]
        same([record[:2] for record in records], [[str(n), "?"] for n in named], "lost numbers on the list")
        assert all(began <= int(record[2]) <= time.time() * 1000 for record in records), records
        same(redis("HLEN", c.key(0, "o")), 1, "owners")
        unchanged(c, lambda: c.reopen(0, BASE, first, last), ["OTHER"])
    c.doubt(0)
    unchanged(c, lambda: c.mend(0, BASE - 1, read=(1, 1, 5, 0)), ["OTHER"])  # a late inspection, of what was before
    redis("HSET", c.key(0), "last", 2 * BASE + 1)
    same(c.mend(0, 2 * BASE)[0], "OK", "mended under a base that MySQL gave from an older state")
    unchanged(c, lambda: c.reopen(0, 2 * BASE), ["OTHER"])


@case("a whole inspection: the segment comes back without its last orders, and the hub without a grant; no unit is lost")
def inspections(redis):
    c = Comeback(redis, 9, 2, each=2)
    for user in (11, 12):
        c.claim(0, user)
    old, old_hub = redis("DUMP", c.key(0)), redis("DUMP", HUB)
    redis("HSET", c.key(0), "left", 1, "sold", 1, "last", 1)  # user 12 is gone
    redis("HDEL", c.key(0, "o"), 12)
    redis("RPOP", c.key(0, "q"))
    c.doubt(0)
    same(c.come_back(0, BASE, lost=(1, 2)), 1, "numbers that are lost")
    c.balance()
    same([order.split("|")[:2] for order in c.orders(0)], [["1", "11"], ["2", "?"]], "list")
    same(c.claim(0, 12), ["NEED", 2, 0, BASE, 0], "claims again")
    same(c.exchange(0, 2, 0, 0, 1, base=BASE), ["GRANT", 7, 0, BASE, 0], "granted")
    same(c.claim(0, 12, 7, 0, BASE)[:3], ["WON", BASE + 1, 4], "won")
    # now the hub forgets that grant, and MySQL has an order of 12 that a server even older lacks
    redis("RESTORE", HUB, 0, old_hub, "REPLACE")
    redis("RESTORE", c.key(0), 0, old, "REPLACE")
    c.doubt(0, "hub")
    c.term(1)
    same(c.come_back(0, 2 * BASE, f"{BASE + 1} 13 1", 1), 0, "numbers that are lost")
    same(c.exchange(1, 2, 0, 2, 0), ["REPLACED"], "segment 1 has not heard of the hub")
    _, left, received, sent, base, term = c.debit(1, 0, 1)
    same(c.exchange(1, received, sent, left, 0, base=base, term=term), ["OK", 2, 0], "now it has")
    c.balance()
    same(c.exchange(0, 3, 0, 0, 1, base=2 * BASE, term=1)[0], "LATER", "workers may keep a word from before")
    same(c.exchange(0, 3, 0, 0, 1, 64, "", 1 << 20, base=2 * BASE, term=1), ["GRANT", 7, 0, 2 * BASE, 1], "granted")
    same(c.claim(0, 14, 7, 0, 2 * BASE, 1)[:3], ["WON", 2 * BASE + 1, 3], "won")
    c.balance()


@case("an earlier order is confirmed only where it is its customer's, under the fence, and by a write")
def confirmation(redis):
    c = Comeback(redis, 4, 1, each=4)
    c.claim(0, 42)
    confirm = lambda user, number, fence=FENCE: redis.run("confirm", [c.key(0), c.key(0, "o")], fence, user, number)
    same([confirm(42, 1), confirm(42, 1), c.segment(0)["confirms"]], [["OK"], ["OK"], 2], "confirmed")
    for user, number in ((42, 2), (42, "01"), (43, 1), (43, "")):
        unchanged(c, lambda: confirm(user, number), ["OTHER"])
    unchanged(c, lambda: confirm(42, 1, OTHER), ["FENCED", FENCE])
    redis("HSET", c.key(0, "o"), 42, HIGH + 1)
    same((confirm(42, HIGH + 1), confirm(42, HIGH + 2)), (["OK"], ["OTHER"]), "a high number")
    redis("FLUSHALL")
    unchanged(c, lambda: confirm(42, 1), ["FENCED", None])


@case("winners are read page by page, under the fence, and from a full server, too")
def winners_pages(redis):
    c = Comeback(redis, 0, 1)
    read = lambda cursor, count=100, fence=FENCE: redis.run("winners", [c.key(0), c.key(0, "o")], fence, cursor, count)
    same(read(0), ["OK", "0"], "nobody")
    for count in (3, 5000):
        redis("HSET", c.key(0, "o"), *(word for user in range(1, count + 1) for word in (user, user + HIGH)))
        cursor, seen, pages = "0", set(), 0
        while pages == 0 or cursor != "0":
            word, cursor, *users = read(cursor)
            seen.update(map(int, users))
            pages += 1
        same(seen, set(range(1, count + 1)), "winners")
    assert 10 < pages < 200, pages
    redis("CONFIG", "SET", "maxmemory", 1)
    same(read(0)[0], "OK", "from a full server")
    redis("CONFIG", "SET", "maxmemory", 0)
    same(len(read(0, 10**6)), 5002, "all at once")
    unchanged(c, lambda: read(0, fence=OTHER), ["FENCED", FENCE])
    redis("FLUSHALL")
    unchanged(c, lambda: read(0), ["FENCED", None])


@case("an order is entered in its customer's list; older ones of the same coupon there are returned")
def entering(redis):
    redis("FLUSHALL")
    key = "sk:u:{42}"
    enter = lambda ms, order, beginning="7-": redis.run("enter", [key], ms, order, beginning)
    same([enter(5, "7-0-1"), enter(5, "7-0-1")], [[], []], "the first one, and again")
    same([enter(6, "77-0-1", "77-"), enter(7, "8-7-1", "8-")], [[], []], "of other coupons")
    same(enter(9, f"7-3-{HIGH}"), ["7-0-1"], "another one of coupon 7")
    same(enter(8, "7-2-2"), ["7-0-1", f"7-3-{HIGH}"], "one that is older")
    same(redis("ZRANGE", key, 0, -1), ["7-0-1", "77-0-1", "8-7-1", "7-2-2", f"7-3-{HIGH}"], "list")
    for n in range(300):
        redis("ZADD", key, 10 + n, f"9-0-{n}")
    same(enter(11, "7-4-4"), [], "behind 200 newer ones")


@case("an order is traced by its number: on a list of several incarnations, among records that cannot be read, behind a fence")
def traces(redis):
    c = Comeback(redis, 4, 1, each=4)
    trace = lambda number, user=42, fence=FENCE: redis.run("trace", [c.key(0, kind) for kind in "soq"], fence, number, user)
    same(trace(1), [1, FENCE, "", "", "0", "0"], "of nothing")
    c.claim(0, 42)
    same(trace(1), [1, FENCE, c.orders(0)[0], 1, "1", "0"], "of the only one")
    same(trace(1, 43)[3], "", "somebody else's")
    same(trace(1, fence=OTHER)[:2], [0, FENCE], "fence")
    numbers = [*range(3, 40), *range((1 << 20) + 1, (1 << 20) + 9), *range(HIGH + 5, HIGH + 90)]
    records = [f"{n}|{'?' if n % 7 == 0 else n}|5" for n in numbers]
    for garbage in ([], [0], [len(records) - 1], range(0, len(records), 2), range(20, 60)):
        redis("DEL", c.key(0, "q"))
        redis("RPUSH", c.key(0, "q"), *("garbage" if i in garbage else r for i, r in enumerate(records)))
        found = [trace(n)[2] for n in numbers]
        same(found, ["" if i in garbage else r for i, r in enumerate(records)], "records")
        same([trace(n)[2] for n in (1, 2, 40, (1 << 20) + 9, HIGH + 4, HIGH + 90)], [""] * 6, "of numbers that are not there")
    redis("FLUSHALL")
    unchanged(c, lambda: trace(1), [0, "", "", "", "", ""])


@case("slots of layouts 0 and 1 are upgraded to layout 2, and are suspect, or closed as before")
def upgrades(redis):
    upgrade = lambda key: redis.run("upgrade", [key])
    whole = Comeback(redis, 100, 3, each=10)
    whole.claim(0, 42)
    slots = {key: whole.fields(key) for key in (HUB, whole.key(0))}
    new = ("withdrawn", "final", "final_cancelled", "term", "heard", "B0", "B1", "B2", "last", "sold", "base")

    def old(key, layout, fence):
        fields = {name: value for name, value in slots[key].items() if name not in new and name != "fence"}
        redis("DEL", key)
        if key != HUB:
            fields["n"] = 1
        if layout == 0:
            fields["gen"] = 5
        else:
            fields["fence"] = fence
        redis("HSET", key, *(word for pair in fields.items() for word in pair))
    for key in slots:
        for layout, fence, there in ((0, None, "2:5@"), (1, "5@0123abcd", "2:5@"), (1, "5@", "2:5@"), (1, "5@?17000.3", "2:5@"),
                                     (1, "5!", "2:5!"), (1, "5!stray", "2:5!stray"), (1, "12@x", "2:12@")):
            old(key, layout, fence)
            same(upgrade(key), there, f"fence of {key}, {layout}, {fence}")
            unheard = {"heard": "000"} if key == HUB else {}
            same(whole.fields(key), slots[key] | unheard | {"fence": there}, key)
            unchanged(whole, lambda: upgrade(key), there)
    for fence in (FENCE, "2:5!", "3:5@x", "10:5@x"):
        redis("HSET", HUB, "fence", fence)
        unchanged(whole, lambda: upgrade(HUB), fence)
    redis("DEL", HUB)
    unchanged(whole, lambda: upgrade(HUB), None)
    old(whole.key(0), 0, None)
    same(whole.claim(0, 43), ["FENCED", "5@"], "a claim at a segment of layout 0")
    redis("HDEL", whole.key(0), "n")  # nothing was sold
    upgrade(whole.key(0))
    same([whole.segment(0)[name] for name in ("sold", "last")], [0, 0], "sold and last")


@case("a hub or a segment that lacks a number it must have: an error, and nothing is changed")
def lacking(redis):
    c = Comeback(redis, 9, 2, each=2)
    c.claim(0, 42)
    mended = lambda: c.mend(0, BASE, "2 43 1", (9, 0, 1))
    calls = {
        HUB: {("avail", "G0", "R0", "B0"): lambda: c.admit(0, BASE, 2, 1, 1), ("heard",): lambda: c.settle(0, 0, 0),
              ("segments", "term"): lambda: c.term(3, fence=FENCE)},
        c.key(0): {("left", "I", "O", "base", "term"): lambda: c.debit(0), ("left", "last", "sold"): lambda: c.claim(0, 43)}}
    for key, name, call in [(key, name, call) for key in calls for names, call in calls[key].items() for name in names]:
        kept = redis("HGET", key, name)
        redis("HDEL", key, name)
        before = c.everything()
        try:
            answer = call()
        except RedisError as error:
            answer = ["BROKEN", str(error)]
        assert answer[0] in ("BROKEN", "REPLACED"), (name, answer)
        same(c.everything(), before, f"what is in Redis, without {name}")
        redis("HSET", key, name, kept)
    c.doubt(0)
    for name in ("sold", "last", "I", "O"):
        kept = redis("HGET", c.key(0), name)
        redis("HDEL", c.key(0), name)
        unchanged(c, lambda: c.mend(0, BASE, "2 43 1", (9, 0, 1), ("", "", "", "")), ["OTHER"])
        redis("HSET", c.key(0), name, kept)
    same(mended()[0], "OK", "mended")


@case("a full server still lets a slot be inspected and opened")
def full_comeback(redis):
    c = Comeback(redis, 9, 1, each=2)
    c.claim(0, 42)
    c.doubt(0, "hub")
    redis("CONFIG", "SET", "maxmemory", 1)
    try:
        same(c.term(1), ["OK", 1 << 20, 0], "a term")
        same(c.come_back(0, BASE, "2 43 1", 1, (3, 3)), 0, "opened")
        same(redis.run("confirm", [c.key(0), c.key(0, "o")], FENCE, 43, 2), ["OK"], "confirmed")
        same(redis.run("enter", ["sk:u:{43}"], 1, "7-0-2", "7-"), [], "entered")
        same(redis.run("upgrade", [HUB]), FENCE, "upgraded")
    finally:
        redis("CONFIG", "SET", "maxmemory", 0)


@case("on a cluster every script keeps to the slot of its keys")
def cluster(_):
    redis = Server(free_ports(1)[0], "--cluster-enabled", "yes")
    try:
        redis.ready()
        redis("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: "cluster_state:ok" in redis("CLUSTER", "INFO"), 10, "the cluster")
        for function in (opening, claims, credit, fenced, changed, regress, reports, sold_out, flags, supplies, trims,
                         trims_of_incarnations, peeks, restore, late_grants, late_reports, hearings, terms, admissions, mending,
                         settling, reopening, inspections, confirmation, winners_pages, entering, traces, upgrades):
            function(redis)
        try:
            redis.run("peek", [Coupon.key(0), Coupon.key(1, "q")], 0, 1)
            raise AssertionError("keys of two slots")
        except RedisError as error:
            assert str(error).startswith("CROSSSLOT"), error
    finally:
        redis.stop()


# Logouts


@case("logged-out tokens: each is entered once, after all others whatever the clock does; expired ones are removed")
def revoked(redis):
    redis("FLUSHALL")
    key, now = "sk:revoked", int(redis("TIME")[0])

    def enter(*tokens, limit=1000, keep=60):
        return redis.run("revoke", [key], limit, keep, *tokens)

    def entries():
        pairs = redis("ZRANGE", key, 0, -1, "WITHSCORES")
        return dict(zip(pairs[::2], map(int, pairs[1::2])))

    def token(i, exp):
        return f"{i:016x}:{exp}"
    first, second, third, last = (token(i, now + 1000) for i in range(4))
    same(enter(first), 0, "not entered")
    assert now * 1000 <= entries()[first] < (now + 60) * 1000, entries()
    before = entries()
    same((enter(first, second), list(entries()), entries()[first]), (0, [first, second], before[first]), "entered once")
    redis("ZADD", key, (now + 9999) * 1000, third)  # written while the clock was ahead
    same((enter(last), list(entries()), entries()[last]), (0, [first, second, third, last], entries()[third] + 1), "order")

    same(enter(*(token(i, now + 1000) for i in range(4, 8)), limit=6), 2, "not entered in a full set")
    same((enter(first, limit=6), len(entries())), (0, 6), "one that is there, in a full set")
    redis("DEL", key)
    old = [token(i, now - 61) for i in range(300)]
    for i, one in enumerate(old):
        redis("ZADD", key, i + 1, one)
    enter(token(300, now - 30))
    same((enter(), list(entries())), (0, [token(300, now - 30)]), "after 256 and the rest have gone")
    same((enter(first), enter(token(301, now - 61)), enter(second), len(entries())), (0, 0, 0, 4), "the oldest goes first")


# The protocol


class Search:
    """Random users and messengers that may die between any two steps. A message that was made may be delivered late,
    twice, or never; totals make all of that harmless."""

    def __init__(self, redis, rng):
        self.rng = rng
        self.segments = rng.randint(1, 4)
        self.amount = rng.choice([0, 1, 2, self.segments, 7, 30])
        each = rng.randint(0, self.amount // self.segments)
        self.coupon = Coupon(redis, self.amount, self.segments, each)
        self.messages, self.winners, self.user = [], {}, 100
        self.sold_out_said = 0

    # What must hold after every step

    def look(self):
        hub = self.coupon.hub()
        return hub, [self.coupon.segment(i) for i in range(self.segments)]

    def check(self):
        hub, parts = self.look()
        granted = sum(hub[f"G{i}"] - s["I"] for i, s in enumerate(parts))
        returned = sum(s["O"] - hub[f"R{i}"] for i, s in enumerate(parts))
        sold = sum(s["sold"] for s in parts)
        for i, s in enumerate(parts):
            assert s["I"] <= hub[f"G{i}"] and hub[f"R{i}"] <= s["O"], (i, hub, s)
            assert s["left"] == s["I"] - s["O"] - s["sold"] >= 0, (i, s)
            same(s["last"], s["sold"], "last number")
        assert hub["avail"] >= 0, hub
        same(hub["avail"] + granted + returned + sum(s["left"] for s in parts) + sold, self.amount, "units")
        same(sold, len(self.winners), "winners")
        return self.amount - sold

    def no_unit_left(self, why):
        hub, parts = self.look()
        same(self.amount - sum(s["sold"] for s in parts), 0, f"unsold units when {why} said sold out")
        self.sold_out_said += 1

    # Steps

    def new_user(self):
        self.user += 1
        self.claim(self.rng.randrange(self.segments), self.user)

    def claim(self, i, user, *totals):
        reply = self.coupon.claim(i, user, *totals)
        if reply[0] == "WON":
            assert (i, user) not in self.winners, user
            self.winners[i, user] = reply[1]
        elif reply[0] == "MINE":
            same(reply[1], self.winners[i, user], "order of a winner")
        elif reply[0] == "SOLDOUT":
            self.no_unit_left(f"segment {i}")
        elif reply[0] == "NEED":
            self.messages.append(("ask", i, user, reply[1], reply[2]))
        else:
            assert reply[0] == "OK" and user == 0, reply
        return reply

    def ask(self, i, user, received, sent):
        reply = self.coupon.exchange(i, received, sent, 0, self.rng.choice([1, 1, 3]), self.rng.randint(1, 4))
        if reply[0] == "SOLDOUT":
            self.no_unit_left("the hub")
            # a lease that the search does not outlive: the epoch alone must keep it right
            self.messages.append(("flag", i, reply[1]))
        elif reply[0] == "GRANT" or reply[1] > received:
            self.messages.append(("claim", i, user, reply[1], reply[2]))
        else:
            same(reply[0], "NONE", "reply")
            self.messages += [("debit", j) for j in reply[5::4]]
            self.messages.append(("ask", i, user, received, sent))

    def debit(self, j):
        reply = self.coupon.debit(j, self.rng.choice([0, 1, 1]))
        self.messages.append(("report", j, *reply[1:4]))

    def report(self, j, left, received, sent):
        reply = self.coupon.exchange(j, received, sent, left, 0)
        same(reply[0], "OK", "reply")
        if reply[1] > received:
            self.messages.append(("claim", j, 0, reply[1], reply[2]))

    def flag(self, i, epoch):
        self.coupon.flag(i, epoch, int(time.time() * 1000) + 1000)

    def again(self):
        """A user who already asked asks again."""
        if self.winners:
            i, user = self.rng.choice(list(self.winners))
            self.claim(i, user)

    def supply(self):
        """More units; told only when every segment has heard it, so that nobody is refused from then on."""
        self.amount += self.rng.randint(1, 4)
        epoch = self.coupon.supply(self.amount)[1]
        for i in range(self.segments):
            self.coupon.flag(i, epoch, 0)

    def deliver(self):
        at = self.rng.randrange(len(self.messages))
        fate = self.rng.random()
        message = self.messages[at] if fate < 0.2 else self.messages.pop(at)
        if fate < 0.85:
            getattr(self, message[0])(*message[1:])

    def step(self):
        dice = self.rng.random()
        if self.messages and dice < 0.75:
            self.deliver()
        elif dice < 0.93:
            self.new_user()
        elif dice < 0.99:
            self.again()
        else:
            self.supply()
        self.messages = self.messages[-40:]

    def sell_the_rest(self):
        """With a messenger that does not die, whatever is unsold still finds a buyer, and then it is sold out."""
        for _ in range(10 * self.amount + 100):
            i, self.user = self.rng.randrange(self.segments), self.user + 1
            reply = self.claim(i, self.user)
            self.messages.clear()
            while reply[0] == "NEED":
                hub = self.coupon.exchange(i, reply[1], reply[2], 0, 1, 64)
                if hub[0] == "SOLDOUT":
                    same(self.check(), 0, "unsold units in the end")
                    return
                if hub[0] == "GRANT" or hub[1] > reply[1]:
                    reply = self.claim(i, self.user, hub[1], hub[2])
                for j in hub[5::4] if hub[0] == "NONE" else []:
                    left, received, sent = self.coupon.debit(j)[1:4]
                    back = self.coupon.exchange(j, received, sent, left, 0)
                    if back[1] > received:
                        self.coupon.claim(j, 0, back[1], back[2])
            if reply[0] == "SOLDOUT":
                same(self.check(), 0, "unsold units in the end")
                return
        raise AssertionError("it does not sell out")


SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))


@case("units are conserved, never oversold, and sold out is never said too early")
def protocol(redis):
    comment(f"SEED={SEED}")
    ends, runs, steps, said, sold = time.monotonic() + 5, 0, 0, 0, 0
    while time.monotonic() < ends or runs < 20:
        search = Search(redis, random.Random(f"{SEED}/{runs}"))
        try:
            for _ in range(120):
                search.step()
                search.check()
                steps += 1
            search.sell_the_rest()
        except AssertionError:
            comment(f"run {runs}, {search.segments} segments")
            raise
        runs += 1
        said += search.sold_out_said
        sold += len(search.winners)
    comment(f"{runs} runs, {steps} steps, {sold} units sold, {said} times sold out")
    assert said > 0 and sold > 0


def run():
    need_all("redis-server")
    redis = Server()
    try:
        redis.ready()
        return run_cases(redis)
    finally:
        redis.stop()


if __name__ == "__main__":
    sys.exit(run() != 0)
