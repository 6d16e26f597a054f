"""What was sent last arrives, although the end of the tunnel that sent it has left meanwhile."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.harness import Recorder, Runner, connect, read_all

ANSWER = 4_000_000
"""Bytes: more than the tunnel holds on the way, so that the user still reads when the client has nothing left to send."""


@pytest.mark.every_transport
@pytest.mark.parametrize("tls", [0, 1])
@pytest.mark.parametrize("pool", ["auto", "single"])
def test_a_client_that_stops_lets_its_users_have_their_answers(np: Runner, tls: int, pool: str) -> None:
    """The user asks, ends and reads; the client that has passed the answer on has nothing else to wait for."""
    tunnel = np.tunnel(server=f"tls={tls}&pool={pool}")
    answer = os.urandom(ANSWER)
    with Recorder(tunnel.target, answer=answer) as target, connect(tunnel.users) as user:
        user.sendall(b"all of it, please")
        assert target.next().first.is_set()
        tunnel.client.send_signal(signal.SIGTERM)
        tunnel.client.wait_for("Waiting up to 5 s for 1 sessions")
        user.shutdown(socket.SHUT_WR)
        assert read_all(user) == answer
        assert tunnel.client.wait() == 0
