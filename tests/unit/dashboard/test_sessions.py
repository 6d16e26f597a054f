"""Sessions: who holds one, and how they end."""

from __future__ import annotations

from nodepass.dashboard.sessions import IDLE_LIFE, MOST, WHOLE_LIFE, Sessions
from tests.unit.master.api.fake import KEY, FakeCore


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Sessions, Clock, FakeCore]:
    core, clock = FakeCore(0), Clock()
    return Sessions(core.master, clock), clock, core


async def test_only_its_token_finds_a_session() -> None:
    sessions, _, _ = make()
    token = sessions.begin()
    found = sessions.find(token)
    assert found is not None
    assert sessions.find(token[:-1]) is None
    assert sessions.find("") is None
    assert sessions.find("\ud800") is None
    assert KEY not in repr(found)
    assert token not in repr(vars(sessions))


async def test_tokens_are_long_and_differ() -> None:
    sessions, _, _ = make()
    tokens = {sessions.begin() for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43


async def test_it_ends_when_it_is_not_used() -> None:
    sessions, clock, _ = make()
    token = sessions.begin()
    for _ in range(3):
        clock.now += IDLE_LIFE - 1
        assert sessions.find(token) is not None
    clock.now += IDLE_LIFE
    assert sessions.find(token) is None


async def test_it_ends_even_if_it_is_used() -> None:
    sessions, clock, _ = make()
    token = sessions.begin()
    session = sessions.find(token)
    assert session is not None
    while clock.now + IDLE_LIFE / 2 < 1000 + WHOLE_LIFE:
        clock.now += IDLE_LIFE / 2
        assert sessions.holds(session)
    clock.now += IDLE_LIFE / 2
    assert not sessions.holds(session)
    assert session.ended.is_set()


async def test_another_key_ends_all_that_the_old_one_began() -> None:
    sessions, _, core = make()
    old = sessions.begin()
    session = sessions.find(old)
    assert session is not None
    await core.master.renew_key()
    assert not sessions.holds(session)
    assert session.ended.is_set()
    assert sessions.find(old) is None
    assert sessions.find(sessions.begin()) is not None


async def test_signing_out_ends_one() -> None:
    sessions, _, _ = make()
    mine, other = sessions.begin(), sessions.begin()
    session = sessions.find(mine)
    assert session is not None
    sessions.end(mine)
    sessions.end("nobody's")
    assert session.ended.is_set()
    assert sessions.find(mine) is None
    assert sessions.find(other) is not None
    sessions.end_all()
    assert sessions.find(other) is None


async def test_there_are_so_many_and_the_one_not_used_for_longest_goes() -> None:
    sessions, _, _ = make()
    tokens = [sessions.begin() for _ in range(MOST)]
    oldest = sessions.find(tokens[1])
    assert sessions.find(tokens[0]) is not None
    sessions.find(tokens[1])
    newest = sessions.begin()
    assert sessions.find(tokens[2]) is None
    assert oldest is not None
    assert all(sessions.find(token) is not None for token in (tokens[0], tokens[1], newest))
