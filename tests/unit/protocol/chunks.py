"""Bytes in pieces: what a parser finds must not depend on how the network cut them."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def every_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


cuts = st.lists(st.integers(0, 100_000), max_size=6)
