"""Datagrams: what arrives in time counts, and what happens to them on their way is found."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bench.contenders import V1, Frp, NodePass, Rathole, Reference
from bench.echo_target import Counts, datagram, filler
from bench.loads.datagrams import Datagrams, check_contents, whole
from bench.model import HOST, BenchError, Ports, Setup, Target
from bench.ports import PortMaker
from bench.stage import Stage
from bench.targets import Targets
from tests.unit.bench.test_runner import Fake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = 200
REST = filler(SIZE)
PATIENCE = 20.0


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    with Targets(PortMaker().next(), tmp_path) as targets:
        targets.need(Target.ECHO)
        yield targets


def counted(targets: Targets, first: int, *datagrams: bytes) -> Counts:
    """What the target says of these."""
    targets.count_datagrams(SIZE, first)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as user:
        user.connect((HOST, targets.port))
        for one in datagrams:
            user.send(one)
        # Loopback keeps their order: when this one has come, all have.
        last = datagram(first + 1000, REST)
        user.send(last)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        counts = targets.counted()
        if counts.bytes >= SIZE and targets_last(counts, datagrams):
            return counts
    raise AssertionError("they have not come")


def targets_last(counts: Counts, datagrams: tuple[bytes, ...]) -> bool:
    """Whether all have been taken, the last included."""
    early = sum(1 for one in datagrams if len(one) == SIZE and int.from_bytes(one[:8]) < 10)
    return counts.datagrams + counts.duplicates + early == len(datagrams) + 1


def number(value: int) -> bytes:
    return datagram(value, REST)


def test_what_comes_as_it_was_sent_is_only_counted(targets: Targets) -> None:
    found = counted(targets, 10, *(number(value) for value in range(10, 60)))
    assert found == Counts(SIZE, 51, 51 * SIZE)


def test_what_happens_to_them_is_found(targets: Targets) -> None:
    changed = bytearray(number(13))
    changed[100] ^= 1
    other_number = bytearray(number(14))
    other_number[7] ^= 1
    found = counted(
        targets,
        10,
        *(number(10), number(12), number(11), number(12)),
        *(bytes(changed), bytes(other_number), number(20) + number(21), number(22)[:-1]),
        # Sent before this counting began.
        number(3),
    )
    assert found == Counts(
        SIZE, datagrams=8, bytes=7 * SIZE + 2 * SIZE - 1, resized=2, changed=2, duplicates=1, reordered=1
    )


def test_each_counting_begins_anew(targets: Targets) -> None:
    assert counted(targets, 10, number(10)).duplicates == 0
    assert counted(targets, 10, number(10)).duplicates == 0


@pytest.mark.parametrize("counts", [Counts(SIZE, 5, 5 * SIZE, changed=1), Counts(SIZE, 5, 4 * SIZE, resized=1)])
def test_what_was_changed_is_a_failure(counts: Counts) -> None:
    check_contents(counts, may_be_resized=True)
    with pytest.raises(BenchError, match="of 5 datagrams"):
        check_contents(counts, may_be_resized=False)


def test_only_v1_may_cut_and_join_them() -> None:
    others = (NodePass("nodepass", ("nodepass",)), Reference(), Frp("", ""), Rathole(""))
    assert V1("/program").joins_datagrams
    assert not any(one.joins_datagrams for one in others)


class Cutting:
    """Answers each datagram in two.

    Args:
        change: what is made of the second.
    """

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((HOST, 0))
        self.port: int = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as user:
            user.sendto(b"", (HOST, self.port))
        self._thread.join()
        self._sock.close()

    def _serve(self) -> None:
        while True:
            data, user = self._sock.recvfrom(1 << 16)
            if not data:
                return
            self._sock.sendto(data[:50], user)
            self._sock.sendto(self._change(data[50:]), user)


class Joining(Fake):
    """As v1."""

    joins_datagrams = True


@pytest.mark.parametrize(
    ("contender", "change", "is_right"),
    [
        (Joining("v1"), lambda data: data, True),
        (Joining("v1"), lambda data: data[::-1], False),
        (Fake("other"), lambda data: data, False),
    ],
)
def test_the_proof_takes_pieces_of_v1_only(
    contender: Fake, change: Callable[[bytes], bytes], is_right: bool, targets: Targets, tmp_path: Path
) -> None:
    with closing(Cutting(change)) as cutting:
        stage = Stage(contender, Setup(single=True, udp=True), Ports(cutting.port, 2, 3), targets, tmp_path, 1)
        if is_right:
            Datagrams(SIZE).verify(stage)
        else:
            with pytest.raises(BenchError, match="came back changed"):
                Datagrams(SIZE).verify(stage)


def test_duplicates_and_reordering_change_nothing() -> None:
    check_contents(Counts(SIZE, 5, 5 * SIZE, duplicates=2, reordered=1), may_be_resized=False)


def test_whole_are_those_of_the_right_length_and_contents() -> None:
    assert whole(Counts(SIZE, 4, 4 * SIZE, resized=1, changed=1)) == 50
    assert whole(Counts(SIZE)) == 0


class Late(Datagrams):
    """The target has got half of what was sent when the sender ends, and all of it a while after."""

    def _flood(self, sock: socket.socket, seconds: float) -> int:
        return 100

    def _settled(self, stage: Stage) -> Counts:
        return Counts(SIZE, 100, 100 * SIZE)


def test_what_comes_late_is_not_lost_and_counts_for_no_rate(targets: Targets, tmp_path: Path) -> None:
    stage = Stage(Fake("fake"), Setup(single=True, udp=True), Ports(1, 2, targets.port), targets, tmp_path, 1)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as user:
        sending = Late(SIZE)._send(stage, user, 0)
    assert sending.rate == 0
    assert (sending.sent, sending.arrived) == (100, 100)


def test_a_measurement_has_all_its_figures(targets: Targets, tmp_path: Path) -> None:
    # The user sends to the target itself.
    ports = Ports(targets.port, PortMaker().next(), targets.port)
    stage = Stage(Fake("fake"), Setup(single=True, udp=True), ports, targets, tmp_path, 1)
    load = Datagrams(SIZE)
    load.verify(stage)
    sample = load.measure(stage)
    assert {figure.name for figure in load.figures} <= set(sample.values)
    assert sample.values["datagrams"] > 0
    assert sample.values["arrived whole at half the peak"] == 100
    assert not any("twice" in note or "order" in note for note in sample.notes)
