"""What the API says, for people: tables without keys, and without anything that would move a terminal's cursor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nodepass.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEADINGS: Final = ("ID", "ALIAS", "TYPE", "STATUS", "PING", "POOL", "TCP", "UDP", "RECEIVED", "SENT", "URL")

GAP: Final = "  "
_KEY: Final = re.compile(r"(?<=://)[^/?#]*@")


def printable(text: str) -> str:
    """The text with a question mark for each character that is not one to look at."""
    return "".join(character if character.isprintable() else "?" for character in text)


def without_key(url: str) -> str:
    """A URL that can be shown."""
    return _KEY.sub("***@", url)


def instance_row(instance: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of an instance."""
    return (
        instance["id"],
        instance["alias"] or "-",
        instance["type"],
        instance["status"],
        f"{instance['ping']} ms",
        str(instance["pool"]),
        str(instance["tcps"]),
        str(instance["udps"]),
        size_text(instance["tcprx"] + instance["udprx"]),
        size_text(instance["tcptx"] + instance["udptx"]),
        without_key(instance["url"]),
    )


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows in columns, each as wide as it must be."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return [line.rstrip() for line in lines]
