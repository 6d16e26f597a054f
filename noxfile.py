"""Sessions of checks: `nox -l` lists them, `nox -s docs` runs one, and what follows `--` goes on to its program."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.error_on_missing_interpreters = False
PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session
def lint(session: nox.Session) -> None:
    """Style, by ruff."""
    session.install("ruff>=0.15,<0.18")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, by mypy in strict mode."""
    session.install("-e", ".[test]")
    session.run("mypy")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests but the long ones."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *(session.posargs or ("-n", "4")))


@nox.session
def adversity(session: nox.Session) -> None:
    """Faults while verified traffic runs, in the short form; `-- --long` for most of an hour."""
    session.install(".[test]")
    session.run("python", "-m", "tests.adversity", *(session.posargs or ("-n", "2")))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Coverage-guided fuzzing of all that reads what others have written, ten seconds for each target."""
    session.install(".[test,fuzz]")
    session.run("python", "-m", "tests.fuzz", *(session.posargs or ("--seconds", "10")))


@nox.session
def bench(session: nox.Session) -> None:
    """Throughput and the like beside a relay written in C, in three minutes."""
    session.install(".[bench]")
    session.run("python", "-m", "bench", *(session.posargs or ("--quick",)))


@nox.session
def docs(session: nox.Session) -> None:
    """The site, into build/site; any warning fails it, and so does a link that leads nowhere."""
    session.install(".[docs]")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "docs", "build/site", *session.posargs)
