"""DNS that hangs, fails, is late or talks nonsense: who is known is served on, who is not is given up in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from nodepass.config import PoolTransport
from nodepass.net.dns import LOOKUP_TIMEOUT
from tests.adversity.bounds import ENV, HANDSHAKE_TIMEOUT, MOST_LINES, NOTICED, WITHIN
from tests.adversity.faults import kill
from tests.adversity.name_server import ATTEMPTS, RETRY, NameServer, Trouble, may_bind, prefix
from tests.adversity.scene import Names, Scene, Setup
from tests.adversity.table import Row, is_long, keep
from tests.adversity.traffic import Outcome
from tests.e2e.test_dns import may_unshare
from tests.harness import KEY, Echo, connect, echoed, ended, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Runner

pytestmark = [
    pytest.mark.skipif(not may_unshare(), reason="`unshare -m` is not permitted here"),
    pytest.mark.skipif(not may_bind(), reason="port 53 cannot be bound here"),
]

PATIENCE: Final = 20.0
SERVER, TARGET, OTHER = "server.test", "target.test", "other.test"
SETUP: Final = Setup(PoolTransport.TCP, 0)
QUERY: Final = "log=info&dns=0"
"""Each user asks anew."""

TROUBLES: Final[list[Trouble]] = [each for each in Trouble if each is not Trouble.NONE]


def short(*troubles: Trouble) -> list[Trouble]:
    """All kinds, or these in the short form."""
    return TROUBLES if is_long() else list(troubles)


@pytest.mark.parametrize("trouble", short(Trouble.FAILS), ids=lambda trouble: trouble.value)
def test_names_that_are_known_serve_on(np: Runner, tmp_path: Path, trouble: Trouble) -> None:
    """Nobody's connection breaks of it; a server that dies meanwhile is found again where it was."""
    names = Names(prefix(tmp_path), SERVER, [TARGET])
    with NameServer() as name_server, Scene(np, SETUP, QUERY, names=names) as scene:
        scene.warm_up()
        name_server.troubles = dict.fromkeys((SERVER, TARGET), trouble)
        scene.warm_up()
        assert set(scene.traffic.outcomes()) <= {Outcome.WHOLE, Outcome.OPEN}
        kill(scene, ("server",))
        recovered = scene.back_after(time.monotonic(), PATIENCE)
        if trouble is not Trouble.LATE:
            scene.client.wait_for(rf"WARN +DNS: cannot resolve {TARGET} \(.+\), using its last 127.0.0.1")
        name_server.troubles = {}
        scene.back_after(time.monotonic(), WITHIN)
        scene.settle(NOTICED + PATIENCE)
        outcomes = scene.traffic.outcomes()
        keep(
            Row(
                f"DNS {trouble.value}",
                recovered,
                scene.traffic.verified + scene.datagrams.verified,
                outcomes[Outcome.WHOLE],
                outcomes[Outcome.BROKEN] + outcomes[Outcome.CUT],
                scene.twice,
            )
        )
        # The client asks for the server once a cooldown, and waits for that answer; a user for the target's.
        assert recovered < WITHIN + LOOKUP_TIMEOUT + HANDSHAKE_TIMEOUT


@pytest.mark.parametrize("trouble", short(Trouble.SILENT), ids=lambda trouble: trouble.value)
def test_a_name_that_was_never_known_keeps_nobody_from_another(np: Runner, tmp_path: Path, trouble: Trouble) -> None:
    """Every second user is for a target that cannot be found, and is served by the other."""
    names = Names(prefix(tmp_path), targets=[TARGET, OTHER])
    with NameServer() as name_server:
        name_server.troubles = {OTHER: trouble}
        with Scene(np, SETUP, QUERY, names=names) as scene:
            scene.warm_up(12)
            name_server.troubles = {}
            scene.warm_up()
            scene.settle(NOTICED + PATIENCE)
            outcomes = scene.traffic.outcomes()
            assert set(outcomes) == {Outcome.WHOLE}
            verified = scene.traffic.verified + scene.datagrams.verified
            keep(Row(f"DNS {trouble.value}, one name of two", 0, verified, outcomes[Outcome.WHOLE], 0))


@pytest.mark.parametrize("trouble", short(Trouble.SILENT), ids=lambda trouble: trouble.value)
def test_names_that_nobody_knows_yet_are_asked_for_until_known(np: Runner, tmp_path: Path, trouble: Trouble) -> None:
    """First the server's cannot be found, then the target's; users are told in time, and served as soon as it can be."""
    port, users = free_port(), free_port()
    with NameServer() as name_server, Echo() as target:
        name_server.troubles = dict.fromkeys((SERVER, TARGET), trouble)
        server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&{QUERY}", env=ENV).listening()
        to = f"client://{KEY}@{SERVER}:{port}/{TARGET}:{target.port}?mode=2&min=4&{QUERY}"
        client = np.run(to, env=ENV, prefix=prefix(tmp_path))
        if trouble is not Trouble.LATE:
            client.wait_for(f"ERROR.*cannot resolve {SERVER}: .+")
        mended = time.monotonic()
        name_server.troubles = {TARGET: trouble}
        server.ready()
        recovered = time.monotonic() - mended
        with connect(users) as user:
            begun = time.monotonic()
            user.sendall(b"hello")
            if trouble is Trouble.LATE:
                assert user.recv(5) == b"hello"
            else:
                assert ended(user)
                client.wait_for(f"cannot resolve {TARGET}: .+")
            told = time.monotonic() - begun
        name_server.troubles = {}
        end = time.monotonic() + PATIENCE
        while not served(users):
            assert time.monotonic() < end
        assert told < HANDSHAKE_TIMEOUT + 1 + (0 if is_long() else 2)
        # What was asked when nobody answered is asked again by the system.
        assert recovered < WITHIN + ATTEMPTS * RETRY
        assert len([line for line in client.lines if "CHECK_POINT" not in line]) < MOST_LINES
        keep(Row(f"DNS {trouble.value} from the start", recovered, 0, 1, 0))


def served(port: int) -> bool:
    """Whether a user who comes now is served."""
    try:
        return echoed(port, 1000)
    except (OSError, EOFError):
        return False
