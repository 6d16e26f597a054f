"""Who may begin a session: what is refused, what is remembered, and what it costs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from nodepass.net.address import Address
from nodepass.protocol.client_handshake import ClientHandshake
from nodepass.protocol.extension import MOST_AGE, ClientExtension
from nodepass.protocol.handshake import ServerHandshake, Verdict, bearer_token
from nodepass.protocol.tunnel_key import pre_shared_key
from nodepass.tunnel import doorkeeper
from nodepass.tunnel.doorkeeper import Doorkeeper, Proven
from nodepass.tunnel.memory import FAILURES_PER_SECOND, FREE_FAILURES
from tests.unit.relay.fakes import Lines
from tests.unit.tunnel.peers import CLIENT, KEY, resources, server_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

HERE, THERE = Address("192.0.2.1", 1), Address("192.0.2.2", 1)
NOW = 1_790_000_000.0
REFUSED = (HTTPStatus.UNAUTHORIZED, "wrong token")
TOO_MANY = (HTTPStatus.TOO_MANY_REQUESTS, "too many handshakes have failed: try again in 0.5 s")
V1 = "a v1 client"

Outcome = tuple[HTTPStatus, str] | Proven | str


class Clock:
    """A loop with a clock that the test sets."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.executor: Executor | None = None
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def run_in_executor(self, _: None, function: Callable[[str], bytes], key: str) -> asyncio.Future[bytes]:
        return self._loop.run_in_executor(self.executor, function, key)


class Door:
    """A doorkeeper, and those who come to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = Lines()
        self.keeper = Doorkeeper(server_config().secret, resources(self.lines.log))
        self.clock = Clock()
        monkeypatch.setattr(self.keeper, "_loop", self.clock)
        self.unix = NOW
        monkeypatch.setattr(doorkeeper, "time", lambda: self.unix)

    def passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.unix += seconds

    def comes(self, verdict: Verdict, remote: Address = HERE) -> asyncio.Future[Outcome]:
        """Someone comes; the outcome may take a while."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.keeper.judge(
            remote,
            verdict,
            lambda proven: outcome.set_result(V1 if proven is None else proven),
            lambda status, text: outcome.set_result((status, text)),
        )
        return outcome

    async def told(self, verdict: Verdict, remote: Address = HERE) -> Outcome:
        async with asyncio.timeout(20):
            return await self.comes(verdict, remote)


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    return Door(monkeypatch)


def verdict_on(*, token: str = "", extension: str = "") -> Verdict:
    """What a server's handshake makes of such a request."""
    verdict = ServerHandshake(KEY).receive(ClientHandshake("none", token, extension).request())
    assert verdict is not None
    return verdict


def with_token() -> Verdict:
    return verdict_on(token=bearer_token(KEY))


def without() -> Verdict:
    return verdict_on(token="0" * 64)


def with_extension(time: float = NOW, key: str = KEY) -> Verdict:
    return verdict_on(extension=ClientExtension(pre_shared_key(key), CLIENT).header(time))


async def test_a_token_opens_a_v1_session_at_once(door: Door) -> None:
    assert door.comes(with_token()).result() == V1


async def test_a_proof_opens_a_session_that_the_client_can_conclude(door: Door) -> None:
    outcome = await door.told(with_extension())
    assert isinstance(outcome, Proven)
    assert outcome.offer.client == CLIENT
    assert outcome.offer.time == NOW


@pytest.mark.parametrize(
    ("late", "known"),
    [(-MOST_AGE, True), (MOST_AGE, True), (-MOST_AGE - 1, False), (MOST_AGE + 1, False), (-NOW, False)],
)
async def test_a_proof_counts_for_a_minute_either_way(door: Door, late: float, known: bool) -> None:
    outcome = await door.told(with_extension(NOW + late))
    if known:
        assert isinstance(outcome, Proven)
    else:
        assert outcome == REFUSED
        assert f"its time is {abs(late):.0f} s off this machine's" in door.lines.lines[-1]


async def test_a_proof_of_another_key_is_refused(door: Door) -> None:
    assert await door.told(with_extension(key="another")) == REFUSED
    assert "made with another key" in door.lines.lines[-1]


@pytest.mark.parametrize("extension", ["1 AAAA", "1 !", "1 " + "A" * 4000])
async def test_what_is_no_proof_is_refused_in_the_same_words(door: Door, extension: str) -> None:
    assert await door.told(verdict_on(extension=extension)) == REFUSED


async def test_a_proof_counts_once_wherever_it_comes_from(door: Door) -> None:
    verdict = with_extension()
    assert isinstance(await door.told(verdict), Proven)
    for remote in (HERE, THERE):
        assert await door.told(verdict, remote) == REFUSED
    assert any("it has been used before" in line for line in door.lines.lines)
    # Its client goes on with fresh ones.
    assert isinstance(await door.told(with_extension()), Proven)


async def test_a_proof_is_remembered_for_as_long_as_its_time_is_good(door: Door) -> None:
    verdict = with_extension(NOW + MOST_AGE)
    assert isinstance(await door.told(verdict), Proven)
    door.passes(2 * MOST_AGE)
    assert await door.told(verdict) == REFUSED
    assert "it has been used before" in door.lines.lines[-1]
    door.passes(1)
    assert await door.told(verdict) == REFUSED


async def test_a_proof_beside_a_token_is_judged_as_a_proof(door: Door) -> None:
    forged = verdict_on(token=bearer_token(KEY), extension="1 AAAA")
    assert await door.told(forged) == REFUSED


async def test_who_has_failed_too_often_waits_whatever_it_brings(door: Door) -> None:
    for _ in range(FREE_FAILURES):
        assert await door.told(without()) == REFUSED
    for verdict in (without(), with_token(), with_extension()):
        assert await door.told(verdict) == TOO_MANY
    assert await door.told(with_token(), THERE) == V1
    door.passes(1 / FAILURES_PER_SECOND)
    assert await door.told(with_token()) == V1
    assert await door.told(without()) == REFUSED
    assert await door.told(with_token()) == TOO_MANY


@pytest.mark.parametrize("kind", ["token", "key", "old", "replayed"])
async def test_each_way_not_to_prove_the_key_counts_as_a_failure(door: Door, kind: str) -> None:
    used = with_extension()
    assert isinstance(await door.told(used, THERE), Proven)
    verdicts = {
        "token": without(),
        "key": with_extension(key="another"),
        "old": with_extension(NOW - 1000),
        "replayed": used,
    }
    for _ in range(FREE_FAILURES):
        assert await door.told(verdicts[kind]) == REFUSED
    assert await door.told(with_token()) == TOO_MANY


async def test_who_asks_for_something_else_has_not_tried_a_key(door: Door) -> None:
    lost = Verdict(HTTPStatus.NOT_FOUND, "not found")
    for _ in range(2 * FREE_FAILURES):
        assert await door.told(lost) == (HTTPStatus.NOT_FOUND, "not found")
    assert await door.told(with_token()) == V1


async def test_success_costs_nothing(door: Door) -> None:
    for _ in range(2 * FREE_FAILURES):
        assert isinstance(await door.told(with_extension()), Proven)
        assert await door.told(with_token()) == V1


async def test_the_key_is_made_once_and_not_on_the_loop(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes while it is being made waits for it, and nobody else does."""
    made: list[str] = []
    real = pre_shared_key(KEY)

    def slow(key: str) -> bytes:
        made.append(key)
        return real

    monkeypatch.setattr(doorkeeper, "pre_shared_key", slow)
    verdicts = [with_extension() for _ in range(5)]
    with ThreadPoolExecutor(1) as executor:
        door.clock.executor = executor
        outcomes = [door.comes(verdict) for verdict in verdicts]
        assert not any(outcome.done() for outcome in outcomes)
        assert door.comes(with_token()).result() == V1
        async with asyncio.timeout(20):
            assert all(isinstance(outcome, Proven) for outcome in await asyncio.gather(*outcomes))
    # From then on there is nothing to wait for.
    assert isinstance(door.comes(with_extension()).result(), Proven)
    assert made == [KEY]


async def test_no_key_is_made_for_v1_clients(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "pre_shared_key", pytest.fail)
    assert await door.told(with_token()) == V1
    assert await door.told(without()) == REFUSED


async def test_nothing_secret_is_logged(door: Door) -> None:
    used = with_extension()
    await door.told(used)
    for verdict in (used, without(), with_extension(key="another"), with_extension(0)):
        await door.told(verdict)
    text = "\n".join(door.lines.lines)
    assert KEY not in text
    assert bearer_token(KEY) not in text
    assert used.extension not in text
