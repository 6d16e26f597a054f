"""The exceptions that the library raises on purpose, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nodepass
from nodepass.errors import NodePassError

if TYPE_CHECKING:
    from collections.abc import Iterator


def exceptions() -> str:
    """A list in which each exception stands under the one of which it is a kind."""
    return "\n".join(_lines(NodePassError, 0))


def _lines(kind: type[NodePassError], depth: int) -> Iterator[str]:
    meaning = (kind.__doc__ or "").partition("\n")[0]
    # Some can be caught by the name of their base only.
    name = f"nodepass.{kind.__name__}" if kind.__name__ in nodepass.__all__ else f"nodepass.errors.{kind.__name__}"
    yield f"{'  ' * depth}- `{name}`: {meaning}"
    for child in sorted(kind.__subclasses__(), key=lambda child: child.__name__):
        yield from _lines(child, depth + 1)
