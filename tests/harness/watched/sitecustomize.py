"""Runs at the start of each Python process that has this folder on its path: watches its event loop, tells what is wrong.

Found is: a callback of `LIMIT` or more, a coroutine that nobody awaited, a resource that nobody closed, and what asyncio
itself logs as a warning or worse. It goes line by line into a file of the process's own (`tests/harness/debug_loops.py`).

A callback is not blamed for the time in which it was ready to run and the machine ran others: the kernel counts that for
each thread (`/proc/thread-self/schedstat`, the second figure), but not what the host of a virtual machine takes. So:

- a callback that gave up the processor by itself (`ru_nvcsw`) waited for something, a lock, a disk, a name: all counts but
  the time in which it was ready, or another thread of its process was. For a thread that it starts, it waits until that
  runs, and with others it shares the interpreter;
- of one that did not, only the processor's time counts;
- one during which the process was stopped (SIGCONT tells) is not judged;
- neither is one that imported something: what a tunnel needs is imported once, when it is first known, before its users.

On plain asyncio whatever the loop runs goes through `Handle._run`. uvloop's handles are closed, so there what is given to
the loop is wrapped; the protocols of its own transports, which a master's web server uses, are measured on asyncio only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from resource import RUSAGE_THREAD, getrusage
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = "NODEPASS_LOOP_REPORTS"
"""The variable that names the folder for what is found; without it this module does nothing."""

LOOP = "NODEPASS_LOOP"
"""The variable that names the loop: `uvloop` or `asyncio`."""

LIMIT = 0.1
"""Seconds."""

NANOSECONDS = 1_000_000_000


SNAPSHOT = 0.05
"""Seconds for which what was counted of other threads is good enough: to look costs more than most callbacks."""


class Delays:
    """How long threads were ready and did not run. It has a file open for each thread that asks."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        self._others = 0.0
        self._others_at = 0.0

    def forget(self) -> None:
        """After a fork: the files are the parent's threads'."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def now(self) -> float:
        """Seconds since the thread began."""
        thread = threading.get_ident()
        descriptor = self._files.get(thread)
        try:
            if descriptor is None:
                descriptor = self._files[thread] = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            return _delay_in(os.pread(descriptor, 100, 0))
        except OSError:
            # Out of descriptors, as some tests want it.
            return 0.0

    def others_before(self) -> float:
        """Seconds of all other threads of the process; as they are, or were a moment ago."""
        now = time.monotonic()
        if now - self._others_at > SNAPSHOT:
            self._others, self._others_at = self.others(), now
        return self._others

    @staticmethod
    def others() -> float:
        """Seconds of all other threads of the process; those that have ended do not count."""
        mine, found = str(threading.get_native_id()), 0.0
        with suppress(OSError):
            for thread in Path("/proc/self/task").iterdir():
                if thread.name != mine:
                    found += _delay_in((thread / "schedstat").read_bytes())
        return found


def _delay_in(schedstat: bytes) -> float:
    return int(schedstat.split()[1]) / NANOSECONDS


delays = Delays()


def report(text: str) -> None:
    """Write a line into this process's file."""
    line = f"{os.getpid()} ({' '.join(sys.argv)[:120]}): {' '.join(text.split())}\n"
    with (Path(os.environ[FOLDER]) / str(os.getpid())).open("a", encoding="utf-8") as file:
        file.write(line)


class Stops:
    """When this process has been continued last, after SIGSTOP."""

    def __init__(self) -> None:
        self.continued = 0.0

    def hear(self, *_: object) -> None:
        self.continued = time.monotonic()


stops = Stops()


def timed(callback: Callable[..., Any], run: Callable[[], Any]) -> None:
    """Run it, and tell if it was slow."""
    others, waits, delay = delays.others_before(), getrusage(RUSAGE_THREAD).ru_nvcsw, delays.now()
    modules, used, began = len(sys.modules), time.thread_time(), time.monotonic()
    try:
        run()
    finally:
        whole = time.monotonic() - began
        if whole >= LIMIT and stops.continued < began and len(sys.modules) == modules:
            used = time.thread_time() - used
            delay = delays.now() - delay
            waits = getrusage(RUSAGE_THREAD).ru_nvcsw - waits
            others = max(delays.others() - others, 0.0)
            if (whole - delay - others if waits else used) >= LIMIT:
                report(
                    f"slow callback {name_of(callback)}: {whole:.3f} s, of them {used:.3f} s of the processor"
                    f" and {delay:.3f} s in which it was ready and others ran; it waited {waits} times,"
                    f" other threads were ready for {others:.3f} s"
                )


def name_of(callback: object) -> str:
    """What it is, for a person; for a step of a task, the coroutine."""
    while isinstance(callback, partial):
        callback = callback.func
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"task {owner.get_name()} {owner.get_coro()!r}"
    return str(getattr(callback, "__qualname__", callback))


def watch_asyncio() -> None:
    """Measure whatever a loop of asyncio runs."""
    original = asyncio.Handle._run

    def run(self: asyncio.Handle) -> None:
        timed(self._callback, partial(original, self))  # type: ignore[attr-defined] # not in the stubs

    asyncio.Handle._run = run  # type: ignore[method-assign] # that is the purpose


def watch_uvloop() -> None:
    """Measure whatever is given to a loop of uvloop."""
    from uvloop import Loop  # noqa: PLC0415 - only where it is the loop

    def wrapped(callback: Callable[..., Any]) -> Callable[..., None]:
        return lambda *args: timed(callback, partial(callback, *args))

    def replace(name: str, place: int) -> None:
        """The method takes a callback as the argument in this place."""
        original = getattr(Loop, name)

        def method(self: Loop, *args: Any, **more: Any) -> Any:
            return original(self, *args[:place], wrapped(args[place]), *args[place + 1 :], **more)

        setattr(Loop, name, method)

    for name, place in (
        *(("call_soon", 0), ("call_soon_threadsafe", 0), ("call_later", 1), ("call_at", 1)),
        *(("add_reader", 1), ("add_writer", 1), ("add_signal_handler", 1)),
    ):
        replace(name, place)


ONLY_IN_DEBUG_MODE = ("Executing", "Error on transport creation for incoming connection")
"""What it calls slow, with the time in which others ran; and a stranger whose TLS handshake failed."""


class Told(logging.Filter):
    """Reports what asyncio logs, but for `ONLY_IN_DEBUG_MODE`, which it logs in no other."""

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith(ONLY_IN_DEBUG_MODE):
            return False
        if record.levelno >= logging.WARNING:
            report(f"asyncio says {record.getMessage()}")
        return True


def watch_warnings() -> None:
    """Report what was not awaited or not closed."""
    shown = warnings.showwarning
    for category in (ResourceWarning, RuntimeWarning):
        warnings.simplefilter("always", category)

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, ResourceWarning) or "never awaited" in str(message):
            report(f"{category.__name__}: {message} ({place[0]}:{place[1]})")
        else:
            shown(message, category, *place, **more)

    warnings.showwarning = show


def install() -> None:
    """Watch this process."""
    signal.signal(signal.SIGCONT, stops.hear)
    os.register_at_fork(after_in_child=delays.forget)
    watch_warnings()
    logging.getLogger("asyncio").addFilter(Told())
    if os.environ.get(LOOP) == "asyncio":
        sys.modules["uvloop"] = None  # type: ignore[assignment] # an import of it fails
        watch_asyncio()
    else:
        watch_uvloop()


def give_way() -> None:
    """Run the file of this name that stands behind this one on the path: some tests have one."""
    for folder in sys.path:
        path = Path(folder) / "sitecustomize.py"
        if path.is_file() and not path.samefile(__file__):
            runpy.run_path(str(path))
            return


if FOLDER in os.environ and __name__ == "sitecustomize":
    install()
    give_way()
