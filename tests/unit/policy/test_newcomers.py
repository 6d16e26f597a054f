"""A bounded crowd: who has to leave when it is full."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from nodepass.policy.newcomers import Newcomers

NewcomerT = TypeVar("NewcomerT")


class Crowd(Newcomers[NewcomerT]):
    """One that tells who has to leave."""

    def __init__(self, most: int, *members: tuple[str, NewcomerT]) -> None:
        self.left: list[NewcomerT] = []
        super().__init__(most, self.left.append)
        for source, newcomer in members:
            assert self.pushes_out(source, newcomer) is None

    def pushes_out(self, source: str, newcomer: NewcomerT) -> NewcomerT | None:
        self.left.clear()
        self.enter(source, newcomer)
        assert len(self.left) <= 1
        return self.left[0] if self.left else None


def test_there_is_room_up_to_the_limit() -> None:
    newcomers = Crowd(3, ("a", "a1"), ("b", "b1"), ("a", "a2"))
    assert len(newcomers) == 3
    assert sorted(newcomers) == ["a1", "a2", "b1"]


def test_the_longest_there_of_the_largest_source_leaves() -> None:
    newcomers = Crowd(3, ("b", "b1"), ("a", "a1"), ("a", "a2"))
    assert newcomers.pushes_out("c", "c1") == "a1"
    assert sorted(newcomers) == ["a2", "b1", "c1"]
    assert len(newcomers) == 3


def test_a_source_that_fills_it_pushes_out_its_own() -> None:
    newcomers = Crowd(3, ("other", "o1"), ("a", "a1"), ("a", "a2"))
    assert [newcomers.pushes_out("a", f"a{number}") for number in range(3, 9)] == [f"a{number}" for number in range(1, 7)]
    assert "o1" in set(newcomers)


def test_the_one_that_comes_may_be_the_one_that_leaves() -> None:
    newcomers: Crowd[str] = Crowd(0)
    assert newcomers.pushes_out("a", "a1") == "a1"
    assert len(newcomers) == 0


def test_those_of_one_source_are_counted() -> None:
    newcomers = Crowd(3, ("2001:db8::1", "a1"), ("2001:db8::2", "a2"), ("b", "b1"))
    assert [newcomers.like(ip) for ip in ("2001:db8::3", "b", "c")] == [2, 1, 0]
    newcomers.enter("b", "b2")
    newcomers.leave("b", "b1")
    assert [newcomers.like(ip) for ip in ("2001:db8::3", "b", "c")] == [1, 1, 0]


def test_who_has_left_is_not_pushed_out_and_may_leave_again() -> None:
    newcomers = Crowd(2, ("a", "a1"), ("a", "a2"))
    newcomers.leave("a", "a1")
    newcomers.leave("a", "a1")
    newcomers.leave("nobody", "a2")
    assert len(newcomers) == 1
    assert newcomers.pushes_out("b", "b1") is None
    assert newcomers.pushes_out("a", "a3") == "a2"


def test_it_may_change_while_it_is_gone_through() -> None:
    newcomers = Crowd(4, ("a", "a1"), ("a", "a2"), ("b", "b1"))
    for newcomer in newcomers:
        newcomers.leave(newcomer[0], newcomer)
    assert list(newcomers) == []
    assert newcomers._of_source == {}


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 5)), max_size=60))
def test_it_is_what_a_plain_list_would_be(most: int, steps: list[tuple[bool, str, int]]) -> None:
    newcomers: Crowd[tuple[str, int]] = Crowd(most)
    present: list[tuple[str, int]] = []
    serial = 10
    for enters, source, which in steps:
        if enters:
            serial += 1
            present.append((source, serial))
            expected = None
            if len(present) > most:
                sizes = {each: sum(one == each for one, _ in present) for each, _ in present}
                expected = newcomers.pushes_out(source, (source, serial))
                assert expected is not None
                assert sizes[expected[0]] == max(sizes.values())
                assert expected == next(one for one in present if one[0] == expected[0])
                present.remove(expected)
            else:
                assert newcomers.pushes_out(source, (source, serial)) is None
        elif which < len(present):
            newcomers.leave(present[which][0], present.pop(which))
        assert sorted(newcomers) == sorted(present)
        assert len(newcomers) == len(present) <= most
        assert set(newcomers._of_source) == {each for each, _ in present}
