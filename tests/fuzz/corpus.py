"""The committed inputs: `corpus/TARGET/NAME`, a file for each."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def folder_of(target: str) -> Path:
    return FOLDER / target


def inputs(target: str) -> dict[str, bytes]:
    """By the name of the file."""
    return {path.name: path.read_bytes() for path in sorted(folder_of(target).iterdir())}
