"""Figures for people."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def size_text(size: float) -> str:
    """Write a number of bytes: `512 B`, `8.4 MB`."""
    exponent = 0
    # 999.95 would be rounded to 1000.0 of its unit.
    while size >= _STEP - (0.05 if exponent else 0.5) and exponent < len(_UNITS) - 1:
        size /= _STEP
        exponent += 1
    return f"{size:.{1 if exponent else 0}f} {_UNITS[exponent]}"


def time_text(seconds: float) -> str:
    """Write a length of time: `0.4 ms`, `120 ms`, `2.5 s`."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
