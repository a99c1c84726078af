#!/usr/bin/env python3
"""Random traces of the model, step by step on a real Redis with the scripts of lua/: replies and slots must be equal.

usage: replay.py [TRACES [SEED]]

Time. The model counts ticks, a lease being two; Redis has its own clock, and the scripts are given a lease of two hours. A
moment of the model, `until`, stands in Redis as BASE + (until - clock) hours, BASE being when the test began: what is over
there is over here, for as long as the test takes. When the model's clock ticks, the leases in the segments are moved an
hour back instead; when it is set back, they are moved so far ahead that they are void. So `until` is compared to the
millisecond, through every max(); only the moment in the hub's "sold out" is Redis's own, and must be a lease ahead. The
sale is always open: t0 and t1 are 0. No slot loses anything, so all of this is in the first incarnation: base 0, term 0.
"""

import os
import sys
import time

import real
from real import Different, pairs, same, same_fields, words
from tap import case, comment, need_all, run_cases

MODEL = os.environ.get("MODEL") or str(real.BUILD / "tests/model/model")
SOAK = os.environ.get("SECKILL_SOAK") == "1"
TRACES = int(sys.argv[1]) if len(sys.argv) > 1 else 20000 if SOAK else 400
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")

FENCE, HOUR = "2:7@life", 3600 * 1000
FIRST = (0, 0)  # base and term
LEASE, FAR = 2 * HOUR, 6  # FAR: the model's moment that is void
BASE = int(time.time() * 1000)
SCRIPTS = ("open_hub", "open_segment", "claim", "debit", "exchange", "flag", "supply")

# What replay must notice: a script, a text in it, and what stands there instead.
BROKEN = (
    ("no G comparison", "exchange", "received == G and ", ""),
    ("any total sent back is taken", "exchange", "if sent > R then", "if sent ~= R then"),
    ("a grant keeps the mark", "exchange", "  mark(i, '0')\n", ""),
    ("chunks of another size", "exchange", "2 * avail", "3 * avail"),
    ("nobody hears what others report", "exchange", "ipairs(reports) do\n  local j", "ipairs({ reports[1] }) do\n  local j"),
    ("no candidates are left out", "exchange", "#candidates >= tonumber(ARGV[9])", "false"),
    ("no epoch check", "flag", "epoch >= known and ", ""),
    ("\"sold out\" over stock", "flag", " and tonumber(s[2]) == 0", ""),
    ("a shorter lease wins", "flag", "lease <= last and lease or 0", "0"),
    ("a lease of any length", "claim", "and lease <= now + 1000 ", ""),
    ("a word from before the clock was set back", "flag", "if moment > last + 250 then moment = 0 end", ""),
    ("such a lease is kept", "flag", "lease <= last and lease or 0", "lease"),
    ("amounts instead of totals", "claim", "left + granted - received", "left + granted"),
    ("a credit keeps the lease", "claim", ", 'until', 0)", ")"),
    ("no look for the owner", "claim", "if mine then", "if false then"),
    ("one unit is kept", "debit", "local units = left\n", "local units = math.max(1, left - 1)\n"),
    ("the epoch stays", "supply", "epoch = epoch + 1", "epoch = epoch"),
    ("grants while workers believe the old word", "exchange", "tonumber(ARGV[11]) ~= epoch", "false"),
    ("who has waited long enough is not believed", "exchange", "tonumber(ARGV[11]) ~= epoch", "true"),
    ("any wait counts", "exchange", "tonumber(ARGV[11]) ~= epoch", "not tonumber(ARGV[11])"),
    ("the supplier's wait does not count", "supply", " and tonumber(ARGV[4]) ~= epoch", ""),
    ("that it opens again is not kept", "supply", "    opening = true\n", ""),
    ("a late total counts", "supply", "math.max(tonumber(h[2]), tonumber(ARGV[2]))", "tonumber(ARGV[2])"),
)


def load(redis, *broken):
    """With a lease of two hours."""
    leases = [(name, "+ 1000", f"+ {LEASE}") for name in ("claim", "flag", "exchange")]
    return real.load(redis, SCRIPTS, *broken, everywhere=leases)


class Replay:
    """One trace on one coupon of its own."""

    def __init__(self, redis, shas, sale):
        self.redis, self.shas, self.sale, self.clock = redis, shas, sale, 0
        self.hub = f"{sale['trace']}:hub"
        made = [self.script("open_hub", [self.hub], sale["amount"], sale["segments"], sale["each"], sale["extra"])]
        if not sale["opening"]:
            made += [self.open_segment(i, sale["each"] + (i < sale["extra"])) for i in range(sale["segments"])]
        redis.all([("DEL", key) for i in range(sale["segments"]) for key in [self.hub, *self.keys(i)]])
        redis.all(made)

    def keys(self, segment):
        return [f"{self.sale['trace']}:{segment}:{part}" for part in ("segment", "owners", "orders")]

    def script(self, name, keys, *args):
        return ("EVALSHA", self.shas[name], len(keys), *keys, FENCE, *args)

    def moment(self, until):
        """A moment of the model, in Redis's milliseconds."""
        return BASE + 1000 * HOUR if until == FAR else BASE + (until - self.clock) * HOUR if until else 0

    def open_segment(self, at, units):
        return self.script("open_segment", self.keys(at)[:1], 0, 0, units)

    def batch_of_one(self, segment, *args):
        keys = self.keys(segment)
        return ("EVALSHA", self.shas["claim"], len(keys), *keys, 1, FENCE, *args, "")

    def claim(self, at, granted, taken):
        return self.batch_of_one(self.sale["homes"][at], at + 1, "" if granted < 0 else self.totals(granted, taken))

    def credit(self, at, granted, taken):
        return self.batch_of_one(at, 0, self.totals(granted, taken))

    @staticmethod
    def totals(granted, taken):
        return " ".join(map(str, (granted, taken, *FIRST)))

    def debit(self, at, half):
        return self.script("debit", self.keys(at)[:1], half, "")

    def exchange(self, at, *args):
        others = " ".join(map(str, (*args[5:9], *FIRST))) if args[5] >= 0 else ""
        return self.script("exchange", [self.hub], at, *args[:3], *FIRST, *args[3:5], others, args[9])

    def flag(self, at, epoch, until):
        return self.script("flag", self.keys(at)[:1], epoch, self.moment(until))

    def supply(self, _, amount, cancelled, waited):
        return self.script("supply", [self.hub], amount, cancelled, waited)

    def tick(self, step):
        """The leases move, not the clock."""
        self.clock = step["clock"]
        self.redis.all([("HINCRBY", self.keys(i)[0], "until", -HOUR) for i, s in enumerate(step["segments"])
                        if s.get("until", 0) not in (0, FAR)])

    def set_back(self, step):
        self.redis.all([("HSET", self.keys(i)[0], "until", self.moment(FAR)) for i, s in enumerate(step["segments"])
                        if s.get("until")])

    def reads(self):
        reads = [("HGETALL", self.hub)]
        for i in range(self.sale["segments"]):
            segment, owners, orders = self.keys(i)
            reads += [("HGETALL", segment), ("HGETALL", owners), ("LRANGE", orders, 0, -1)]
        return reads

    def take(self, step):
        if step["step"] in ("tick", "set_back"):
            getattr(self, step["step"])(step)
            slots = self.redis.all(self.reads())
        else:
            began = int(time.time() * 1000)
            command = getattr(self, step["step"])(step["at"], *step["args"])
            reply, *slots = self.redis.all([command, *self.reads()])
            if step["step"] in ("claim", "credit"):
                reply = words(*reply)
            self.check_reply(step, reply, began)
        self.check_slots(step, slots)

    @staticmethod
    def check_reply(step, got, began):
        wanted, now = of_first(step), int(time.time() * 1000)
        same(got[0], wanted[0], "reply")
        if step["step"] == "exchange" and got[0] == "SOLDOUT":
            if not began + LEASE <= got[2] <= now + LEASE:
                raise Different(f"the lease is {got[2] - now} ms")
            got, wanted = got[:2], wanted[:2]
        if got[0] == "WON":
            if not began <= got[3] <= now:
                raise Different(f"won at {got[3]}, it is {now}")
            got = got[:3]
        if got[0] == "FENCED":  # by which fence is not modelled
            got = got[:1]
        same(got, wanted, "reply")

    def check_slots(self, step, slots):
        hub, rest = pairs(slots[0]), slots[1:]
        first = {"term": 0, "heard": "1" * self.sale["segments"]} | {f"B{i}": 0 for i in range(self.sale["segments"])}
        same_fields({"opening": "0"} | hub, step["hub"] | first, "hub")
        for i, segment in enumerate(step["segments"]):
            got, owners, orders = pairs(rest[3 * i]), pairs(rest[3 * i + 1]), rest[3 * i + 2]
            if not segment:
                same(got, {}, f"segment {i}")
                continue
            sold, until = segment["n"], self.moment(segment["until"])
            rest_of_it = {"until": until, "state": "open", "sold": sold, "last": sold, "base": 0, "term": 0}
            same_fields(got, {name: value for name, value in segment.items() if name != "n"} | rest_of_it, f"segment {i}")
            mine = {str(c + 1): str(n) for c, n in enumerate(step["owners"]) if n and self.sale["homes"][c] == i}
            same(owners, mine, f"owners of {i}")
            in_order = sorted((int(n), user) for user, n in mine.items())
            same([order.split("|")[:2] for order in orders], [[str(n), user] for n, user in in_order], f"orders of {i}")


def of_first(step):
    """A reply of the model, and what the scripts say of the incarnation."""
    word, numbers = step["reply"][0], step["reply"][1:]
    if word in ("NEED", "GRANT") or step["step"] == "debit" and word == "OK":
        return [word, *numbers, *FIRST]
    if word == "NONE":
        totals = [[*numbers[k:k + 3], 0] for k in range(2, len(numbers), 3)]
        return [word, *numbers[:2], *FIRST, *sum(totals, [])]
    return [word, *numbers]


def replay(redis, shas, read):
    """How many steps were the same; raises Different with the way to the first that is not."""
    count = 0
    for sale, steps in read:
        there = Replay(redis, shas, sale)
        for number, step in enumerate(steps, 1):
            try:
                there.take(step)
            except Different as difference:
                way = [f"{s['step']} at {s['at']} {s['args']} -> {s['reply']}" for s in steps[:number]]
                raise Different("\n".join([f"trace {sale['trace']}, step {number}: {difference}", str(sale), *way]))
            count += 1
    return count


@case("random traces of the model go the same way on Redis")
def traces_agree(redis, read):
    count = replay(redis, load(redis), read)
    kinds = {}
    for _, steps in read:
        for step in steps:
            word = " ".join([step["step"], *map(str, step["reply"][:1])])
            kinds[word] = kinds.get(word, 0) + 1
    comment(f"{len(read)} traces, {count} steps")
    comment(", ".join(f"{word} {n}" for word, n in sorted(kinds.items())))


def expect_difference(read, name, *broken):
    @case(f"a script that is broken shows: {name}")
    def shows(redis, _):
        try:
            replay(redis, load(redis, *broken), read)
        except Different as difference:
            comment(str(difference).splitlines()[0])
            return
        raise AssertionError(f"{len(read)} traces, and no difference")


def main():
    need_all("redis-server")
    comment(f"seed {SEED}: replay.py {TRACES} {SEED}")
    known = real.traces(MODEL, 4000, 1)  # always the same: whether a fault shows must not be luck
    for broken in BROKEN:
        expect_difference(known, *broken)
    redis = real.Redis()
    try:
        return run_cases(redis, real.traces(MODEL, TRACES, SEED))
    finally:
        redis.stop()


if __name__ == "__main__":
    sys.exit(main())
