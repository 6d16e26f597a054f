"""The request for a WebSocket and the answer: what each side makes of the other's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Opcode
from websockets.utils import accept_key

from nodepass.errors import DialError
from nodepass.log import WARN, Log
from nodepass.transport.websocket import WebSocketAcceptor, WebSocketDialer, acceptor
from nodepass.transport.websocket.framing import ANSWER_LIMIT, REQUEST_LIMIT
from tests.unit.transport.links import Notes, Ready, attached, tcp_pair, tls_pair
from tests.unit.transport.test_link_conformance import turns
from tests.unit.transport.websocket_peer import frame

if TYPE_CHECKING:
    from nodepass.transport.base import Link
    from tests.unit.transport.links import Pair
    from tests.unit.transport.test_link_conformance import Run

KEY = base64.b64encode(bytes(16)).decode()
UPGRADE = {"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade"}
GOOD = {**UPGRADE, "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}


def request(headers: dict[str, str], path: str = "/", method: str = "GET", version: str = "1.1") -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/{version}\r\n{lines}\r\n".encode()


# The server's side.


class Serving:
    """An acceptor, and a connection to it.

    Args:
        timeout: for a request.
    """

    def __init__(self, timeout: float = 10) -> None:
        self.links: list[Link] = []
        self.acceptor = WebSocketAcceptor(self._accepted, timeout, 3600, Log(WARN))

    def _accepted(self, link: Link) -> None:
        link.write(b"ID")
        self.links.append(link)

    async def forgets_all(self) -> None:
        """Wait until nothing is left of those that were refused or went."""
        async with asyncio.timeout(10):
            while self.acceptor._upgrades:
                await turns(1)

    async def connect(self, early: bytes = b"", pair: Pair = tcp_pair) -> Notes:
        """What a client hears."""
        near, far = await pair()
        notes = attached(near)
        self.acceptor.accept(far, early)
        return notes


ID_FRAME = frame(Opcode.BINARY, b"ID", mask=False)


@pytest.mark.parametrize("pieces", ["early", "whole", "bytes"])
def test_an_upgrade_is_answered_and_the_first_message_follows(run: Run, pieces: str) -> None:
    async def main() -> None:
        serving = Serving()
        wire = request(GOOD)
        notes = await serving.connect(wire if pieces == "early" else b"")
        if pieces == "whole":
            notes.link.write(wire)
        elif pieces == "bytes":
            for byte in wire:
                notes.link.write(bytes([byte]))
                await asyncio.sleep(0)
        await notes.until(lambda: notes.data.endswith(ID_FRAME))
        head = bytes(notes.data).removesuffix(ID_FRAME)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\n".encode() in head
        assert b"protocol" not in head.lower().replace(b"switching protocols", b"")
        assert b"extensions" not in head.lower()
        serving.links[0].abort()
        notes.link.abort()

    run(main())


@pytest.mark.parametrize("offered", ["nodepass-half-close", "chat, nodepass-half-close"])
def test_half_close_is_agreed_on_where_it_is_offered(run: Run, offered: str) -> None:
    async def main() -> None:
        serving = Serving()
        notes = await serving.connect(request({**GOOD, "Sec-WebSocket-Protocol": offered}))
        await notes.until(lambda: notes.data.endswith(ID_FRAME))
        assert b"\r\nSec-WebSocket-Protocol: nodepass-half-close\r\n" in notes.data
        serving.links[0].abort()
        notes.link.abort()

    run(main())


REFUSED = {
    "plain GET": (request({"Host": "x"}), 426, b"\r\nUpgrade: websocket\r\n"),
    "another protocol": (request({**GOOD, "Upgrade": "h2c"}), 426, b"\r\nUpgrade: websocket\r\n"),
    "no Connection": (request({**GOOD, "Connection": "close"}), 426, b"\r\nUpgrade: websocket\r\n"),
    "another version": (request({**GOOD, "Sec-WebSocket-Version": "8"}), 426, b"\r\nSec-WebSocket-Version: 13\r\n"),
    "no version": (request({**UPGRADE, "Sec-WebSocket-Key": KEY}), 426, b"\r\nSec-WebSocket-Version: 13\r\n"),
    "no key": (request({**UPGRADE, "Sec-WebSocket-Version": "13"}), 400, b""),
    "short key": (request({**GOOD, "Sec-WebSocket-Key": "AAAA"}), 400, b""),
    "key that is no base64": (request({**GOOD, "Sec-WebSocket-Key": "?" * 24}), 400, b""),
    "another path": (request(GOOD, "/other"), 404, b""),
    "POST": (request(GOOD, method="POST"), 405, b"\r\nAllow: GET\r\n"),
    "HTTP/1.0": (request(GOOD, version="1.0"), 505, b""),
    "body": (request({**GOOD, "Content-Length": "3"}) + b"abc", 400, b""),
    "bytes before the answer": (request(GOOD) + frame(Opcode.PING), 400, b""),
    "no HTTP": (b"\x00\x01\x02\r\n\r\n", 400, b""),
    "no HTTP at all": (bytes(range(256)) * 200, 400, b""),
    "long path": (request(GOOD, "/" * 9000), 414, b""),
    "long header": (request({**GOOD, "X": "x" * 9000}), 431, b""),
    "many headers": (request({**GOOD, **{f"X-{n}": "x" for n in range(200)}}), 431, b""),
    "long head": (request({**GOOD, **{f"X-{n}": "x" * 3000 for n in range(6)}}), 431, b""),
    "endless head": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"Z: " + bytes(5 * REQUEST_LIMIT), 431, b""),
}


@pytest.mark.parametrize("pair", [tcp_pair, tls_pair], ids=["ws", "wss"])
@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_is_no_upgrade_gets_an_answer_and_a_line(
    run: Run, pair: Pair, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire, status, header = REFUSED[kind]

    async def main() -> None:
        serving = Serving()
        notes = await serving.connect(pair=pair)
        notes.link.write(wire)
        await notes.until(lambda: "eof" in notes.events)
        head, _, body = bytes(notes.data).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert header in head + b"\r\n"
        assert b"\r\nConnection: close" in head
        assert 0 < len(body) < 300
        assert not serving.links
        notes.link.write_eof()
        await notes.until(lambda: "lost" in notes.events)
        await serving.forgets_all()

    run(main())
    assert len(caplog.messages) == 1
    assert "WebSocket request of 127.0.0.1:" in caplog.messages[0]
    assert f"refused: {status} " in caplog.messages[0]


def test_who_goes_on_talking_after_a_refusal_is_cut_off(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        serving = Serving()
        notes = await serving.connect(request({"Host": "x"}))
        await notes.until(lambda: "eof" in notes.events)
        while "lost" not in notes.events:
            notes.link.write(bytes(1000))
            await asyncio.sleep(0)
        assert notes.error is not None
        await serving.forgets_all()

    run(main())
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("said", [b"", request(GOOD)[:-1], request({"Host": "x"})])
def test_a_request_has_its_time(run: Run, said: bytes) -> None:
    async def main() -> None:
        serving = Serving(timeout=0.05)
        notes = await serving.connect(said)
        assert serving.acceptor._upgrades
        await serving.forgets_all()
        notes.link.abort()

    run(main())


def test_who_ends_before_the_request_is_whole_is_forgotten(run: Run) -> None:
    async def main() -> None:
        serving = Serving()
        notes = await serving.connect(request(GOOD)[:-1])
        notes.link.write_eof()
        await notes.until(lambda: "lost" in notes.events)
        await serving.forgets_all()

    run(main())


def test_requests_are_limited_in_number(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "MOST_UPGRADES", 2)

    async def main() -> None:
        serving = Serving()
        longest = await serving.connect()
        waiting = [await serving.connect() for _ in range(2)]
        await longest.until(lambda: "lost" in longest.events)
        waiting[0].link.write(request(GOOD))
        await waiting[0].until(lambda: waiting[0].data.endswith(ID_FRAME))
        served = await serving.connect(request(GOOD))
        await served.until(lambda: served.data.endswith(ID_FRAME))
        serving.acceptor.close()
        await waiting[1].until(lambda: "lost" in waiting[1].events)
        for link in serving.links:
            link.abort()
        for notes in (waiting[0], served):
            assert notes.events == []
            notes.link.abort()

    run(main())
    assert len(caplog.messages) == 1


# The client's side.


class Dialling:
    """A dialer with one connection to a server made by hand."""

    def __init__(self, timeout: float = 10, host: str = "server.example") -> None:
        self._timeout = timeout
        self._host = host
        self.links: list[Link] = []
        self.errors: list[Exception] = []
        self.done = asyncio.Event()

    async def open(self) -> Notes:
        """What the server hears, once it has heard the request."""
        near, far = await tcp_pair()
        dialer = WebSocketDialer(Ready(near), self._host, self._timeout, 3600, Log(WARN))
        self.cancel = dialer.open(self._opened, self._failed)
        notes = attached(far)
        await notes.until(lambda: notes.data.endswith(b"\r\n\r\n"))
        return notes

    def _opened(self, link: Link) -> None:
        self.links.append(link)
        self.done.set()

    def _failed(self, error: Exception) -> None:
        self.errors.append(error)
        self.done.set()


def answered(asked: Notes, *, key: str = "", more: str = "") -> bytes:
    """The answer of a server that agrees."""
    head = dict(line.split(": ") for line in bytes(asked.data).decode().split("\r\n")[1:] if line)
    accept = key or accept_key(head["Sec-WebSocket-Key"])
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"HTTP/1.1 101 Switching Protocols\r\n{upgrade}Sec-WebSocket-Accept: {accept}\r\n{more}\r\n".encode()


@pytest.mark.parametrize(("host", "named"), [("server.example", "server.example"), ("::1", "[::1]"), ("10.0.0.1",) * 2])
def test_the_request(run: Run, host: str, named: str) -> None:
    async def main() -> None:
        dialling = Dialling(host=host)
        notes = await dialling.open()
        lines = bytes(notes.data).decode().split("\r\n")
        assert lines[0] == "GET / HTTP/1.1"
        assert f"Host: {named}" in lines
        assert {"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"} < set(lines)
        assert "Sec-WebSocket-Protocol: nodepass-half-close" in lines
        assert "extensions" not in bytes(notes.data).decode().lower()
        dialling.cancel()
        await notes.until(lambda: "lost" in notes.events)
        assert (dialling.links, dialling.errors) == ([], [])

    run(main())


@pytest.mark.parametrize("pieces", [1, 7, 10_000])
def test_an_answer_with_the_first_message_behind_it(run: Run, pieces: int) -> None:
    async def main() -> None:
        dialling = Dialling()
        notes = await dialling.open()
        wire = answered(notes) + ID_FRAME + ID_FRAME
        for start in range(0, len(wire), pieces):
            notes.link.write(wire[start : start + pieces])
            await asyncio.sleep(0)
        await dialling.done.wait()
        (link,) = dialling.links
        link.coalesce = False
        heard = attached(link)
        await heard.until(lambda: heard.data == b"IDID")
        assert heard.chunks == [2, 2]
        assert dialling.errors == []
        link.abort()
        notes.link.abort()

    run(main())


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


FAILURES = {
    "proxy": (reply("502 Bad Gateway", b"<html>"), "502 Bad Gateway from the server or a proxy in front of it"),
    "no reason": (reply("503 "), "503 Service Unavailable from the server or a proxy"),
    "unknown status": (reply("599 \x1b[31mred"), "not right"),
    "another server": (reply("200 OK", b"hello"), "200 OK from the server or a proxy"),
    "without length": (b"HTTP/1.1 404 Not Found\r\n\r\nsome text", "404 Not Found from the server or a proxy"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "not right"),
    "nothing": (b"", "closed the connection without an answer"),
    "half an answer": (b"HTTP/1.1 101 Switch", "closed the connection without an answer"),
    "endless": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(ANSWER_LIMIT), "over 65536 bytes"),
    "too large for the library": (reply("200 OK", b"", "Content-Length: 9999999"), "not right"),
}


@pytest.mark.parametrize("kind", list(FAILURES))
def test_answers_that_are_none(run: Run, kind: str) -> None:
    wire, text = FAILURES[kind]

    async def main() -> None:
        dialling = Dialling()
        notes = await dialling.open()
        notes.link.write(wire)
        notes.link.write_eof()
        await dialling.done.wait()
        await notes.until(lambda: "lost" in notes.events)
        (error,) = dialling.errors
        assert isinstance(error, DialError)
        assert text in str(error)
        assert str(error).isprintable()
        assert dialling.links == []

    run(main())


BAD_AGREEMENTS = {
    "another key": (base64.b64encode(hashlib.sha1(b"x", usedforsecurity=False).digest()).decode(), ""),
    "another subprotocol": ("", "Sec-WebSocket-Protocol: chat\r\n"),
    "compression": ("", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
}


@pytest.mark.parametrize("kind", list(BAD_AGREEMENTS))
def test_agreements_to_something_else(run: Run, kind: str) -> None:
    key, more = BAD_AGREEMENTS[kind]

    async def main() -> None:
        dialling = Dialling()
        notes = await dialling.open()
        notes.link.write(answered(notes, key=key, more=more))
        await dialling.done.wait()
        (error,) = dialling.errors
        assert "not right" in str(error)
        await notes.until(lambda: "lost" in notes.events)

    run(main())


def test_an_answer_has_its_time(run: Run) -> None:
    async def main() -> None:
        dialling = Dialling(timeout=0.02)
        notes = await dialling.open()
        await dialling.done.wait()
        assert "not answered in time" in str(dialling.errors[0])
        await notes.until(lambda: "lost" in notes.events)

    run(main())


def test_a_connection_that_breaks_before_the_answer(run: Run) -> None:
    async def main() -> None:
        dialling = Dialling()
        notes = await dialling.open()
        notes.link.abort()
        await dialling.done.wait()
        assert len(dialling.errors) == 1
        assert dialling.links == []

    run(main())


def test_rules_broken_right_behind_the_answer(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        dialling = Dialling()
        notes = await dialling.open()
        notes.link.write(answered(notes) + ID_FRAME + frame(Opcode.BINARY, b"masked"))
        await dialling.done.wait()
        heard = attached(dialling.links[0])
        await heard.until(lambda: "lost" in heard.events)
        assert heard.data == b"ID"
        assert heard.error is not None
        await notes.until(lambda: "lost" in notes.events)

    run(main())
    assert len(caplog.messages) == 1
