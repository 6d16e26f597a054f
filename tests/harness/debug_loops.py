"""`pytest --debug-loops LOOP`: each product process runs in asyncio's debug mode on that loop, and is watched.

What a process does wrong (`watched/sitecustomize.py`) fails the test in which it is found. Processes get the watcher by
their `PYTHONPATH`, so their own children do as well.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.watched.sitecustomize import FOLDER, LOOP

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPS = ("uvloop", "asyncio")
WATCHER = Path(__file__).parent / "watched"


def watched(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process, in which it is watched if this run watches."""
    if FOLDER not in os.environ:
        return dict(environment)
    path = os.pathsep.join(filter(None, (str(WATCHER), environment.get("PYTHONPATH"))))
    return {**environment, "PYTHONPATH": path}


class DebugLoops:
    """Such a run.

    Args:
        loop: one of `LOOPS`.

    Attributes:
        loop: the same.
    """

    def __init__(self, loop: str) -> None:
        self.loop = loop
        self._folder = Path(tempfile.mkdtemp(prefix="nodepass-loops-"))
        os.environ.update({FOLDER: str(self._folder), LOOP: loop, "PYTHONASYNCIODEBUG": "1"})

    def close(self) -> None:
        """Watch no more."""
        for name in (FOLDER, LOOP, "PYTHONASYNCIODEBUG"):
            os.environ.pop(name, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def found(self) -> list[str]:
        """What has been found since the last time."""
        lines = []
        for path in sorted(self._folder.iterdir()):
            lines += path.read_text(encoding="utf-8").splitlines()
            path.unlink()
        return lines

    def check(self) -> None:
        """Fail where something has been found since the last time."""
        found = self.found()
        assert not found, "\n".join(found)
