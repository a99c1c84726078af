"""A proxy between the programs and a store that changes what the store answers, from a seed.

What the programs say goes through as it is. Answers are taken apart as the protocol has them, and now and then one of
them is changed: a value, a kind, a length, a byte; it comes twice, late, half, or not at all; or the connection ends.
"""

import collections
import pathlib
import random
import shutil
import socket
import struct
import tempfile
import threading

from tap import pause

# Numbers at the ends of types and of our own bounds.
NUMBERS = (0, -1, 1, 255, 256, 2**31 - 1, 2**31, -2**31, 2**32 + 1, 2**53, 2**53 + 1, 2**63 - 1, -2**63, 2**64)
TEXTS = (b"", b"0", b"-1", b"9223372036854775807", b"9223372036854775808", b"..", b"../../x", b"\xff\xfe", b"\0",
         b"x" * 5000, b"WON", b"MINE x", b"NEED 1", b"GRANT", b"FENCED", b"5!", b"1@", b"99999@x", b"a:b", b"7-999-1")
ERRORS = (b"MOVED 1 nocolon", b"MOVED 1 127.0.0.1:1", b"ASK", b"NOSCRIPT x", b"LOADING x", b"READONLY x", b"BUSY x",
          b"OOM x", b"NOAUTH x", b"WRONGTYPE x", b"ERR x", b"", b"TRYAGAIN", b"CLUSTERDOWN", b"EXECABORT")


class Cut(Exception):
    """The connection ends here."""


class Proxy:
    """store: the class of its protocol. As a context it listens at self.path, in a folder of its own."""

    def __init__(self, store, seed):
        self.store, self.dice, self.rate, self.target = store, random.Random(seed), 0.0, None
        self.counts, self.pairs, self.lock = collections.Counter(), set(), threading.Lock()

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="skx", dir="/tmp"))
        self.path = self.folder / "sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.sound()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sound(self):
        """Stops changing answers, and closes connections that may be out of step."""
        self.rate = 0.0
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            _shut(pair)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.target))
        except OSError:
            client.close()
            return
        pair = (client, server)
        with self.lock:
            self.pairs.add(pair)
        questions = threading.Thread(target=_copy, args=(client, server, pair), daemon=True)
        questions.start()
        try:
            self._answer(server, client)
        except (OSError, Cut, EOFError, ValueError, struct.error):
            pass
        _shut(pair)
        questions.join()
        with self.lock:
            self.pairs.discard(pair)
        client.close()
        server.close()

    def _answer(self, server, client):
        reader = self.store(server.makefile("rb"))
        while True:
            answer = reader.read()
            if self.dice.random() < self.rate:
                how = self.dice.choice(HOW + 3 * reader.HOW)  # those of the protocol reach furthest
                self.counts[how.__name__.strip("_")] += 1
                how(self.dice, reader, answer, client.sendall)
            else:
                client.sendall(reader.write(answer))


def _copy(source, to, pair):
    try:
        while data := source.recv(65536):
            to.sendall(data)
    except OSError:
        pass
    _shut(pair)


def _shut(pair):
    for s in pair:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


# Of any protocol: functions of the dice, the reader, an answer, and where bytes go.

def _byte(dice, reader, answer, send):
    data = bytearray(reader.write(answer))
    for _ in range(dice.choice((1, 1, 1, 8))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    send(bytes(data))


def _half(dice, reader, answer, send):
    data = reader.write(answer)
    send(data[:dice.randrange(len(data))])
    raise Cut


def _late(dice, reader, answer, send):
    data = reader.write(answer)
    cut = dice.randrange(len(data))
    send(data[:cut])
    pause(dice.uniform(0, 0.3), "the fault")
    send(data[cut:])


def _twice(dice, reader, answer, send):
    send(reader.write(answer) * 2)


def _none(dice, reader, answer, send):
    pass


def _noise(dice, reader, answer, send):
    send(dice.randbytes(dice.randrange(1, 200)))


HOW = (_byte, _half, _late, _twice, _none, _noise)


# Redis

class Resp:
    """Replies as (kind, value): a line, bytes or None, a list or None."""

    def __init__(self, file):
        self.file = file

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return kind, None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return kind, None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        return kind, rest

    def write(self, reply):
        kind, value = reply
        if kind in b"$*" and value is None:
            return kind + b"-1\r\n"
        if kind == b"$":
            return b"$%d\r\n%s\r\n" % (len(value), value)
        if kind == b"*":
            return b"*%d\r\n" % len(value) + b"".join(map(self.write, value))
        return kind + value + b"\r\n"


def _change(dice, reply, change):
    """The reply with one of its parts changed."""
    kind, value = reply
    if kind == b"*" and value and dice.random() < 0.9:
        i = dice.randrange(len(value))
        return kind, value[:i] + [_change(dice, value[i], change)] + value[i + 1:]
    return change(kind, value)


def _other(dice, kind, value):
    return dice.choice(((b":", b"%d" % dice.choice(NUMBERS)), (b"$", dice.choice(TEXTS)), (b"$", None), (b"*", None),
                        (b"*", []), (b"*", [(kind, value)] * 3), (b"-", dice.choice(ERRORS)), (b"+", b"OK")))


def _word(dice, kind, value):
    """A text whose words are numbers: one of them is another one."""
    if kind != b"$" or not value:
        return _other(dice, kind, value)
    words = value.split(b" ")
    words[dice.randrange(len(words))] = b"%d" % dice.choice(NUMBERS)
    return kind, b" ".join(words[:dice.randrange(1, len(words) + 1)])


def _value(dice, reader, reply, send):
    send(reader.write(_change(dice, reply, lambda *r: dice.choice((_other, _word))(dice, *r))))


def _count(dice, reader, reply, send):
    """A list that is shorter or longer, or whose head says another length."""
    kind, value = reply
    if kind != b"*" or not value:
        _value(dice, reader, reply, send)
    elif dice.random() < 0.8:
        send(reader.write((kind, dice.choice((value[:-1], value[1:], value * 2, value + [(b"$", b"x")])))))
    else:
        send(b"*%d\r\n" % dice.choice(NUMBERS) + b"".join(map(reader.write, value)))


def _error(dice, reader, reply, send):
    send(b"-" + dice.choice(ERRORS) + b"\r\n")


Resp.HOW = (_value, _value, _value, _count, _error)


# MySQL

class Packets:
    """Packets as (number, payload)."""

    def __init__(self, file):
        self.file = file

    def read(self):
        head = self.file.read(4)
        if len(head) < 4:
            raise EOFError
        return head[3], self.file.read(int.from_bytes(head[:3], "little"))

    def write(self, packet):
        number, payload = packet
        return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def _payload(dice, reader, packet, send):
    """Some bytes in a row become a number."""
    number, payload = packet
    at, size = dice.randrange(len(payload) + 1), dice.choice((1, 2, 4, 8))
    value = (dice.choice(NUMBERS) & (2**64 - 1)).to_bytes(8, "little")[:size]
    send(reader.write((number, (payload[:at] + value + payload[at + size:])[:len(payload)])))


def _length(dice, reader, packet, send):
    number, payload = packet
    send(reader.write((number, dice.choice((payload[:dice.randrange(len(payload) + 1)], payload + b"\xff" * 9, b"")))))


def _head(dice, reader, packet, send):
    send((dice.choice(NUMBERS) & 0xFFFFFF).to_bytes(3, "little") + bytes([dice.randrange(256)]) + packet[1])


def _refusal(dice, reader, packet, send):
    """An error: of the server, of a lock, a duplicate, a value, a schema, of nothing known."""
    code = dice.choice((1040, 1053, 1062, 1146, 1205, 1213, 1264, 1290, 1406, 1615, 1927, 2006, 4025, 60000, 0))
    send(reader.write((packet[0], b"\xff" + struct.pack("<H", code) + b"#HY000" + dice.choice(TEXTS))))


Packets.HOW = (_payload, _payload, _payload, _length, _head, _refusal)
