"""FastCGI as nginx speaks it to a worker, for what nginx itself would never send."""

import socket
import struct
import urllib.parse

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
RESPONDER, KEEP = 1, 1


def record(kind, content=b"", id=1):
    return struct.pack(">BBHHBx", 1, kind, id, len(content), 0) + content


def pairs(params):
    out = b""
    for name, value in params.items():
        name, value = name.encode(), value.encode()
        out += struct.pack(">II", len(name) | 1 << 31, len(value) | 1 << 31) + name + value
    return out


def request(method, uri, keep=True, **params):
    """A whole request without a body."""
    path, _, query = uri.partition("?")
    where = {"DOCUMENT_URI": urllib.parse.unquote(path), "QUERY_STRING": query}
    last = {"REQUEST_ID": params.pop("REQUEST_ID", "test")}
    params = {"REQUEST_METHOD": method} | where | {"CONTENT_LENGTH": ""} | params | last
    begin = record(BEGIN, struct.pack(">HB5x", RESPONDER, KEEP if keep else 0))
    return begin + record(PARAMS, pairs(params)) + record(PARAMS) + record(STDIN)


class Connection:
    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """What the worker wrote for one request."""
        out = b""
        while True:
            header = self.file.read(8)
            if len(header) < 8:
                raise ConnectionError(f"the worker closed the connection after {out!r}")
            kind, length, padding = struct.unpack(">xBxxHBx", header)
            content = self.file.read(length + padding)[:length]
            if kind == END:
                return out
            out += content if kind == STDOUT else b""

    def ask(self, *words, **params):
        self.send(request(*words, **params))
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()
