#!/usr/bin/env python3
"""Random traces of the lossy model, step by step on a real Redis with the scripts of lua/: replies and slots must be equal.

usage: replay.py [TRACES [SEED]]

One server stands for all shards. A copy of a shard is what its keys held when the copy caught up; a failover puts that back.
A fence names an incarnation by its number. Order numbers 1 to 3 above base N of the model are N * 2^20 + 1 to 3. MySQL, high-water
marks, and what customers were told exist in the model only: what a script is given of them is taken from the trace.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import real  # noqa: E402
from real import Different, pairs, same, same_fields, words  # noqa: E402

RANGE, HUB, SUSPECT, CLOSED = 3, 2, 5, 6  # as in lossy.h
QUESTION_WAITS, ASKS = 1, 2
AT_ONCE = 0
COMMITTED = 2

# What replay must notice: its name, a script, a text in it, and what replaces that.
BROKEN = (
    ("a report of an earlier segment counts", "exchange", "its_base < B or ", ""),
    ("a report to an earlier hub counts", "exchange", " or its_term < term", ""),
    ("a hub in a new term grants at once", "exchange", "if string.find(heard, '0', 1, true) then return save('UNHEARD') end", ""),
    ("a hub in a new term does not take over what segments have received", "exchange", "avail + G - received + sent - R", "avail + sent - R"),
    ("a hub in a new term does not take over what segments have sent", "exchange", "avail + G - received + sent - R", "avail + G - received"),
    ("a hub in a new term keeps its marks", "term", "'empty', none, ", ""),
    ("a hub in a new term counts all segments as heard", "term", "'heard', none, ", ""),
    ("a segment does not take over a new term", "debit", "> term then", "> term + 9 then"),
    ("an earlier base is admitted", "admit", "if base < tonumber(h[11])", "if false"),
    ("what an admitted segment has sent does not count as taken", "admit", "  taken = sent\n", ""),
    ("what an admitted segment has received does not count as granted", "admit", "math.max(received, taken + sold)", "taken + sold"),
    ("the mark of an admitted segment stays", "admit", " .. '0' .. ", " .. string.sub(empty, i + 1, i + 1) .. "),
    ("a segment is mended over a later inspection", "mend", "base < tonumber(s[6]) or ", ""),
    ("units that are written back do not count as sold", "mend", "sold = sold + tonumber(units)", ""),
    ("what the hub has granted does not count as received", "mend", "math.max(s[4], tonumber(ARGV[8]))", "tonumber(s[4])"),
    ("what the hub has taken does not count as sent", "mend", "math.max(s[5], tonumber(ARGV[9]))", "tonumber(s[5])"),
    ("a segment is heard under an earlier base", "settle", "h[2] ~= ARGV[3] or ", ""),
    ("order numbers go on from the last one", "reopen", "'last', base, ", ""),
    ("lost numbers hold no units", "reopen", "left - named", "left"),
    ("a segment without its owners sells on", "claim", "if count ~= 0 or", "if true or"),
    ("units without owners are not noted", "reopen", "'unowned', sold + named - owners", "'unowned', 0"),
    ("a trim under any base", "trim", "~= ARGV[1]", "== ''"),
)


def number(n):
    """A number of the model's, 0 for none."""
    return (n - 1) // RANGE * 2**20 + (n - 1) % RANGE + 1 if n else 0


def base(ranges):
    return ranges << 20


def fence(value):
    return "2:7!" if value == CLOSED else "2:7@" if value == SUSPECT else f"2:7@{value}"


def bits(value, count):
    return "".join(str(value >> i & 1) for i in range(count))


class Inspection:
    """What an inspection has read."""

    def __init__(self, target):
        self.target, self.fence, self.read, self.granted, self.taken, self.term = target, None, None, 0, 0, 0


class Replay(real.Trace):
    PROGRAM = "lossy/lossy"
    SCRIPTS = ("open_hub", "open_segment", "claim", "debit", "exchange", "fence", "confirm", "peek", "trim", "term", "admit",
               "mend", "settle", "reopen")
    BROKEN = BROKEN
    KNOWN, LENGTH = (100, 3), (150, 5000)

    def __init__(self, redis, shas, sale):
        super().__init__(redis, shas, sale)
        self.before, self.copies, self.job, self.others = sale["state"], {}, None, []
        self.run("open_hub", [self.hub], fence(0), sale["units"], self.segments, 0, 0, 0)
        for i, units in enumerate(sale["first"]):
            self.run("open_segment", self.keys(i)[:1], fence(0), 0, 0, units)
            self.all([("HINCRBY", self.hub, f"G{i}", units), ("HINCRBY", self.hub, "avail", -units)])
        for shard in (*range(self.segments), HUB):
            for k in range(sale["copies"]):
                self.replicate(shard, k)

    def all(self, commands):
        return self.redis.all(commands)

    @staticmethod
    def text(step):
        return f"{step['step']} at {step['at']} {step['arg']} {step['way']} -> {step['word']}"

    @staticmethod
    def summary(step):
        return f"{step['step']} {step['word']}"

    def run(self, name, keys, *args):
        return self.all([self.script(name, keys, *args)])[0]

    def incarnation(self, shard):
        return fence(self.before["incarnation"][shard])

    # Copies

    def keys_of(self, shard):
        return [self.hub] if shard == HUB else self.keys(shard)

    def replicate(self, shard, k):
        keys = self.keys_of(shard)
        self.copies[shard, k] = self.all([("HGETALL", key) for key in keys[:2]] + [("LRANGE", key, 0, -1) for key in keys[2:]])

    def failover(self, shard, k):
        for key, held, put in zip(self.keys_of(shard), self.copies[shard, k], ("HSET", "HSET", "RPUSH")):
            self.all([("DEL", key), *([(put, key, *held)] if held else [])])

    # Segments and the hub

    def close(self, shard, expected):
        self.run("fence", self.keys_of(shard)[:1], expected, fence(CLOSED))

    def claim(self, segment, user, *totals):
        """totals: granted, taken, base, term."""
        keys = self.keys(segment)
        answer = words(*self.run("claim", keys, 1, 1, self.incarnation(segment), " ".join(map(str, totals)), "", user))
        if answer[0] == "REGRESS":
            self.close(segment, self.incarnation(segment))
        return answer

    def exchange(self, segment, received, sent, left, of_base, term, want):
        reply = self.run("exchange", [self.hub], self.incarnation(HUB), segment, received, sent, left, of_base, term, want, 64, "")
        if reply[0] == "REGRESS":
            self.close(HUB, self.incarnation(HUB))
        return reply

    def credit(self, segment, totals):
        """A word, as the model has it."""
        return self.claim(segment, 0, *totals)[0]

    def message(self, kind, segment, of=None):
        """One that waits: a report as received, sent, left, base, term; a grant as granted, taken, base, term."""
        m = (of or self.before)[kind][segment]
        if not m:
            return None
        left = (0 if m["zero"] else 1,) if kind == "reports" else ()
        return (m["in"], m["out"], *left, base(m["base"]), m["term"])

    # Steps; each returns the word

    def step_claim(self, step):
        segment, user = self.sale["homes"][step["at"]], step["at"] + 1
        answer = self.claim(segment, user)
        if answer[0] != "NEED":
            return answer[0]
        received, sent, of_base, term = answer[1:]
        if step["arg"] == QUESTION_WAITS:
            same((received, sent, 0, of_base, term), self.message("reports", segment, step["state"]), "the report")
            return "NEED"
        reply = self.exchange(segment, received, sent, 0, of_base, term, 1)
        if reply[0] != "GRANT":
            return reply[0]
        if step["way"] != AT_ONCE:
            same(tuple(reply[1:]), self.message("grants", segment, step["state"]), "the grant")
            return "GRANT"
        answer = self.claim(segment, user, *reply[1:])
        return {"REPLACED": "NEED", "REGRESS": "FENCED"}.get(answer[0], answer[0])

    def step_tell(self, step):
        segment, user, n = self.sale["homes"][step["at"]], step["at"] + 1, self.before["answers"][step["at"]]
        if not self.before["confirmed"][step["at"]]:
            return "OK"
        word = self.run("confirm", self.keys(segment)[:2], self.incarnation(segment), user, number(n))[0]
        if word == "OK":
            self.all([("HDEL", self.keys(segment)[0], "confirms")])
            self.replicate(segment, 0)
        return word

    def step_debit(self, step, *args):
        segment = step["at"]
        reply = self.run("debit", self.keys(segment)[:1], self.incarnation(segment), *(args or (1, "")))
        if reply[0] != "OK":
            return reply[0]
        left, received, sent, of_base, term = reply[1:]
        if step["way"] == AT_ONCE:
            return self.exchange(segment, received, sent, left, of_base, term, 0)[0]
        same((received, sent, min(left, 1), of_base, term), self.message("reports", segment, step["state"]), "the report")
        return "OK"

    def step_hear(self, step):
        return self.step_debit(step, 0, self.before["hub"]["term"])

    def step_report(self, step):
        segment = step["at"]
        reply = self.exchange(segment, *self.message("reports", segment), step["arg"])
        if reply[0] != "GRANT":
            return reply[0]
        if step["way"] == AT_ONCE:
            self.credit(segment, reply[1:])
        else:
            same(tuple(reply[1:]), self.message("grants", segment, step["state"]), "the grant")
        return "GRANT"

    def step_credit(self, step):
        return self.credit(step["at"], self.message("grants", step["at"]))

    def step_redeliver(self, step):
        i = step["at"]
        totals = self.all([("HMGET", self.hub, f"G{i}", f"R{i}", f"B{i}", "term")])[0]
        return self.credit(i, totals) if step["way"] == AT_ONCE else "OK"

    def step_replicate(self, step):
        self.replicate(step["at"], step["arg"])
        return ""

    def step_failover(self, step):
        self.failover(step["at"], step["arg"])
        return ""

    def step_peek(self, step):
        drain, segment = step["state"]["drain"], step["at"]
        of_base, *records = self.run("peek", [self.keys(segment)[0], self.keys(segment)[2]], 0, 99)
        same(of_base, str(base(drain["base"])), "the base that was peeked")
        same(records, self.all([("LRANGE", self.keys(segment)[2], 0, -1)])[0], "what was peeked")
        return ""

    def step_trim(self, step):
        drain = self.before["drain"]
        keys = self.keys(drain["segment"])
        trimmed = self.run("trim", [keys[0], keys[2]], base(drain["base"]), number(drain["upto"]))
        return "REPLACED" if trimmed == -2 else "OK"

    def step_suspect(self, step):
        self.run("fence", self.keys(step["at"])[:1], self.incarnation(step["at"]), fence(SUSPECT))
        return ""

    def nothing(self, step):
        return step["word"]

    def step_lose_owners(self, step):
        self.all([("DEL", self.keys(step["at"])[1])])
        return ""

    step_drop = step_commit = step_look = nothing

    # Inspections

    def step_begin(self, step):
        self.job = Inspection(step["at"])
        if step["at"] == HUB:
            self.read()
        return ""

    def step_suspend(self, step):
        self.others.append(self.job)
        return ""

    def step_resume(self, step):
        self.job = self.others.pop()
        return ""

    def read(self):
        key = self.keys_of(self.job.target)[0]
        fence_read, *self.job.read = self.all([("HMGET", key, "fence", "sold", "last", "I", "O")])[0]
        self.job.fence = fence_read

    def step_go_on(self, step):
        job, phase = self.before["job"], self.before["job"]["phase"]
        names = ("read", "count", "begin_term") if self.job.target == HUB else (
            "take_base", "read", "admit", "mend", "settle", "reopen")
        return getattr(self, "inspect_" + names[phase])(step, job)

    def inspect_read(self, step, job):
        if step["word"] == "OK" and self.job.target != HUB:
            self.return_owners(step["state"]["segments"][self.job.target]["own"])
        if step["word"] == "OK":
            self.read()
        return step["word"]

    def return_owners(self, own):
        """What src/sale/inspect_owners.c does: where there are none."""
        owners = self.keys(self.job.target)[1]
        if not self.all([("HLEN", owners)])[0]:
            self.all([("HSETNX", owners, c + 1, number(n)) for c, n in enumerate(own) if n])

    def inspect_count(self, step, _):
        return step["word"]

    def is_same_incarnation(self, job):
        """A connection ends with its server."""
        return job["incarnation"] == self.before["incarnation"][self.job.target]

    def inspect_begin_term(self, _, job):
        if not self.is_same_incarnation(job):
            return "OTHER"
        word = self.run("term", [self.hub], self.job.fence, self.incarnation(HUB), job["term"], 0)[0]
        return "OTHER" if word in ("FENCED", "REPLACED") else word

    def written_back(self, job):
        """number, user, units."""
        own = list(job["own"])
        for n in range(1, 16):
            user = next((c for c, row in enumerate(job["row"]) if row == n), None)
            if number(n) <= int(self.job.read[1]) or user is None and n not in job["held"]:
                continue
            takes_over = user is not None and own[user] and own[user] not in job["held"]
            if user is not None:
                own[user] = n
            yield number(n), 0 if user is None else user + 1, 0 if takes_over else 1

    def close_segment(self, job):
        if self.is_same_incarnation(job):
            self.close(self.job.target, self.job.fence)
        return "REGRESS"

    def inspect_admit(self, _, job):
        sold, _, received, sent = map(int, self.job.read)
        sold += sum(units for _, _, units in self.written_back(job))
        reply = self.run("admit", [self.hub], self.incarnation(HUB), self.job.target, base(job["base"]), received, sent, sold)
        if reply[0] == "SHORT":
            return self.close_segment(job)
        if reply[0] == "OK":
            self.job.granted, self.job.taken, self.job.term = reply[1:4]
        return reply[0]

    def inspect_mend(self, _, job, give=0):
        if not self.is_same_incarnation(job):
            return "OTHER"
        orders = " ".join(f"{n} {user} {units}" for n, user, units in self.written_back(job))
        granted, taken = self.job.granted, self.job.taken
        if give:
            orders, granted, taken = "", self.job.read[2], int(self.job.read[3]) + give
        reply = self.run("mend", self.keys(self.job.target)[:2], self.job.fence, *self.job.read, base(job["base"]), orders,
                         granted, taken, self.job.term)
        if reply[0] == "SHORT":
            return self.close_segment(job)
        if reply[0] == "OK":
            self.job.read = [str(n) for n in reply[1:5]]
        return reply[0]

    def others_may_give(self):
        for i in range(self.segments):
            g, taken = self.before["segments"][i], self.before["hub"][f"with{i}"][1]
            if g["fence"] != self.before["incarnation"][i] and (g["left"] or g["O"] > taken):
                return True
        return False

    def inspect_settle(self, _, job):
        word, *numbers = self.run("settle", [self.hub], self.incarnation(HUB), self.job.target, base(job["base"]), self.job.term)
        if word != "OK":
            return word
        unheard, avail = numbers
        sold, _, received, sent = map(int, self.job.read)
        units = min(-avail, received - sent - sold)
        if unheard:
            return "LATER"
        if avail >= 0:
            return "OK"
        if units > 0:
            return "LATER" if self.inspect_mend(None, job, units) == "OK" else "OTHER"
        return "LATER" if self.others_may_give() else self.close_segment(job)

    def inspect_reopen(self, _, job):
        if not self.is_same_incarnation(job):
            return "OTHER"
        told = job["acknowledged"]
        lost = (base((told - 1) // RANGE) + 1, number(told)) if number(told) > int(self.job.read[1]) else ("", "")
        keys = self.keys(self.job.target)
        return self.run("reopen", [keys[0], keys[2], keys[1]], self.job.fence, base(job["base"]), self.incarnation(self.job.target), *lost)[0]

    def inspect_take_base(self, step, _):
        return step["word"]

    # Comparing

    def take(self, step):
        word = getattr(self, "step_" + step["step"])(step)
        wanted = step["word"]
        if word == "UNHEARD" and wanted in ("LATER", "NONE"):
            word = wanted
        same(word, wanted if word else "", "reply")
        self.check_slots(step["state"])
        self.before = step["state"]

    def check_slots(self, state):
        hub, *rest = self.all(self.reads())
        self.check_hub(pairs(hub), state["hub"])
        for i, g in enumerate(state["segments"]):
            self.check_segment(i, g, pairs(rest[3 * i]), pairs(rest[3 * i + 1]), rest[3 * i + 2])

    def check_hub(self, got, hub):
        wanted = {name: hub[name] for name in ("avail", "sold_out", "term")}
        wanted |= {name: bits(hub[name], self.segments) for name in ("empty", "heard")} | {"fence": fence(hub["fence"])}
        for i in range(self.segments):
            granted, taken, ranges = hub[f"with{i}"]
            wanted |= {f"G{i}": granted, f"R{i}": taken, f"B{i}": base(ranges)}
        same_fields(got, wanted, "hub")
        if got.get("opening", "0") != "0":  # for how long workers keep a word is not modelled
            self.all([("HSET", self.hub, "opening", 0)])

    def check_segment(self, i, g, got, owners, orders):
        wanted = {name: g[name] for name in ("left", "I", "O", "sold", "term")}
        last = base(g["base"]) if g["last"] == g["base"] * RANGE else number(g["last"])
        wanted |= {"fence": fence(g["fence"]), "last": last, "base": base(g["base"])}
        same_fields(got, wanted, f"segment {i}")
        same(got.get("next", "0"), str(base(g["next"])), f"next of segment {i}")
        same(owners, {str(c + 1): str(number(n)) for c, n in enumerate(g["own"]) if n}, f"owners of {i}")
        listed = [(number(n), str(c + 1)) for c, n in enumerate(g["own"]) if g["listed"][c]]
        listed += [(number(n), "?") for n in g["lost"]]
        same([order.split("|")[:2] for order in orders], [[str(n), user] for n, user in sorted(listed)], f"orders of {i}")


if __name__ == "__main__":
    sys.exit(real.main(Replay, "random traces of the lossy model go the same way on Redis"))
