"""The command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contenders import V1, Frp, Rathole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.model import Contender

PICTURES = (".png", ".svg")

EPILOGUE = "docs/performance.md says what the rows are, how they are measured, and what the figures can and cannot tell."


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for.

    Args:
        peers: contenders beside ours and the reference.
        only: patterns of rows; empty for all.
        quick: whether it must be done in three minutes.
        runs: of each row; None for the usual number.
        names_only: whether the rows' names are printed and nothing is run.
        json: file for the results.
        plot: file for the picture.
        compare: file of older results.
    """

    peers: tuple[Contender, ...]
    only: tuple[str, ...]
    quick: bool
    runs: int | None
    names_only: bool
    json: Path | None
    plot: Path | None
    compare: Path | None


@dataclass(frozen=True, slots=True)
class PeerKind:
    """A kind of peer that can be named.

    Args:
        form: of its paths.
        programs: how many they are.
        make: makes it of its paths.
    """

    form: str
    programs: int
    make: Callable[..., Contender]


PEERS = {
    "v1": PeerKind("<program that takes nodepass's URLs>", 1, V1),
    "frp": PeerKind("<frps>,<frpc>", 2, Frp),
    "rathole": PeerKind("<program>", 1, Rathole),
}


def parse_arguments(arguments: Sequence[str]) -> Options:
    """Read them; ends the process with a message if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure nodepass against others, on loopback.", epilog=EPILOGUE
    )
    forms = "; ".join(f"{name}={kind.form}" for name, kind in PEERS.items())
    parser.add_argument(
        "--peer", action="append", default=[], type=peer, metavar="NAME=PATHS", help=f"measure also: {forms}"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="rows whose names contain or match it; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="the main rows, in under three minutes")
    parser.add_argument("--runs", type=positive, metavar="N", help="runs of each row")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--plot", type=picture, metavar="FILE.png|svg", help="draw them")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="print how each row has changed since")
    given = parser.parse_args(arguments)
    names = [one.name for one in given.peer]
    if len(set(names)) < len(names):
        parser.error("a --peer is named twice")
    return Options(
        tuple(given.peer), tuple(given.only), given.quick, given.runs, given.list, given.json, given.plot, given.compare
    )


def peer(text: str) -> Contender:
    """Read the value of `--peer`.

    Raises:
        argparse.ArgumentTypeError: it is wrong.
    """
    name, _, paths = text.partition("=")
    kind = PEERS.get(name)
    if kind is None:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(PEERS)} in front of the first =")
    programs = paths.split(",")
    if len(programs) != kind.programs:
        raise argparse.ArgumentTypeError(f"expected {name}={kind.form}")
    for program in programs:
        if not Path(program).is_file():
            raise argparse.ArgumentTypeError(f"{program!r} is no file")
    return kind.make(*(str(Path(program).resolve()) for program in programs))


def positive(text: str) -> int:
    """Read a number of runs.

    Raises:
        argparse.ArgumentTypeError: it is wrong.
    """
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number from 1")
    return int(text)


def picture(text: str) -> Path:
    """Read the name of a picture.

    Raises:
        argparse.ArgumentTypeError: its ending is no kind of picture.
    """
    path = Path(text)
    if path.suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"expected a name that ends with {' or '.join(PICTURES)}")
    return path
