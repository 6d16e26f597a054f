"""The URL of an instance: what the master adds to it, and the same with every parameter written out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from nodepass.config import MasterConfig, Mode, parse_url, to_url
from nodepass.config.params import CRT, KEY, LOG, TLS
from nodepass.config.split import split_url
from nodepass.errors import ConfigError
from nodepass.master.model import Kind

if TYPE_CHECKING:
    from nodepass.config.parameter import Row

LONGEST_URL: Final = 16384
"""Characters."""

_OF_EVERY_INSTANCE: Final[tuple[Row, ...]] = (LOG,)
_OF_SERVERS: Final[tuple[Row, ...]] = (LOG, TLS, CRT, KEY)


@dataclass(frozen=True, slots=True)
class InstanceUrl:
    """A URL that has been checked. Both texts hold the tunnel key.

    Args:
        kind: what it makes.
        url: as given, with what the master adds.
        config: the same with every parameter of its kind.
    """

    kind: Kind
    url: str = field(repr=False)
    config: str = field(repr=False)


def read_instance_url(text: str, master: MasterConfig) -> InstanceUrl:
    """Check a URL, and add what it does not say and the master does: `log`, and for servers `tls`, `crt` and `key`.

    Raises:
        ConfigError: it is no URL of a server or a client; for the reason that the command line would give.
    """
    if len(text) > LONGEST_URL:
        raise ConfigError("URL", None, f"expected at most {LONGEST_URL} characters")
    parts = split_url(text)
    if parts.mode is Mode.MASTER:
        raise ConfigError("mode", Mode.MASTER.value, "expected server:// or client:// for an instance")
    said = {parameter.partition("=")[0] for parameter in parts.query.split("&")}
    missing = {row.name: row.text_in(master) for row in _filled_in(parts.mode) if row.name not in said}
    query = "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in missing.items() if value)
    url = text
    if query:
        url += ("&" if parts.query else "" if text.endswith("?") else "?") + query
    config = parse_url(url)
    return InstanceUrl(Kind(config.scheme), url, to_url(config, with_secret=True))


def filled_in(mode: Mode) -> set[str]:
    """The names of the parameters that an instance has from its master where its URL says nothing."""
    return {row.name for row in _filled_in(mode)}


def _filled_in(mode: Mode) -> tuple[Row, ...]:
    return _OF_SERVERS if mode is Mode.SERVER else _OF_EVERY_INSTANCE
