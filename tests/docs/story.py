"""One page tried out from top to bottom, as its reader would, in a folder of its own.

Commands run by bash, as a reader types them; what they export and where they go lasts. What keeps running is ended like a
reader does, by Ctrl-C, in the end or where the page says so; a nodepass then exits with 0, and has written no traceback.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sysconfig
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.docs.outputs import assert_same, wait_for_lines
from tests.docs.pages import Block, Remark, steps
from tests.docs.services import GIVEN, nginx
from tests.docs.world import ENVIRONMENT, World
from tests.harness import Process

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

COMMAND_TIMEOUT = 60.0
READY_TIMEOUT = 20.0

READY = {
    "server://": "Listening on",
    "client://": r"Session with .* is ready|Forwarding .* to",
    "master://": "API at",
}
"""What a nodepass that runs a URL writes when it is ready."""

_URL = re.compile(r"""nodepass ["'](\w+://)""")
_QUOTED = re.compile(r'(?:in the background until )?"(.*)"')
_GIVEN = re.compile(r"(.+) at ([\w.]+):(\d+)")


class StoryError(Exception):
    """A page cannot be tried out as it is written."""


class Story:
    """Tries out one page. Use it as a context manager.

    Args:
        page: which.
        folder: an empty one, its reader's home.
    """

    def __init__(self, page: Path, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self._world = World()
        self._stack = ExitStack()
        self._running: list[Process] = []
        self._last: Process | str | None = None
        """What the last command is or wrote."""
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NP_")},
            **ENVIRONMENT,
            "HOME": str(folder),
            "PATH": f"{folder}/bin:{sysconfig.get_path('scripts')}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PWD": str(folder),
        }
        self.commands = 0
        """How many have been run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                for process in reversed(self._running):
                    self._end(process)
        finally:
            self._stack.close()

    def run(self) -> None:
        """Do what the page says.

        Raises:
            AssertionError: something else came of it.
        """
        for step in steps(self._page):
            if isinstance(step, Remark):
                self._remark(step)
            elif isinstance(step, Block):
                self._block(step)

    def _remark(self, remark: Remark) -> None:
        if remark.word == "stop":
            text = self._world.here(remark.text)
            process = next(process for process in self._running if text in process.name)
            self._running.remove(process)
            self._end(process)
            return
        match = _GIVEN.fullmatch(remark.text)
        if match is None or match[1] not in GIVEN:
            message = f"{remark.place}: expected `SERVICE at HOST:PORT`, with a service of services.py"
            raise StoryError(message)
        host, port = self._world.here(f"{match[2]}:{match[3]}").split(":")
        self._stack.enter_context(GIVEN[match[1]](host, int(port), self._folder))

    def _block(self, block: Block) -> None:
        if path := block.notes.get("file"):
            self._write(path, self._world.here(block.text))
        if block.language == "sh":
            self._command(block)
        elif block.language == "text":
            self._compare(block)

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _command(self, block: Block) -> None:
        how = block.notes.get("run", "")
        command = self._world.here(self._filled(block))
        url = _URL.search(command)
        if how.startswith("not here: "):
            self._last = None
            return
        self.commands += 1
        if how == "as nginx":
            self._stack.enter_context(nginx(self._world.front, self._folder))
            self._environment["SSL_CERT_FILE"] = str(self._folder / "authority.pem")
        elif how.startswith("in the background"):
            self._last = self._start(block, command, _regex(block, how))
        elif not how and url is not None and " add " not in command:
            self._last = self._start(block, command, READY[url[1]])
        elif match := re.fullmatch(r"exits with (\d+)", how):
            self._last = self._finish(block, command, int(match[1]))
        elif not how:
            self._last = self._finish(block, command, 0)
        else:
            message = f"{block.place}: nobody knows how to run it {how}"
            raise StoryError(message)

    def _filled(self, block: Block) -> str:
        """The command with what its reader has to find out."""
        if (note := block.notes.get("fill")) is None:
            return block.text
        pattern = _regex(block, note)
        for process in reversed(self._running):
            if found := process.matches(pattern):
                return block.text.replace("…", found[-1][1])
        message = f"{block.place}: no program has written {pattern}"
        raise StoryError(message)

    def _start(self, block: Block, command: str, ready: str) -> Process:
        """Start what keeps running. Bash replaces itself by it, since it is a single command."""
        lines = [line for line in command.splitlines() if not line.startswith("#")]
        text = "\n".join(lines)
        process = Process(["bash", "-c", text], env=self._environment, cwd=self._place, name=text.strip())
        self._running.append(self._stack.enter_context(process))
        try:
            process.wait_for(ready, READY_TIMEOUT)
        except AssertionError as error:
            message = f"{block.place}: {error}\n{self._logs()}"
            raise AssertionError(message) from None
        return process

    def _finish(self, block: Block, command: str, code: int) -> str:
        """Run what ends by itself; gives its output."""
        state = self._folder / ".environment"
        script = f"set -euo pipefail\ntrap 'env -0 > {shlex.quote(str(state))}' EXIT\n{command}"
        done = subprocess.run(
            ["bash", "-c", script],
            env=self._environment,
            cwd=self._place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        assert done.returncode == code, f"{block.place}: exit code {done.returncode}\n{done.stdout}\n{self._logs()}"
        variables = state.read_text().split("\0")[:-1]
        self._environment = dict(variable.split("=", 1) for variable in variables)
        return done.stdout

    def _compare(self, block: Block) -> None:
        shown = self._world.here(block.text)
        if isinstance(self._last, Process):
            wait_for_lines(shown, self._last, block.place)
        elif self._last is not None:
            assert_same(shown, self._last, block.place)

    @property
    def _place(self) -> Path:
        """The folder in which the reader is."""
        return self._folder.joinpath(self._environment["PWD"])

    def _end(self, process: Process) -> None:
        process.send_signal(signal.SIGINT)
        code = process.wait()
        if _URL.search(process.name):
            assert code == 0, f"exit code {code}\n{process.log()}"
        assert not process.matches("Traceback"), process.log()

    def _logs(self) -> str:
        return "\n".join(process.log() for process in self._running)


def _regex(block: Block, text: str) -> str:
    match = _QUOTED.fullmatch(text)
    if match is None:
        message = f"{block.place}: expected a regular expression in quotes"
        raise StoryError(message)
    return match[1]
