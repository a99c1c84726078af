"""Waiting lists: what the tests that use them share."""

from tap import same, until


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
    return until(lambda: place(it, sale, user).json.get("order"), seconds, f"a unit for {user}")


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
