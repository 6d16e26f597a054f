"""What a page shows of an output, compared with what came.

In what is shown, `…` stands for anything within a line, a line of nothing else for any number of lines, and a time for any
time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.harness import Process

_ANYTHING = "…"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")
_WAIT = 15.0


def pattern_of(shown: str) -> str:
    """A regular expression for one line that a page shows."""
    with_times = (re.escape(piece).replace(re.escape(_ANYTHING), ".*") for piece in _TIME.split(shown))
    return r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}".join(with_times)


def same(shown: Sequence[str], came: Sequence[str]) -> bool:
    """Whether a whole output is as shown."""
    if not shown:
        return not came
    if shown[0].strip() == _ANYTHING:
        return any(same(shown[1:], came[start:]) for start in range(len(came) + 1))
    return bool(came) and re.fullmatch(pattern_of(shown[0]), came[0]) is not None and same(shown[1:], came[1:])


def assert_same(shown: str, came: str, place: str) -> None:
    """Compare a whole output.

    Raises:
        AssertionError: it is another one.
    """
    lines, got = shown.rstrip("\n").split("\n"), came.rstrip("\n").split("\n")
    assert same(lines, [line.rstrip() for line in got]), f"{place}: shown\n{shown}\ncame\n{came}"


def wait_for_lines(shown: str, process: Process, place: str) -> None:
    """Wait until a program that runs has written the lines that are shown, in this order, among others.

    Raises:
        AssertionError: one of them does not come.
    """
    patterns = [pattern_of(line) for line in shown.rstrip("\n").split("\n") if line.strip() != _ANYTHING]
    since = 0
    for pattern in patterns:
        try:
            process.wait_for(f"^{pattern}$", _WAIT, since=since)
        except AssertionError as error:
            message = f"{place}: {error}"
            raise AssertionError(message) from None
        since += next(n for n, line in enumerate(process.lines[since:], 1) if re.fullmatch(pattern, line))
