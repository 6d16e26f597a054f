"""Where a tunnel's key comes from: the file itself, a file of its own, a variable, or a credential of systemd.

Nothing here is interpolated into other texts: a key is named in one place, and read from one place.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nodepass.fleet.problems import Table

INLINE: Final = "tunnel_key"
FILE: Final = "tunnel_key_file"
VARIABLE: Final = "tunnel_key_env"
CREDENTIAL: Final = "tunnel_key_credential"
KEYS: Final = (INLINE, FILE, VARIABLE, CREDENTIAL)

CREDENTIALS_FOLDER: Final = "CREDENTIALS_DIRECTORY"
"""The variable by which systemd tells a service where its credentials are."""

STAND_IN: Final = "a key that has not been read"
"""In the place of one, so that the rest of a tunnel can be checked."""

LONGEST_KEY: Final = 4096
"""Bytes of a key's file: what is longer is another file, named by mistake."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Reads keys.

    Args:
        environ: the variables that keys may be in.
        offline: whether keys are elsewhere: none is read, and any stands for them.
    """

    environ: Mapping[str, str]
    offline: bool = False

    def read(self, values: Mapping[str, Any], table: Table) -> str | None:
        """Read the key that a table names; None where it names none, and `STAND_IN` where that is no good."""
        given = [key for key in KEYS if key in values]
        if not given:
            return None
        for key in given[1:]:
            table.wrong(key, f"expected one of {', '.join(KEYS)}; {given[0]} is there as well")
        key, value = given[0], values[given[0]]
        if not isinstance(value, str) or not value:
            # It may be the key itself: it is not shown.
            table.wrong(key, "expected a text that is not empty")
            return STAND_IN
        if key == INLINE:
            return value
        return (None if self.offline else self._from(key, value, table)) or STAND_IN

    def _from(self, key: str, value: str, table: Table) -> str | None:
        if key == VARIABLE:
            return self._of_variable(value, table)
        return self._of_credential(value, table) if key == CREDENTIAL else self._of_file(key, table.folder / value, table)

    def _of_variable(self, name: str, table: Table) -> str | None:
        secret = self.environ.get(name)
        if not secret:
            table.wrong(VARIABLE, f"the variable {_shown(name)} is {'not set' if secret is None else 'empty'}")
        return secret or None

    def _of_credential(self, name: str, table: Table) -> str | None:
        folder = self.environ.get(CREDENTIALS_FOLDER)
        if not folder or "/" in name or name in {".", ".."}:
            text = f"{CREDENTIALS_FOLDER} is not set: is this a systemd service with LoadCredential=?"
            table.wrong(CREDENTIAL, "expected a name without a slash" if folder else text)
            return None
        # Relative to nothing: systemd gives the whole path.
        return self._of_file(CREDENTIAL, table.folder / folder / name, table)

    def _of_file(self, key: str, path: Path, table: Table) -> str | None:
        table.report.about_to_read(path)
        try:
            data, mode = read_regular_file(path, LONGEST_KEY)
            secret = data.decode("utf-8").strip("\r\n")
        except OSError as error:
            table.wrong(key, f"{path} cannot be read: {error.strerror}")
            return None
        except ValueError:
            table.wrong(key, f"expected a text file of one line, of {LONGEST_KEY} bytes at most: {path}")
            return None
        if not secret or not secret.isprintable():
            table.wrong(key, f"expected a key in one line: {path} {'has another content' if secret else 'is empty'}")
            return None
        warn_if_open(key, path, mode, table)
        return secret


def warn_if_open(key: str, path: Path, mode: int, table: Table) -> None:
    """Warn where everybody on this machine can read a file that holds a secret."""
    if mode & stat.S_IROTH:
        table.warn(key, f"others may read the secret in {path} (mode {stat.S_IMODE(mode):04o}): chmod o-r helps")


def read_regular_file(path: Path, longest: int) -> tuple[bytes, int]:
    """Read a whole file; gives its content and its mode.

    Raises:
        OSError: it cannot be read, or is no file but something that may keep a reader waiting.
        ValueError: it is longer.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, "it is not a regular file")
        data = file.read(longest + 1)
    if len(data) > longest:
        raise ValueError("the file is too long")
    return data, mode


def _shown(name: str) -> str:
    """A variable's name; what has not its shape may be the key itself."""
    return name if name.isidentifier() else "that is named there"
