"""The rows there are, those of one setup beside each other, so that its processes are started once for all of them."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from bench.loads.bulk import Bulk, Downloads
from bench.loads.connections import Crowd, NewConnections
from bench.loads.crowd import Growth, IdleUsers
from bench.loads.datagrams import Datagrams
from bench.loads.handshakes import GatedConnections, Handshakes
from bench.loads.instances import Instances
from bench.loads.requests import BesideBulk, OneConnection, Requests
from bench.loads.starts import FirstByte, Version
from bench.loads.workers import HelloCrowd, Hellos, Paced, ShortConnections
from bench.model import Cast, Flow, Row, Setup
from nodepass.config import PoolTransport, TlsMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.model import Load
    from bench.ports import PortMaker

TCP: Final = Setup()
TCP_TLS: Final = Setup(tls=TlsMode.SELF_SIGNED)
TCP_FILES: Final = Setup(tls=TlsMode.FILES)
QUIC: Final = Setup(PoolTransport.QUIC, TlsMode.SELF_SIGNED)
WEBSOCKET: Final = Setup(PoolTransport.WEBSOCKET)
WEBSOCKET_TLS: Final = Setup(PoolTransport.WEBSOCKET, TlsMode.SELF_SIGNED)
HTTP2: Final = Setup(PoolTransport.HTTP2, TlsMode.SELF_SIGNED)
SINGLE: Final = Setup(single=True)
SINGLE_TLS: Final = Setup(tls=TlsMode.SELF_SIGNED, single=True)

TUNNELS: Final = (TCP, TCP_TLS, QUIC, WEBSOCKET, WEBSOCKET_TLS, HTTP2)
FORWARD: Final = tuple(replace(setup, flow=Flow.FORWARD) for setup in TUNNELS)
TCP_FILES_FORWARD: Final = replace(TCP_FILES, flow=Flow.FORWARD)
WITH_FILES: Final = tuple(replace(setup, tls=TlsMode.FILES) for setup in (QUIC, WEBSOCKET, HTTP2))
"""What `TCP_FILES` is for the other transports."""

FULL: Final = (*TUNNELS, TCP_FILES, *FORWARD, TCP_FILES_FORWARD, SINGLE)
"""Setups that have all rows."""

MANY: Final = 64
"""Connections of the rows of requests."""

PARALLEL: Final = 200
"""Users at once in the rows of new connections."""

BELOW: Final = 0.8
"""How many users come evenly, as a part of what one process serves."""

ABOVE: Final = 1.3
"""The same where one process cannot keep up. Two of them and the load need nearly all of two processors for it."""

QUICK: Final = {
    "beside-bulk/tcp",
    *(f"{load}/tcp" for load in ("bulk-down-1", "bulk-down-8", "requests-64", "one-connection", "new-connections")),
    *(f"{load}/tcp+tls" for load in ("bulk-down-1", "requests-64", "new-connections", "first-byte")),
    "bulk-down-1/single",
    "udp-200/tcp",
    "bulk-down-1/quic",
    "bulk-down-1/websocket",
    "idle-2000/tcp",
    "version",
}
"""What `--quick` runs: three minutes have room for no more."""


def all_rows(makes: PortMaker) -> list[Row]:
    """Every row.

    Args:
        makes: ports for those that need more than a setup has.
    """
    rows = [*_kept_rows(), *_workers_rows(), *_fresh_rows(makes)]
    return [replace(row, quick=row.name in QUICK) for row in rows]


def chosen(rows: Sequence[Row], patterns: Sequence[str], *, quick: bool) -> list[Row]:
    """Those that are asked for.

    Args:
        rows: to choose from.
        patterns: each is a name, or matches names as the shell's patterns do, or is part of names; none for all rows.
        quick: whether only those of the quick bench count, where no pattern asks for others.
    """
    if not patterns:
        return [row for row in rows if row.quick or not quick]
    names = {row.name for row in rows}

    def matches(name: str, pattern: str) -> bool:
        return name == pattern or (pattern not in names and (pattern in name or fnmatchcase(name, pattern)))

    return [row for row in rows if any(matches(row.name, pattern) for pattern in patterns)]


def _kept_rows() -> Iterator[Row]:
    """Rows that can follow each other on the same processes."""
    for setup in FULL:
        yield from _rows(
            setup,
            {
                "bulk-down-1": Bulk(1),
                "bulk-down-8": Bulk(8),
                "bulk-up-1": Bulk(1, up=True),
                "bulk-up-8": Bulk(8, up=True),
                "requests-64": Requests(MANY),
                "one-connection": OneConnection(),
                "beside-bulk": BesideBulk(),
                "new-connections": NewConnections(PARALLEL),
            },
        )
    for setup in WITH_FILES:
        # The certificate is looked at when a connection of the pool is opened. What follows is as without.
        loads = {"bulk-down-1": Bulk(1), "requests-64": Requests(MANY), "new-connections": NewConnections(PARALLEL)}
        yield from _rows(setup, loads)
    yield from _rows(
        SINGLE_TLS,
        {
            "downloads-1": Downloads(1),
            "downloads-8": Downloads(8),
            "requests-64": Requests(MANY),
            "one-connection": OneConnection(),
            "beside-bulk": BesideBulk(),
            # By wrk, which speaks TLS: with a small request in place of a byte.
            "new-connections": ShortConnections(PARALLEL),
        },
    )
    for setup in (*FULL, *WITH_FILES):
        yield from _rows(replace(setup, udp=True), {"udp-200": Datagrams(200), "udp-1400": Datagrams(1400)})


def _workers_rows() -> Iterator[Row]:
    """Several processes beside one, where that can help, and where it cannot on few processors."""
    loads: dict[Setup, dict[str, Load]] = {
        SINGLE: {
            "workers-connections": ShortConnections(MANY),
            "workers-paced": Paced(Crowd, BELOW),
            "workers-requests": Requests(MANY),
        },
        SINGLE_TLS: {
            "workers-hellos": Hellos(MANY),
            "workers-paced": Paced(HelloCrowd, BELOW),
            "workers-overload": Paced(HelloCrowd, ABOVE),
            "workers-requests": Requests(MANY),
        },
        TCP: {"workers-connections": ShortConnections(MANY), "workers-requests": Requests(MANY)},
    }
    for setup, of_one in loads.items():
        yield from (replace(row, cast=Cast.WORKERS) for row in _rows(setup, of_one))


def _fresh_rows(makes: PortMaker) -> Iterator[Row]:
    """Rows that start their own processes for each run."""
    for setup in (*FULL, *WITH_FILES):
        yield from _rows(setup, {"first-byte": FirstByte(), "idle-2000": IdleUsers(2000)})
    yield from _rows(SINGLE_TLS, {"first-byte": FirstByte()})
    for setup in (TCP, TCP_TLS, replace(TCP, flow=Flow.FORWARD), SINGLE):
        yield from _rows(setup, {"idle-10000": IdleUsers(10000)})
    yield Row("version", SINGLE, Version())
    for number in (1, 10, 100):
        yield Row(f"instances-{number}", SINGLE, Instances(number, makes))
    for setup in TUNNELS:
        for number in (1, 10, 100, 1000, 10000):
            yield from _rows(setup, {f"growth-{number}": Growth(number)})
    for setup in (TCP, TCP_TLS):
        extension = {"extension-handshakes": Handshakes(), "extension-connections": GatedConnections(PARALLEL)}
        yield from (replace(row, cast=Cast.EXTENSION) for row in _rows(setup, extension))


def _rows(setup: Setup, loads: dict[str, Load]) -> Iterator[Row]:
    return (Row(f"{name}/{setup}", setup, load) for name, load in loads.items())
