"""The site builds without a warning (a link that leads nowhere is one), and no page loads anything from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from nodepass.config import params, tunables
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BUILD_TIMEOUT = 120


class _Page(HTMLParser):
    """What a page loads, links to, and can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if name := values.get("id"):
            self.names.add(name)
        if tag == "link" and (address := values.get("href")):
            self.loads.append(address)
        if tag in {"script", "img", "iframe", "source"} and (address := values.get("src")):
            self.loads.append(address)
        if tag == "a" and (address := values.get("href")):
            self.links.append(address)


def test_the_site(tmp_path: Path) -> None:
    """One test, since building takes longer than all the rest of it."""
    site = built(tmp_path)
    check_that_every_link_leads_somewhere(site)
    check_that_nothing_is_loaded_from_elsewhere(site)
    check_that_the_reference_has_everything(site)
    check_that_the_python_reference_has_what_is_public_only(site)


def built(folder: Path) -> Path:
    """Build the site; any warning fails that."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(folder / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(folder / "html")],
        cwd=ROOT, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "html"


def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def check_that_every_link_leads_somewhere(site: Path) -> None:
    parsed = pages(site)
    checked = 0
    for path, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in parsed[target].names, f"{path.name}: {link}"
            checked += 1
    assert checked > 500


def check_that_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path, page in pages(site).items():
        assert page.loads, path
        assert not [address for address in page.loads if urlsplit(address).netloc], path
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8", errors="replace")), style


def check_that_the_reference_has_everything(site: Path) -> None:
    url = (site / "reference" / "url.html").read_text(encoding="utf-8")
    assert all(f">{row.name}<" in url for row in params.ALL)
    environment = (site / "reference" / "environment.html").read_text(encoding="utf-8")
    assert all(f">{variable.name}<" in environment for variable in tunables.ALL)
    routes = (site / "reference" / "rest-api.html").read_text(encoding="utf-8")
    assert all(f"{word}<" in routes for word in ("PATCH", "/api/v1/tcping", "InstanceChange"))


def check_that_the_python_reference_has_what_is_public_only(site: Path) -> None:
    names = _Page((site / "reference" / "python.html").read_text(encoding="utf-8")).names
    for kind in ("Server", "Client", "Forwarder"):
        members = {name.rpartition(".")[2] for name in names if name.startswith(f"nodepass.{kind}.")}
        assert members == {
            "start", "ready", "connected", "wait", "stop", "stats", "is_ready", "is_connected", "checkpoint"
        }, kind  # fmt: skip


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser"]\nmyst_heading_anchors = 3\n')
    (tmp_path / "index.md").write_text("# Title\n\n[nowhere](none.md)\n")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(tmp_path), str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    assert done.returncode != 0
    assert "none.md" in done.stderr
