"""Redis and MySQL of an instance, asked with the administrators' credentials."""

import socket
import subprocess


class RedisError(Exception):
    pass


class Redis:
    """RESP over the unix socket. Texts are str; bytes that are not UTF-8 are kept as surrogates."""

    def __init__(self, path, password):
        self.path, self.password, self.file = path, password, None

    def __call__(self, *words):
        if not self.file:
            self._connect()
        try:
            self._send(words)
            return self._read()
        except OSError:
            self.close()
            raise

    def _connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(self.path)
        self.file = s.makefile("rwb")
        s.close()  # the file keeps it open
        if self.password:
            self("AUTH", "admin", self.password)

    def close(self):
        if self.file:
            self.file.close()
        self.file = None

    def _send(self, words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.file.write(b"".join(parts))
        self.file.flush()

    def _read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RedisError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self.file.read(int(rest) + 2)[:-2].decode("utf-8", "surrogateescape")
        if kind == b"*":
            return [self._read() for _ in range(int(rest))]
        return rest

    def keys(self):
        cursor, found = "0", set()
        while True:
            cursor, keys = self("SCAN", cursor, "COUNT", 1000)
            found.update(keys)
            if cursor == "0":
                return found


class SqlError(Exception):
    pass


class Sql:
    """The rows of a statement, as lists of texts, through the command line client."""

    def __init__(self, defaults):
        self.command = ["mariadb", f"--defaults-file={defaults}", "-N", "-B", "-r", "seckill"]

    def __call__(self, statement):
        done = subprocess.run(self.command, input=statement.encode(), capture_output=True, timeout=60)
        if done.returncode:
            raise SqlError(done.stderr.decode())
        return [line.split("\t") for line in done.stdout.decode("utf-8", "surrogateescape").splitlines()]

    def number(self, statement):
        return int(self(statement)[0][0])


class Session:
    """A connection that keeps its transaction between statements."""

    def __init__(self, sql):
        self.process = subprocess.Popen(sql.command + ["-n"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, statement):
        """Waits until the statement ends."""
        self.process.stdin.write(f"{statement}; SELECT 'over';\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line == "over\n":
                return
        raise SqlError(f"the connection ended at: {statement}")

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.process.communicate()


def literal(text):
    """Any text as an SQL literal."""
    return "x'" + text.encode().hex() + "'"
