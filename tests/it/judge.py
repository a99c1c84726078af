"""What a sale came to, read from raw SQL and raw Redis, and judged by what its customers were told.

Nothing here asks the service or its audit. A rule yields what it finds wrong; its name is the kind of the failure.
"""

import collections

NUMBERS = ("sold", "left", "I", "O")
FOUND = "acknowledged, and lost by the servers that had it"  # the reason of a dead letter that holds no unit


class Stores:
    """Rows, dead letters, owners, lists, totals and customers' lists of one sale."""

    def read(self, sale, sql, redis, users):
        """Reads them now."""
        self.id = sale.id
        where = f"WHERE coupon_id = {sale.id}"
        orders = [(int(s), int(n), int(user), status) for s, n, user, status in
                  sql(f"SELECT segment, seq, user_id, status FROM orders {where}")]
        self.rows = {(s, n): user for s, n, user, status in orders if status in "125"}
        self.over = {(s, n) for s, n, _, status in orders if status not in "125"}
        self.amount = sql.number(f"SELECT amount - withdrawn FROM coupons WHERE id = {sale.id}")
        self.dead = {(int(s), int(n)): reason for s, n, reason in
                     sql(f"SELECT segment, seq, reason FROM dead_letters {where} AND state IN (0, 2) AND seq IS NOT NULL")}
        self.bases = {int(s): int(base) for s, base in sql(f"SELECT segment, base FROM drain_cursors {where}")}
        self.hub = pairs(redis("HGETALL", sale.key("hub")))
        self.totals = [pairs(redis("HGETALL", sale.key("s", i))) for i in range(sale.segments)]
        self.owners = [{int(user): int(n) for user, n in pairs(redis("HGETALL", sale.key("o", i))).items()}
                       for i in range(sale.segments)]
        self.lists = [redis("LRANGE", sale.key("q", i), 0, -1) for i in range(sale.segments)]
        self.indexes = {user: [entry for entry in redis("ZRANGE", "sk:u:{%d}" % user, 0, -1) if entry.startswith(f"{sale.id}-")]
                        for user in users}
        return self

    def name(self, place):
        return "%d-%d-%d" % (self.id, *place)

    def in_flight(self):
        return sum(int(self.hub[f"G{i}"]) - int(t["I"]) + int(t["O"]) - int(self.hub[f"R{i}"])
                   for i, t in enumerate(self.totals))

    def units(self):
        """Where Redis has the units."""
        return {"hub": int(self.hub["avail"]), "in flight": self.in_flight(), "left": sum(int(t["left"]) for t in self.totals),
                "sold": sum(int(t["sold"]) for t in self.totals)}

    def held(self):
        """Numbers without an order whose units are not sold again."""
        return {at for at, reason in self.dead.items() if reason != FOUND}

    def whole(self):
        """Whether every slot of the sale is there; otherwise units cannot be counted."""
        return "avail" in self.hub and all(field in t for t in self.totals for field in NUMBERS)


def pairs(reply):
    return dict(zip(reply[::2], reply[1::2]))


def place(order):
    return tuple(map(int, order.split("-")[1:]))


class Told:
    """What the customers were told, from the events of a history in the order in which they ended."""

    def __init__(self, events):
        self.orders, self.last, self.refused_later = collections.defaultdict(dict), {}, []
        for e in sorted(events, key=lambda e: e.end):
            known = self.orders.get(e.user)
            if e.refused and known and e.start > min(first.end for first in known.values()):
                self.refused_later.append(e)
            if e.order:
                self.orders[e.user].setdefault(place(e.order), e)
            if not e.unknown:
                self.last[e.user] = e
        self.asked = {e.user for e in events}


# The rules

def number_twice(told, stores):
    """A number was told to two customers, or belongs to another customer in MySQL."""
    users = collections.defaultdict(set)
    for user, orders in told.orders.items():
        for at in orders:
            users[at].add(user)
    for at, row in stores.rows.items():
        if at in users:
            users[at].add(row)
    yield from (f"{stores.name(at)} is {sorted(some)}'s" for at, some in users.items() if len(some) > 1)


def two_numbers(told, stores):
    """A customer was told two numbers, and the first one was not named as lost."""
    for user, orders in told.orders.items():
        kept = [stores.name(at) for at in orders if at not in stores.dead]
        if len(kept) > 1:
            yield f"{user} was told {kept}"


def lost_in_silence(told, stores):
    """An order that was told is neither a row of that customer nor named as lost."""
    for user, orders in told.orders.items():
        for at, e in orders.items():
            if stores.rows.get(at) != user and at not in stores.dead:
                yield f"{stores.name(at)} of {user}, told with {e.status}"


def oversold(told, stores):
    held = len(stores.held())
    if len(stores.rows) + held > stores.amount:
        yield f"{len(stores.rows)} rows and {held} units that are held, of {stores.amount}"
    counts = collections.Counter(stores.rows.values())
    yield from (f"{user} has {n} rows" for user, n in counts.items() if n > 1)


def refused_falsely(told, stores):
    """In the end a customer is told "sold out" while a unit is left."""
    left = stores.amount - len(stores.rows) - len(stores.held())
    refused = [user for user, e in told.last.items() if e.refused]
    if left > 0 and refused:
        yield f"{left} units are left, and {len(refused)} customers are refused: {stores.units() if stores.whole() else '?'}"


def winner_refused(told, stores):
    """A customer who has a row is refused in the end, or was refused after the order was told."""
    winners = set(stores.rows.values())
    yield from (f"{user} has a row" for user, e in told.last.items() if e.refused and user in winners)
    yield from (f"{e}" for e in told.refused_later if told.last.get(e.user) is not e and e.user in winners)


def unanswered(told, stores):
    """The faults are over, and a customer still gets no answer."""
    yield from (f"{user}" for user in told.asked if user not in told.last)


def not_drained(told, stores):
    for i, owners in enumerate(stores.owners):
        for user, n in owners.items():
            if (i, n) not in stores.rows and (i, n) not in stores.dead:
                yield f"{stores.name((i, n))} of {user} has an owner, and neither row nor dead letter"
        yield from (f"{record!r} waits on the list of segment {i}" for record in stores.lists[i])


def row_without_owner(told, stores):
    for at, user in stores.rows.items():
        if stores.owners[at[0]].get(user) != at[1]:
            yield f"{stores.name(at)} of {user}: in Redis he owns {stores.owners[at[0]].get(user)}"


def units_off_the_books(told, stores):
    if not stores.whole():
        yield "a part of the sale is gone"
    elif sum(stores.units().values()) != stores.amount + int(stores.hub.get("cancelled", 0)):
        yield f"{stores.units()} make {sum(stores.units().values())}, not {stores.amount}"


def sold_to_nobody(told, stores):
    """A segment's `sold` differs from the number of its orders and of dead letters that hold a unit."""
    for i, totals in enumerate(stores.totals):
        numbers = {at for at in stores.rows.keys() | stores.over | stores.held() if at[0] == i}
        numbers |= {(i, int(record.split("|")[0])) for record in stores.lists[i]}
        if stores.whole() and int(totals["sold"]) != len(numbers):
            yield f"segment {i} has sold {totals['sold']}, and {len(numbers)} of its numbers hold a unit"


def number_of_no_range(told, stores):
    """Hub, segment and MySQL differ on a segment's base."""
    for i, totals in enumerate(stores.totals):
        bases = {stores.bases.get(i, 0), int(totals.get("base", 0)), int(stores.hub.get(f"B{i}", 0))}
        if len(bases) > 1:
            yield f"segment {i} has bases {sorted(bases)}"


def order_not_in_its_list(told, stores):
    """A customer's own list lacks an order that MySQL does not have yet."""
    for i, owners in enumerate(stores.owners):
        yield from (f"the list of {user} lacks {stores.name((i, n))}" for user, n in owners.items()
                    if (i, n) not in stores.rows and stores.name((i, n)) not in stores.indexes.get(user, []))


def list_of_no_order(told, stores):
    """A customer's own list names an order that does not exist."""
    rows = {user: stores.name(at) for at, user in stores.rows.items()}
    for user, entries in stores.indexes.items():
        yield from (f"the list of {user} has {entry}" for entry in entries
                    if entry != rows.get(user) and place(entry) not in stores.dead)


RULES = (number_twice, two_numbers, lost_in_silence, oversold, refused_falsely, winner_refused, unanswered, not_drained,
         row_without_owner, units_off_the_books, sold_to_nobody, number_of_no_range, order_not_in_its_list,
         list_of_no_order)


def judge(told, stores):
    """Findings by kind."""
    found = {rule.__name__.replace("_", " "): list(rule(told, stores)) for rule in RULES}
    return {kind: texts for kind, texts in found.items() if texts}


def lost_and_named(told, stores):
    return sorted(stores.name(at) for orders in told.orders.values() for at in orders if at in stores.dead)
