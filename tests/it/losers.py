"""Losers of a sold-out sale, and who answers them."""


def counts(it):
    """Metrics by name and labels."""
    lines = it.ask("GET", "/metrics").expect(200).body.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def grown(it, before, prefix):
    now = counts(it)
    return sum(now[name] - before[name] for name in now if name.startswith("seckill_" + prefix))


def sold_out(it, amount=5, segments=3, losers=60, **more):
    """A sale whose losers are many; winners, losers."""
    sale, users = it.sale(amount=amount, segments=segments, **more), it.users(amount + losers)
    winners, losers = users[:amount], users[amount:]
    for user in winners:
        sale.win(user)
    return sale, winners, losers


def crowd(sale, users, claim=None):
    """Until the workers have the hub's word: every one of them needs a crowd of losers."""
    for user in users * 3:
        (claim or sale.claim)(user)


def by_nginx(it, sale, user):
    """Whether nginx answers alone: no worker has counted the request."""
    before = counts(it)
    sale.claim_compat(user).expect(204, "sold-out")
    return grown(it, before, 'requests_total{class="2xx"}') == 1  # the second reading of the metrics
