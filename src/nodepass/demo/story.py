"""The demo from start to end: open everything, tell what stands where, check it, show the figures until it is time."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

from nodepass import NodePassError, __version__
from nodepass.demo.check import check_datagrams, check_download
from nodepass.demo.figures import Figures
from nodepass.demo.screen import Screen
from nodepass.demo.stage import DemoError, Stage
from nodepass.units import time_text

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nodepass.demo.check import Verdict

LIVE_INTERVAL = 0.5
"""Seconds between two looks of the live line."""
SELDOM_INTERVAL = 10.0
"""Seconds between two lines of figures where no line can be written over."""

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def run_demo(seconds: float | None) -> int:
    """Show a tunnel at work until `seconds` have passed or Ctrl-C is pressed.

    Args:
        seconds: how long, from now; None for as long as one likes. The checks come to their end in any case.

    Returns:
        The exit code: 0 if the checks passed, or were cut short by Ctrl-C.
    """
    screen = Screen()
    loop = asyncio.get_running_loop()
    play = asyncio.ensure_future(_play(screen, seconds))

    def on_signal(number: int) -> None:
        if play.cancelling():
            os._exit(128 + number)
        play.cancel()

    for number in ENDING_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await play
    except asyncio.CancelledError:
        return 0
    except (DemoError, NodePassError, OSError) as error:
        screen.line(f"  {screen.strong('FAIL', 'red')}  {error}")
        return 1
    finally:
        for number in ENDING_SIGNALS:
            loop.remove_signal_handler(number)


async def _play(screen: Screen, seconds: float | None) -> int:
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    stage = Stage(screen)
    try:
        taken = await stage.open()
        _introduce(screen, stage)
        screen.line(f"The tunnel was up {time_text(taken)} after the client's start. A check from the user's side:")
        screen.line()
        verdicts = [
            await _show(screen, check_download(stage.user_address, stage.web.digest)),
            await _show(screen, check_datagrams(stage.user_address)),
        ]
        if not all(verdict.passed for verdict in verdicts):
            return 1
        _invite(screen, stage, seconds)
        await _show_figures(screen, stage, end)
        return 0
    finally:
        screen.end_live()
        await stage.close()


def _introduce(screen: Screen, stage: Stage) -> None:
    """Say what the four parts are and where they stand."""
    name = screen.strong
    for line in (
        f"nodepass {__version__} demo: a tunnel to a web page that users cannot reach",
        "",
        f"  {name('user')}    your browser, calling {stage.users}",
        "    |",
        f"  {name('server')}  on a public machine; users come in at {stage.users}",
        f"    ^     TLS, over connections that the client opened to {stage.tunnel}:",
        "    |     the client's side needs no open port",
        f"  {name('client')}  on a machine behind NAT",
        "    |",
        f"  {name('target')}  a web page on that side, at {stage.target}; over UDP, an echo",
        "",
        "Here, one process plays the last three. In real use, server and client are",
        "one command each, on two machines:",
        "",
        f'  nodepass "{stage.server_url("KEY")}"',
        f'  nodepass "{stage.client_url("KEY")}"',
        "",
        "KEY is a secret that both ends share; this demo made up one of its own.",
        "",
    ):
        screen.line(line)


async def _show(screen: Screen, check: Coroutine[Any, Any, Verdict]) -> Verdict:
    """Wait for a verdict and show it."""
    verdict = await check
    word = screen.strong("PASS", "green") if verdict.passed else screen.strong("FAIL", "red")
    screen.line(f"  {word}  {verdict.name}  {verdict.text}")
    return verdict


def _invite(screen: Screen, stage: Stage, seconds: float | None) -> None:
    """Say what there is to try."""
    url = f"http://{stage.users}/"
    host, port = stage.user_address
    ending = "Ctrl-C ends the demo." if seconds is None else f"Ctrl-C ends the demo; it ends by itself after {seconds:g} s."
    for line in (
        "",
        f"Your turn: open  {screen.strong(url)}  or, in another terminal:",
        "",
        f"  curl {url}download | sha256sum",
        f"  echo hello | nc -u -w 1 {host} {port}",
        "",
        ending,
        "The server's figures: users connected, bytes out to them and in from them.",
        "",
    ):
        screen.line(line)


async def _show_figures(screen: Screen, stage: Stage, end: float | None) -> None:
    """Show what the server carries, until `end` on the loop's clock."""
    loop = asyncio.get_running_loop()
    figures = Figures(stage.server.stats)
    interval = LIVE_INTERVAL if screen.is_terminal else SELDOM_INTERVAL
    while True:
        text = figures.line(stage.server.stats)
        if screen.is_terminal:
            screen.live(text)
        else:
            screen.line(text)
        left = interval if end is None else min(interval, end - loop.time())
        if left <= 0:
            return
        await asyncio.sleep(left)
