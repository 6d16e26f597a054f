"""Names to addresses, kept for the time that `dns` says.

What always holds: an IP address is never looked up; a name is looked up at most once at a time, however many wait for it;
a name that stops resolving, or whose server hangs, serves its last addresses on, with a warning (spec: config.md, `dns`).

The system's look-up can hang for half a minute and cannot be called off. Each has a thread of its own that nobody joins:
the event loop's own threads are few, and the end of the process would wait for them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from nodepass.errors import DialError
from nodepass.log import WARN

if TYPE_CHECKING:
    from nodepass.log import Log
    from nodepass.net.tasks import Tasks

LOOKUP_TIMEOUT = 5.0
"""Seconds to wait for an answer before the last known addresses are used."""


def is_ip(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver:
    """The DNS cache of one instance.

    Args:
        keep: seconds an answer is good for; 0 asks every time.
        log: where a name that stopped resolving is told of.
        tasks: who holds the look-ups.
    """

    def __init__(self, keep: float, log: Log, tasks: Tasks) -> None:
        self._keep = keep
        self._log = log
        self._tasks = tasks
        self._answers: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._lookups: dict[str, tuple[asyncio.Task[None], float]] = {}
        self._failures: dict[str, str] = {}

    def known(self, host: str) -> tuple[str, ...] | None:
        """The addresses of `host` if they can be had without asking: an IP address, or a fresh answer."""
        answer = self._answers.get(host)
        if answer is not None:
            return answer[1] if asyncio.get_running_loop().time() < answer[0] else None
        if is_ip(host):
            self._answers[host] = (float("inf"), (host,))
            return (host,)
        return None

    async def resolve(self, host: str, patience: float = LOOKUP_TIMEOUT) -> tuple[str, ...]:
        """The addresses of `host`, the system's preferred one first.

        Args:
            host: name or IP address.
            patience: seconds to wait for an answer, `LOOKUP_TIMEOUT` at most.

        Raises:
            DialError: the name does not resolve in time, and never has.
        """
        known = self.known(host)
        if known is not None:
            return known
        now = asyncio.get_running_loop().time()
        patience = min(patience, LOOKUP_TIMEOUT)
        if host not in self._lookups:
            self._lookups[host] = self._tasks.start(self._look_up(host), f"look-up of {host}"), now
        lookup, begun = self._lookups[host]
        answer = self._answers.get(host)
        # Where there is something to fall back on, a look-up that hangs is waited for once, not by every user anew.
        await asyncio.wait((lookup,), timeout=patience if answer is None else max(begun + patience - now, 0))
        reason = self._failures.get(host, "") if lookup.done() else f"no answer within {patience:g} s"
        answer = self._answers.get(host)
        if answer is None:
            raise DialError(f"cannot resolve {host}: {reason}")
        if reason:
            last = ", ".join(answer[1])
            self._log.seldom(f"dns {host}", WARN, "DNS: cannot resolve %s (%s), using its last %s", host, reason, last)
        return answer[1]

    async def _look_up(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            addresses = await _ask_system(host)
        except (OSError, UnicodeError) as error:
            self._failures[host] = getattr(error, "strerror", None) or str(error)
        else:
            self._failures.pop(host, None)
            self._answers[host] = (loop.time() + self._keep, addresses)
        finally:
            del self._lookups[host]


async def _ask_system(host: str) -> tuple[str, ...]:
    """What the system knows of a name.

    Raises:
        OSError: it does not resolve.
        UnicodeError: it is no name.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(addresses: tuple[str, ...], error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(addresses)
        else:
            answer.set_exception(error)

    def ask() -> None:
        addresses: tuple[str, ...] = ()
        problem: Exception | None = None
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
        except (OSError, UnicodeError) as error:
            problem = error
        with suppress(RuntimeError):  # the loop has been closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(settle, addresses, problem)

    threading.Thread(target=ask, name=f"look-up of {host}", daemon=True).start()
    return await answer
