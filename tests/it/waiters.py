"""Waiting lists: what the tests that use them share."""

from tap import same, until

WAITS, PROMOTED, LEFT, ENDED = range(4)  # states of rows


def waiting_path(sale, unit=1):
    return f"{sale.path}/waiting" + (f"?unit={unit}" if unit > 1 else "")


def join(it, sale, user, client=None):
    return (client or it).ask("POST", waiting_path(sale), user)


def place(it, sale, user, client=None):
    return (client or it).ask("GET", waiting_path(sale), user)


def leave(it, sale, user, client=None):
    return (client or it).ask("DELETE", waiting_path(sale), user)


def queue(it, sale):
    """How many wait, by the hub; it must be how many entries there are."""
    both = "return {tonumber(redis.call('HGET', KEYS[1], 'queue')), redis.call('ZCARD', KEYS[2])}"
    count, entries = it.redis("EVAL", both, 2, sale.key("hub"), sale.key("w"))
    same(entries, count, "entries of the list")
    return count


def promoted(it, sale, user, seconds=5):
    """Waits until this customer has an order, and returns its number."""
    answers = []

    def has_order():
        answers[:] = [place(it, sale, user)]
        return answers[0].json.get("order")
    try:
        return until(has_order, seconds, f"a unit for {user}")
    except AssertionError as problem:
        raise AssertionError(f"{problem}: {answers[0]}") from None


def in_line(it, sale, users):
    """All of them join, in this order."""
    for user in users:
        join(it, sale, user).expect(201)


def taken(it, amount=4, segments=2, **more):
    """A sale whose units are all taken, with a waiting list, and its orders: order -> user."""
    sale, users = it.sale(amount=amount, segments=segments, waiting_list=True, **more), it.users(amount)
    orders = {sale.win(user): user for user in users}
    sale.drained()
    until(lambda: sale.claim(it.customer()).code in ("sold-out", "waiting-list"), 5, "the hub says that all are taken")
    return sale, orders


def rows(it, sale):
    """user -> state, of the last entry of each."""
    return {int(user): int(state) for user, state in
            it.sql(f"SELECT user_id, state FROM waiting_entries WHERE coupon_id = {sale.id} ORDER BY ticket")}


def becomes(it, sale, states):
    wanted = {user.id: state for user, state in states.items()}
    until(lambda: rows(it, sale) == wanted and not it.redis("LLEN", sale.key("j")), 5,
          f"the rows are {wanted}")


def lose(it, sale, *users):
    """As if Redis had lost the entries of these: its server would come back in a new term, or a segment would."""
    hub = sale.key("hub")
    it.redis("EVAL", "for i = 4, #ARGV do redis.call('ZREM', KEYS[2], ARGV[i]) end "
             "redis.call('HSET', KEYS[1], 'queue', ARGV[1], 'waits', redis.call('HGET', KEYS[1], 'waits') + 1)",
             2, hub, sale.key("w"), max(1, queue(it, sale) - len(users)), "", "", *(user.id for user in users))


def whole(it, sale):
    until(lambda: it.redis("HGET", sale.key("hub"), "waits") == "1", 5, "the list is whole")
