"""A port for each customer, with the networks he comes from, his rate, and how many connections he may have."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

import nodepass


@dataclass(frozen=True)
class Customer:
    """What somebody may do: networks as `allow` has them, Mbit/s, connections at a time."""

    name: str
    port: int
    networks: str
    rate: int
    connections: int


CUSTOMERS = (
    Customer("near", 8080, "127.0.0.0/8", rate=100, connections=10),
    Customer("far", 8081, "203.0.113.0/24,2001:db8::/32", rate=10, connections=2),
)


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be the target of all."""
    writer.write(b"welcome")
    writer.close()


async def visit(port: int) -> str:
    """Come from this machine; whoever is not let in finds the connection closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await reader.read()).decode() or "refused"
    except ConnectionError:
        return "refused"
    finally:
        writer.close()


async def main() -> None:
    """Open all ports, and try them."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(await asyncio.start_server(greet, "127.0.0.1", 9000))
        for customer in CUSTOMERS:
            limits = f"allow={customer.networks}&rate={customer.rate}&slot={customer.connections}"
            url = f"client://127.0.0.1:{customer.port}/127.0.0.1:9000?mode=1&noudp=1&{limits}"
            forwarder = await stack.enter_async_context(nodepass.Forwarder(url))
            await forwarder.ready()
            print(customer.name, await visit(customer.port))


if __name__ == "__main__":
    asyncio.run(main())
