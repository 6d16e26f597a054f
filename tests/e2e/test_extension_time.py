"""Time passes differently at the two ends, or brings another certificate: sessions begin, and go on."""

from __future__ import annotations

import shutil
import ssl
from typing import TYPE_CHECKING

import pytest

from nodepass.protocol.signals import fingerprint
from tests.harness import Authority, Echo, Load, connect, echoed, exchange
from tests.harness.process import SOURCE

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
