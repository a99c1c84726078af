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

from stores import Redis, RedisError
from tap import case, comment, need_all, run_cases, same, until

SOURCE = pathlib.Path(os.environ.get("top_srcdir") or pathlib.Path(__file__).parents[2])
NAMES = [path.stem for path in sorted((SOURCE / "lua").glob("*.lua"))]
GEN = "5"
HUB = "sk:{7:h}:hub"
FOREVER = 10**15


class Server(Redis):
    """A redis-server and the scripts in it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="seckill-scripts-", dir="/tmp")
        super().__init__(self.folder + "/redis.sock", None)
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--dir", self.folder, "--save", "",
             "--logfile", self.folder + "/log"], stdout=subprocess.DEVNULL)
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
    """Of a claim: a word and numbers, or FENCED and a fence, if there is one."""
    word, *rest = answer.split(" ")
    return [word, *(rest[0] and rest or [None])] if word == "FENCED" else [word, *map(int, rest)]


class Coupon:
    """Coupon 7 in Redis, and its scripts as calls."""

    at_once = True  # units that are added are for customers, without a pause

    def __init__(self, redis, amount, segments, each=0, starts=0, ends=0):
        redis("FLUSHALL")
        self.redis, self.segments = redis, segments
        self.open_hub(amount, each)
        for i in range(segments):
            self.open_segment(i, each, starts, ends)

    def open_hub(self, amount, each, extra=0, gen=GEN):
        return self.redis.run("open_hub", [HUB], gen, amount, self.segments, each, extra)

    def open_segment(self, i, units, starts=0, ends=0, gen=GEN):
        return self.redis.run("open_segment", [self.key(i)], gen, starts, ends, units)

    @staticmethod
    def key(i, kind="s"):
        return f"sk:{{7:{i}}}:{kind}"

    def claim(self, i, user, granted="", taken="", gen=GEN):
        return self.batch((i, user, granted, taken, gen))[0]

    def batch(self, *claims):
        """Each of them: segment, user, granted, taken, generation. An answer each: a word, and numbers."""
        keys = [self.key(i, kind) for i, *_ in claims for kind in "soq"]
        arguments = [word for _, user, granted, taken, gen in claims for word in (gen, user, granted, taken, "")]
        return [words(answer) for answer in self.redis.run("claim", keys, len(claims), *arguments)]

    def debit(self, i, take=1, gen=GEN):
        return self.redis.run("debit", [self.key(i)], gen, take)

    def exchange(self, i, received, sent, left, want, probes=64, *reports, gen=GEN):
        return self.redis.run("exchange", [HUB], gen, i, received, sent, left, want, probes, *reports)

    def flag(self, i, epoch, moment, gen=GEN):
        return self.redis.run("flag", [self.key(i)], gen, epoch, moment)

    def supply(self, amount, cancelled=0, gen=GEN):
        reply = self.redis.run("supply", [HUB], gen, amount, cancelled)
        if self.at_once and self.redis("HGET", HUB, "opening") == "1":
            self.redis("HSET", HUB, "opening", 0)  # as if workers had forgotten already
        return reply[:3]  # then whether it is opening

    def hub(self):
        h = self.redis("HGETALL", HUB)
        return {k: v if k == "empty" else int(v) for k, v in zip(h[::2], h[1::2])}

    def segment(self, i):
        s = self.redis("HGETALL", self.key(i))
        return {k: v if k == "state" else int(v) for k, v in zip(s[::2], s[1::2])}

    def orders(self, i):
        return self.redis("LRANGE", self.key(i, "q"), 0, -1)

    def everything(self):
        return {key: self.redis("DUMP", key) for key in self.redis.keys()}


def unchanged(coupon, call, wanted):
    """The call says so, and did nothing."""
    before = coupon.everything()
    same(call(), wanted, "reply")
    same(coupon.everything(), before, "what is in Redis")


# Opening


@case("a coupon is opened once; again changes nothing; another generation is fenced")
def opening(redis):
    c = Coupon(redis, 100, 3, each=10)
    same(c.hub(), {"fence": 5, "amount": 100, "cancelled": 0, "segments": 3, "avail": 70, "empty": "000", "sold_out": 0,
                   "epoch": 0, "G0": 10, "G1": 10, "G2": 10, "R0": 0, "R1": 0, "R2": 0}, "hub")
    same(c.segment(1), {"fence": 5, "state": "open", "t0": 0, "t1": 0, "left": 10, "I": 10, "O": 0, "n": 0, "epoch": 0,
                        "until": 0}, "segment")
    c.claim(1, 42)
    unchanged(c, lambda: c.open_hub(100, 10), ["OK", 0])
    unchanged(c, lambda: c.open_segment(1, 10), ["OK", 0])
    unchanged(c, lambda: c.open_hub(100, 10, gen=6), ["FENCED", str(GEN)])
    unchanged(c, lambda: c.open_segment(1, 10, gen=6), ["FENCED", str(GEN)])


@case("the first segments get what does not divide, and 256 segments are not too many")
def division(redis):
    c = Coupon(redis, 0, 0)
    redis("FLUSHALL")
    c.segments = 256
    same(c.open_hub(1000, 3, extra=232), ["OK", 1], "opened")
    h = c.hub()
    same([h["G0"], h["G231"], h["G232"], h["G255"], h["avail"]], [4, 4, 3, 3, 0], "granted")
    same(h["empty"], "0" * 256, "marks")


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
    unchanged(c, lambda: c.claim(0, 44), ["NEED", 2, 0])


@case("a batch: each claim is answered for itself, in its order, whatever becomes of the others")
def batches(redis):
    c = Coupon(redis, 5, 3, each=1)
    redis("DEL", c.key(1, "o"))
    redis("SET", c.key(1, "o"), "no hash")
    last = (2, 7, 0, 9, GEN)  # it went back in time
    before = c.segment(1)
    answers = redis.run("claim", [c.key(i, kind) for i in (0, 0, 1, 0, 2, 2) for kind in "soq"], 6, *(
        word for claim in [(0, 42, "", "", GEN), (0, 43, "", "", GEN), (1, 44, "", "", GEN), (0, 42, 3, 0, GEN),
                           (2, 45, "", "", "9"), last] for word in (claim[4], *claim[1:4], "")))
    same([a.split(" ")[0] for a in answers], ["WON", "NEED", "BROKEN", "MINE", "FENCED", "REGRESS"], "answers")
    assert "WRONGTYPE" in answers[2], answers[2]
    same((c.segment(0)["left"], c.segment(0)["n"]), (2, 1), "left and sold where the batch won and was credited")
    same(c.segment(1), before, "the segment that is broken")
    same(c.batch((2, 45, "", "", GEN), (2, 46, "", "", GEN), (0, 43, "", "", GEN))[1][0], "NEED", "the second of two")
    same([len(c.orders(i)) for i in range(3)], [2, 0, 1], "orders")


@case("where one server holds every slot, a winner's indexes are written with the claim; they cannot make it fail")
def indexes(redis):
    c = Coupon(redis, 3, 1, each=3)

    def claim(user):
        keys = [c.key(0), c.key(0, "o"), c.key(0, "q"), f"sk:u:{{{user}}}", "sk:dirty"]
        return words(*redis.run("claim", keys, 1, GEN, user, "", "", "", "7-0-", "7:1"))
    won = claim(42)
    same(redis("ZRANGE", "sk:u:{42}", 0, -1, "WITHSCORES"), ["7-0-1", str(won[3])], "the customer's index")
    same(redis("SMEMBERS", "sk:dirty"), ["7:1"], "coupons with orders")
    unchanged(c, lambda: claim(42), ["MINE", 1])
    redis("DEL", "sk:dirty")
    same(claim(43)[:3], ["WON", 2, 1], "won, the second on the list")
    same(redis("EXISTS", "sk:dirty"), 0, "woken once")
    redis("SET", "sk:u:{44}", "no index")
    same(claim(44)[:3], ["WON", 3, 0], "won, with an index that is none")
    same(len(c.orders(0)), 3, "orders on the list")
    unchanged(c, lambda: claim(45), ["NEED", 3, 0])


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


@case("the window is Redis's clock's, and an end is for ever")
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


@case("what is paused or ended still tells a winner of the order")
def states(redis):
    c = Coupon(redis, 5, 1, each=5)
    c.claim(0, 42)
    for state, word in (("paused", "PAUSED"), ("ended", "ENDED")):
        redis("HSET", c.key(0), "state", state)
        unchanged(c, lambda: c.claim(0, 42), ["MINE", 1])
        unchanged(c, lambda: c.claim(0, 43), [word])


# Fences


@case("another generation, or nothing there at all, does nothing")
def fenced(redis):
    c = Coupon(redis, 100, 2, each=10)
    calls = [lambda: c.claim(0, 42, gen=6), lambda: c.claim(0, 0, 50, 0, gen=6), lambda: c.debit(0, gen=6),
             lambda: c.exchange(0, 10, 0, 0, 1, gen=6), lambda: c.flag(0, 1, FOREVER, gen=6),
             lambda: c.supply(200, gen=6)]
    for call in calls:
        unchanged(c, call, ["FENCED", str(GEN)])
    redis("FLUSHALL")
    for call in calls:
        unchanged(c, call, ["FENCED", None])


@case("a fence is changed only where it is the one expected")
def changed(redis):
    c = Coupon(redis, 100, 1, each=10)
    fence = lambda *words: redis.run("fence", [c.key(0)], *words)
    same(fence("9@other", "5@new"), ["FENCED", str(GEN)], "reply")
    same(fence(str(GEN), "5@new"), ["OK"], "reply")
    same(fence(str(GEN), "5@new"), ["OK"], "reply")
    same(fence("", "5!"), ["OK"], "reply")
    unchanged(c, lambda: c.claim(0, 42, gen="5@new"), ["FENCED", "5!"])
    same(fence("", "6@new"), ["OK"], "reply")
    same(fence("", "5!"), ["FENCED", "6@new"], "an earlier recovery that comes late")
    redis("HSET", c.key(0), "fence", "garbage")
    same(fence("", "6!"), ["OK"], "reply over garbage")


@case("a description of an older generation changes nothing")
def described(redis):
    redis("DEL", "sk:{7:h}:d")
    for generation, stock, is_now in (("5", "1", ["5", "1"]), ("7", "2", ["7", "2"]), ("7", "3", ["7", "3"]),
                                      ("6", "4", ["7", "3"])):
        same(redis.run("describe", ["sk:{7:h}:d"], generation, "stock", stock), ["OK"], "reply")
        same(redis("HMGET", "sk:{7:h}:d", "gen", "stock"), is_now, "what is described")


@case("REGRESS: who went back in time does nothing")
def regress(redis):
    c = Coupon(redis, 100, 2, each=10)
    same(c.debit(0), ["OK", 0, 10, 10], "debit")
    same(c.exchange(0, 10, 10, 0, 0), ["OK", 10, 10], "report")
    # the hub forgot a grant: a segment has received more than it gave
    unchanged(c, lambda: c.exchange(1, 11, 0, 0, 1), ["REGRESS"])
    # the segment forgot what it sent back: the hub has taken more than that
    redis("HSET", c.key(0), "O", 4)
    unchanged(c, lambda: c.claim(0, 42, 10, 10), ["REGRESS"])
    unchanged(c, lambda: c.claim(0, 0, 20, 10), ["REGRESS"])
    # and one of several reports is enough
    unchanged(c, lambda: c.exchange(0, 10, 10, 0, 1, 64, "1 11 0 0"), ["REGRESS"])


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
    same(c.exchange(0, 0, 0, 0, 25), ["GRANT", 25, 0], "25 wait")
    same(c.exchange(1, 0, 0, 0, 25), ["GRANT", 5, 0], "25 wait for the rest")


@case("candidates are those that may hold stock, nearest first, as many as asked for")
def candidates(redis):
    c = Coupon(redis, 5, 5, each=1)
    same(c.exchange(2, 0, 0, 0, 1, probes=1), ["NONE", 1, 0, 3, 1, 0], "one")
    same(c.exchange(2, 0, 0, 0, 1), ["NONE", 1, 0, 3, 1, 0, 4, 1, 0, 0, 1, 0, 1, 1, 0], "all")
    same(c.exchange(4, 1, 0, 0, 0), ["OK", 1, 0], "segment 4 is empty")
    same(c.exchange(2, 0, 0, 0, 1), ["NONE", 1, 0, 3, 1, 0, 0, 1, 0, 1, 1, 0], "all others")


@case("one call brings several reports: what they sent back is granted at once, and the empty ones are known")
def reports(redis):
    c = Coupon(redis, 6, 4, each=1)
    same(c.exchange(0, 1, 0, 0, 2), ["GRANT", 3, 0], "the hub's two")
    same([c.debit(1), c.debit(2)], [["OK", 0, 1, 1]] * 2, "two send one back")
    same(c.exchange(0, 3, 0, 0, 3, 64, "1 1 1 0 2 1 1 0"), ["GRANT", 5, 0], "both in one")
    same({k: c.hub()[k] for k in ("avail", "R1", "R2", "empty")}, {"avail": 0, "R1": 1, "R2": 1, "empty": "0110"}, "hub")
    same(c.exchange(3, 1, 0, 0, 1, 64, "1 1 1 0 2 1 1 0"), ["NONE", 1, 0, 0, 5, 0], "a second time it is no news")


@case("sold out is said when every segment is empty and nothing is in flight, not before")
def sold_out(redis):
    c = Coupon(redis, 2, 2, each=1)
    c.claim(0, 42)
    same(c.exchange(0, 1, 0, 0, 1), ["NONE", 1, 0, 1, 1, 0], "segment 1 has a unit")
    same(c.debit(1), ["OK", 0, 1, 1], "it sends it back")
    same(c.exchange(0, 1, 0, 0, 1), ["NONE", 1, 0, 1, 1, 0], "the unit is in flight")
    same(c.exchange(1, 1, 1, 0, 0), ["OK", 1, 1], "it arrives")
    same(c.exchange(0, 1, 0, 0, 1), ["GRANT", 2, 0], "and is granted")
    same(c.exchange(1, 1, 1, 0, 1), ["NONE", 1, 1, 0, 2, 0], "the grant is in flight")
    same(c.claim(0, 43, 2, 0)[0], "WON", "the last one")
    same(c.exchange(1, 1, 1, 0, 1), ["NONE", 1, 1, 0, 2, 0], "segment 0 did not say so yet")
    word = c.exchange(0, 2, 0, 0, 1)
    same(word[:2], ["SOLDOUT", 1], "now it is")
    assert 0 < word[2] - time.time() * 1000 <= 1100, word
    same(c.exchange(1, 1, 1, 0, 1)[:2], ["SOLDOUT", 1], "of the same epoch for all")


@case("a flag: under its lease a claim is refused; stock, a credit, an older epoch are stronger")
def flags(redis):
    c = Coupon(redis, 5, 1, each=0)
    now = int(time.time() * 1000)
    same(c.flag(0, 1, now + 900), ["OK", 1], "taken")
    same(c.claim(0, 42), ["SOLDOUT", 1], "refused")
    same(c.flag(0, 1, now + 500), ["OK", 1], "an earlier end")
    same(c.segment(0)["until"], now + 900, "does not shorten it")
    same(c.flag(0, 2, 0), ["OK", 1], "open again")
    same(c.claim(0, 42), ["NEED", 0, 0], "asks the hub")
    unchanged(c, lambda: c.flag(0, 1, now + 900), ["OK", 0])  # from before the opening
    unchanged(c, lambda: c.flag(0, 2, 0), ["OK", 0])
    same(c.flag(0, 3, now - 1), ["OK", 1], "a lease that has run out")
    same(c.claim(0, 42), ["NEED", 0, 0], "asks the hub")
    same(c.flag(0, 3, int(time.time() * 1000) + 900), ["OK", 1], "a lease")
    same(c.claim(0, 42, 1, 0)[0], "WON", "ends with a credit")
    same(c.claim(0, 43), ["NEED", 1, 0], "asks the hub")
    c.claim(0, 0, 2, 0)
    unchanged(c, lambda: c.flag(0, 3, now + 900), ["OK", 0])  # there is stock


@case("a lease: never longer than a second, whatever the clocks of two servers are, and void once TIME was set back")
def leases(redis):
    c = Coupon(redis, 5, 1, each=0)

    def now():
        return int(time.time() * 1000)
    began = now()
    same(c.flag(0, 1, began + 1200), ["OK", 1], "the hub's clock is a little ahead")
    assert began + 1000 <= c.segment(0)["until"] <= now() + 1000, c.segment(0)
    same(c.claim(0, 42), ["SOLDOUT", 1], "refused")
    redis("HSET", c.key(0), "until", now() + 30_000)  # as it is when TIME was set back by 29 s
    same(c.claim(0, 42), ["NEED", 0, 0], "void")
    same(c.flag(0, 1, now() + 30_000), ["OK", 1], "so is a word from before")
    same(c.segment(0)["until"], 0, "and neither is kept")
    same(c.claim(0, 42), ["NEED", 0, 0], "asks the hub")
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
    same(c.exchange(0, 0, 0, 0, 12), ["GRANT", 12, 0], "granted")
    same(c.exchange(0, 12, 0, 0, 1)[:2], ["SOLDOUT", 1], "and sold")
    c.at_once = False
    same(c.supply(13, 2), ["OK", 2, 3], "three more")
    for waited in ((), ("", 0), ("", 1), ("", 3)):
        unchanged(c, lambda: c.exchange(0, 12, 0, 0, 1, 64, *waited), ["LATER", 2])
    same(c.exchange(0, 12, 0, 0, 1, 64, "", 2), ["GRANT", 15, 0], "to a worker that has waited for this opening")
    same(c.exchange(0, 15, 0, 0, 1)[:2], ["SOLDOUT", 3], "and sold")
    same(c.redis.run("supply", [HUB], GEN, 14, 2), ["OK", 4, 1, 1], "one more")
    for waited in (0, 2, 3):
        unchanged(c, lambda: c.redis.run("supply", [HUB], GEN, 0, 0, waited), ["OK", 4, 0, 1])
    same(c.redis.run("supply", [HUB], GEN, 0, 0, 4), ["OK", 4, 0, 0], "the supplier has waited")
    same(c.exchange(0, 15, 0, 0, 1), ["GRANT", 16, 0], "for all")


# Lists


@case("a list is trimmed by sequence: again and late do nothing, what is no order stays")
def trims(redis):
    queue = Coupon.key(0, "q")
    trim = lambda n: redis.run("trim", [queue], n)
    redis("FLUSHALL")
    same(trim(5), 0, "no list")
    redis("RPUSH", queue, *(f"{n}|4{n}|1" for n in range(3, 9)))
    same([trim(2), trim(4), trim(4), trim(3)], [0, 2, 0, 0], "dropped")
    same(redis("LINDEX", queue, 0), "5|45|1", "head")
    same(trim(8), 4, "the rest")
    redis("RPUSH", queue, "junk", "9|49|1")
    same(trim(9), -1, "no order at the head")
    drop = lambda record: redis.run("drop", [queue], hashlib.sha1(record).hexdigest())
    same([drop(b"other"), drop(b"junk"), drop(b"junk")], [0, 1, 0], "dropped, once, and only this record")
    same(trim(9), 1, "the order behind it")


@case("an order that the list lost is put back in its place, once; whose it is not, and what is no list of orders, stays")
def restore(redis):
    c = Coupon(redis, 20, 1, each=20)
    for user in range(11, 21):
        c.claim(0, user)
    whole = c.orders(0)

    def put_back(n, user=None, gen=GEN, ms=5):
        keys = [c.key(0), c.key(0, "o"), c.key(0, "q")]
        return redis.run("restore", keys, gen, user or n + 10, n, whole[n - 1].split("|")[2] if ms == 5 else ms)
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
    unchanged(c, lambda: put_back(5, gen=6), ["FENCED", str(GEN)])
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
        same(c.debit(1), ["OK", 0, 2, 2], "debit")
        same(c.exchange(1, 2, 1, 1, 0), ["OK", 2, 1], "report")
        same(c.flag(0, 1, FOREVER), ["OK", 0], "flag")
        same(c.supply(11), ["OK", 0, 1], "supply")
        same(redis.run("trim", [c.key(0, "q")], 1), 1, "trim")
    finally:
        redis("CONFIG", "SET", "maxmemory", 0)


# Logouts


@case("logged-out tokens: each is entered once, behind all others whatever the clock does; what has expired makes room")
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
        sold = sum(s["n"] for s in parts)
        for i, s in enumerate(parts):
            assert s["I"] <= hub[f"G{i}"] and hub[f"R{i}"] <= s["O"], (i, hub, s)
            assert s["left"] == s["I"] - s["O"] - s["n"] >= 0, (i, s)
        assert hub["avail"] >= 0, hub
        same(hub["avail"] + granted + returned + sum(s["left"] for s in parts) + sold, self.amount, "units")
        same(sold, len(self.winners), "winners")
        return self.amount - sold

    def no_unit_left(self, why):
        hub, parts = self.look()
        same(self.amount - sum(s["n"] for s in parts), 0, f"unsold units when {why} said sold out")
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
            self.messages += [("debit", j) for j in reply[3::3]]
            self.messages.append(("ask", i, user, received, sent))

    def debit(self, j):
        reply = self.coupon.debit(j, self.rng.choice([0, 1, 1]))
        self.messages.append(("report", j, *reply[1:]))

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
                for j in hub[3::3] if hub[0] == "NONE" else []:
                    _, left, received, sent = self.coupon.debit(j)
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
