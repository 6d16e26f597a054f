"""Programs from the system's packages, and which package to install where one is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.model import BenchError

PACKAGES = {"haproxy": "haproxy", "iperf3": "iperf3", "nginx": "nginx-light", "wrk": "wrk"}
"""Debian's package of each program."""

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
STREAM_PACKAGE = "libnginx-mod-stream"

# Debian keeps servers out of the path of users who are not root.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def find(program: str) -> str | None:
    """The path of a program, if it is installed."""
    return shutil.which(program, path=_PATH)


def path_of(program: str) -> str:
    """The path of a program.

    Raises:
        BenchError: it is not installed.
    """
    found = find(program)
    if found is None:
        raise BenchError(missing(program))
    return found


def missing(program: str) -> str:
    """What to do about a program that is not there."""
    return f"{program} is missing (apt-get install {PACKAGES[program]})"
