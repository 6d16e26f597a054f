"""The stories fail where a page is wrong: one that cannot fail would say nothing about the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.outputs import assert_same, same
from tests.docs.pages import ROOT, PageError, steps
from tests.docs.story import Story, StoryError
from tests.docs.world import World

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
<!-- file: greeting -->
```json
"hello"
```

```sh
export NAME=world
mkdir folder
cd folder
```

```sh
echo "$(cat ../greeting) $NAME"
```

```text
"…" world
```
"""


def tell(folder: Path, text: str) -> Story:
    """Try out a page with this text."""
    page = ROOT / "docs" / "none.md"
    home = folder / "home"
    home.mkdir()

    class Page(type(page)):  # type: ignore[misc] # a path of whichever kind this system has
        def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
            return text

    with Story(Page(page), home) as story:
        story.run()
    return story


def test_a_page_that_is_right(tmp_path: Path) -> None:
    assert tell(tmp_path, GOOD).commands == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"…" world', '"…" moon'),
        ('"…" world', '"…" world\nand more'),
        ("mkdir folder", "mkdir none/folder"),
        ("export NAME=world", "NAME=world"),
        ("cd folder", "true"),
        ("<!-- file: greeting -->", ""),
        ('echo "$(', "<"),
    ],
)
def test_a_page_that_is_wrong(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in GOOD
    with pytest.raises(AssertionError):
        tell(tmp_path, GOOD.replace(right, wrong))


def test_a_line_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.outputs._WAIT", 0.1)
    command = 'nodepass "server://KEY@:10101/:8080?mode=1&tls=1"'
    page = f"```sh\n{command}\n```\n\n```text\n2026-01-01 00:00:00.000  INFO  {{}}\n```\n"
    tell(tmp_path, page.format("Bound :8080: users come in here"))
    (tmp_path / "home").rename(tmp_path / "before")
    with pytest.raises(AssertionError, match="no line matched"):
        tell(tmp_path, page.format("Bound :8080: users come in there"))


def test_an_exit_code(tmp_path: Path) -> None:
    page = "<!-- run: exits with 3 -->\n```sh\nexit {}\n```\n"
    tell(tmp_path, page.format(3))
    (tmp_path / "home").rename(tmp_path / "before")
    with pytest.raises(AssertionError, match="exit code 0"):
        tell(tmp_path, page.format(0))


@pytest.mark.parametrize(
    "text",
    [
        "<!-- run: somehow -->\n```sh\ntrue\n```",
        "<!-- given: an elephant at server.example:80 -->",
        '<!-- fill: "key (.*)" -->\n```sh\necho …\n```',
    ],
)
def test_a_comment_that_nobody_understands(tmp_path: Path, text: str) -> None:
    with pytest.raises(StoryError):
        tell(tmp_path, text)


@pytest.mark.parametrize("text", ["<!-- rnu: not here -->", "```sh\ntrue", "<!-- run: not here -->\nno block"])
def test_a_page_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(PageError):
        steps(page)


@pytest.mark.parametrize(
    ("shown", "came", "expected"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a"], False),
        (["a", "…"], ["a", "b", "c"], True),
        (["…", "c"], ["a", "b", "c"], True),
        (["…", "b"], ["a", "b", "c"], False),
        (["a … c"], ["a b c"], True),
        (["2026-01-01 00:00:00.000  INFO"], ["2031-12-24 23:59:59.999  INFO"], True),
        (["a.c"], ["abc"], False),
    ],
)
def test_outputs(shown: list[str], came: list[str], expected: bool) -> None:
    assert same(shown, came) is expected


def test_an_output_is_compared_whole() -> None:
    with pytest.raises(AssertionError):
        assert_same("hello\n", "hello\nTraceback\n", "here")


def test_ports_and_hosts() -> None:
    world = World()
    tunnel, web = world.port("10101"), world.port("80")
    assert len({tunnel, web, "10101", "80"}) == 4
    written = "client://KEY@server.example:10101/10.0.0.5:80,10.0.0.6:80?mode=2"
    assert world.here(written) == f"client://KEY@127.0.0.1:{tunnel}/127.44.0.5:{web},127.44.0.6:{web}?mode=2"
    # What is no port stays.
    for text in ("2026-11-23 08:22:53.808", "192.0.2.80", "slot=65536", "tls=1&crt=/etc/80.pem", "+0.80"):
        assert world.here(text) == text
