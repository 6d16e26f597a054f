"""The text of a URL's query: which parameters it gives, and whether its mode takes them."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final
from urllib.parse import unquote_to_bytes

from nodepass.config import params
from nodepass.config.kinds import alternatives
from nodepass.config.values import Mode
from nodepass.errors import ConfigError

_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


def decode_percent(text: str) -> str:
    """Decode percent-encoding strictly.

    Raises:
        ValueError: a ``%`` without two hex digits behind it, or bytes that are not UTF-8. It never repeats the text.
    """
    if _BROKEN_ESCAPE.search(text):
        raise ValueError("expected two hex digits after each '%' (a '%' itself is %25)")
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        # Without its cause, which holds the bytes.
        raise ValueError("expected percent-encoded UTF-8") from None


def split_query(mode: Mode, query: str) -> dict[str, str]:
    """Split a query into percent-decoded values by the parameter's name.

    A ``+`` is a space, as in any form-encoded query.

    Raises:
        ConfigError: a parameter is unknown, of another mode, repeated, or badly encoded.
    """
    texts: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, raw = part.partition("=")
        _check_name(mode, name, raw)
        if name in texts:
            raise ConfigError(name, raw, "expected once, not repeated")
        texts[name] = _decode_value(name, raw)
    return texts


def _check_name(mode: Mode, name: str, raw: str) -> None:
    """Refuse a parameter that the mode does not take."""
    row = params.BY_NAME.get(name)
    if row is None:
        # What is not even shaped like a name is more likely a piece of a key with a '?' in it: do not show it.
        shown = name if _PLAIN_NAME.fullmatch(name) else None
        raise ConfigError("unknown parameter", shown, _suggestion(mode, name))
    if mode in row.modes:
        return
    remark = row.remarks.get(mode)
    takers = alternatives(taker for taker in Mode if taker in row.modes)
    reason = f"a {mode} is {remark}" if remark else f"not a parameter of a {mode}, only of a {takers}"
    raise ConfigError(name, raw, f"{reason}; leave it out")


def _suggestion(mode: Mode, name: str) -> str:
    """Say what may have been meant by an unknown name."""
    names = [row.name for row in params.rows_of(mode)]
    near = get_close_matches(name.lower(), names, n=1)
    return f"did you mean {near[0]}?" if near else f"a {mode} takes {', '.join(names)}"


def _decode_value(name: str, raw: str) -> str:
    """Decode one parameter's value; the raw text is what a message may show, for it is printable."""
    problem = "expected no control characters"
    try:
        text = decode_percent(raw.replace("+", " "))
    except ValueError as error:
        problem = str(error)
    else:
        if text.isprintable():
            return text
    raise ConfigError(name, raw, problem)
