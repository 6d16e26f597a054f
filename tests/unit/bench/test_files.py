"""What is written is tried beforehand, and there as a whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.__main__ import main
from bench.files import try_out, write
from bench.model import BenchError

if TYPE_CHECKING:
    from pathlib import Path


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
