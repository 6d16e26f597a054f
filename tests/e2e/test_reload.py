"""Certificate files that are replaced while the tunnel runs (NP_RELOAD_INTERVAL)."""

from __future__ import annotations

import os
import shutil
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.harness import Authority, Echo, Runner, connect, echoed, exchange

if TYPE_CHECKING:
    from pathlib import Path

QUICKLY = {"NP_RELOAD_INTERVAL": "100ms"}
RELOADED = "TLS certificate reloaded: sha256:"
KEPT = "TLS certificate not reloaded, the old one stays"


class Files:
    """The certificate files of a server, and others to take their place."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.crt, self.key = self.authority.issue("live", "localhost", "127.0.0.1")
        self._crt, self._key = self.authority.issue("next", "localhost", "127.0.0.1")

    @property
    def query(self) -> str:
        return f"tls=2&crt={self.crt}&key={self.key}"

    def replace(self) -> None:
        """Put the next in place of the first, as `cp` does: for a moment they do not match."""
        shutil.copy(self._crt, self.crt)
        shutil.copy(self._key, self.key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.every_transport
def test_tunnel_goes_on_across_a_reload(np: Runner, files: Files) -> None:
    tunnel = np.tunnel(
        server=files.query, env=QUICKLY, client_env={"SSL_CERT_FILE": str(files.authority.path)}, client="min=2"
    )
    with Echo(tunnel.target), connect(tunnel.users) as user:
        data = os.urandom(500_000)
        assert exchange(user, data) == data
        files.replace()
        tunnel.server.wait_for(RELOADED)
        # What was there before lives on; what comes after it is served with the new one.
        assert exchange(user, data) == data
        assert all(echoed(tunnel.users) for _ in range(6))
    assert not tunnel.server.matches("session with .* ended")


def served(port: int, files: Files) -> str:
    """The serial number of the certificate that a listener serves."""
    context = ssl.create_default_context(cafile=str(files.authority.path))
    with context.wrap_socket(connect(port), server_hostname="localhost") as user:
        certificate = user.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def test_new_users_get_the_new_certificate(np: Runner, files: Files) -> None:
    forwarder = np.forwarder(files.query, env=QUICKLY)
    with Echo(forwarder.target):
        context = ssl.create_default_context(cafile=str(files.authority.path))
        before = served(forwarder.users, files)
        with context.wrap_socket(connect(forwarder.users), server_hostname="localhost") as user:
            files.replace()
            forwarder.client.wait_for(RELOADED)
            assert exchange(user, b"still here") == b"still here"
        assert served(forwarder.users, files) != before


@pytest.mark.parametrize("broken", ["crt", "key", "both", "missing", "mismatch"])
def test_broken_files_keep_the_old_certificate(np: Runner, files: Files, broken: str) -> None:
    forwarder = np.forwarder(files.query, env=QUICKLY)
    with Echo(forwarder.target):
        before = served(forwarder.users, files)
        if broken in {"crt", "both"}:
            files.crt.write_text("no certificate\n")
        if broken in {"key", "both"}:
            files.key.write_text("no key\n")
        if broken == "missing":
            files.crt.unlink()
        if broken == "mismatch":
            shutil.copy(files.authority.path, files.crt)
        assert "ERROR" in forwarder.client.wait_for(KEPT).string
        assert served(forwarder.users, files) == before
        files.replace()
        forwarder.client.wait_for(RELOADED)
        assert served(forwarder.users, files) != before


def test_unchanged_files_are_not_reported(np: Runner, files: Files) -> None:
    forwarder = np.forwarder(files.query, env=QUICKLY)
    forwarder.client.checkpoint()
    forwarder.client.checkpoint()
    assert not forwarder.client.matches(f"{RELOADED}|{KEPT}")
