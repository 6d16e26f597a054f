"""The byte-exact examples of the v1 protocol, `tests/vectors/wire.json`."""

from __future__ import annotations

import json
from pathlib import Path

_PATH = Path(__file__).resolve().parents[2] / "vectors" / "wire.json"
_WIRE: dict[str, object] = json.loads(_PATH.read_text("utf-8"))


def section(name: str) -> dict[str, object]:
    found = _WIRE[name]
    assert isinstance(found, dict)
    return found


def examples(name: str) -> list[dict[str, object]]:
    found = _WIRE[name]
    assert isinstance(found, list)
    return found


def text(members: dict[str, object], name: str) -> str:
    found = members[name]
    assert isinstance(found, str)
    return found
