"""Bodies of requests: always JSON, whatever their Content-Type says, as v1 takes them; and read strictly.

A name given twice is an error here, not the last one's victory: half of what was asked would be lost without a word.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response

LONGEST_BODY = 1 << 20
"""Bytes of a request's body at most."""

LONGEST_NAME_SHOWN = 64


def parse_body(body: bytes) -> object:
    """Parse JSON.

    Raises:
        ValueError: it is not JSON in UTF-8, not one that Python can hold, or gives a name twice. It says so for a person.
    """
    try:
        value: object = json.loads(body.decode(), object_pairs_hook=_once_each, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    except RecursionError:
        raise ValueError("the body is nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    return value


def _once_each(members: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its members.

    Raises:
        ValueError: a name occurs twice.
    """
    found: dict[str, object] = {}
    for name, value in members:
        if name in found:
            raise ValueError(f"the body gives {name[:LONGEST_NAME_SHOWN]!a} more than once")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the body is not JSON: it has no {name}")


class JsonRequest(Request):
    """A request whose body is JSON, and not too large."""

    async def body(self) -> bytes:
        """Read the body, as long as it is not too large."""
        if not hasattr(self, "_body"):
            too_large = HTTPException(413, f"the body is too large: expected {LONGEST_BODY} bytes at most")
            length = self.headers.get("content-length", "")
            if length.isdecimal() and int(length) > LONGEST_BODY:
                raise too_large
            body = bytearray()
            async for chunk in self.stream():
                body += chunk
                if len(body) > LONGEST_BODY:
                    raise too_large
            self._body = bytes(body)
        return self._body

    async def json(self) -> Any:
        """Parse the body; what is wrong with it becomes the answer."""
        try:
            return parse_body(await self.body())
        except ValueError as error:
            raise HTTPException(400, str(error)) from None


class JsonRoute(APIRoute):
    """A route that takes its body for JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
            headers.append((b"content-type", b"application/json"))
            return await handle(JsonRequest({**request.scope, "headers": headers}, request.receive))

        return handle_json
