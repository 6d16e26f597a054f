"""Datagrams with their length in front, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.protocol.udp_frame import DatagramSplitter, header
from tests.unit.protocol.chunks import cut, cuts, every_byte
from tests.unit.protocol.vectors import examples, text

VECTORS = [
    (bytes.fromhex(text(row, "datagram_hex")), bytes.fromhex(text(row, "frame_hex"))) for row in examples("udp_frame")
]

LARGEST = 65535


def framed(datagrams: list[bytes]) -> bytes:
    return b"".join(header(len(datagram)) + datagram for datagram in datagrams)


def split(pieces: list[bytes]) -> list[bytes]:
    splitter = DatagramSplitter()
    return [bytes(datagram) for piece in pieces for datagram in splitter.feed(memoryview(piece))]


@pytest.mark.parametrize(("datagram", "frame"), VECTORS)
def test_vectors_both_ways(datagram: bytes, frame: bytes) -> None:
    assert header(len(datagram)) + datagram == frame
    assert split([frame]) == split(every_byte(frame)) == [datagram]


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 2


@given(st.lists(st.binary(max_size=300), max_size=6), cuts)
def test_what_is_framed_comes_out_whole_however_it_is_cut(datagrams: list[bytes], places: list[int]) -> None:
    data = framed(datagrams)
    assert split([data]) == split(cut(data, places)) == split(every_byte(data)) == datagrams


@given(st.lists(st.sampled_from([0, 1, 255, 256, LARGEST]), max_size=4), cuts)
def test_sizes_at_the_edges(sizes: list[int], places: list[int]) -> None:
    datagrams = [bytes([size & 0xFF]) * size for size in sizes]
    assert split(cut(framed(datagrams), places)) == datagrams


@given(st.binary(max_size=400), cuts)
def test_any_bytes_come_out_alike_and_none_is_lost(data: bytes, places: list[int]) -> None:
    found = split([data])
    assert found == split(cut(data, places)) == split(every_byte(data))
    assert data.startswith(framed(found))


def test_a_datagram_that_lies_whole_in_a_chunk_is_not_copied() -> None:
    chunk = bytearray(framed([b"one", b"two"]))
    first, second = DatagramSplitter().feed(memoryview(chunk))
    chunk[2:5] = b"ONE"
    assert (bytes(first), bytes(second)) == (b"ONE", b"two")


def test_a_datagram_put_together_of_chunks_does_not_depend_on_them() -> None:
    splitter = DatagramSplitter()
    chunk = bytearray(framed([b"abcdef"]))
    assert list(splitter.feed(memoryview(chunk)[:4])) == []
    chunk[2:4] = b"??"
    (datagram,) = splitter.feed(memoryview(chunk)[4:])
    chunk[4:] = b"????"
    assert bytes(datagram) == b"abcdef"
    # Somebody still holds the first, and the next one comes all the same.
    assert [bytes(found) for found in splitter.feed(memoryview(framed([b"x", b"y"])))] == [b"x", b"y"]


def test_at_most_one_partial_datagram_is_held() -> None:
    splitter = DatagramSplitter()
    data = framed([bytes(LARGEST)] * 3)
    most = 0
    for start in range(0, len(data), 1000):
        list(splitter.feed(memoryview(data)[start : start + 1000]))
        most = max(most, len(splitter._partial))
    assert LARGEST - 1000 < most < LARGEST + 2
    assert not splitter._partial


@pytest.mark.parametrize("size", [-1, LARGEST + 1])
def test_no_datagram_has_this_size(size: int) -> None:
    with pytest.raises(OverflowError):
        header(size)
