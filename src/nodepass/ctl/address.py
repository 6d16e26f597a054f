"""Where the API is and how it is reached: `--api`, `--key`, `--insecure`, `--fingerprint`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

from nodepass.config import Secret
from nodepass.errors import ConfigError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
DEFAULT_PREFIX: Final = "/api"
VERSION: Final = "/v1"

_EXPECTED: Final = "expected a URL such as https://127.0.0.1:9090/api"
_FINGERPRINT: Final = re.compile(r"(?:sha-?256:)?((?:[0-9a-f]{2}:?){32})", re.IGNORECASE)


class Trust(Enum):
    """Which certificate the master may show."""

    SYSTEM = auto()
    """One that this machine's authorities vouch for."""
    PINNED = auto()
    """The one with the fingerprint."""
    ANY = auto()
    """Any at all: whoever stands in between learns the API key."""


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """How to reach the API.

    Args:
        is_tls: whether HTTPS is spoken.
        host: name or IP address, without brackets.
        port: 1 to 65535.
        base: path in front of every route, with `/v1`: a v1 master answers there only.
        key: the API key.
        trust: which certificate is accepted.
        fingerprint: with `PINNED`, that of the certificate, in the form that the master logs.
    """

    is_tls: bool
    host: str
    port: int
    base: str
    key: Secret = field(repr=False)
    trust: Trust = Trust.SYSTEM
    fingerprint: str = ""


def read_address(api: str | None, key: str | None, *, insecure: bool, fingerprint: str | None) -> ApiAddress:
    """Read what the options say.

    Raises:
        ConfigError: one is missing or wrong. No message shows the key, or a URL that may hold one.
    """
    if not api:
        raise ConfigError("--api", None, f"missing, and so is NP_API; {_EXPECTED}")
    if not key:
        raise ConfigError("--key", None, "missing, and so is NP_API_KEY; the master logs its key when it makes it")
    if not key.isascii() or not key.isprintable():
        raise ConfigError("--key", None, "expected the master's key, 32 hex digits")
    try:
        parts = urlsplit(api)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ConfigError("--api", None, _EXPECTED) from None
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment or not parts.path.isascii():
        raise ConfigError("--api", None, _EXPECTED)
    base = parts.path.rstrip("/") or DEFAULT_PREFIX
    return ApiAddress(
        is_tls=parts.scheme == "https",
        host=parts.hostname,
        port=port,
        base=base if base.endswith(VERSION) else base + VERSION,
        key=Secret(key),
        trust=Trust.PINNED if fingerprint else Trust.ANY if insecure else Trust.SYSTEM,
        fingerprint=_read_fingerprint(fingerprint) if fingerprint else "",
    )


def _read_fingerprint(text: str) -> str:
    match = _FINGERPRINT.fullmatch(text)
    if match is None:
        raise ConfigError("--fingerprint", None, "expected sha256: and 64 hex digits, as the master logs it")
    return "sha256:" + bytes.fromhex(match[1].replace(":", "")).hex(":").upper()
