"""Standard streams that are closed, full or broken, and what the process list shows: none of it may stop a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import KEY, Echo, NodePass, Runner, echoed, free_port, wait_tcp
from tests.harness.process import SOURCE

if TYPE_CHECKING:
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


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams(np: Runner, redirection: str) -> None:
    tunnel = np.forwarder("log=debug", prefix=redirected(redirection), wait=False)
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
