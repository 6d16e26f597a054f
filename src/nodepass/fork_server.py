"""The fork server: the parent of every instance that a master runs (`python -m nodepass.fork_server`).

An instance is a process of its own, so that one that crashes takes nothing along. Starting Python and importing the
tunnel anew for each would cost a quarter of a second and some 20 MB; instead this process imports all of it once, and each
instance is a fork of it: it is there in milliseconds, and shares what it does not change with all the others.

Why not the standard library's `multiprocessing` fork server: it imports the master's `__main__` into each process, brings
a resource tracker and its own way of passing arguments, knows nothing of output that must be read, and cannot tell when
all that it started has ended. What is needed here is one socket, `fork` and `waitpid`.

What always holds:

- It has one thread, and no event loop: nothing can be in the middle of something when it forks.
- Each process of its own is waited for here. A signal to one goes through here as well, so it never hits another
  process that got the same ID.
- No instance outlives its master. When the master ends, however it does, the socket reads as ended: all get SIGTERM, and
  SIGKILL when their time is over. When this process ends first, the kernel kills them (Linux: PR_SET_PDEATHSIG).
- Nothing is started while processes of an earlier master of the same state are left: this process and all its forks
  hold a lock on one file, which is free when the last has ended. They would be in each other's way with their ports, and a
  server without `mode` that finds its port taken changes roles.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from nodepass.master.fork_messages import STOP_PATIENCE, Ended, Failed, Ready, Start, Started, decode_request
from nodepass.net.packets import LARGEST_PACKET, encode

if TYPE_CHECKING:
    from types import FrameType

    from nodepass.master.fork_messages import Reply

SHARED_MODULES: Final = (
    "nodepass.child",
    "nodepass.tunnel.server",
    "nodepass.tunnel.client",
    "cryptography.x509",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "encodings.idna",
    "setproctitle",
    "uvloop",
)
"""What instances import sooner or later. One that is missing here is missing for good reasons: `uvloop` may be."""

HANDLED_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)

PR_SET_PDEATHSIG: Final = 1


class ForkServer:
    """Starts, signals and waits for processes, as the master says.

    Args:
        control: the socket whose other end the master has.
        lock: number of the file that it and its forks hold a lock on.
    """

    def __init__(self, control: socket.socket, lock: int) -> None:
        self._control = control
        self._lock = lock
        self._pids: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._woken = socket.socketpair()
        self._wakeup.setblocking(False)
        self._woken.setblocking(False)

    def run(self) -> None:
        """Serve until the master's end of the socket is closed, and all processes have ended."""
        self._prepare()
        self._send(Ready())
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        while self._handle_ready(None):
            pass
        self._end_all()
        self._close()

    def _prepare(self) -> None:
        for module in SHARED_MODULES:
            with suppress(ImportError):
                importlib.import_module(module)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        # A signal to the whole group, from a service manager, is the master's to handle: it ends, and so does this process.
        for number in HANDLED_SIGNALS:
            signal.signal(number, _ignore)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # The collector would write into what all share.
        gc.disable()
        gc.collect()
        gc.freeze()

    def _handle_ready(self, timeout: float | None) -> bool:
        """Wait for something to do, and do it; tells whether the master is still there."""
        ready = {key.fileobj for key, _ in self._selector.select(timeout)}
        if self._woken in ready:
            with suppress(BlockingIOError):
                self._woken.recv(LARGEST_PACKET)
            self._wait_for_ended()
        return self._control not in ready or self._handle_request()

    def _handle_request(self) -> bool:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._control, LARGEST_PACKET, 1)
        except ConnectionResetError:
            # It ended before it had read all that was sent.
            return False
        if not packet:
            return False
        request = decode_request(packet)
        if isinstance(request, Start):
            if descriptors:
                self._start(request, descriptors[0])
            else:
                self._send(Failed(request.number, "too many open files"))
        elif request.number in self._pids:
            os.kill(self._pids[request.number], request.signal)
        return True

    def _start(self, request: Start, output: int) -> None:
        parent = os.getpid()
        # One that is sent to the new process before it has handlers of its own must not get lost in those of this one.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
        try:
            pid = os.fork()
            if not pid:
                self._become_instance(request.url, output, parent)
        except OSError as error:
            self._send(Failed(request.number, error.strerror or repr(error)))
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED_SIGNALS)
            os.close(output)
        self._pids[request.number] = pid
        self._send(Started(request.number, pid))

    def _become_instance(self, url: str, output: int, parent: int) -> NoReturn:
        """In the fork: be the instance, and never return to what the fork server was doing."""
        code = 1
        try:
            _die_with(parent)
            self._close()
            for number in HANDLED_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED_SIGNALS)
            for descriptor in (1, 2):
                os.dup2(output, descriptor)
            os.close(output)
            gc.enable()
            from nodepass.child import run_instance  # noqa: PLC0415 - it has been imported before the fork

            code = run_instance(url, (self._lock,))
        except BaseException:  # noqa: BLE001 - whatever it is, it must not get into the loop above
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for sock in (self._control, self._wakeup, self._woken):
            sock.close()

    def _wait_for_ended(self) -> None:
        for number, pid in tuple(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[number]
                self._send(Ended(number, os.waitstatus_to_exitcode(status)))

    def _end_all(self) -> None:
        self._selector.unregister(self._control)
        self._signal_all(signal.SIGTERM)
        end = time.monotonic() + STOP_PATIENCE
        while self._pids and (left := end - time.monotonic()) > 0:
            self._handle_ready(left)
        self._signal_all(signal.SIGKILL)
        while self._pids:
            self._handle_ready(None)

    def _signal_all(self, number: int) -> None:
        for pid in self._pids.values():
            os.kill(pid, number)

    def _send(self, reply: Reply) -> None:
        # A master that has ended hears nothing; that it has, the next read tells.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._control.send(encode(reply))


def _ignore(_: int, __: FrameType | None) -> None:
    """Do nothing; that there is a handler lets SIGCHLD wake the selector."""


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when `parent` ends; elsewhere than on Linux, there is no such service."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """Run the fork server on the socket and the lock file whose numbers are the arguments."""
    from setproctitle import setproctitle  # noqa: PLC0415 - it is what a process shows that needs it

    setproctitle("nodepass fork server")
    control, lock = map(int, sys.argv[1:])
    ForkServer(socket.socket(fileno=control), lock).run()


if __name__ == "__main__":
    main()
