"""The numbers of a run as a table, and the ratios with their targets."""

import statistics

GROUPS = ("nginx", "worker", "redis", "drain", "mysql", "client")


def rate(m):
    return m.per_second


def p99(m):
    return m.p99_us


def cost(m):
    """CPU of a request in nginx, worker and Redis."""
    return sum(m.cost(group) for group in ("nginx", "worker", "redis"))


def front(m):
    """CPU of a request in nginx and worker."""
    return m.cost("nginx") + m.cost("worker")


def nginx(m):
    return m.cost("nginx")


def redis(m):
    return m.cost("redis")


# title, case, reference case, value, the target: at least (>=) or at most (<=)
RATIOS = [
    ("Redis's CPU of a winning claim / the peer's", "won", "peer_won", redis, "<=", 0.5),
    ("Redis's CPU of a winning claim / the peer's, 256 connections", "won_256", "peer_won_256", redis, "<=", 0.4),
    ("winning claim / nginx + Lua peer", "won", "peer_won", rate, ">=", 1.5),
    ("winning claim / peer, 256 connections", "won_256", "peer_won_256", rate, ">=", None),
    ("winning claim / peer, fsync always", "won_always", "peer_won_always", rate, ">=", None),
    ("winning claim / hello, drainers stopped", "won", "hello", rate, ">=", 0.58),
    ("CPU of a winning claim / hello's", "won", "hello", cost, "<=", 2.1),
    ("p99 of a winning claim / hello's", "won", "hello", p99, "<=", 3.0),
    ("nginx's CPU of a winning claim / hello's", "won", "hello", nginx, "<=", None),
    ("winning claim / hello, drainers running", "won_drained", "hello", rate, ">=", 0.45),
    ("winning claim as shipped (always, drainers) / hello", "won_shipped", "hello", rate, ">=", 0.42),
    ("sold out, /claims / hello", "sold_out", "hello", rate, ">=", 0.85),
    ("nginx's and worker's CPU of an all-held claim / a winning one's", "all_held", "won", front, "<=", 1.3),
    ("sold out, PATCH / return 204", "patch_sold_out", "return_204", rate, ">=", 0.8),
    ("sold out / peer's", "sold_out", "peer_sold_out", rate, ">=", None),
    ("coupon read / return 200", "read", "return_200", rate, ">=", 0.8),
    ("coupon read / hello", "read", "hello", rate, ">=", 0.8),
    ("list read / hello", "list", "hello", rate, ">=", 0.8),
]

# title, the part of the run that measures it, its name there, the target
FIGURES = [
    ("Redis's file, bytes a winning claim", "drain", "file_bytes", "<=", 170),
    ("Redis's memory, bytes an order in MySQL", "drain", "memory_bytes", "<=", 150),
    ("drain / one connection's multi-row INSERT", "drain", "to_raw", ">=", 0.7),
    ("p99 of a claim under a flood of logins / without", "login_flood", "p99_to_quiet", "<=", 1.3),
    ("p50 of a claim beside 8 readers of a long list / without", "long_list", "p50_to_alone", "<=", 1.5),
    ("without HTTP: wins a second, everysec", "engine", "everysec", ">=", 100_000),
    ("without HTTP: wins a second, always", "engine", "always", ">=", 60_000),
    ("Redis's CPU: busiest of three masters / a single one", "engine", "busiest_to_single", "<=", 0.45),
]


def judged(name, value, sense, target, rounds=()):
    good = target is None or (value >= target if sense == ">=" else value <= target)
    return {"what": name, "ratio": round(value, 3), "rounds": [round(r, 3) for r in rounds],
            "target": target and f"{sense} {target:,}", "met": None if target is None else good}


def ratios(cases, result):
    found = []
    for name, upper, lower, of, sense, target in RATIOS:
        pairs = [of(a) / of(b) for a, b in zip(cases.get(upper, ()), cases.get(lower, ())) if of(b)]
        if pairs:
            found.append(judged(name, statistics.median(pairs), sense, target, pairs))
    for title, part, name, sense, target in FIGURES:
        if values := result.get(part, {}).get(name):
            found.append(judged(title, statistics.median(values), sense, target, values))
    return found


def summary(runs):
    """Medians of the rounds of one case."""
    def median(of):
        return statistics.median(of(m) for m in runs)
    scripts = [m.scripts for m in runs if m.scripts is not None]
    segments = {m.sale.segments for m in runs if m.sale}
    return {"per_second": round(median(rate)), "connections_busy": round(median(lambda m: m.busy), 2),
            "p50_us": median(lambda m: m.p50_us), "p99_us": median(p99), "max_us": max(m.max_us for m in runs),
            "cpu_us": {g: round(median(lambda m: m.cost(g)), 1) for g in GROUPS if any(g in m.cpu_us for m in runs)},
            "scripts": round(statistics.median(scripts), 3) if scripts else None, "segments": max(segments, default=None),
            "rounds": [{"per_second": round(m.per_second), "p99_us": m.p99_us, "requests": m.requests} for m in runs]}


# text

def text(result):
    from bench_cases import CASES
    labels = {name: label for name, label, *_ in CASES}
    parts = [machine(result)]
    if result["cases"]:
        parts.append(table(["path", "req/s", "p50 ms", "p99 ms", *GROUPS, "scripts", "segments"],
                           [row(labels[name], case) for name, case in result["cases"].items()]))
        parts.append("nginx to client (wrk): microseconds of CPU a request. scripts: Lua scripts a claim. segments: of the sale; "
                     "the service chose their number.")
        parts += [f"{labels[name]}: rate x p50 is only {case['connections_busy']:.0%} of the connections: do some starve?"
                  for name, case in result["cases"].items() if case["connections_busy"] < 0.3]
    for name in ("oldest_order_ms", "drain", "login_flood", "long_list", "engine", "overload"):
        if result.get(name):
            parts.append("\n".join([name.replace("_", " ") + ":"] + [f"  {k}: {v}" for k, v in result[name].items()]))
    for rows in result.get("growth", {}).values():
        parts.append(table(list(rows[0]), [[f"{value:,}" for value in r.values()] for r in rows]))
    if result["ratios"]:
        parts.append(table(["ratio", "is", "target", ""], [
            [r["what"], number(r["ratio"]), r["target"] or "-", {True: "met", False: "MISSED", None: ""}[r["met"]]]
            for r in result["ratios"]]))
    return "\n\n".join(parts + [books(result["counts"])])


def machine(result):
    m, o = result["machine"], result["options"]
    lines = [f"{m['cores']} cores, kernel {m['kernel']}, load {m['load_before']} before the start",
             m["nginx"], m["redis"], m["mariadb"],
             f"{o['connections']} connections, {o['rounds']} rounds of {o['seconds']} s, medians; appendfsync everysec "
             "where nothing else is said"]
    if m["load_before"] > m["cores"] / 2:
        lines.append("THE MACHINE IS BUSY WITH OTHER WORK: rates, latencies and their ratios mean little; compare CPU")
    return "\n".join(lines + ([] if m["peer"] else ["no peer: the packages of [bench] are missing"]))


def row(label, c):
    cells = [label, f"{c['per_second']:,}", f"{c['p50_us'] / 1000:.2f}", f"{c['p99_us'] / 1000:.2f}"]
    cells += [f"{c['cpu_us'][g]:.1f}" if c["cpu_us"].get(g) else "-" for g in GROUPS]
    return cells + ["-" if c["scripts"] is None else f"{c['scripts']:.3f}", str(c["segments"] or "-")]


def number(value):
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def table(head, rows):
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    widths[0] = -widths[0]  # left-aligned
    lines = ["  ".join("%*s" % pair for pair in zip(widths, r)).rstrip() for r in [head, *rows]]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def books(c):
    head = (f"orders of {c['sales']} sales: clients were told of {c['told']}, and may not know of "
            f"{c['told_or_unknown'] - c['told']} more; Redis sold {c['redis']}, MySQL has {c['mysql']}; the peer sold "
            f"{c['peer']}")
    return "\n".join([head, *([f"  WRONG: {problem}" for problem in c["problems"]] or ["  the books balance"])])
