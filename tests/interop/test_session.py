"""The session with a v1 peer: the heartbeat, certificates compared, keys refused, flushes."""

from __future__ import annotations

import logging
from asyncio import to_thread
from typing import TYPE_CHECKING

import pytest

from nodepass import Client, Tunables
from nodepass.protocol.conn_id import ConnectionId
from nodepass.protocol.signals import Action, Signal
from tests.harness import KEY, Echo, UdpEcho, connect, echoed, exchange, udp_socket
from tests.interop.pair import ENCRYPTED, ENDING, PLAIN, QUICK, USELESS, Case, Pair, wait_bound

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Pair]

HELD = [case for case in ENCRYPTED if case.takes_users and (case.ours == "server" or case.tls == 1)]
"""Where our end waits for v1's `verify` before it carries users."""


@pytest.mark.parametrize("case", ENDING, ids=str)
def test_both_ends_report_the_same_bytes(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    with Echo(tunnel.target), UdpEcho(tunnel.target):
        assert echoed(tunnel.users, 12345)
        with udp_socket(tunnel.users) as user:
            user.send(b"x" * 321)
            assert user.recv(65536) == b"x" * 321
        mode = {"reverse": 1, "forward": 2}[case.flow]
        for end, process in tunnel.ends.items():
            bytes_ = r"TCPRX=12345\|TCPTX=12345\|UDPRX=321\|UDPTX=321$"
            line = rf"CHECK_POINT\|MODE={mode if end == 'server' else 2}\|PING=\d+ms\|POOL=\d+\|TCPS=0\|UDPS=1\|{bytes_}"
            process.wait_for(line)
            # And again, since each end's pings are answered.
            process.wait_for(line, since=len(process.lines))
    tunnel.assert_clean()


@pytest.mark.parametrize("case", [case for case in ENCRYPTED if case.ours == "server" or case.tls == 1], ids=str)
def test_both_ends_compare_the_certificate(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    fingerprint = tunnel.ours.wait_for("certificate verified: (sha256:.+)")[1]
    assert tunnel.v1.wait_for("fingerprint verified: (sha256:.+)")[1].strip() == fingerprint
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    tunnel.assert_clean()


@pytest.mark.parametrize("case", [Case("client", "forward", 2, case.transport) for case in USELESS], ids=str)
def test_a_v1_server_with_certificate_files_serves_on_after_its_verify(pair: Make, case: Case) -> None:
    """It sends no fingerprint, and would end the session at a `verify` of ours."""
    tunnel = pair(case).up()
    tunnel.v1.wait_for("TLS verify signal: .* -> ")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    tunnel.v1.wait_for("CHECK_POINT", since=len(tunnel.v1.lines))
    tunnel.assert_clean()


@pytest.mark.parametrize("case", USELESS, ids=str)
def test_a_v1_server_that_can_take_in_no_users_is_told_of(pair: Make, case: Case) -> None:
    """With certificate files and reverse flow it waits for a `verify` that it cannot bear."""
    tunnel = pair(case).meet()
    tunnel.ours.wait_for("WARN .*takes in no users with tls=2")


@pytest.mark.parametrize("case", HELD, ids=str)
def test_users_who_come_before_the_peer_has_verified_are_held(pair: Make, case: Case) -> None:
    tunnel = pair(case).meet()
    with Echo(tunnel.target), UdpEcho(tunnel.target):
        wait_bound(tunnel.users, "tcp")
        wait_bound(tunnel.users, "udp")
        with connect(tunnel.users) as user, udp_socket(tunnel.users) as other:
            other.send(b"early")
            assert not tunnel.ours.matches("is ready")
            assert exchange(user, b"early") == b"early"
            tunnel.ours.wait_for("certificate verified")
            assert other.recv(65536) == b"early"
    tunnel.assert_clean()


@pytest.mark.parametrize("case", [case for case in ENCRYPTED if case.tls == 2 and case.ours == "client"], ids=str)
def test_our_client_wants_the_right_name(pair: Make, case: Case) -> None:
    tunnel = pair(case, name="elsewhere.test").meet()
    tunnel.ours.wait_for("ERROR .*certificate is not trusted")
    assert not tunnel.ours.matches("is ready")


@pytest.mark.parametrize("case", [case for case in ENCRYPTED if case.tls == 2 and case.ours == "server"], ids=str)
def test_a_v1_client_wants_the_right_name(pair: Make, case: Case) -> None:
    tunnel = pair(case, name="elsewhere.test").meet()
    tunnel.ours.wait_for("WARN .*TLS with")
    assert not tunnel.ours.matches("is ready")


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_wrong_key_is_refused_and_the_right_one_served(pair: Make, case: Case) -> None:
    tunnel = pair(case)

    def try_another_key() -> None:
        stranger = tunnel.start("client", tunnel.urls["client"].replace(KEY, "another-key"))
        stranger.wait_for("ERROR.* 401")
        assert stranger.is_running
        stranger.stop()

    tunnel.up(try_another_key)
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


async def test_flushes_are_obeyed_both_ways(pair: Make, caplog: pytest.LogCaptureFixture) -> None:
    """v1 asks for one when it has waited in vain for the connections of more users than it has idle."""
    tunnel = pair(Case("client", "forward"))
    v1 = tunnel.start("server")
    caplog.set_level(logging.DEBUG)
    with Echo(tunnel.target):
        async with Client(tunnel.urls["client"], tunables=Tunables.from_environment(QUICK)) as client:
            await client.connected()
            session = client._session
            assert session is not None
            assert session._control is not None
            session._control.send(Signal(Action.FLUSH))
            await to_thread(v1.wait_for, "pool flushed")
            assert await to_thread(echoed, tunnel.users)
            for number in range(1, 9):
                session._control.send(Signal(Action.TCP, remote="127.0.0.1:1", id=ConnectionId(f"{number:08x}")))
            await to_thread(v1.wait_for, "pool flushed", since=len(v1.lines))
            assert await to_thread(echoed, tunnel.users)
    assert "Flush asked for" in caplog.text
