"""A URL taken apart, before any of its parts is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nodepass.config.kinds import alternatives
from nodepass.config.query import decode_percent
from nodepass.config.values import Mode
from nodepass.errors import ConfigError

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}")
_SCHEMES: Final = alternatives(f"{mode}://" for mode in Mode)


@dataclass(frozen=True, slots=True, repr=False)
class SplitUrl:
    """The parts of a URL, percent-encoded but for the key. It has no repr: it holds the key.

    Args:
        mode: the scheme.
        key: the key; empty when the URL gives none.
        key_texts: what the key looks like, as written and decoded: texts that no message may repeat.
        has_user_part: whether an ``@`` stands before the address.
        address: host and port.
        path: from the slash on; may be empty.
        query: what follows the question mark.
    """

    mode: Mode
    key: str
    key_texts: frozenset[str]
    has_user_part: bool
    address: str
    path: str
    query: str


def split_url(text: str) -> SplitUrl:
    """Take a URL apart.

    The key is the user part: what stands before the last ``@`` of the authority and, of that, before the first colon,
    which in a URL begins a password that the protocol has no use for.

    Raises:
        ConfigError: it has not the shape of a URL of a known mode. It holds nothing that may be the key.
    """
    mode, rest = _split_mode(text)
    for position, character in enumerate(text, 1):
        if character.isspace() or not character.isprintable():
            raise ConfigError(
                "URL",
                None,
                f"expected no blanks or control characters, unless percent-encoded; found one at {position}",
            )
    if "#" in rest:
        raise ConfigError("URL", None, "expected no '#', unless percent-encoded as %23")
    before_query, _, query = rest.partition("?")
    authority, slash, path = before_query.partition("/")
    if "@" in path:
        raise ConfigError("URL", None, "expected no '@' after the address; in the key, write '/' as %2F and '?' as %3F")
    user, at, address = authority.rpartition("@")
    raw_key = user.partition(":")[0]
    key = _decode_key(raw_key)
    return SplitUrl(
        mode=mode,
        key=key,
        key_texts=frozenset(filter(None, (user, raw_key, key))),
        has_user_part=bool(at),
        address=address,
        path=slash + path,
        query=query,
    )


def _split_mode(text: str) -> tuple[Mode, str]:
    """Return the mode and what follows its ``://``."""
    scheme, separator, rest = text.partition("://")
    if scheme.lower() in set(Mode) and separator:
        return Mode(scheme.lower()), rest
    shown = scheme if separator and _SCHEME.fullmatch(scheme) else None
    raise ConfigError("mode", shown, f"expected {_SCHEMES}")


def _decode_key(raw: str) -> str:
    """Return the key that the URL's text stands for."""
    try:
        return decode_percent(raw)
    except ValueError as error:
        problem = str(error)
    raise ConfigError("key", None, problem)
