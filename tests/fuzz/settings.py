"""What a user writes: URLs, variables, and the values in them."""

from __future__ import annotations

from typing import Any

from nodepass.config import LogFormat, Mode, Tunables, params, parse_url, to_url
from nodepass.config.duration import format_duration, parse_duration
from nodepass.config.endpoint import parse_endpoint
from nodepass.config.kinds import Path
from nodepass.config.parameter import Parameter
from nodepass.config.query import split_query
from nodepass.config.tunables import ALL
from nodepass.errors import ConfigError
from tests.fuzz.target import Target

MODES = tuple(Mode)
ROWS: tuple[Parameter[Any], ...] = tuple(row for row in params.ALL if isinstance(row, Parameter))

LONGEST_EXACT = 52 * 24 * 3600.0
"""Seconds up to which a duration is written back unchanged."""

LONGEST_MESSAGE = 200
"""Characters of an error, on top of what it repeats."""


def argument(data: bytes) -> str:
    """Bytes as they come from a command line or an environment."""
    return data.decode("utf-8", "surrogateescape")


def fits_a_line(error: ConfigError) -> None:
    assert "\n" not in str(error).replace(error.value or "", "")


def duration(data: bytes) -> None:
    seconds = parse_duration(argument(data))
    assert seconds >= 0
    if seconds <= LONGEST_EXACT:
        assert parse_duration(format_duration(seconds)) == seconds


def endpoint(data: bytes) -> None:
    text = argument(data)
    found = parse_endpoint(text)
    assert 1 <= found.port <= 65535
    assert parse_endpoint(str(found)) == found


def url(data: bytes) -> None:
    try:
        config = parse_url(argument(data))
    except ConfigError as error:
        fits_a_line(error)
        raise
    assert parse_url(to_url(config, with_secret=True)) == config


def query(data: bytes) -> None:
    if data:
        values = split_query(MODES[data[0] % len(MODES)], argument(data[1:]))
        assert all(value.isprintable() for value in values.values())


def parameter(data: bytes) -> None:
    """The first byte says which, the others are its value."""
    row = ROWS[data[0] % len(ROWS)] if data else ROWS[0]
    value = row.parse(argument(data[1:]))
    assert row.kind.format(value).isprintable() or isinstance(row.kind, Path)
    if not isinstance(value, float) or value <= LONGEST_EXACT:
        assert row.parse(row.kind.format(value)) == value


def tunables(data: bytes) -> None:
    """Each line is a variable: the first byte says which, the others are its value."""
    environment = {ALL[line[0] % len(ALL)].name: argument(line[1:]) for line in data.split(b"\n") if line}
    found = Tunables.from_environment(environment)
    assert found.min_pool_interval <= found.max_pool_interval
    for variable in ALL:
        value = getattr(found, variable.name.removeprefix("NP_").lower())
        assert isinstance(value, LogFormat) or value > 0
        if isinstance(value, LogFormat) or value <= LONGEST_EXACT:
            assert variable.kind.parse(variable.kind.format(value)) == value


SETTINGS = (
    Target("duration", duration, (ValueError,), longest=100),
    Target("endpoint", endpoint, (ValueError,), longest=400),
    Target("url", url, (ConfigError,)),
    Target("query", query, (ConfigError,)),
    Target("parameter", parameter, (ConfigError,), longest=400),
    Target("tunables", tunables, (ConfigError,), longest=1000),
)
