#!/usr/bin/env -S python3 -B
"""A customer's claims in a second: never more than the limit, whatever the route and the worker; what answers say of it."""

import collections
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import main
from tap import case, every, pause, same, until

LIMIT = 6
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
POLICY = f'"claims";q={LIMIT};w=1'


def fields(answer):
    return answer.headers.get_all("RateLimit-Policy"), answer.headers.get_all("RateLimit")


def is_limited(answer):
    answer.expect(429, "rate-limited")
    body = answer.json
    same((body["type"], body["title"], body["violated-policies"]), (QUOTA_EXCEEDED, "Quota Exceeded", ["claims"]), "problem")
    same(fields(answer), ([POLICY], ['"claims";r=0;t=1']), "fields")
    same(int(answer.headers["Retry-After"]), 1, "Retry-After")
    return answer.names(f"{LIMIT} times a second")


def new_second():
    """Waits for the next second of the monotonic clock, which the limits go by."""
    began = int(time.monotonic())
    until(lambda: int(time.monotonic()) > began, 2, "a second begins", 0.005)


def claims(sale, user, count, ask=None):
    """The answers to so many claims in one second: if they take too long, of another try."""
    for _ in range(20):
        new_second()
        began = int(time.monotonic())
        answers = [(ask or sale.claim)(user) for _ in range(count)]
        if int(time.monotonic()) == began:
            return answers
    raise AssertionError(f"{count} claims take more than a second")


@case("the fields: none while little of the limit is used, then what is left; above it 429, and a second later it is over")
def told(it):
    sale, user = it.sale(), it.customer()
    sale.win(user)
    for route, allowed in ((sale.claim, 200), (sale.claim_compat, 204)):
        answers = claims(sale, user, LIMIT + 2, route)
        for used, answer in enumerate(answers[:LIMIT], 1):
            answer.expect(allowed)
            rest = LIMIT - used
            same(fields(answer), ([POLICY], [f'"claims";r={rest};t=1']) if rest * 2 <= LIMIT else (None, None), "fields")
        for answer in answers[LIMIT:]:
            is_limited(answer)
        pause(1, "Retry-After")
        route(user).expect(allowed)


@case("both routes, other sales and sales that do not exist count together; other customers and readers do not")
def together(it):
    sale, other, (user, another) = it.sale(), it.sale(), it.users(2)
    path = sale.seller.path + "/coupons/nothing/claims"
    turns = [sale.claim, sale.claim_compat, other.claim, lambda user: it.ask("POST", path, user)]

    def claim(user, at=[0]):
        at[0] += 1
        return turns[at[0] % len(turns)](user)
    answers = claims(sale, user, LIMIT + len(turns), claim)
    same([answer.status == 429 for answer in answers], [False] * LIMIT + [True] * len(turns), "limited")
    sale.claim(another).expect(201)
    every([user, another], lambda user: [it.ask("GET", sale.path, user).expect(200) for _ in range(LIMIT + 1)][0])


@case("many connections to several workers, and to those that are started meanwhile: never more than the limit in a second")
def exact(it):
    sale, user, over = it.sale(), it.customer(), threading.Event()
    sale.win(user)
    began, seen = time.monotonic(), collections.Counter()

    def ask(client):
        while not over.is_set():
            answer = client.ask("POST", sale.path + "/claims", user)
            seen[answer.status] += 1
    with ThreadPoolExecutor(12) as pool:
        askers = [pool.submit(ask, it.new_client()) for _ in range(12)]
        pause(1, "the load")
        for pid in it.workers("hot")[:1]:
            os.kill(pid, signal.SIGKILL)
        pause(2.5, "the load")
        over.set()
        for asker in askers:
            asker.result()
    seconds = int(time.monotonic()) - int(began) + 1
    same(seen[200] <= seconds * LIMIT, True, f"{dict(seen)} in {seconds} seconds")
    same(seen[200] >= (seconds - 2) * LIMIT, True, f"{dict(seen)} in {seconds} seconds")
    same(seen.keys() <= {200, 429, 503}, True, f"{dict(seen)}")
    text = it.ask("GET", "/metrics").expect(200).body.decode()
    limited = int(re.search(r'^seckill_claims_total\{end="rate-limited"\} (\d+)$', text, re.M).group(1))
    same(limited >= seen[429], True, f"{limited} counted")


@case("the file is removed, or cannot be used: claims go on with limits of each process, and /readyz says so")
def without_file(it):
    sale, user = it.sale(), it.customer()
    sale.win(user)
    file = it.run / "board.rates"
    it.dev("stop", "hot")
    file.unlink()
    file.mkdir()
    it.dev("start", "hot")
    warnings = it.ask("GET", "/readyz").expect(200).json["warnings"]
    same([warning.split(":")[0] for warning in warnings], ["board.rates"], "warnings")
    answers = claims(sale, user, 3 * LIMIT)
    allowed = sum(answer.status == 200 for answer in answers)
    same(LIMIT <= allowed <= 2 * LIMIT, True, f"{allowed} claims of two processes")
    file.rmdir()
    it.restart("hot")
    same(it.ask("GET", "/readyz").expect(200).json["warnings"], [], "warnings")
    same([answer.status for answer in claims(sale, user, LIMIT + 1)], [200] * LIMIT + [429], "answers")


if __name__ == "__main__":
    main(SECKILL_CLAIMS_PER_SECOND=LIMIT, SECKILL_PASSWORD_COST=1)
