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

import sys
import time

import real
from real import Different, pairs, same, same_fields, words

FENCE, HOUR = "2:7@life", 3600 * 1000
FIRST = (0, 0)  # base and term
LEASE, FAR = 2 * HOUR, 6  # FAR: the model's moment that is void
BASE = int(time.time() * 1000)
PAY_BY = BASE + 900  # when the first unpaid order is due; the model has no such moments
# What replay must notice: its name, a script, a text in it, and what replaces that.
BROKEN = (
    ("no G comparison", "exchange", "received == G and ", ""),
    ("any total sent back is taken", "exchange", "if sent > R then", "if sent ~= R then"),
    ("a grant keeps the mark", "exchange", "  mark(i, '0')\n", ""),
    ("chunks of another size", "exchange", "2 * avail", "3 * avail"),
    ("reports of other segments are ignored", "exchange", "ipairs(reports) do\n  local j", "ipairs({ reports[1] }) do\n  local j"),
    ("no more segments are named than were asked for", "exchange", "#candidates >= tonumber(ARGV[9])", "false"),
    ("no epoch check", "flag", "epoch >= known and ", ""),
    ("\"sold out\" over stock", "flag", " and tonumber(s[2]) == 0", ""),
    ("a shorter flag replaces a longer one", "flag", "flag_until <= last and flag_until > moment", "false"),
    ("a flag does not say that units may come back", "flag", "'held', held", "'held', ''"),
    ("a shorter flag changes what a longer one says", "flag", "moment, held = flag_until, s[5] or ''", "moment = flag_until"),
    ("a flag of any length", "claim", "and flag_until <= now + 1000 ", ""),
    ("\"sold out\" from before the clock was set back", "flag", "if moment > last + 250 then moment = 0 end", ""),
    ("a flag from before the clock was set back is kept", "flag", "flag_until <= last and ", ""),
    ("amounts instead of totals", "claim", "left + granted - received", "left + granted"),
    ("a credit keeps the flag", "claim", ", 'until', 0)", ")"),
    ("no look for the owner", "claim", "if mine then", "if false then"),
    ("\"sold out\" although units may come back", "claim", "held and held ~= ''", "false"),
    ("one unit is kept", "debit", "local units = left\n", "local units = math.max(1, left - 1)\n"),
    ("the epoch stays", "supply", "epoch, rose = epoch + 1, 1", "rose = 1"),
    ("grants before sold-out notices have expired", "exchange", "tonumber(ARGV[11]) ~= epoch", "false"),
    ("no wait for an opening counts", "exchange", "tonumber(ARGV[11]) ~= epoch", "true"),
    ("a wait for an earlier opening counts", "exchange", "tonumber(ARGV[11]) ~= epoch", "not tonumber(ARGV[11])"),
    ("the supplier's wait does not count", "supply", " and tonumber(ARGV[8]) ~= epoch", ""),
    ("the hub does not keep that it is opening", "supply", "opening = opening or sold_out == '1'", ""),
    ("notices of \"sold out\" are forgotten", "supply", "sold_out == '1'", "false"),
    ("a unit that comes back waits for notices that nobody has", "supply", "sold_out == '1'", "true"),
    ("the hub does not learn that orders are paid", "supply", ", 'pays' }", " }"),
    ("what is final is not counted", "supply", "'final', 'final_cancelled'", "'skipped', 'skipped'"),
    ("what was final and came back is not counted", "exchange", "(s[5] or 0)", "0"),
    ("\"sold out\" for good although orders are not final", "exchange", "s[1] == '1' and units > 0", "false"),
    ("sales whose orders are not paid are held, too", "exchange", "s[1] == '1' and units > 0", "units > 0"),
    ("within an epoch \"sold out\" becomes \"held\"", "exchange", "h[5] ~= '1' and held()", "held()"),
    ("an owner is released whatever the number is", "release", "== number then", "then"),
    ("released units are not counted", "release", "'unowned', removed", "'unowned', 0"),
    ("a late total counts", "supply", "if told > had then", "if told ~= had then"),
)
# The same, in sales with a waiting list; these traces are for nothing else.
WAITING = (
    ("joining while units are left", "join", "h[5] == '0' and queue == 0", "false"),
    ("joining twice", "join", "if mine then", "if false then"),
    ("joining while a unit is on its way", "join", "if promoted == owner then", "if false then"),
    ("a ticket is given twice", "join", "h[3] + 1", "math.max(1, h[3] + 0)"),
    ("who leaves is counted", "leave", "h[2] - 1", "h[2]"),
    ("who leaves keeps the place", "leave", "redis.call('ZREM', list, owner)\n", ""),
    ("units for others while people wait", "exchange", "queue > 0 and (avail", "queue > 99 and (avail"),
    ("flags while people wait", "exchange", "epoch, 0, held() or 0", "epoch, redis.call('TIME')[1] * 1000, held() or 0"),
    ("a question while a promotion is outstanding", "exchange", "if text ~= '' then return", "if false then return"),
    ("totals with the units of a promotion", "exchange", "granted - reserved", "granted"),
    ("totals of candidates with the units of a promotion", "exchange", "reply[#reply - 2] - units", "reply[#reply - 2]"),
    ("promotions before sold-out notices have expired", "promote", "tonumber(ARGV[4]) ~= epoch", "false"),
    ("no wait for an opening counts with promotions", "promote", "tonumber(ARGV[4]) ~= epoch", "true"),
    ("a place is not compared", "promote", "waiting[k - 1] ~= owner or tonumber(waiting[k]) ~= tonumber(ticket)", "false"),
    ("entries that are skipped are promoted", "promote", "    if j then\n", "    j = j or 0\n    if j then\n"),
    ("a second promotion for a segment", "promote", " or noted(j) ~= ''", ""),
    ("more promotions than units", "promote", "#promoted == avail or ", ""),
    ("a promoted customer waits on", "promote", "  redis.call('ZREM', list, unpack(promoted))\n", ""),
    ("a promotion keeps the mark", "promote", "'empty', empty, ", ""),
    ("a promotion that was done is done again", "award", "received >= granted", "false"),
    ("a second order by a promotion", "award", "sells and not mine[k]", "sells"),
    ("the unit of an owner stays", "award", "    sent = sent + 1\n", "    left = left + 1\n"),
    ("a promotion credits its units", "award", "(granted - #names) - received", "granted - received"),
    ("a promoted order without its ticket", "award", "results[k], owner, ms, tickets[k]", "results[k], owner, ms"),
    ("a promotion is never over", "promoted", "redis.call('HDEL', hub, field)\n", ""),
)
STEERING = (
    ("any version is taken", "steer", "tonumber(ARGV[2]) > version", "true"),
    ("a state without its version", "steer", "'version', ARGV[2], ", ""),
    ("a paused hub grants", "exchange", "if state == 'paused' then return save('PAUSED') end\n", ""),
    ("a paused segment sells", "claim", "state == 'open' and now >= starts", "now >= starts"),
    ("withdrawn units stay at the hub", "withdraw", "  avail = avail - units\n", ""),
    ("units are given up too soon", "withdraw", " and not string.find(empty, '0', 1, true)", ""),
    ("what was given up is forgotten", "withdraw", "math.max(tonumber(h[5]) or 0, tonumber(ARGV[3]))", "tonumber(ARGV[3])"),
    ("units that come back are granted first", "exchange", "if wanted > 0 and avail > 0", "if false"),
)


class Replay(real.Trace):
    PROGRAM = "model"
    SCRIPTS = ("open_hub", "open_segment", "claim", "debit", "exchange", "flag", "supply", "release", "join", "leave", "promote",
               "award", "promoted", "steer", "withdraw")
    EVERYWHERE = [(name, "+ 1000", f"+ {LEASE}") for name in ("claim", "flag", "exchange")]
    BROKEN = BROKEN + WAITING + STEERING
    KNOWN, LENGTH = (4000, 1), (400, 20000)

    def __init__(self, redis, shas, sale):
        super().__init__(redis, shas, sale)
        self.clock = 0
        self.list, self.journal = f"{sale['trace']}:w", f"{sale['trace']}:j"
        self.tickets, self.ranks, self.awards = {}, [0] * len(sale["homes"]), {}
        redis.all([("DEL", self.list, self.journal)])
        self.orders = [[] for _ in range(self.segments)]  # of each segment: those that were won, with their users
        redis.all([self.fenced("open_hub", [self.hub], sale["amount"], sale["segments"], sale["each"], sale["extra"], sale["pays"],
                               sale["waits"]),
                   ("HSET", self.hub, "pay_by", PAY_BY)])
        if not sale["opening"]:
            redis.all([self.open_segment(i, sale["each"] + (i < sale["extra"])) for i in range(sale["segments"])])

    @staticmethod
    def may_show(broken, sale):
        return (broken in WAITING) == bool(sale["waits"])

    @staticmethod
    def text(step):
        return f"{step['step']} at {step['at']} {step['args']} -> {step['reply']}"

    @staticmethod
    def summary(step):
        return " ".join([step["step"], *map(str, step["reply"][:1])])

    def fenced(self, name, keys, *args):
        return self.script(name, keys, FENCE, *args)

    def moment(self, until):
        """A moment of the model, in Redis's milliseconds."""
        return BASE + 1000 * HOUR if until == FAR else BASE + (until - self.clock) * HOUR if until else 0

    def open_segment(self, at, units):
        return self.fenced("open_segment", self.keys(at)[:1], 0, 0, units)

    def batch_of_one(self, segment, user, totals):
        return self.script("claim", self.keys(segment), 1, 1, FENCE, totals, "", user)

    def claim(self, at, granted, taken):
        return self.batch_of_one(self.sale["homes"][at], at + 1, "" if granted < 0 else self.totals(granted, taken))

    def credit(self, at, granted, taken):
        return self.batch_of_one(at, 0, self.totals(granted, taken))

    @staticmethod
    def totals(granted, taken):
        return " ".join(map(str, (granted, taken, *FIRST)))

    def debit(self, at, half):
        return self.fenced("debit", self.keys(at)[:1], half, "")

    def exchange(self, at, *args):
        others = " ".join(map(str, (*args[5:9], *FIRST))) if args[5] >= 0 else ""
        return self.fenced("exchange", [self.hub], at, *args[:3], *FIRST, *args[3:5], others, args[9])

    def flag(self, at, epoch, until, held):
        return self.fenced("flag", self.keys(at)[:1], epoch, self.moment(until), PAY_BY if held else "")

    def supply(self, _, amount, cancelled, waited, *others):
        return self.fenced("supply", [self.hub], amount, cancelled, *others, PAY_BY, waited)

    def release(self, at, number):
        return self.fenced("release", self.keys(self.sale["homes"][at])[:2], at + 1, number, 0)

    # Steering

    @staticmethod
    def state(version):
        return "paused" if version & 1 else "open"

    def steer(self, at, version):
        key = self.hub if at == self.segments else self.keys(at)[0]
        return self.fenced("steer", [key], version, self.state(version), 0, 0)

    def withdraw(self, _, asked, missed):
        return self.fenced("withdraw", [self.hub], asked, missed, 8)

    # The waiting list

    def on_list(self, name, at, *args):
        return self.fenced(name, [self.hub, self.list, self.journal], at + 1, self.sale["homes"][at], *args)

    def join(self, at):
        return self.on_list("join", at, 99)

    def leave(self, at):
        return self.on_list("leave", at)

    def entry(self, claimer, is_skipped=False):
        home = "-" if is_skipped else self.sale["homes"][claimer]
        return f"{claimer + 1} {self.tickets.get(claimer + 1, 99)} {home}"

    def promote(self, at, skipped, waited, following):
        order = sorted((rank, claimer) for claimer, rank in enumerate(self.ranks) if rank)
        entries = [self.entry(claimer, True) for _, claimer in order[skipped - skipped % 2:skipped]] + [self.entry(at)]
        if following >= 0:
            entries.append(self.entry(following))
        return self.fenced("promote", [self.hub, self.list], 0, 0, waited, skipped - skipped % 2, " ".join(entries))

    def promotion(self, *users):
        return " ".join(f"{self.tickets[user]} {user}" for user in users if user)

    def award(self, at, granted, first, second):
        return self.fenced("award", self.keys(at), granted, *FIRST, self.promotion(first, second))

    def promoted(self, at, first, second):
        return self.fenced("promoted", [self.hub, self.list], at, self.promotion(first, second), "", FIRST[1])

    def note_list(self, step, reply):
        """What later steps need: tickets; the orders of a promotion, which a repeated award must name again."""
        if step["step"] == "join" and reply[0] == "JOINED":
            self.tickets[step["at"] + 1] = reply[1]
        if step["step"] == "award" and reply[0] == "OK":
            granted, *users = step["args"]
            users = [user for user in users if user]
            numbers = [step["owners"][user - 1] for user in users]
            if (step["at"], granted) not in self.awards:
                self.awards[step["at"], granted] = numbers
                known = {number for number, *_ in self.orders[step["at"]]}
                self.orders[step["at"]] += [[str(number), str(user), str(self.tickets[user])]
                                            for number, user in zip(numbers, users) if str(number) not in known]
            same(reply[6:], self.awards[step["at"], granted], "numbers of a promotion")

    def check_list(self, step, entries, hub):
        order = sorted((rank, claimer) for claimer, rank in enumerate(step["ranks"]) if rank)
        same(entries, [str(claimer + 1) for _, claimer in order], "the waiting list")
        if self.sale["waits"]:
            same(hub["queue"], str(len(order)), "how many wait")
        for i in range(self.segments):
            same(hub.get(f"P{i}", ""), self.promotion(*step["promised"][2 * i:2 * i + 2]), f"promotion of {i}")
        self.ranks = step["ranks"]

    def tick(self, step):
        """The leases move, not the clock."""
        self.clock = step["clock"]
        self.redis.all([("HINCRBY", self.keys(i)[0], "until", -HOUR) for i, s in enumerate(step["segments"])
                        if s.get("until", 0) not in (0, FAR)])

    def set_back(self, step):
        self.redis.all([("HSET", self.keys(i)[0], "until", self.moment(FAR)) for i, s in enumerate(step["segments"])
                        if s.get("until")])

    def take(self, step):
        if step["step"] in ("tick", "set_back"):
            getattr(self, step["step"])(step)
            slots = self.redis.all([*self.reads(), ("ZRANGE", self.list, 0, -1)])
        else:
            began = int(time.time() * 1000)
            command = getattr(self, step["step"])(step["at"], *step["args"])
            reply, *slots = self.redis.all([command, *self.reads(), ("ZRANGE", self.list, 0, -1)])
            if step["step"] in ("claim", "credit"):
                reply = words(*reply)
            self.note_list(step, reply)
            self.check_reply(step, reply, began)
            self.note_won(step)
        self.check_list(step, slots.pop(), pairs(slots[0]))
        self.check_slots(step, slots)

    def note_won(self, step):
        if step["reply"][0] == "WON":
            self.orders[self.sale["homes"][step["at"]]].append([str(step["reply"][1]), str(step["at"] + 1)])

    @staticmethod
    def check_reply(step, got, began):
        wanted, now = of_first(step), int(time.time() * 1000)
        same(got[0], wanted[0], "reply")
        if step["step"] == "exchange" and got[0] in ("SOLDOUT", "HELD"):
            if got[0] == "HELD" and wanted[2] == 0:
                same(got[2], 0, "until")
            elif not began + LEASE <= got[2] <= now + LEASE:
                raise Different(f"the lease is {got[2] - now} ms")
            if got[0] == "HELD":
                pay_by = got.pop()
                same(pay_by, PAY_BY if wanted[2] or pay_by else 0, "pay_by")
            got, wanted = got[:2], wanted[:2]
        elif got[0] == "HELD":
            if got[2] != PAY_BY or not began <= got[3] <= now:
                raise Different(f"held: {got}, it is {now}")
            got = got[:2]
        if step["step"] in ("join", "leave"):
            got = [got[0], *got[2:]]
        elif step["step"] == "promote":
            got = [got[0], got[6] if got[0] == "OK" else got[1]]
        elif step["step"] == "award":
            got = got[:4]
        elif step["step"] == "withdraw":
            got = got[:3]
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
        same_fields({"opening": "0", "final": "0", "final_cancelled": "0", "pays": "0", "asked": "0", "missed": "0"} | hub,
                    step["hub"] | first | {"state": self.state(step["hub"]["version"])}, "hub")
        for i, segment in enumerate(step["segments"]):
            got, owners, orders = pairs(rest[3 * i]), pairs(rest[3 * i + 1]), rest[3 * i + 2]
            if not segment:
                same(got, {}, f"segment {i}")
                continue
            sold, until = segment["n"], self.moment(segment["until"])
            mine = {str(c + 1): str(n) for c, n in enumerate(step["owners"]) if n and self.sale["homes"][c] == i}
            held = PAY_BY if segment["held"] else ""
            rest_of_it = {"until": until, "state": self.state(segment["version"]), "sold": sold, "last": sold, "base": 0, "term": 0, "held": held,
                          "unowned": sold - len(mine)}
            same_fields({"held": "", "unowned": "0"} | got,
                        {name: value for name, value in segment.items() if name != "n"} | rest_of_it, f"segment {i}")
            same(owners, mine, f"owners of {i}")
            same([[number, user, *ticket] for number, user, _, *ticket in (order.split("|") for order in orders)],
                 self.orders[i], f"orders of {i}")


def of_first(step):
    """A reply of the model, and what the scripts say of the incarnation."""
    word, numbers = step["reply"][0], step["reply"][1:]
    if word in ("NEED", "GRANT") or step["step"] == "debit" and word == "OK":
        return [word, *numbers, *FIRST]
    if word == "NONE" and step["step"] == "exchange":
        totals = [[*numbers[k:k + 3], 0] for k in range(2, len(numbers), 3)]
        return [word, *numbers[:2], *FIRST, *sum(totals, [])]
    return [word, *numbers]


if __name__ == "__main__":
    sys.exit(real.main(Replay, "random traces of the model go the same way on Redis"))
