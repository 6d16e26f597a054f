"""The library: what an application that embeds nodepass uses, on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

import nodepass
from tests.harness import Echo, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

QUICK = nodepass.Tunables(service_cooldown=0.1, report_interval=0.5, shutdown_timeout=1)
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


def open_descriptors() -> int:
    """How many files and sockets this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine on one of the event loops; nothing may be left over in it."""

    def run_it(main: Coroutine[Any, Any, None]) -> None:
        async def watched() -> None:
            problems: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
            async with asyncio.timeout(30):
                await main
            # What has been closed is let go of within a few turns of the loop.
            for _ in range(5):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert problems == []

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(watched())

    return run_it


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it holds."""
    turn = asyncio.Event()
    while not condition():
        turn.clear()
        asyncio.get_running_loop().call_soon(turn.set)
        await turn.wait()


async def echoed(port: int, size: int = 300_000) -> None:
    """Random bytes come back from an echo behind a port."""
    data = os.urandom(size)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    assert await reader.readexactly(size) == data
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("tls", [0, 1])
def test_server_and_client_in_one_process(run: Callable[..., None], tls: int) -> None:
    async def main() -> None:
        port, users = free_port(), free_port()
        with Echo() as target:
            async with (
                nodepass.Server(
                    f"server://k@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&tls={tls}", tunables=QUICK
                ) as server,
                nodepass.Client(
                    f"client://k@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&min=2", tunables=QUICK
                ) as client,
            ):
                await server.ready()
                await client.ready()
                await server.connected()
                await client.connected()
                await echoed(users)
                for stats, mode in ((server.stats, 1), (client.stats, 2)):
                    assert isinstance(stats, nodepass.Stats)
                    assert stats.mode == mode
                    assert stats.peers == 1
                    assert stats.tcp_received == stats.tcp_sent == 300_000
                    assert stats.udp_received == stats.udp_sent == 0

    run(main())


@pytest.mark.parametrize("limits", ["", "&read=1h", "&rate=1000", "&read=1h&rate=1000"])
def test_users_leave_nothing_to_the_garbage_collector(run: Callable[..., None], limits: str) -> None:
    leave_nothing(run, limits, "")


@pytest.mark.parametrize(
    "transport", ["tls=1&pool=single", "type=1", "type=2&tls=1", "type=2&pool=single", "type=2&tls=1&pool=single", "type=3"]
)
def test_neither_do_the_connections_that_they_had(run: Callable[..., None], transport: str) -> None:
    """A TLS connection holds 160 kB: some hundred of those that nobody uses any more would be more than all the rest."""
    leave_nothing(run, "", f"&{transport}")


def leave_nothing(run: Callable[..., None], limits: str, transport: str) -> None:
    async def main() -> None:
        port, users = free_port(), free_port()
        with Echo() as target:
            server_url = f"server://k@127.0.0.1:{port}/127.0.0.1:{users}?mode=1{limits}{transport}"
            client_url = f"client://k@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&min=4{limits}"
            async with (
                nodepass.Server(server_url, tunables=QUICK) as server,
                nodepass.Client(client_url, tunables=QUICK) as client,
            ):
                await until(lambda: client.stats.pool >= 4)
                gc.collect()
                gc.disable()
                gc.set_debug(gc.DEBUG_SAVEALL)
                try:
                    for _ in range(10):
                        await echoed(users, 1000)
                    await until(lambda: not server.stats.tcp_sessions and not client.stats.tcp_sessions)
                    gc.collect()
                    left = [thing for thing in gc.garbage if type(thing).__module__.startswith("nodepass.")]
                finally:
                    gc.set_debug(0)
                    gc.garbage.clear()
                    gc.enable()
                assert left == []

    run(main())


def test_forwarder(run: Callable[..., None]) -> None:
    async def main() -> None:
        users = free_port()
        with Echo() as target:
            async with nodepass.Forwarder(
                f"client://127.0.0.1:{users}/127.0.0.1:{target.port}", tunables=QUICK
            ) as forwarder:
                await forwarder.ready()
                await forwarder.connected()
                await echoed(users)
                assert forwarder.stats.mode == 1
                assert forwarder.stats.tcp_sent == 300_000
        with pytest.raises(OSError, match=r"Connect call failed|Connection refused"):
            await asyncio.open_connection("127.0.0.1", users)

    run(main())


def test_several_chained_in_one_process(run: Callable[..., None]) -> None:
    """User, forwarder, tunnel, another tunnel, target: five instances, each with figures of its own."""

    async def main() -> None:
        ports = [free_port() for _ in range(5)]
        entrance, first, middle, second, last = (f"127.0.0.1:{port}" for port in ports)
        with Echo() as target:
            async with (
                nodepass.Forwarder(f"client://{entrance}/{middle}", tunables=QUICK) as forwarder,
                nodepass.Server(f"server://a@{first}/{middle}?mode=1&tls=1", tunables=QUICK) as server_a,
                nodepass.Server(f"server://b@{second}/{last}?mode=1", tunables=QUICK) as server_b,
            ):
                await asyncio.gather(forwarder.ready(), server_a.ready(), server_b.ready())
                async with (
                    nodepass.Client(f"client://a@{first}/{last}?mode=2&min=2", tunables=QUICK) as client_a,
                    nodepass.Client(
                        f"client://b@{second}/127.0.0.1:{target.port}?mode=2&min=2", tunables=QUICK
                    ) as client_b,
                ):
                    await asyncio.gather(client_a.connected(), client_b.connected())
                    await asyncio.gather(server_a.connected(), server_b.connected())
                    await asyncio.gather(*(echoed(ports[0], 50_000) for _ in range(10)))
                    for instance in (server_a, server_b, client_a, client_b, forwarder):
                        assert instance.stats.tcp_received == 500_000

    run(main())


def test_connected_waits_for_the_other_end(run: Callable[..., None]) -> None:
    async def main() -> None:
        port, users = free_port(), free_port()
        async with nodepass.Server(f"server://k@127.0.0.1:{port}/127.0.0.1:{users}?mode=1", tunables=QUICK) as server:
            await server.ready()
            waiting = asyncio.ensure_future(server.connected())
            await asyncio.sleep(0)
            assert not waiting.done()
            assert server.stats.peers == 0
            async with nodepass.Client(f"client://k@127.0.0.1:{port}/127.0.0.1:9?mode=2&min=1", tunables=QUICK):
                await waiting
                assert server.stats.peers == 1

    run(main())


def test_bad_input_is_an_exception_before_anything_is_bound(run: Callable[..., None], tmp_path: object) -> None:
    async def main() -> None:
        with pytest.raises(nodepass.ConfigError, match="tls=3: expected 0, 1 or 2"):
            nodepass.Server("server://k@127.0.0.1:10101/127.0.0.1:8080?tls=3")
        with pytest.raises(nodepass.ConfigError, match="server://"):
            nodepass.Server("client://k@127.0.0.1:10101/127.0.0.1:8080")
        with pytest.raises(nodepass.ConfigError, match="client://"):
            nodepass.Client("server://k@127.0.0.1:10101/127.0.0.1:8080")
        url = f"server://k@127.0.0.1:10101/127.0.0.1:8080?tls=2&crt={tmp_path}/none&key={tmp_path}/none"
        descriptors = open_descriptors()
        with pytest.raises(nodepass.ConfigError, match="crt="):
            async with nodepass.Server(url):
                pass
        assert open_descriptors() == descriptors
        assert issubclass(nodepass.ConfigError, nodepass.NodePassError)

    run(main())


def test_stats_before_it_is_started() -> None:
    forwarder = nodepass.Forwarder(f"client://127.0.0.1:{free_port()}/127.0.0.1:9")
    with pytest.raises(RuntimeError, match="started"):
        _ = forwarder.stats


def test_lines_go_to_the_logger_that_was_given(run: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("application.tunnel")
    logger.setLevel(logging.DEBUG)

    async def main() -> None:
        url = f"client://127.0.0.1:{free_port()}/127.0.0.1:9"
        async with nodepass.Forwarder(url, tunables=QUICK, logger=logger) as forwarder:
            await forwarder.ready()

    run(main())
    assert any("Forwarding" in record.message and record.name == logger.name for record in caplog.records)


def test_wait_returns_when_it_has_been_stopped(run: Callable[..., None]) -> None:
    async def main() -> None:
        forwarder = nodepass.Forwarder(f"client://127.0.0.1:{free_port()}/127.0.0.1:9", tunables=QUICK)
        await forwarder.start()
        await forwarder.ready()
        waiting = asyncio.ensure_future(forwarder.wait())
        await forwarder.stop()
        await waiting

    run(main())


def test_a_client_decides_for_itself_that_it_is_a_single_end(run: Callable[..., None]) -> None:
    async def main() -> None:
        users = free_port()
        with Echo() as target:
            url = f"client://127.0.0.1:{users}/127.0.0.1:{target.port}"
            async with nodepass.Client(url, tunables=QUICK) as client:
                await client.connected()
                await echoed(users)
                assert client.stats.mode == 1

    run(main())


UNUSABLE: dict[str, tuple[Callable[..., nodepass.Server | nodepass.Forwarder], str]] = {
    "server": (nodepass.Server, "server://k@127.0.0.1:{port}/127.0.0.1:9?mode=2"),
    "client": (nodepass.Client, "client://k@127.0.0.1:{port}/127.0.0.1:9?mode=1"),
    "forwarder": (nodepass.Forwarder, "client://127.0.0.1:{port}/127.0.0.1:9"),
}
"""Instances that cannot run while somebody else has bound their port."""


@pytest.mark.parametrize("kind", UNUSABLE)
def test_whoever_waits_hears_that_it_was_stopped(run: Callable[..., None], kind: str) -> None:
    async def main() -> None:
        make, url = UNUSABLE[kind]
        with Echo() as holder:
            instance = make(url.format(port=holder.port), tunables=QUICK)
            await instance.start()
            waiting = [asyncio.ensure_future(instance.ready()), asyncio.ensure_future(instance.connected())]
            await asyncio.sleep(0)
            await instance.stop()
            async with asyncio.timeout(5):
                for waits in (*waiting, instance.ready(), instance.connected()):
                    with pytest.raises(nodepass.TunnelError, match="the instance was stopped"):
                        await waits

    run(main())


def test_nothing_to_wait_for_before_it_is_started(run: Callable[..., None]) -> None:
    async def main() -> None:
        forwarder = nodepass.Forwarder(f"client://127.0.0.1:{free_port()}/127.0.0.1:9", tunables=QUICK)
        async with asyncio.timeout(5):
            for waits in (forwarder.ready(), forwarder.connected()):
                with pytest.raises(RuntimeError, match="has not been started: call start"):
                    await waits

    run(main())


def test_an_instance_runs_once(run: Callable[..., None]) -> None:
    async def main() -> None:
        users = free_port()
        with Echo() as target:
            forwarder = nodepass.Forwarder(f"client://127.0.0.1:{users}/127.0.0.1:{target.port}", tunables=QUICK)
            async with forwarder:
                await forwarder.ready()
                with pytest.raises(RuntimeError, match="runs once: make another"):
                    await forwarder.start()
                await echoed(users)
            with pytest.raises(RuntimeError, match="runs once: make another"):
                async with forwarder:
                    pass
            with pytest.raises(nodepass.TunnelError, match="the instance was stopped"):
                await forwarder.ready()

    run(main())


def test_a_client_that_lost_its_server_is_not_ready_until_it_has_met_it_again(
    run: Callable[..., None],
) -> None:
    async def main() -> None:
        port, users = free_port(), free_port()
        server_url = f"server://k@127.0.0.1:{port}/127.0.0.1:{users}?mode=1"
        client_url = f"client://k@127.0.0.1:{port}/127.0.0.1:9?mode=2&min=1"
        failed = asyncio.Event()

        class Told(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "Client error" in record.getMessage():
                    failed.set()

        logger = logging.getLogger("application.told")
        logger.addHandler(Told())
        async with nodepass.Server(server_url, tunables=QUICK) as server:
            await server.ready()
            client = nodepass.Client(client_url, tunables=QUICK, logger=logger)
            await client.start()
            await client.ready()
        await failed.wait()
        waiting = asyncio.ensure_future(client.ready())
        failed.clear()
        await failed.wait()
        assert not waiting.done()
        async with nodepass.Server(server_url, tunables=QUICK):
            await waiting
            await client.stop()

    run(main())


def test_masters_in_one_process(run: Callable[..., None], tmp_path: Path) -> None:
    """Two, each with a state and a log of its own, until they are stopped."""

    async def main() -> None:
        ports = [free_port(), free_port()]
        masters = [
            nodepass.Master(f"master://127.0.0.1:{port}/api?log=event", tunables=QUICK, folder=tmp_path / str(port))
            for port in ports
        ]
        with pytest.raises(nodepass.MasterError, match="when the master is ready"):
            _ = masters[0].api_key
        async with masters[0], masters[1]:
            await asyncio.gather(*(master.ready() for master in masters))
            keys = [master.api_key.reveal() for master in masters]
            for port, key, other in zip(ports, keys, reversed(keys), strict=True):
                assert (await request(port, "GET", "/info", key))[0] == 200
                assert (await request(port, "GET", "/info", other))[0] == 401
                assert (await request(port, "GET", "/info"))[0] == 401
        for master in masters:
            await master.wait()
            with pytest.raises(nodepass.MasterError, match="stopped"):
                await master.ready()
            with pytest.raises(RuntimeError, match="runs once"):
                await master.start()
        with pytest.raises(OSError, match=r"Connect call failed|Connection refused"):
            await asyncio.open_connection("127.0.0.1", ports[0])

    run(main())


async def request(port: int, method: str, path: str, key: str = "") -> tuple[int, bytes]:
    """Ask a master; gives status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


def test_a_master_is_refused_what_is_none() -> None:
    with pytest.raises(nodepass.ConfigError, match=r"mode=server: expected a URL that begins with master://"):
        nodepass.Master("server://:1/:2")
