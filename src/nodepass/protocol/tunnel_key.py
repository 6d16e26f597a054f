"""The tunnel key as bytes: what the token and the signals' cipher are keyed with."""

from __future__ import annotations


def key_bytes(key: str) -> bytes:
    """Give the bytes a v1 peer uses for ``key``.

    Args:
        key: the percent-decoded user part of the URL, or the default made of the port. Bytes that are not UTF-8
            may stand in it as lone surrogates (PEP 383); they come out as they were.

    Returns:
        The UTF-8 bytes of the key.
    """
    return key.encode("utf-8", "surrogateescape")
