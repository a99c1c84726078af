#!/usr/bin/env -S python3 -B
"""The public JMeter plan that compat clients run, as a program.

Sellers put coupons on sale; customers register, log in, list every seller's coupons, claim all of them, and list what
they won. Odd users send bare tokens, even ones "Bearer". Prints a report as JSON; exits 1 after an answer that the plan
does not allow, or when the units sold or listed are wrong.
"""

import argparse
import collections
import json
import pathlib
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "it"))
from client import Client, quote  # noqa: E402
from tap import pause  # noqa: E402

PAGE, PASSWORD = 20, "compat plan"


class Wrong(Exception):
    """An answer that the plan does not allow."""


class User:
    """One user of the plan on one connection at a time; counts and times the answers."""

    def __init__(self, plan, name, kind, number):
        self.plan, self.name, self.kind, self.number = plan, name, kind, number
        self.token, self.won = None, set()

    def ask(self, step, method, path, allowed, body=None):
        token = self.token and (self.token if self.number % 2 else "Bearer " + self.token)
        for _ in range(self.plan.patience):
            began = time.monotonic()
            answer = self.client.ask(method, path, body=body, authorization=token)
            self.plan.times[step].append(time.monotonic() - began)
            self.plan.answers[f"{step} {answer.status}"] += 1
            if answer.status != 503:
                break
            pause(0.05, "before it asks again")
        if answer.status not in allowed:
            raise Wrong(f"{step}: {method} {path}: {answer}")
        return answer

    def enter(self):
        who = {"username": self.name, "password": PASSWORD}
        self.ask("register", "POST", "/api/users", {201}, who | {"kind": self.kind})
        answer = self.ask("log in", "POST", "/api/auth", {200}, who)
        if answer.json["kind"] != self.kind:
            raise Wrong(f"{self.name} is a {answer.json['kind']}, not a {self.kind}")
        self.token = answer.headers["Authorization"]

    def coupons_of(self, name, step):
        """All pages of a user's list."""
        found, page = [], 1
        while True:
            answer = self.ask(step, "GET", f"/api/users/{quote(name)}/coupons?page={page}", {200, 204})
            data = answer.json["data"] if answer.status == 200 else []
            found += data
            if len(data) < PAGE:
                return found
            page += 1

    def sell(self, client):
        self.client = client
        self.enter()
        for name in self.plan.coupons:
            coupon = {"name": name, "amount": self.plan.units, "stock": 50, "description": f"{name} of {self.name}"}
            self.ask("create", "POST", f"/api/users/{quote(self.name)}/coupons", {201}, coupon)

    def buy(self, client):
        self.client = client
        self.enter()
        for seller in self.plan.sellers:
            listed = sorted(c["name"] for c in self.coupons_of(seller.name, "list"))
            if listed != self.plan.coupons:
                raise Wrong(f"{seller.name} sells {listed}, not {self.plan.coupons}")
        for seller in self.plan.sellers:
            for name in self.plan.coupons:
                path = f"/api/users/{quote(seller.name)}/coupons/{quote(name)}"
                answer = self.ask("claim", "PATCH", path, {201, 204})
                if answer.status == 201:
                    self.won.add((seller.name, name))
                elif answer.code != "sold-out":
                    raise Wrong(f"{self.name} did not get {name} of {seller.name}: {answer.code}")
        self.check_list()

    def check_list(self):
        own = self.coupons_of(self.name, "list own")
        listed = [(c["description"].removeprefix(f"{c['name']} of "), c["name"]) for c in own]
        if sorted(listed) != sorted(self.won):
            raise Wrong(f"{self.name} won {sorted(self.won)}, but is told {sorted(listed)}")


class Plan:
    def __init__(self, options):
        self.port, self.units, self.patience = options.port, options.units, options.patience
        self.coupons = [f"coupon {i:02}" for i in range(options.coupons)]
        self.sellers = [User(self, f"{options.prefix}-seller-{i}", "saler", i) for i in range(options.sellers)]
        self.customers = [User(self, f"{options.prefix}-customer-{i}", "customer", i) for i in range(options.customers)]
        self.connections = options.connections
        self.times, self.answers = collections.defaultdict(list), collections.Counter()
        self.problems = []

    def run(self):
        began = time.monotonic()
        self._each(self.sellers, User.sell)
        self._each(self.customers, User.buy)
        self.seconds = time.monotonic() - began
        self._check_sold()

    def _each(self, users, action):
        def one(user):
            client = Client(self.port, timeout=60)
            try:
                action(user, client)
            except Exception as problem:
                self.problems.append(f"{user.name}: {problem!r}")
            client.close()
        with ThreadPoolExecutor(self.connections) as pool:
            list(pool.map(one, users))

    def winners(self):
        return collections.Counter(coupon for customer in self.customers for coupon in customer.won)

    def _check_sold(self):
        winners, wanted = self.winners(), min(self.units, len(self.customers))
        for seller in self.sellers:
            for name in self.coupons:
                if (count := winners[seller.name, name]) != wanted:
                    self.problems.append(f"{name} of {seller.name} has {count} winners, not {wanted}")

    def report(self):
        requests = sum(map(len, self.times.values()))
        return {"sold": sum(self.winners().values()), "units": self.units * len(self.coupons) * len(self.sellers),
                "coupons": len(self.winners()), "customers": len(self.customers), "connections": self.connections,
                "requests": requests, "seconds": round(self.seconds, 3), "per_second": round(requests / self.seconds),
                "answers": dict(sorted(self.answers.items())),
                "milliseconds": {step: spread(times) for step, times in self.times.items()},
                "problems": self.problems[:20], "problem_count": len(self.problems)}


def spread(times):
    ordered = sorted(times)
    at = {"50 %": 0.5, "99 %": 0.99, "most": 1}
    last = len(ordered) - 1
    return {name: round(1000 * ordered[min(last, int(part * len(ordered)))], 1) for name, part in at.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="of the service on 127.0.0.1")
    parser.add_argument("--sellers", type=int, default=5)
    parser.add_argument("--coupons", type=int, default=10, help="of each seller")
    parser.add_argument("--units", type=int, default=20, help="of each coupon")
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--patience", type=int, default=100, help="how often a request is sent that is answered 503")
    parser.add_argument("--prefix", default=secrets.token_hex(4), help="of all names; random unless given")
    plan = Plan(parser.parse_args())
    plan.run()
    print(json.dumps(plan.report(), indent=2))
    sys.exit(1 if plan.problems else 0)


if __name__ == "__main__":
    main()
