"""What handshakes cost the server, with the extension and without.

A client's real request is caught, and sent again and again: with the extension as it is, without it as a v1 client would.
Each comes from another address of loopback, since a server knows v1 sessions by address, and may limit handshakes by it. A
server that takes no request twice says so with a status, which is noted.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

from bench.contenders.extension import Gated
from bench.gate import DID_NOT_ASK, HEADER, read_all, read_head, strip
from bench.loads.connections import NewConnections
from bench.loads.costs import PEAK_MEMORY, costs
from bench.model import HOST, BenchError, Better, Figure, Load, NotOfferedError, Ports, Sample
from bench.processes import Meter, Starter

if TYPE_CHECKING:
    from bench.ports import PortMaker
    from bench.stage import Stage

RATE = Figure("handshakes", "1/s")
CPU = Figure("CPU", "s/1000 handshakes", Better.LOWER)

SECONDS = 5.0
THOUSAND = 1000

SOURCES = 1 << 20

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")

NO_EXTENSION = "this nodepass's client does not ask for the extension"


class Handshakes(Load):
    """One handshake after the other with a server, each on a connection of its own.

    Args:
        makes: the port at which the client's request is caught.
    """

    figures = (RATE, CPU, PEAK_MEMORY)
    starts_itself = True

    def __init__(self, makes: PortMaker) -> None:
        self._makes = makes

    def measure(self, stage: Stage) -> Sample:
        contender = stage.contender
        if not isinstance(contender, Gated):
            raise NotOfferedError("only nodepass has the extension")
        asks = self._catch(stage, contender)
        if HEADER.search(asks) is None:
            raise NotOfferedError(NO_EXTENSION)
        if contender.strips:
            asks = strip(asks)
        # The server alone: neither the gate nor a client.
        stage.spawn_next()
        statuses: Counter[int] = Counter()
        with Meter(stage.processes) as meter:
            begun = time.perf_counter()
            end = begun + stage.seconds
            while time.perf_counter() < end:
                statuses[handshake(stage.ports.tunnel, asks, source(statuses.total()))] += 1
            seconds = time.perf_counter() - begun
        accepted = statuses.pop(200, 0)
        if not accepted:
            raise BenchError(f"no handshake was accepted; the server answered {dict(statuses)}")
        notes = tuple(f"{count} handshakes were answered {status}" for status, count in statuses.items())
        cost = costs(meter, CPU, accepted / THOUSAND)
        return Sample({RATE.name: accepted / seconds, **cost}, notes)

    def _catch(self, stage: Stage, contender: Gated) -> bytes:
        """A client's request, as it sends it."""
        port = self._makes.next()
        ports = Ports(stage.ports.users, port, stage.ports.target)
        command = contender.ungated(stage.setup, ports, stage.folder)[-1]
        with (
            closing(socket.create_server((HOST, port))) as listener,
            Starter(stage.folder).start("caught", command.argv, env=command.env),
        ):
            listener.settimeout(SECONDS)
            client, _ = listener.accept()
            with client:
                client.settimeout(SECONDS)
                return read_head(client)


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
