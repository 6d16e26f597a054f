"""Processes: started, asked what they cost, always stopped."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from bench.interrupts import INTERRUPTS
from bench.model import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).parents[1]
"""Of the working copy: where `python -m bench.…` works."""

STOP_SECONDS = 3.0
"""Time to end after SIGTERM."""

LOG_TAIL = 300
"""Characters of a log that are quoted."""

NODEPASS_VARIABLES = "NP_"
"""How the names of the variables begin that change nodepass's defaults."""

PROCESS_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess, ProcessLookupError, FileNotFoundError)


NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""With it, Python would compile a working copy's files at each start; those that pip has installed are compiled."""


def left_out() -> list[str]:
    """The variables of this process that programs are not given: everybody runs with his defaults, and as installed."""
    return sorted(name for name in os.environ if name.startswith(NODEPASS_VARIABLES) or name == NO_BYTECODE)


def inherited() -> dict[str, str]:
    """What programs are given of this process's variables."""
    return {name: os.environ[name] for name in os.environ.keys() - left_out()}


class Process:
    """A program that runs, in a session of its own: Ctrl-C reaches only the bench, which stops it.

    Args:
        name: what it is called in messages.
        argv: program and arguments.
        log: the file for what it prints, begun anew; its standard output goes to `output` where this process reads it.
        env: variables on top of those that are `inherited`.
        counted: whether its cost is a contender's.
        piped: whether standard input and output are pipes to this process.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        counted: bool = True,
        piped: bool = False,
    ) -> None:
        self.name = name
        self.counted = counted
        self._log = log
        with log.open("wb") as sink, INTERRUPTS.held():
            try:
                self._popen = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if piped else sink,
                    stderr=sink,
                    env=inherited() | dict(env or {}),
                    cwd=ROOT,
                    start_new_session=True,
                    text=True,
                )
            except OSError as error:
                raise BenchError(f"{name} cannot be started: {error}") from None
            _running.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._popen.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._popen.poll() is not None

    def check(self) -> None:
        """Raise if it has ended.

        Raises:
            BenchError: with the end of its log.
        """
        if self.has_ended:
            raise BenchError(f"{self.name} ended with {self._popen.returncode}: {self.last_words()}")

    def log_text(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def last_words(self) -> str:
        """The end of it, in one line."""
        return " ".join(self.log_text().split())[-LOG_TAIL:]

    def ask(self, line: str) -> str:
        """Write a line to its standard input, and read the answer.

        Raises:
            BenchError: it has gone.
        """
        reader, writer = self._popen.stdout, self._popen.stdin
        if reader is None or writer is None:
            raise BenchError(f"{self.name} has no pipes")
        try:
            writer.write(f"{line}\n")
            writer.flush()
            answer = reader.readline()
        except OSError as error:
            raise BenchError(f"{self.name}: {error}") from None
        if not answer:
            raise BenchError(f"{self.name} has gone: {self.last_words()}")
        return answer

    def wait(self, seconds: float) -> None:
        """Wait until it ends by itself.

        Raises:
            BenchError: the time is over.
        """
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.name} did not end within {seconds:g} s") from None

    def tree(self) -> list[psutil.Process]:
        """Itself and all that it has started."""
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except PROCESS_GONE:
            return []

    def stop(self) -> None:
        """End it and all that it has started, and reap it."""
        tree = [] if self.has_ended else self.tree()
        if tree:
            self._popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_SECONDS)
        for process in tree:
            with suppress(*PROCESS_GONE):
                # psutil looks at the start time as well, so that an ID that was used again is spared.
                process.kill()
        self._popen.wait()
        if self in _running:
            _running.remove(self)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


_running: list[Process] = []
"""All that have been started and not stopped."""


def stop_all() -> None:
    """Stop what an interrupt has kept from being stopped where it belongs."""
    for process in tuple(_running):
        process.stop()


class Meter:
    """What processes cost while it is entered: CPU time, and the most memory.

    Args:
        processes: whose cost it is, with all that they start; those that are not counted are left out.
    """

    def __init__(self, processes: Iterable[Process]) -> None:
        self._processes = [process for process in processes if process.counted]
        self._before: dict[int, float] = {}
        self.cpu_seconds = 0.0
        self.peak_bytes = 0
        """Most bytes resident (VmHWM), summed over the processes; pages that they share count for each of them."""

    def __enter__(self) -> Self:
        tree = self._tree()
        for process in tree:
            # proc(5): 5 sets the peak to what is resident now. Without permission, the peak is that of its whole life.
            with suppress(OSError):
                Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")
        self._before = {process.pid: seconds for process in tree if (seconds := cpu_seconds(process)) is not None}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._tree():
            seconds = cpu_seconds(process)
            if seconds is not None:
                self.cpu_seconds += seconds - self._before.get(process.pid, 0.0)
            self.peak_bytes += peak_bytes(process.pid)

    def _tree(self) -> list[psutil.Process]:
        return [one for process in self._processes for one in process.tree()]


def cpu_seconds(process: psutil.Process) -> float | None:
    """CPU time of a process's life, in the system and outside; None if it has gone."""
    try:
        times = process.cpu_times()
    except PROCESS_GONE:
        return None
    return times.user + times.system


def peak_bytes(pid: int) -> int:
    """Most bytes of memory that it held at once; 0 if it has gone."""
    with suppress(*PROCESS_GONE):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def proportional_bytes(processes: Iterable[Process], leave_out: int = 0) -> int:
    """Memory of processes and all that they have started, shared pages divided among those who share them (PSS).

    Args:
        processes: those that are not counted are left out.
        leave_out: ID of a process that is not meant.
    """
    total = 0
    for process in processes:
        for one in process.tree() if process.counted else ():
            with suppress(*PROCESS_GONE):
                total += 0 if one.pid == leave_out else one.memory_full_info().pss
    return total


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts processes whose logs go to one folder."""

    folder: Path

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        counted: bool = True,
        piped: bool = False,
    ) -> Process:
        """Start one; see `Process`."""
        return Process(name, argv, self.folder / f"{name}.log", env=env, counted=counted, piped=piped)

    def run(self, name: str, argv: Sequence[str], seconds: float) -> str:
        """Run a program to its end; gives what it has printed.

        Raises:
            BenchError: it does not end in time, or cannot be started.
        """
        with self.start(name, argv) as process:
            process.wait(seconds)
            return process.log_text()
