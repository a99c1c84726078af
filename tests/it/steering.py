#!/usr/bin/env -S python3 -B
"""A seller steers a running sale: settings, rules and refusals, ETags, and what customers and pages are told meanwhile."""

import datetime
import json
import threading
import time

from ended import settled
from harness import main
from losers import by_nginx, crowd, sold_out
from tap import allowed, case, comment, every, pause, same, until

TRUE_WITHIN = 1.0  # seconds from the answer to a change until every page, list and marker tells it


def moment(seconds):
    """A time, so many seconds from now, as the API writes it."""
    then = datetime.datetime.fromtimestamp(round(time.time() + seconds, 3), datetime.timezone.utc)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def settings(it, sale, user=None):
    return it.ask("GET", sale.path + "/sale", user or sale.seller)


def steer(it, sale, user=None, match=None, client=None, **change):
    headers = {"If-Match": match} if match is not None else {}
    return (client or it).ask("PATCH", sale.path + "/sale", user or sale.seller, change, headers=headers)


def state(sale):
    return sale.read()["state"]


@case("the settings of a sale, for its seller alone")
def read(it):
    sale = it.sale(amount=20, segments=2, price=500, currency="EUR", pay_within=60, description="tea")
    answer = settings(it, sale).expect(200)
    wanted = {"seller": sale.seller.name, "name": sale.name, "description": "tea", "state": "open", "pending": False,
              "starts_at": None, "ends_at": None, "amount": 20, "withdrawn": 0, "limit": 1, "waiting_list": False, "stock": 100,
              "price": 500, "currency": "EUR", "pay_within": 60, "late_payment": True}
    same(answer.json, wanted | {"errMsg": ""}, "settings")
    assert answer.headers["ETag"].startswith('"') and answer.headers["ETag"].endswith('"'), dict(answer.headers)
    other, customer = it.seller(), it.customer()
    nothing = sale.seller.path + "/coupons/nothing/sale"
    for method, body in (("GET", None), ("PATCH", {"state": "paused"})):
        it.ask(method, sale.path + "/sale", other, body).expect(403, "forbidden").names("another seller")
        it.ask(method, sale.path + "/sale", customer, body).expect(403, "forbidden").names("seller")
        it.ask(method, sale.path + "/sale", None, body).expect(401, "no-token")
        it.ask(method, nothing, sale.seller, body).expect(404, "no-such-coupon")
    same(it.ask("POST", sale.path + "/sale", sale.seller).expect(405).headers["Allow"], "GET, HEAD, PATCH", "Allow")
    same(settings(it, sale).json, answer.json, "settings afterwards")


@case("a field that is wrong is named, and nothing changes")
def fields(it):
    sale = it.sale(starts_at=moment(600), ends_at=moment(1200))
    before = settings(it, sale)

    def wrong(change, word):
        it.ask("PATCH", sale.path + "/sale", sale.seller, change).expect(400, "bad-field").names(word)
    every([({}, "say what to change"), ({"stat": "open"}, "say what to change"), ({"state": None}, "say what to change"),
           ({"state": "closed"}, "state"), ({"state": ""}, "state"), ({"state": 1}, "state"), ({"state": "Paused"}, "state"),
           ({"starts_at": "tomorrow"}, "starts_at"), ({"starts_at": 0}, "starts_at"), ({"ends_at": "never"}, "ends_at"),
           ({"ends_at": moment(-1)}, "ends_at"), ({"ends_at": moment(300)}, "ends_at"), ({"starts_at": moment(1300)}, "ends_at"),
           ({"price": -1}, "price"), ({"price": "5"}, "price"), ({"price": 5}, "currency"), ({"withdraw": 0}, "withdraw"),
           ({"withdraw": -3}, "withdraw"), ({"withdraw": 1.5}, "withdraw"), ({"withdraw": 1000000001}, "withdraw"),
           ({"description": 7}, "description"), ({"description": "x" * 2001}, "description"),
           ({"state": "paused", "price": -1}, "price")], wrong)
    it.ask("PATCH", sale.path + "/sale", sale.seller, b"{").expect(400, "bad-json")
    it.ask("PATCH", sale.path + "/sale", sale.seller, b"x" * 16385).expect(413)
    after = settings(it, sale)
    same((after.json, after.headers["ETag"]), (before.json, before.headers["ETag"]), "settings")


@case("open, paused and ended: claims and pages follow, what is set already is no change, ended is final")
def states(it):
    sale, users = it.sale(amount=40, segments=4), it.users(4)
    order = sale.win(users[0])
    tag = settings(it, sale).headers["ETag"]
    answer = steer(it, sale, state="paused").expect(200)
    same((answer.json["state"], answer.json["pending"]), ("paused", False), "the answer")
    assert answer.headers["ETag"] != tag, "the ETag did not change"
    sale.claim(users[1]).expect(409, "paused")
    sale.claim_compat(users[1]).expect(204, "paused")
    same(sale.claim(users[0]).expect(200).json["order"], order, "a winner's order while the sale is paused")
    same(steer(it, sale, state="paused").expect(200).headers["ETag"], answer.headers["ETag"], "the ETag of no change")
    steer(it, sale, state="archived").expect(409, "not-ended")
    steer(it, sale, state="open").expect(200)
    sale.win(users[1])
    steer(it, sale, state="ended").expect(200)
    sale.claim(users[2]).expect(410, "ended")
    sale.claim_compat(users[2]).expect(204, "ended")
    same(sale.claim(users[1]).status, 200, "a winner's claim after the end")
    for change in ({"state": "open"}, {"state": "paused"}, {"ends_at": moment(60)}, {"description": "x"}, {"starts_at": ""}):
        if change != {"starts_at": ""}:
            steer(it, sale, **change).expect(409, "too-late")
    steer(it, sale, state="ended").expect(200)
    sale.drained()
    sale.audit()


@case("If-Match: the tag, one of a list, * - else 412 and nothing changes; a weak tag never matches")
def conditions(it):
    sale = it.sale()

    def holds(form, code):
        tag = settings(it, sale).headers["ETag"]
        was = settings(it, sale).json["state"]
        answer = steer(it, sale, match=form.format(tag), state="open" if was == "paused" else "paused").expect(code)
        if code == 200:
            assert answer.headers["ETag"] != tag, "the same tag"
            same(answer.headers["ETag"], settings(it, sale).headers["ETag"], "the ETag")
        else:
            same((settings(it, sale).json["state"], settings(it, sale).headers["ETag"]), (was, tag), "the settings")
    every([("{}", 200), ("*", 200), ('"other", {}', 200), ('{}, "other"', 200), (' ,{} , W/"x"', 200), ('"other"', 412),
           ("W/{}", 412), ('W/{}, "other"', 412), ('"{{}}"', 412), ("other", 400), ('{} "x"', 400), ("{},*", 400)], holds)
    steer(it, sale, match='"other"', state="open").expect(412, "precondition-failed")
    same(settings(it, sale).headers["Cache-Control"], "no-store", "Cache-Control")


@case("of two sellers' clients that read the same settings one changes them, in every race; without a condition both do")
def race(it):
    sale, count = it.sale(), 6
    for turn in range(3):
        tag, answers = settings(it, sale).headers["ETag"], []
        gate = threading.Barrier(count)

        def change(i):
            client = it.new_client()
            gate.wait()
            answers.append(steer(it, sale, match=tag, client=client, state="paused" if turn % 2 == 0 else "open"))
            client.close()
        threads = [threading.Thread(target=change, args=(i,)) for i in range(count)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(20)
        same(sorted(a.status for a in answers), [200] + [412] * (count - 1), f"answers of race {turn}")
    steer(it, sale, state="paused").expect(200)
    steer(it, sale, state="open").expect(200)


class Storm:
    """Customers who claim as fast as they can; each answer with the moments of question and answer."""

    def __init__(self, it, sale, users, clients=8):
        self.it, self.sale, self.answers, self.over = it, sale, [], False
        shares = [users[i::clients] for i in range(clients)]
        self.threads = [threading.Thread(target=self._claim, args=(share,), daemon=True) for share in shares]
        for t in self.threads:
            t.start()

    def _claim(self, users):
        client = self.it.new_client()
        for user in users:
            if self.over:
                break
            asked = time.monotonic()
            answer = self.sale.claim(user, client)
            self.answers.append((asked, time.monotonic(), user, answer))
        client.close()

    def end(self):
        self.over = True
        for t in self.threads:
            t.join(20)
        return self.answers


@case("pause and end under load: nobody wins a claim that begins after the answer, and winners are still told their orders")
def under_load(it):
    for to, code in (("paused", (409, "paused")), ("ended", (410, "ended"))):
        sale, users = it.sale(amount=1600, segments=8), it.users(1600)
        storm = Storm(it, sale, users)
        until(lambda: len(storm.answers) > 200, 10, "claims are under way")
        client, began = it.new_client(), time.monotonic()
        steer(it, sale, client=client, state=to).expect(200)
        done = time.monotonic()
        pause(0.3, "claims after the answer")
        answers = storm.end()
        winners = [(asked, told, user, a) for asked, told, user, a in answers if a.status == 201]
        late = [(user, a) for asked, told, user, a in winners if asked > done]
        same(late, [], "wins of claims that began after the answer")
        refused = [a for asked, told, user, a in answers if asked > done]
        assert len(refused) > 20, f"only {len(refused)} claims afterwards"
        odd = [a for a in refused if (a.status, a.code) != code]
        same(odd, [], "other answers afterwards")
        comment(f"{to}: {(done - began) * 1000:.0f} ms; {len(winners)} won, {len(refused)} refused afterwards")
        assert done - began < allowed(1), f"{done - began:.2f} s until the answer"
        for asked, told, user, a in winners[-3:]:
            same(sale.claim(user).expect(200).json["order"], a.json["order"], f"the order of {user}")
        sale.drained()
        same(len(sale.rows()), len(winners), "orders")
        sale.audit()


def shown(it, sale, reader):
    """What the seller's list says of the sale."""
    data = it.ask("GET", sale.seller.path + "/coupons", reader).expect(200).json["data"]
    return next((c["state"] for c in data if c["name"] == sale.name), None)


def told_everywhere(it, sale, wanted, clients=12):
    """How long it takes until page, cached page and list say so, on many connections: each worker gets some."""
    began, reader = time.monotonic(), it.customer()

    def told():
        for _ in range(clients):
            client = it.new_client()
            page = client.ask("GET", sale.path).expect(200).json["state"]
            fresh = client.ask("GET", f"{sale.path}?{it.name('now')}").expect(200).json["state"]
            client.close()
            if (page, fresh, shown(it, sale, reader)) != (wanted, wanted, wanted):
                return False
        return True
    until(told, allowed(3), f"pages and lists say {wanted}")
    seconds = time.monotonic() - began
    return seconds


@case("pages and lists tell the state within a second, in every worker")
def pages(it):
    sale = it.sale(amount=40, segments=4)
    it.ask("GET", sale.path).expect(200)
    same(shown(it, sale, it.customer()), "open", "the list")
    for to in ("paused", "open", "ended"):
        steer(it, sale, state=to).expect(200)
        deadline = time.monotonic() + TRUE_WITHIN
        pause(0.3, "nginx's copy of the page")
        first = [sale.read()["state"] for _ in range(12)]
        same(set(first), {to}, "pages")
        told_everywhere(it, sale, to)
        assert time.monotonic() < deadline + allowed(1), f"{to}: too late"


@case("a sold-out sale with nginx markers: paused and ended are told within a second, resumed is sold out again")
def markers(it):
    sale, winners, losers = sold_out(it, amount=5, segments=3)
    crowd(sale, losers, sale.claim_compat)
    until(lambda: by_nginx(it, sale, losers[0]), 5, "nginx answers alone")
    for to, word in (("paused", "paused"), ("open", "sold-out"), ("ended", "ended")):
        steer(it, sale, state=to).expect(200)
        began = time.monotonic()
        until(lambda: sale.claim_compat(losers[0]).code == word, allowed(2), f"claims are {word}")
        took = time.monotonic() - began
        assert took < allowed(TRUE_WITHIN), f"{word} after {took:.2f} s"
        until(lambda: all(sale.claim_compat(user).code == word for user in losers[:20]), allowed(2), f"all claims are {word}")
        if to == "open":
            crowd(sale, losers, sale.claim_compat)
    same(sale.claim(winners[0]).status, 200, "a winner's claim")


@case("the window moves both ways before it is past; what is past is too late")
def window(it):
    sale, users = it.sale(amount=20, segments=2, starts_at=moment(600), ends_at=moment(1200)), it.users(6)
    sale.claim(users[0]).expect(409, "not-started")
    later = moment(900)
    same(steer(it, sale, starts_at=later).expect(200).json["starts_at"], later, "a later start")
    same(sale.read()["starts_at"], later, "the page's start")
    wait = int(sale.claim(users[0]).expect(409, "not-started").headers["Retry-After"])
    assert 890 <= wait <= 901, f"Retry-After {wait}"
    steer(it, sale, starts_at="").expect(200)
    sale.win(users[0])
    same((sale.read()["state"], sale.read()["starts_at"]), ("open", None), "the page once it has started")
    steer(it, sale, starts_at=moment(60)).expect(409, "too-late").names("starts_at")
    steer(it, sale, description="too late").expect(409, "too-late").names("description")
    steer(it, sale, ends_at="").expect(200)
    same(sale.read()["ends_at"], None, "no end")
    ends = moment(1.2)
    steer(it, sale, ends_at=ends).expect(200)
    sale.win(users[1])
    longer = moment(2.4)
    steer(it, sale, ends_at=longer).expect(200)
    pause(1.4, "the first end is past")
    sale.win(users[2])
    same(sale.read()["ends_at"], longer, "the page's end")
    until(lambda: state(sale) == "ended", 3, "the end")
    sale.claim(users[3]).expect(410, "ended")
    same(settings(it, sale).json["state"], "ended", "the settings")
    steer(it, sale, ends_at=moment(60)).expect(409, "too-late")
    steer(it, sale, state="open").expect(409, "too-late")
    steer(it, sale, state="ended").expect(200)
    same(state(sale), "ended", "the page")


@case("price and description change before the start, in every worker, and orders have the new price")
def price(it):
    sale = it.sale(amount=20, segments=2, price=500, currency="EUR", starts_at=moment(600), description="tea")
    pages = lambda: [(p["price"], p["description"]) for p in (sale.read() for _ in range(12))]
    same(set(pages()), {(500, "tea")}, "pages")
    pause(0.1, "the descriptor is not new any more")
    steer(it, sale, price=400, description="good tea").expect(200)
    same(set(pages()), {(400, "good tea")}, "pages after the change")
    listed = it.ask("GET", sale.seller.path + "/coupons", it.customer()).json["data"][0]
    same((listed["description"], listed["state"]), ("good tea", "upcoming"), "the list")
    steer(it, sale, starts_at="").expect(200)
    order = sale.win(user := it.customer())
    sale.drained()
    same(it.ask("GET", f"/api/orders/{order}", user).expect(200).json["price"], 400, "the order's price")
    steer(it, sale, price=300).expect(409, "too-late").names("price")


@case("withdrawing takes units from hub and segments, not those that are sold or held, and says how many")
def withdraw(it):
    sale, users = it.sale(amount=80, segments=4, pay_within=600), it.users(12)
    for user in users[:10]:
        sale.win(user)
    answer = steer(it, sale, withdraw=5).expect(200).json
    same([answer[k] for k in ("withdrew", "withdrawn", "amount")], [5, 5, 80], "five units, which the hub has")
    same((sale.read()["left"], state(sale)), (65, "open"), "the page")
    answer = steer(it, sale, withdraw=60).expect(200).json
    same([answer[k] for k in ("withdrew", "withdrawn")], [60, 65], "sixty, which segments have")
    answer = steer(it, sale, withdraw=100).expect(200).json
    same([answer[k] for k in ("withdrew", "withdrawn", "amount")], [5, 70, 80], "more than there are")
    same((sale.read()["left"], state(sale)), (0, "all-held"), "the page: ten are held")
    sale.claim(users[10]).expect(409, "all-held")
    sale.drained()
    sale.audit()
    order = next(number for number, user in sale.rows().items() if user == users[0].id)
    it.ask("DELETE", f"/api/orders/{order}", users[0]).expect(200)
    until(lambda: sale.claim(users[10]).status in (200, 201), 5, "a unit that came back is on sale")
    it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 3}).expect(200)
    answer = steer(it, sale, withdraw=2).expect(200).json
    same([answer[k] for k in ("withdrew", "withdrawn", "amount")], [2, 72, 83], "of units that were added")
    sale.win(users[11])
    sale.drained()
    settled(it, sale)
    until(lambda: it.ctl("audit", sale.title).returncode == 0, 5, "the audit is balanced")


@case("a request that is sent again with its Idempotency-Key withdraws its units once; another one with this key is refused")
def keyed(it):
    sale = it.sale(amount=40, segments=4)
    ask = lambda key, **change: it.ask("PATCH", sale.path + "/sale", sale.seller, change, headers={"Idempotency-Key": key})
    first = ask("a", withdraw=7).expect(200)
    again = ask("a", withdraw=7).expect(200)
    same([(a.json["withdrew"], a.json["withdrawn"]) for a in (first, again)], [(7, 7)] * 2, "the answers")
    ask("a", withdraw=8).expect(422, "key-reused")
    ask("b", state="paused").expect(200)
    steer(it, sale, state="open").expect(200)
    same(ask("b", state="paused").expect(200).json["state"], "open", "a repetition changes nothing")
    same([ask("c", withdraw=3).expect(200).json[k] for k in ("withdrew", "withdrawn")], [3, 10], "another key")
    same(sale.read()["left"], 30, "units left")


@case("an ended sale is archived: its slots leave Redis, its page and its orders stay, its name is taken")
def archive(it):
    sale, user, other = it.sale(amount=10, segments=2, description="old"), it.customer(), it.customer()
    order = sale.win(user)
    steer(it, sale, state="ended").expect(200)
    sale.drained()
    until(lambda: steer(it, sale, state="archived").status == 200, 5, "it is archived")
    same(steer(it, sale, state="archived").expect(200).json["state"], "archived", "once more")
    began = time.monotonic()
    until(lambda: all(sale.read()["state"] == "archived" for _ in range(8)), allowed(3), "every page says so")
    assert time.monotonic() - began < allowed(TRUE_WITHIN), "it took too long"
    page = sale.read()
    same([page[k] for k in ("description", "amount", "left", "state")], ["old", 10, 0, "archived"], "the page")
    until(lambda: sale.claim(other).code == "ended", allowed(2), "a claim is told that the sale has ended")
    sale.claim(other).expect(410, "ended")
    sale.claim_compat(other).expect(204, "ended")
    same([key for key in it.redis("KEYS", "*") if "{%s:" % sale.id in key], [], "keys in Redis")
    same(it.ask("GET", f"/api/orders/{order}", user).expect(200).json["status"], "confirmed", "the order")
    same([o["order"] for o in it.ask("GET", user.path + "/orders", user).expect(200).json["data"]], [order], "the customer's list")
    same([o["order"] for o in it.ask("GET", sale.path + "/orders", sale.seller).expect(200).json["data"]], [order],
         "the seller's list of orders")
    body = {"name": sale.name, "amount": 1, "stock": 1, "description": "new"}
    it.ask("POST", sale.seller.path + "/coupons", sale.seller, body).expect(400, "duplicate-coupon")
    steer(it, sale, withdraw=1).expect(409, "too-late")
    steer(it, sale, state="open").expect(409, "too-late")
    it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 1}).expect(404)
    same(settings(it, sale).expect(200).json["state"], "archived", "the settings")
    assert shown(it, it.sale(seller=sale.seller), other) == "open" and shown(it, sale, other) is None, "the list has it"
    pause(1.0, "the drainers look at everything that workers have entered")
    it.ask("GET", "/readyz").expect(200)
    same(it.ctl("audit").returncode, 0, "the audit of all")


@case("a sale is archived only when nothing of it is open: the refusal says what")
def unfinished(it):
    sale, users = it.sale(amount=10, segments=2, pay_within=600), it.users(2)
    sale.win(users[0])
    steer(it, sale, state="ended").expect(200)
    sale.drained()
    steer(it, sale, state="archived").expect(409, "unfinished")
    same(state(sale), "ended", "the page")
    it.ask("DELETE", f"/api/orders/{next(iter(sale.rows()))}", users[0]).expect(200)
    settled(it, sale)
    until(lambda: steer(it, sale, state="archived").status == 200, 5, "it is archived")


@case("seckillctl sale, pause, resume, end, withdraw, archive: exits, JSON, and a line that says who did what")
def operator(it):
    sale, user = it.sale(amount=20, segments=2, price=5, currency="EUR"), it.customer()

    def said(*words, code=0, out=None, err=None):
        done = it.ctl(*words)
        same(done.returncode, code, f"exit of {words}: {done.stdout}{done.stderr}")
        assert out is None or out in done.stdout, done.stdout
        assert err is None or err in done.stderr, done.stderr
        return done
    said("sale", sale.title, out="state      open")
    done = said("pause", sale.title, out=f"{sale.title}: paused", err=" sale_changed ")
    assert f"sale={sale.title}" in done.stderr and "by=operator" in done.stderr and "what=pause" in done.stderr, done.stderr
    sale.claim(user).expect(409, "paused")
    same(said("pause", sale.title, out="paused").stderr, "", "nothing changed, so nothing is logged")
    told = json.loads(said("--json", "sale", sale.title).stdout)
    same([told[k] for k in ("state", "amount", "withdrawn", "price", "pending")], ["paused", 20, 0, 5, False], "JSON")
    said("resume", sale.title, out="open")
    sale.win(user)
    said("withdraw", sale.title, 4, out="4 of 4 units withdrawn, 4 of 20")
    same(json.loads(said("withdraw", "--json", sale.title, 100).stdout)["withdrew"], 15, "all that are left")
    said("archive", sale.title, code=1, err="end it first")
    said("end", sale.title, out="ended", err="what=end")
    said("resume", sale.title, code=1, err="has ended")
    sale.drained()
    until(lambda: it.ctl("archive", sale.title).returncode == 0, 5, "it is archived")
    said("sale", sale.title, out="archived")
    for words in (("pause",), ("pause", sale.title, "x"), ("withdraw", sale.title), ("withdraw", sale.title, 0), ("sale", "tea"),
                  ("withdraw", sale.title, "all"), ("end", "--reason", "x", sale.title)):
        said(*words, code=64)
    said("pause", "nobody/nothing", code=1, err="no such coupon")
    said("sale", "nobody/nothing", code=1, err="no such coupon")


main()
