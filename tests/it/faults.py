#!/usr/bin/env -S python3 -B
"""Processes of ours are killed and restarted during a sale: every acknowledged order ends as exactly one row."""

import signal

from harness import POOLS, main
from storm import Storm, kill, one_of
from tap import case, same, until


@case("all hot workers are killed, again and again")
def hot_workers(it):
    storm = Storm(it)
    storm.pulse(lambda: kill(it.workers("hot")), 8, every=0.15)
    it.full("hot")
    storm.proof()


@case("one random hot worker is killed, again and again")
def a_hot_worker(it):
    storm = Storm(it)
    storm.pulse(lambda: kill(one_of(it.workers("hot"))), 20, every=0.05)
    it.full("hot")
    storm.proof()


@case("drainers are killed, again and again, before and after they commit")
def drainers(it):
    storm = Storm(it)
    storm.pulse(lambda: kill(it.workers("drain")), 60, every=0.02)
    it.full("drain")
    storm.proof()


@case("all processes of the service are killed at once")
def all_of_ours(it):
    storm = Storm(it)
    storm.pulse(lambda: kill([pid for part in POOLS for pid in it.workers(part)]), 4, every=0.25)
    for part in POOLS:
        it.full(part)
    storm.proof()


@case("scripts are flushed from Redis again and again: no request fails")
def script_flush(it):
    storm = Storm(it)
    storm.pulse(lambda: it.redis("SCRIPT", "FLUSH"), 60, every=0.02)
    storm.proof_without_failures()


@case("nginx reloads, again and again: an order is never lost")
def nginx_reload(it):
    processes = len(it.lasting("nginx"))
    storm = Storm(it)
    storm.pulse(lambda: kill([it.leader("nginx")], signal.SIGHUP), 8, every=0.15)
    outcomes = storm.proof()
    same([o.refused for o in outcomes if o.refused], [], "refusals")
    # Workers of before the reload hang up on their last clients: not in the next case.
    until(lambda: len(it.lasting("nginx")) == processes, 15, "nginx's old workers are gone")
    it.client.close()


@case("workers are asked to stop, one after the other: not one request fails")
def rolling_restart(it):
    storm = Storm(it)
    storm.pulse(lambda: kill(one_of(it.workers("hot")), signal.SIGTERM), 15, every=0.08)
    it.full("hot")
    storm.proof_without_failures()


@case("the whole pool is asked to stop at once: not one request fails")
def pool_restart(it):
    storm = Storm(it)
    storm.pulse(lambda: kill(it.workers("hot"), signal.SIGTERM), 8, every=0.15)
    it.full("hot")
    storm.proof_without_failures()


@case("drainers are asked to stop, again and again")
def drainers_restart(it):
    storm = Storm(it)
    storm.pulse(lambda: kill(it.workers("drain"), signal.SIGTERM), 20, every=0.05)
    it.full("drain")
    storm.proof_without_failures()


@case("auth workers are killed during logins: the next login works")
def auth_workers(it):
    name = it.name("auth")
    it.account(name, "customer")
    for _ in range(5):
        kill(it.workers("auth"))
        until(lambda: it.log_in(name).status == 200, 5, "a login")
    it.full("auth")


@case("in the end everything is balanced, there are no dead letters, and every pool is complete")
def in_the_end(it):
    for part in POOLS:
        it.full(part)
    audit = it.ctl("audit")
    same((audit.returncode, audit.stderr), (0, ""), "the audit")
    same(it.sql("SELECT * FROM dead_letters"), [], "dead letters")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
