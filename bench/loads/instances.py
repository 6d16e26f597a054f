"""A master and its instances: how long they take to start, what they carry together, and what both cost.

However many they are, the same users come: what differs is over how many processes they are spread.
"""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contenders.nodepass import API_KEY, NodePass
from bench.loads.costs import CPU_PER_THOUSAND_REQUESTS, MEGA
from bench.loads.crowd import EXCHANGES, THROUGHPUT, TOGETHER, StandingCrowd, talked
from bench.model import HOST, BenchError, Better, Figure, Load, NotOfferedError, Sample
from bench.ports import wait_listening
from bench.processes import Meter, Starter, proportional_bytes
from bench.stage import START_SECONDS
from bench.users import PROOF_SECONDS, prove_echo_on

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.ports import PortMaker
    from bench.processes import Process
    from bench.stage import Stage

START = Figure("start of all", "s", Better.LOWER)
START_CPU = Figure("CPU of the start", "s", Better.LOWER)
MEMORY_OF_EACH = Figure("memory of each", "MB", Better.LOWER)
INSTANCES = Figure("instances", "at once", Better.NEITHER, in_table=False)

USERS = 100
"""As many as there are instances at most, so that each has one then."""

PROOF_SIZE = 1 << 18
"""Bytes that are sent through each instance and expected back."""

REQUEST_SECONDS = 10.0
INSTANCES_SECONDS = 120.0
SETTLE_SECONDS = 1.0
CREATED = 201


class Instances(Load):
    """A master, and as many forwarders under it, made one after the other through its API.

    Args:
        number: of forwarders.
        makes: their ports.
    """

    figures = (
        *(START, START_CPU, MEMORY_OF_EACH),
        *(THROUGHPUT, EXCHANGES, CPU_PER_THOUSAND_REQUESTS, TOGETHER, INSTANCES),
    )
    starts_itself = True

    def __init__(self, number: int, makes: PortMaker) -> None:
        self._number = number
        self._makes = makes

    def measure(self, stage: Stage) -> Sample:
        if not isinstance(stage.contender, NodePass):
            raise NotOfferedError(f"{stage.name} has no master")
        port = self._makes.next()
        ports = [self._makes.next() for _ in range(self._number)]
        # Each run's master is new: one that finds its state again starts what it had, and does not tell its key.
        folder = Path(tempfile.mkdtemp(dir=stage.folder))
        command = stage.contender.master(port, folder)
        with Starter(stage.folder).start(command.name, command.argv, env=command.env) as master:
            wait_listening({port}, START_SECONDS, master.check)
            key = api_key(master)
            begun = time.perf_counter()
            with Meter([master]) as meter:
                create(port, key, (f"client://{HOST}:{one}/{HOST}:{stage.ports.target}?mode=1&log=warn" for one in ports))
                wait_listening(ports, INSTANCES_SECONDS, master.check)
                seconds = time.perf_counter() - begun
            time.sleep(SETTLE_SECONDS)
            # Whatever runs beside the master runs for its instances.
            memory = proportional_bytes([master], leave_out=master.pid)
            prove_each(ports)
            with closing(StandingCrowd(ports)) as crowd:
                crowd.gather(USERS)
                together = talked(crowd, [master], stage.seconds)
        return Sample(
            {
                START.name: seconds,
                START_CPU.name: meter.cpu_seconds,
                MEMORY_OF_EACH.name: memory / self._number / MEGA,
                INSTANCES.name: self._number,
                **together,
            }
        )


def create(port: int, key: str, urls: Iterable[str]) -> None:
    """Ask a master for instances, one after the other.

    Raises:
        BenchError: it does not make one.
        OSError: it does not answer.
    """
    with closing(http.client.HTTPConnection(HOST, port, timeout=REQUEST_SECONDS)) as connection:
        try:
            for url in urls:
                headers = {"X-API-Key": key, "Content-Type": "application/json"}
                connection.request("POST", "/api/v1/instances", json.dumps({"url": url}), headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != CREATED:
                    raise BenchError(f"the master answered {answer.status}: {text[:200]!r}")
        except http.client.HTTPException as error:
            raise BenchError(f"the master's API: {error}") from None


def prove_each(ports: Iterable[int]) -> None:
    """Send random bytes through every instance and back, and compare their hashes.

    Raises:
        BenchError: what came back of one is not what was sent.
        OSError: one does not take users.
    """
    for port in ports:
        with socket.create_connection((HOST, port), PROOF_SECONDS) as user:
            prove_echo_on(user, PROOF_SIZE)


def api_key(master: Process) -> str:
    """The key of a new master's API, from its log.

    Raises:
        BenchError: it is not told.
    """
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if match := API_KEY.search(master.log_text()):
            return match[1]
        master.check()
        time.sleep(0.01)
    raise BenchError("the master does not tell the key of its API")
