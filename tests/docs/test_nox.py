"""CONTRIBUTING.md and noxfile.py name the same sessions."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import ROOT


def test_sessions_are_those_that_contributing_names() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {name for line in re.findall(r"^nox -s ([a-z ]+?)(?: +#| --|$)", text, re.MULTILINE) for name in line.split()}
    assert named == sessions
