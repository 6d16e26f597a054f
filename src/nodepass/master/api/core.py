"""What the API asks of the part that runs instances: the interface between the two.

Each change is durable when its call returns, and those of one instance come one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nodepass.config import Secret
    from nodepass.master.model import Change, Event, Instance
    from nodepass.net.life import Stage


class Identity(Protocol):
    """Who the master is, and the key that opens its API."""

    @property
    def id(self) -> str:
        """16 hex digits."""

    @property
    def api_key(self) -> Secret:
        """The key in force."""

    @property
    def alias(self) -> str:
        """A name for people."""

    def accepts(self, key: str) -> bool:
        """Whether this is the key in force, in constant time."""

    async def rename(self, alias: str) -> None:
        """Give the master another alias.

        Raises:
            StateError: it cannot be stored; the old one stays.
        """

    async def renew_key(self) -> None:
        """Make another key; every event stream ends.

        Raises:
            StateError: it cannot be stored; the old one stays.
        """


class Subscription(Protocol):
    """The events for one reader: an asynchronous iterator that ends after SHUTDOWN."""

    async def __anext__(self) -> Event:
        """Wait for the next event. It may be cancelled, and nothing is lost."""

    def close(self) -> None:
        """No more events are wanted."""


class Events(Protocol):
    """Where events come from."""

    def subscribe(self) -> Subscription:
        """Begin to listen: first comes an INITIAL event for each instance."""


class Core(Protocol):
    """Everything that a request may do to instances."""

    @property
    def master(self) -> Identity:
        """Who the master is."""

    @property
    def events(self) -> Events:
        """What happens."""

    def all(self) -> list[Instance]:
        """Every instance, in order of creation."""

    def get(self, id: str) -> Instance:  # noqa: A002 - what it is called everywhere
        """One instance.

        Raises:
            UnknownInstanceError: there is none of this ID.
        """

    def stage(self, id: str) -> Stage:  # noqa: A002 - see above
        """How far the process of an instance has come, as it last told; `Stage.STARTING` where it has none.

        Raises:
            UnknownInstanceError: there is none of this ID.
        """

    async def create(self, url: str, alias: str = "") -> Instance:
        """Make an instance, and start it.

        Raises:
            ConfigError: the URL is wrong.
            StateError: it cannot be stored; there is no instance.
        """

    async def change(self, id: str, change: Change) -> Instance:  # noqa: A002 - see above
        """Change an instance, and do to it what is asked.

        Raises:
            UnknownInstanceError: there is none of this ID.
            StateError: it cannot be stored; nothing has changed.
        """

    async def replace_url(self, id: str, url: str) -> Instance:  # noqa: A002 - see above
        """Stop an instance, give it another URL, and start it.

        Raises:
            UnknownInstanceError: there is none of this ID.
            ConfigError: the URL is wrong.
            SameUrlError: it has this URL.
            StateError: it cannot be stored; nothing has changed.
        """

    async def delete(self, id: str) -> None:  # noqa: A002 - see above
        """Stop an instance, and forget it.

        Raises:
            UnknownInstanceError: there is none of this ID.
            StateError: it cannot be stored; nothing has changed.
        """
