"""A real Chromium without a window, and the dashboard in it as people use it: by what things are called."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import Page, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator

    from tests.harness.master import Master

PROGRAM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or ""

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""As root, and without a word to anybody but us."""

PATIENCE: Final = 20_000
"""Milliseconds that something expected may take on a busy machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser. A test that needs it is skipped where it is not installed."""
    if not PROGRAM:
        pytest.skip("needs chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class DashboardPage:
    """The dashboard of one master, in a browser of its own.

    Args:
        browser: that.
        master: that is looked at.
        options: of the browser's context, such as its size.
    """

    def __init__(self, browser: Browser, master: Master, **options: Any) -> None:
        self.context = browser.new_context(ignore_https_errors=True, **options)
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        """What a page complains about: scripts that fail, or that the content policy stops."""
        self.asked: list[str] = []
        """Every URL that was asked for."""
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if "Content Security" in line.text else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self._master = master
        self.url = master.url.removesuffix("/api") + "/"

    def sign_in(self) -> None:
        """Open the page, and show the key."""
        self.page.goto(self.url)
        self.page.get_by_label("API key").fill(self._master.key)
        self.page.keyboard.press("Enter")
        expect(self.button("New instance")).to_be_visible()
        # Before its fonts have come, what is clicked may move away under the click.
        self.page.evaluate("document.fonts.ready.then(() => true)")

    def button(self, name: str) -> Locator:
        """A button by its name."""
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog").last

    def row(self, name: str) -> Locator:
        """An instance in the list, by its name."""
        return self.page.get_by_role("row").filter(has=self.button(name))

    def more(self, name: str, item: str) -> None:
        """Choose something of an instance's menu."""
        self.button(f"More about {name}").click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def fill(self, label: str, text: str) -> None:
        """Fill in a field of the dialog that is open."""
        self.dialog.get_by_label(label, exact=True).fill(text)

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a field of the dialog that is open."""
        self.dialog.get_by_label(label, exact=True).click()
        self.page.get_by_role("option", name=re.compile(option)).click()
