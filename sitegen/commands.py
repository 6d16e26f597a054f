"""The commands and their options, as Markdown, in the words of `--help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nodepass.cli import main
from nodepass.ctl.commands import ctl

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 100
"""Columns that no line exceeds."""


def commands() -> str:
    """A section for each command, with its help."""
    return "\n".join((*_sections(main, "nodepass"), *_sections(ctl, "nodepass ctl")))


def _sections(group: click.Group, name: str) -> Iterator[str]:
    yield from _section(group, name)
    for own_name, command in group.commands.items():
        # `ctl` hands its arguments on, to a group that follows here with a help of its own.
        if own_name != "ctl":
            yield from _section(command, f"{name} {own_name}")


def _section(command: click.Command, name: str) -> Iterator[str]:
    # With the settings that the command itself would use: click keeps the help option that it makes first.
    settings = {**command.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(command, info_name=name, **settings)
    yield f"### `{name}`\n"
    yield f"```\n{command.get_help(context)}\n```\n"
