"""Connections: made, resumed, moved, ended in order, ended by trouble."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TYPE_CHECKING

import pytest

from nodepass.config import Tunables
from nodepass.errors import DialError
from nodepass.net.certificates import ClientTls, client_context, from_files, self_signed
from tests.harness import Authority, Troubles, UdpWay, free_port
from tests.unit.transport.links import attached, opened
from tests.unit.transport.quic.ends import ID, Ends, connection_of, ends

if TYPE_CHECKING:
    from pathlib import Path

    from nodepass.transport.quic.dialer import QuicDialer

BULK = os.urandom(2_000_000)
QUICK = Tunables(report_interval=0.1, handshake_timeout=1.0)
SIGNS_OF_LIFE = 20
"""Datagrams that pass in six intervals and more: at most four in two, and some that still belong to the set-up."""

INSECURE = client_context(verify=False)


async def come_back(made: Ends, tls: ClientTls | None = None) -> QuicDialer:
    """Let every dialer go, and make another one that has opened a stream."""
    for dialer in made.dialers:
        dialer.abort()
    dialer = made.dialer(tls)
    await made.pair(dialer)
    return dialer


async def first_visit(made: Ends, tls: ClientTls | None = None) -> QuicDialer:
    """Open a stream, and wait until the server's ticket has come."""
    dialer = made.dialer(tls)
    near, _ = await made.pair(dialer)
    await made.until(lambda: made.tickets._kept)
    near.link.abort()
    return dialer


# Coming back.


async def test_a_client_comes_back_with_streams_in_its_first_packet() -> None:
    async with ends() as made:
        first = await first_visit(made)
        fingerprint = connection_of(first).streams.fingerprint
        first.close()
        await made.until(lambda: first._dialled is None)
        dialer = made.dialer()
        links = await asyncio.gather(*(opened(dialer) for _ in range(64)))
        engine = connection_of(dialer).engine
        assert (engine.resumed, engine.early_accepted) == (True, True)
        assert [link.fingerprint for link in links] == [fingerprint] * 64
        assert made.source.current.fingerprint == fingerprint
        for link in links:
            notes = attached(link)
            await notes.until(lambda notes=notes: notes.data == ID)  # type: ignore[misc]
        assert any("with early streams" in text for text in made.lines.texts)


async def test_only_opening_bytes_go_out_early() -> None:
    """A link is not there to be written to before the handshake is done."""
    async with ends() as made:
        await first_visit(made)
        made.dialers[0].close()
        await made.until(lambda: made.dialers[0]._dialled is None)
        dialer = made.dialer()
        given: list[bool] = []
        dialer.open(lambda _: given.append(connection_of(dialer).complete), lambda _: given.append(False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        early = connection_of(dialer).engine
        assert early.early_streams()
        assert [data for _, data, _ in early._pre_handshake_writes] == [b"\0"]
        await made.until(lambda: given)
        assert given == [True]


async def test_a_ticket_is_good_once() -> None:
    async with ends() as made:
        await first_visit(made)
        (key, remembered), *_ = made.tickets._kept.items()
        dialer = await come_back(made)
        assert connection_of(dialer).engine.resumed
        made.tickets.put(key, remembered)
        again = await come_back(made)
        assert not connection_of(again).engine.resumed
        assert connection_of(again).streams.fingerprint == made.source.current.fingerprint


async def test_a_restarted_server_refuses_the_ticket_and_nobody_notices() -> None:
    async with ends() as made:
        await first_visit(made)
        made.listener.abort()
        made.listen()
        dialer = await come_back(made)
        engine = connection_of(dialer).engine
        assert (engine.resumed, engine.early_accepted) == (False, False)
        near, far = await made.pair(dialer)
        near.link.write(BULK)
        await far.until(lambda: len(far.data) == len(BULK))
        assert far.data == BULK


async def test_another_certificate_makes_tickets_void() -> None:
    async with ends() as made:
        await first_visit(made)
        made.source.current = self_signed()
        dialer = await come_back(made)
        assert not connection_of(dialer).engine.resumed
        assert connection_of(dialer).streams.fingerprint == made.source.current.fingerprint


async def test_a_ticket_from_an_unverified_server_is_no_trust(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = from_files(*authority.issue("server", "localhost"))
    async with ends(certificate=certificate) as made:
        await first_visit(made, ClientTls(INSECURE, "localhost"))
        with pytest.raises(ssl.SSLCertVerificationError):
            await opened(made.dialer(ClientTls(client_context(verify=True), "localhost")))
        trusting = ssl.create_default_context(cafile=str(authority.path))
        dialer = await come_back(made, ClientTls(trusting, "localhost"))
        assert not connection_of(dialer).engine.resumed
        dialer = await come_back(made, ClientTls(trusting, "localhost"))
        assert connection_of(dialer).engine.resumed


# Certificates.


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_a_certificate_is_verified(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    async with ends(certificate=from_files(*authority.issue("server", name))) as made:
        trusting = ssl.create_default_context(cafile=str(authority.path))
        await made.pair(made.dialer(ClientTls(trusting, name)))
        for context, asked in (
            (trusting, "example.org"),
            (trusting, None),
            (ssl.create_default_context(), name),
        ):
            with pytest.raises(ssl.SSLCertVerificationError):
                await opened(made.dialer(ClientTls(context, asked)))


async def test_a_reloaded_certificate_is_shown_to_new_connections(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with ends(certificate=from_files(*authority.issue("old", "localhost"))) as made:
        near, far = await made.pair()
        old = near.link.fingerprint
        made.source.current = from_files(*authority.issue("new", "localhost"))
        newer, _ = await made.pair(made.dialer())
        assert newer.link.fingerprint == made.source.current.fingerprint != old
        near.link.write(b"still")
        await far.until(lambda: far.data == b"still")


# Ways that are bad.


@pytest.mark.parametrize("seed", [1, 2])
async def test_all_arrives_over_a_bad_way(seed: int) -> None:
    async with ends() as made:
        with UdpWay(made.port, troubles=Troubles(loss=0.03, repeat=0.03, swap=0.05), seed=seed) as way:
            near, far = await made.pair(made.dialer(port=way.port))
            near.link.write(BULK)
            near.link.write_eof()
            far.link.write(BULK[::-1])
            far.link.write_eof()
            await far.until(lambda: "lost" in far.events)
            await near.until(lambda: "lost" in near.events)
            assert far.data == BULK
            assert near.data == BULK[::-1]
            assert (far.error, near.error) == (None, None)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_is_broken_off_over_a_bad_way_arrives_before_the_break(seed: int) -> None:
    async with ends() as made:
        with UdpWay(made.port, troubles=Troubles(loss=0.06, swap=0.05), seed=seed) as way:
            near, far = await made.pair(made.dialer(port=way.port))
            near.link.write(BULK)
            near.link.break_off()
            await far.until(lambda: "lost" in far.events)
            assert far.data == BULK
            assert far.error is not None


async def test_a_connection_goes_on_from_another_address_three_times() -> None:
    async with ends(tunables=QUICK) as made:
        with UdpWay(made.port) as way:
            near, far = await made.pair(made.dialer(port=way.port))
            for _ in range(3):
                way.move()
                for one, other in ((near, far), (far, near)):
                    other.data.clear()
                    one.link.write(BULK)
                    await other.until(lambda other=other: len(other.data) == len(BULK))  # type: ignore[misc]
                    assert other.data == BULK
            assert len(made.connections) == 1
            assert not made.lines.warnings


async def test_one_that_moves_too_often_is_told_at_once() -> None:
    async with ends() as made:
        with UdpWay(made.port) as way:
            near, far = await made.pair(made.dialer(port=way.port))
            for count in (1, 2, 3):
                way.move()
                near.link.write(b"x")
                await far.until(lambda count=count: len(far.data) == count)  # type: ignore[misc]
            assert not made.lines.warnings
            way.move()
            near.link.write(b"x")
            await near.until(lambda: "lost" in near.events)
            await far.until(lambda: "lost" in far.events)
            assert [line for line in made.lines.warnings if "moved once more" in line]
            again, _ = await made.pair(made.dialer(port=way.port))
            assert not again.link.gone


async def test_a_silent_peer_is_dead_after_three_intervals() -> None:
    async with ends(tunables=QUICK) as made:
        with UdpWay(made.port) as way:
            near, far = await made.pair(made.dialer(port=way.port))
            # Where nothing is said, only signs of life pass: without them, this would be its end.
            begun = way.passed
            await made.until(lambda: way.passed >= begun + SIGNS_OF_LIFE or near.link.gone or far.link.gone)
            assert not near.link.gone
            assert not far.link.gone
            way.silent = True
            await near.until(lambda: "lost" in near.events)
            await far.until(lambda: "lost" in far.events)
            assert "nothing was heard" in str(near.error)
            assert not made.connections


# The end.


async def test_a_dialer_that_is_closed_lets_its_links_finish() -> None:
    async with ends() as made:
        dialer = made.dialer()
        near, far = await made.pair(dialer)
        idle_near, idle_far = await made.pair(dialer)
        dialer.close()
        idle_near.link.abort()
        near.link.write(BULK)
        near.link.close()
        await dialer.departed()
        await far.until(lambda: "eof" in far.events)
        assert far.data == BULK
        await idle_far.until(lambda: "lost" in idle_far.events)
        await made.until(lambda: not made.connections)


async def test_a_listener_that_is_closed_lets_its_links_finish() -> None:
    async with ends() as made:
        near, far = await made.pair()
        made.listener.close()
        far.link.write(BULK)
        far.link.close()
        await made.listener.departed()
        await near.until(lambda: "eof" in near.events)
        assert near.data == BULK
        await made.until(lambda: made.dialers[0]._dialled is None)


@pytest.mark.parametrize("end", ["client", "server"])
async def test_an_end_that_goes_is_noticed_at_once(end: str) -> None:
    async with ends() as made:
        near, far = await made.pair()
        (made.dialers[0] if end == "client" else made.listener).abort()
        for notes in (near, far):
            await notes.until(lambda notes=notes: "lost" in notes.events)  # type: ignore[misc]
            assert notes.error is not None


async def test_a_server_that_vanishes_is_noticed_by_its_closed_port() -> None:
    async with ends() as made:
        near, _ = await made.pair()
        for sock in made.listener._sockets:
            sock.close()
        near.link.write(b"anyone?")
        await near.until(lambda: "lost" in near.events)
        assert "refused" in str(near.error)


async def test_a_dialer_makes_another_connection_when_one_has_died() -> None:
    async with ends() as made:
        dialer = made.dialer()
        near, _ = await made.pair(dialer)
        made.connections[0].fail(None)
        await near.until(lambda: "lost" in near.events)
        again, far = await made.pair(dialer)
        again.link.write(b"again")
        await far.until(lambda: far.data == b"again")


async def test_a_port_at_which_nobody_listens_fails_soon() -> None:
    async with ends() as made:
        with pytest.raises(DialError, match="refused"):
            await opened(made.dialer(port=free_port()))


async def test_a_server_that_does_not_answer_fails_in_time() -> None:
    async with ends(tunables=QUICK) as made:
        made.known.clear()
        with pytest.raises(DialError):
            await opened(made.dialer())


async def test_cancelling_works_at_every_stage() -> None:
    async with ends() as made:
        dialer = made.dialer()
        heard: list[object] = []
        dialer.open(heard.append, heard.append)()
        cancel = dialer.open(heard.append, heard.append)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cancel()
        near, far = await made.pair(dialer)
        assert not heard
        near.link.write(b"x")
        await far.until(lambda: far.data == b"x")
        dialer.close()
        failures: asyncio.Queue[Exception] = asyncio.Queue()
        dialer.open(heard.append, failures.put_nowait)
        assert isinstance(await failures.get(), DialError)
        assert not heard
