"""What is fuzzed, and how it is judged."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

MOST_PIECES = 1000


@dataclass(frozen=True)
class Target:
    """Something that reads bytes from others.

    Args:
        name: of its folder in the corpus, and for the command line.
        read: takes any bytes, and asserts what must hold then.
        errors: what it may raise, as it is documented; nothing where what may be raised is part of what `read` asserts.
        longest: bytes that make sense as an input.
    """

    name: str
    read: Callable[[bytes], None]
    errors: tuple[type[Exception], ...] = ()
    longest: int = 4096

    def try_out(self, data: bytes) -> None:
        """Let it read.

        Raises:
            Exception: it failed: an error that is not documented, or an assertion.
        """
        with suppress(*self.errors):
            self.read(data)


def pieces(data: bytes) -> list[bytes]:
    """Cut what follows the first byte: its last bits are the size of the first piece, all of it is that of the others.

    There are never many more pieces than `MOST_PIECES`, or a long input would take most of the time.
    """
    if not data:
        return []
    rest, first = data[1:], data[0] % 16
    size = max(data[0] + 1, len(rest) // MOST_PIECES)
    found = [rest[:first], *(rest[start : start + size] for start in range(first, len(rest), size))]
    return [piece for piece in found if piece]


def however_cut(data: bytes, read: Callable[[Iterable[bytes]], T]) -> T:
    """Read what follows the first byte in one piece and in several; what comes of it must be the same."""
    whole = read([data[1:]])
    cut = read(pieces(data))
    assert cut == whole, f"in pieces {cut!r}, in one {whole!r}"
    return whole
