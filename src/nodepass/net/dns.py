"""Names to addresses, kept for the time that `dns` says.

What always holds: an IP address is never looked up; a name is looked up at most once at a time, however many wait for it;
a name that stops resolving, or whose server hangs, serves its last addresses on, with a warning (spec: config.md, `dns`);
a look-up that hangs is waited for once: until one has been answered in time, whoever asks for that name hears at once that
there is no answer, while one look-up goes on. Names know nothing of each other: those of another server are not affected.

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
"""Seconds to wait for an answer before the last known addresses are used, and the name is one that hangs."""

SECOND_PATIENCE = 0.5
"""Seconds that the next look-up of a name that hangs has, so that nobody is refused once its server is back."""

UNTIL_IT_ENDS = float("inf")
"""While that look-up goes on, however long the system takes for it."""

REMEMBERED = 30.0
"""Seconds after its last look-up for which a name is one that hangs."""


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
        self._hanging: dict[str, float] = {}
        """Names whose look-up was not answered in time, and until when that is remembered."""

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
        hangs = self._hanging.get(host, now) > now
        # Where there is something to fall back on, a look-up is waited for once, not by every user anew.
        longest = LOOKUP_TIMEOUT if self._answers.get(host) is None else patience
        if hangs:
            longest = SECOND_PATIENCE
        await asyncio.wait((lookup,), timeout=min(patience, max(begun + longest - now, 0)))
        if lookup.done():
            reason = self._failures.get(host, "")
        elif hangs:
            reason = "its name server has not been answering"
        else:
            reason = f"no answer within {patience:g} s"
        answer = self._answers.get(host)
        if answer is None:
            raise DialError(f"cannot resolve {host}: {reason}")
        if reason:
            last = ", ".join(answer[1])
            self._log.seldom(f"dns {host}", WARN, "DNS: cannot resolve %s (%s), using its last %s", host, reason, last)
        return answer[1]

    async def _look_up(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        late = loop.call_later(LOOKUP_TIMEOUT, self._hangs, host)
        try:
            addresses = await _ask_system(host)
        except (OSError, UnicodeError) as error:
            self._failures[host] = getattr(error, "strerror", None) or str(error)
        else:
            self._failures.pop(host, None)
            self._answers[host] = (loop.time() + self._keep, addresses)
        finally:
            del self._lookups[host]
            late.cancel()
            if self._hanging.get(host) == UNTIL_IT_ENDS:
                self._hanging[host] = loop.time() + REMEMBERED
            elif self._hanging.pop(host, None) is not None:
                self._log.info("DNS: look-ups of %s are answered again", host)

    def _hangs(self, host: str) -> None:
        """A look-up has not been answered in time."""
        if host not in self._hanging:
            does = "its last addresses are used" if host in self._answers else "who needs it is refused"
            text = "DNS: no answer for %s within %g s: %s, at once, until there is one"
            self._log.warning(text, host, LOOKUP_TIMEOUT, does)
        self._hanging[host] = UNTIL_IT_ENDS


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
