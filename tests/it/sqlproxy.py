"""A proxy before MySQL, on a unix socket, which breaks off or fails a chosen statement of a program at a chosen moment.

The protocol: a packet is a length of 3 bytes, a number that counts packets from 0 in each command, and so many bytes; a
command is its first byte and a text, or the number of a statement that was prepared.
"""

import contextlib
import re
import socket
import struct
import threading

from tap import until

QUERY, PREPARE, EXECUTE = 3, 22, 23
OK, EOF, ERROR = 0x00, 0xFE, 0xFF


def packet(number, content):
    return struct.pack("<I", len(content))[:3] + bytes([number]) + content


def error(number, code):
    return packet(number, bytes([ERROR]) + struct.pack("<H", code) + b"#HY000as the test wants it")


def packets(data):
    """The whole packets at the beginning of the data, and the rest."""
    found = []
    while len(data) >= 4 and len(data) >= 4 + (n := int.from_bytes(data[:3], "little")):
        found.append(data[:4 + n])
        data = data[4 + n:]
    return found, data


class Fault:
    """What happens to the next statement that matches. A number: the server's error, and the server never sees the statement.
    "before": the connection ends, and the server never sees it. "after": the server has done it, and the connection ends
    without the answer. "half": it ends amid the answer. "half-error": an error comes behind the first rows of the answer.
    An event: the server does not see it until then, and no connection ends by that.

    prepare: it happens to the preparation of the statement, else to its execution. skip: so many of them come before it.
    """

    def __init__(self, pattern, how, prepare, skip):
        self.pattern, self.how, self.prepare, self.skip = re.compile(pattern), how, prepare, skip

    def takes(self, command, text):
        if self.prepare != (command == PREPARE) or not self.pattern.search(text):
            return False
        self.skip -= 1
        return self.skip < 0


class Proxy:
    """server: path of MySQL's socket. The proxy's own is self.path; it ends with the process."""

    def __init__(self, server, path):
        self.server, self.path, self.fault, self.lock, self.links = str(server), str(path), None, threading.Lock(), []
        self.other_words = b"", b""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def fails(self, pattern, how, prepare=False, skip=0):
        """The first statement that matches from now on fails; waits for it at the end of the block."""
        self.fault = Fault(pattern, how, prepare, skip)
        try:
            yield
            until(lambda: not self.fault, 30, f"a statement that matches {pattern!r}")
        finally:
            self.fault = None

    @contextlib.contextmanager
    def holds(self, pattern):
        """The next statement that matches is held up until the end of the block. Yields a question: has it come?"""
        over = threading.Event()
        fault = self.fault = Fault(pattern, over, prepare=False, skip=0)
        try:
            yield lambda: self.fault is not fault
        finally:
            self.fault = None
            over.set()

    @contextlib.contextmanager
    def says(self, new, instead_of):
        """In every statement, some words are others, which are as long."""
        assert len(new) == len(instead_of)
        self.other_words = instead_of.encode(), new.encode()
        try:
            yield
        finally:
            self.other_words = b"", b""

    def due(self, command, text):
        """What happens to this one."""
        with self.lock:
            fault = self.fault
            if not fault or not fault.takes(command, text):
                return None
            self.fault = None
            return fault.how

    def _accept(self):
        while True:
            client = self.listener.accept()[0]
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.server)
            except OSError:
                client.close()
                server.close()
                continue
            self.links.append(Link(self, client, server))

    def hang_up(self):
        """Every connection ends: nothing is prepared in those that come."""
        for link in self.links:
            link.close()
        self.links.clear()


class Link:
    """A connection of a program, and its own to the server."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.texts, self.preparing, self.how = {}, None, None
        for work in (self._questions, self._answers):
            threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work):
        with contextlib.suppress(OSError):
            work()
        self.close()

    def close(self):
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def _questions(self):
        rest = b""
        while data := self.client.recv(65536):
            found, rest = packets(rest + data)
            for one in found:
                how = self._how(one)
                if how == "before":
                    return
                if isinstance(how, int):
                    self.client.sendall(error(1, how))
                    continue
                if isinstance(how, threading.Event):
                    how.wait()
                    how = None
                self.how = how
                self.server.sendall(one.replace(*self.proxy.other_words))

    def _how(self, one):
        command = one[4] if len(one) > 4 and one[3] == 0 else None  # else it belongs to the login
        if command in (QUERY, PREPARE):
            text = one[5:].decode("utf-8", "replace")
            self.preparing = text if command == PREPARE else None
        elif command == EXECUTE:
            text = self.texts.get(one[5:9], "")
        else:
            return None
        return self.proxy.due(command, text)

    def _answers(self):
        while data := self.server.recv(65536):
            if self.how == "after":
                return
            if self.how == "half":
                self.client.sendall(data[:len(data) // 2])
                return
            if self.how == "half-error":
                self._answer_with_error(data)
                continue
            if self.preparing and data[4] == OK:
                self.texts[data[5:9]], self.preparing = self.preparing, None
            self.client.sendall(data)

    def _answer_with_error(self, data):
        """To the end of the answer: behind the columns, and behind the rows, is an EOF."""
        while True:
            found, rest = packets(data)
            ends = [i for i, one in enumerate(found) if one[4] == EOF and len(one) < 13]
            if not rest and len(ends) == 2:
                break
            data += self.server.recv(65536)
        kept = found[:(ends[0] + ends[1]) // 2 + 1]
        self.how = None
        self.client.sendall(b"".join(kept) + error(kept[-1][3] + 1 & 255, 1317))


# The proxy of a file's instance

_proxies = []


def behind_proxy(run):
    """As a setting of harness.main: MySQL's socket. Begins the proxy."""
    _proxies.append(Proxy(run / "mysql.sock", run / "proxy.sock"))
    return the_proxy().path


def the_proxy():
    return _proxies[0]


def fails(*words, **more):
    return the_proxy().fails(*words, **more)
