"""What several processes are for: more than one can do, and less waiting for what one could just do.

They help where one process is the narrow place and processors are free. On two that is rare, since load and target need
theirs: of what a keep-alive request costs, the forwarder has a half, of a new plain connection two thirds, of a whole TLS
handshake less than a half; wrk and nginx have the rest. So there are loads here that leave room:

* users who begin a TLS handshake and go when the server has answered: it has done nearly all of its work by then, and they
  none, for all say the same, which was computed beforehand. Users have their own processors, elsewhere;
* users who come evenly, at a rate that is below what the slowest contender carries: they measure the waiting. Or above it:
  then some processes keep up, and some do not.
"""

from __future__ import annotations

import ssl
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from bench.loads.connections import RATE, SLOW, THOUSAND, Crowd
from bench.loads.costs import CPU_PER_THOUSAND_CONNECTIONS, PEAK_MEMORY, costs
from bench.loads.requests import Requests
from bench.loads.wrk import run_wrk
from bench.model import BenchError, Better, Figure, Load, Sample
from bench.processes import Meter
from bench.stage import user_context
from bench.statistics import percentile
from bench.targets import SMALL_PATH
from bench.users import prove_echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stage import Stage

HELLOS = Figure("handshakes answered", "1/s")
SERVED = Figure("served", "1/s")
OFFERED = Figure("offered", "1/s", Better.NEITHER)
MEDIAN = Figure("p50", "ms", Better.LOWER)

PARALLEL = 64
"""Users at once while the most is looked for."""

HANDSHAKE_SIZE = 1 << 14

SERVER_HELLO = b"\x16\x03\x03"
"""How the server's first record begins: a handshake message (RFC 8446, 5.1)."""

MESSAGE_KIND, SERVER_HELLO_KIND = 5, b"\x02"
"""Where the kind of message stands in that record, and what it is (RFC 8446, 4)."""


class ShortConnections(Requests):
    """wrk opens a connection for each small request."""

    figures = (RATE, SLOW, CPU_PER_THOUSAND_CONNECTIONS, PEAK_MEMORY)

    def measure(self, stage: Stage) -> Sample:
        with Meter(stage.processes) as meter:
            report = run_wrk(stage, SMALL_PATH, self._connections, close=True)
        cost = costs(meter, CPU_PER_THOUSAND_CONNECTIONS, report.requests / THOUSAND)
        return Sample({RATE.name: report.per_second, SLOW.name: report.p99, **cost}, report.notes)


class HelloCrowd(Crowd):
    """Users who begin a TLS handshake, each with the same words, and go when they are answered."""

    answer_size = HANDSHAKE_SIZE

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._hello = client_hello()

    def says(self, number: int) -> bytes:
        return self._hello

    def is_answer(self, found: bytes, said: bytes) -> bool:
        return found.startswith(SERVER_HELLO) and found[MESSAGE_KIND : MESSAGE_KIND + 1] == SERVER_HELLO_KIND


class Hellos(Load):
    """As many handshakes as a forwarder answers, with this many users at once."""

    figures = (HELLOS, SLOW, CPU_PER_THOUSAND_CONNECTIONS, PEAK_MEMORY)

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel

    def verify(self, stage: Stage) -> None:
        prove_echo(stage)

    def measure(self, stage: Stage) -> Sample:
        with closing(HelloCrowd(stage.ports.users)) as crowd, Meter(stage.processes) as meter:
            crowd.run(self._parallel, stage.seconds)
        return _sample(crowd, meter, {HELLOS.name: len(crowd.times) / stage.seconds}, (SLOW, 99))


class Paced(Load):
    """Users who come evenly, at a rate that is the same for all contenders, and found before the first run.

    Args:
        makes: the crowd that comes to a port.
        share: the rate, as a part of what the slowest contender carries at most; over 1 it cannot serve them all in time.
    """

    def __init__(self, makes: Callable[[int], Crowd], share: float) -> None:
        first = (SLOW, MEDIAN, SERVED) if share < 1 else (SERVED, SLOW, MEDIAN)
        self.figures = (*first, OFFERED, CPU_PER_THOUSAND_CONNECTIONS, PEAK_MEMORY)
        self._makes = makes
        self._share = share
        self._most: dict[str, float] = {}

    def verify(self, stage: Stage) -> None:
        prove_echo(stage)
        with closing(self._makes(stage.ports.users)) as crowd:
            crowd.run(PARALLEL, stage.seconds)
        self._most[stage.name] = len(crowd.times) / stage.seconds

    def measure(self, stage: Stage) -> Sample:
        rate = self._share * min(self._most.values())
        with closing(self._makes(stage.ports.users)) as crowd, Meter(stage.processes) as meter:
            seconds = crowd.pace(rate, stage.seconds)
        rates = {SERVED.name: len(crowd.times) / seconds, OFFERED.name: rate}
        return _sample(crowd, meter, rates, (SLOW, 99), (MEDIAN, 50))


def client_hello() -> bytes:
    """What a user says first who wants TLS."""
    outgoing = ssl.MemoryBIO()
    user = user_context().wrap_bio(ssl.MemoryBIO(), outgoing)
    with suppress(ssl.SSLWantReadError):
        user.do_handshake()
    return outgoing.read()


def _sample(crowd: Crowd, meter: Meter, rates: dict[str, float], *waits: tuple[Figure, float]) -> Sample:
    """What a crowd that has gone home has found.

    Raises:
        BenchError: nobody was served.
    """
    if not crowd.times:
        raise BenchError(f"nobody was served; {crowd.failed} users were sent away or gave up")
    times = sorted(crowd.times)
    slow = {figure.name: percentile(times, percent) * THOUSAND for figure, percent in waits}
    notes = (f"{crowd.failed} users were not served",) if crowd.failed else ()
    return Sample({**rates, **slow, **costs(meter, CPU_PER_THOUSAND_CONNECTIONS, len(times) / THOUSAND)}, notes)
