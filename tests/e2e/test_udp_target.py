"""A UDP target that goes away and comes back: its users' sessions outlive that."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.harness import Runner, UdpEcho, udp_socket


@pytest.mark.parametrize("end", ["egress", "single"])
def test_a_session_goes_on_when_its_target_is_back(np: Runner, end: str) -> None:
    tunnel = np.at(end, "")
    with udp_socket(tunnel.users) as user:
        with UdpEcho(tunnel.target):
            user.send(b"before")
            assert user.recv(100) == b"before"
        # The echo that is closing may still take a datagram: only the refusal proves that it is gone.
        for _ in range(50):
            user.send(b"nobody is there")
            with suppress(AssertionError):
                tunnel.egress.wait_for("UDP: target: Connection refused", 0.2)
                break
        else:
            pytest.fail("the target was never refused")
        with UdpEcho(tunnel.target):
            user.send(b"after")
            while not user.recv(1000).endswith(b"after"):
                pass
