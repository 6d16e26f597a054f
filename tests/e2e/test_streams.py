"""Standard streams that are closed, full or broken, and what the process list shows: none of it may stop a tunnel."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.harness import KEY, TIMEOUT, Echo, NodePass, Runner, echoed, free_port, wait_tcp
from tests.harness.process import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WATCH = """
import sys
from pathlib import Path

def watch(event, args):
    if event == "import" and args[0] == "nodepass.runner":
        print("ps shows", Path("/proc/self/cmdline").read_bytes().replace(b"\\0", b" "), flush=True)

sys.addaudithook(watch)
"""
"""Says what the process list shows when the imports that take long begin."""


def redirected(redirection: str) -> tuple[str, ...]:
    """A shell that redirects what it runs."""
    return ("sh", "-c", f'exec "$@" {redirection}', "sh")


class FullPipe:
    """A named pipe that takes nothing more until somebody reads.

    Args:
        path: where it is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        # Both ends are held: nobody waits for the other to open it, and nobody finds it closed.
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        for size in (1 << 12, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(self._file, b"\n" * size)

    def read_until(self, wanted: bytes) -> bytes:
        """Read until that comes; gives all that came."""
        data = b""
        end = time.monotonic() + TIMEOUT
        while wanted not in data:
            assert select.select([self._file], [], [], end - time.monotonic())[0], data
            data += os.read(self._file, 1 << 16)
        return data

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[FullPipe]:
    made = FullPipe(tmp_path / "pipe")
    yield made
    made.close()


def test_output_that_nobody_reads_stops_nothing(np: Runner, pipe: FullPipe) -> None:
    tunnel = np.forwarder("log=debug", prefix=redirected(f"> {pipe.path}"), wait=False)
    wait_tcp(tunnel.users)
    with Echo(tunnel.target):
        assert all(echoed(tunnel.users, 100) for _ in range(20))
    assert tunnel.client.stop() == 0


def test_last_lines_reach_a_reader_that_is_late(np: Runner, pipe: FullPipe) -> None:
    tunnel = np.forwarder("log=debug", prefix=redirected(f"> {pipe.path}"), wait=False)
    wait_tcp(tunnel.users)
    tunnel.client.send_signal()
    lines = pipe.read_until(b"shutdown complete")
    assert b"Forwarding" in lines
    assert tunnel.client.wait() == 0


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams(np: Runner, redirection: str) -> None:
    tunnel = np.forwarder("log=debug", prefix=redirected(redirection), wait=False)
    wait_tcp(tunnel.users)
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    assert tunnel.client.stop() == 0
    assert not tunnel.client.stderr


def test_output_that_fails_loses_its_lines_only(np: Runner) -> None:
    tunnel = np.forwarder("log=debug", prefix=redirected("> /dev/full"), wait=False)
    wait_tcp(tunnel.users)
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    assert tunnel.client.stop() == 0
    assert not tunnel.client.stderr


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("servr://host:1/:2", 2)])
def test_closed_streams_of_a_short_life(redirection: str, argument: str, code: int) -> None:
    with NodePass(argument, prefix=redirected(redirection)) as process:
        assert process.wait() == code
        assert not process.matches("Traceback|Error")


def test_key_is_not_in_the_process_list_while_imports_run(np: Runner, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    url = f"client://{KEY}@127.0.0.1:{free_port()}/127.0.0.1:9?mode=1"
    process = np.run(url, env={"PYTHONPATH": f"{tmp_path}:{SOURCE}"}).ready()
    shown = process.wait_for("ps shows b'(.*)'")[1]
    assert shown.strip() == "nodepass"
