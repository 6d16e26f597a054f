"""How long it takes until something runs: a process, a tunnel, a hundred instances of a master."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contenders.nodepass import API_KEY, NodePass
from bench.loads.costs import MEGA
from bench.model import HOST, BenchError, Better, Figure, Load, NotOfferedError, Sample
from bench.ports import wait_listening
from bench.processes import Starter, proportional_bytes
from bench.stage import READY_SECONDS, START_SECONDS
from bench.users import wait_for_echo

if TYPE_CHECKING:
    from bench.ports import PortMaker
    from bench.processes import Process
    from bench.stage import Stage

TO_FIRST_BYTE = Figure("first byte after the last process began", "ms", Better.LOWER)
TO_FIRST_BYTE_IN_ALL = Figure("after the first process began", "ms", Better.LOWER)
VERSION = Figure("--version", "ms", Better.LOWER)
INSTANCES_START = Figure("start of all", "s", Better.LOWER)
INSTANCE_MEMORY = Figure("memory of each", "MB", Better.LOWER)

THOUSAND = 1000

VERSION_TIMES = 10
PROCESS_SECONDS = 10.0

INSTANCES_SECONDS = 120.0
SETTLE_SECONDS = 1.0
CREATED = 201


class FirstByte(Load):
    """Start everything; the client as soon as the server listens. Until when is the first user answered?"""

    figures = (TO_FIRST_BYTE, TO_FIRST_BYTE_IN_ALL)
    starts_itself = True
    most_runs = 5

    def measure(self, stage: Stage) -> Sample:
        first = last = time.perf_counter()
        while stage.spawn_next():
            if stage.is_last_next:
                last = time.perf_counter()
        answered = wait_for_echo(stage, READY_SECONDS)
        return Sample(
            {
                TO_FIRST_BYTE.name: (answered - last) * THOUSAND,
                TO_FIRST_BYTE_IN_ALL.name: (answered - first) * THOUSAND,
            }
        )


class Version(Load):
    """The command that prints the version, as often as gives a figure."""

    figures = (VERSION,)
    starts_itself = True

    def measure(self, stage: Stage) -> Sample:
        argv = stage.contender.version()
        times, code = [], 0
        for _ in range(VERSION_TIMES):
            begun = time.perf_counter()
            try:
                code = subprocess.run(argv, capture_output=True, timeout=PROCESS_SECONDS, check=False).returncode
            except subprocess.TimeoutExpired:
                raise BenchError(f"did not end within {PROCESS_SECONDS:g} s") from None
            times.append(time.perf_counter() - begun)
        return Sample({VERSION.name: statistics.median(times) * THOUSAND}, (f"ends with {code}",) if code else ())


class Instances(Load):
    """A master, and as many forwarders under it, made one after the other through its API.

    Args:
        number: of forwarders.
        makes: their ports.
    """

    figures = (INSTANCES_START, INSTANCE_MEMORY)
    starts_itself = True
    most_runs = 3

    def __init__(self, number: int, makes: PortMaker) -> None:
        self._number = number
        self._makes = makes

    def measure(self, stage: Stage) -> Sample:
        if not isinstance(stage.contender, NodePass):
            raise NotOfferedError(f"{stage.contender.name} has no master")
        port = self._makes.next()
        ports = {self._makes.next() for _ in range(self._number)}
        # Each run's master is new: one that finds its state again starts what it had, and does not tell its key.
        folder = Path(tempfile.mkdtemp(dir=stage.folder))
        command = stage.contender.master(port, folder)
        with Starter(stage.folder).start(command.name, command.argv, env=command.env) as master:
            wait_listening({port}, START_SECONDS, master.check)
            key = api_key(master)
            begun = time.perf_counter()
            self._create(port, key, [f"client://{HOST}:{one}/{HOST}:{stage.ports.target}?mode=1&log=warn" for one in ports])
            wait_listening(ports, INSTANCES_SECONDS, master.check)
            seconds = time.perf_counter() - begun
            time.sleep(SETTLE_SECONDS)
            # Whatever runs beside the master runs for its instances.
            memory = proportional_bytes([master], leave_out=master.pid)
        return Sample({INSTANCES_START.name: seconds, INSTANCE_MEMORY.name: memory / self._number / MEGA})

    @staticmethod
    def _create(port: int, key: str, urls: list[str]) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=PROCESS_SECONDS)
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
        finally:
            connection.close()


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
