"""Each page is tried out as its reader would: see the package's docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT, blocks, every_page
from tests.docs.story import Story

if TYPE_CHECKING:
    from pathlib import Path


def tried() -> list[Path]:
    """The pages that have commands which can be run here."""
    pages = []
    for page in every_page():
        commands = [block for block in blocks(page, "sh") if not block.notes.get("run", "").startswith("not here")]
        if commands:
            pages.append(page)
    return pages


@pytest.mark.parametrize("page", tried(), ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, tmp_path: Path) -> None:
    with Story(page, tmp_path) as story:
        story.run()
        assert story.commands
