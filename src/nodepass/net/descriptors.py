"""How many file descriptors this process may have, and how many of those strangers may take."""

from __future__ import annotations

import sys
from contextlib import suppress

SHARE_OF_STRANGERS = 4
"""They get one descriptor of so many: users need theirs, and each of them two."""


def raise_limit() -> None:
    """Allow this process as many as it may allow itself: what shells begin with is made for programs of one user."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Windows has none

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # macOS may call the limit infinite and yet take no such number: then what there is has to do.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def for_strangers(most: int) -> int:
    """Tell how many connections of strangers there may be at a time.

    Args:
        most: where the limit of this process leaves room for as many.
    """
    if sys.platform == "win32":
        return most
    import resource  # noqa: PLC0415 - Windows has none

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else min(most, max(soft // SHARE_OF_STRANGERS, 1))
