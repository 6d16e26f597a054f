"""The dashboard in a real browser, used as people use it."""

from __future__ import annotations

import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.harness import KEY, Echo, Master, connect, echoed, free_port
from tests.harness.browser import DashboardPage, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def master(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Master]:
    with Master(tmp_path, getattr(request, "param", ""), env={"NP_SERVICE_COOLDOWN": "1s"}) as process:
        yield process.ready()
        assert not process.stderr
        assert not process.matches("Dashboard failed|Dashboard: .*Error|Traceback|never retrieved")


@pytest.fixture
def dashboard(browser: Browser, master: Master) -> Iterator[DashboardPage]:
    page = DashboardPage(browser, master)
    yield page
    page.context.close()
    assert page.errors == []
    # Nothing comes from elsewhere: it works without internet.
    assert {url for url in page.asked if not url.startswith((page.url, "data:", "blob:"))} == set()


def forwarder_url(port: int, target: int) -> str:
    return f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target}?mode=1"


def test_only_who_has_the_key_gets_in_and_only_as_long_as_it_is_the_key(dashboard: DashboardPage, master: Master) -> None:
    page = dashboard.page
    page.goto(dashboard.url)
    page.get_by_label("API key").fill("0" * 32)
    dashboard.button("Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the API key of this master.")
    dashboard.sign_in()
    assert page.url == dashboard.url
    assert master.key not in page.content()
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert master.key not in cookie["value"]
    dashboard.button("Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()

    dashboard.sign_in()
    master.key = master.call("PATCH", "/instances/********", {"action": "restart"}).json["url"]
    expect(page.get_by_label("API key")).to_be_visible()
    dashboard.sign_in()

    # An open page does not hold up the master's end, and nothing is broken off.
    assert master.stop() == 0
    assert not master.matches("WARN  Web server|ERROR")


def test_a_tunnel_made_by_form(dashboard: DashboardPage, master: Master) -> None:
    page, tunnel, users = dashboard.page, free_port(), free_port()
    dashboard.sign_in()
    expect(page.get_by_text("No instances yet")).to_be_visible()
    dashboard.button("New instance").click()
    dashboard.fill("Alias", "gate")
    dashboard.button("Generate a key").click()
    key_field = dashboard.dialog.get_by_label("Key", exact=True)
    expect(key_field).to_have_value(re.compile("^[A-Za-z0-9_-]{43}$"))
    key = key_field.input_value()
    dashboard.fill("Tunnel address", "127.0.0.1:99999")
    expect(dashboard.dialog.get_by_text("Expected a port from 1 to 65535")).to_be_visible()
    dashboard.fill("Tunnel address", f"127.0.0.1:{tunnel}")
    dashboard.fill("Target", f"127.0.0.1:{users}")
    dashboard.choose("mode", "^1 ")
    dashboard.choose("tls", "^1 ")
    shown = dashboard.dialog.get_by_label("Resulting URL")
    expect(shown).to_have_text(f"server://••••••••@127.0.0.1:{tunnel}/127.0.0.1:{users}?tls=1&mode=1")
    dashboard.button("Show the key in the URL").click()
    expect(shown).to_contain_text(f"server://{key}@")
    dashboard.dialog.get_by_text("Limits", exact=True).click()
    dashboard.fill("read", "soon")
    expect(dashboard.dialog.get_by_text("Expected a duration")).to_be_visible()
    dashboard.fill("read", "10m")
    dashboard.button("Create").click()
    expect(dashboard.row("gate")).to_contain_text("running")

    dashboard.button("New instance").click()
    dashboard.button("Client").click()
    dashboard.button("Create").click()
    expect(dashboard.dialog.get_by_text("Expected host:port").first).to_be_visible()
    dashboard.fill("Alias", "inside")
    dashboard.fill("Key", key)
    with Echo() as target, master.events() as events:
        dashboard.fill("Tunnel address", f"127.0.0.1:{tunnel}")
        dashboard.fill("Target", f"127.0.0.1:{target.port}")
        dashboard.choose("mode", "^2 ")
        dashboard.button("Create").click()
        expect(dashboard.row("inside")).to_contain_text("running")
        events.wait_for("update", alias="inside", mode=2)
        assert echoed(users, 2_000_000)
        expect(dashboard.row("gate")).to_contain_text("↓ 2.0 MB")
        expect(page.get_by_role("region", name="All instances")).to_contain_text("4.0 MB in all")
    urls = {entry["alias"]: entry["url"] for entry in master.call("GET", "/instances").json}
    assert urls["gate"] == f"server://{key}@127.0.0.1:{tunnel}/127.0.0.1:{users}?tls=1&mode=1&read=10m&log=info"
    assert urls["inside"].startswith(f"client://{key}@")


def test_an_instance_changed_and_deleted(dashboard: DashboardPage, master: Master) -> None:
    page, users = dashboard.page, free_port()
    with Echo() as target, Echo() as other, master.events() as events:
        id_ = master.create(forwarder_url(users, target.port), "gate")["id"]
        events.wait_for("update", id=id_, mode=1)
        dashboard.sign_in()
        assert echoed(users, 2_000_000)
        expect(dashboard.row("gate")).to_contain_text("↓ 2.0 MB")

        # While the key's field is left alone, the key stays, and does not come to the page.
        dashboard.more("gate", "Edit")
        expect(dashboard.dialog.get_by_label("Key", exact=True)).to_have_value("")
        dashboard.fill("Target", f"127.0.0.1:{other.port}")
        dashboard.button("Save and restart").click()
        expect(dashboard.row("gate")).to_contain_text(f"127.0.0.1:{other.port}")
        assert KEY not in page.content()
        url = forwarder_url(users, other.port).replace("?", "?log=info&")
        events.wait_for("update", id=id_, url=url, mode=1, status="running")
        target.stop()
        assert echoed(users, 1000)

        dashboard.button("Stop gate").click()
        expect(dashboard.row("gate")).to_contain_text("stopped")
        with pytest.raises(OSError, match="refused"):
            connect(users)
        dashboard.button("Start gate").click()
        expect(dashboard.row("gate")).to_contain_text("running")
        dashboard.more("gate", "Zero the counters")
        expect(dashboard.row("gate")).to_contain_text("↓ 0 B")

        dashboard.more("gate", "Delete …")
        dashboard.button("Cancel").click()
        expect(dashboard.dialog).to_have_count(0)
        assert master.call("GET", f"/instances/{id_}").status == 200
        dashboard.more("gate", "Delete …")
        dashboard.button("Delete").click()
        expect(dashboard.row("gate")).to_have_count(0)
    assert master.call("GET", f"/instances/{id_}").status == 404


@pytest.mark.parametrize("mode", [1, 2])
def test_a_server_without_a_client_says_so(dashboard: DashboardPage, master: Master, mode: int) -> None:
    port, users, target = free_port(), free_port(), free_port()
    at_server, at_client = (users, target) if mode == 1 else (target, users)
    master.create(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{at_server}?mode={mode}", "gate")
    master.create(forwarder_url(free_port(), target), "forwarder")
    dashboard.sign_in()
    expect(dashboard.row("gate")).to_contain_text("waits for a client")
    client = master.create(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{at_client}?mode=2&min=1", "inside")["id"]
    expect(dashboard.row("gate")).not_to_contain_text("waits")
    master.call("PATCH", f"/instances/{client}", {"action": "stop"})
    expect(dashboard.row("gate")).to_contain_text("waits for a client")
    # By now, these have long told how far they have come.
    for name in ("forwarder", "inside"):
        expect(dashboard.row(name)).not_to_contain_text("waits")
    dashboard.button("Stop gate").click()
    expect(dashboard.row("gate")).to_contain_text("stopped")
    expect(dashboard.row("gate")).not_to_contain_text("waits")


def contrast(one: str, other: str) -> float:
    """Of two colours such as `rgb(1, 2, 3)` (WCAG 2.2, contrast ratio)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(factor * part for factor, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_colour_can_be_read(browser: Browser, master: Master, scheme: str) -> None:
    master.create(f"server://{KEY}@127.0.0.1:{free_port()}/127.0.0.1:{free_port()}?mode=1", "gate")
    dashboard = DashboardPage(browser, master, color_scheme=scheme)
    dashboard.sign_in()
    page = dashboard.page
    words = [page.locator(f".np-tile .np-{name}").first for name in ("in", "out")]
    words += [dashboard.row("gate").locator(f".np-{name}").first for name in ("in", "out", "waits")]
    sheet = str(page.locator(".np-tile").first.evaluate("e => getComputedStyle(e).backgroundColor"))
    for word in words:
        assert contrast(str(word.evaluate("e => getComputedStyle(e).color")), sheet) >= 4.5
    dashboard.context.close()


def test_an_instance_that_is_stopped_is_edited(dashboard: DashboardPage, master: Master) -> None:
    id_ = master.create(forwarder_url(free_port(), free_port()), "gate")["id"]
    master.call("PATCH", f"/instances/{id_}", {"action": "stop"})
    dashboard.sign_in()
    expect(dashboard.row("gate")).to_contain_text("stopped")
    dashboard.more("gate", "Edit")
    dashboard.fill("Target", "127.0.0.1:9")
    # Another URL starts an instance, here as over the API: the button says so. Enter is as good as the button.
    expect(dashboard.button("Save and start")).to_be_visible()
    dashboard.page.keyboard.press("Enter")
    expect(dashboard.dialog).to_have_count(0)
    expect(dashboard.row("gate")).to_contain_text("running")
    assert "/127.0.0.1:9?" in master.call("GET", f"/instances/{id_}").json["url"]


def test_enter_that_is_held_down_makes_one_instance(dashboard: DashboardPage, master: Master) -> None:
    dashboard.sign_in()
    dashboard.button("New instance").click()
    dashboard.fill("Alias", "gate")
    dashboard.fill("Tunnel address", f"127.0.0.1:{free_port()}")
    dashboard.fill("Target", f"127.0.0.1:{free_port()}")
    field = dashboard.dialog.get_by_label("Target", exact=True)
    press = "field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"
    field.evaluate(f"field => {{ for (let i = 0; i < 5; i++) {press} }}")
    expect(dashboard.dialog).to_have_count(0)
    assert [entry["alias"] for entry in master.call("GET", "/instances").json].count("gate") == 1


def test_the_key_of_an_instance_removed(dashboard: DashboardPage, master: Master) -> None:
    id_ = master.create(forwarder_url(free_port(), free_port()), "gate")["id"]
    dashboard.sign_in()
    dashboard.more("gate", "Edit")
    key, url = dashboard.dialog.get_by_label("Key", exact=True), dashboard.dialog.get_by_label("Resulting URL")
    # Nobody has seen the old one: a new one that is taken back leaves it as it is.
    key.fill("another")
    key.fill("")
    expect(key).to_have_attribute("placeholder", "unchanged")
    expect(url).to_contain_text("client://••••••••@127.0.0.1")
    dashboard.button("Show the key").click()
    expect(key).to_have_value(KEY)
    key.fill("")
    expect(url).to_contain_text("client://127.0.0.1")
    dashboard.button("Save and restart").click()
    expect(dashboard.dialog).to_have_count(0)
    assert master.call("GET", f"/instances/{id_}").json["url"].startswith("client://127.0.0.1:")


def test_what_was_typed_is_not_lost_by_a_slip(dashboard: DashboardPage) -> None:
    page = dashboard.page
    dashboard.sign_in()

    # Not the animation itself: a machine that is busy may not draw it in time.
    page.evaluate(
        """new MutationObserver(changes => {
            const shaken = changes.some(change => change.target.classList.contains('q-animate--scale'))
            if (shaken) document.body.dataset.shaken = ''
        }).observe(document, { subtree: true, attributes: true, attributeFilter: ['class'] })"""
    )

    def slip(how: str) -> None:
        page.evaluate("delete document.body.dataset.shaken")
        if how == "Esc":
            page.keyboard.press("Escape")
        else:
            page.mouse.click(5, 300)

    for how in ("Esc", "click"):
        dashboard.button("New instance").click()
        field = dashboard.dialog.get_by_label("Tunnel address")
        field.fill(":10101")
        expect(dashboard.dialog.get_by_label("Resulting URL")).to_contain_text(":10101")
        slip(how)
        # It shakes, and stays.
        expect(page.locator("body")).to_have_attribute("data-shaken", "")
        expect(field).to_have_value(":10101")
        # What is as it was at first can go.
        field.fill("")
        expect(dashboard.dialog.get_by_label("Resulting URL")).not_to_contain_text(":10101")
        slip(how)
        expect(dashboard.dialog).to_have_count(0)
    for button in ("Cancel", "Close"):
        dashboard.button("New instance").click()
        dashboard.fill("Tunnel address", ":10101")
        expect(dashboard.dialog.get_by_label("Resulting URL")).to_contain_text(":10101")
        dashboard.button(button).click()
        expect(dashboard.dialog).to_have_count(0)


def test_an_instance_opened(dashboard: DashboardPage, master: Master) -> None:
    page = dashboard.page
    with socket.create_server(("127.0.0.1", 0)) as taken, Echo() as target:
        made = master.create(forwarder_url(taken.getsockname()[1], target.port), "door")
        dashboard.sign_in()
        expect(dashboard.row("door")).to_contain_text("error")

        # What it has logged before anybody looked is there.
        dashboard.button("Logs of door").click()
        lines = page.get_by_role("log", name="Log lines")
        expect(lines).to_contain_text("Address already in use")
        expect(lines).to_contain_text("Forwarding" if "Forwarding" in lines.inner_text() else "Client restart")
        page.get_by_label("Level").click()
        page.get_by_role("option", name="error and above").click()
        expect(lines).not_to_contain_text("Client restart")
        expect(lines).to_contain_text("Address already in use")
        page.get_by_label("Search").fill("nothing of the kind")
        expect(lines).to_have_text("No line matches.")
        page.get_by_label("Search").fill("already IN use")
        expect(lines).to_contain_text("Address already in use")

        page.get_by_role("tab", name="Overview").click()
        url = page.get_by_label("URL", exact=True)
        expect(url).to_contain_text("client://••••••••@127.0.0.1")
        assert KEY not in page.content()
        dashboard.button("Show the key").click()
        expect(url).to_have_text(made["url"])
        dashboard.button("Hide the key").click()
        expect(url).to_contain_text("••••••••")

        page.get_by_role("tab", name="Notes").click()
        dashboard.fill("Alias", "back door")
        dashboard.button("Add a tag").click()
        dashboard.fill("Name", "owner")
        dashboard.fill("Value", "ada <b>")
        dashboard.button("Save notes").click()
        expect(page.get_by_text("The notes are saved")).to_be_visible()
        page.keyboard.press("Escape")
        expect(dashboard.dialog).to_have_count(0)
        expect(dashboard.row("back door")).to_contain_text("owner: ada <b>")
        told = master.call("GET", f"/instances/{made['id']}").json
        assert (told["alias"], told["meta"]["tags"]) == ("back door", {"owner": "ada <b>"})
        find = page.get_by_label("Find instances")
        find.fill("nobody")
        expect(page.get_by_text("No instance matches.")).to_be_visible()
        find.fill("ADA")
        expect(dashboard.row("back door")).to_be_visible()

        dashboard.button("Try a TCP connection").click()
        dashboard.fill("Target", f"127.0.0.1:{target.port}")
        dashboard.button("Try").click()
        expect(dashboard.dialog.get_by_role("status")).to_have_text(re.compile(r"Connected in \d+ ms"))
        dashboard.fill("Target", f"127.0.0.1:{free_port()}")
        page.keyboard.press("Enter")
        expect(dashboard.dialog.get_by_role("status")).to_contain_text("Not connected")


@pytest.mark.parametrize("master", ["tls=1"], indirect=True)
def test_on_a_phone_in_the_dark_over_tls(browser: Browser, master: Master) -> None:
    master.create(forwarder_url(free_port(), free_port()), "a name that is rather long for such a small screen")
    dashboard = DashboardPage(browser, master, viewport={"width": 360, "height": 740}, color_scheme="dark", has_touch=True)
    dashboard.sign_in()
    page = dashboard.page
    assert {cookie["secure"] for cookie in dashboard.context.cookies()} == {True}

    def fits() -> bool:
        return bool(page.evaluate("document.documentElement.scrollWidth <= 360 && document.body.scrollWidth <= 360"))

    expect(page.get_by_text("a name that is rather long")).to_be_visible()
    assert fits()
    ground = page.locator("body")
    expect(ground).to_have_css("background-color", "rgb(13, 20, 25)")
    dashboard.button("Theme: system").click()
    dashboard.button("Theme: light").wait_for()
    expect(ground).to_have_css("background-color", "rgb(243, 245, 247)")
    page.reload()
    expect(dashboard.button("Theme: light")).to_be_visible()
    expect(ground).to_have_css("background-color", "rgb(243, 245, 247)")

    dashboard.button("New instance").click()
    expect(dashboard.dialog.get_by_label("Tunnel address")).to_be_visible()
    assert fits()
    assert page.evaluate(
        "[...document.querySelectorAll('.np-dialog *')].every(e => e.getBoundingClientRect().right <= 361)"
    )
    dashboard.button("Close").click()
    expect(dashboard.dialog).to_have_count(0)
    page.get_by_role("button", name=re.compile("^Logs of")).click()
    expect(page.get_by_role("log", name="Log lines")).to_be_visible()
    assert fits()
    dashboard.context.close()
    assert dashboard.errors == []


def test_a_master_that_hangs_does_not_look_alive(dashboard: DashboardPage, master: Master) -> None:
    master.create(forwarder_url(free_port(), free_port()), "door")
    dashboard.sign_in()
    main = dashboard.page.get_by_role("main").last
    expect(main).to_have_css("opacity", "1")
    master.send_signal(signal.SIGSTOP)
    try:
        expect(main).to_have_css("opacity", "0.4")
    finally:
        master.send_signal(signal.SIGCONT)
    expect(main).to_have_css("opacity", "1")
    expect(dashboard.row("door")).to_contain_text("running")


def test_by_keyboard_alone(dashboard: DashboardPage, master: Master) -> None:
    master.create(forwarder_url(free_port(), free_port()), "door")
    dashboard.sign_in()
    expect(dashboard.row("door")).to_contain_text("running")
    page = dashboard.page

    def focused() -> str:
        return str(page.evaluate("(e => e.getAttribute('aria-label') || e.innerText || e.tagName)(document.activeElement)"))

    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if focused().split("\n")[-1] == name:
                return
        raise AssertionError(f"Tab does not come to {name}")

    order = ["Try a TCP connection", "Theme: system", "Sign out", "Find instances", "New instance", "door", "Stop door"]
    for name in order:
        tab_to(name)
        # Where the focus is can be seen.
        outline, shadow = page.evaluate("(s => [s.outlineStyle, s.boxShadow])(getComputedStyle(document.activeElement))")
        assert name == "Find instances" or outline != "none" or shadow != "none", name
    page.keyboard.press("Enter")
    expect(dashboard.row("door")).to_contain_text("stopped")

    dashboard.button("New instance").focus()
    page.keyboard.press("Enter")
    expect(dashboard.dialog).to_be_visible()
    # The focus stays in the dialog, and goes back to where it came from.
    tab_to("Cancel")
    tab_to("Close")
    page.keyboard.press("Escape")
    expect(dashboard.dialog).to_have_count(0)
    expect(dashboard.button("New instance")).to_be_focused()

    dashboard.button("More about door").focus()
    page.keyboard.press("Enter")
    # The first entry, one back to the last, and on to the first again.
    for key, name in (("", "Restart"), ("ArrowUp", "Delete …"), ("ArrowDown", "Restart"), ("ArrowDown", "Edit")):
        if key:
            page.keyboard.press(key)
        expect(page.get_by_role("menuitem", name=name, exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menuitem", name="Delete")).to_have_count(0)
