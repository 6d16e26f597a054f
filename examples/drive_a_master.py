"""A master, and its REST API used from a program: add a tunnel, see it run, take it away."""

from __future__ import annotations

import asyncio
import json
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import nodepass

API = "http://127.0.0.1:9090/api/v1"


def ask(key: str, method: str, path: str, body: object = None) -> Any:
    """Send one request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(API + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or "null")


async def main() -> None:
    """Run a master for as long as it takes."""
    with tempfile.TemporaryDirectory() as folder:
        async with nodepass.Master("master://127.0.0.1:9090/api", folder=Path(folder)) as master:
            await master.ready()
            key = master.api_key.reveal()
            new = {"url": "server://KEY@127.0.0.1:10101/127.0.0.1:8080?tls=1&mode=1", "alias": "shop"}
            instance = await asyncio.to_thread(ask, key, "POST", "/instances", new)
            print(instance["alias"], instance["type"], instance["status"])
            for entry in await asyncio.to_thread(ask, key, "GET", "/instances"):
                print("listed:", entry["alias"] or "the entry with the API key")
            await asyncio.to_thread(ask, key, "DELETE", f"/instances/{instance['id']}")
            print(len(await asyncio.to_thread(ask, key, "GET", "/instances")), "entry is left")


if __name__ == "__main__":
    asyncio.run(main())
