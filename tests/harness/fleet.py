"""`nodepass run` on a file that the test writes, and what `nodepass status` tells of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from tests.harness.process import SOURCE, TIMEOUT, Process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

QUICK = {"NP_SERVICE_COOLDOWN": "100ms", "NP_REPORT_INTERVAL": "500ms", "NP_SHUTDOWN_TIMEOUT": "1s"}


class Fleet(Process):
    """`nodepass run FILE`.

    Args:
        path: of the file; its socket is in the folder beside it.
        text: what is written into it; as it is, unless given.
        options: of the command.
        env: variables on top of this process's.
    """

    def __init__(
        self, path: Path, text: str | None = None, *, options: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> None:
        self.path = path
        if text is not None:
            self.write(text)
        runtime = {"PYTHONPATH": str(SOURCE), "NP_RUNTIME_DIR": str(path.parent / "runtime")}
        self.environment = {**QUICK, **runtime, **(env or {})}
        argv = [sys.executable, "-m", "nodepass", "run", *options, str(path)]
        super().__init__(argv, env=self.environment, name="run")

    def write(self, text: str) -> None:
        """Save the file as careful programs do: another one takes its place."""
        other = self.path.with_suffix(".new")
        other.write_text(text, encoding="utf-8")
        other.chmod(0o600)
        other.replace(self.path)

    def nodepass(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the same environment."""
        return subprocess.run(
            [sys.executable, "-m", "nodepass", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment},
            timeout=2 * TIMEOUT,
        )

    def status(self) -> dict[str, dict[str, Any]]:
        """The tunnels by name."""
        (process,) = json.loads(self.nodepass("status", "--json", str(self.path)).stdout)["processes"]
        return {tunnel["name"]: tunnel for tunnel in process["tunnels"]}

    def well(self, code: int = 0) -> Self:
        """Wait until `nodepass status` has this exit code."""
        end = time.monotonic() + TIMEOUT
        # It waits for nothing but that all is well.
        patience = () if code else ("--wait", "5")
        while (done := self.nodepass("status", str(self.path), *patience)).returncode != code:
            assert time.monotonic() < end, f"{done.returncode} {done.stdout} {done.stderr}\n{self.log()}"
        return self
