"""What the table says it ran on."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Never

import pytest

from bench import machine
from bench.contenders import V1, NodePass, Rathole
from bench.processes import inherited, left_out
from bench.results import Results
from bench.table import table

if TYPE_CHECKING:
    from pathlib import Path

GIT = ("git", "-c", "user.name=none", "-c", "user.email=none@example.com")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a working copy with one commit."""
    package = tmp_path / "src" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (tmp_path / ".gitignore").write_text("venv\n")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "begun")):
        subprocess.run((*GIT, *arguments), cwd=tmp_path, check=True)
    return package


def test_the_commit_is_that_of_the_package(package: Path) -> None:
    clean = machine.commit(package)
    head = subprocess.run((*GIT, "rev-parse", "HEAD"), cwd=package, check=True, capture_output=True, text=True).stdout
    assert head.startswith(clean)
    (package / "__init__.py").write_text("# changed\n")
    assert machine.commit(package) == f"{clean}-dirty"


def test_what_was_copied_is_in_no_checkout(package: Path, tmp_path: Path) -> None:
    copied = tmp_path / "venv" / "package"
    copied.mkdir(parents=True)
    (copied / "__init__.py").touch()
    assert machine.commit(package) != machine.NO_CHECKOUT
    assert machine.commit(copied) == machine.NO_CHECKOUT
    assert machine.commit(tmp_path / "gone") == machine.NO_CHECKOUT


def test_the_loop_is_the_one_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda name: {"uvloop": "1.2.3"}[name])
    assert machine.loop() == "uvloop 1.2.3"

    def missing(_: str) -> Never:
        raise PackageNotFoundError

    monkeypatch.setattr(machine, "version", missing)
    assert machine.loop() == "asyncio"


def test_the_congestion_control_is_the_kernel_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CONGESTION_CONTROL", tmp_path / "control")
    assert machine.congestion_control() == machine.UNKNOWN
    machine.CONGESTION_CONTROL.write_text("reno\n")
    assert machine.congestion_control() == "reno"


def test_the_line_of_the_version_is_found(tmp_path: Path) -> None:
    program = tmp_path / "rathole"
    program.write_text("#!/bin/sh\necho rathole\necho Build Timestamp: today\necho 'Build Version:   1.2.3'\n")
    program.chmod(0o700)
    assert machine.facts([Rathole(str(program))])["rathole"] == "1.2.3"


def test_a_program_that_tells_no_version_is_told_by_its_hash(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"of the test")
    digest = hashlib.sha256(b"of the test").hexdigest()
    assert machine.facts([V1(str(program))])["v1"] == f"has no --version; SHA-256 {digest[:16]}…"


def test_an_error_is_no_version_but_of_wrk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho program 1.2.3\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setattr(machine, "find", lambda name: str(program) if name == "wrk" else None)
    facts = machine.facts([NodePass("nodepass", (str(program),))])
    assert facts["wrk"] == "program 1.2.3"
    assert facts["nginx"] == machine.NOT_INSTALLED
    assert facts["nodepass"] == "its version is unknown"


def test_what_is_not_passed_on_is_said_and_not_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not passed on" not in machine.facts([])
    monkeypatch.setenv("NP_OF_THE_TEST", "of no concern")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    facts = machine.facts([])
    assert facts["not passed on"] == "NP_OF_THE_TEST, PYTHONDONTWRITEBYTECODE"
    assert not {"NP_OF_THE_TEST", "PYTHONDONTWRITEBYTECODE"} & inherited().keys()
    assert "of no concern" not in str(facts)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in left_out():
        monkeypatch.delenv(name)


def test_all_of_it_stands_at_the_head_and_in_the_json() -> None:
    facts = machine.facts([NodePass("nodepass", ("echo", "nodepass of the test")), NodePass("v1", ("/nowhere",))])
    assert list(facts) == [
        *("when", "machine", "system", "congestion control", "python", "OpenSSL of Python", "loop", "commit"),
        *("nginx", "iperf3", "wrk", "nodepass", "v1"),
    ]
    assert facts["OpenSSL of Python"] == ssl.OPENSSL_VERSION
    assert facts["nodepass"] == "nodepass of the test --version"
    assert facts["v1"] == "its version is unknown"
    results = Results(facts, [])
    assert table(results).splitlines()[: len(facts)] == [f"{name}: {text}" for name, text in facts.items()]
    assert Results.from_json(results.to_json()).machine == facts
