"""A payment provider: messages about orders, signed as the Standard Webhooks say, and repeated until they are answered."""

import base64
import hashlib
import hmac
import json
import pathlib
import secrets
import time
from typing import NamedTuple

from client import LOST
from tap import pause

KEY_FILE = "payment.keys"
SETTINGS = {"SECKILL_PAYMENT_KEY_FILE": lambda run: run / KEY_FILE}


def write_key(it):
    """Before the instance starts: its programs get SETTINGS."""
    path = it.run / KEY_FILE
    path.touch(mode=0o600)
    path.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() + "\n")


class Message(NamedTuple):
    """One thing that happened at the provider. Repetitions have the same id."""
    id: str
    order: str
    body: bytes


class Provider:
    def __init__(self, it):
        self.it, self.ids = it, 0
        self.key = base64.b64decode(pathlib.Path(it.run / KEY_FILE).read_text().strip().removeprefix("whsec_"))

    # what happens

    def message(self, kind, order, **data):
        body = {"type": kind, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "data": data}
        return Message("msg_" + secrets.token_hex(12), order, json.dumps(body).encode())

    def succeeded(self, order, payment, amount, currency="EUR"):
        return self.message("payment.succeeded", order, order=order, payment=payment, amount=amount, currency=currency)

    def failed(self, order, payment, amount, currency="EUR"):
        return self.message("payment.failed", order, order=order, payment=payment, amount=amount, currency=currency)

    def refunded(self, order, payment, refund, amount, currency="EUR"):
        return self.message("refund.succeeded", order, payment=payment, refund=refund, amount=amount, currency=currency)

    # telling it

    def signature(self, message, stamp):
        signed = f"{message.id}.{stamp}.".encode() + message.body
        return "v1," + base64.b64encode(hmac.new(self.key, signed, hashlib.sha256).digest()).decode()

    def send(self, message, client=None):
        stamp = str(int(time.time()))
        headers = {"webhook-id": message.id, "webhook-timestamp": stamp, "Content-Type": "application/json",
                   "webhook-signature": self.signature(message, stamp)}
        return (client or self.it).ask("POST", f"/api/orders/{message.order}/payment", body=message.body, headers=headers)

    def insist(self, message, client=None, seconds=60):
        """Repeats the message until it is answered with anything but 5xx. Returns the last answer, or None if none came."""
        deadline, answer = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            try:
                answer = self.send(message, client)
            except LOST:
                answer = None
            if answer and answer.status < 500:
                return answer
            pause(0.05, "the pace of a provider")
        return answer
