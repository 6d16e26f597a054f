"""A master as a real process, and its API as front ends call it: a plain HTTP client and a reader of the event stream."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.harness.ports import free_port
from tests.harness.process import TIMEOUT, NodePass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType


class Answer(NamedTuple):
    """What the API answered."""

    status: int
    headers: http.client.HTTPMessage
    text: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)


def insecure_context() -> ssl.SSLContext:
    """Accepts any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Master(NodePass):
    """`nodepass master://…` with a state of its own.

    Args:
        folder: where its state is.
        query: parameters of its URL.
        host: where it listens.
        port: a free one, unless given.
        env: variables on top of this process's.
        prefix: a program and its arguments that run it.
    """

    READY = r"API at https?://"

    def __init__(
        self,
        folder: Path,
        query: str = "",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        self.is_tls = "tls=1" in query or "tls=2" in query
        self._host = host.strip("[]") or "127.0.0.1"
        self.key = ""
        quick = {"NP_STATE_DIR": str(folder), "NP_REPORT_INTERVAL": "500ms", "NP_SERVICE_COOLDOWN": "100ms"}
        super().__init__(f"master://{host}:{self.port}/api?{query}", env={**quick, **(env or {})}, prefix=prefix)

    def ready(self, timeout: float = TIMEOUT, *, since: int = 0) -> Self:
        """Wait until the API answers; a new master tells its key."""
        super().ready(timeout, since=since)
        if made := self.matches("API key of this new master: ([0-9a-f]{32})"):
            self.key = made[0][1]
        return self

    @property
    def url(self) -> str:
        """Of the API, without `/v1`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self.is_tls else ''}://{host}:{self.port}/api"

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """A connection to the API."""
        if not self.is_tls:
            return http.client.HTTPConnection(self._host, self.port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(self._host, self.port, timeout=TIMEOUT, context=context or insecure_context())

    def call(self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request, with the key unless other headers are given."""
        connection = self.connect()
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", content, dict(headers or {"X-API-Key": self.key}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def create(self, url: str, alias: str = "") -> dict[str, Any]:
        """Make an instance."""
        answer = self.call("POST", "/instances", {"url": url, "alias": alias})
        assert answer.status == 201, answer.text
        made: dict[str, Any] = answer.json
        return made

    def events(self, query: str = "") -> Events:
        """Begin to read the event stream; use it as a context manager."""
        return Events(self, query)


class Events:
    """The event stream, read by a thread. What has been read can be waited for.

    Args:
        master: whose.
        query: of the URL, with its question mark.
    """

    def __init__(self, master: Master, query: str = "") -> None:
        self._connection = master.connect()
        self._connection.connect()
        self._sock = self._connection.sock
        self._connection.request("GET", f"/api/v1/events{query}", headers={"X-API-Key": master.key})
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        assert self._answer.readline() == b"retry: 3000\n"
        self._read: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A thread that reads is not woken by closing what it reads.
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT)
        self._connection.close()

    def next(self) -> tuple[str, dict[str, Any]] | None:
        """The next event: its name and its data; None at the end."""
        return self._read.get(timeout=TIMEOUT)

    def wait_for(self, type_: str, **members: object) -> dict[str, Any]:
        """Wait for an event of this type, whose instance has these members."""
        end = time.monotonic() + TIMEOUT
        while True:
            # Others may come all the time.
            assert time.monotonic() < end, f"no {type_} {members}"
            event = self.next()
            assert event is not None, f"the stream ended without {type_} {members}"
            data = event[1]
            instance = data["instance"] or {}
            if data["type"] == type_ and all(instance.get(name) == value for name, value in members.items()):
                return data

    def _read_on(self) -> None:
        name = ""
        with suppress(OSError, http.client.HTTPException, ValueError):
            for line in self._answer:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    self._read.put((name, json.loads(text.removeprefix("data: "))))
        self._read.put(None)
