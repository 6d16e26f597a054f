"""Hostile input on a master's port, for its API and its dashboard: who has the key is served all along."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import pytest

from tests.adversity import strangers
from tests.adversity.strangers import PATIENCE, STRANGER, Door
from tests.adversity.table import is_long
from tests.adversity.test_hostile import MANY, MEGABYTE, Watch
from tests.harness import TIMEOUT, Master, connect, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOMBS: Final = {
    "nested": b"[" * 900_000,
    "objects": b'{"a":' * 200_000,
    "number": b'{"url":' + b"9" * 900_000 + b"}",
    "huge": b'{"url":"' + b"a" * (100 * MEGABYTE) + b'"}',
    "not text": b"\xff\xfe" * 1000,
}
NOBODY: Final = ("00000000", "../../etc", "%00", "a" * 5000, "********")


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("tls", [0, 1] if is_long() else [0])
def test_strangers_at_the_masters_api(tmp_path: Path, tls: int) -> None:
    with Master(tmp_path, f"tls={tls}") as master:
        master.ready()
        watch, before = Watch(master), master.rss()
        door = Door(master.port, () if tls else None, many=MANY)
        for attack in strangers.PLAIN:
            attack(door)
            assert master.call("GET", "/instances").status == 200
        for name, bomb in BOMBS.items():
            head = (
                f"POST /api/v1/instances HTTP/1.1\r\nHost: x\r\nX-API-Key: {master.key}\r\nContent-Length: {len(bomb)}\r\n"
            )
            taken = door.say(head.encode() + b"Content-Type: application/json\r\n\r\n", bomb)
            print(name, taken, master.rss() - before, master.peak() - before)
            assert master.call("GET", "/info").status == 200
        for identity in NOBODY:
            assert master.call("DELETE", f"/instances/{identity}").status in (400, 403, 404, 405)
            assert master.call("PATCH", f"/instances/{identity}", {"action": "explode"}).status in (400, 403, 404, 405, 422)
        assert json.loads(master.call("GET", "/instances").text)
        watch.assert_unmoved()
        assert not master.matches("Traceback")


REPEATED: Final = 1000 if is_long() else 40
SOCKET: Final = "/_nicegui_ws/socket.io/?EIO=4&transport="
PATHS: Final = ("/", "/sign-in", "/sign-out", "/_nicegui/3.0.0/static/vue.js", "/_nodepass/session", SOCKET + "polling")
ORIGINS: Final = ("http://[", "http://evil.example", "null", "//", "http://[::1", "\xff", "http://x:" + "9" * 5000)
COOKIES: Final = ('a="' + '\\"' * 20_000, "nodepass=" + "a" * 30_000, ";=" * 10_000)
EVENTS: Final = 200
"""With 40 tags each: more than the sockets of those who do not read hold."""


def request(method: str, path: str, *headers: str, body: bytes = b"", length: int | None = None) -> bytes:
    """One, as text; `length` is what it says of its body."""
    lines = (f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body) if length is None else length}", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def nonsense(door: Door) -> None:
    """Every path with headers of a foreign page, or that are none, and with methods that it does not have."""
    for path in PATHS:
        for origin in ORIGINS:
            for method in ("POST", "GET", "DELETE", "CONNECT"):
                door.say(request(method, path, f"Origin: {origin}"), listen=False)
        for cookie in COOKIES:
            door.say(request("GET", path, f"Cookie: {cookie}"))
    door.say(*[request("POST", "/sign-in" + "?" + "a" * 50_000, "Origin: http://[")] * REPEATED)


def forms(door: Door) -> None:
    """Forms that are huge, or none, or that never come; and thousands of them that are the same."""
    for body in (b"key=" + b"a" * 5000, b"key" * 9, b"\xff" * 4000, b"&" * 4096, b"%" * 4096, bytes(MEGABYTE)):
        door.say(request("POST", "/sign-in", body=body))
        door.say(request("POST", "/sign-in", "Transfer-Encoding: chunked") + b"ffffffff\r\n" + body)
    with ExitStack() as stack:
        for _ in range(MANY):
            with suppress(OSError):
                sock = stack.enter_context(connect(door.port, source=door.source, timeout=PATIENCE))
                sock.sendall(request("POST", "/sign-in", length=9))


def handshakes(door: Door) -> None:
    """Of socket.io without a session, and messages of somebody who never shook hands."""
    for number in range(REPEATED):
        door.say(request("GET", SOCKET + "polling"))
        door.say(request("POST", f"{SOCKET}polling&sid={number}", body=b'40{"a":1}' * 100))
        door.say(request("GET", f"/_nicegui_ws/socket.io/?{'a' * number}"), listen=False)


def sockets(door: Door) -> None:
    """WebSockets of foreign pages and of nobody, and frames that say that they are longer than anything is."""
    frames = [
        struct.pack("!BBQ", 0x82, 0xFF, 1 << 63),
        b"\x89\x80abcd" * 1000,
        b"\x81\xfe\xff\xff",
        b"\x80" * 5000,
        bytes(9),
    ]
    for path in ("/", SOCKET + "websocket", "/api/v1/events", "/sign-in"):
        upgrade = strangers.UPGRADE.replace(b"GET / ", f"GET {path} ".encode())
        foreign = [upgrade.replace(b"Host: none", f"Host: x\r\nOrigin: {origin}".encode("latin-1")) for origin in ORIGINS]
        for start in (upgrade, upgrade.replace(b"Version: 13", b"Version: 0"), *foreign):
            for frame in frames:
                door.say(start, frame, bytes(70_000))
                door.say(start + frame, listen=False)
        door.say(request("GET", "/") * 5 + upgrade)


ASSAULTS: Final[tuple[Callable[[Door], None], ...]] = (strangers.random_bytes, nonsense, forms, handshakes, sockets)


def narrow(port: int, source: str, said: bytes) -> socket.socket:
    """A connection that says this, and whose other end can answer next to nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.bind((source, 0))
    sock.settimeout(TIMEOUT)
    sock.connect(("127.0.0.1", port))
    sock.sendall(said)
    return sock


class Browser:
    """Somebody who is signed in.

    Args:
        master: where.
    """

    def __init__(self, master: Master) -> None:
        self._master = master
        status, cookie = self._ask("POST", "/sign-in", urlencode({"key": master.key}))
        assert status == 303
        self._cookie = cookie.partition(";")[0]
        assert self.sees_the_page()

    def sees_the_page(self) -> bool:
        """Whether it is served; not only the form."""
        return self._ask("GET", "/", headers={"Cookie": self._cookie})[0] == self._ask_session() - 4 == 200

    def _ask_session(self) -> int:
        return self._ask("GET", "/_nodepass/session", headers={"Cookie": self._cookie})[0]

    def _ask(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = self._master.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Set-Cookie", "")
        finally:
            connection.close()


@pytest.mark.usefixtures("many_files")
def test_strangers_at_the_dashboard(tmp_path: Path) -> None:
    with Master(tmp_path) as master, ExitStack() as stack:
        browser = Browser(master.ready())
        made = master.create(f"client://k@127.0.0.1:{free_port()}/127.0.0.1:9?mode=1")
        assert master.call("PATCH", f"/instances/{made['id']}", {"action": "stop"}).status == 200
        events = stack.enter_context(master.events())
        watch = Watch(master)
        asset = request("GET", "/api/v1/docs/swagger-ui-bundle.js")
        for _ in range(REPEATED):
            stack.enter_context(narrow(master.port, STRANGER, asset * 2))
        for _ in range(20):
            stack.enter_context(
                narrow(master.port, "127.0.0.1", request("GET", "/api/v1/events", f"X-API-Key: {master.key}"))
            )
        for source in (STRANGER, "127.0.0.1"):
            for assault in ASSAULTS:
                assault(Door(master.port, source=source, many=MANY))
                assert browser.sees_the_page()
                assert master.call("GET", "/instances").status == 200
        for number in range(EVENTS):
            tags = {"number": str(number), **{f"{n}": "y" * 256 for n in range(40)}}
            assert master.call("PATCH", f"/instances/{made['id']}", {"meta": {"tags": tags}}).status == 200
        while events.wait_for("update")["instance"]["meta"]["tags"].get("number") != str(EVENTS - 1):
            pass
        watch.assert_unmoved()
        assert not master.matches("Traceback|ERROR")
        assert not master.stderr
