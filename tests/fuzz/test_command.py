"""`python -m tests.fuzz` without the fuzzer itself, which is an extra."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.__main__ import MISSING, main

if TYPE_CHECKING:
    from types import ModuleType


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def not_found(_: str) -> ModuleType | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", not_found)
    assert main(["url", "--seconds", "1"]) == 2
    assert MISSING in capsys.readouterr().err


def test_a_target_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["url", "no-such-thing"])
    assert "no target or group no-such-thing; there are wire, " in capsys.readouterr().err
