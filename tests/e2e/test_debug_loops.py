"""A sample of `pytest --debug-loops` in every run: tunnels in asyncio's debug mode; and that it finds what is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from nodepass.config import PoolTransport
from tests.harness import KEY, Echo, Master, Process, Runner, connect, exchange, free_port
from tests.harness.debug_loops import LOOPS, DebugLoops
from tests.harness.process import SOURCE
from tests.harness.workers import QUERY, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRONG = """
import asyncio, time
from nodepass.runner import run

async def never_awaited():
    pass

def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

async def main():
    loop = asyncio.get_running_loop()
    assert loop.get_debug()
    {wrong}
    await asyncio.sleep(0.01)
    print(type(loop).__module__)
    return 0

run(main())
"""

WRONGS = {
    "busy": ("loop.call_soon(burn, 0.11)", "slow callback burn"),
    "later": ("loop.call_later(0, burn, 0.11)", "slow callback burn"),
    "blocked": ("loop.call_soon(time.sleep, 0.4)", "slow callback sleep"),
    "task": ("burn(0.11)", "slow callback task .* <coroutine object main"),
    "coroutine": ("never_awaited()", "coroutine 'never_awaited' was never awaited"),
    "socket": ("__import__('socket').socket()", "unclosed <socket"),
}


@pytest.fixture(params=LOOPS)
def watching(request: pytest.FixtureRequest) -> Iterator[DebugLoops]:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    if request.config.getoption("--debug-loops"):
        pytest.skip("all tests are run so")
    loops = DebugLoops(request.param)
    try:
        yield loops
    finally:
        loops.close()


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_wrong_is_found(watching: DebugLoops, wrong: str) -> None:
    statement, found = WRONGS[wrong]
    with Process([sys.executable, "-c", WRONG.format(wrong=statement)], env={"PYTHONPATH": str(SOURCE)}) as process:
        assert process.wait() == 0
        process.wait_for(f"^{watching.loop}")
    with pytest.raises(AssertionError, match=found):
        watching.check()
    watching.check()


def test_what_is_right_is_not(watching: DebugLoops) -> None:
    with Process([sys.executable, "-c", WRONG.format(wrong="burn(0.01)")], env={"PYTHONPATH": str(SOURCE)}) as process:
        assert process.wait() == 0
    watching.check()


@pytest.mark.parametrize("transport", PoolTransport, ids=lambda transport: transport.name.lower())
def test_a_tunnel_does_nothing_wrong(watching: DebugLoops, transport: PoolTransport) -> None:
    np = Runner(transport)
    try:
        # Real starts: the parent of forks has been started without the watcher.
        tunnel = np.tunnel(forked=False)
        with Echo(tunnel.target), connect(tunnel.users) as user:
            assert exchange(user, b"x" * 1_000_000) == b"x" * 1_000_000
        for end in (tunnel.client, tunnel.server):
            assert end.stop() == 0
    finally:
        np.close()
    watching.check()


def test_several_processes_do_nothing_wrong(watching: DebugLoops) -> None:
    np = Runner()
    try:
        single = np.forwarder(QUERY, forked=False)
        serving(single.client)
        with Echo(single.target), connect(single.users) as user:
            assert exchange(user, b"hello") == b"hello"
        assert single.client.stop() == 0
    finally:
        np.close()
    watching.check()


def test_a_master_does_nothing_wrong(watching: DebugLoops, tmp_path: Path) -> None:
    with Master(tmp_path, "log=info") as master:
        master.ready()
        made = master.create(f"client://{KEY}@127.0.0.1:{free_port()}/127.0.0.1:9?mode=1")
        assert master.call("DELETE", f"/instances/{made['id']}").status == 204
        assert master.stop() == 0
    watching.check()
