"""A name server that hangs: users of a name known before are served on, others are refused in time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.harness import Echo, Process, Runner, UdpEcho, connect, free_port, read_exactly, turned_away, udp_socket

from .test_dns import may_unshare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DNSMASQ = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin")
SERVER = f"127.53.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
"""Of this test process only, so that several can have a server on port 53."""

UNDISTURBED = {"NP_REPORT_INTERVAL": "1h"}


def may_bind() -> bool:
    """Whether the port of DNS can be had."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((SERVER, 53))
        except OSError:
            return False
        return True


pytestmark = [
    pytest.mark.skipif(not may_unshare(), reason="`unshare -m` is not permitted here"),
    pytest.mark.skipif(DNSMASQ is None, reason="dnsmasq is not installed"),
    pytest.mark.skipif(not may_bind(), reason=f"port 53 of {SERVER} cannot be bound here"),
]


@pytest.fixture
def dnsmasq() -> Iterator[Process]:
    """Knows `target.test`."""
    argv = [
        str(DNSMASQ), "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root",
        f"--listen-address={SERVER}", "--bind-interfaces", "--log-facility=-", "--address=/target.test/127.0.0.1",
    ]  # fmt: skip
    with Process(argv, name="dnsmasq") as process:
        process.wait_for("started")
        yield process


@pytest.fixture
def prefix(tmp_path: Path) -> list[str]:
    """Runs a program that asks only this server."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {SERVER}\noptions timeout:30 attempts:1\n")
    mount = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, "sh", str(resolv)]


@pytest.mark.parametrize("timeout", ["5s", "500ms"])
def test_known_name_serves_on(np: Runner, dnsmasq: Process, prefix: list[str], timeout: str) -> None:
    with Echo(greeting=b"A") as target, UdpEcho(target.port) as datagrams:
        env = {**UNDISTURBED, "NP_TCP_DIAL_TIMEOUT": timeout, "NP_UDP_DIAL_TIMEOUT": timeout}
        forwarder = np.forwarder("dns=0", to=f"target.test:{target.port}", prefix=prefix, env=env)
        with connect(forwarder.users) as user:
            assert read_exactly(user, 1) == b"A"
        forwarder.client.wait_for("CHECK_POINT")
        dnsmasq.send_signal(signal.SIGSTOP)
        with connect(forwarder.users) as user, udp_socket(forwarder.users) as other:
            other.send(b"datagram")
            assert read_exactly(user, 1) == b"A"
            assert datagrams.next()[0] == b"datagram"
        forwarder.client.wait_for("WARN.*cannot resolve target.test .*using its last 127.0.0.1")


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_unknown_name_is_given_up_in_time(np: Runner, dnsmasq: Process, prefix: list[str], protocol: str) -> None:
    dnsmasq.send_signal(signal.SIGSTOP)
    env = {"NP_TCP_DIAL_TIMEOUT": "1h", "NP_UDP_DIAL_TIMEOUT": "1h", f"NP_{protocol}_DIAL_TIMEOUT": "300ms"}
    forwarder = np.forwarder("dns=0", to=f"target.test:{free_port()}", prefix=prefix, env={**UNDISTURBED, **env})
    if protocol == "TCP":
        assert turned_away(forwarder.users)
    else:
        with udp_socket(forwarder.users) as user:
            user.send(b"?")
            forwarder.client.wait_for("Refused the user at")
    line = forwarder.client.wait_for("Refused the user at .*cannot resolve target.test").string
    assert "no answer within 0.3 s" in line


def test_stop_does_not_wait_for_a_look_up(np: Runner, dnsmasq: Process, prefix: list[str]) -> None:
    dnsmasq.send_signal(signal.SIGSTOP)
    forwarder = np.forwarder("dns=0", to=f"target.test:{free_port()}", prefix=prefix)
    assert forwarder.client.stop(10) == 0
