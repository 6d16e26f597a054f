"""Many users who stay: what they cost idle, and what goes through when all of them talk."""

from __future__ import annotations

import math
import resource
import select
import socket
import time
from contextlib import closing
from itertools import cycle
from typing import TYPE_CHECKING

from bench.loads.costs import CPU_PER_THOUSAND_REQUESTS, MEGA
from bench.model import HOST, BenchError, Better, Figure, Load, Sample
from bench.processes import Meter, proportional_bytes
from bench.users import GREETING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.processes import Process
    from bench.stage import Stage

PER_USER = Figure("memory per user", "kB", Better.LOWER)
AT_FIRST = Figure("memory without users", "MB", Better.LOWER)
OPENING = Figure("opening", "1/s")
THROUGHPUT = Figure("throughput", "MB/s")
EXCHANGES = Figure("exchanges", "1/s")
TOGETHER = Figure("memory", "MB", Better.LOWER)
USERS = Figure("users", "at once", Better.NEITHER, in_table=False)

IN_FLIGHT = 50
"""Users who come at once."""

PATIENCE = 240.0
"""Seconds for all of them to come."""

TURN_SECONDS = 0.25
"""How often the time is looked at while they come."""

SETTLE_SECONDS = 1.0
"""Time for what was left over from their coming to be given back."""

SPARE_FILES = 1200
"""Of each process, for its pool and all else."""

MESSAGE_SIZE = 4096

RAMP_SECONDS = 3.0
"""After which those who talk are counted in any case, though somebody has not had an answer yet."""

USERS_PER_SECOND = 2000
"""For so many users, what they exchange is counted for another second: with many, each has a turn seldom."""


def most_users() -> int:
    """How many users the limit of open files allows: each has two connections in each process of a tunnel."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES) // 2


class StandingCrowd:
    """Users who come, are answered once, and stay.

    Args:
        ports: to which they come, in turn.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = cycle(ports)
        self._epoll = select.epoll()
        self._users: dict[int, socket.socket] = {}
        self._message = bytes(range(256)) * (MESSAGE_SIZE // 256)
        self._missing: dict[int, int] = {}
        """By the socket's number: bytes of the message that are not back yet; only of those who have spoken."""

    def gather(self, number: int) -> None:
        """Let this many come.

        Raises:
            BenchError: not all of them are answered, or not in time; with the number of those who were.
        """
        end = time.monotonic() + PATIENCE
        answered, coming = 0, 0
        while answered < number:
            try:
                while coming < min(number, answered + IN_FLIGHT):
                    self._come()
                    coming += 1
                for user, _ in self._epoll.poll(TURN_SECONDS):
                    if self._users[user].recv(len(GREETING)) != GREETING:
                        raise BenchError(f"the user after {answered} others was sent away, or got another's answer")
                    answered += 1
            except OSError as error:
                raise BenchError(f"the user after {answered} others was turned away: {error}") from None
            if time.monotonic() > end:
                raise BenchError(f"only {answered} of {number} users were answered in {PATIENCE:g} s")

    def begin_to_talk(self) -> None:
        """Let each say something, and say it again when it has come back; until all have had an answer, or `RAMP_SECONDS`.

        What has been said and is not back is work that nobody counts. From now on it is as much at any time, so what comes
        back in a span is the work of that span.

        Raises:
            BenchError: something else came back, or somebody was sent away.
        """
        for number, user in self._users.items():
            self._missing[number] = MESSAGE_SIZE
            user.sendall(self._message)
        unanswered = set(self._users)
        end = time.perf_counter() + RAMP_SECONDS
        while unanswered and (left := end - time.perf_counter()) > 0:
            for number, _ in self._epoll.poll(left):
                self._hear(number)
                if not self._missing[number]:
                    unanswered.discard(number)
                    self._say_again(number)

    def talk(self, seconds: float) -> tuple[float, float]:
        """Let those who have begun to talk go on.

        Returns:
            How often something came back, parts of it counted as parts; and in how many seconds.

        Raises:
            BenchError: something else did, or somebody was sent away.
        """
        size = 0
        begun = time.perf_counter()
        end = begun + seconds
        while (left := end - time.perf_counter()) > 0:
            for number, _ in self._epoll.poll(left):
                size += self._hear(number)
                if not self._missing[number]:
                    self._say_again(number)
        return size / MESSAGE_SIZE, time.perf_counter() - begun

    def close(self) -> None:
        """Send everybody home."""
        for user in self._users.values():
            user.close()
        self._epoll.close()

    def _hear(self, number: int) -> int:
        """Take what has come back to a user; gives its size."""
        missing = self._missing[number]
        part = self._users[number].recv(missing)
        begin = MESSAGE_SIZE - missing
        if not part or part != self._message[begin : begin + len(part)]:
            raise BenchError("a user was sent away, or got back what he did not say")
        self._missing[number] = missing - len(part)
        return len(part)

    def _say_again(self, number: int) -> None:
        self._missing[number] = MESSAGE_SIZE
        self._users[number].sendall(self._message)

    def _come(self) -> None:
        user = socket.create_connection((HOST, next(self._ports)), PATIENCE)
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._users[user.fileno()] = user
        self._epoll.register(user.fileno(), select.EPOLLIN)
        user.sendall(GREETING)


class IdleUsers(Load):
    """Users who are there and say nothing: what they cost in memory, at both ends.

    Args:
        number: of users; fewer if the limit of open files is too low for them.
    """

    figures = (PER_USER, AT_FIRST, OPENING)
    fresh = True

    def __init__(self, number: int) -> None:
        self._number = number

    def measure(self, stage: Stage) -> Sample:
        number = min(self._number, most_users())
        time.sleep(SETTLE_SECONDS)
        before = proportional_bytes(stage.processes)
        with closing(StandingCrowd([stage.ports.users])) as crowd:
            begun = time.perf_counter()
            crowd.gather(number)
            rate = number / (time.perf_counter() - begun)
            time.sleep(SETTLE_SECONDS)
            more = proportional_bytes(stage.processes) - before
        values = {PER_USER.name: more / number / 1e3, AT_FIRST.name: before / MEGA, OPENING.name: rate}
        return Sample(values, limited(number, self._number))


class Growth(Load):
    """So many users, each of whom says something and waits until it has come back.

    Args:
        number: of users; fewer if the limit of open files is too low for them.
    """

    figures = (THROUGHPUT, EXCHANGES, CPU_PER_THOUSAND_REQUESTS, TOGETHER, USERS)
    fresh = True

    def __init__(self, number: int) -> None:
        self._number = number

    def measure(self, stage: Stage) -> Sample:
        number = min(self._number, most_users())
        with closing(StandingCrowd([stage.ports.users])) as crowd:
            crowd.gather(number)
            values = talked(crowd, stage.processes, max(stage.seconds, math.ceil(number / USERS_PER_SECOND)))
        return Sample({**values, USERS.name: number}, limited(number, self._number))


def talked(crowd: StandingCrowd, processes: Sequence[Process], seconds: float) -> dict[str, float]:
    """Let a crowd that has gathered talk, and say what that gives and costs, both in the same span."""
    crowd.begin_to_talk()
    with Meter(processes) as meter:
        exchanges, seconds = crowd.talk(seconds)
    per_second = exchanges / seconds
    return {
        # Each exchange goes there and back.
        THROUGHPUT.name: 2 * per_second * MESSAGE_SIZE / MEGA,
        EXCHANGES.name: per_second,
        CPU_PER_THOUSAND_REQUESTS.name: meter.cpu_seconds * 1000 / exchanges if exchanges else 0.0,
        TOGETHER.name: proportional_bytes(processes) / MEGA,
    }


def limited(number: int, wanted: int) -> tuple[str, ...]:
    """A note, where there were fewer than wanted."""
    return (f"{number} users, not {wanted}: more do not fit below the limit of open files",) if number < wanted else ()
