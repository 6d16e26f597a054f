"""What is remembered for a while."""

from __future__ import annotations

from nodepass.policy.recent import Recent


def test_a_value_is_known_for_its_time() -> None:
    recent = Recent(10, 100)
    assert not recent.knows("a", 0)
    recent.add("a", 0)
    assert recent.knows("a", 10)
    assert not recent.knows("a", 10.1)
    recent.add("a", 5)
    assert recent.knows("a", 15)


def test_of_many_the_newest_are_known_and_memory_is_bounded() -> None:
    recent = Recent(1000, 100)
    for number in range(1000):
        recent.add(str(number), number)
        assert len(recent._seen_at) <= 100
    assert [number for number in range(1000) if recent.knows(str(number), 999)] == list(range(900, 1000))


def test_what_is_forgotten_takes_no_memory_for_long() -> None:
    recent = Recent(1, 100)
    for number in range(50):
        recent.add(str(number), 0)
    for number in range(50):
        recent.add(f"later {number}", 5)
    assert len(recent._seen_at) == 50


def test_one_alone_is_remembered() -> None:
    recent = Recent(1, 1)
    for now in range(3):
        recent.add("a", now)
        recent.add("b", now)
        assert not recent.knows("a", now)
        assert recent.knows("b", now)
