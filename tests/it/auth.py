#!/usr/bin/env -S python3 -B
"""Accounts, tokens, logouts, and the status of every route for every kind of client."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from client import LOST
from harness import PASSWORD, User, claims_of, main
from tap import case, every, faster, quick, same, until

ASKERS = ("nobody", "owner", "customer", "seller", "rival")  # owner: of the order and the path; rival: another seller


class Stage:
    """One client of each kind, the seller's coupons, and an order of the owner's."""

    def __init__(self, it):
        self.it, self.nobody = it, None
        self.owner, self.customer = it.users(2)
        self.seller, self.rival = it.users(2, "seller")
        self.sale, self.one, self.two = (it.sale(self.seller) for _ in range(3))
        self.order = self.sale.win(self.owner)

    def coupon(self):
        return {"name": self.it.name("made"), "amount": 1, "stock": 1, "description": ""}

    def account(self):
        return {"username": self.it.name("new"), "password": PASSWORD, "kind": "customer"}

    def fill(self, path):
        """There is a coupon for each of the two claim routes to win."""
        name = self.two.name if path.endswith("/claims") else self.one.name
        words = {"{seller}": self.seller.name, "{user}": self.owner.name, "{name}": name, "{no}": self.order}
        for word, value in words.items():
            path = path.replace(word, value)
        return path


# For each route: the statuses for ASKERS, in their order, and the body of the request.
MATRIX = {
    "POST /api/users": ((201, 201, 201, 201, 201), Stage.account),
    "POST /api/auth": ((200, 200, 200, 200, 200), lambda s: {"username": "known", "password": PASSWORD}),
    "POST /api/users/{seller}/coupons": ((401, 401, 401, 201, 401), Stage.coupon),
    "GET /api/users/{user}/coupons": ((401, 200, 401, 401, 401), None),
    "PATCH /api/users/{seller}/coupons/{name}": ((401, 201, 201, 401, 401), None),
    "POST /api/users/{seller}/coupons/{name}/claims": ((401, 201, 201, 403, 403), None),
    "POST /api/users/{seller}/coupons/{name}/waiting": ((401, 409, 409, 403, 403), None),  # this sale has no list
    "GET /api/users/{seller}/coupons/{name}/waiting": ((401, 409, 409, 403, 403), None),
    "DELETE /api/users/{seller}/coupons/{name}/waiting": ((401, 409, 409, 403, 403), None),
    "GET /api/users/{seller}/coupons/{name}": ((200, 200, 200, 200, 200), None),
    "GET /api/users/{seller}/coupons/{name}/sale": ((401, 403, 403, 200, 403), None),
    "PATCH /api/users/{seller}/coupons/{name}/sale": ((401, 403, 403, 200, 403), lambda s: {"state": "open"}),
    "PATCH /api/users/{seller}/coupons/{name}/stock": ((401, 403, 403, 200, 403), lambda s: {"add": 1}),
    "GET /api/users/{user}/orders": ((401, 200, 403, 403, 403), None),
    "GET /api/users/{seller}/coupons/{name}/orders": ((401, 403, 403, 200, 403), None),
    "GET /api/orders/{no}": ((401, 200, 404, 200, 404), None),
    "POST /api/orders/{no}/payment": ((401, 401, 401, 401, 401), lambda s: {"type": "payment.failed"}),
    "DELETE /api/orders/{no}": ((401, 200, 404, 200, 404), lambda s: {"reason": "a test"}),
    "GET /api/time": ((200, 200, 200, 200, 200), None),
    "GET /healthz": ((200, 200, 200, 200, 200), None),
    "GET /readyz": ((200, 200, 200, 200, 200), None),
    "GET /metrics": ((200, 200, 200, 200, 200), None),
    "POST /api/auth/logout": ((401, 200, 200, 200, 200), None),  # the last
}


def ask_as(stage, route, who):
    method, path = route.split(" ")
    body = MATRIX[route][1]
    return stage.it.ask(method, stage.fill(path), getattr(stage, who), body(stage) if body else None)


@case("the matrix has every route, and no other")
def complete(it):
    it.routes = {f"{r['method']} {r['path']}": r for r in json.loads(it.ctl("routes", "--json").stdout)}
    same(it.routes.keys() ^ MATRIX.keys(), set(), "routes of one side only")
    for route, row in it.routes.items():
        if not route.endswith("/payment"):  # it needs a signature, whoever asks
            same(row["who"] == "anyone", MATRIX[route][0][0] < 400, f"{route} is open to anyone")


@case("every route answers every kind of client with the status of the contract")
def matrix(it):
    it.account("known", "customer")
    stages = {who: Stage(it) for who in ASKERS}
    rows = [(route, who, MATRIX[route][0][i]) for i, who in enumerate(ASKERS) for route in MATRIX]
    every(rows, lambda route, who, status: ask_as(stages[who], route, who).expect(status))


@case("everyone with a token may list a seller's coupons; only the seller sees the segments")
def seller_list(it):
    stage = Stage(it)
    path = stage.seller.path + "/coupons"
    it.ask("GET", path).expect(401, "no-token")
    for who in ASKERS[1:]:
        it.ask("GET", path, getattr(stage, who)).expect(200)
    for who in ASKERS:
        same("segments" in stage.sale.read(getattr(stage, who)), who == "seller", f"{who} sees the segments")


@case("a token counts, not the name in the path")
def other_names(it):
    stage = Stage(it)
    impostor = User(stage.owner.name, stage.customer.id, stage.customer.token)  # right path, wrong token
    it.ask("GET", impostor.path + "/coupons", impostor).expect(401, "unauthorized")
    it.ask("GET", impostor.path + "/orders", impostor).expect(403, "forbidden")
    it.ask("POST", stage.rival.path + "/coupons", stage.seller, stage.coupon()).expect(401, "unauthorized")


@case("registering and logging in: kinds, the token's payload")
def kinds(it):
    for word, kind in (("customer", "customer"), ("saler", "saler"), ("seller", "saler")):
        name = it.name("kind ü")
        it.register(name, word).expect(201)
        answer = it.log_in(name).expect(200)
        same(answer.json["kind"], kind, "kind")
        claims = claims_of(answer.json["token"])
        same((claims["name"], claims["kind"], claims["iss"]), (name, kind, "seckill"), "claims")
        same(it.sql(f"SELECT id FROM users WHERE id = {claims['sub']} AND kind = {2 if kind == 'saler' else 1}"),
             [[claims["sub"]]], "the row")
        assert claims["exp"] - time.time() > 3600 and claims["nbf"] <= time.time() + 1, claims
        assert PASSWORD not in json.dumps(claims) and "$" not in json.dumps(claims), claims


@case("passwords are stored as yescrypt, each with a salt of its own")
def stored(it):
    names = [it.name("salt") for _ in range(2)]
    for name in names:
        it.register(name, "customer").expect(201)
    stored = [row[0] for row in it.sql("SELECT password FROM users WHERE name IN ('%s', '%s')" % tuple(names))]
    assert all(text.startswith("$y$") for text in stored) and len(set(stored)) == 2, stored


@case("unknown users and wrong passwords get the same answer after about the same time")
def same_words(it):
    name = it.name("timed")
    it.register(name, "customer").expect(201)
    times, answers = {"wrong": [], "unknown": []}, {}
    for i in range(15):
        for what, who in (("wrong", name), ("unknown", f"nobody{i}")):
            began = time.monotonic()
            answer = it.log_in(who, "not the password").expect(401, "wrong-login")
            times[what].append(time.monotonic() - began)
            answers.setdefault(answer.body, what)
            same("token" in answer.json or "Authorization" in answer.headers, False, "a token in a refusal")
    same(len(answers), 1, "different bodies")
    for other in ("NOT THE PASSWORD", "", "x", PASSWORD + " ", PASSWORD[:-1], PASSWORD.upper(), "!", "$y$j9T$"):
        same(it.log_in(name, other).expect(401, "wrong-login").body, next(iter(answers)), "words")
    wrong, unknown = (min(times[what]) for what in ("wrong", "unknown"))  # what a busy machine adds differs from login to login
    faster(max(wrong, unknown), 3 * min(wrong, unknown),
           f"wrong password {wrong * 1000:.1f} ms, unknown user {unknown * 1000:.1f} ms")


@case("a user created by seckillctl token cannot log in")
def no_password(it):
    for user in (it.customer(), it.seller()):
        for password in ("", "!", "*", "x" * 8):
            it.log_in(user.name, password).expect(401, "wrong-login")


@case("a name can be registered once, also by concurrent requests, and for both kinds")
def taken(it):
    name = it.name("popular")

    def register(i):
        kind = ("customer", "saler")[i % 2]
        return it.new_client().ask("POST", "/api/users", body={"username": name, "password": PASSWORD, "kind": kind})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(register, range(8)))
    same(sorted(a.status for a in answers), [201] + 7 * [400], "statuses")
    for answer in answers:
        answer.expect(answer.status, "name-taken" if answer.status == 400 else None)
    for kind in ("customer", "saler"):
        it.register(name, kind, "another password").expect(400, "name-taken")
    it.log_in(name).expect(200)


@case("a login restores a seller's lost directory entry")
def directory(it):
    seller, user = it.account(it.name("lost"), "saler"), it.customer()
    sale = it.sale(seller)
    bucket = next(key for key in it.redis.keys() if key.startswith("sk:w:") and it.redis("HEXISTS", key, seller.name))
    it.redis("HDEL", bucket, seller.name)
    listed = it.ask("GET", seller.path + "/coupons", user).expect(200).json["data"]
    same([c["name"] for c in listed], [sale.name], "coupons")
    same(it.redis("HGET", bucket, seller.name), str(seller.id), "the entry")
    catalog = next(key for key in it.redis.keys() if key.startswith("sk:n:") and it.redis("HEXISTS", key, sale.title))
    it.redis("HDEL", catalog, sale.title)
    renew(it)  # the old ones have it in memory
    sale.win(user)
    same(it.redis("HGET", catalog, sale.title), str(sale.id), "the catalog's entry")


def renew(it):
    """Kills all hot workers and waits for new ones."""
    old = set(it.workers("hot"))
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not old & set(it.full("hot")), 5, "new workers")


class Knocker:
    """Sends requests with one token, on many connections of both pools, and notes when one was last accepted."""

    def __init__(self, it, user):
        self.it, self.user, self.stop = it, user, threading.Event()
        self.let_in, self.refused, self.problems = {}, {}, []  # by path: the last time; how often
        paths = [it.seller().path + "/coupons"] * 12 + [user.path + "/orders"] * 4  # hot and cold
        self.threads = [threading.Thread(target=self._knock, args=(path,), daemon=True) for path in paths]
        for thread in self.threads:
            thread.start()

    def _knock(self, path):
        client = self.it.new_client()
        while not self.stop.is_set():
            asked = time.monotonic()
            try:
                answer = client.ask("GET", path, self.user)
            except LOST as problem:
                self.problems.append(repr(problem))
                continue
            if answer.status < 300:
                self.let_in[path] = max(asked, self.let_in.get(path, 0))
            elif answer.status == 401 and answer.code == "revoked-token":
                self.refused[path] = self.refused.get(path, 0) + 1
            else:
                self.problems.append(repr(answer))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


@case("logout: within 2 s every worker of both pools refuses the token, and no other")
def logout(it):
    user = it.account(it.name("leaver"), "customer")
    other = User(user.name, user.id, it.log_in(user.name).expect(200).json["token"])
    knocker = Knocker(it, user)
    until(lambda: len(knocker.let_in) == 2, 5, "both pools let the token in")
    it.ask("POST", "/api/auth/logout", user).expect(200)
    gone = time.monotonic()
    until(lambda: time.monotonic() > gone + 3, 5, "three seconds")  # the promise is a time
    knocker.end()
    same(knocker.problems, [], "other answers")
    for path, last in knocker.let_in.items():
        assert knocker.refused[path] > 20, f"{path} was asked too rarely: {knocker.refused[path]}"
    it.ask("POST", "/api/auth/logout", user).expect(401, "revoked-token")
    it.ask("GET", user.path + "/orders", other).expect(200)
    it.ask("GET", user.path + "/coupons", other).expect(204)
    for path, last in knocker.let_in.items():
        quick(last - gone, 2, f"{path} let the token in after the logout")


@case("a worker that starts later refuses the token from its first request on")
def logout_and_restart(it):
    user = it.account(it.name("leaver"), "customer")
    it.ask("POST", "/api/auth/logout", user).expect(200)
    path = user.path + "/coupons"
    until(lambda: all(it.new_client().ask("GET", path, user).status == 401 for _ in range(20)), 3, "it is refused")
    for _ in range(6):
        for pid in it.workers("hot"):
            os.kill(pid, signal.SIGKILL)
        for _ in range(30):
            answer = it.new_client().ask("GET", path, user)
            assert answer.status in (401, 503), f"let in again: {answer}"
        it.full("hot")


if __name__ == "__main__":
    main(SECKILL_HOT=4)
