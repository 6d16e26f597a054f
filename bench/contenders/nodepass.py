"""nodepass, and v1, which takes the same URLs."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.contenders.certificate import NAME, make_certificate
from bench.model import HOST, Command, Contender, Flow
from nodepass.config import TlsMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.model import Ports, Setup

KEY: Final = "key-of-the-bench"
"""Of every tunnel; nothing is secret here."""

OURS: Final = "nodepass"
"""The name of ours."""

DIGITS: Final = 16
"""Of a hash: enough to tell programs from each other."""

API_KEY = re.compile(r"API (?:Key created|key of this new master): ([0-9a-f]{32})")
"""How either of them tells the key of a new master's API."""


class NodePass(Contender):
    """A program that takes nodepass's URLs, as a user starts it: defaults, and `log=warn`.

    Args:
        name: at the head of its column.
        program: how it is started.
    """

    def __init__(self, name: str, program: tuple[str, ...]) -> None:
        super().__init__(name)
        self.program = program

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        users, target = f"{HOST}:{ports.users}", f"{HOST}:{ports.target}"
        tls, verifies, environment = f"tls={int(setup.tls)}", "", {}
        if setup.tls is TlsMode.FILES:
            files = make_certificate(folder)
            tls += f"&crt={files.certificate}&key={files.key}"
            verifies, environment = f"&sni={NAME}", {"SSL_CERT_FILE": str(files.authority)}
        if setup.single:
            return (self._run("forwarder", f"client://{KEY}@{users}/{target}?mode=1&{tls}&log=warn", ports.users),)
        reverse = setup.flow is Flow.REVERSE
        at_server, at_client = (users, target) if reverse else (target, users)
        tunnel = f"{KEY}@{HOST}:{ports.tunnel}"
        decided = f"mode={1 if reverse else 2}&type={int(setup.transport)}&{tls}&log=warn"
        return (
            self._run("server", f"server://{tunnel}/{at_server}?{decided}", ports.tunnel),
            self._run("client", f"client://{tunnel}/{at_client}?mode=2&log=warn{verifies}", env=environment),
        )

    def version(self) -> tuple[str, ...]:
        return (*self.program, "--version")

    def master(self, port: int, folder: Path) -> Command:
        """A master whose state is its own.

        v1 tells the key of its API in its log only, at `info`, and keeps its state beside its program: so `log=info` for
        both, and a program that is a single file is copied.
        """
        program = self.program
        if len(program) == 1 and _is_binary(Path(program[0])):
            program = (str(shutil.copy(program[0], str(folder / "program"))),)
        url = f"master://{HOST}:{port}/api?log=info"
        return Command("master", (*program, url), port, {"NP_STATE_DIR": str(folder / "state")})

    def _run(self, name: str, url: str, listens: int = 0, env: Mapping[str, str] | None = None) -> Command:
        return Command(name, (*self.program, url), listens, env or {})


class V1(NodePass):
    """The program whose URLs and wire protocol nodepass keeps.

    Args:
        program: its path.
    """

    joins_datagrams = True

    def __init__(self, program: str) -> None:
        super().__init__("v1", (program,))

    def refusal(self, setup: Setup) -> str:
        if setup.users_speak_tls:
            return "v1's forwarder listens without TLS, whatever tls says"
        # Ten seconds after its start, with the error "no local certificate", whoever its client is.
        return "v1's server gives up a tunnel with tls=2" if setup.tls is TlsMode.FILES else ""

    def version(self) -> tuple[str, ...]:
        # It takes --version for a URL, and tells that it is none.
        return ()

    def identity(self) -> str:
        digest = hashlib.sha256(Path(self.program[0]).read_bytes()).hexdigest()
        return f"has no --version; SHA-256 {digest[:DIGITS]}…"


def this_nodepass() -> NodePass:
    """The one that is installed beside the Python that runs this."""
    script = Path(sys.executable).with_name("nodepass")
    return NodePass(OURS, (str(script),) if script.exists() else (sys.executable, "-m", "nodepass"))


def _is_binary(path: Path) -> bool:
    with path.open("rb") as program:
        return program.read(4) == b"\x7fELF"
