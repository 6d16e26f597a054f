"""The socket by which `nodepass status` asks a running `nodepass run`: whoever connects is told, and the connection ends.

Only the process's own user may connect: the folder and the socket are for nobody else. Nothing is read from it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nodepass.errors import RunError
from nodepass.fleet.runtime import LONGEST_PATH, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READER_PATIENCE: Final = 5.0
"""Seconds that somebody who asked has to read the answer."""


class Control:
    """The socket.

    Args:
        path: where; whoever makes one holds the file's lock, so that what is there is left over.
        answer: what is told, as JSON.
    """

    def __init__(self, path: Path, answer: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            RunError: it cannot be bound.
        """
        if len(os.fsencode(self._path)) > LONGEST_PATH:
            raise RunError(f"the path {self._path} is too long for a socket; {VARIABLE} names another folder")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            # What is bound gets the permissions that the socket has.
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(os.fspath(self._path))
            self._path.chmod(0o600)
        except OSError as error:
            sock.close()
            raise RunError(f"the socket {self._path} cannot be made: {error.strerror}") from None
        self._server = await asyncio.start_unix_server(self._tell, sock=sock)

    async def close(self) -> None:
        """Listen no more, and leave nothing behind."""
        if self._server is not None:
            self._server.close()
            with suppress(OSError):
                self._path.unlink()

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(self._answer(), separators=(",", ":")).encode() + b"\n")
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(READER_PATIENCE):
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            writer.transport.abort()
