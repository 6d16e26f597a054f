"""What is written is tried beforehand, and there as a whole or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bench.__main__ import main
from bench.files import try_out, write
from bench.model import BenchError
from bench.results import Results
from tests.unit.bench.results_of import row

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from bench.model import Row
    from bench.results import RowResult


def test_a_trial_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    try_out(path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("before")
    try_out(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path, other = tmp_path / "results.json", tmp_path / "link.json"
    write(path, "first")
    other.symlink_to(path)
    with path.open() as reader:
        write(other, "second")
        assert reader.read() == "first"
    assert path.read_text() == "second"
    assert other.is_symlink()
    assert set(tmp_path.iterdir()) == {path, other}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is no file"):
        try_out(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        try_out(tmp_path / "nowhere" / "results.json")


class Breaks:
    """Stands for the runner: gives rows, and then something that nobody thought of happens."""

    def __init__(self, *_: object) -> None:
        pass

    def run(self, _: Sequence[Row]) -> Generator[RowResult, None, None]:
        yield row("one/tcp", nodepass=[(1, 1)])
        yield row("two/tcp", nodepass=[(2, 2)])
        raise RuntimeError


def test_what_was_measured_is_there_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.__main__.Runner", Breaks)
    monkeypatch.setattr("bench.__main__.INTERRUPTS", SimpleNamespace(take=lambda: None))
    monkeypatch.setattr("bench.__main__.resource.setrlimit", lambda *_: None)
    path = tmp_path / "results.json"
    with pytest.raises(RuntimeError):
        main(["--only", "version", "--quick", "--runs", "2", "--json", str(path)])
    results = Results.from_json(path.read_text())
    assert [one.name for one in results.rows] == ["one/tcp", "two/tcp"]
    assert results.asked is not None
    # What is asked for is run, by rows of both kinds.
    assert (results.asked.runs, results.asked.fresh_runs, results.asked.quick) == (2, 2, True)


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_file_that_cannot_be_written_is_told_at_the_start(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert main(["--only", "version", option, str(tmp_path / "nowhere" / "results.png")]) == 1
    printed = capsys.readouterr()
    assert "No such file" in printed.err
    # No row was begun.
    assert "version" not in printed.out + printed.err
