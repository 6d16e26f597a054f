"""What the table says it ran on."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Never

import pytest

from bench import machine
from bench.contenders import NodePass
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


def test_all_of_it_stands_at_the_head_and_in_the_json() -> None:
    facts = machine.facts([NodePass("nodepass", ("echo", "nodepass of the test")), NodePass("v1", ("/nowhere",))])
    assert list(facts)[:7] == ["when", "machine", "system", "congestion control", "python", "loop", "commit"]
    assert facts["nodepass"] == "nodepass of the test --version"
    assert facts["v1"] == "its version is unknown"
    results = Results(facts, [])
    assert table(results).splitlines()[: len(facts)] == [f"{name}: {text}" for name, text in facts.items()]
    assert Results.from_json(results.to_json()).machine == facts
