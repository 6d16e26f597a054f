"""What the parts of one instance share, made once when it starts and passed down. Nothing here is global."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodepass.net.dial import LocalAddress
from nodepass.net.dns import Resolver
from nodepass.net.tasks import Tasks
from nodepass.relay.meter import SMALLEST_READ, Meter
from nodepass.transport.socket_link import Shared
from nodepass.transport.tickets import Tickets
from nodepass.tunnel.place import Place
from nodepass.tunnel.repeats import Repeats

if TYPE_CHECKING:
    from nodepass.config import ClientConfig, ServerConfig, Tunables
    from nodepass.log import Log

READS_PER_SECOND_AT_RATE = 50
"""With a rate, a read is at most this part of a second's worth, so that traffic flows evenly."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the parts of one instance share.

    Args:
        log: where the instance says what happens.
        tunables: the NP_* settings.
        tasks: who holds background tasks.
        meter: counters and limits.
        resolver: the DNS cache.
        local: where target connections come from.
        shared: with all links; a relay is done with a chunk before the next read.
        datagrams: what all UDP sockets read into.
        tickets: of servers, with which a client comes back to them.
        place: where the instance runs, which binds for it.
        repeats: users whom the other end has announced.
    """

    log: Log
    tunables: Tunables
    tasks: Tasks
    meter: Meter
    resolver: Resolver
    local: LocalAddress
    shared: Shared
    datagrams: memoryview
    tickets: Tickets
    place: Place
    repeats: Repeats

    def close(self) -> None:
        """Let go of what they hold: background tasks, the watch over sockets."""
        self.tasks.cancel()
        self.shared.resets.close()


def make_resources(
    config: ServerConfig | ClientConfig, tunables: Tunables, log: Log, place: Place | None = None
) -> Resources:
    """For one run of an instance, inside the event loop."""
    place = place or Place()
    tasks = Tasks(log)
    read_size = tunables.tcp_data_buf_size
    if config.rate:
        read_size = min(read_size, max(config.rate_bytes // READS_PER_SECOND_AT_RATE, SMALLEST_READ))
    return Resources(
        log=log,
        tunables=tunables,
        tasks=tasks,
        meter=Meter(config.slot, config.rate_bytes, config.read, place.limits),
        resolver=Resolver(config.dns, log, tasks),
        local=LocalAddress(None if config.dial is None else str(config.dial), log),
        shared=Shared(read_size),
        datagrams=memoryview(bytearray(tunables.udp_data_buf_size + 1)),
        tickets=Tickets(),
        place=place,
        repeats=Repeats(),
    )
