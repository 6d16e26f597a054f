"""The files that a bench writes: tried before it begins, and never half written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.model import BenchError

if TYPE_CHECKING:
    from pathlib import Path


def try_out(path: Path) -> None:
    """Find out before hours of work whether a file can be written at their end; what stands there stays.

    Raises:
        BenchError: it is something else than a file.
        OSError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise BenchError(f"{path} is no file")
    beside = _beside(path)
    beside.touch()
    beside.unlink()


def write(path: Path, text: str) -> None:
    """Write a file so that whoever reads it finds all of the text, or what stood there before.

    Raises:
        OSError: it cannot be written.
    """
    beside = _beside(path)
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path.resolve())
    finally:
        beside.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    real = path.resolve()
    return real.with_name(f".{real.name}.new")
