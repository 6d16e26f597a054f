"""A page as steps: its fenced blocks, each with the comments in front of it, and the comments that stand alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

ABOUT_A_BLOCK = {"run", "file", "fill"}
ALONE = {"given", "stop"}

_COMMENT = re.compile(r"\s*<!-- (\w+): (.*) -->")
_OPENING = re.compile(r"(\s*)(`{3,})(\S*)(.*)")


@dataclass(frozen=True)
class Step:
    """Something to do.

    Args:
        page: where it stands.
        line: of the page, from 1.
    """

    page: Path
    line: int

    @property
    def place(self) -> str:
        """Where it is, for a failure."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Block(Step):
    """A fenced block.

    Args:
        language: after the fence; empty where there is none.
        text: between the fences, without the indentation of the fence.
        notes: the comments in front of it, by their first word.
    """

    language: str
    text: str
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Remark(Step):
    """A comment that stands alone.

    Args:
        word: its first word.
        text: the rest.
    """

    word: str
    text: str


class PageError(Exception):
    """A page has something in it that cannot be read."""


def every_page() -> list[Path]:
    """The pages of the site, and those beside it."""
    return [
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "deploy" / "README.md",
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ]


def steps(page: Path) -> list[Step]:
    """Read a page.

    Raises:
        PageError: a comment is none that is known, or a fence is not closed.
    """
    return list(_steps(page, enumerate(page.read_text(encoding="utf-8").splitlines(), 1)))


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The blocks of a page, of one language if one is given."""
    return [step for step in steps(page) if isinstance(step, Block) and language in {None, step.language}]


def _steps(page: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Step]:
    notes: dict[str, str] = {}
    for number, line in lines:
        if match := _COMMENT.fullmatch(line):
            word, text = match[1], match[2]
            if word in ABOUT_A_BLOCK:
                notes[word] = text
            elif word in ALONE:
                yield Remark(page, number, word, text)
            else:
                message = f"{page}:{number}: no such comment: {word}"
                raise PageError(message)
        elif match := _OPENING.fullmatch(line):
            text = _body(page, number, match[1], match[2], lines)
            yield Block(page, number, match[3], text, notes)
            notes = {}
        elif notes and line.strip():
            message = f"{page}:{number}: a comment is not followed by a block"
            raise PageError(message)


def _body(page: Path, number: int, indentation: str, fence: str, lines: Iterator[tuple[int, str]]) -> str:
    body: list[str] = []
    for _, line in lines:
        if line.strip() == fence:
            return "".join(f"{line.removeprefix(indentation)}\n" for line in body)
        body.append(line)
    message = f"{page}:{number}: the fence is not closed"
    raise PageError(message)
