"""What a tunnel port takes from the world without harm, and whom it refuses."""

from __future__ import annotations

import base64
import os
import random
import socket
import ssl
import threading
from contextlib import suppress

import pytest

from tests.harness import KEY, Echo, Runner, connect, echoed, ended, exchange, free_port
from tests.harness.net import read_exactly
from tests.harness.raw import ask, bearer, pool_connection

REQUEST = f"GET / HTTP/1.1\r\nHost: none\r\nAuthorization: Bearer {bearer()}\r\n\r\n".encode()


@pytest.fixture
def port(np: Runner) -> int:
    """Of a server without a client."""
    port = free_port()
    np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1").listening()
    return port


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({}, 200),
        ({"token": bearer("another key")}, 401),
        ({"token": "nonsense"}, 401),
        ({"path": "/other"}, 404),
        ({"method": "POST"}, 405),
        ({"method": "HEAD"}, 405),
    ],
)
def test_answers_to_handshakes(port: int, request_: dict[str, str], status: int) -> None:
    found, body = ask(port, **request_)
    assert found == status
    if status == 200:
        assert body == b'{"flow":"-","max":1024,"tls":"0","type":"0"}\n'
    # A bad request never ends the waiting for a good one.
    assert ask(port, source="127.0.0.9")[0] == 200


def garbage(kind: str) -> bytes:
    """Bytes that are no handshake."""
    return {
        "random": random.Random(4).randbytes(100_000),
        "nul": bytes(70_000),
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200),
        "half": REQUEST[:-7],
        "endless header": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
        "nothing": b"",
        "lines": b"\r\n" * 50_000,
    }[kind]


KINDS = ["random", "nul", "tls", "half", "endless header", "nothing", "lines"]


@pytest.mark.parametrize("tls", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_tunnel_survives_garbage(np: Runner, kind: str, tls: int) -> None:
    """From an address of its own, and from that of the client, where a connection may be one for the pool."""
    tunnel = np.tunnel(server=f"tls={tls}", env={"NP_HANDSHAKE_TIMEOUT": "700ms"})
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        for source in ("127.0.0.9", "127.0.0.1"):
            for _ in range(5):
                # The server may cut it off at any time: before, while or after it speaks.
                with suppress(OSError), connect(tunnel.port, source=source, timeout=5) as intruder:
                    intruder.sendall(garbage(kind))
                    intruder.shutdown(socket.SHUT_WR)
                    ended(intruder)
        assert exchange(user, b"after") == b"after"
        assert echoed(tunnel.users)
    assert not tunnel.server.matches("session with .* ended")


def test_half_a_handshake_is_not_waited_for_longer_than_it_may_take(np: Runner) -> None:
    port = free_port()
    np.run(f"server://{KEY}@127.0.0.1:{port}/:{free_port()}?mode=1", env={"NP_HANDSHAKE_TIMEOUT": "300ms"}).listening()
    with connect(port) as intruder:
        intruder.sendall(REQUEST[:20])
        assert ended(intruder)
    assert ask(port)[0] == 200


def test_handshake_byte_by_byte(port: int) -> None:
    with connect(port) as peer:
        for byte in REQUEST:
            peer.sendall(bytes([byte]))
        assert peer.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("tls", [0, 1])
def test_wrong_key_is_refused_and_tried_again(np: Runner, tls: int) -> None:
    port, users = free_port(), free_port()
    np.run(f"server://right@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&tls={tls}").listening()
    client = np.run(f"client://wrong@127.0.0.1:{port}/127.0.0.1:9?mode=2")
    client.wait_for("Client error: handshake refused: 401")
    client.wait_for("Client restart")
    with Echo() as target:
        np.run(f"client://right@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2").ready()
        assert echoed(users)


def test_second_v1_client_from_one_address_is_refused_while_the_first_lives(np: Runner) -> None:
    port = free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&tls=1&log=debug").listening()
    assert ask(port)[0] == 200
    with ssl_pool_connection(port) as control:
        assert read_exactly(control, 4) == bytes(4)

        def live() -> None:
            with suppress(OSError):
                while control.recv(1000):
                    control.sendall(signal_line('{"action":"pong"}'))

        thread = threading.Thread(target=live)
        thread.start()
        server.checkpoint()
        assert ask(port)[0] == 409
        assert not server.matches("session with .* ended")
        control.shutdown(socket.SHUT_RDWR)
        thread.join()
    server.wait_for("session with .* ended")
    assert ask(port)[0] == 200


def ssl_pool_connection(port: int) -> ssl.SSLSocket:
    """A pool connection with TLS, of which nothing has been read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connect(port))


@pytest.mark.parametrize("tls", [0, 1])
def test_second_client_from_one_address_does_not_disturb_the_first(np: Runner, tls: int) -> None:
    tunnel = np.tunnel(server=f"tls={tls}")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"1") == b"1"
        second = np.run(tunnel.client.argv[-1]).ready()
        assert exchange(user, b"2") == b"2"
        assert echoed(tunnel.users)
        assert not tunnel.server.matches("session with .* ended")
        tunnel.client.kill()
        assert echoed(tunnel.users)
        assert second.matches("is ready")


def test_clients_of_several_addresses_share_the_users(np: Runner) -> None:
    port, users = free_port(), free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&log=debug").listening()
    with Echo(greeting=b"A") as one:
        client = np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{one.port}?mode=2").ready()
        # A second client, made by hand, from another address.
        assert ask(port, source="127.0.0.2")[0] == 200
        control_id, control = pool_connection(port, "127.0.0.2")
        assert control_id == bytes(4)
        control.close()
        server.wait_for("session with 127.0.0.2:.* ended")
        assert not server.matches("session with 127.0.0.1:.* ended")
        assert echoed_with(users)
        client.kill()


def echoed_with(users: int) -> bool:
    with connect(users) as user:
        return user.recv(1) == b"A"


@pytest.mark.parametrize("line", [b"not base64", b"AAAA", b"", b"{}", b"\xff\x00", b"A" * 80])
def test_control_line_that_does_not_decode_is_skipped(np: Runner, line: bytes) -> None:
    port = free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&log=debug").listening()
    assert ask(port)[0] == 200
    _, control = pool_connection(port)
    with control:
        control.sendall(line + b"\n")
        server.wait_for("Control channel: skipped a line")
        # The channel is up: the next thing that comes on it is the answer to this ping.
        control.sendall(signal_line('{"action":"ping"}'))
        assert signal_line('{"action":"pong"}') in control.recv(1000) + control.recv(1000)


def signal_line(text: str) -> bytes:
    """A signal as it goes over the wire."""
    key = KEY.encode()
    return base64.b64encode(bytes(byte ^ key[i % len(key)] for i, byte in enumerate(text.encode()))) + b"\n"


def test_flood_on_the_control_channel_is_cut_off_at_a_limit(np: Runner) -> None:
    port = free_port()
    # This client answers no pings.
    server = np.run(
        f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&log=debug", env={"NP_REPORT_INTERVAL": "1h"}
    ).listening()
    assert ask(port)[0] == 200
    _, control = pool_connection(port)
    before = server.rss()
    with control:
        for _ in range(32):
            control.sendall(b"A" * (1 << 20))
        control.sendall(b"\n")
        server.wait_for("Control channel: skipped a line of over")
        assert server.rss() - before < 16 << 20
    server.wait_for("session with .* ended")
    assert ask(port)[0] == 200
