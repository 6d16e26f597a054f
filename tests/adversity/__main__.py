"""`python -m tests.adversity`: the adversity tests and, after them, a table of what was done and what came of it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.adversity.soak import soak
from tests.adversity.table import FILE, LONG, lines, read

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversity", description=__doc__)
    parser.add_argument("--long", action="store_true", help="every fault over every kind of tunnel: most of an hour")
    parser.add_argument("-n", type=int, default=2, metavar="N", help="tests at a time (default: 2)")
    parser.add_argument("-k", default="", metavar="WHICH", help="only tests whose names match, as for pytest")
    parser.add_argument("--soak", action="store_true", help="mixed traffic with restarts instead, for --seconds")
    parser.add_argument("--seconds", type=float, default=600, help="of the soak (default: 600)")
    parser.add_argument("--every", type=float, default=20, help="most seconds between restarts in the soak (default: 20)")
    asked = parser.parse_args(arguments)
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as table:
        if asked.soak:
            os.environ[FILE] = table.name
            found = soak(asked.seconds, asked.every)
            print(*lines(read(Path(table.name))), *found, "FAILED" if found else "nothing lost", sep="\n")
            return bool(found)
        environment = {**os.environ, FILE: table.name, LONG: "long" if asked.long else ""}
        code = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", str(asked.n), "-k", asked.k, str(HERE)],
            env=environment,
            cwd=HERE.parents[1],
            check=False,
        ).returncode
        print(*lines(read(Path(table.name))), sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
