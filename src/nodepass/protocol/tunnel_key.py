"""The tunnel key: as bytes, with which the token and the signals' cipher are keyed, and stretched for the extension."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from threading import Lock
from typing import Final

PRE_SHARED_KEY_SIZE: Final = 32

_SALT: Final = b"nodepass extension 1"
_STRETCHING: Final = Lock()


def key_bytes(key: str) -> bytes:
    """Give the bytes a v1 peer uses for ``key``.

    Args:
        key: the percent-decoded user part of the URL, or the default made of the port. Bytes that are not UTF-8
            may stand in it as lone surrogates (PEP 383); they come out as they were.

    Returns:
        The UTF-8 bytes of the key.
    """
    return key.encode("utf-8", "surrogateescape")


def pre_shared_key(key: str) -> bytes:
    """Make the key of the extension's handshake from the tunnel key, slowly, so that guessing is slow (spec: extension.md).

    It takes some 50 ms and 16 MiB the first time: call it in a thread. Whoever asks meanwhile waits for it.

    Returns:
        32 bytes: scrypt (RFC 7914) with n 16384, r 8, p 1.
    """
    with _STRETCHING:
        return _stretched(key)


@lru_cache(maxsize=8)
def _stretched(key: str) -> bytes:
    return hashlib.scrypt(key_bytes(key), salt=_SALT, n=16384, r=8, p=1, dklen=PRE_SHARED_KEY_SIZE)
