"""Parameters, variables, commands and URLs that stand in a page's sentences and tables are real ones."""

from __future__ import annotations

import re

import pytest

import nodepass
from nodepass.cli import main
from nodepass.config import params
from nodepass.ctl.commands import ctl
from tests.docs.pages import ROOT, every_page
from tests.docs.test_quotes import WRITTEN

SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
URL = re.compile(r'(?:server|client|master)://[^\s"…`]*:\d[^\s"…`]*')
SETTING = re.compile(r"([a-z]+)=[^=\s]*(?:&([a-z]+)=[^=\s]*)*")

OF_PYTHON = {"logger", "tunables"}
"""Arguments of the library that look like parameters of a URL."""

PAGES = [(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")) for page in every_page()]
SPANS = [(name, span) for name, text in PAGES for span in SPAN.findall(text)]


def unknown_settings(span: str) -> list[str]:
    """The parameters in `a=1&b=2` that no URL takes."""
    if SETTING.fullmatch(span) is None:
        return []
    names = [setting.partition("=")[0] for setting in span.split("&")]
    return [name for name in names if name not in params.BY_NAME and name not in OF_PYTHON]


def unknown_command(span: str) -> str:
    """The command in `nodepass command …` that there is not."""
    words = span.split()
    if words[0] != "nodepass" or len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
        return ""
    if words[1] not in main.commands:
        return words[1]
    if words[1] == "ctl" and len(words) > 2 and re.fullmatch(r"[a-z]+", words[2]) and words[2] not in ctl.commands:
        return words[2]
    return ""


def test_parameters_exist() -> None:
    settings = [(name, span) for name, span in SPANS if SETTING.fullmatch(span)]
    assert len(settings) > 100
    assert not [(name, span) for name, span in settings if unknown_settings(span)]


def test_variables_exist() -> None:
    names = {(name, variable) for name, text in PAGES for variable in re.findall(r"\bNP_[A-Z_]+[A-Z]\b", text)}
    assert len(names) > 30
    assert not [(name, variable) for name, variable in names if variable not in WRITTEN]


def test_commands_exist() -> None:
    commands = [(name, span) for name, span in SPANS if span.startswith("nodepass ")]
    assert len(commands) > 20
    assert not [(name, span) for name, span in commands if unknown_command(span)]


def test_urls_are_right() -> None:
    urls = [url for _, span in SPANS for url in URL.findall(span)]
    assert len(urls) >= 3
    for url in urls:
        try:
            nodepass.parse_url(url)
        except nodepass.ConfigError as error:
            pytest.fail(f"{url}: {error}")


def test_files_of_the_repository_exist() -> None:
    paths = {(name, path) for name, text in PAGES for path in re.findall(r"(?:deploy|examples|tests)/[\w@./-]*\w", text)}
    assert len(paths) > 10
    assert not [(name, path) for name, path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("span", ["mode=1&tsl=1", "lsb=0"])
def test_a_wrong_parameter_is_seen(span: str) -> None:
    assert unknown_settings(span)


@pytest.mark.parametrize("span", ["nodepass serve", "nodepass ctl erase"])
def test_a_wrong_command_is_seen(span: str) -> None:
    assert unknown_command(span)
