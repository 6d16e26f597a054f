"""`nodepass URL` in a process of its own without a start of Python for each: forks of one that has imported everything.

A start of Python with all imports takes a third of a second of processor time, and the end-to-end tests start some two
thousand. Run as a program, this file is their parent, one per test process; imported, it is how to have one started.

What is the same as with `python -m nodepass URL`: the program from `main` on, arguments, environment, working directory,
limits, signals, standard streams, and how the interpreter ends. What is not: what is imported when. Tests of that start
their own (`NodePass`).

What always holds: the parent has one thread and no event loop, so that nothing is in the middle of something when it forks.
A fork has no descriptor but its standard streams. None outlives the test process: its end is the end of the control socket.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE = str(Path(__file__).parents[2] / "src")
LARGEST = 1 << 17
NUMBER = 4
"""Bytes of a process ID or an exit code on the way to who asked for the process."""

MODULES = ("nodepass.cli", "nodepass.transport.quic", "nodepass.transport.websocket", "nodepass.transport.http2")


class Fork:
    """A process as `subprocess.Popen` has them, as far as `Process` needs it.

    Args:
        argv: the program's arguments, its name first.
        env: its whole environment.
        cwd: where it runs.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path | None) -> None:
        self.args = list(argv)
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._status, status = socket.socketpair()
        read, write = zip(os.pipe(), os.pipe(), strict=True)
        self.stdout, self.stderr = (os.fdopen(number, encoding="utf-8", errors="replace") for number in read)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        request = {"argv": self.args, "env": dict(env), "cwd": str(cwd or Path.cwd()), "files": files}
        with status:
            socket.send_fds(_parent.control(), [json.dumps(request).encode()], [*write, status.fileno()])
        for number in write:
            os.close(number)
        self.pid = self._number()

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; gives its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended in so many seconds.
        """
        with self._lock:
            if self.returncode is None:
                # `select` takes no descriptor above 1023, and some tests have thousands.
                told = select.poll()
                told.register(self._status, select.POLLIN)
                if not told.poll(None if timeout is None else timeout * 1000):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
                self.returncode = self._number()
                self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _number(self) -> int:
        number = self._status.recv(NUMBER, socket.MSG_WAITALL)
        assert len(number) == NUMBER, "the parent of all forks has ended"
        return int.from_bytes(number, "big", signed=True)


class _Parent:
    """The parent of this test process's forks, started when the first is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def control(self) -> socket.socket:
        """The socket on which it hears what to start."""
        with self._lock:
            if self._control is None:
                self._control = self._start()
            return self._control

    @staticmethod
    def _start() -> socket.socket:
        from tests.harness.debug_loops import watched  # noqa: PLC0415 - the program that this file is does not find it

        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno())],
                env=watched({**os.environ, "PYTHONPATH": SOURCE}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )

        def end() -> None:
            ours.close()
            process.wait()

        atexit.register(end)
        return ours


_parent = _Parent()


class ForkServer:
    """The parent itself.

    Args:
        control: says what to start.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._statuses: dict[int, int] = {}
        """By process ID, the descriptor on which its end is told."""
        self._woken, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)

    def serve(self) -> bool:
        """Serve; returns in each fork with True, and in the parent with False when the test process has ended."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        while True:
            ready = select.select((self._control.fileno(), self._woken), (), ())[0]
            if self._woken in ready:
                os.read(self._woken, LARGEST)
                self._tell_ended()
            if self._control.fileno() in ready:
                packet, descriptors, _, _ = socket.recv_fds(self._control, LARGEST, 3)
                if not packet:
                    break
                if self._fork(packet, descriptors):
                    return True
        for pid in self._statuses:
            os.kill(pid, signal.SIGKILL)
        return False

    def _fork(self, packet: bytes, descriptors: list[int]) -> bool:
        *streams, status = descriptors
        pid = os.fork()
        if not pid:
            self._become(json.loads(packet), streams, status)
            return True
        for stream in streams:
            os.close(stream)
        self._statuses[pid] = status
        os.write(status, pid.to_bytes(NUMBER, "big", signed=True))
        return False

    def _become(self, request: dict[str, object], streams: list[int], status: int) -> None:
        """In a fork: be as if just started."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
        # Those of the parent know what they wrote to, such as whether one can seek in it.
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        self._control.close()
        for descriptor in (*streams, status, self._woken, self._wakeup, *self._statuses.values()):
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, request["files"])  # type: ignore[arg-type] # a pair, from our own JSON
        os.environ.clear()
        os.environ.update(request["env"])  # type: ignore[call-overload] # as above
        os.chdir(str(request["cwd"]))
        time.tzset()
        sys.argv = request["argv"]  # type: ignore[assignment] # as above

    def _tell_ended(self) -> None:
        for pid in tuple(self._statuses):
            ended, how = os.waitpid(pid, os.WNOHANG)
            if ended:
                status = self._statuses.pop(pid)
                # Who asked for it may not wait for it.
                with suppress(BrokenPipeError):
                    os.write(status, os.waitstatus_to_exitcode(how).to_bytes(NUMBER, "big", signed=True))
                os.close(status)


def main() -> None:
    """Import, serve, and in each fork be `nodepass`."""
    control = socket.socket(fileno=int(sys.argv[1]))
    shared = importlib.import_module("nodepass.fork_server").SHARED_MODULES
    for module in (*shared, *MODULES):
        with suppress(ImportError):
            importlib.import_module(module)
    # A fork can only change what `ps` shows where its parent has.
    importlib.import_module("setproctitle").setproctitle("nodepass of the tests")
    gc.collect()
    gc.freeze()
    # The program that this file is finds only its own folder.
    census = importlib.import_module("census")
    if ForkServer(control).serve():
        census.install()
        importlib.import_module("nodepass.cli").main()


if __name__ == "__main__":
    main()
