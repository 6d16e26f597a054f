"""Which addresses a tunnel binds for certain, so that two that want the same are told before either runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodepass.config import ClientConfig, MasterConfig, PoolTransport, RunMode, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nodepass.config import Config, Endpoint


@dataclass(frozen=True, slots=True)
class Listener:
    """An address that is bound.

    Args:
        endpoint: where.
        is_tcp: TCP, else UDP.
    """

    endpoint: Endpoint
    is_tcp: bool

    def __str__(self) -> str:
        return f"{self.endpoint} ({'TCP' if self.is_tcp else 'UDP'})"

    def collides_with(self, other: Listener) -> bool:
        """Whether the system gives only one of the two. Names are not resolved: of those, only equal ones are seen."""
        if (self.is_tcp, self.endpoint.port) != (other.is_tcp, other.endpoint.port):
            return False
        one, two = self.endpoint, other.endpoint
        if one.host == two.host or not (one.host and two.host):
            return True
        first, second = one.ip, two.ip
        if first is None or second is None:
            return (one.is_loopback and two.is_loopback) or one.is_unspecified or two.is_unspecified
        return first == second or (first.version == second.version and (one.is_unspecified or two.is_unspecified))


def listeners_of(config: Config) -> Iterator[Listener]:
    """What a tunnel binds, whatever its peer says and whatever else is bound.

    A server without `mode` finds out by binding, and a dual-end client by asking its server: of those, users' ports are
    left out.
    """
    if isinstance(config, MasterConfig):
        yield Listener(config.address, is_tcp=True)
    elif isinstance(config, ServerConfig):
        yield Listener(config.tunnel, is_tcp=True)
        if config.type is PoolTransport.QUIC:
            yield Listener(config.tunnel, is_tcp=False)
        if config.mode is RunMode.REVERSE_OR_SINGLE_END:
            yield from _for_users(config, config.targets[0])
    elif config.mode is RunMode.REVERSE_OR_SINGLE_END:
        yield from _for_users(config, config.tunnel)


def _for_users(config: ServerConfig | ClientConfig, endpoint: Endpoint) -> Iterator[Listener]:
    if not config.notcp:
        yield Listener(endpoint, is_tcp=True)
    if not config.noudp:
        yield Listener(endpoint, is_tcp=False)
