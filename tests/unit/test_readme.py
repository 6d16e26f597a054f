"""What README.md says is so: its URLs, its commands, its links. `tests/docs` runs what can be run here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nodepass

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def readme() -> str:
    return README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL)


def test_every_url_is_one() -> None:
    urls = re.findall(r'nodepass "(.*?)"', readme())
    assert len(urls) >= 4
    for url in urls:
        nodepass.parse_url(url)


@pytest.mark.parametrize("command", ["nodepass demo", "pytest"])
def test_continuous_integration_runs_what_the_readme_says(command: str) -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    setups = [block.strip() for block in blocks("sh") if "venv" in block]
    assert len(setups) == 2
    (setup,) = (line for line in setups if command in line)
    lines = [line.strip() for line in script.splitlines()]
    assert setup in lines or f"{setup} --seconds 3" in lines


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/howto/index.md", "docs/howto/dashboard.md"])
def test_a_new_reader_finds_the_command(page: str) -> None:
    """Before the first block that takes it for granted, or anywhere on a page without one."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert ". .venv/bin/activate" in text.partition("```sh\nnodepass ")[0]


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", readme())
    assert len(links) >= 20
    assert all((ROOT / link).exists() for link in links)
