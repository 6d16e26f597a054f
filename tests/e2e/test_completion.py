"""Completion in a real bash on a terminal: what stands on the line after a tab."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness.process import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
PROMPT = "ready> "


class Bash:
    """An interactive bash that has the completion, and nothing else of anybody's settings."""

    def __init__(self, folder: Path) -> None:
        program = folder / "nodepass"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nodepass "$@"\n')
        program.chmod(0o755)
        environment = {"PATH": f"{folder}:{os.environ['PATH']}", "PS1": PROMPT, "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            os.chdir(folder)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self._seen = ""
        self.wait_for(PROMPT)
        # The prompt that follows tells that it is done.
        self.type('eval "$(nodepass completion bash)"; echo "completes"\n')
        self.wait_for("\ncompletes")
        self.wait_for(PROMPT)

    def type(self, keys: str) -> None:
        self._seen = ""
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str) -> str:
        end = time.monotonic() + TIMEOUT
        # What rings the bell has more than one way on.
        while text not in self._seen.replace("\r", "").replace("\a", ""):
            left = end - time.monotonic()
            assert left > 0, f"{text!r} is not in {self._seen!r}"
            if select.select([self._terminal], [], [], left)[0]:
                self._seen += os.read(self._terminal, 4096).decode()
        return self._seen

    def close(self) -> None:
        os.close(self._terminal)
        os.waitpid(self._pid, 0)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bash]:
    folder = tmp_path_factory.mktemp("bash")
    (folder / "tunnels.toml").touch()
    made = Bash(folder)
    yield made
    made.close()


@pytest.fixture
def bash(terminal: Bash) -> Bash:
    """The same one for all, at an empty line."""
    # Ctrl-U, and the prompt that follows an empty line.
    terminal.type("\x15\n")
    terminal.wait_for(f"\n{PROMPT}")
    return terminal


@needs_bash
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("nodepass sta\t", "nodepass status "),
        ("nodepass status --js\t", "nodepass status --json "),
        ("nodepass serv\t", "nodepass server://"),
        ("nodepass server:\t", "nodepass server://"),
        ('nodepass "server://:1/:2?wor\t', 'nodepass "server://:1/:2?workers='),
        ('nodepass "server://k@[::1]:1/:2?tls=1&stri\t', 'nodepass "server://k@[::1]:1/:2?tls=1&strict='),
        ('nodepass "server://:1/:2?log=wa\t', 'nodepass "server://:1/:2?log=warn'),
        ("nodepass server://:1/:2?stri\t", "nodepass server://:1/:2?strict="),
        ("nodepass server://:1/:2?log=wa\t", "nodepass server://:1/:2?log=warn"),
        ("nodepass ctl lo\t", "nodepass ctl logs "),
        ("nodepass ctl list --js\t", "nodepass ctl list --json "),
        ("nodepass ctl add 'client://:1/:2?noud\t", "nodepass ctl add 'client://:1/:2?noudp="),
        ("nodepass run tu\t", "nodepass run tunnels.toml "),
        ("nodepass check tu\t", "nodepass check tunnels.toml "),
        ("nodepass check master://:1/?dash\t", "nodepass check master://:1/?dashboard="),
        ("nodepass completion fi\t", "nodepass completion fish "),
    ],
)
def test_a_tab_completes(bash: Bash, typed: str, completed: str) -> None:
    bash.type(typed)
    bash.wait_for(completed)


@needs_bash
def test_two_tabs_list_what_there_is(bash: Bash) -> None:
    bash.type('nodepass "client://:1/:2?lbs=\t\t')
    for value in "012":
        bash.wait_for(f"lbs={value}")


@pytest.mark.parametrize(("shell", "mark"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-files")])
def test_there_is_a_script_for_each_shell(shell: str, mark: str) -> None:
    argv = [sys.executable, "-m", "nodepass", "completion", shell]
    assert mark in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_another_shell_is_bad_input() -> None:
    argv = [sys.executable, "-m", "nodepass", "completion", "s3cret"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "nodepass: expected a shell: bash, zsh, fish\n")
