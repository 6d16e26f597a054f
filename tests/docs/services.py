"""What pages take for granted, as small as it can be: real programs where there are some."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_nginx import HTTPS_PORT, bindable
from tests.e2e.test_programs import find, path_of
from tests.harness import Authority, Process, UdpEcho, wait_tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

NGINX = """
    daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
    user root; events {{ worker_connections 256; }}
    http {{
        access_log off; client_body_temp_path {folder}/temporary; proxy_temp_path {folder}/temporary;
        fastcgi_temp_path {folder}/temporary; uwsgi_temp_path {folder}/temporary; scgi_temp_path {folder}/temporary;
        {includes}
    }}
"""
"""What nginx has around the file that a page writes."""

SSHD = """
    HostKey {folder}/host_key
    AuthorizedKeysFile {folder}/user_key.pub
    PidFile none
    UsePAM no
    StrictModes no
    PasswordAuthentication no
    PermitRootLogin prohibit-password
    Subsystem sftp internal-sftp
"""


def needed(program: str) -> str:
    """The path of a program; without it, the page cannot be tried out."""
    if find(program) is None:
        pytest.skip(f"not installed: {program}")
    return path_of(program)


@contextmanager
def web_server(host: str, port: int, folder: Path) -> Iterator[None]:  # noqa: ARG001 - a service's signature
    """Says who it is, whatever is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = f"hello from {host}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base has it
            pass

    with ThreadingHTTPServer((host, port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@contextmanager
def game_server(host: str, port: int, folder: Path) -> Iterator[None]:  # noqa: ARG001 - a service's signature
    """Answers each datagram with the same."""
    with UdpEcho(port, host):
        yield


@contextmanager
def redis(host: str, port: int, folder: Path) -> Iterator[None]:
    """A database with nothing in it."""
    argv = [needed("redis-server"), "--port", str(port), "--bind", host, "--save", "", "--dir", str(folder)]
    with Process(argv, name="redis") as process:
        process.wait_for("Ready to accept connections")
        yield


@contextmanager
def name_server(host: str, port: int, folder: Path) -> Iterator[None]:
    """Knows one host, `app.internal`."""
    (folder / "hosts").write_text("10.20.30.40 app.internal\n")
    argv = [
        needed("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root",
        f"--port={port}", f"--listen-address={host}", "--bind-interfaces", "--log-facility=-",
        f"--addn-hosts={folder / 'hosts'}",
    ]  # fmt: skip
    with Process(argv, name="dnsmasq") as process:
        process.wait_for("read .*hosts")
        yield


@contextmanager
def sshd(host: str, port: int, folder: Path) -> Iterator[None]:
    """Takes whoever runs the test, who finds an `ssh` that has the key, and knows no other settings."""
    program = needed("sshd")
    if os.geteuid() == 0:
        # The package's start script makes it, and root's sshd wants it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host_key", "user_key"):
        with Process(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]) as made:
            assert made.wait() == 0
    (folder / "sshd_config").write_text(SSHD.format(folder=folder))
    (folder / "ssh_config").write_text(
        f"IdentityFile {folder}/user_key\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known_hosts\n"
        "StrictHostKeyChecking accept-new\nBatchMode yes\nLogLevel ERROR\n"
    )
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("ssh", "scp"):
        wrapper = folder / "bin" / name
        wrapper.write_text(f'#!/bin/sh\nexec {path_of(name)} -F {folder}/ssh_config "$@"\n')
        wrapper.chmod(0o755)
    argv = [program, "-D", "-e", "-f", str(folder / "sshd_config"), "-p", str(port), "-o", f"ListenAddress={host}"]
    with Process(argv, name="sshd") as process:
        process.wait_for("Server listening")
        yield


def nginx_command(host: str, includes: str, folder: Path) -> list[str]:
    """Have nginx read what a page writes for it, with a certificate for this host; gives the command that runs it.

    Raises:
        ValueError: nginx does not take it.
    """
    program = needed("nginx")
    (folder / "temporary").mkdir(exist_ok=True)
    folder.chmod(0o755)
    for source, target in zip(Authority(folder).issue("front", host), ("tunnel.pem", "tunnel.key"), strict=True):
        shutil.copy(source, folder / target)
    text = NGINX.format(folder=folder, includes=includes.replace("/etc/nginx/", f"{folder}/"))
    (folder / "nginx.conf").write_text(text)
    command = [program, "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with Process([*command, "-t"], name="nginx -t") as check:
        if check.wait():
            raise ValueError(check.log())
    return command


@contextmanager
def nginx(host: str, folder: Path) -> Iterator[None]:
    """With each file that the page wrote into `conf.d`."""
    if not bindable(host, HTTPS_PORT):
        pytest.skip(f"port {HTTPS_PORT} of {host} cannot be bound here")
    includes = "".join(path.read_text() for path in sorted((folder / "conf.d").iterdir()))
    with Process(nginx_command(host, includes, folder), name="nginx"):
        wait_tcp(HTTPS_PORT, host)
        yield


GIVEN: Mapping[str, Callable[[str, int, Path], AbstractContextManager[None]]] = {
    "web server": web_server,
    "game server": game_server,
    "redis": redis,
    "name server": name_server,
    "sshd": sshd,
}
"""By the name that a page gives it: host, port, and the page's folder."""
