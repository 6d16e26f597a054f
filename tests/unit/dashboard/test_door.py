"""Who may come in, from where, and what the browser is told: over HTTP, without a browser."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from nodepass.dashboard import door
from tests.unit.dashboard.conftest import BASE
from tests.unit.master.api.fake import KEY

if TYPE_CHECKING:
    import httpx
    from starlette.types import ASGIApp

    from nodepass.master.front import Front
    from tests.unit.master.api.fake import FakeCore

COOKIE = "nodepass-9090"


async def sign_in(browser: httpx.AsyncClient, key: str = KEY, **headers: str) -> httpx.Response:
    return await browser.post("/sign-in", data={"key": key}, headers=headers)


async def test_strangers_get_the_form_and_nothing_else(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert (page.status_code, "API key" in page.text) == (200, True)
    assert "<script" not in page.text
    for path in ("/_nicegui/3/static/vue.js", "/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/_nicegui/x"):
        assert (await browser.get(path)).status_code == 401
    assert (await browser.get("/_nodepass/session")).status_code == 401
    assert (await browser.get("/_nodepass/plain.css")).status_code == 200
    assert (await browser.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"
    for path in ("/_nodepass/../door.py", "/_nodepass/", "/_nodepass/x"):
        assert (await browser.get(path)).status_code in {401, 404}
    assert (await browser.get("/elsewhere")).json()["error"].startswith("the API key")


async def test_the_api_is_where_it_was(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/api/v1/instances")).status_code == 401
    assert (await browser.get("/api/v1/info", headers={"X-API-Key": KEY})).status_code == 200
    await sign_in(browser)
    assert (await browser.get("/api/v1/instances")).status_code == 401, "a cookie is no key"


async def test_a_key_gives_a_session(browser: httpx.AsyncClient) -> None:
    answer = await sign_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert KEY not in cookie
    assert (await browser.get("/_nodepass/session")).status_code == 204
    out = await browser.post("/sign-out")
    assert out.status_code == 303
    assert (await browser.get("/_nodepass/session")).status_code == 401


async def test_with_tls_the_cookie_is_secure(browser: httpx.AsyncClient) -> None:
    answer = await browser.post(BASE.replace("http:", "https:") + "/sign-in", data={"key": KEY})
    assert "Secure" in answer.headers["set-cookie"]


async def test_another_key_ends_the_session(browser: httpx.AsyncClient, core: FakeCore) -> None:
    await sign_in(browser)
    await core.master.renew_key()
    assert (await browser.get("/_nodepass/session")).status_code == 401
    assert (await sign_in(browser)).status_code == 403


@pytest.mark.parametrize("body", [b"", b"key=", b"key", b"other=1", b"\xff", b"key=" + b"0" * 5000, b"a=1&b=2&c=3&d=4"])
async def test_a_form_that_brings_no_key_is_refused(browser: httpx.AsyncClient, body: bytes) -> None:
    answer = await browser.post("/sign-in", content=body)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_guessing_is_limited_and_the_right_key_waits_as_well(browser: httpx.AsyncClient) -> None:
    for _ in range(10):
        assert (await sign_in(browser, "0" * 32)).status_code == 403
    answer = await sign_in(browser)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "comes_in"),
    [
        ({}, True),
        ({"Origin": BASE}, True),
        ({"Origin": BASE, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": BASE.replace("http:", "https:")}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "http://[v1.x]"}, False),
        ({"Origin": BASE + "0"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": BASE, "Sec-Fetch-Site": "same-site"}, False),
    ],
)
async def test_a_form_of_another_site_is_refused(
    browser: httpx.AsyncClient, headers: dict[str, str], comes_in: bool
) -> None:
    assert (await sign_in(browser, **headers)).status_code == (303 if comes_in else 403)
    await sign_in(browser)
    await browser.post("/sign-out", headers=headers)
    assert (await browser.get("/_nodepass/session")).status_code == (401 if comes_in else 204)


@pytest.mark.parametrize("cookie", ['"' + '\\"' * 30_000 + '"', '"' + "\\" * 60_000 + '"', "=;" * 30_000])
async def test_a_strangers_cookie_keeps_nobody_busy(browser: httpx.AsyncClient, cookie: str) -> None:
    begun = time.process_time()
    for name in (COOKIE, "a"):
        assert (await browser.get("/", headers={"Cookie": f"{name}={cookie}"})).status_code == 200
    # It was a matter of seconds.
    assert time.process_time() - begun < 1


async def test_a_session_is_found_among_other_cookies(browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    token = browser.cookies[COOKIE]
    browser.cookies.clear()
    for cookies, status in ((f'a="b;c"; {COOKIE}={token};d', 204), (f"x{COOKIE}={token}; {COOKIE}=", 401)):
        assert (await browser.get("/_nodepass/session", headers={"Cookie": cookies})).status_code == status


async def test_the_page_and_what_the_browser_may_do_with_it(browser: httpx.AsyncClient, core: FakeCore) -> None:
    await sign_in(browser)
    page = await browser.get("/", headers={"X-Forwarded-Prefix": "/evil"})
    assert page.status_code == 200
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe-inline" not in policy["script-src"]
    nonce = policy["script-src"].split("'nonce-")[1].split("'")[0]
    assert page.text.count("<script") == page.text.count(f'<script nonce="{nonce}"') > 3
    again = await browser.get("/")
    assert nonce not in again.text
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    assert "/evil" not in page.text
    assert KEY not in page.text
    assert not any(instance.url in page.text or "s3cret" in page.text for instance in core.all())
    form = await browser.get("/", headers={"Cookie": f"{COOKIE}=x"})
    assert form.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")


async def test_without_the_library_a_page_says_how_to_install_it(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LIBRARY", "a_library_that_nobody_has")
    page = await browser.get("/")
    assert page.status_code == 200
    assert "pip install 'nodepass[dashboard]'" in page.text
    assert (await sign_in(browser)).status_code == 404
    assert (await browser.get("/_nicegui/x")).status_code == 404
    assert (await browser.get("/api/v1/info", headers={"X-API-Key": KEY})).status_code == 200


class Socket:
    """The browser's end of a WebSocket that it asks for."""

    def __init__(self, token: str, origin: str, path: str = "/_nicegui_ws/socket.io/") -> None:
        headers = [(b"host", b"master:9090"), (b"origin", origin.encode()), (b"cookie", f"{COOKIE}={token}".encode())]
        headers += [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
        query = b"EIO=4&transport=websocket"
        self.scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": headers,
        }
        self.scope |= {
            "scheme": "ws",
            "client": ("192.0.2.1", 1),
            "server": ("master", 9090),
            "subprotocols": [],
            "root_path": "",
        }
        self.answers: list[str] = []

    async def ask(self, app: ASGIApp) -> list[str]:
        """What comes back: the types of the messages."""

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.disconnect"} if self.answers else {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            self.answers.append(message["type"])

        await app(self.scope, receive, send)
        return self.answers


async def test_a_websocket_needs_a_session_and_a_page_of_ours(app: Front, browser: httpx.AsyncClient) -> None:
    assert await Socket("", BASE).ask(app) == ["websocket.close"]
    await sign_in(browser)
    token = browser.cookies[COOKIE]
    assert await Socket(token, "http://evil.example").ask(app) == ["websocket.close"]
    assert await Socket(token[:-1], BASE).ask(app) == ["websocket.close"]
    assert await Socket(token, BASE, "/api/v1/events").ask(app) == ["websocket.close"]
    assert (await Socket(token, BASE).ask(app))[0] == "websocket.accept"
