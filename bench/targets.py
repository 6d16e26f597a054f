"""What stands at the target port: our own echo, nginx, or what a load starts there itself."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from bench.echo_target import Counts
from bench.model import HOST, BenchError, Target
from bench.ports import wait_listening
from bench.processes import Starter
from bench.programs import path_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from bench.processes import Process

START_SECONDS = 10.0

SMALL_PATH = "/small"
SMALL_BODY = "what a small request gets, as long as a line of text and no longer than that"

FILE_PATH = "/file"
FILE_SIZE = 8 << 20


class Targets:
    """Stands one of the targets at the port, and takes it away for the next.

    Args:
        port: of all of them.
        folder: for their files.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.digest = ""
        """SHA-256 of the file that nginx serves."""
        self._folder = folder
        self._starter = Starter(folder)
        self._now = Target.OWN
        self._process: Process | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def need(self, target: Target) -> None:
        """Let this one stand at the port, and nothing else.

        Raises:
            BenchError: it does not come up.
        """
        stands = self._process is not None and not self._process.has_ended
        if target is self._now and (stands or target is Target.OWN):
            return
        self._stack.close()
        self._process, self._now = None, target
        if target is not Target.OWN:
            self._process = self._echo() if target is Target.ECHO else self._nginx()
            wait_listening({self.port}, START_SECONDS, self._process.check)

    def count_datagrams(self, size: int, first: int = 0) -> None:
        """Let the echo count datagrams of this size from now on, whose numbers begin at `first`; 0 lets it echo again.

        Raises:
            BenchError: it is not the echo that stands there, or it has gone.
        """
        self._ask(f"count {size} {first}")

    def counted(self) -> Counts:
        """What it has counted since.

        Raises:
            BenchError: it is not the echo that stands there, or it has gone.
        """
        return Counts(**json.loads(self._ask("counted")))

    def _ask(self, line: str) -> str:
        if self._now is not Target.ECHO or self._process is None:
            raise BenchError("the echo does not stand at the target port")
        return self._process.ask(line)

    def _echo(self) -> Process:
        argv = (sys.executable, "-m", "bench.echo_target", str(self.port))
        return self._stack.enter_context(self._starter.start("echo-target", argv, piped=True))

    def _nginx(self) -> Process:
        root = self._folder / "www"
        root.mkdir(exist_ok=True)
        content = os.urandom(FILE_SIZE)
        (root / FILE_PATH.removeprefix("/")).write_bytes(content)
        self.digest = hashlib.sha256(content).hexdigest()
        path = self._folder / "nginx.conf"
        path.write_text(self._nginx_configuration(root), encoding="utf-8")
        return self._stack.enter_context(self._starter.start("nginx", (path_of("nginx"), "-e", "stderr", "-c", str(path))))

    def _nginx_configuration(self, root: Path) -> str:
        # Two workers: a file for one user must not hold up the small requests of another at the target already.
        # Started by root, workers would be another user, who may not read our folder.
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        temporary = " ".join(f"{name}_temp_path {root};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
            daemon off; worker_processes 2; pid {self._folder}/nginx.pid; error_log stderr warn; {user}
            events {{ worker_connections 8192; }}
            http {{
                access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; {temporary}
                server {{
                    listen {HOST}:{self.port} backlog=4096;
                    location = {SMALL_PATH} {{ default_type text/plain; return 200 "{SMALL_BODY}"; }}
                    location / {{ root {root}; }}
                }}
            }}
        """
