"""Real processes: started, listened to line by line, signalled, and always reaped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from tests.harness.debug_loops import watched
from tests.harness.forks import Fork

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

TIMEOUT = 30.0
"""Seconds that a test waits for what it is sure of: only a failure takes that long."""

SHOWN_LINES = 200
SOURCE = Path(__file__).parents[2] / "src"


class Process:
    """Any program. Use it as a context manager; its end is never left to chance.

    Its output is printed at the end, which pytest shows only where the test fails.

    Args:
        argv: program and arguments.
        env: variables on top of this process's.
        name: what it is called in a failure; the program's unless given.
        cwd: where it runs.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, name: str = "", cwd: Path | None = None
    ) -> None:
        self.argv = list(argv)
        self.name = name or Path(self.argv[0]).name
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.lines: list[str] = []
        """Both, as they came."""
        self._env = watched({**os.environ, **(env or {})})
        self._cwd = cwd
        self._changed = threading.Condition()
        self._open_pipes = 0
        self._readers: list[threading.Thread] = []
        self._popen: subprocess.Popen[str] | Fork | None = None

    def start(self) -> Self:
        """Start it."""
        self._popen = self._launch()
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._open_pipes = 2
        for pipe, lines in ((self._popen.stdout, self.stdout), (self._popen.stderr, self.stderr)):
            reader = threading.Thread(target=self._read, args=(pipe, lines), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def _launch(self) -> subprocess.Popen[str] | Fork:
        return subprocess.Popen(
            self.argv,
            env=self._env,
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    __enter__ = start

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
        print(self.log())

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._started.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._started.poll() is None

    def wait_for(self, pattern: str, timeout: float = TIMEOUT, *, since: int = 0) -> re.Match[str]:
        """Wait for a line in which `pattern` is found, on either output.

        Args:
            pattern: regular expression.
            timeout: seconds.
            since: index into `lines` from which to look; `len(process.lines)` for what is still to come.

        Raises:
            AssertionError: the time is over, or the process has ended without such a line.
        """
        expression = re.compile(pattern)
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self.lines[since:]:
                    if match := expression.search(line):
                        return match
                since = max(since, len(self.lines))
                left = end - time.monotonic()
                if left <= 0 or not self._open_pipes:
                    break
                self._changed.wait(left)
        why = f"in {timeout} s" if self.is_running else f"before it ended with {self.wait()}"
        message = f"{self.name}: no line matched {pattern!r} {why}\n{self.log()}"
        raise AssertionError(message)

    def matches(self, pattern: str) -> list[re.Match[str]]:
        """Every line so far in which `pattern` is found."""
        with self._changed:
            return [match for line in self.lines if (match := re.search(pattern, line))]

    def send_signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self._started.send_signal(number)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for its end, and for the last of its output; gives the exit code."""
        code = self._started.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return code

    def stop(self, timeout: float = TIMEOUT) -> int:
        """SIGTERM, and wait; gives the exit code."""
        self.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL if it still runs, and reap it."""
        popen = self._popen
        if popen is None:
            return
        if popen.poll() is None:
            popen.kill()
        popen.wait()
        for reader in self._readers:
            # A child of its own may hold the pipe on.
            reader.join(1)

    def rss(self) -> int:
        """Bytes of memory that it holds."""
        return self._memory("VmRSS")

    def peak(self) -> int:
        """Most bytes of memory that it has held at once since `reset_peak`, or else since its start."""
        return self._memory("VmHWM")

    def reset_peak(self) -> None:
        """From now on, the peak is what it holds now, or more (proc(5), `clear_refs`)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        match = re.search(rf"{name}:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) * 1024

    def descriptors(self) -> int:
        """Files and sockets that it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def log(self) -> str:
        """Its last lines, under a heading."""
        with self._changed:
            lines = self.lines[-SHOWN_LINES:]
        return "\n".join((f"--- {self.name}: {' '.join(self.argv)}", *lines, "---"))

    @property
    def _started(self) -> subprocess.Popen[str] | Fork:
        assert self._popen is not None, "it has not been started"
        return self._popen

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._changed:
                    text = line.rstrip("\n")
                    lines.append(text)
                    self.lines.append(text)
                    self._changed.notify_all()
        with self._changed:
            self._open_pipes -= 1
            self._changed.notify_all()


class NodePass(Process):
    """`nodepass URL`, of this working copy.

    Args:
        url: what it runs.
        env: variables on top of this process's.
        name: what it is called in a failure; the URL's scheme unless given.
        prefix: a program and its arguments that run it, such as `unshare -m`.
        python: arguments of the interpreter.
        forked: whether it may be a fork of a process that has imported everything (see `forks`), which is there at once.
    """

    LISTENING = "Listening on"
    READY = r"Session with .* is ready|Forwarding .* to"

    def __init__(
        self,
        url: str,
        *,
        env: Mapping[str, str] | None = None,
        name: str = "",
        prefix: Sequence[str] = (),
        python: Sequence[str] = (),
        forked: bool = False,
    ) -> None:
        argv = [*prefix, sys.executable, *python, "-m", "nodepass", url]
        super().__init__(argv, env={"PYTHONPATH": str(SOURCE), **(env or {})}, name=name or url.partition(":")[0])
        # What the interpreter is told, it must be told at its start.
        fresh = prefix or python or any(variable.startswith("PYTHON") for variable in env or ())
        self.forked = forked and not fresh
        """Whether it is one."""

    def _launch(self) -> subprocess.Popen[str] | Fork:
        return Fork(["nodepass", self.argv[-1]], self._env, self._cwd) if self.forked else super()._launch()

    def listening(self, timeout: float = TIMEOUT) -> Self:
        """Wait until a server takes clients: one that comes earlier waits a cooldown long before it tries again."""
        self.wait_for(self.LISTENING, timeout)
        return self

    def ready(self, timeout: float = TIMEOUT, *, since: int = 0) -> Self:
        """Wait until users can be served: a session, or a forwarder's port."""
        self.wait_for(self.READY, timeout, since=since)
        return self

    def checkpoint(self, timeout: float = TIMEOUT, *, having: str = "") -> dict[str, str]:
        """Wait for the next CHECK_POINT line, or for one in which the pattern `having` is found; gives its members."""
        with self._changed:
            since = len(self.lines)
        line = self.wait_for(f"CHECK_POINT.*{having}", timeout, since=since).string
        members = line[line.index("CHECK_POINT") :].split("|")[1:]
        return dict(member.split("=", 1) for member in members)
