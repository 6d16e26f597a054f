"""`dns`: how long an answer is kept, and a name that stops resolving. Names are those of an /etc/hosts of our own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.harness import Echo, Runner, UdpEcho, connect, echoed, free_port, read_exactly, udp_socket

if TYPE_CHECKING:
    from pathlib import Path


def may_unshare() -> bool:
    """Whether this machine lets us have mounts of our own."""
    program = shutil.which("unshare")
    return program is not None and subprocess.run([program, "-m", "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not may_unshare(), reason="`unshare -m` is not permitted here")


SIZE = 1024
UNDISTURBED = {"NP_REPORT_INTERVAL": "1h"}
"""No ping asks for the name in between: whoever asks while somebody else does shares the answer."""


class Hosts:
    """An /etc/hosts for one process."""

    def __init__(self, path: Path, **names: str) -> None:
        self._path = path
        path.write_bytes(b"\n" * SIZE)
        self.write(**names)

    def write(self, **names: str) -> None:
        """Replace what it says, in place: the mount is of the file, not of its name."""
        lines = [f"{ip} {name.replace('_', '.')}" for name, ips in names.items() for ip in ips.split()]
        content = "\n".join(["127.0.0.1 localhost", *lines, ""]).encode()
        # In one write, and never shorter than before, so that nobody reads it half written.
        with self._path.open("r+b") as file:
            file.write(content.ljust(SIZE, b"\n"))

    @property
    def prefix(self) -> list[str]:
        """A program that runs another under this file."""
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh", str(self._path)]


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path / "hosts")


def of(port: int) -> bytes:
    with connect(port) as user:
        return read_exactly(user, 1)


@pytest.mark.parametrize("end", ["egress", "single"])
@pytest.mark.parametrize(("dns", "then"), [("0", b"B"), ("1h", b"A"), ("1ms", b"B")])
def test_an_answer_is_kept_that_long(np: Runner, hosts: Hosts, end: str, dns: str, then: bytes) -> None:
    port = free_port()
    hosts.write(target_test="127.0.0.2")
    with Echo(port, "127.0.0.2", b"A"), Echo(port, "127.0.0.3", b"B"):
        tunnel = np.at(end, f"dns={dns}", to=f"target.test:{port}", env=UNDISTURBED, prefix=hosts.prefix)
        assert of(tunnel.users) == b"A"
        hosts.write(target_test="127.0.0.3")
        answers = [of(tunnel.users) for _ in range(5)]
        # One millisecond may not have passed when the first of them asks.
        assert set(answers if dns != "1ms" else answers[-1:]) == {then}


def test_udp_asks_every_time_too(np: Runner, hosts: Hosts) -> None:
    port = free_port()
    with UdpEcho(port, "127.0.0.2", b"A"), UdpEcho(port, "127.0.0.3", b"B"):
        hosts.write(target_test="127.0.0.2")
        tunnel = np.forwarder("dns=0", to=f"target.test:{port}", env=UNDISTURBED, prefix=hosts.prefix)
        for ip, greeting in (("127.0.0.2", b"A"), ("127.0.0.3", b"B")):
            tunnel.client.wait_for("CHECK_POINT")
            hosts.write(target_test=ip)
            with udp_socket(tunnel.users) as user:
                user.send(b"?")
                assert user.recv(10) == greeting + b"?"


def test_several_names(np: Runner, hosts: Hosts) -> None:
    port = free_port()
    hosts.write(one_test="127.0.0.2", two_test="127.0.0.3")
    with Echo(port, "127.0.0.2", b"A"), Echo(port, "127.0.0.3", b"B"):
        tunnel = np.tunnel(egress="dns=0", to=f"one.test:{port},two.test:{port}", prefix=hosts.prefix)
        assert sorted(of(tunnel.users) for _ in range(4)) == [b"A", b"A", b"B", b"B"]
        hosts.write(one_test="127.0.0.3", two_test="127.0.0.2")
        assert sorted(of(tunnel.users) for _ in range(4)) == [b"A", b"A", b"B", b"B"]


def test_name_with_several_addresses_is_tried_through(np: Runner, hosts: Hosts) -> None:
    port = free_port()
    # The system puts those first that are most like the address it would send from, which is 127.0.0.1.
    hosts.write(target_test="127.0.0.2 127.0.0.3 127.0.0.4")
    with Echo(port, "127.0.0.4", b"A"):
        tunnel = np.forwarder("dns=0", to=f"target.test:{port}", env=UNDISTURBED, prefix=hosts.prefix)
        assert {of(tunnel.users) for _ in range(3)} == {b"A"}


@pytest.mark.parametrize("dns", ["0", "1h"])
@pytest.mark.parametrize("end", ["egress", "single"])
def test_udp_tries_the_addresses_of_each_name_through(np: Runner, hosts: Hosts, end: str, dns: str) -> None:
    port = free_port()
    # The system puts those first that are most like the address it would send from, which is 127.0.0.1.
    hosts.write(one_test="::1 127.0.0.2", two_test="127.0.0.2 127.0.0.3 127.0.0.4", three_test="::1 127.0.0.4")
    with UdpEcho(port, "127.0.0.4", b"A"):
        for to in (f"two.test:{port}", f"three.test:{port}", f"one.test:{port},two.test:{port}"):
            tunnel = np.at(end, f"dns={dns}", to=to, env=UNDISTURBED, prefix=hosts.prefix)
            for _ in range(3):
                with udp_socket(tunnel.users) as user:
                    user.send(b"hello")
                    assert user.recv(100) == b"Ahello"
            assert not tunnel.egress.matches("No target")


@pytest.mark.parametrize("end", ["egress", "single"])
def test_udp_names_the_target_when_no_address_is_left(np: Runner, hosts: Hosts, end: str) -> None:
    hosts.write(target_test="127.0.0.4 127.0.0.5")
    port = free_port()
    tunnel = np.at(end, "", to=f"target.test:{port}", env=UNDISTURBED, prefix=hosts.prefix)
    with udp_socket(tunnel.users) as user:
        user.send(b"hello")
        tunnel.egress.wait_for(
            rf"ERROR .*No target for the user at \S+: cannot send to target.test:{port} at 127.0.0.\d: Connection refused"
        )


@pytest.mark.parametrize("end", ["egress", "single"])
def test_name_that_stops_resolving_serves_on(np: Runner, hosts: Hosts, end: str) -> None:
    port = free_port()
    hosts.write(target_test="127.0.0.2")
    with Echo(port, "127.0.0.2", b"A"):
        tunnel = np.at(end, "dns=0", to=f"target.test:{port}", env=UNDISTURBED, prefix=hosts.prefix)
        assert of(tunnel.users) == b"A"
        hosts.write()
        assert {of(tunnel.users) for _ in range(3)} == {b"A"}
        assert "WARN" in tunnel.egress.wait_for("cannot resolve target.test .*using its last 127.0.0.2").string


def test_name_that_never_resolved_is_tried_again(np: Runner, hosts: Hosts) -> None:
    port = free_port()
    with Echo(port, "127.0.0.2"):
        tunnel = np.forwarder("dns=1h", to=f"target.test:{port}", env=UNDISTURBED, prefix=hosts.prefix)
        tunnel.client.wait_for("cannot resolve target.test")
        hosts.write(target_test="127.0.0.2")
        assert echoed(tunnel.users)


def test_client_finds_a_server_that_moved(np: Runner, hosts: Hosts) -> None:
    hosts.write(server_test="127.0.0.2")
    port, users = free_port(), free_port()
    with Echo() as target:
        client = np.run(f"client://k@server.test:{port}/127.0.0.1:{target.port}?mode=2&dns=0", prefix=hosts.prefix)
        client.wait_for("Client error: cannot connect to the server at 127.0.0.2")
        hosts.write(server_test="127.0.0.3")
        np.run(f"server://k@127.0.0.3:{port}/127.0.0.1:{users}?mode=1").ready()
        assert echoed(users)
