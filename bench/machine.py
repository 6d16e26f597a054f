"""What the bench ran on, and what took part: without it, a figure says nothing."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import nodepass
from bench.processes import inherited, left_out
from bench.programs import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.model import Contender

SECONDS = 10.0
"""Time for a command that prints a line."""

PACKAGE = Path(nodepass.__file__).parent

CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")

UNKNOWN = "unknown"
TOOLS = {"nginx": "-v", "iperf3": "--version", "wrk": "-v"}
"""Programs that make the load and stand at its far end, and how they are asked for their versions."""

NOT_INSTALLED = "not installed"

NO_CHECKOUT = "not in a checkout"


def facts(contenders: Sequence[Contender]) -> dict[str, str]:
    """By their names: the head of the table."""
    about = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} processors, {_processor()}",
        "system": platform.platform(),
        "congestion control": congestion_control(),
        "python": platform.python_version(),
        "OpenSSL of Python": ssl.OPENSSL_VERSION,
        "loop": loop(),
        "commit": commit(PACKAGE),
    }
    if names := left_out():
        about["not passed on"] = ", ".join(names)
    # wrk prints its version with an error.
    tools = {
        name: _printed(path, option, any_code=True) if (path := find(name)) else NOT_INSTALLED
        for name, option in TOOLS.items()
    }
    return about | tools | {one.name: _version(one) for one in contenders}


def congestion_control() -> str:
    """The kernel's for TCP, in force where a program does not choose another; nodepass does, inside the machine."""
    with suppress(OSError):
        return CONGESTION_CONTROL.read_text(encoding="ascii").strip()
    return UNKNOWN


def loop() -> str:
    """The event loop that nodepass uses in this environment."""
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "asyncio"


def commit(package: Path) -> str:
    """The commit of a package's folder, with `-dirty` if something in its working copy has been changed.

    What was copied from there, as to `site-packages`, is in none, even if that folder is inside one.
    """
    if _printed("git", "-C", str(package), "ls-files", "--error-unmatch", "__init__.py"):
        return _printed("git", "-C", str(package), "describe", "--always", "--dirty") or UNKNOWN
    return NO_CHECKOUT


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _version(contender: Contender) -> str:
    """The line that its command for this prints."""
    if argv := contender.version():
        return _printed(*argv, label=contender.version_label) or "its version is unknown"
    return contender.identity()


def _printed(*argv: str, label: str = "", any_code: bool = False) -> str:
    """A line that a command prints; nothing if it fails.

    Args:
        argv: the command.
        label: how the line begins, which is then left out; otherwise it is the first.
        any_code: whether it may end with an error.
    """
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, env=inherited(), timeout=SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = [line.strip() for line in (*ended.stdout.splitlines(), *ended.stderr.splitlines())]
    found = [line.removeprefix(label).strip() for line in lines if line and line.startswith(label)]
    return found[0] if found and (any_code or ended.returncode == 0) else ""
