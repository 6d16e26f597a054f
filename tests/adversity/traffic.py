"""Users who come without end, and what became of each, as both sides have it."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

from tests.adversity.content import TRAILER_SIZE, CutError, Head, WrongContentError, read_exactly, receive, send
from tests.adversity.loops import LoopThread
from tests.harness import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

AT_A_TIME: Final = 6
PAUSE: Final = 0.02

SHAPES: Final = ((10, 10), (1, 200_000), (200_000, 1), (400_000, 400_000), (3000, 40_000))
"""Bytes up and down, in turn."""


class Outcome(Enum):
    """What became of a connection, as one side has it."""

    WHOLE = "whole"
    CUT = "cut"
    """Its end came early, and looked like a proper one."""
    BROKEN = "broken"
    """It was told that the connection broke, or got none."""
    WRONG = "wrong"
    LEFT = "left"
    """The user had waited long enough, and left."""
    OPEN = "open"
    """Not over yet."""


@dataclass
class Record:
    """A user's connection.

    Args:
        head: what it announced.
        begun: when.
        ended: when, if it has.
        outcome: as the user has it.
        why: more about it.
    """

    head: Head
    begun: float
    ended: float = 0.0
    outcome: Outcome = Outcome.OPEN
    why: str = ""


class Traffic:
    """Users of a port, several at a time, from when it is entered until `pause`. Numbers are never used twice.

    Args:
        port: for users; asked anew for each.
        at_a_time: how many.
        seed: where numbers begin.
    """

    def __init__(self, port: int, at_a_time: int = AT_A_TIME, seed: int = 1) -> None:
        self.port = port
        self.records: dict[int, Record] = {}
        self._numbers = itertools.count(seed)
        self._random = random.Random(seed)
        self._at_a_time = at_a_time
        self._thread = LoopThread()
        self._changed = asyncio.Event()
        self._stopped = False
        self._users: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self.go_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.__exit__(kind, error, trace)

    def go_on(self) -> None:
        """Users come (again)."""
        self._stopped = False
        for shape in range(self._at_a_time):
            self._thread.run(self._start(shape))

    def wait_for(self, count: int, timeout: float = TIMEOUT) -> None:
        """Wait until so many who come from now on have been served."""
        now = time.monotonic()

        def enough() -> bool:
            return sum(each.begun > now and each.outcome is Outcome.WHOLE for each in tuple(self.records.values())) >= count

        self._thread.run(self._until(enough, timeout), timeout + 5)

    def first_served(self, timeout: float, in_a_row: int = 3) -> float:
        """Try until users are served again, so many one after another; gives when the first of these was."""
        return self._thread.run(self._probe(timeout, in_a_row), timeout + 5)

    def settle(self, timeout: float) -> list[Record]:
        """Nobody comes any more; gives those that are not over after so many seconds, though they should."""
        self._stopped = True
        with suppress(TimeoutError):
            self._thread.run(self._until(lambda: not self.open, timeout), timeout + 5)
        return self.open

    @property
    def open(self) -> list[Record]:
        """Those that are not over."""
        return [each for each in tuple(self.records.values()) if each.outcome is Outcome.OPEN]

    @property
    def verified(self) -> int:
        """Bytes of connections that were served whole, compared one by one."""
        whole = (each.head for each in tuple(self.records.values()) if each.outcome is Outcome.WHOLE)
        return sum(head.up + head.down for head in whole)

    def outcomes(self) -> Counter[Outcome]:
        """How many of each."""
        return Counter(each.outcome for each in tuple(self.records.values()))

    async def _start(self, shape: int) -> None:
        task = asyncio.create_task(self._run(shape))
        self._users.add(task)
        task.add_done_callback(self._users.discard)

    async def _run(self, shape: int) -> None:
        for number in itertools.count(shape):
            if self._stopped:
                return
            record = await self._user(*SHAPES[number % len(SHAPES)], pause=self._random.choice((0, PAUSE)))
            if record.outcome is not Outcome.WHOLE:
                await asyncio.sleep(PAUSE)

    async def _user(self, up: int, down: int, pause: float = 0) -> Record:
        record = Record(Head(next(self._numbers), up, down), time.monotonic())
        self.records[record.head.number] = record
        try:
            await self._converse(record.head, pause)
            record.outcome = Outcome.WHOLE
        except CutError as error:
            record.outcome, record.why = Outcome.CUT, str(error)
        except OSError as error:
            record.outcome, record.why = Outcome.BROKEN, repr(error)
        except WrongContentError as error:
            record.outcome, record.why = Outcome.WRONG, str(error)
        except asyncio.CancelledError:
            record.outcome = Outcome.LEFT
            raise
        finally:
            record.ended = time.monotonic()
            self._changed.set()
        return record

    async def _converse(self, head: Head, pause: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        up, down = head.directions
        sending = asyncio.create_task(self._send(writer, head, up, pause))
        try:
            await receive(reader, down, head.down)
            trailer = await read_exactly(reader, TRAILER_SIZE)
            if trailer != head.trailer or await reader.read(1):
                message = f"trailer {trailer.hex()}"
                raise WrongContentError(message)
            await sending
        finally:
            sending.cancel()
            # Where it failed, the other direction did so for the same reason.
            with suppress(OSError, asyncio.CancelledError):
                await sending
            writer.transport.abort()

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, head: Head, direction: int, pause: float) -> None:
        writer.write(head.pack())
        await send(writer, direction, head.up, pause)
        writer.write_eof()

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def _probe(self, seconds: float, in_a_row: int) -> float:
        end = time.monotonic() + seconds
        served: list[float] = []
        while len(served) < in_a_row:
            assert time.monotonic() < end, "users are not served again"
            try:
                async with asyncio.timeout(1):
                    record = await self._user(10, 10)
            except TimeoutError:
                served.clear()
                continue
            if record.outcome is Outcome.WHOLE:
                served.append(record.ended)
            else:
                served.clear()
                await asyncio.sleep(PAUSE)
        return served[0]
