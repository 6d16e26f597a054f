"""What only TLS links have: certificates, truncation, records."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

import pytest

from nodepass.errors import DialError
from nodepass.net.certificates import ClientTls, client_context
from nodepass.transport.socket_link import Shared
from nodepass.transport.tls_link import TlsLink
from tests.unit.transport.links import CERTIFICATE, Notes, attached, connected_sockets, encrypt, tls_pair

if TYPE_CHECKING:
    from tests.unit.transport.test_link_conformance import Run


def test_both_ends_name_the_same_certificate(run: Run) -> None:
    async def main() -> None:
        near, far = await tls_pair()
        assert near.fingerprint == far.fingerprint == CERTIFICATE.fingerprint
        assert re.fullmatch(r"sha256(:[0-9A-F]{2}){32}", CERTIFICATE.fingerprint)
        near.abort()
        far.abort()

    run(main())


def test_a_stream_cut_off_without_close_notify_is_broken(run: Run) -> None:
    async def main() -> None:
        near_socket, far_socket = connected_sockets()
        cutter = os.dup(near_socket.fileno())
        near, far = await encrypt(near_socket, far_socket)
        notes = attached(far)
        near.write(b"the first half")
        await notes.until(lambda: bool(notes.data))
        # The kernel's FIN alone, as an attacker or a crash would send it.
        near.pause_reading()
        near_socket.shutdown(1)
        await notes.until(lambda: "lost" in notes.events)
        assert "eof" not in notes.events
        assert isinstance(notes.error, ConnectionResetError)
        os.close(cutter)
        near.abort()

    run(main())


def test_records_keep_their_boundaries_unless_coalesced(run: Run) -> None:
    async def main() -> None:
        near, far = await tls_pair()
        notes = Notes(far)
        for size in range(1, 100):
            near.write(bytes(size))
        far.coalesce = False
        far.attach(notes)
        await notes.until(lambda: len(notes.chunks) == 99)
        assert notes.chunks == list(range(1, 100))
        near.abort()
        far.abort()

    run(main())


def test_garbage_instead_of_a_handshake_fails_it(run: Run) -> None:
    async def main() -> None:
        near_socket, far_socket = connected_sockets()
        failed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        shared = Shared(4096)
        TlsLink(far_socket, shared, CERTIFICATE, timeout=10, ready=lambda _, error: failed.set_result(error))
        near_socket.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await failed is not None
        near_socket.close()

    run(main())


def test_a_handshake_that_never_comes_is_given_up(run: Run) -> None:
    async def main() -> None:
        near_socket, far_socket = connected_sockets()
        failed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        shared = Shared(4096)
        TlsLink(far_socket, shared, CERTIFICATE, timeout=0.01, ready=lambda _, error: failed.set_result(error))
        assert isinstance(await failed, DialError)
        near_socket.close()

    run(main())


def test_an_unknown_issuer_is_refused_where_certificates_are_verified(run: Run) -> None:
    async def main() -> None:
        near_socket, far_socket = connected_sockets()
        loop = asyncio.get_running_loop()
        shared = Shared(4096)
        near_failed: asyncio.Future[Exception | None] = loop.create_future()
        far_failed: asyncio.Future[Exception | None] = loop.create_future()
        verifying = ClientTls(client_context(verify=True), "localhost")
        TlsLink(near_socket, shared, verifying, timeout=10, ready=lambda _, error: near_failed.set_result(error))
        TlsLink(far_socket, shared, CERTIFICATE, timeout=10, ready=lambda _, error: far_failed.set_result(error))
        assert "CERTIFICATE_VERIFY_FAILED" in str(await near_failed)
        assert await far_failed is not None

    run(main())


def test_an_abort_during_the_handshake_calls_nobody(run: Run) -> None:
    async def main() -> None:
        near_socket, far_socket = connected_sockets()
        called: list[Exception | None] = []
        shared = Shared(4096)
        link = TlsLink(far_socket, shared, CERTIFICATE, timeout=0.01, ready=lambda _, error: called.append(error))
        link.abort()
        with pytest.raises(ConnectionResetError):
            near_socket.recv(1)
        assert not called
        near_socket.close()

    run(main())
