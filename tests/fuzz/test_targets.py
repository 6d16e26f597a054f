"""Every target takes every committed input, and whatever hypothesis makes of these; always the same, for a short while."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import FOLDER, inputs
from tests.fuzz.target import Target, however_cut, pieces
from tests.fuzz.targets import GROUPS, TARGETS

EXAMPLES = 150
LONGEST = 600
"""Bytes of what hypothesis makes up itself."""

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A committed input, of which a few pieces have been replaced, repeated or left out."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 16)))
        piece = draw(st.binary(max_size=8) | st.just(data[start:end] * 2) | st.sampled_from(seeds))
        data = data[:start] + piece + data[end:]
    return data


@each_target
def test_any_bytes(target: Target) -> None:
    seeds = list(inputs(target.name).values())

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(mutated(seeds) | st.binary(max_size=min(target.longest, LONGEST)))
    def any_bytes(data: bytes) -> None:
        target.try_out(data)

    any_bytes()


@each_target
def test_committed_inputs(target: Target) -> None:
    for data in inputs(target.name).values():
        target.try_out(data)


@each_target
def test_some_committed_input_is_a_good_one(target: Target) -> None:
    """So that fuzzing begins at what is deep inside, and not at the first refusal."""
    good = 0
    for data in inputs(target.name).values():
        try:
            target.read(data)
        except target.errors:
            continue
        good += 1
    assert good or target.name == "extension-answer-text"


def test_no_folder_without_a_target() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(TARGETS)
    assert sum(map(len, GROUPS.values())) == len(TARGETS)


def test_an_error_that_is_not_documented_is_a_failure() -> None:
    def read(data: bytes) -> None:
        raise {b"a": ValueError, b"b": KeyError}[data]

    target = Target("x", read, (ValueError,))
    target.try_out(b"a")
    with pytest.raises(KeyError):
        target.try_out(b"b")


@given(st.binary())
@settings(derandomize=True, database=None)
def test_pieces_are_all_of_it(data: bytes) -> None:
    assert b"".join(pieces(data)) == data[1:]


def test_a_reader_that_minds_how_it_is_cut_is_found() -> None:
    assert however_cut(b"\x02abcdef", b"".join) == b"abcdef"
    with pytest.raises(AssertionError, match="in pieces"):
        however_cut(b"\x02abcdef", lambda parts: len(list(parts)))
