"""The tools themselves: each trouble does what it says, and traffic tells apart what has become of a connection."""

from __future__ import annotations

import signal
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.adversity.accounts import Late
from tests.adversity.chaos import Chaos, TcpTroubles
from tests.adversity.datagrams import Datagrams
from tests.adversity.faults import last
from tests.adversity.scene import Target
from tests.adversity.target import LISTENING
from tests.adversity.traffic import Outcome, Traffic
from tests.harness import TIMEOUT, Harm, Process, TcpTarget, Troubles, UdpWay, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def direct() -> Iterator[tuple[Chaos, Traffic, Target]]:
    """Users and a target with nothing but a way between them."""
    with ExitStack() as stack:
        target = stack.enter_context(Target(free_port()))
        target.wait_for(LISTENING)
        way = stack.enter_context(Chaos(int(target.argv[-1])))
        yield way, stack.enter_context(Traffic(way.port)), target


@pytest.mark.parametrize("troubles", [TcpTroubles(), TcpTroubles(delay=0.01), TcpTroubles(drip=True)])
def test_everything_gets_through_what_only_slows(troubles: TcpTroubles) -> None:
    with direct() as (way, traffic, target):
        way.troubles = troubles
        traffic.wait_for(5)
        assert traffic.settle(TIMEOUT) == []
        assert set(traffic.outcomes()) == {Outcome.WHOLE}
        for number in traffic.records:
            target.wait_for(rf"^whole {number}\b")
        assert not target.matches("^(cut|broken|wrong)")


def test_reset_is_seen_by_both_sides() -> None:
    with direct() as (way, traffic, target):
        traffic.wait_for(5)
        way.hold()
        way.reset_all()
        broken = way.harm[Harm.RESET]
        way.go_on()
        traffic.wait_for(5)
        assert traffic.settle(TIMEOUT) == []
        assert set(traffic.outcomes()) == {Outcome.WHOLE, Outcome.BROKEN}
        assert 0 < traffic.outcomes()[Outcome.BROKEN] <= broken
        target.wait_for("^broken")


def test_lost_is_who_comes_meanwhile() -> None:
    with direct() as (way, traffic, _):
        traffic.wait_for(2)
        way.troubles = TcpTroubles(lose=True)
        assert traffic.settle(TIMEOUT) == []
        before = traffic.outcomes()[Outcome.BROKEN]
        traffic.go_on()
        with pytest.raises(AssertionError, match="not served again"):
            traffic.first_served(0.3)
        assert 0 < traffic.outcomes()[Outcome.BROKEN] - before <= way.harm[Harm.TURNED_AWAY]
        way.troubles = TcpTroubles()
        traffic.first_served(TIMEOUT)


def test_held_up_is_not_lost() -> None:
    with direct() as (way, traffic, _):
        traffic.wait_for(2)
        way.hold()
        assert traffic.settle(0.2) != []
        assert way.harm[Harm.HELD] > 0
        way.go_on()
        assert traffic.settle(TIMEOUT) == []
        assert set(traffic.outcomes()) == {Outcome.WHOLE}


def test_silence_is_found_by_nobody_but_the_test() -> None:
    with direct() as (way, traffic, _):
        traffic.wait_for(2)
        way.fall_silent()
        hanging = traffic.settle(0.3)
        assert hanging
        way.speak()
        traffic.first_served(TIMEOUT)
        # What was dead stays dead.
        assert traffic.open == hanging


def test_how_late_a_break_is_noticed_is_counted_from_the_faults_end() -> None:
    with direct() as (way, traffic, target):
        traffic.wait_for(2)
        over = time.monotonic()
        way.fall_silent()
        assert traffic.settle(0.3)
        way.give_up(near=True)
        assert traffic.settle(TIMEOUT) == []
        users = time.monotonic()
        late = Late.of(traffic, [target], over)
        assert late.targets == 0
        assert 0.3 <= late.users <= users - over
        since = len(target.lines)
        way.give_up(near=False)
        target.wait_for("^broken", since=since)
        late = Late.of(traffic, [target], over)
        assert 0 < late.targets <= time.monotonic() - over
        assert Late.of(traffic, [target], users).users < 0.3


class Liar(TcpTarget):
    """Answers with something else, or ends early."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self._answer = answer

    def serve(self, sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(self._answer)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass


@pytest.mark.parametrize(("answer", "outcome"), [(b"", Outcome.CUT), (bytes(10), Outcome.WRONG)])
def test_wrong_and_cut_are_told_apart(answer: bytes, outcome: Outcome) -> None:
    with Liar(answer) as liar, Traffic(liar.port) as traffic:
        with pytest.raises(AssertionError, match="not served again"):
            traffic.first_served(0.2)
        assert traffic.settle(TIMEOUT) == []
        assert outcome in traffic.outcomes()
        assert Outcome.WHOLE not in traffic.outcomes()


def test_datagrams_are_compared() -> None:
    with ExitStack() as stack:
        target = stack.enter_context(Target(free_port()))
        target.wait_for(LISTENING)
        way = stack.enter_context(UdpWay(int(target.argv[-1]), troubles=Troubles(repeat=0.5)))
        datagrams = stack.enter_context(Datagrams(way.port))
        for _ in range(20):
            datagrams.first_returned()
        datagrams.stop()
        assert 0 < datagrams.repeated <= way.harm[Harm.REPEATED]
        assert datagrams.wrong == []


def test_what_becomes_of_datagrams_is_counted() -> None:
    with ExitStack() as stack:
        target = stack.enter_context(Target(free_port()))
        target.wait_for(LISTENING)
        way = stack.enter_context(UdpWay(int(target.argv[-1])))
        datagrams = stack.enter_context(Datagrams(way.port))
        datagrams.first_returned()
        assert way.harm.total() == 0
        for troubles, harm in (
            (Troubles(loss=0.5), Harm.LOST),
            (Troubles(swap=0.5), Harm.SWAPPED),
            (Troubles(delay=0.01), Harm.DELAYED),
        ):
            way.troubles = troubles
            last(0, partial(way.harm.get, harm))
            way.troubles = Troubles()
            datagrams.first_returned()
        way.held = True
        last(0, lambda: way.harm[Harm.HELD] > 0)
        way.held = False
        way.silent = True
        last(0, lambda: way.harm[Harm.SWALLOWED] > 0)
        way.silent = False
        way.move()
        last(0, lambda: way.harm[Harm.MOVED] > 0)
        datagrams.first_returned()


def test_a_datagram_that_nobody_sent_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.bind(("127.0.0.1", 0))
        with Datagrams(liar.getsockname()[1]) as datagrams:
            said, user = liar.recvfrom(1 << 16)
            liar.sendto(said + b"more", user)
            liar.recv(1 << 16)
            datagrams.stop()
            assert datagrams.wrong == [said + b"more"]


HOG = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("small", flush=True)
signal.sigwait([signal.SIGUSR1])
hoard = bytearray(b"x") * {size}
del hoard
print("small again", flush=True)
signal.pause()
"""
"""A program that takes memory when it gets a signal, and lets it go at once."""


def test_memory_that_was_let_go_again_is_in_the_peak() -> None:
    size = 100 << 20
    with Process([sys.executable, "-c", HOG.format(size=size)]) as hog:
        hog.wait_for("^small$")
        before = hog.rss()
        hog.reset_peak()
        assert hog.peak() - before < size / 10
        hog.send_signal(signal.SIGUSR1)
        hog.wait_for("^small again$")
        assert hog.rss() - before < size / 10
        assert hog.peak() - before > size * 0.9
        hog.reset_peak()
        assert hog.peak() - before < size / 10
