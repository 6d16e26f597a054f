"""The log lines of an instance, live. The browser searches and filters them: it has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui.element import Element

from nodepass.log import DEBUG, ERROR, EVENT, INFO, WARN
from nodepass.master.output import Line

if TYPE_CHECKING:
    from nodepass.master.recent import Recent

LEVELS = {DEBUG: "debug", INFO: "info", WARN: "warn", ERROR: "error", EVENT: "event"}


class LogView(Element, component="log_view.js"):
    """What an instance has logged lately, and what it logs from now on.

    Args:
        recent: has the lines.
        instance_id: of the instance.
    """

    def __init__(self, recent: Recent, instance_id: str) -> None:
        super().__init__()
        self._recent = recent
        self._instance_id = instance_id
        self._last = 0
        self._props["first"] = self._news()

    def refresh(self) -> None:
        """Show what has come since."""
        if news := self._news():
            self.run_method("append", news)

    def _news(self) -> list[dict[str, Any]]:
        lines = self._recent.lines(self._instance_id, self._last)
        if lines:
            self._last = lines[-1].number
        return [_shown(line.number, line.text) for line in lines]


def _shown(number: int, text: str) -> dict[str, Any]:
    line = Line.parse(text.encode())
    time = text[: len(text) - len(line.text)].partition("  ")[0] if line.text != text else ""
    return {"n": number, "level": LEVELS[line.level], "time": time, "text": line.text}
