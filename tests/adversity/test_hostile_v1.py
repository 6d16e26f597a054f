"""A v1 client that has the key and means harm: what its signals say and whom they name, which no proof holds together."""

from __future__ import annotations

import json
import random
import socket
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, Self

from nodepass.config import PoolTransport
from tests.adversity.bounds import PATIENT
from tests.adversity.content import TRAILER_SIZE, Head
from tests.adversity.scene import Scene, Setup
from tests.adversity.table import is_long
from tests.adversity.test_hostile import Watch, unmoved
from tests.e2e.test_garbage import signal_line
from tests.harness.net import read_exactly
from tests.harness.raw import ask, pool_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.harness import Runner

MANY: Final = 20_000 if is_long() else 3000
VICTIM, HOSTILE = "127.0.0.31", "127.0.0.32"
POOL: Final = 4
FIRST: Final = 1 << 42
"""Number of the first connection that the victim has, apart from those of other users."""

USER: Final = "192.0.2.1:1"


class Client:
    """A v1 client made of bare sockets; a context manager.

    Args:
        port: of the tunnel.
        source: its address.
    """

    def __init__(self, port: int, source: str) -> None:
        self._port = port
        self._source = source
        self._stack = ExitStack()
        self._sending = threading.Lock()
        self.pool: dict[str, socket.socket] = {}
        """Idle connections by ID."""

    def __enter__(self) -> Self:
        assert ask(self._port, source=self._source)[0] == 200
        identity, self._control = self._open()
        assert identity == bytes(4)
        for _ in range(POOL):
            identity, sock = self._open()
            self.pool[identity.hex()] = sock
        threading.Thread(target=self._live, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._stack.close()

    def say(self, *texts: str) -> None:
        """Signals, be they right or wrong, as long as anybody takes them."""
        with suppress(OSError), self._sending:
            self._control.sendall(b"".join(map(signal_line, texts)))

    def _open(self) -> tuple[bytes, socket.socket]:
        identity, sock = pool_connection(self._port, self._source)
        return identity, self._stack.enter_context(sock)

    def _live(self) -> None:
        with suppress(OSError):
            while self._control.recv(1 << 16):
                self.say('{"action":"pong"}')


def signal(action: str, identity: str, **more: str) -> str:
    """One, as JSON."""
    return json.dumps({"action": action, "id": identity, **more}, separators=(",", ":"))


def bombs() -> Iterator[str]:
    """JSON that is deep, large, of other types than it should be, or none."""
    yield "[" * 10_000
    yield '{"a":' * 2000 + "1" + "}" * 2000
    yield '{"action":"tcp","id":"00000001","remote":"' + "9" * 12_000 + '"}'
    yield '{"action":' + "9" * 12_000 + "}"
    yield '{"action":"tcp",' * 700
    for wrong in ("null", "[]", "{}", "1e400", "true", '"\\ud800"', "-0", '"\\u0000"'):
        yield f'{{"action":"tcp","remote":{wrong},"id":{wrong}}}'
        yield f'{{"action":{wrong}}}'
        yield wrong
    for identity in ("00000000", "ffffffff", "0", "-1", "0000000g", "../../x", "00000001" * 100):
        for action in ("tcp", "udp", "verify"):
            yield signal(action, identity, remote=USER, fp="sha256:00")


def test_a_v1_client_that_has_the_key_and_means_harm(np: Runner) -> None:
    """It names connections of another client, and ones that do not exist; that client's are served as if nothing were."""
    dice = random.Random(1)
    env = {**PATIENT, "NP_POOL_GET_TIMEOUT": "500ms"}
    with Scene(np, Setup(PoolTransport.TCP, 0, "forward"), env=env) as scene:
        scene.warm_up()
        watches = [Watch(scene.server), Watch(scene.client)]
        with Client(scene.port, VICTIM) as victim, Client(scene.port, HOSTILE) as hostile:
            for identity in victim.pool:
                hostile.say(*(signal(action, identity, remote=USER, fp="") for action in ("tcp", "udp", "verify")))
            hostile.say(*bombs())
            for _ in range(MANY // 100):
                hostile.say(*(signal("tcp", f"{dice.randrange(1 << 32):08x}", remote=USER) for _ in range(100)))
            hostile.say(*['{"action":"ping"}'] * MANY)
            hostile.say(*['{"action":"pong"}'] * MANY)
            hostile.say(*['{"action":"flush"}'] * 100)
            for number, (identity, sock) in enumerate(victim.pool.items(), start=FIRST):
                head = Head(number, 0, 0)
                victim.say(signal("tcp", identity, remote=USER))
                sock.sendall(head.pack())
                sock.shutdown(socket.SHUT_WR)
                assert read_exactly(sock, TRAILER_SIZE) == head.trailer
            assert not scene.server.matches(f"session with {VICTIM}.* ended")
        unmoved(scene, watches, "a v1 client with the key that means harm", len((VICTIM, HOSTILE)))
        # Of these, there is one a report interval, and those that were asked for; whatever answers come.
        assert len(scene.server.matches("CHECK_POINT")) < MANY / 10
