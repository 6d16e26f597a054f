"""Log lines and errors that pages quote are in the source: who looks for what he sees must find it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import nodepass
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTED = re.compile(r"`([^`]+)`")

FROM_ELSEWHERE = {
    "Address already in use",
    "Permission denied",
    "Connection refused",
    "Too many open files",
    "certificate verify failed",
}
"""What the system or OpenSSL adds to a line."""

LEAST = 45
"""Quotes that there are at least, or they are not found."""


def written() -> list[str]:
    """Every text in the source, with the values that stand in it left out."""
    texts: list[str] = []
    for path in Path(nodepass.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(str(piece.value) if isinstance(piece, ast.Constant) else "\0" for piece in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"%[-+.0-9]*[sdgrf]", "\0", node.value))
    return texts


WRITTEN = written()


def is_written(quote: str) -> bool:
    """Whether a piece of a line, in which `…` stands for values, is in the source: one text, or a reason behind another."""
    if _is_in_a_text(quote):
        return True
    colons = [match.start() for match in re.finditer(": ", quote)]
    return any(_is_in_a_text(quote[:at], ending=": \0") and _is_in_a_text(quote[at + 2 :]) for at in colons)


def _is_in_a_text(quote: str, *, ending: str = "") -> bool:
    expression = r"[^\n]*".join(re.escape(piece.strip()) for piece in quote.split("…")) + ending
    return any(re.search(expression, text) for text in WRITTEN)


def rows(page: str, heading: str) -> Iterator[str]:
    """The first cells of the tables whose first heading is this one."""
    inside = False
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
        elif line.startswith(f"| {heading} |"):
            inside = True
        elif inside and not line.startswith("|---"):
            yield line.split("|")[1]


def quotes() -> list[tuple[str, str]]:
    """What pages quote, each with its page."""
    tables = (("troubleshooting.md", "you see"), ("security.md", "line"))
    found = [(page, quote) for page, heading in tables for row in rows(page, heading) for quote in QUOTED.findall(row)]
    names = re.compile(r"(NP_\w+|[a-z]+=?|[a-z]+=\S+)")
    return [(page, quote) for page, quote in found if quote not in FROM_ELSEWHERE and not names.fullmatch(quote)]


@pytest.mark.parametrize(("page", "quote"), quotes())
def test_quote_is_in_the_source(page: str, quote: str) -> None:
    assert is_written(quote), f"{page}: no line of nodepass has {quote!r}"


def test_quotes_are_found() -> None:
    assert len(quotes()) >= LEAST


def test_what_is_not_written_is_missed() -> None:
    assert not is_written("The moon is full")
    assert not is_written("Refused the moon at")
    assert not is_written("Refused the user at …: the moon is full")
    assert is_written("Refused the user at …: no peer is connected")


def test_figures_of_the_comparison_are_measured() -> None:
    measured = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    figures = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8"))
    assert len(figures) >= 5
    assert all(re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", measured) for figure in figures), figures
