"""A payment provider: messages about orders, signed as the Standard Webhooks say, and repeated until they are answered."""

import base64
import hashlib
import hmac
import json
import secrets
import time

from client import LOST
from tap import pause

PRICE, CURRENCY = 1000, "EUR"


def new_secret(size=32):
    return "whsec_" + base64.b64encode(secrets.token_bytes(size)).decode()


def key_file(*keys):
    """A setting of an instance: a file with these keys in its directory."""
    def write(run):
        path = run / "payment.keys"
        path.touch(0o600)
        path.write_text("".join(f"{key}\n" for key in keys))
        return path
    return write


class Provider:
    """With a key of its own. It can also send what a real one would not."""

    def __init__(self, it, secret):
        self.it, self.key = it, self.bytes_of(secret)

    @staticmethod
    def bytes_of(secret):
        return base64.b64decode(secret.removeprefix("whsec_"))

    def headers(self, body, id=None, at=None, secret=None):
        id, stamp = id or "msg_" + secrets.token_hex(8), str(int(time.time()) if at is None else at)
        key = self.bytes_of(secret) if secret else self.key
        mac = hmac.new(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
        return {"webhook-id": id, "webhook-timestamp": stamp, "Content-Type": "application/json",
                "webhook-signature": "v1," + base64.b64encode(mac).decode()}

    def post(self, order, body, client=None, **how):
        """Signs a body, bytes or an object, and sends it. how: id, at, secret."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return (client or self.it).ask("POST", f"/api/orders/{order}/payment", body=body,
                                       headers=self.headers(body, **how))

    def tell(self, order, type, client=None, id=None, **data):
        body = {"type": type, "timestamp": "2026-11-28T12:00:00Z", "data": data}
        return self.post(order, body, client, id=id)

    def pay(self, order, payment, amount=PRICE, currency=CURRENCY, **more):
        return self.tell(order, "payment.succeeded", payment=payment, amount=amount, currency=currency, **more)

    def fail(self, order, payment, **more):
        return self.tell(order, "payment.failed", payment=payment, **more)

    def refund(self, order, payment, refund, amount, currency=CURRENCY, **more):
        return self.tell(order, "refund.succeeded", payment=payment, refund=refund, amount=amount, currency=currency, **more)


def insist(tell, client, seconds):
    """Calls tell(client) until it is answered with anything but 5xx. Returns the answer, or None if none came in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = tell(client)
            if answer.status < 500:
                return answer
        except LOST:
            pass
        if time.monotonic() >= deadline:
            return None
        pause(0.05, "the pace of a provider")
