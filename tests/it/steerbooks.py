"""
The books of a sale that its seller steers and that people wait for, kept from outside (lifebooks.py has the rest).

SteerBooks notes each request to the waiting list and each change that the seller asks for, with its answer. The rules compare
them with what MySQL has in the end: with the orders, the time at which each was claimed or promoted (by the sale clock, which is
this machine's), and the entries of the waiting list. What was not answered may have been done, or may still be.
"""

import bisect
import collections
import itertools
import json
import time
from typing import NamedTuple

import lifebooks
from client import LOST
from lifebooks import OVER, Final, LifeBooks, Owner

WAITING, PROMOTED = 0, 1  # states of an entry
AWAY_S = 15  # so long after Redis was killed homes may be away
AWARD_S = 5  # so long a unit may be on its way to the home of who was promoted, when a drainer is killed
BATCH = 64   # so many people at most are promoted at once
EPOCH = max(time.time() - time.monotonic() for _ in range(1000))  # whoever is interrupted between the two gets less


def milliseconds(moment):
    """A moment of time.monotonic() by the wall clock."""
    return (moment + EPOCH) * 1000


class Wish(NamedTuple):
    """A request to the waiting list: POST joins, GET looks, DELETE leaves."""
    what: str
    user: Owner
    start: float
    end: float
    status: int | None
    code: str | None = None
    order: str | None = None
    position: int | None = None

    @property
    def unknown(self):
        return self.status is None or self.status >= 500

    @property
    def waits(self):
        """The answer says that this customer waits."""
        return self.status in (200, 201) and self.position is not None

    @property
    def is_over(self):
        """The answer says that this customer does not wait."""
        return not self.unknown and not self.waits


class Change(NamedTuple):
    """A request of the seller. start: of its first attempt; end: of its last one; said: the answer's body, None without 200."""
    what: str
    value: object
    start: float
    end: float
    status: int | None
    code: str | None = None
    said: dict | None = None

    @property
    def done(self):
        return self.status == 200


class SteerBooks(LifeBooks):
    refusals = LifeBooks.refusals | {"waiting-list", "paused", "ended"}

    def __init__(self, sale, terms, struck):
        """struck: what the nemesis did, as (what, start, end)."""
        super().__init__(sale, terms)
        self.limit, self.struck, self.wishes, self.changes, self.tags = terms["limit"], struck, [], [], []
        self.ends_ms = None  # of a sale that ended by time

    def wish(self, what, user, unit, client):
        owner, start, path = Owner(user.id, unit), time.monotonic(), f"{self.sale.path}/waiting"
        try:
            answer = client.ask(what, path if unit == 1 else f"{path}?unit={unit}", user)
        except LOST:
            wish = Wish(what, owner, start, time.monotonic(), None)
        else:
            said = answer.json if answer.status in (200, 201) else {}
            wish = Wish(what, owner, start, time.monotonic(), answer.status, answer.code if answer.status != 204 else None,
                        said.get("order"), said.get("position"))
        self.wishes.append(wish)
        return wish

    def note_tag(self, tag, start):
        """The ETag of an answer to a request that began then: "VERSION-AMOUNT-WITHDRAWN"."""
        self.tags.append((start, time.monotonic(), tuple(map(int, tag.strip('"').split("-")))))

    # reading

    def told(self):
        return super().told() + [wish for wish in self.wishes if wish.order]

    def unsure(self):
        starts = super().unsure()
        for wish in self.wishes:
            if wish.what == "POST":
                starts[wish.user].append(wish.start)
        return starts

    def of(self, *what):
        return [change for change in self.changes if change.what in what]

    def on_sale(self, start, end):
        return self.sale.amount + sum(c.value for c in self.of("add") if c.done and c.end < start) - \
            sum(c.value for c in self.of("withdraw") if c.start < end)

    def count(self):
        """When all is answered: `amount` and `withdrawn` as they must be."""
        self.amount = self.sale.amount + sum(c.value for c in self.of("add") if c.done)
        self.withdrawn = sum(c.said["withdrew"] for c in self.of("withdraw") if c.done)

    def closed(self):
        """
        Spans of the wall clock, in ms, in which nobody may win: from an answer to `paused` to the next request that opens the
        sale again, and from an answer to `ended` on. A request is sent again until it is answered, with the same key or under
        the same condition, so none takes effect later.
        """
        spans, states = [], self.of("state")
        for k, change in enumerate(states):
            if change.done and change.value != "open":
                opens = (milliseconds(c.start) for c in states[k + 1:] if c.value == "open" and change.value != "ended")
                spans.append((milliseconds(change.end), next(opens, float("inf"))))
        return spans + ([(self.ends_ms, float("inf"))] if self.ends_ms else [])

    def may_come_back(self, at, people):
        """
        Whether so few people may have been promoted before this moment (ms), and wait again after it: a sale that was closed
        meanwhile, or a home that was away, puts a promotion back.
        """
        spans = [(c.start, c.end) for c in self.changes if c.what == "ends_at" or c.value in ("paused", "ended")]
        spans += [(start, end + AWAY_S) for what, start, end in self.struck if what == "kill redis"]
        return people <= BATCH and any(milliseconds(start - AWARD_S) < at < milliseconds(end) + 10 for start, end in spans)

    def spans_of_waiting(self):
        """Of each owner: (start, end) in which he certainly waited without a break, between answers that said so."""
        spans, open_span = collections.defaultdict(list), {}
        for wish in sorted(self.wishes, key=lambda wish: wish.start):
            owner = wish.user
            if wish.waits and wish.status == 200 and owner in open_span:
                open_span[owner][1] = wish.start
            elif wish.waits:
                open_span[owner] = [wish.end, wish.start]
                spans[owner].append(open_span[owner])
            elif wish.is_over or wish.what == "DELETE":
                open_span.pop(owner, None)
        return {owner: [(a, b) for a, b in some if a < b] for owner, some in spans.items()}


    def may_wait(self):
        """Spans in which somebody may have waited: from a request to join to an answer that this customer does not wait."""
        since, spans = {}, []
        for wish in sorted(self.wishes, key=lambda wish: wish.end):
            if wish.what == "POST" and not wish.is_over:
                since.setdefault(wish.user, wish.start)
            elif wish.is_over and wish.user in since:
                spans.append((since.pop(wish.user), wish.end))
        return spans + [(start, float("inf")) for start in since.values()]


class Order(NamedTuple):
    owner: Owner
    status: int
    claimed: int  # ms
    over: int | None  # ms
    ticket: int | None


class SteerFinal(Final):
    def __init__(self, it, sale, with_list=True):
        super().__init__(it, sale)
        mine = f"WHERE coupon_id = {sale.id}"
        ends = {order: at for order, events in self.events.items() for kind, at in events if kind in ("cancelled", "expired")}
        rows = it.sql(f"SELECT CONCAT_WS('-', coupon_id, segment, seq), claimed_at_ms, IFNULL(promotion, 0) FROM orders {mine}")
        self.life = {order: Order(*self.orders[order][:2], int(claimed), ends.get(order), int(ticket) or None)
                     for order, claimed, ticket in rows if order in self.orders}
        rows = it.sql(f"SELECT ticket, user_id, unit, joined_at_ms, state FROM waiting_entries {mine}")
        self.entries = {ticket: (Owner(user, unit), joined, state) for ticket, user, unit, joined, state in
                        (map(int, row) for row in rows)}
        more = "withdraw_asked - withdraw_missed - withdrawn, 1 - state_told"
        pending, untold = map(int, it.sql(f"SELECT {more} FROM coupons WHERE id = {sale.id}")[0])
        self.waiting |= {"units to withdraw": pending, "states to tell": untold, "totals to tell": 1 - self.coupon["hub_told"]}
        if with_list:
            self.waiting["journal"] = int(it.redis("LLEN", sale.key("j")))
            fields = it.redis("HGETALL", sale.key("hub"))
            self.queue = int(dict(zip(fields[::2], fields[1::2])).get("queue") or 0)
            self.waiting["promotions"] = sum(len(text.split()) // 2 for field, text in zip(fields[::2], fields[1::2])
                                             if field[0] in "PV" and field[1:].isdigit())

    def is_at_rest(self):
        return not any(self.waiting.values())

    def free(self):
        return self.coupon["amount"] - self.coupon["withdrawn"] - self.coupon["sold"]


def history(books, final):
    """Everything that was asked and what came of it, a line each in the order of time, to find out how something came."""
    def name(owner):
        return f"{owner.user}#{owner.unit}"

    def asked(one, who, what, text):
        return milliseconds(one.start), milliseconds(one.end), who, what, f"{text} {one.status} {one.code or ''}"
    lines = [asked(e, name(e.user), "claim", e.order or "") for e in books.claims]
    lines += [asked(w, name(w.user), w.what, w.order or w.position or "") for w in books.wishes]
    lines += [asked(c, "seller", c.what, c.value) + (c.said or "",) for c in books.changes]
    lines += [asked(c, c.by, "cancel", c.order) for c in books.cancels]
    lines += [(milliseconds(p.began), milliseconds(p.began), "provider", "payment", f"{p.order}, right: {p.right}, "
               f"answered {[said.word for said in p.answers]}") for p in books.payments.values()]
    lines += [(o.claimed, o.claimed, name(o.owner), "ORDER", f"{order} ticket {o.ticket}") for order, o in final.life.items()]
    lines += [(at, at, name(final.orders[order][0]), "EVENT", f"{order} {kind}") for order, events in final.events.items()
              for kind, at in events]
    lines += [(joined, joined, name(owner), "ENTRY", f"ticket {ticket}, in the end in state {state}")
              for ticket, (owner, joined, state) in final.entries.items()]
    lines += [(milliseconds(start), milliseconds(end), "nemesis", what) for what, start, end in books.struck]
    lines.sort(key=lambda line: line[0])
    return "".join(f"{line[0] - lines[0][0]:9.1f} {line[1] - lines[0][0]:9.1f} {' '.join(map(str, line[2:]))}\n" for line in lines)


# The rules; each yields violations.

def wishes(books, final):
    usual = {"POST": {"units-left", "limit-reached", "ended"}, "GET": {"not-waiting", "limit-reached", "ended"},
             "DELETE": {"not-waiting", "promoted", "limit-reached", "ended"}}
    for wish in books.wishes:
        if not (wish.unknown or wish.status in (200, 201, 204) or wish.code in usual[wish.what]):
            yield f"unexpected: {wish}"
    for change in books.changes:
        if not change.done and change.code != "too-late":
            yield f"unexpected: {change}"


def exactly(books, final):
    """Each addition counts once, and what was withdrawn is what the seller was told."""
    c = final.coupon
    if (c["amount"], c["withdrawn"]) != (books.amount, books.withdrawn):
        yield f"{books.amount} put on sale, {books.withdrawn} withdrawn, as the seller was told; MySQL has {c}"
    for change in books.of("withdraw"):
        if change.done and not 0 <= change.said["withdrew"] <= change.value:
            yield f"{change}"
    tags = sorted(books.tags, key=lambda tag: tag[1])
    for (_, end, tag), (start, _, later) in zip(tags, tags[1:]):
        if start > end and any(a > b for a, b in zip(tag, later)):
            yield f"version, amount and withdrawn were {tag}, then {later}"


def at_any_time(books, final):
    """Never more live orders than units, and never two of one owner, by the sale clock."""
    moves = collections.defaultdict(int)
    for order in final.life.values():
        moves[order.claimed] += 1
        if order.over:
            moves[order.over] -= 1
    for c in books.of("add"):
        moves[int(milliseconds(c.start)) - 1] -= c.value
    for c in books.of("withdraw"):
        if c.done:
            moves[int(milliseconds(c.end)) + 1] += c.said["withdrew"]
    live, most = 0, (0, 0)
    for at in sorted(moves):
        live += moves[at]
        most = max(most, (live, at))
    if most[0] > books.sale.amount:
        yield f"{most[0] - books.sale.amount} units were sold twice at {most[1]}"
    lives = collections.defaultdict(list)
    for name, order in final.life.items():
        lives[order.owner].append((order.claimed, order.over or float("inf"), name))
    for owner, some in lives.items():
        some.sort()
        yield from (f"{owner} had {a[2]} and {b[2]} at once: {a}, {b}" for a, b in zip(some, some[1:]) if b[0] < a[1])


def closed_is_closed(books, final):
    """Between an acknowledged pause and the next resume, and after an acknowledged end, nobody wins and nobody is promoted."""
    for start, end in books.closed():
        for name, order in final.life.items():
            if start < order.claimed and order.claimed + 1 <= end:
                yield (f"{name} of {order.owner}{', promoted,' if order.ticket else ''} was made {order.claimed - start:.0f} ms after the "
                       f"sale was closed, {end - order.claimed:.0f} ms before it was opened")


COMPARED = 1000  # ms: a comparison after a loss (waiting/relist.c) gives its own moment to entries that the journal still has


def list_is_kept(books, final):
    """Who was told that he waits has an entry, and tickets are given in the order of arrival."""
    joined = collections.defaultdict(list)
    for owner, at, _ in final.entries.values():
        joined[owner].append(at)
    for wish in books.wishes:
        if wish.waits:
            since = milliseconds(wish.start) - 1 if wish.status == 201 else float("-inf")
            if not any(since <= at <= milliseconds(wish.end) + COMPARED for at in joined[wish.user]):
                yield f"{wish}, and MySQL has {joined[wish.user]}"
    times = [at for _, (_, at, _) in sorted(final.entries.items())]
    yield from (f"a ticket of {b - a} ms earlier is higher" for b, a in zip(times, times[1:]) if b > a)


def promoted_once(books, final):
    """One order of an entry, and of its owner; who waits in the end has no live order."""
    tickets = collections.Counter(order.ticket for order in final.life.values() if order.ticket)
    yield from (f"ticket {ticket} was promoted {n} times" for ticket, n in tickets.items() if n > 1)
    for name, order in final.life.items():
        if order.ticket:
            owner, joined, state = final.entries.get(order.ticket, (None, 0, None))
            if owner != order.owner or state != PROMOTED or joined > order.claimed:
                yield f"{name}: {order}, and its entry is {owner} with state {state}"
    live = {order.owner for order in final.life.values() if order.status not in OVER}
    yield from (f"{owner} waits with ticket {ticket}, and has an order" for ticket, (owner, _, state) in final.entries.items()
                if state == WAITING and owner in live)


def left_is_left(books, final):
    """Who was told that he waits no more is not promoted with that entry."""
    promoted = collections.defaultdict(list)
    for order in final.life.values():
        if order.ticket:
            promoted[order.owner].append((final.entries.get(order.ticket, (0, 0))[1], order.claimed))
    for wish in books.wishes:
        if wish.what == "DELETE" and wish.status == 204:
            for joined, claimed in promoted[wish.user]:
                if joined < milliseconds(wish.start) and claimed > milliseconds(wish.end):
                    yield f"{wish}, and was promoted {claimed - milliseconds(wish.end):.0f} ms later"


def positions(books, final):
    """A position never gets worse, but by people whose promotions came back."""
    last = {}
    for wish in sorted(books.wishes, key=lambda wish: wish.start):
        if wish.waits:
            before = wish.status == 200 and last.get(wish.user)  # 201: a new entry
            if before and before.end < wish.start and before.position < wish.position and \
                    not books.may_come_back(milliseconds(before.start), wish.position - before.position):
                yield f"{wish} after {before}"
            last[wish.user] = wish
        elif wish.is_over or wish.what == "DELETE":
            last.pop(wish.user, None)


def in_the_order_of_tickets(books, final):
    """Nobody waits still, as an answer says, when a later ticket is promoted; but for those whose homes were away."""
    promoted = sorted((order.claimed, order.ticket, name) for name, order in final.life.items() if order.ticket)
    times = [claimed for claimed, *_ in promoted]
    latest = list(itertools.accumulate(promoted, lambda a, b: max(a, b, key=lambda one: one[1])))  # the highest ticket until then
    entries, overtaken = collections.defaultdict(list), collections.defaultdict(dict)
    for ticket, (owner, joined, _) in final.entries.items():
        entries[owner].append((joined, ticket))
    for wish in books.wishes:
        if wish.waits:
            before = bisect.bisect_left(times, milliseconds(wish.start) - 1)
            own = max((ticket for joined, ticket in entries[wish.user] if joined <= milliseconds(wish.end)), default=0)
            if before and latest[before - 1][1] > own > 0:
                overtaken[latest[before - 1]].setdefault(wish.user, (own, wish))
    for claimed, ticket, name in promoted:
        before = bisect.bisect_left(times, claimed - AWARD_S * 1000)
        if before and latest[before - 1][1] > ticket:
            overtaken[latest[before - 1]].setdefault(final.life[name].owner, (ticket, final.life[name]))
    for (claimed, ticket, name), people in overtaken.items():
        if not books.may_come_back(claimed, len(people)):
            own, later = next(iter(people.values()))
            at = milliseconds(later.start) if isinstance(later, Wish) else later.claimed
            yield (f"{name} was promoted with ticket {ticket} before {len(people)} others; one had ticket {own} and waited still "
                   f"{at - claimed:.0f} ms later: {later}")


def no_walk_in(books, final):
    """Nobody who began to claim while somebody waited wins before that one is promoted or leaves."""
    waited = [(milliseconds(start), milliseconds(end), owner) for owner, spans in books.spans_of_waiting().items()
              for start, end in spans]
    asked, late = collections.defaultdict(list), collections.defaultdict(list)
    for e in books.claims:
        asked[e.user].append(e)
    for p in books.payments.values():
        if p.order in final.life:
            late[final.life[p.order].owner].append((p.order, p.began))
    for name, order in final.life.items():
        if order.ticket:
            continue
        began = [e.start for e in asked[order.owner] if e.order == name or (e.unknown and not e.order)]
        began += [at for paid, at in late[order.owner] if paid != name]
        began = min((milliseconds(at) for at in began if milliseconds(at) <= order.claimed + 1), default=None)
        if began is None:
            yield f"{name}: {order} was claimed by nobody"
            continue
        people = [one for one in waited if one[0] <= began and order.claimed + 1 < one[1]]
        if people and not books.may_come_back(order.claimed, len(people)):
            start, end, owner = max(people, key=lambda one: one[1])
            yield (f"{name} of {order.owner} was claimed while {len(people)} others waited; {owner} from {order.claimed - start:.0f} ms "
                   f"before to {end - order.claimed:.0f} ms later at least")


def refused_truly(books, final):
    """As lifebooks says. Nobody is asked to wait before all units are claimed or somebody waits, or told what no seller did."""
    yield from lifebooks.refused_truly(books, final)
    began, waits = sorted(lifebooks.order_began(books).values()), books.may_wait()
    untold = len(final.orders.keys() - books.orders().keys())
    asked = {"paused": float("inf"), "ended": books.ends_ms / 1000 - EPOCH if books.ends_ms else float("inf")}
    for c in books.of("state"):
        asked[c.value] = min(c.start, asked.get(c.value, c.start))
    for e in books.claims:
        claimed, units = bisect.bisect_left(began, e.end) + untold, books.on_sale(e.start, e.end)
        if e.code == "waiting-list" and claimed < units and not any(a < e.end and e.start < b for a, b in waits):
            yield f"{e} when at most {claimed} of {units} were claimed, and nobody waited"
        if e.code in ("paused", "ended") and e.end < asked[e.code]:
            yield f"{e} before the seller asked for that"


RULES = tuple(rule for rule in lifebooks.RULES if rule != lifebooks.refused_truly) + (
    wishes, exactly, at_any_time, closed_is_closed, list_is_kept, promoted_once, left_is_left, positions, in_the_order_of_tickets,
    no_walk_in, refused_truly)


def units_in_redis(it, sale, final):
    """Where Redis has the units; as text, '' when their sum is right."""
    hub = it.redis("HGETALL", sale.key("hub"))
    hub = dict(zip(hub[::2], hub[1::2]))
    left = sold = flight = 0
    for i in range(sale.segments):
        at = it.redis("HMGET", sale.key("s", i), "left", "sold", "I", "O")
        left, sold = left + int(at[0]), sold + int(at[1])
        flight += int(hub[f"G{i}"]) - int(at[2]) + int(at[3]) - int(hub[f"R{i}"])
    c = final.coupon
    units = {"hub": int(hub["avail"]), "in flight": flight, "left": left, "sold": sold}
    right = c["amount"] - c["withdrawn"] + c["cancelled"]
    return "" if sum(units.values()) == right else f"{units} make {sum(units.values())}, not {right}: {json.dumps(c)}"
