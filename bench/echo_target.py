"""The target of our own loads: `python -m bench.echo_target PORT`.

TCP: sends back what it is sent, and closes when the user does.

UDP: sends each datagram back; or, once it is told their size, counts them.

Commands come on standard input, one per line, and are answered in one line each; its end ends the process:

* `count SIZE FIRST`: from now on count datagrams, which should be of this size and as `datagram` makes them; those
  whose number is below the first were sent before, and are left out. A size of 0 echoes again;
* `counted`: what was counted, as the members of `Counts` in JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import socket
import struct
import sys
from contextlib import suppress

from bench.model import HOST

READ_SIZE = 1 << 16
BACKLOG = 4096
UDP_BUFFER = 4 << 20

DATAGRAMS_PER_TURN = 64

NUMBER_SIZE = 8
"""Bytes of a datagram's number, big-endian, at its beginning and again at its end."""

MOST_NUMBERS = 1 << 22
"""In one counting; more than a sender can send."""

SO_MEMINFO = 55
"""Linux: nine figures of a socket's memory, the last of them how many datagrams were dropped (SK_MEMINFO_DROPS)."""

_MEMINFO = struct.Struct("=9I")


def filler(size: int) -> bytes:
    """What stands between the two numbers in a datagram of this size."""
    return bytes(index * 7 % 251 for index in range(size - 2 * NUMBER_SIZE))


def datagram(number: int, rest: bytes) -> bytes:
    """The datagram of this number."""
    head = number.to_bytes(NUMBER_SIZE)
    return head + rest + head


@dataclasses.dataclass(slots=True)
class Counts:
    """What came over UDP.

    Args:
        size: that datagrams should have.
        datagrams: that came, without duplicates.
        bytes: in them.
        resized: those that were cut or joined.
        changed: those that were as long as they should be, and not as they were sent.
        duplicates: that came besides.
        reordered: those that came after one that had been sent later.
        dropped: by the system, because this process was too slow. They had arrived.
    """

    size: int = 0
    datagrams: int = 0
    bytes: int = 0
    resized: int = 0
    changed: int = 0
    duplicates: int = 0
    reordered: int = 0
    dropped: int = 0


class EchoTarget:
    """The loop of the process.

    Args:
        port: for TCP and UDP.
    """

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server((HOST, port), backlog=BACKLOG)
        self._listener.setblocking(False)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        self._udp.bind((HOST, port))
        self._udp.setblocking(False)
        self._epoll = select.epoll()
        self._users: dict[int, socket.socket] = {}
        self._unsent: dict[int, bytes] = {}
        self._counts = Counts()
        self._filler = b""
        self._first = 0
        self._next = 0
        """Above all numbers that have come."""
        self._seen = bytearray()
        """By number, from the first: whether it has come."""
        self._dropped_before = 0

    def run(self) -> None:
        """Serve until standard input ends."""
        stdin = sys.stdin.fileno()
        for number in (self._listener.fileno(), self._udp.fileno(), stdin):
            self._epoll.register(number, select.EPOLLIN)
        while True:
            for number, _ in self._epoll.poll():
                if number in self._users:
                    self._serve(number)
                elif number == self._listener.fileno():
                    self._accept()
                elif number == self._udp.fileno():
                    self._take_datagrams()
                elif not self._obey(os.read(stdin, READ_SIZE).decode("ascii")):
                    return

    def _accept(self) -> None:
        while True:
            try:
                user, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # A user that has gone again; or there are no more file descriptors, and it waits.
                return
            user.setblocking(False)
            user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._users[user.fileno()] = user
            self._epoll.register(user.fileno(), select.EPOLLIN)

    def _serve(self, number: int) -> None:
        user = self._users[number]
        unsent = self._unsent.pop(number, b"")
        data = unsent
        try:
            data = unsent or user.recv(READ_SIZE)
            sent = user.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            data = b""
            sent = 0
        if not data:
            self._drop(number)
            return
        if sent < len(data):
            self._unsent[number] = data[sent:]
            self._epoll.modify(number, select.EPOLLOUT)
        elif unsent:
            self._epoll.modify(number, select.EPOLLIN)

    def _drop(self, number: int) -> None:
        # Closing takes it out of the epoll set.
        self._users.pop(number).close()

    def _take_datagrams(self) -> None:
        size = self._counts.size
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, sender = self._udp.recvfrom(READ_SIZE)
            except OSError:
                return
            if not size:
                # What does not fit is lost, as datagrams are; whoever waits for it asks again.
                with suppress(OSError):
                    self._udp.sendto(data, sender)
                continue
            self._count(data)

    def _count(self, data: bytes) -> None:
        counts = self._counts
        if (
            len(data) == counts.size
            and data.startswith(self._filler, NUMBER_SIZE)
            and data[:NUMBER_SIZE] == data[-NUMBER_SIZE:]
        ):
            number = int.from_bytes(data[:NUMBER_SIZE])
            index = number - self._first
            if index < 0:
                return
            if index < MOST_NUMBERS:
                if self._seen[index]:
                    counts.duplicates += 1
                    return
                self._seen[index] = True
                if number < self._next:
                    counts.reordered += 1
                else:
                    self._next = number + 1
            else:
                counts.changed += 1
        elif len(data) == counts.size:
            counts.changed += 1
        else:
            counts.resized += 1
        counts.datagrams += 1
        counts.bytes += len(data)

    def _obey(self, text: str) -> bool:
        """Do what standard input says; False at its end."""
        for line in text.splitlines():
            command, *arguments = line.split()
            if command == "count":
                size, self._first = map(int, arguments)
                self._counts, self._next = Counts(size), self._first
                self._filler = filler(size) if size else b""
                # Zeros that nobody has written to take no memory.
                self._seen = bytearray(MOST_NUMBERS)
                self._dropped_before = self._dropped()
            else:
                self._counts.dropped = self._dropped() - self._dropped_before
            print(json.dumps(dataclasses.asdict(self._counts)), flush=True)
        return bool(text)

    def _dropped(self) -> int:
        try:
            figures = self._udp.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0
        return int(_MEMINFO.unpack(figures)[-1])


if __name__ == "__main__":
    EchoTarget(int(sys.argv[1])).run()
