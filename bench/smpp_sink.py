"""An SMSC that costs little: it shares the machine with what it measures.

Takes every bind and every message at once, by bytes: no PDU is decoded beyond its header. Told
what to do by lines on its standard input, it answers with lines of JSON:

* ``stats``: how many messages came, and the CPU seconds used;
* ``times``: when each message came since this was asked last, in seconds;
* ``mo NUMBER WINDOW TEXT``: sends messages from phones, at most WINDOW of them unanswered on each
  bind; answers when all are, with the seconds it took and how long each answer took.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from array import array
from collections import deque

HEADER = struct.Struct(">IIII")
SUBMIT_SM, DELIVER_SM_RESP, ENQUIRE_LINK, UNBIND = 0x4, 0x80000005, 0x15, 0x6
BINDS = (0x1, 0x2, 0x9)
RESPONSE = 0x80000000
USERS = 1_000
CHUNK = 1 << 18


class Connection:
    """One bind."""

    def __init__(self, sink: Sink, connected: socket.socket) -> None:
        self.sink = sink
        self.socket = connected
        self.buffer = b""
        self.bound = False
        #: When each deliver_sm without an answer was sent; answers come in order, or nearly.
        self.sent: deque[float] = deque()

    def readable(self) -> bool:
        """Take what is there; gives whether the connection goes on."""
        try:
            data = self.socket.recv(CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            return False
        buffer = self.buffer + data if self.buffer else data
        now = time.monotonic()
        sink = self.sink
        out: list[bytes] = []
        position, end = 0, len(buffer)
        unpack, pack = HEADER.unpack_from, HEADER.pack
        while end - position >= 16:
            length, command, _, number = unpack(buffer, position)
            if position + length > end:
                break
            position += length
            if command == SUBMIT_SM:
                sink.count += 1
                sink.times.append(now)
                message_id = b"%d\0" % sink.count
                out.append(pack(16 + len(message_id), 0x80000004, 0, number) + message_id)
            elif command == DELIVER_SM_RESP:
                sink.latencies.append(now - self.sent.popleft())
            elif command in BINDS:
                self.bound = True
                out.append(pack(21, RESPONSE | command, 0, number) + b"sink\0")
            elif command in (ENQUIRE_LINK, UNBIND):
                out.append(pack(16, RESPONSE | command, 0, number))
        self.buffer = buffer[position:]
        if out:
            self.socket.sendall(b"".join(out))
        return True


class Sink:
    """All of it.

    :param port: Where to listen.
    """

    def __init__(self, port: int) -> None:
        self.count = 0
        self.times = array("d")
        self.latencies = array("d")
        self._selector = selectors.DefaultSelector()
        self._listening = socket.create_server(("127.0.0.1", port))
        self._connections: list[Connection] = []
        self._mo: tuple[int, int, float] | None = None
        self._sent = 0
        self._bodies: list[bytes] = []
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listening:
                    self._accept()
                elif key.fileobj is sys.stdin:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self._obey(line.split())
                elif not key.data.readable():
                    self._selector.unregister(key.fileobj)
                    self._connections.remove(key.data)
            if self._mo is not None:
                self._send()

    def _accept(self) -> None:
        connected, _ = self._listening.accept()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, connected)
        self._connections.append(connection)
        self._selector.register(connected, selectors.EVENT_READ, connection)

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["stats"]:
                bound = sum(connection.bound for connection in self._connections)
                self._tell({"count": self.count, "bound": bound, "cpu_s": time.process_time()})
            case ["times"]:
                self._tell(list(self.times))
                self.times = array("d")
            case ["mo", number, window, text]:
                self._bodies = [_deliver_sm_body(user, text) for user in range(USERS)]
                self._sent = 0
                self.latencies = array("d")
                self._mo = int(number), int(window), time.monotonic()

    def _send(self) -> None:
        assert self._mo is not None
        number, window, started = self._mo
        now = time.monotonic()
        for connection in self._connections:
            out: list[bytes] = []
            while self._sent < number and len(connection.sent) < window and connection.bound:
                body = self._bodies[self._sent % USERS]
                self._sent += 1
                out.append(HEADER.pack(16 + len(body), 0x5, 0, self._sent & 0x7FFFFFFF) + body)
                connection.sent.append(now)
            if out:
                connection.socket.sendall(b"".join(out))
        if len(self.latencies) >= number:
            self._mo = None
            self._tell({"seconds": now - started, "latencies": list(self.latencies)})

    def _tell(self, value: object) -> None:
        print(json.dumps(value), flush=True)


def _deliver_sm_body(user: int, text: str) -> bytes:
    octets = text.encode("ascii")
    return (
        b"\0\x01\x01+2782%07d\0\0\x01" % user
        + b"8080\0"
        + b"\0\0\0\0\0\0\0\0\0"
        + bytes((len(octets),))
        + octets
    )


if __name__ == "__main__":
    Sink(int(sys.argv[1])).run()
