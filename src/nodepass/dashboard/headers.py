"""What answers tell the browser: what the page may load and do, and who may frame it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import Message, Send

COMMON: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with that, browsers send `Origin: null`, and our form cannot be told from that of a stranger.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""What every answer says."""

NO_FRAMES: Final = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
"""The part of every content policy that says who may frame a page, and where its forms go."""


def send_with(send: Send, content_policy: str) -> Send:
    """Add the headers to an answer."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in COMMON.items():
                headers[name] = value
            headers["Content-Security-Policy"] = content_policy
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_on
