"""The line where a person waits: on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys

PROGRAM = """
import sys
from nodepass.progress import waiting
with waiting("for the test") as line:
    sys.stdin.readline()
    line.text = "for something else"
    sys.stdin.readline()
print("done")
"""


def test_a_terminal_is_told_for_what_and_how_long() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "40"}
    argv = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        assert process.stdin is not None
        seen = b""

        def wait_for(text: bytes) -> None:
            nonlocal seen
            while text not in seen:
                assert select.select([ours], [], [], 15)[0], seen
                seen += os.read(ours, 4096)

        wait_for(b" for the test 0 s")
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_for(b" for something else ")
        seen = b""
        assert process.communicate(b"\n")[0] == b"done\n"
        wait_for(b"\r\x1b[K")
        while not seen.endswith(b"\r\x1b[K"):
            wait_for(seen + b"\r")
    os.close(ours)


def test_elsewhere_nothing_is_written() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=b"\n\n", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"done\n", b"")
