"""`tls`, `crt`, `key` and `sni`: what goes over the wire, and whom a client trusts."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import (
    Authority,
    Echo,
    Recorder,
    Runner,
    Tunnel,
    Wiretap,
    connect,
    echoed,
    ended,
    exchange,
    free_port,
    user_context,
)

if TYPE_CHECKING:
    from pathlib import Path

MARKER = b"nobody on the way may read this"


def overheard(np: Runner, flow: str, tls: int) -> bytes:
    """What a man in the middle hears of a tunnel that carries `MARKER`."""
    with Wiretap() as tap, Echo() as target:
        # The tap must know the server's port before the client dials, so the client is started by hand.
        port, users = free_port(), free_port()
        tap.to = port
        at_server, at_client = f"127.0.0.1:{users}", f"127.0.0.1:{target.port}"
        mode = 1
        if flow == "forward":
            at_server, at_client, mode = at_client, at_server, 2
        np.run(f"server://k@127.0.0.1:{port}/{at_server}?mode={mode}&tls={tls}").listening()
        client = np.run(f"client://k@127.0.0.1:{tap.port}/{at_client}?mode=2&min=2").ready()
        client.ready()
        with connect(users) as user:
            assert exchange(user, MARKER) == MARKER
        return bytes(tap.heard)


@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_no_tls_is_plain_on_the_wire(np: Runner, flow: str) -> None:
    assert MARKER in overheard(np, flow, 0)


@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_self_signed_tls_hides_users_and_signals(np: Runner, flow: str) -> None:
    heard = overheard(np, flow, 1)
    assert MARKER not in heard
    assert b"GET / HTTP/1.1" in heard


def files_tunnel(np: Runner, folder: Path, *names: str, trusted: Path | None = None, **more: Any) -> Tunnel:
    """A tunnel with tls=2 whose server certificate is for `names`."""
    authority = Authority(folder)
    crt, key = authority.issue("server", *names)
    return np.tunnel(
        server=f"tls=2&crt={crt}&key={key}",
        client_env={"SSL_CERT_FILE": str(trusted or authority.path)},
        wait=False,
        **more,
    )


@pytest.mark.every_transport
@pytest.mark.parametrize(
    ("names", "more"),
    [
        (("localhost",), {"dialled": "localhost"}),
        (("127.0.0.1",), {}),
        (("tunnel.example",), {"client": "sni=tunnel.example"}),
        (("*.tunnel.example",), {"client": "sni=a.tunnel.example", "dialled": "localhost"}),
    ],
)
def test_verified_tls_with_a_trusted_certificate(
    np: Runner, tmp_path: Path, names: tuple[str, ...], more: dict[str, Any]
) -> None:
    tunnel = files_tunnel(np, tmp_path, *names, **more)
    with Echo(tunnel.target):
        tunnel.client.ready()
        assert echoed(tunnel.users)


@pytest.mark.every_transport
@pytest.mark.parametrize(
    ("names", "more"),
    [
        (("other.example",), {"dialled": "localhost"}),
        (("127.0.0.2",), {}),
        (("localhost",), {"dialled": "localhost", "client": "sni=tunnel.example"}),
    ],
)
def test_verified_tls_refuses_another_name(
    np: Runner, tmp_path: Path, names: tuple[str, ...], more: dict[str, Any]
) -> None:
    tunnel = files_tunnel(np, tmp_path, *names, **more)
    line = tunnel.client.wait_for("Client error: the server.s certificate is not trusted").string
    assert "mismatch" in line.lower() or "not valid for" in line.lower()
    assert not tunnel.client.matches(tunnel.client.READY)


@pytest.mark.every_transport
def test_verified_tls_refuses_an_unknown_authority(np: Runner, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    tunnel = files_tunnel(np, tmp_path, "127.0.0.1", trusted=stranger.path)
    line = tunnel.client.wait_for("Client error: the server.s certificate is not trusted").string
    assert "certificate" in line.lower()
    assert not tunnel.client.matches(tunnel.client.READY)


@pytest.mark.parametrize(
    ("query", "dialled", "host"),
    [("sni=front.example", "127.0.0.1", "front.example"), ("", "127.0.0.1", "none"), ("", "localhost", "localhost")],
)
def test_sni_is_the_host_of_the_handshake(np: Runner, query: str, dialled: str, host: str) -> None:
    with Recorder() as server:
        np.run(f"client://k@{dialled}:{server.port}/127.0.0.1:9?mode=2&{query}".rstrip("&"))
        received = server.next()
        assert received.first.wait(5)
        assert f"\r\nHost: {host}\r\n".encode() in received.data


def test_single_end_ends_self_signed_tls(np: Runner) -> None:
    forwarder = np.forwarder("tls=1")
    data = os.urandom(2_000_000)
    with Echo(forwarder.target), user_context().wrap_socket(connect(forwarder.users)) as user:
        assert user.version() == "TLSv1.3"
        assert exchange(user, data[:16000]) == data[:16000]
    with Recorder(forwarder.target) as target, user_context().wrap_socket(connect(forwarder.users)) as user:
        user.sendall(data)
        user.unwrap().close()
        assert target.next().all() == data


def test_single_end_ends_tls_with_files(np: Runner, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    crt, key = authority.issue("listener", "localhost")
    forwarder = np.forwarder(f"tls=2&crt={crt}&key={key}")
    plain = connect(forwarder.users)
    with Echo(forwarder.target), user_context(authority).wrap_socket(plain, server_hostname="localhost") as user:
        assert exchange(user, MARKER) == MARKER


def test_single_end_with_tls_refuses_plain_users(np: Runner) -> None:
    forwarder = np.forwarder("tls=1")
    with connect(forwarder.users) as user:
        user.sendall(b"GET / HTTP/1.1\r\n\r\n")
        forwarder.client.wait_for("TLS handshake with the user at")
        assert ended(user)


def test_single_end_with_tls_carries_udp_as_it_is(np: Runner) -> None:
    forwarder = np.forwarder("tls=1")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as user,
    ):
        target.bind(("127.0.0.1", forwarder.target))
        target.settimeout(10)
        user.sendto(b"datagram", ("127.0.0.1", forwarder.users))
        assert target.recv(100) == b"datagram"
