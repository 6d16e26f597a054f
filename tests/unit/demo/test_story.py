"""The whole demo, in this process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from typing import TYPE_CHECKING

from nodepass.demo import run_demo
from nodepass.demo.check import Verdict
from nodepass.demo.stage import Stage

if TYPE_CHECKING:
    import pytest

PATIENCE = 30


async def test_it_passes_and_ends_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        assert await run_demo(0) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^  (PASS|FAIL)  (\w+) ", shown, re.MULTILINE) == [("PASS", "TCP"), ("PASS", "UDP")]
    assert re.search(r"^Your turn: open  http://127\.0\.0\.1:\d+/", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown


async def test_the_key_is_not_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodepass.demo.stage.secrets.token_urlsafe", lambda _: "sesame")
    async with asyncio.timeout(PATIENCE):
        assert await run_demo(0) == 0
    shown = capsys.readouterr().out
    assert "sesame" not in shown
    assert shown.count("://KEY@") == 2


async def test_ctrl_c_ends_it_with_0() -> None:
    async with asyncio.timeout(PATIENCE):
        demo = asyncio.ensure_future(run_demo(None))
        # The first turn of the loop sets the signal handlers; the rest of the start is cut short wherever it is.
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        assert await demo == 0


async def test_a_port_that_was_taken_meanwhile_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = socket.socket()
    made = Stage.__init__

    def make_and_take(stage: Stage, *arguments: object) -> None:
        made(stage, *arguments)  # type: ignore[arg-type] # passed on as they are
        taken.bind(stage.user_address)
        taken.listen()

    monkeypatch.setattr(Stage, "__init__", make_and_take)
    with taken:
        async with asyncio.timeout(PATIENCE):
            assert await run_demo(0) == 1
        address = "{}:{}".format(*taken.getsockname())
    assert re.search(rf"^  FAIL  the server does not listen: .*{address}", capsys.readouterr().out, re.MULTILINE)


async def test_a_failed_check_gives_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> Verdict:
        return Verdict(False, "UDP", "nothing came back")

    monkeypatch.setattr("nodepass.demo.story.check_datagrams", fail)
    async with asyncio.timeout(PATIENCE):
        assert await run_demo(None) == 1
    shown = capsys.readouterr().out
    assert "  FAIL  UDP  nothing came back" in shown
    assert "Your turn" not in shown
