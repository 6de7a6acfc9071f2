"""A TLS client that counts what goes over the wire: the truth that traffic accounting is held against."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from tests.peers import addresses, https

_BLOCK: Final = 65536


class MeteredConnection:
    """TLS over a TCP connection to `host`; `sent` and `received` are the bytes of TCP payload so far."""

    def __init__(self, host: str, plain: socket.socket) -> None:
        self.sent = 0
        self.received = 0
        self._host = host
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = https.trusting(None).wrap_bio(self._in, self._out, server_hostname=host)

    def shake_hands(self) -> None:
        """The TLS handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return

    def post(self, body: bytes) -> bytes:
        """One HTTP request and its whole answer; the connection stays open."""
        head = f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        request = memoryview(head.encode("ascii") + body)
        while request:
            request = request[self._tls.write(request[:_BLOCK]) :]
            self._flush()
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read()
        fields, _, rest = answer.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in fields.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(rest) < length:
            rest += self._read()
        return rest

    def _read(self) -> bytes:
        while True:
            try:
                return self._tls.read(_BLOCK)
            except ssl.SSLWantReadError:
                self._fill()

    def _flush(self) -> None:
        block = self._out.read()
        self._plain.sendall(block)
        self.sent += len(block)

    def _fill(self) -> None:
        block = self._plain.recv(_BLOCK)
        if not block:
            raise ConnectionResetError("the server closed the connection")
        self.received += len(block)
        self._in.write(block)


@contextlib.contextmanager
def metered(host: str, *, address: str = addresses.GATEWAY, port: int = 443) -> Iterator[MeteredConnection]:
    """An open connection after its handshake."""
    with https.open_connection((address, port)) as plain:
        connection = MeteredConnection(host, plain)
        connection.shake_hands()
        yield connection
