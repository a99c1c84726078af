"""./dev bench growth: winning claims a second and their p99 as one quantity grows, with the drainers stopped."""

from bench_cases import BUSY, IDLE, confirm, enter

CONNECTIONS = (1, 8, 64, 512)
SEGMENTS = (1, 16, 64, 256)
UNITS = (100, 1_000, 10_000, 100_000, 1_000_000)
COUPONS = (1, 10, 100, 1_000, 10_000)
ROWS = (0, 10_000, 100_000, 1_000_000, 10_000_000)
BACKLOG = 20_000
STRANGER = 1 << 52  # the coupon of the earlier rows; it does not exist


def measure(b):
    tables = {"connections": connections, "segments": segments, "units": units, "coupons": coupons,
              "rows": rows_before}
    enter(b, None, BUSY)
    enter(b, None, IDLE)
    return {"growth": {name: list(grow(b, of)) for name, of in tables.items() if b.wants(name)}}


def grow(b, of):
    for row in of(b):
        b.say(", ".join(f"{key} {value:,}" for key, value in row.items()))
        yield row


def cells(name, value, measured):
    return {name: value, "claims/s": round(measured.per_second), "p99 us": measured.p99_us}


def connections(b):
    for count in CONNECTIONS[:2] if b.o.quick else CONNECTIONS:
        yield cells("connections", count, b.claims(b.sale("grow"), connections=count))


def segments(b):
    for count in SEGMENTS[:2] if b.o.quick else SEGMENTS:
        yield cells("segments", count, b.claims(b.sale("grow", segments=count)))


def units(b):
    """Claims until the last unit or the end of the time: only small sales reach their end, where stock is moved."""
    for count in UNITS[:2] if b.o.quick else UNITS:
        tokens = b.some_tokens(min(count, b.o.tokens))
        r = b.load(b.sale("grow", amount=count), "--seconds", b.o.seconds, tokens=tokens)
        yield {"units": count, "claims/s": r["per_second"], "p99 us": r["latency"]["p99_us"], "won": r["won"]}


def coupons(b):
    """Customers spread over many sales; each coupon has one segment and units for all its customers."""
    for count in COUPONS[:2] if b.o.quick else COUPONS:
        prefix = b.it.name("many")
        for i in range(1, count + 1):
            b.sale(f"{prefix}-{i}", amount=b.o.tokens // count + 1, segments=1, book=prefix)
        yield cells("coupons", count, b.winning(prefix, f"{b.seller.path}/coupons/{prefix}-%d", coupons=count))


def rows_before(b):
    """Earlier orders in the table: their effect on claims, and on the drain of a backlog."""
    there = 0
    for count in (n for n in (ROWS[:2] if b.o.quick else ROWS) if n <= b.o.most_orders):
        add_rows(b, there, count)
        there = count
        enter(b, None, BUSY)
        b.drainers(False)
        measured = b.claims(b.sale("grow"))
        b.drainers(True)
        b.drained()
        b.drainers(False)
        sale = b.sale("backlog", amount=min(BACKLOG, b.o.tokens))
        won = b.load(sale, tokens=b.some_tokens(sale.amount))["won"]
        first, last, _ = confirm(b, sale, won)
        yield cells("rows", count, measured) | {"drained/s": round(won / (last - first))}


def add_rows(b, have, want):
    for start in range(have, want, 100_000):
        end = min(start + 100_000, want)
        b.it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
                 f"SELECT {STRANGER}, 0, seq, seq * 7919 % 10000019, 1, seq, seq FROM seq_{start + 1}_to_{end}")
