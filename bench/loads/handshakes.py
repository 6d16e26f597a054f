"""What handshakes cost the server, with the extension and without.

Each comes from another address of loopback, since a server knows v1 sessions by address. The first is not counted: the
server stretches its key for it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

from bench.contenders.extension import Gated
from bench.contenders.nodepass import KEY
from bench.gate import DID_NOT_ASK, read_all
from bench.loads.connections import NewConnections
from bench.loads.costs import PEAK_MEMORY, costs
from bench.model import HOST, BenchError, Better, Figure, Load, NotOfferedError, Sample
from bench.processes import Meter
from nodepass.protocol.client_handshake import ClientHandshake
from nodepass.protocol.extension import ClientExtension
from nodepass.protocol.handshake import bearer_token
from nodepass.protocol.tunnel_key import pre_shared_key

if TYPE_CHECKING:
    from bench.stage import Stage

RATE = Figure("handshakes", "1/s")
CPU = Figure("CPU", "s/1000 handshakes", Better.LOWER)

SECONDS = 5.0
MOST_PER_SECOND = 2000
"""Requests that are prepared: more than a server answers."""

THOUSAND = 1000

SOURCES = 1 << 20

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")

NO_EXTENSION = "this nodepass's client does not ask for the extension"


class Handshakes(Load):
    """One handshake after the other with a server, each on a connection of its own."""

    figures = (RATE, CPU, PEAK_MEMORY)
    starts_itself = True

    def measure(self, stage: Stage) -> Sample:
        contender = stage.contender
        if not isinstance(contender, Gated):
            raise NotOfferedError("only nodepass has the extension")
        # The server alone: neither the gate nor a client.
        stage.spawn_next()
        # What a client computes is not the server's cost.
        asks = requests(int(stage.seconds * MOST_PER_SECOND), extended=not contender.strips)
        handshake(stage.ports.tunnel, asks.pop(), source(0))
        statuses: Counter[int] = Counter()
        with Meter(stage.processes) as meter:
            begun = time.perf_counter()
            end = begun + stage.seconds
            while asks and time.perf_counter() < end:
                statuses[handshake(stage.ports.tunnel, asks.pop(), source(1 + statuses.total()))] += 1
            seconds = time.perf_counter() - begun
        accepted = statuses.pop(200, 0)
        if not accepted:
            raise BenchError(f"no handshake was accepted; the server answered {dict(statuses)}")
        notes = tuple(f"{count} handshakes were answered {status}" for status, count in statuses.items())
        cost = costs(meter, CPU, accepted / THOUSAND)
        return Sample({RATE.name: accepted / seconds, **cost}, notes)


def requests(count: int, *, extended: bool) -> list[bytes]:
    """Those of so many clients, with the extension or as v1 clients ask."""
    if not extended:
        return [ClientHandshake(HOST, bearer_token(KEY)).request()] * count
    key = pre_shared_key(KEY)
    headers = (ClientExtension(key, f"{number:016x}").header(time.time()) for number in range(count))
    return [ClientHandshake(HOST, extension=header).request() for header in headers]


def source(number: int) -> str:
    """An address of loopback for the client of this number."""
    return str(ipaddress.IPv4Address("127.1.0.0") + number % SOURCES)


def handshake(port: int, asks: bytes, address: str) -> int:
    """Make one from this address; gives the status of the answer.

    Raises:
        BenchError: the answer is not HTTP.
        OSError: there is none.
    """
    with socket.create_connection((HOST, port), SECONDS, (address, 0)) as sock:
        sock.sendall(asks)
        answer = read_all(sock)
    match = STATUS.match(answer)
    if match is None:
        raise BenchError("the server answered something that is not HTTP")
    return int(match[1])


class GatedConnections(NewConnections):
    """New connections through gated tunnels."""

    def measure(self, stage: Stage) -> Sample:
        # The gate stands between the two ends, and says what it saw.
        if DID_NOT_ASK in stage.processes[1].log_text():
            raise NotOfferedError(NO_EXTENSION)
        return super().measure(stage)
