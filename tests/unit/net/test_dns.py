"""Names whose server hangs: the first who ask find out, and nobody waits for it anew."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from nodepass.errors import DialError
from nodepass.net import dns
from nodepass.net.dns import Resolver
from nodepass.net.tasks import Tasks
from tests.unit.relay.fakes import Lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME, OTHER = "one.test", "other.test"
FOR_EVER = 3600.0


class System:
    """The look-ups of the system, which the test answers; and a resolver that asks it every time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(dns, "_ask_system", self._ask)
        self.patch = patch
        self.asked: defaultdict[str, list[asyncio.Future[tuple[str, ...]]]] = defaultdict(list)
        self.told = Lines()
        self.tasks = Tasks(self.told.log)
        self.resolver = Resolver(0, self.told.log, self.tasks)
        self.patience(0.01)

    def patience(self, seconds: float) -> None:
        """How long a look-up may take before it hangs."""
        self.patch.setattr(dns, "LOOKUP_TIMEOUT", seconds)

    async def _ask(self, host: str) -> tuple[str, ...]:
        answer: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self.asked[host].append(answer)
        return await answer

    async def settle(self, host: str, answer: tuple[str, ...] | OSError) -> None:
        """The look-up that goes on is answered, or fails."""
        if isinstance(answer, OSError):
            self.asked[host][-1].set_exception(answer)
        else:
            self.asked[host][-1].set_result(answer)
        while host in self.resolver._lookups:
            await asyncio.wait((self.resolver._lookups[host][0],))

    async def resolve(self, host: str) -> tuple[str, ...]:
        async with asyncio.timeout(10):
            return await self.resolver.resolve(host, FOR_EVER)


@pytest.fixture
async def system(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[System]:
    monkeypatch.setattr(dns, "SECOND_PATIENCE", 0.01)
    made = System(monkeypatch)
    yield made
    await made.tasks.cancelled()


async def test_a_name_that_hangs_is_waited_for_once(system: System) -> None:
    with pytest.raises(DialError, match=f"cannot resolve {NAME}: no answer within"):
        await system.resolve(NAME)
    # Whoever waited as long as the first would wait for ever now.
    system.patience(FOR_EVER)
    for _ in range(3):
        with pytest.raises(DialError, match=f"cannot resolve {NAME}: its name server has not been answering"):
            await system.resolve(NAME)
    assert len(system.asked[NAME]) == 1
    # The system gives up, and is asked again.
    await system.settle(NAME, OSError(1, "no answer"))
    for _ in range(3):
        with pytest.raises(DialError, match="has not been answering"):
            await system.resolve(NAME)
    assert len(system.asked[NAME]) == 2
    assert len(system.told.lines) == 1
    assert NAME in system.told.lines[0]


async def test_a_name_that_is_known_serves_on_at_once(system: System) -> None:
    asking = asyncio.ensure_future(system.resolve(NAME))
    system.patience(FOR_EVER)
    while not system.asked[NAME]:
        await asyncio.wait((asking,), timeout=0.001)
    await system.settle(NAME, ("192.0.2.1",))
    assert await asking == ("192.0.2.1",)
    system.patience(0.01)
    assert await system.resolve(NAME) == ("192.0.2.1",)
    await system.settle(NAME, OSError(1, "no answer"))
    system.patience(FOR_EVER)
    assert await system.resolve(NAME) == ("192.0.2.1",)
    assert len(system.asked[NAME]) == 3


async def test_an_answer_in_time_ends_it(system: System) -> None:
    with pytest.raises(DialError):
        await system.resolve(NAME)
    system.patience(FOR_EVER)
    # One that comes too late serves who asks, and is still no sign that the next will come in time.
    await system.settle(NAME, ("192.0.2.1",))
    assert await system.resolve(NAME) == ("192.0.2.1",)
    await system.settle(NAME, ("192.0.2.2",))
    assert "again" in system.told.lines[-1]
    # Now it is waited for again.
    asking = asyncio.ensure_future(system.resolve(NAME))
    while len(system.asked[NAME]) < 3:
        await asyncio.wait((asking,), timeout=0.001)
    await asyncio.wait((asking,), timeout=0.05)
    assert not asking.done()
    await system.settle(NAME, ("192.0.2.3",))
    assert await asking == ("192.0.2.3",)


async def test_other_names_are_waited_for(system: System) -> None:
    with pytest.raises(DialError):
        await system.resolve(NAME)
    system.patience(FOR_EVER)
    asking = asyncio.ensure_future(system.resolve(OTHER))
    while not system.asked[OTHER]:
        await asyncio.wait((asking,), timeout=0.001)
    with pytest.raises(DialError):
        await system.resolve(NAME)
    assert not asking.done()
    await system.settle(OTHER, ("192.0.2.1",))
    assert await asking == ("192.0.2.1",)
