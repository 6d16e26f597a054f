"""What the bench ran on, and what took part: without it, a figure says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import nodepass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.model import Contender

SECONDS = 10.0
"""Time for a command that prints a line."""

PACKAGE = Path(nodepass.__file__).parent

CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")

UNKNOWN = "unknown"
NO_CHECKOUT = "not in a checkout"


def facts(contenders: Sequence[Contender]) -> dict[str, str]:
    """By their names: the head of the table."""
    about = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} processors, {_processor()}",
        "system": platform.platform(),
        "congestion control": congestion_control(),
        "python": platform.python_version(),
        "loop": loop(),
        "commit": commit(PACKAGE),
    }
    return about | {one.name: _version(one) for one in contenders}


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
    """The first line that its command for this prints."""
    return _printed(*contender.version()) or "its version is unknown"


def _printed(*argv: str) -> str:
    """The first line that a command prints; nothing if it fails."""
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = [line for line in (*ended.stdout.splitlines(), *ended.stderr.splitlines()) if line.strip()]
    return lines[0].strip() if lines and ended.returncode == 0 else ""
