"""What the demo writes: lines, and on a terminal one more line that is alive."""

from __future__ import annotations

import os
import shutil
import sys

import click

CLEAR_LINE = "\r\x1b[K"


class Screen:
    """Standard output."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        """Whether a line can be written over."""
        self._live = ""

    def line(self, text: str = "") -> None:
        """Write a line above the live one."""
        live, self._live = self._live, ""
        click.echo(f"{CLEAR_LINE if live else ''}{text}")
        if live:
            self.live(live)

    def live(self, text: str) -> None:
        """Write the live line anew."""
        # A line as wide as the terminal would wrap, and could not be written over.
        self._live = text[: shutil.get_terminal_size().columns - 1]
        click.echo(f"{CLEAR_LINE}{self._live}", nl=False)

    def end_live(self) -> None:
        """Leave the live line as it is, and go on below."""
        if self._live:
            self._live = ""
            click.echo()

    def strong(self, text: str, colour: str | None = None) -> str:
        """Give a text in bold, where that can be shown."""
        plain = not self.is_terminal or "NO_COLOR" in os.environ
        return text if plain else click.style(text, fg=colour, bold=True)
