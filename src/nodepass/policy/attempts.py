"""How often a source may fail, so that guessing keys is slow and keeps nobody else waiting (extension.md)."""

from __future__ import annotations

from collections import OrderedDict

from nodepass.policy.sources import source_of
from nodepass.policy.token_bucket import TokenBucket


class Attempts:
    """Failed attempts by source: an IPv4 address, or an IPv6 network of 64 bits, which is what one subscriber has.

    A source may fail `burst` times at once, and from then on `per_second` times. Success costs nothing.

    All times are seconds of one clock. Addresses are as `net.address.Address` has them; another text is a ValueError.

    Args:
        burst: failures that are free, 1 or more.
        per_second: failures that are free each second, above 0.
        most_sources: sources that are remembered; of more, the one whose last failure is the longest ago is forgotten.
    """

    def __init__(self, burst: int = 10, per_second: float = 1.0, most_sources: int = 4096) -> None:
        self._burst = burst
        self._per_second = per_second
        self._most_sources = most_sources
        self._buckets: OrderedDict[str | bytes, TokenBucket] = OrderedDict()

    def wait(self, ip: str, now: float) -> float:
        """Give the seconds until this source may try again; 0.0 when it may now."""
        bucket = self._buckets.get(source_of(ip))
        return 0.0 if bucket is None else bucket.delay(now)

    def failed(self, ip: str, now: float) -> None:
        """Learn that an attempt of this source has failed."""
        source = source_of(ip)
        bucket = self._buckets.get(source)
        if bucket is None:
            # One less, because the bucket lets through what takes it into debt.
            bucket = self._buckets[source] = TokenBucket(self._per_second, self._burst - 1)
            if len(self._buckets) > self._most_sources:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(source)
        bucket.spend(1, now)
