"""A process that has as many descriptors as it may."""

from __future__ import annotations

import gc
import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_more_descriptors(left: int = 0) -> Iterator[None]:
    """Let this process open no more of them than `left`."""
    # What tests before have left to the collector must not be closed in the middle: its descriptors would be free.
    gc.collect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The lowest that are free: all below the last of them are in use.
    free = [os.dup(1) for _ in range(left + 1)]
    for descriptor in free:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
