"""Where a running `nodepass run` is found: a folder of its user's own, with a socket and two locks for each file.

The names come from the file's path, so that whoever knows the file finds the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nodepass.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE: Final = "NP_RUNTIME_DIR"

SERVICE_VARIABLE: Final = "RUNTIME_DIRECTORY"
"""By this, systemd tells a service with RuntimeDirectory= what it made."""

USER_VARIABLE: Final = "XDG_RUNTIME_DIR"
"""By this, the XDG base directory specification tells where a user's sockets are."""

SOCKET: Final = ".sock"
LOCK: Final = ".lock"
PROCESSES_LOCK: Final = ".processes"

LONGEST_PATH: Final = 107
"""Bytes that the path of a socket has at most: Linux' `sun_path`."""

_DIGITS: Final = 8


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """Where sockets are: NP_RUNTIME_DIR, what systemd made for the service, or the user's folder for such things.

    Where a user has none, it is one in the folder for temporary files, which `open_folder` looks at before it is used.
    """
    for name in (VARIABLE, SERVICE_VARIABLE):
        if named := environ.get(name, "").partition(":")[0]:
            return Path(named)
    if folder := environ.get(USER_VARIABLE):
        return Path(folder) / "nodepass"
    return Path("/run/nodepass") if not os.geteuid() else Path(tempfile.gettempdir()) / f"nodepass-{os.geteuid()}"


def paths_of(file: Path, folder: Path) -> Path:
    """The beginning of the paths that belong to a file of tunnels; a suffix follows."""
    whole = os.path.abspath(file)  # noqa: PTH100 - symbolic links stay: what they lead to may change
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:_DIGITS]
    return folder / f"{file.stem[:32]}-{digest}"


def sockets_in(folder: Path) -> Iterator[Path]:
    """The sockets of all processes that run, or have ended badly."""
    return iter(sorted(folder.glob(f"*{SOCKET}")))


def open_folder(folder: Path) -> None:
    """Make the folder, for its owner alone.

    Raises:
        RunError: it cannot be made, is a symbolic link, or is another user's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise RunError(f"the folder {folder} cannot be made: {error.strerror}") from None
    if stat.S_ISLNK(found.st_mode):
        # Whoever may turn it around chooses where the sockets are, so where it leads is not proposed either.
        raise RunError(f"the folder {folder} is a symbolic link, not a folder; {VARIABLE} names another")
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), 0} or found.st_mode & stat.S_IWOTH:
        raise RunError(f"the folder {folder} is not this user's own; {VARIABLE} names another")


def take_lock(path: Path) -> int:
    """Hold a lock for as long as the descriptor that comes back is open.

    Raises:
        RunError: another process has it, or it cannot be made.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RunError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise RunError("another process runs this file already; `nodepass status` shows it") from None
    return lock
