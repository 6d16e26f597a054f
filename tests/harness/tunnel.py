"""A server and a client that have met, or a forwarder on its own, with the addresses of users and target."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodepass.config import PoolTransport
from tests.harness.net import wait_tcp
from tests.harness.ports import free_port
from tests.harness.process import NodePass

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

KEY = "s3cret-of-the-tests"

QUICK: Mapping[str, str] = {"NP_SERVICE_COOLDOWN": "100ms", "NP_REPORT_INTERVAL": "500ms"}
"""The environment of every nodepass of these tests, so that none waits for seconds. Most wait for some CHECK_POINT line."""


@dataclass(frozen=True)
class Tunnel:
    """Two processes and three ports.

    Args:
        ingress: the process that takes in users.
        egress: the process that dials targets; the same in a forwarder.
        server: of a tunnel.
        client: of a tunnel; the forwarder itself.
        port: of the tunnel.
        users: port for users.
        target: port of the target, where the test did not name others.
    """

    ingress: NodePass
    egress: NodePass
    server: NodePass
    client: NodePass
    port: int
    users: int
    target: int


SELDOM: Mapping[str, str] = {"NP_REPORT_INTERVAL": "1s"}
"""What a forwarder has on top: with each report it connects to a target, which some tests take for a user."""


class Runner:
    """Starts processes that end with the test, and checks that none of them ever printed a traceback.

    Args:
        transport: that tunnels use, where the test does not name one.
    """

    def __init__(self, transport: PoolTransport = PoolTransport.TCP) -> None:
        self.transport = transport
        self._stack = ExitStack()
        self._all: list[NodePass] = []

    def close(self) -> None:
        """End all processes."""
        self._stack.close()
        for process in self._all:
            assert not process.stderr, f"{process.name} wrote to standard error"
            assert not process.matches(r"Traceback|never retrieved|Error\(")

    def run(self, url: str, *, env: Mapping[str, str] | None = None, **more: Any) -> NodePass:
        """Start `nodepass URL`."""
        process = self._stack.enter_context(NodePass(url, env={**QUICK, **(env or {})}, **{"forked": True, **more}))
        self._all.append(process)
        return process

    def forgive(self, process: NodePass) -> None:
        """Let this one write to standard error."""
        self._all.remove(process)

    def matches(self, pattern: str) -> list[re.Match[str]]:
        """Every line so far, of any process, in which `pattern` is found."""
        return [match for process in self._all for match in process.matches(pattern)]

    def forwarder(
        self,
        query: str = "",
        *,
        to: str = "",
        host: str = "127.0.0.1",
        env: Mapping[str, str] | None = None,
        wait: bool = True,
        **more: Any,
    ) -> Tunnel:
        """A single-end client.

        Args:
            query: parameters of its URL.
            to: targets; by default a free port of `host`.
            host: where it listens.
            env: variables on top of `QUICK`.
            wait: for it to listen.
            more: for `NodePass`.
        """
        users, target = free_port(), free_port()
        parameters = _join("log=debug", "mode=1", query)
        url = f"client://{KEY}@{host}:{users}/{to or f'{host}:{target}'}?{parameters}"
        process = self.run(url, env={**SELDOM, **(env or {})}, **more)
        if wait:
            process.ready()
        return Tunnel(process, process, process, process, users, users, target)

    def at(self, end: str, query: str, **more: Any) -> Tunnel:
        """A tunnel with these parameters at one end (`ingress`, `egress`) or `both`; or a `single` forwarder."""
        if end == "single":
            return self.forwarder(query, **more)
        options: dict[str, Any] = {end: query, **more}
        return self.tunnel(**options)

    def tunnel(
        self,
        flow: str = "reverse",
        *,
        both: str = "",
        server: str = "",
        client: str = "",
        ingress: str = "",
        egress: str = "",
        to: str = "",
        host: str = "127.0.0.1",
        dialled: str = "",
        via: int = 0,
        env: Mapping[str, str] | None = None,
        client_env: Mapping[str, str] | None = None,
        wait: bool = True,
        silent: bool = False,
        **more: Any,
    ) -> Tunnel:
        """A server and a client.

        Args:
            flow: `reverse` takes users in at the server, `forward` at the client.
            both: parameters of both URLs.
            server: parameters of the server.
            client: parameters of the client.
            ingress: parameters of the end that takes in users.
            egress: parameters of the end that dials targets.
            to: targets; by default a free port of `host`.
            host: where all of it is.
            dialled: host by which the client knows the server.
            via: port that the client dials in place of the server's.
            env: variables on top of `QUICK`.
            client_env: variables of the client on top of these.
            wait: for both to be ready.
            silent: whether the server's log does not tell that it listens.
            more: for `NodePass`.
        """
        port, users, target = free_port(), free_port(), free_port()
        near, far = f"{host}:{users}", to or f"{host}:{target}"
        reverse = flow == "reverse"
        at_server, at_client = (near, far) if reverse else (far, near)
        for_server, for_client = (ingress, egress) if reverse else (egress, ingress)
        mode = f"mode={1 if reverse else 2}"
        decided = _join("log=debug", f"type={self.transport}", mode, both, server, for_server)
        up = self.run(
            f"server://{KEY}@{host}:{port}/{at_server}?{decided}",
            env=env,
            **more,
        )
        if silent:
            wait_tcp(port, host.strip("[]"))
        else:
            up.listening()
        down = self.run(
            f"client://{KEY}@{dialled or host}:{via or port}/{at_client}"
            f"?{_join('log=debug', 'mode=2', 'min=4', both, client, for_client)}",
            env={**(env or {}), **(client_env or {})},
            **more,
        )
        if wait:
            up.ready()
            down.ready()
        return Tunnel(*((up, down) if reverse else (down, up)), up, down, port, users, target)


def _join(*queries: str) -> str:
    """One query of several; of a repeated parameter, the last."""
    pairs = [pair.partition("=") for query in queries if query for pair in query.split("&")]
    return "&".join(f"{name}={value}" for name, value in {name: value for name, _, value in pairs}.items())
