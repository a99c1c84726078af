"""An HTTP client of the service: one kept connection, and answers that know what the contract says."""

import http.client
import json
import select
import socket
import urllib.parse

LOST = (OSError, http.client.HTTPException)  # no answer came: the outcome is unknown


def quote(name):
    """A name as a part of a path: everything but unreserved characters is percent-encoded."""
    return urllib.parse.quote(name.encode(), safe="")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The stable word of an error, or why a compat claim was not won."""
        if self.status == 204:
            return self.headers["Seckill-Result"]
        return self.json["code"] if self.status >= 400 else None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"

    def expect(self, status, code=None):
        """Checks the status and the body that the contract gives it. Returns self."""
        assert self.status == status, f"{self}, not {status}"
        if status >= 400:
            self._expect_problem(code)
        elif status == 204:
            assert not self.body and (code is None or self.code == code), f"{dict(self.headers)}, not {code}"
        elif self.headers.get_content_type() == "application/json":
            assert self.json["errMsg"] == "", self
        return self

    def won(self):
        """The order of somebody who had none, and has claimed until there was an answer: 200 when an earlier one was lost."""
        assert self.status in (200, 201), f"{self}, not won"
        return self.json["order"]

    def _expect_problem(self, code):
        assert self.headers.get_content_type() == "application/problem+json", f"{dict(self.headers)} of {self}"
        body = self.json
        missing = {"type", "title", "status", "detail", "code", "errMsg"} - body.keys()
        assert not missing, f"{self} has no {missing}"
        assert body["status"] == self.status and body["errMsg"] == body["detail"] != "", self
        assert code is None or body["code"] == code, f"{self}, not {code}"
        assert self.status != 503 or int(self.headers["Retry-After"]) >= 1, f"{self} without Retry-After"

    def names(self, word):
        """Checks that the detail names all of these."""
        assert word in self.json["detail"], f"{self} does not name {word}"
        return self


class Client:
    def __init__(self, port, timeout=20, address=None, host="127.0.0.1"):
        """address: another one of this machine to come from, in 127.0.0.0/8."""
        self.port = port
        self.connection = http.client.HTTPConnection(host, port, timeout=timeout,
                                                     source_address=address and (address, 0))

    def ask(self, method, path, user=None, body=None, authorization=None, headers=()):
        """Sends a request. user: its token is sent; body: bytes are sent unchanged, anything else as JSON."""
        headers = dict(headers)
        if user:
            authorization = "Bearer " + user.token
        if authorization is not None:
            headers["Authorization"] = authorization
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if self._has_ended():
            self.close()
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        except LOST:
            self.close()
            raise

    def _has_ended(self):
        """nginx closes a connection that was idle for a minute: a case may take longer on a slow machine."""
        if not self.connection.sock:
            return False
        poll = select.poll()
        poll.register(self.connection.sock, select.POLLIN)
        return bool(poll.poll(0))

    def patience(self, seconds):
        """Sets how long the next request waits for an answer."""
        self.connection.timeout = seconds
        if self.connection.sock:
            self.connection.sock.settimeout(seconds)

    def close(self):
        self.connection.close()


def connect(address, timeout=20):
    """A port of this machine, or the path of a unix socket."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), timeout)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(str(address))
    return s


def raw(address, data, timeout=20):
    """Sends bytes that an HTTP library would refuse to send, and returns the answer."""
    with connect(address, timeout) as s:
        s.sendall(data)
        response = http.client.HTTPResponse(s)
        response.begin()
        return Answer(response.status, response.headers, response.read())
