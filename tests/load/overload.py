"""./dev bench overload: an open loop with ten times the claims that the service can answer.

The generator shares the cores with the service, so it cannot send ten times what the service can do: a claim for which
no connection was free for a second is given up as "unsent", and most of the others had to wait for one. So a claim counts
as in time when it was won within a second of being sent; latencies from the moment it fell due are reported beside that.
"""

from bench_cases import BUSY, IDLE, enter
from report import judged

FACTOR, CONNECTIONS, PROBES = 10, 4096, 10
GOOD = ("201", "200")


def measure(b):
    enter(b, None, BUSY)
    enter(b, None, IDLE)
    calm = b.load(b.sale("calm"), "--seconds", b.o.seconds)
    most = calm["per_second"]
    b.say(f"at most {most:,} claims a second, p99 {calm['latency']['p99_us'] / 1000:.1f} ms; offering {most * FACTOR:,}")
    flood = b.load(b.sale("flood"), "--seconds", b.o.seconds, "--rate", most * FACTOR, "--connections", CONNECTIONS)
    recovered, probes = recovery(b, most, calm["latency"]["p99_us"])
    answers = flood["answers"]
    won = [a for name, a in answers.items() if name.startswith(GOOD)]
    refused = [a for name, a in answers.items() if not name.startswith((*GOOD, "0"))]
    late = flood["service"]["late"]  # with refusals, so an upper bound for winners
    in_time = round((sum(a["count"] for a in won) - late) * 1e6 / flood["elapsed_us"])
    found = [judged("claims won in time under overload / at most", in_time / max(most, 1), ">=", 0.8),
             judged("p99 of a claim under overload, from being sent, s", flood["service"]["p99_us"] / 1e6, "<=", 1.0),
             judged("recovery, s", recovered, "<=", 2.0)]
    if refused:
        found.append(judged("p99 of refusals, ms", max(a["p99_us"] for a in refused) / 1000, "<=", 20.0))
    else:
        b.say("nobody was refused: all who found a connection waited for less than a second")
    return {"overload": {"capacity_per_second": most, "offered_per_second": most * FACTOR, "sent": flood["sent"],
                         "unsent": flood["unsent"], "won": flood["won"], "won_in_time_per_second": in_time,
                         "refused": sum(a["count"] for a in refused), "lost": flood["lost"],
                         "latency_us": flood["latency"], "service_us": flood["service"], "answers": answers,
                         "recovered_s": recovered, "probes_p99_us": probes},
            "judged": found}


def recovery(b, most, usual_p99_us):
    """Half the possible rate right after the flood, in pieces of a quarter second: the time until p99 is as before."""
    sale, rate, piece = b.sale("after"), max(most // 2, 4), b.it.run / "piece"
    tokens = b.tokens.read_text().splitlines(keepends=True)
    seen, took = [], 0
    for i in range(PROBES):
        piece.write_text("".join(tokens[i * (rate // 4):(i + 1) * (rate // 4)]))
        probe = b.load(sale, "--rate", rate, tokens=piece)
        seen.append(probe["latency"]["p99_us"])
        took += probe["elapsed_us"] / 1e6
        if seen[-1] <= 3 * usual_p99_us and probe["won"] == probe["sent"]:
            break
    return round(took, 2), seen
