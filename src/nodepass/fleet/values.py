"""TOML's typed values as the texts that a URL has, so that one set of rules reads both.

What is a number in a URL is a number here, what is 0 or 1 may be a boolean, and what is a list there may be an array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nodepass.config.kinds import BlockedProtocols, Choice, Flag, Integer, Networks

if TYPE_CHECKING:
    from nodepass.config.kinds import Kind

_TYPE_NAMES: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "a number",
    float: "a number with a fraction",
    str: "a text",
    list: "an array",
    dict: "a table",
}


def text_of(kind: Kind[Any], value: object) -> str:
    """Write a value as a URL would.

    Raises:
        ValueError: TOML's type is not one that this kind takes. It says which it is.
    """
    if isinstance(kind, Networks) and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if isinstance(value, bool):
        if isinstance(kind, Flag):
            return str(int(value))
    elif isinstance(value, int):
        # A lone 0 is a duration, too; any other number without a unit is refused as one.
        if not isinstance(kind, Networks) and not _is_named(kind):
            # Python refuses to write numbers of thousands of digits.
            return str(value) if abs(value) < 1 << 64 else "too large"
    elif isinstance(value, str) and not isinstance(kind, Integer | Flag) and not _is_numbered(kind):
        return value
    raise ValueError(f"not {type_name(value)}")


def type_name(value: object) -> str:
    """What TOML calls the type of a value."""
    return _TYPE_NAMES.get(type(value), "a date or time")


def _is_numbered(kind: Kind[Any]) -> bool:
    """Whether the values are an enum's numbers."""
    return isinstance(kind, Choice) and all(isinstance(member.value, int) for member in kind.members)


def _is_named(kind: Kind[Any]) -> bool:
    """Whether the values are an enum's names."""
    return isinstance(kind, Choice) and not _is_numbered(kind) and not isinstance(kind, BlockedProtocols)
