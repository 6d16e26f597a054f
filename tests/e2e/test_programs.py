"""Programs that people run, through the tunnel: nginx, curl, dnsmasq, dig, redis; and many short connections."""

from __future__ import annotations

import hashlib
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.harness import Echo, Process, Runner, TcpTarget, connect, free_port, read_exactly, wait_tcp

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.every_transport

LARGE = 200 << 20
CHUNK = 1 << 20


def needed(*programs: str) -> pytest.MarkDecorator:
    """Skip where one of these is not installed."""
    missing = [program for program in programs if find(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")


def path_of(program: str) -> str:
    found = find(program)
    assert found is not None
    return found


def made_up(path: Path, size: int) -> str:
    """Write a file that does not compress, and give its hash."""
    digest = hashlib.sha256()
    block = hashlib.shake_256(b"a megabyte of noise").digest(CHUNK)
    with path.open("wb") as file:
        for number in range(size // CHUNK):
            piece = number.to_bytes(8, "big") + block[8:]
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def nginx(folder: Path, port: int) -> Process:
    """Serves the files of a folder, and takes uploads into it."""
    (folder / "uploads").mkdir()
    (folder / "temporary").mkdir()
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
        user root; events {{ worker_connections 256; }}
        http {{
            access_log off; sendfile on; client_max_body_size 0;
            client_body_temp_path {folder}/temporary; proxy_temp_path {folder}/temporary;
            fastcgi_temp_path {folder}/temporary; uwsgi_temp_path {folder}/temporary; scgi_temp_path {folder}/temporary;
            server {{ listen 127.0.0.1:{port}; root {folder}; }}
        }}
        """
    )
    return Process([path_of("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")], name="nginx")


@needed("nginx", "curl")
def test_200_mb_each_way_at_once(np: Runner, tmp_path: Path) -> None:
    """One tunnel, two targets in turn: a download from nginx, and an upload to a sink, at the same time."""
    expected = made_up(tmp_path / "large", LARGE)
    sink, web = free_port(), free_port()
    tunnel = np.tunnel("reverse", server="tls=1", egress="lbs=0", to=f"127.0.0.1:{sink},127.0.0.1:{web}")
    with nginx(tmp_path, web), Hashing(sink) as target, connect(tunnel.users) as user:
        wait_tcp(web)
        user.sendall(b"upload\n")
        assert user.recv(10) == b"ready"
        curl = [path_of("curl"), "-sS", "-o", str(tmp_path / "fetched"), "-w", "%{size_download}"]
        with Process([*curl, f"http://127.0.0.1:{tunnel.users}/large"]) as download:
            with (tmp_path / "large").open("rb") as file:
                user.sendfile(file)
            user.shutdown(socket.SHUT_WR)
            assert user.recv(100).decode() == expected
            assert download.wait(120) == 0
            assert download.stdout == [str(LARGE)]
        assert target.size == LARGE
    with (tmp_path / "fetched").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected


class Hashing(TcpTarget):
    """Takes an upload and answers with its hash."""

    size = 0

    def serve(self, sock: socket.socket) -> None:
        assert sock.recv(7) == b"upload\n"
        sock.sendall(b"ready")
        digest = hashlib.sha256()
        while data := sock.recv(CHUNK):
            self.size += len(data)
            digest.update(data)
        sock.sendall(digest.hexdigest().encode())


@needed("dnsmasq", "dig")
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_200_dns_queries(np: Runner, tmp_path: Path, flow: str) -> None:
    names = [f"host-{number}.test" for number in range(200)]
    (tmp_path / "hosts").write_text("".join(f"10.1.{n // 100}.{n % 100} {name}\n" for n, name in enumerate(names)))
    (tmp_path / "queries").write_text("".join(f"{name} A\n" for name in names))
    tunnel = np.tunnel(flow, server="tls=1")
    argv = [
        path_of("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root",
        f"--port={tunnel.target}", "--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-",
        f"--addn-hosts={tmp_path / 'hosts'}",
    ]  # fmt: skip
    with Process(argv, name="dnsmasq") as dnsmasq:
        dnsmasq.wait_for("read .*hosts")
        dig = [path_of("dig"), "@127.0.0.1", "-p", str(tunnel.users), "+short", "+notcp", "+tries=1", "+time=5"]
        with Process([*dig, "-f", str(tmp_path / "queries")], name="dig") as queries:
            assert queries.wait(60) == 0
            assert queries.stdout == [f"10.1.{n // 100}.{n % 100}" for n in range(200)]
        # The same over TCP.
        with Process([*dig[:5], "+tcp", names[7]], name="dig") as query:
            assert query.wait(20) == 0
            assert query.stdout == ["10.1.0.7"]


@needed("redis-server", "redis-cli")
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_redis_pipe(np: Runner, tmp_path: Path, flow: str) -> None:
    count = 20_000
    commands = "".join(f"SET key:{n} value-{n}\r\n" for n in range(count))
    (tmp_path / "commands").write_text(commands)
    tunnel = np.tunnel(flow, server="tls=1")
    server = [path_of("redis-server"), "--port", str(tunnel.target), "--bind", "127.0.0.1", "--save", ""]
    with Process([*server, "--dir", str(tmp_path)], name="redis") as redis:
        redis.wait_for("Ready to accept connections")
        client = f"{path_of('redis-cli')} -p {tunnel.users}"
        with Process(["sh", "-c", f"{client} --pipe < {tmp_path / 'commands'}"]) as pipe:
            pipe.wait_for(f"errors: 0, replies: {count}", 60)
            assert pipe.wait(60) == 0
        with Process(["sh", "-c", f"{client} DBSIZE; {client} GET key:{count - 1}"]) as check:
            assert check.wait() == 0
            assert check.stdout == [str(count), f"value-{count - 1}"]


@needed("redis-server", "redis-benchmark")
def test_redis_benchmark_with_many_clients(np: Runner, tmp_path: Path) -> None:
    tunnel = np.tunnel()
    server = [path_of("redis-server"), "--port", str(tunnel.target), "--bind", "127.0.0.1", "--save", ""]
    with Process([*server, "--dir", str(tmp_path)], name="redis") as redis:
        redis.wait_for("Ready to accept connections")
        benchmark = [path_of("redis-benchmark"), "-p", str(tunnel.users), "-n", "2000", "-c", "50", "-t", "ping,set,get"]
        with Process([*benchmark, "--csv"]) as run:
            assert run.wait(60) == 0
            names = [line.split(",")[0] for line in run.stdout]
            assert {'"SET"', '"GET"'} <= set(names)
            assert not run.matches("(?i)error")


@pytest.mark.parametrize("tls", [0, 1])
def test_2000_short_connections_in_bursts(np: Runner, tls: int) -> None:
    tunnel = np.tunnel(client="min=64", server=f"tls={tls}")

    def visit(number: int) -> bool:
        text = f"visitor {number}".encode()
        with connect(tunnel.users) as user:
            return exchange_briefly(user, text) == text

    with Echo(tunnel.target), ThreadPoolExecutor(100) as visitors:
        for burst in range(4):
            assert all(visitors.map(visit, range(burst * 500, burst * 500 + 500)))
    for process in (tunnel.ingress, tunnel.egress):
        process.checkpoint(having="TCPS=0")
        assert not process.matches("WARN  (?!TLS is off)|ERROR")


def exchange_briefly(user: socket.socket, text: bytes) -> bytes:
    """Say something short and hear it back, without a thread."""
    user.sendall(text)
    return read_exactly(user, len(text))
