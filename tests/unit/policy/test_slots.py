from __future__ import annotations

import pytest

from nodepass.policy.slots import Slots


def test_a_slot_given_back_can_be_taken_again() -> None:
    slots = Slots(2)
    assert [slots.acquire() for _ in range(3)] == [True, True, False]
    assert slots.in_use == 2
    slots.release()
    assert slots.acquire()
    assert not slots.acquire()


def test_zero_is_no_limit() -> None:
    slots = Slots(0)
    assert all(slots.acquire() for _ in range(1000))
    assert slots.in_use == 1000


def test_a_release_too_many_is_an_error() -> None:
    slots = Slots(1)
    slots.acquire()
    slots.release()
    with pytest.raises(RuntimeError, match="nobody held"):
        slots.release()
    assert slots.in_use == 0
