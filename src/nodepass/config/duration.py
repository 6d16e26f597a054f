"""Lengths of time in Go's notation, both ways: ``1m30s``, ``300ms``, ``1.5h``, ``0``.

Both ways count in whole nanoseconds, as Go does, so that what was read is written back unchanged. Seconds are floats
because that is what asyncio takes; a float holds whole nanoseconds exactly for spans of up to about 52 days.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_LONGEST: Final = 2**63 - 1  # Go's own limit, about 292 years

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # the micro sign
    "\u03bcs": 1_000,  # the Greek letter mu
    "ms": 1_000_000,
    "s": _SECOND,
    "m": _MINUTE,
    "h": _HOUR,
}
_UNIT_NAMES: Final = "|".join(sorted(_UNITS, key=len, reverse=True))
_TERM: Final = re.compile(rf"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>{_UNIT_NAMES})")
_LONGEST_TEXT: Final = 64


def parse_duration(text: str) -> float:
    """Read a duration in Go's notation.

    Args:
        text: terms of a decimal number and a unit (``h m s ms us ns``) one after another, or ``0``.

    Returns:
        The duration in seconds. A fraction finer than a nanosecond is cut off, as Go does.

    Raises:
        ValueError: the text is no duration, is negative, or is longer than Go can hold.
    """
    if text == "0":
        return 0.0
    if not text or len(text) > _LONGEST_TEXT:
        raise ValueError("not a duration")
    nanoseconds = position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None:
            raise ValueError("not a duration")
        nanoseconds += _nanoseconds(term["whole"], term["fraction"] or "", _UNITS[term["unit"]])
        position = term.end()
    if nanoseconds > _LONGEST:
        raise ValueError("duration too long")
    return nanoseconds / _SECOND


def _nanoseconds(whole: str, fraction: str, unit: int) -> int:
    """Return one term in nanoseconds; ``unit`` is the nanoseconds in one of its unit."""
    if not whole and not fraction:
        raise ValueError("a unit without a number")
    # A numerator and a denominator of whole numbers: a float would not hold the fraction exactly.
    scale: int = 10 ** len(fraction)
    return int(whole or "0") * unit + int(fraction or "0") * unit // scale


def format_duration(seconds: float) -> str:
    """Write a duration as Go does: ``5m0s``, ``1h0m0s``, ``300ms``, ``1.5s``, ``0s``.

    Args:
        seconds: the duration, rounded to the nanosecond.

    Raises:
        ValueError: the duration is negative, infinite or not a number.
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("a duration is a finite number of seconds, 0 or more")
    # The exact product: multiplying floats would round a second time, and so lose nanoseconds sooner.
    nanoseconds = round(Fraction(seconds) * _SECOND)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < _SECOND:
        name = "ns" if nanoseconds < 1_000 else "\u00b5s" if nanoseconds < 1_000_000 else "ms"
        return _decimal(nanoseconds, _UNITS[name]) + name
    minutes, below_a_minute = divmod(nanoseconds, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    shown = _decimal(below_a_minute, _SECOND) + "s"
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown


def _decimal(amount: int, unit: int) -> str:
    """Write ``amount / unit``, a power of ten, with no trailing zeros."""
    whole, rest = divmod(amount, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0")
