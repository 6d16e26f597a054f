"""Pool transport 2 behind a real reverse proxy: nginx as everybody sets it up for WebSockets, plain and on port 443."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.test_programs import needed, path_of
from tests.harness import (
    KEY,
    Authority,
    Echo,
    NodePass,
    Process,
    Recorder,
    Runner,
    UdpEcho,
    connect,
    echoed,
    exchange,
    free_port,
    read_all,
    udp_socket,
    wait_tcp,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needed("nginx")

HTTPS_PORT = 443
MEGABYTES = 4_000_000
SETUPS = [("reverse", False), ("reverse", True), ("forward", False), ("forward", True)]


class Behind(NamedTuple):
    """A tunnel through nginx.

    Args:
        nginx: writes a line for each connection of the pool that has ended.
        server: of the tunnel.
        client: of the tunnel.
        users: port for users.
        target: port of the target.
    """

    nginx: Process
    server: NodePass
    client: NodePass
    users: int
    target: int


def own_address() -> str:
    """An address of this machine that no other test uses, made of a port that none does."""
    port = free_port()
    return f"127.44.{port >> 8}.{port & 255}"


def bindable(address: str, port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError:
            return False
    return True


def proxy(folder: Path, listen: str, port: int, read_timeout: str) -> Process:
    """Passes everything on to a server, WebSockets as such."""
    (folder / "temporary").mkdir(exist_ok=True)
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
        user root; events {{ worker_connections 512; }}
        http {{
            client_body_temp_path {folder}/temporary; proxy_temp_path {folder}/temporary;
            fastcgi_temp_path {folder}/temporary; uwsgi_temp_path {folder}/temporary; scgi_temp_path {folder}/temporary;
            log_format line '$status $request_time'; access_log /dev/stdout line;
            map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
            server {{
                {listen}
                location / {{
                    proxy_pass http://127.0.0.1:{port};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $connection_upgrade;
                    proxy_set_header Host $host;
                    proxy_read_timeout {read_timeout};
                }}
            }}
        }}
        """
    )
    return Process([path_of("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")], name="nginx")


@contextmanager
def behind(
    np: Runner, folder: Path, flow: str, *, https: bool, read_timeout: str = "60s", interval: str = "1s"
) -> Iterator[Behind]:
    """A server, nginx in front of it, and a client that knows nginx only."""
    front = own_address()
    port, users, target = free_port(), free_port(), free_port()
    front_port, listen, sni = free_port(), "", ""
    trust: dict[str, str] = {}
    if https:
        front_port = HTTPS_PORT
        if not bindable(front, front_port):
            pytest.skip(f"port {front_port} of {front} cannot be bound here")
        authority = Authority(folder)
        crt, key = authority.issue("front", "front.example")
        listen = f"ssl_certificate {crt}; ssl_certificate_key {key};"
        sni = "&sni=front.example"
        trust = {"SSL_CERT_FILE": str(authority.path)}
    listen = f"listen {front}:{front_port}{' ssl' if https else ''}; {listen}"
    near, far = f"127.0.0.1:{users}", f"127.0.0.1:{target}"
    at_server, at_client = (near, far) if flow == "reverse" else (far, near)
    env = {"NP_REPORT_INTERVAL": interval}
    mode = 1 if flow == "reverse" else 2
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/{at_server}?mode={mode}&type=2&log=debug", env=env).listening()
    with proxy(folder, listen, port, read_timeout) as nginx:
        wait_tcp(front_port, front)
        url = f"client://{KEY}@{front}:{front_port}/{at_client}?mode=2&min=4&log=debug{sni}"
        client = np.run(url, env={**env, **trust}).ready()
        server.ready()
        yield Behind(nginx, server, client, users, target)


each_setup = pytest.mark.parametrize(("flow", "https"), SETUPS)


@each_setup
def test_tcp_and_udp(np: Runner, tmp_path: Path, flow: str, https: bool) -> None:
    with behind(np, tmp_path, flow, https=https) as tunnel, Echo(tunnel.target), UdpEcho(tunnel.target):
        assert echoed(tunnel.users, MEGABYTES)
        assert all(echoed(tunnel.users, 1000) for _ in range(50))
        with udp_socket(tunnel.users) as user:
            for size in (1, 1400, 16384, 60000):
                datagram = os.urandom(size)
                user.send(datagram)
                assert user.recv(65536) == datagram
        for process in (tunnel.server, tunnel.client):
            assert not process.matches("WARN(?!.*TLS is off)|ERROR")


@each_setup
def test_either_side_may_end_first(np: Runner, tmp_path: Path, flow: str, https: bool) -> None:
    """To nginx, the end of one direction of TCP would be that of both."""
    sent, answer = os.urandom(MEGABYTES), os.urandom(MEGABYTES)
    with behind(np, tmp_path, flow, https=https) as tunnel:
        with Recorder(tunnel.target, answer=answer) as target, connect(tunnel.users) as user:
            user.sendall(sent)
            user.shutdown(socket.SHUT_WR)
            assert read_all(user) == answer
            assert target.next().all() == sent
        with Recorder(tunnel.target, answer=answer, eager=True) as target, connect(tunnel.users) as user:
            assert read_all(user) == answer
            user.sendall(sent)
            user.shutdown(socket.SHUT_WR)
            assert target.next().all() == sent
        for process in (tunnel.server, tunnel.client):
            process.checkpoint(having="TCPS=0")
            assert not process.matches("Exchange complete.*cut off")


@each_setup
def test_a_user_that_breaks_off_is_seen_by_the_target(np: Runner, tmp_path: Path, flow: str, https: bool) -> None:
    """nginx passes a broken connection on as one that ended; what is missing is Close."""
    with behind(np, tmp_path, flow, https=https) as tunnel, Recorder(tunnel.target) as target:
        with connect(tunnel.users) as user:
            user.sendall(b"never finished")
            received = target.next()
            user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert received.ended.wait(10)
        assert received.ended_by == "reset"


@pytest.mark.parametrize(("flow", "https"), [("reverse", True), ("forward", False)])
def test_what_idles_outlives_the_timeout_of_the_proxy(np: Runner, tmp_path: Path, flow: str, https: bool) -> None:
    with (
        behind(np, tmp_path, flow, https=https, read_timeout="2s", interval="500ms") as tunnel,
        Echo(tunnel.target),
        connect(tunnel.users) as user,
    ):
        assert exchange(user, b"before") == b"before"
        ended = len(tunnel.nginx.matches("^101 "))
        for _ in range(10):
            tunnel.server.checkpoint()
        assert len(tunnel.nginx.matches("^101 ")) == ended
        assert exchange(user, b"after") == b"after"
        assert echoed(tunnel.users)


def test_a_server_that_is_down_behind_the_proxy(np: Runner, tmp_path: Path) -> None:
    front, port = own_address(), free_port()
    with proxy(tmp_path, f"listen {front}:{port};", free_port(), "60s"):
        wait_tcp(port, front)
        client = np.run(f"client://{KEY}@{front}:{port}/127.0.0.1:9?mode=2&type=2")
        client.wait_for("Client error: handshake refused: 502")


def test_a_proxy_that_passes_no_upgrades(np: Runner, tmp_path: Path) -> None:
    """As many are set up who have never met a WebSocket: the client is told what came instead of one."""
    front, port, front_port = own_address(), free_port(), free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&type=2&log=debug").listening()
    with proxy(tmp_path, f"listen {front}:{front_port};", port, "60s") as nginx:
        nginx.kill()
        conf = (tmp_path / "nginx.conf").read_text()
        lines = [line for line in conf.splitlines() if "Upgrade" not in line and "proxy_set_header Connection" not in line]
        (tmp_path / "nginx.conf").write_text("\n".join(lines))
    with Process(nginx.argv, name="nginx"):
        wait_tcp(front_port, front)
        env = {"NP_MAX_POOL_INTERVAL": "100ms"}
        client = np.run(f"client://{KEY}@{front}:{front_port}/127.0.0.1:9?mode=2&log=debug", env=env)
        client.wait_for(r"401 Unauthorized from the server or a proxy in front of it")
        server.wait_for("Handshake from .* refused: 401 wrong token")
