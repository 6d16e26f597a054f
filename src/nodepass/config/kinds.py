"""How the text of a setting becomes a typed value, and back.

A `Kind` knows one type of value. It is shared by URL parameters and environment variables, and it alone says what a
right value looks like, so that help, errors and the README agree. No kind quotes the text it refuses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from nodepass.config.duration import format_duration, parse_duration
from nodepass.config.endpoint import IPAddress, parse_host_name, parse_ip_address
from nodepass.config.values import BLOCK_DIGITS, Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

IPNetwork: TypeAlias = IPv4Network | IPv6Network

LARGEST_INTEGER: Final = 2**31 - 1
"""Upper bound of numbers that have no smaller one."""
_LONGEST_INTEGER_TEXT: Final = 10


class Kind(ABC, Generic[T]):
    """One type of value: how it is read, how it is written, and what a right text is."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What a right text is, to follow the word "expected"."""

    @abstractmethod
    def parse(self, text: str) -> T:
        """Read a value.

        Raises:
            ValueError: the text is not a value of this kind.
        """

    @abstractmethod
    def format(self, value: T) -> str:
        """Write a value so that `parse` gives it back."""


def alternatives(texts: Iterable[str]) -> str:
    """Join texts as a sentence does: ``0, 1 or 2``."""
    *head, last = texts
    return f"{', '.join(head)} or {last}" if head else last


@dataclass(frozen=True, slots=True)
class Choice(Kind[E]):
    """One member of an enum, written as the member's value."""

    members: type[E]

    @property
    def expected(self) -> str:
        """The members' values."""
        return alternatives(map(self.format, self.members))

    def parse(self, text: str) -> E:
        """Find the member whose value reads like this."""
        for member in self.members:
            if self.format(member) == text:
                return member
        raise ValueError("no such choice")

    def format(self, value: E) -> str:
        """Write the member's value."""
        return str(value.value)


@dataclass(frozen=True, slots=True)
class Integer(Kind[int]):
    """A whole number between two bounds, both included."""

    least: int
    most: int = LARGEST_INTEGER

    @property
    def expected(self) -> str:
        """The bounds."""
        return f"a whole number from {self.least} to {self.most}"

    def parse(self, text: str) -> int:
        """Read ASCII digits and nothing else: no sign, no underscore."""
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_INTEGER_TEXT):
            raise ValueError("not a whole number")
        value = int(text)
        if not self.least <= value <= self.most:
            raise ValueError("out of range")
        return value

    def format(self, value: int) -> str:
        """Write decimal digits."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Duration(Kind[float]):
    """A length of time in seconds, written in Go's notation."""

    zero_allowed: bool = True

    @property
    def expected(self) -> str:
        """What it looks like."""
        return "a duration such as 300ms, 1m30s or 0" if self.zero_allowed else "a duration over 0, such as 300ms or 5s"

    def parse(self, text: str) -> float:
        """Read Go's notation."""
        seconds = parse_duration(text)
        if not seconds and not self.zero_allowed:
            raise ValueError("a duration of 0")
        return seconds

    def format(self, value: float) -> str:
        """Write Go's notation."""
        return format_duration(value)


class Flag(Kind[bool]):
    """On or off, written 1 and 0."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """The two digits."""
        return "0 or 1"

    def parse(self, text: str) -> bool:
        """Read one of the two digits."""
        if text not in {"0", "1"}:
            raise ValueError("not a flag")
        return text == "1"

    def format(self, value: bool) -> str:
        """Write one of the two digits."""
        return str(int(value))


class Path(Kind[str]):
    """The path of a file, taken as it is; empty for none."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What it is."""
        return "the path of a file"

    def parse(self, text: str) -> str:
        """Take the text."""
        return text

    def format(self, value: str) -> str:
        """Give the text."""
        return value


class HostName(Kind[str]):
    """A host name in its ASCII form; empty for none. It goes into an HTTP header, so nothing else may be in it."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What it is."""
        return "a host name"

    def parse(self, text: str) -> str:
        """Check the name's grammar."""
        return parse_host_name(text) if text else ""

    def format(self, value: str) -> str:
        """Give the name."""
        return value


class Networks(Kind[tuple[IPNetwork, ...]]):
    """Networks in CIDR notation, comma-separated; a bare address is a network of one."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What they look like."""
        return "networks such as 10.0.0.0/8,2001:db8::/32, with no bits set past the prefix"

    def parse(self, text: str) -> tuple[IPNetwork, ...]:
        """Read them, in order.

        Bits past the prefix are refused: they may be a slip in a rule that guards something. So is the zone of an IPv6
        address, `%eth0`: a network has none, and the rule would hold on all interfaces.
        """
        if "%" in text:
            raise ValueError("a network has no zone")
        return tuple(ip_network(part) for part in text.split(",")) if text else ()

    def format(self, value: tuple[IPNetwork, ...]) -> str:
        """Write them, each with its prefix length."""
        return ",".join(map(str, value))


class BlockedProtocols(Kind[Blocked]):
    """Digits that stand for protocols and combine, or 0 for none."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """The digits."""
        return f"0, or any of {' '.join(BLOCK_DIGITS)} combined, each once"

    def parse(self, text: str) -> Blocked:
        """Read the digits, in any order."""
        if text == "0":
            return Blocked(0)
        if not text or len(set(text)) < len(text) or not set(text) <= BLOCK_DIGITS.keys():
            raise ValueError("not a set of digits")
        blocked = Blocked(0)
        for digit in text:
            blocked |= BLOCK_DIGITS[digit]
        return blocked

    def format(self, value: Blocked) -> str:
        """Write the digits in ascending order."""
        return value.digits


class SourceAddress(Kind[IPAddress | None]):
    """The local IP address of outgoing connections; None, written ``auto``, leaves it to the system."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What it is."""
        return "auto or an IP address"

    def parse(self, text: str) -> IPAddress | None:
        """Read ``auto`` or an address."""
        return None if text == "auto" else parse_ip_address(text)

    def format(self, value: IPAddress | None) -> str:
        """Write ``auto`` or the address."""
        return "auto" if value is None else str(value)
