"""A coverage-guided fuzzer of one target: `python -m tests.fuzz.one TARGET [option of libFuzzer …] FOLDER…`.

`__main__` starts it. What it imports below has to be instrumented while it is imported, so it comes late.
"""

from __future__ import annotations

import importlib
import sys

INSTRUMENTED = ("nodepass", "h11", "h2", "hpack", "hyperframe", "websockets", "noise", "tests.fuzz")
"""Packages whose branches count as coverage: what reads a peer's bytes here, the libraries that do, what is asserted."""


def main() -> None:
    """Fuzz until libFuzzer has had enough, or something fails; it ends the process."""
    atheris = importlib.import_module("atheris")  # an extra: mypy need not have it
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        targets = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.try_out)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
