"""Messages between processes come out of their packets as they went in, and show no secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from nodepass.master import fork_messages
from nodepass.net.packets import encode
from nodepass.tunnel.workers import packets
from nodepass.tunnel.workers.company_messages import Lent, Told
from nodepass.tunnel.workers.messages import Bind, Bound, Release, Settled, Start, Stop

if TYPE_CHECKING:
    from nodepass.net.packets import Packable

START = Start(1, 3, "server://sesame@:1/:2", 0, True, 1.5, "chain", "secret")
FORK = fork_messages.Start(7, "server://sesame@:1/:2")


@pytest.mark.parametrize(
    "message",
    [
        START,
        Stop(),
        Bind(1, ("::1", "127.0.0.1"), 80, True),
        Bound(1, "in use"),
        Release((), 80),
        Settled(1, False),
        Told(1, "pool", "ab", "::1", 2, ("confirm",), (), True),
        Lent(3),
    ],
)
def test_what_processes_of_an_instance_say_comes_out_as_it_went_in(message: packets.Message) -> None:
    assert packets.decode(encode(message)) == message


@pytest.mark.parametrize("message", [FORK, fork_messages.Signal(7, 15)])
def test_a_request_comes_out_as_it_went_in(message: fork_messages.Request) -> None:
    assert fork_messages.decode_request(encode(message)) == message


@pytest.mark.parametrize("message", [fork_messages.Ready(), fork_messages.Failed(7, "too many")])
def test_a_reply_comes_out_as_it_went_in(message: fork_messages.Reply) -> None:
    assert fork_messages.decode_reply(encode(message)) == message


@pytest.mark.parametrize("union", [packets.Message, fork_messages.Request, fork_messages.Reply])
def test_no_two_are_of_one_kind(union: object) -> None:
    kinds = [message.kind for message in get_args(union)]
    assert len(kinds) > 1
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("message", [START, FORK])
def test_secrets_are_not_shown(message: Packable) -> None:
    assert "sesame" not in repr(message)
    assert "secret" not in repr(message)
