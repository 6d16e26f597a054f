"""What README.md says is so: its tables, its URLs, its program, its commands.

`python -m tests.unit.test_readme` writes the tables anew.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nodepass
from nodepass.config import params, tunables
from nodepass.demo.ports import bind_both, bind_tcp, port_of
from nodepass.fleet.file import read_file

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
REMEDY = "README.md is not current: run python -m tests.unit.test_readme"

TABLES = {
    "parameters": (
        "| name | meaning | default | server | client | master |",
        "|---|---|---|---|---|---|",
        *params.markdown_rows(),
    ),
    "variables": ("| name | meaning | default |", "|---|---|---|", *tunables.markdown_rows()),
}


def with_tables(text: str) -> str:
    """The README with its tables as they should be; blank lines around them, or Markdown takes them for HTML."""
    for name, lines in TABLES.items():
        pattern = rf"(<!-- {name}: .*-->\n\n)[^<]*(\n<!-- end of {name} -->\n)"
        table = "\n".join(lines) + "\n"
        text, found = re.subn(pattern, lambda match, table=table: match[1] + table + match[2], text)  # type: ignore[misc]
        assert found == 1, f"README.md has lost the marks of its table of {name}"
    return text


def readme() -> str:
    return README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL)


def test_tables_are_current() -> None:
    assert with_tables(readme()) == readme(), REMEDY


def test_a_stale_table_would_be_seen() -> None:
    stale = readme().replace("| `min` |", "| `minimum` |")
    assert stale != readme()
    assert with_tables(stale) == readme()


def test_every_url_is_one() -> None:
    urls = [url for block in blocks("sh") for url in re.findall(r'nodepass "(.*?)"', block)]
    assert len(urls) >= 7
    for url in urls:
        nodepass.parse_url(url)


def test_the_file_of_tunnels_is_good(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    path = tmp_path / "tunnels.toml"
    path.write_text(text, encoding="utf-8")
    file, report = read_file(path, {}, offline=True)
    assert report.problems == []
    assert file is not None
    assert list(file.entries) == ["web", "database"]


async def test_the_program_runs(tmp_path: Path) -> None:
    (program,) = blocks("python")
    sockets = (bind_tcp(), bind_tcp(), *bind_both())
    for written, sock in zip(("9000", "10101", "8080"), sockets, strict=False):
        assert written in program
        program = program.replace(written, str(port_of(sock)))
    for sock in sockets:
        sock.close()
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    # At the end, the client may warn that the server closes while the pool is still filling.
    assert {line.split(b":")[0] for line in err.splitlines()} <= {b"INFO", b"EVENT", b"WARNING"}, err.decode()
    assert out.startswith(b"b'hello from the target\\n'\nStats(mode=1, peers=1, ")


@pytest.mark.parametrize("command", ["nodepass demo", "pytest"])
def test_continuous_integration_runs_what_the_readme_says(command: str) -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    setups = [block.strip() for block in blocks("sh") if "venv" in block]
    assert len(setups) == 2
    (setup,) = (line for line in setups if command in line)
    lines = [line.strip() for line in script.splitlines()]
    assert setup in lines or f"{setup} --seconds 3" in lines


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", readme())
    assert len(links) >= 4
    assert all((ROOT / link).is_file() for link in links)


if __name__ == "__main__":
    README.write_text(with_tables(readme()), encoding="utf-8")
