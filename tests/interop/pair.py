"""One tunnel between an end of this project and one of a v1 peer, whatever their roles."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nodepass.config import PoolTransport
from tests.harness import KEY, TIMEOUT, NodePass, Process, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.harness import Authority

PEER = "NODEPASS_PEER"
"""Environment variable that names the program of the v1 peer."""

QUICK: Mapping[str, str] = {"NP_REPORT_INTERVAL": "500ms", "NP_SERVICE_COOLDOWN": "200ms"}
"""A v1 peer sends its `verify` after two report intervals."""

LOST_ANSWER = "without an answer"
"""A v1 server closes the handshake's connection before its answer has gone out, one time in twenty or so, also to v1's own
client; and takes the next handshake for a pool connection. All ends well after a while, but not without errors."""

ATTEMPTS = 4


EXPECTED = ("TLS is off", "TLS code-0", "The server is of version 1")
"""What ends warn of that is so between the two versions."""


@dataclass(frozen=True)
class Case:
    """A combination of the two programs.

    Args:
        ours: which end is this project's: `server` or `client`.
        flow: `reverse` takes users in at the server, `forward` at the client.
        tls: mode of the server.
        transport: `type` of the server.
    """

    ours: str
    flow: str
    tls: int = 0
    transport: PoolTransport = PoolTransport.TCP

    @property
    def ingress(self) -> str:
        """Which end takes in users."""
        return "server" if self.flow == "reverse" else "client"

    @property
    def takes_users(self) -> bool:
        """Whether users come in at our end."""
        return self.ours == self.ingress

    @property
    def v1_ends_streams(self) -> bool:
        """Whether a user's or a target's end comes through v1: over HTTP/2 a v1 server sends none, nor to v1's client."""
        return self.transport != PoolTransport.HTTP2 or self.ours == "server"

    @property
    def v1_cuts_streams(self) -> bool:
        """Whether the last kilobytes before such an end may be missing: a v1 client drops them, to v1's server as well."""
        return self.transport == PoolTransport.HTTP2

    def __str__(self) -> str:
        return f"our-{self.ours}-{self.flow}-{self.transport.name.lower()}-tls{self.tls}"


MODES = (
    (PoolTransport.TCP, (0, 1, 2)),
    (PoolTransport.QUIC, (1, 2)),
    (PoolTransport.WEBSOCKET, (0, 1, 2)),
    (PoolTransport.HTTP2, (1,)),
)
"""Pool transports, each with its modes of TLS."""

ALL = [
    Case(ours, flow, tls, transport)
    for transport, modes in MODES
    for ours, flow, tls in itertools.product(("server", "client"), ("reverse", "forward"), modes)
]


USELESS = [Case("client", "reverse", 2, transport) for transport, modes in MODES if 2 in modes]
"""A v1 server with certificate files takes in no users: not of a v1 client either. See `test_verify`."""

CASES = [case for case in ALL if case not in USELESS]
ENCRYPTED = [case for case in CASES if case.tls != 0 or case.transport == PoolTransport.QUIC]
PLAIN = [case for case in CASES if case not in ENCRYPTED]
ENDING = [case for case in CASES if case.v1_ends_streams]


class V1(Process):
    """The v1 peer."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        super().__init__([os.environ[PEER], url], env=env, name=f"v1 {url.partition(':')[0]}")


class Pair:
    """A server and a client.

    Args:
        case: who is who.
        authority: signs the server's certificate.
        both: parameters of both URLs.
        egress: parameters of the end that dials targets.
        ours: parameters of our end.
        name: in the server's certificate.
        host: where all of it is.
    """

    def __init__(
        self,
        case: Case,
        authority: Authority,
        *,
        both: str = "",
        egress: str = "",
        ours: str = "",
        name: str = "localhost",
        host: str = "127.0.0.1",
    ) -> None:
        self.case = case
        self.host = host
        self.port, self.users, self.target = free_port(), free_port(), free_port()
        self._env = {**QUICK, "SSL_CERT_FILE": str(authority.path)}
        self._all: list[Process] = []
        certificate, key = authority.issue(f"server-{self.port}", name)
        files = f"&crt={certificate}&key={key}" if case.tls == 2 else ""
        at = {end: self.users if end == case.ingress else self.target for end in ("server", "client")}
        more = dict.fromkeys(at, both)
        more["client" if case.ingress == "server" else "server"] += egress
        more[case.ours] += ours
        mode = 1 if case.flow == "reverse" else 2
        self.urls = {
            "server": f"server://{KEY}@{host}:{self.port}/{host}:{at['server']}"
            f"?log=debug&mode={mode}&tls={case.tls}&type={case.transport}{files}{more['server']}",
            "client": f"client://{KEY}@{'localhost' if case.tls == 2 else host}:{self.port}/{host}:{at['client']}"
            f"?log=debug&mode=2&min=8{'&sni=localhost' if case.tls == 2 else ''}{more['client']}",
        }
        self.ends: dict[str, Process] = {}

    @property
    def ours(self) -> NodePass:
        """Our end."""
        end = self.ends[self.case.ours]
        assert isinstance(end, NodePass)
        return end

    @property
    def v1(self) -> Process:
        """The peer."""
        return self.ends["client" if self.case.ours == "server" else "server"]

    def start(self, end: str, url: str = "") -> Process:
        """Start one end; a server until it takes clients. One that runs there already is forgotten, not ended."""
        url = url or self.urls[end]
        process: Process = NodePass(url, env=self._env) if end == self.case.ours else V1(url, self._env)
        self._all.append(process.start())
        self.ends[end] = process
        if end == "server":
            wait_bound(self.port, "tcp")
        return process

    def up(self, between: Callable[[], None] = lambda: None) -> Pair:
        """Start both ends, and wait until users are carried. See `meet`."""
        self.meet(between)
        self.ours.ready()
        self.wait_for_users()
        return self

    def meet(self, between: Callable[[], None] = lambda: None) -> Pair:
        """Start both ends, and wait until they have shaken hands.

        Args:
            between: called when there is a server and no client; more than once, where the server loses an answer.
        """
        for _ in range(ATTEMPTS):
            self.start("server")
            between()
            self.start("client")
            found = self.ours.wait_for(f"Handshake with .*{{|The server decides|{LOST_ANSWER}")
            if found[0] != LOST_ANSWER:
                return self
            for process in self.ends.values():
                process.kill()
        message = f"the v1 server lost its answer {ATTEMPTS} times"
        raise AssertionError(message)

    def wait_for_users(self) -> None:
        """Wait until the end where users come in has bound their port and, with TLS, takes them."""
        if not self.case.takes_users and self.case in ENCRYPTED:
            self.v1.wait_for("fingerprint verified")
        wait_bound(self.users, "tcp")
        wait_bound(self.users, "udp")

    def assert_clean(self) -> None:
        """Neither end has anything to complain of."""
        for process in self.ends.values():
            complaints = [
                found.string for found in process.matches(r"ERROR|WARN(?!  The server is of version 1)|Traceback|panic")
            ]
            complaints = [line for line in complaints if "TLS is off" not in line and "TLS code-0" not in line]
            assert not complaints, f"{process.name}: {complaints}"

    def close(self) -> None:
        """End both."""
        for process in self._all:
            process.kill()
            print(process.log())
        for process in self._all:
            if isinstance(process, NodePass):
                assert not process.stderr
                assert not process.matches(r"Traceback|never retrieved")


def wait_bound(port: int, kind: str, timeout: float = TIMEOUT) -> None:
    """Wait until someone has bound a port, without a connection that a target would see."""
    listening = {"tcp": "0A", "udp": "07"}[kind]
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for table in (kind, f"{kind}6"):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == listening and int(local.rpartition(":")[2], 16) == port:
                    return
        time.sleep(0.01)
    message = f"nobody has bound {kind} port {port} in {timeout} s"
    raise AssertionError(message)
