"""The tables of parameters and variables as text for a terminal: what `nodepass params` prints."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from nodepass.config import params, tunables
from nodepass.config.values import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nodepass.config.parameter import Row

WIDTH: Final = 100
"""Columns that no line exceeds."""

_LETTERS: Final = {Mode.SERVER: "S", Mode.CLIENT: "C", Mode.MASTER: "M"}
_GAP: Final = "  "

_PARAMETERS_INTRODUCTION: Final = """\
Parameters of the URL, as in  nodepass "server://KEY@:10101/:8080?tls=1&mode=1"
Modes that take one: S server, C client, M master."""

_VARIABLES_INTRODUCTION: Final = "Variables of the environment, read once at start."


def help_text() -> str:
    """Return both tables, with no line longer than `WIDTH`."""
    parameters = [("name", "default", "modes", "meaning"), *map(_parameter_cells, params.ALL)]
    variables = [("name", "default", "meaning"), *map(_variable_cells, tunables.ALL)]
    return "\n".join(
        (_PARAMETERS_INTRODUCTION, "", *_lines(parameters), "", _VARIABLES_INTRODUCTION, "", *_lines(variables))
    )


def _parameter_cells(row: Row) -> tuple[str, ...]:
    remarks = "".join(f" ({mode}: {remark})" for mode, remark in row.remarks.items())
    modes = "".join(letter if mode in row.modes else " " for mode, letter in _LETTERS.items())
    return (row.name, row.default_text or "-", modes, _plain(row.help + remarks))


def _variable_cells(variable: tunables.AnyVariable) -> tuple[str, ...]:
    return (variable.name, variable.default_text, _plain(variable.help))


def _plain(markdown: str) -> str:
    """Take away the only marks that the tables' texts have."""
    return markdown.replace("`", "")


def _lines(rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    """Lay rows out in columns, each as wide as it must be, the last one wrapped to what is left."""
    rows = tuple(rows)
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    indent = sum(widths) + len(_GAP) * len(widths)
    for *cells, last in rows:
        head = "".join(cell.ljust(width) + _GAP for cell, width in zip(cells, widths, strict=True))
        yield from textwrap.wrap(
            last, WIDTH, initial_indent=head, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
        )
