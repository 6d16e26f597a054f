"""What no command runs is read by whoever is to read it; what cannot be run here is told, with the reason, and rare."""

from __future__ import annotations

import json
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.docs.pages import ROOT, Block, blocks, every_page
from tests.docs.services import nginx_command
from tests.docs.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NOT_HERE = "not here: "
MOST_NOT_HERE = 17
"""Blocks of commands that no test runs. Each has its reason in the page; more of them need a better one."""

SHORTEST_REASON = 20


def shell(text: str) -> None:
    """Have bash read commands without running them."""
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)


def python(text: str) -> None:
    compile(text, "block", "exec", dont_inherit=True)


READERS: Mapping[str, Callable[[str], object]] = {
    "sh": shell,
    "python": python,
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    # Compared with what commands write, or a drawing.
    "text": str,
    "": str,
}
"""Who reads a block, by its language; whatever is wrong with it, that raises."""

ALL = [block for page in every_page() for block in blocks(page) if not block.language.startswith("{")]
NGINX = [block for block in ALL if block.language == "nginx"]


@pytest.mark.parametrize("block", [block for block in ALL if block not in NGINX], ids=lambda block: block.place)
def test_block_can_be_read(block: Block) -> None:
    assert block.language in READERS, f"{block.place}: nobody reads {block.language}"
    READERS[block.language](block.text)


@pytest.mark.parametrize("block", NGINX, ids=lambda block: block.place)
def test_nginx_takes_it(block: Block, tmp_path: Path) -> None:
    world = World()
    nginx_command(world.front, world.here(block.text), tmp_path)


def test_nginx_refuses_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="listening"):
        nginx_command("127.0.0.1", "server { listening 80; }", tmp_path)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "if true; then echo"),
        ("python", "def"),
        ("json", "{"),
        ("toml", "a = "),
        ("yaml", "a: [b"),
    ],
)
def test_what_is_wrong_is_seen(language: str, text: str) -> None:
    with pytest.raises((ValueError, SyntaxError, yaml.YAMLError)):
        READERS[language](text)


def test_few_commands_cannot_be_run_here() -> None:
    reasons = {block.place: block.notes["run"] for block in ALL if block.notes.get("run", "").startswith(NOT_HERE)}
    assert len(reasons) <= MOST_NOT_HERE, reasons
    assert all(len(reason) >= len(NOT_HERE) + SHORTEST_REASON for reason in reasons.values()), reasons


def test_most_pages_are_tried_out() -> None:
    commands = [block for block in ALL if block.language == "sh"]
    assert len(commands) > 5 * MOST_NOT_HERE
    assert (ROOT / "docs" / "tutorial.md") in {block.page for block in commands}


def test_an_output_follows_its_command() -> None:
    """A block of `text` without a command in front of it would be compared with nothing."""
    for page in every_page():
        command: Block | None = None
        for block in blocks(page):
            if block.language == "sh":
                command = block
            elif block.language == "text":
                assert command is not None, block.place
                assert not command.notes.get("run", "").startswith((NOT_HERE, "as ")), block.place
