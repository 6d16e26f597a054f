"""New connections: a user connects, says one byte, gets it back, closes; so many users at once, or so many a second."""

from __future__ import annotations

import select
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.loads.costs import CPU_PER_THOUSAND_CONNECTIONS, PEAK_MEMORY, costs
from bench.model import HOST, BenchError, Better, Figure, Load, Sample
from bench.processes import Meter
from bench.statistics import percentile

if TYPE_CHECKING:
    from bench.stage import Stage

RATE = Figure("new connections", "1/s")
SLOW = Figure("p99", "ms", Better.LOWER)

WARM_UP = 0.5
"""Seconds that are not counted: a pool that was filled beforehand is soon used up, and is not what lasts."""

PATIENCE = 10.0
"""Seconds until those who came at an even rate, and have not been served, are given up."""

MOST_WAITING = 4000
"""Users who are there at once at an even rate. More come when others have gone; their time runs already."""

TURN = 0.1
"""Seconds until the time is looked at when nothing happens."""

THOUSAND = 1000

BYTES = tuple(bytes([value]) for value in range(256))


class NewConnections(Load):
    """As many as go through, with this many users at once."""

    figures = (RATE, SLOW, CPU_PER_THOUSAND_CONNECTIONS, PEAK_MEMORY)

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel

    def measure(self, stage: Stage) -> Sample:
        with closing(Crowd(stage.ports.users)) as crowd, Meter(stage.processes) as meter:
            crowd.run(self._parallel, WARM_UP)
            warm, crowd.times = len(crowd.times), []
            begun = time.perf_counter()
            crowd.run(self._parallel, stage.seconds)
            seconds = time.perf_counter() - begun
        if not crowd.times:
            raise BenchError(f"no connection was made in {seconds:.1f} s; {crowd.failed} failed")
        times = sorted(crowd.times)
        notes = (f"{crowd.failed} connections failed",) if crowd.failed else ()
        cost = costs(meter, CPU_PER_THOUSAND_CONNECTIONS, (warm + len(times)) / THOUSAND)
        return Sample({RATE.name: len(times) / seconds, SLOW.name: percentile(times, 99) * THOUSAND, **cost}, notes)


@dataclass(slots=True)
class _User:
    sock: socket.socket
    begun: float
    says: bytes
    has_said: bool = False


class Crowd:
    """Users who come, say something, hear an answer, and go. Here it is a byte, and the same byte.

    Args:
        port: to which they come.
    """

    answer_size = 1
    """The most bytes of it that are looked at."""

    def __init__(self, port: int) -> None:
        self._address = (HOST, port)
        self._epoll = select.epoll()
        self._users: dict[int, _User] = {}
        self._come = 0
        self.times: list[float] = []
        """Seconds from each user's coming to the echo."""
        self.failed = 0

    def says(self, number: int) -> bytes:
        """What the user of this number says."""
        return BYTES[number % 256]

    def is_answer(self, found: bytes, said: bytes) -> bool:
        """Whether this is what he should hear."""
        return found == said

    def run(self, parallel: int, seconds: float) -> None:
        """Keep this many there for so long; those who wait at the end stay.

        Raises:
            BenchError: one was answered what he should not be.
        """
        end = time.perf_counter() + seconds
        for _ in range(parallel - len(self._users)):
            self._begin()
        while (left := end - time.perf_counter()) > 0:
            for number, _ in self._epoll.poll(left, parallel):
                if self._go_on(self._users[number]):
                    self._begin()

    def pace(self, rate: float, seconds: float) -> float:
        """Let users come evenly, whether those before them have been served or not; ends when all have been, or gives up.

        Each one's time begins when he is due, so that a wait before the door counts as well.

        Args:
            rate: users per second.
            seconds: how long they come.

        Returns:
            Seconds until the last has gone.

        Raises:
            BenchError: one was answered what he should not be.
        """
        begun = time.perf_counter()
        number, come = int(rate * seconds), 0
        while (come < number or self._users) and (now := time.perf_counter() - begun) < seconds + PATIENCE:
            while come < number and come / rate <= now and len(self._users) < MOST_WAITING:
                self._begin(begun + come / rate)
                come += 1
            # Unlike a poll, this waits for parts of a millisecond, and so needs no processor meanwhile.
            left = (
                come / rate - (time.perf_counter() - begun) if come < number and len(self._users) < MOST_WAITING else TURN
            )
            select.select([self._epoll], [], [], max(0.0, left))
            for user, _ in self._epoll.poll(0):
                self._go_on(self._users[user])
        self.failed += len(self._users)
        return time.perf_counter() - begun

    def close(self) -> None:
        """Send everybody home."""
        for user in self._users.values():
            user.sock.close()
        self._users.clear()
        self._epoll.close()

    def _begin(self, due: float | None = None) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        user = _User(sock, time.perf_counter() if due is None else due, self.says(self._come))
        self._come += 1
        sock.connect_ex(self._address)
        self._users[sock.fileno()] = user
        self._epoll.register(sock.fileno(), select.EPOLLIN if self._say(user) else select.EPOLLIN | select.EPOLLOUT)

    def _say(self, user: _User) -> bool:
        # On loopback, it is connected by now unless the listener is busy.
        try:
            user.sock.send(user.says)
        except OSError:
            return False
        user.has_said = True
        return True

    def _go_on(self, user: _User) -> bool:
        """Do what can be done; True at the user's end."""
        if not user.has_said:
            if user.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and self._say(user):
                self._epoll.modify(user.sock.fileno(), select.EPOLLIN)
                return False
            found = b""
        else:
            try:
                found = user.sock.recv(self.answer_size)
            except OSError:
                found = b""
        if not found:
            self.failed += 1
        elif self.is_answer(found, user.says):
            self.times.append(time.perf_counter() - user.begun)
        else:
            raise BenchError("a user was answered what he should not be")
        # Closing takes it out of the epoll set.
        del self._users[user.sock.fileno()]
        user.sock.close()
        return True
