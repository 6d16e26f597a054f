"""Time passes differently at the two ends, or brings another certificate: sessions begin, and go on."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from nodepass.protocol.signals import fingerprint
from tests.harness import Authority, Echo, Load, Wiretap, connect, echoed, exchange
from tests.harness.process import SOURCE, TIMEOUT
from tests.harness.targets import CHUNK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Runner

HOUR = 3600
RENEWALS = 4
FOLLOWED = r"The server's clock is ([-+]\d+) s off this machine's"

OFFSET = """
import time
real = time.time
time.time = lambda: real() + {offset}
"""
"""What Python runs first, from `sitecustomize.py`."""


def clock(folder: Path, offset: int) -> dict[str, str]:
    """An environment in which the time is another by so many seconds."""
    (folder / "sitecustomize.py").write_text(OFFSET.format(offset=offset))
    return {"PYTHONPATH": f"{folder}:{SOURCE}"}


@pytest.mark.parametrize("strict", [0, 1])
@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_client_with_a_wrong_clock_follows_the_servers(np: Runner, tmp_path: Path, offset: int, strict: int) -> None:
    tunnel = np.tunnel(both=f"strict={strict}", client_env=clock(tmp_path, offset))
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
        (warning,) = tunnel.client.matches(FOLLOWED)
        assert abs(int(warning[1]) + offset) < 10
        tunnel.server.wait_for("Handshake from .* refused: its time is 3[56].. s off")
        refused = len(tunnel.server.matches("Handshake from .* refused"))
        # What it has learned serves the next session as well.
        tunnel.server.kill()
        since = len(tunnel.client.lines)
        again = np.run(tunnel.server.argv[-1]).listening()
        tunnel.client.ready(since=since)
        assert refused == 1
        assert not again.matches("refused")
        assert len(tunnel.client.matches(FOLLOWED)) == 1


def test_clocks_that_differ_by_seconds_are_no_matter(np: Runner, tmp_path: Path) -> None:
    tunnel = np.tunnel(client_env=clock(tmp_path, 20))
    assert not tunnel.client.matches(FOLLOWED)
    assert not tunnel.server.matches("refused")


@pytest.mark.every_transport
def test_a_session_goes_on_when_the_certificate_is_renewed(np: Runner, tmp_path: Path) -> None:
    """Under load, so that connections are being opened while the certificate changes."""
    authority = Authority(tmp_path)
    crt, key = authority.issue("live", "127.0.0.1")
    tunnel = np.tunnel(
        server=f"tls=2&crt={crt}&key={key}",
        env={"NP_RELOAD_INTERVAL": "200ms"},
        client_env={"SSL_CERT_FILE": str(authority.path)},
    )
    with Echo(tunnel.target, greeting=b"A"), connect(tunnel.users) as user, Load(tunnel.users) as load:
        assert user.recv(1) == b"A"
        load.wait_for(20)
        for number in range(RENEWALS):
            fresh_crt, fresh_key = authority.issue(f"fresh{number}", "127.0.0.1")
            der = ssl.PEM_cert_to_DER_cert(fresh_crt.read_text())
            shutil.copy(fresh_crt, crt)
            shutil.copy(fresh_key, key)
            tunnel.server.wait_for(f"TLS certificate reloaded: {fingerprint(der)}")
            # More than were idle: the last of them came over connections that were opened since.
            load.wait_for(30)
            assert exchange(user, b"still here") == b"still here"
        assert load.broken == []
        assert len(tunnel.client.matches("Session with .* is ready")) == 1
        assert len(tunnel.server.matches("Handshake with")) == 1
        assert not tunnel.client.matches("not trusted|ERROR")


class Overtaking(Wiretap):
    """A way on which what a server says on old connections can be held back, while new ones are quick."""

    def __init__(self) -> None:
        super().__init__()
        self._open = threading.Event()
        self._open.set()
        self._is_old = threading.Event()
        self.came = threading.Semaphore(0)
        """Counts connections that come while old ones are held back."""

    def hold_back(self) -> None:
        """On all that there is now."""
        self._open.clear()
        self._is_old, old = threading.Event(), self._is_old
        old.set()

    def go_on(self) -> None:
        """What was held back comes."""
        self._open.set()

    def serve(self, sock: socket.socket) -> None:
        is_old = self._is_old
        with socket.create_connection((self.host, self.to)) as far:
            forth = threading.Thread(target=self._pass, args=(sock, far), daemon=True)
            forth.start()
            with suppress(OSError):
                while data := far.recv(CHUNK):
                    if is_old.is_set():
                        self._open.wait()
                    sock.sendall(data)
                    if not self._open.is_set():
                        self.came.release()
                sock.shutdown(socket.SHUT_WR)
            forth.join()


def test_a_new_certificate_may_be_seen_before_it_is_heard_of(np: Runner, tmp_path: Path) -> None:
    """Connections overtake each other: what is said on the control channel may come behind what it is about."""
    authority = Authority(tmp_path)
    crt, key = authority.issue("live", "127.0.0.1")
    fresh = authority.issue("fresh", "127.0.0.1")
    with Overtaking() as way:
        tunnel = np.tunnel(
            "forward",
            server=f"tls=2&crt={crt}&key={key}&pool=single",
            env={"NP_RELOAD_INTERVAL": "200ms", "NP_REPORT_INTERVAL": "2s"},
            client_env={"SSL_CERT_FILE": str(authority.path)},
            via=way.port,
            wait=False,
        )
        way.to = tunnel.port
        tunnel.client.ready()
        with Echo(tunnel.target):
            assert echoed(tunnel.users)
            # What is being opened now is as old as the rest.
            tunnel.client.checkpoint(having=r"POOL=[4-9]\|")
            way.hold_back()
            for source, sink in zip(fresh, (crt, key), strict=True):
                shutil.copy(source, sink)
            tunnel.server.wait_for("TLS certificate reloaded")
            # Users take connections here, so the client opens others.
            with ExitStack() as stack:
                users = [stack.enter_context(connect(tunnel.users)) for _ in range(5)]
                for user in users:
                    user.sendall(b"hello")
                assert way.came.acquire(timeout=TIMEOUT)
                way.go_on()
                assert [user.recv(100) for user in users] == [b"hello"] * 5
            assert all(echoed(tunnel.users) for _ in range(10))
        assert len(tunnel.client.matches("Session with .* is ready")) == 1
