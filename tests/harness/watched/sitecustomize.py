"""Runs at the start of each Python process that has this folder on its path: watches its event loop, tells what is wrong.

Found is: a callback of `LIMIT` or more, a coroutine that nobody awaited, a resource that nobody closed, and what asyncio
itself logs as a warning or worse. It goes line by line into a file of the process's own (`tests/harness/debug_loops.py`).

A callback is not blamed for the time in which it was ready to run and the machine ran others. The kernel counts that for
each thread (`/proc/thread-self/schedstat`, the second figure); what is left is the processor's time, and the time in which
the callback waited for something: a lock, a disk, a name. Both keep the loop from everybody else, so both count.

On plain asyncio whatever the loop runs goes through `Handle._run`. uvloop's handles are closed, so there what is given to
the loop is wrapped; the protocols of its own transports, which a master's web server uses, are measured on asyncio only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path
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


class Delays:
    """How long this thread was ready and did not run. It has a file open for each thread that asks."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}

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
            return int(os.pread(descriptor, 100, 0).split()[1]) / NANOSECONDS
        except OSError:
            # Out of descriptors, as some tests want it.
            return 0.0


delays = Delays()


def report(text: str) -> None:
    """Write a line into this process's file."""
    line = f"{os.getpid()} ({' '.join(sys.argv)[:120]}): {' '.join(text.split())}\n"
    with (Path(os.environ[FOLDER]) / str(os.getpid())).open("a", encoding="utf-8") as file:
        file.write(line)


def timed(callback: Callable[..., Any], run: Callable[[], Any]) -> None:
    """Run it, and tell if it was slow."""
    waited, used, began = delays.now(), time.thread_time(), time.monotonic()
    try:
        run()
    finally:
        whole = time.monotonic() - began
        if whole >= LIMIT:
            delay = delays.now() - waited
            if whole - delay >= LIMIT:
                used = time.thread_time() - used
                report(
                    f"slow callback {name_of(callback)}: {whole:.3f} s, of them {used:.3f} s of the processor"
                    f" and {delay:.3f} s in which it was ready and others ran"
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


class Told(logging.Filter):
    """Reports what asyncio logs, but not what it calls slow: it counts the time in which others ran."""

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("Executing"):
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
    os.register_at_fork(after_in_child=delays.forget)
    watch_warnings()
    logging.getLogger("asyncio").addFilter(Told())
    if os.environ.get(LOOP) == "asyncio":
        sys.modules["uvloop"] = None  # type: ignore[assignment] # an import of it fails
        watch_asyncio()
    else:
        watch_uvloop()


if FOLDER in os.environ and __name__ == "sitecustomize":
    install()
