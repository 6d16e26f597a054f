"""What one row of the parameter table is, and typed look-up of the values a URL gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nodepass.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nodepass.config.kinds import Kind
    from nodepass.config.values import Mode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row(ABC):
    """A parameter as code that walks the whole table sees it, whatever the type of its values.

    Args:
        name: name in the URL, and of the field that holds it in a configuration.
        help: what it means, in Markdown.
        modes: modes that take it.
        remarks: by mode, a short text on how it applies there, or, for a mode that does not take it, why not.
    """

    name: str
    help: str
    modes: frozenset[Mode]
    remarks: Mapping[Mode, str] = field(default_factory=dict, kw_only=True)

    @property
    @abstractmethod
    def expected(self) -> str:
        """What a right value is, to follow the word "expected"."""

    @property
    @abstractmethod
    def default_text(self) -> str:
        """The default as a URL writes it; empty where leaving the parameter out is the only way to say it."""

    @property
    @abstractmethod
    def value_kind(self) -> Kind[Any]:
        """How its values are read and written."""

    @abstractmethod
    def check(self, text: str) -> None:
        """Refuse what is no value.

        Raises:
            ConfigError: it is not of the kind.
        """

    @abstractmethod
    def text_in(self, config: object) -> str:
        """Write the value that a configuration holds in its field of this name."""


@dataclass(frozen=True, slots=True)
class Parameter(Row, Generic[T]):
    """One parameter: a row whose values have the type `T`.

    Args:
        kind: how values are read and written.
        default: value where the URL says nothing.
    """

    kind: Kind[T]
    default: T

    @property
    def expected(self) -> str:
        """What a right value is, to follow the word "expected"."""
        return self.kind.expected

    @property
    def default_text(self) -> str:
        """The default as a URL writes it; empty where leaving the parameter out is the only way to say it."""
        return self.kind.format(self.default)

    @property
    def value_kind(self) -> Kind[Any]:
        """How its values are read and written."""
        return self.kind

    def check(self, text: str) -> None:
        """Refuse what is no value."""
        self.parse(text)

    def text_in(self, config: object) -> str:
        """Write the value that a configuration holds in its field of this name."""
        value: T = getattr(config, self.name)
        return self.kind.format(value)

    def parse(self, text: str) -> T:
        """Read a value.

        Args:
            text: the value, percent-decoded.

        Raises:
            ConfigError: it is not of the kind.
        """
        try:
            return self.kind.parse(text)
        except ValueError:
            # Without its cause: what the standard library says may quote the text.
            raise ConfigError(self.name, text, f"expected {self.expected}") from None


class ParameterValues:
    """What a URL says, looked up by row: ``values[TLS]`` is a `TlsMode`.

    Args:
        texts: percent-decoded values by the parameter's name; what is absent has its default.
    """

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """Read one value, or return its default.

        Raises:
            ConfigError: the value is not one the parameter takes.
        """
        text = self._texts.get(parameter.name)
        return parameter.default if text is None else parameter.parse(text)
