"""A DNS server that can hang, fail, be late, and talk nonsense, for each name apart (RFC 1035; A records only)."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

ADDRESS: Final = f"127.54.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
"""Of this test process only, so that several can have a server on port 53."""

PORT: Final = 53
LATE: Final = 0.4
RETRY: Final = 1.0
"""Seconds after which the system asks again, as `resolv_conf` says."""

ATTEMPTS: Final = 2

_HEAD: Final = struct.Struct("!6H")
_RESPONSE: Final = 0x8180
_SERVFAIL, _NXDOMAIN = 2, 3
_A: Final = 1
_ANSWER: Final = struct.Struct("!3HIH4s")
_NAME_OF_QUESTION: Final = 0xC00C


class Trouble(Enum):
    """How it answers for a name."""

    NONE = "none"
    SILENT = "hangs"
    FAILS = "fails"
    UNKNOWN = "knows nothing"
    LATE = "late"
    NONSENSE = "talks nonsense"


class NameServer:
    """Answers every question with 127.0.0.1, unless there is trouble with the name. A context manager."""

    def __init__(self) -> None:
        self.troubles: dict[str, Trouble] = {}
        """By name; all names that are not in it are well."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, PORT))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (ADDRESS, PORT))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended:
            question, user = self._socket.recvfrom(1 << 12)
            if len(question) <= _HEAD.size:
                continue
            trouble = self.troubles.get(_name(question), Trouble.NONE)
            if trouble is Trouble.LATE:
                threading.Thread(target=self._answer_later, args=(question, user), daemon=True).start()
            elif trouble is not Trouble.SILENT:
                self._socket.sendto(_answer(question, trouble), user)

    def _answer_later(self, question: bytes, user: tuple[str, int]) -> None:
        time.sleep(LATE)
        with suppress(OSError):
            self._socket.sendto(_answer(question, Trouble.NONE), user)


def prefix(folder: Path) -> list[str]:
    """Runs a program that asks only this server."""
    resolv_conf = folder / "resolv.conf"
    resolv_conf.write_text(f"nameserver {ADDRESS}\noptions timeout:{RETRY:g} attempts:{ATTEMPTS}\n")
    mount = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, "sh", str(resolv_conf)]


def may_bind() -> bool:
    """Whether the port of DNS can be had."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((ADDRESS, PORT))
        except OSError:
            return False
        return True


def _name(question: bytes) -> str:
    labels, at = [], _HEAD.size
    while size := question[at]:
        labels.append(question[at + 1 : at + 1 + size].decode())
        at += 1 + size
    return ".".join(labels)


def _answer(question: bytes, trouble: Trouble) -> bytes:
    number = question[:2]
    if trouble is Trouble.NONSENSE:
        return number + os.urandom(100)
    end = question.index(b"\0", _HEAD.size) + 5
    asked, (kind,) = question[_HEAD.size : end], struct.unpack("!H", question[end - 4 : end - 2])
    code = {Trouble.FAILS: _SERVFAIL, Trouble.UNKNOWN: _NXDOMAIN}.get(trouble, 0)
    found = trouble is Trouble.NONE and kind == _A
    head = number + _HEAD.pack(0, _RESPONSE | code, 1, int(found), 0, 0)[2:]
    record = _ANSWER.pack(_NAME_OF_QUESTION, _A, 1, 0, 4, socket.inet_aton("127.0.0.1")) if found else b""
    return head + asked + record
