"""Info, tcping and metrics."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nodepass import __version__
from nodepass.config import parse_endpoint
from nodepass.errors import DialError
from nodepass.log import INFO, NONE, Log
from nodepass.master import system, tcping
from nodepass.master.api.schema import InfoAnswer
from nodepass.master.model import Figures, Status
from nodepass.master.tcping import Tcping
from nodepass.net.dns import Resolver
from nodepass.net.tasks import Tasks
from tests.unit.master.api.test_instances import error_of

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.unit.master.api.fake import FakeCore

MEMBERS = [
    *("mid", "alias", "os", "arch", "cpu", "mem_total", "mem_used", "swap_total", "swap_used", "netrx", "nettx"),
    *("diskr", "diskw", "sysup", "ver", "name", "uptime", "log", "tls", "crt", "key"),
]


async def test_info_has_every_member(api: httpx.AsyncClient) -> None:
    info = (await api.get("/info")).json()
    assert list(info) == MEMBERS == list(InfoAnswer.model_fields)
    InfoAnswer.model_validate(info)
    assert info["mid"] == "0011223344556677"
    assert info["ver"] == __version__
    assert (info["log"], info["tls"], info["crt"], info["key"]) == ("none", "0", "", "")
    assert all(isinstance(info[name], int) for name in MEMBERS[4:14])
    assert info["os"] == info["os"].lower()
    assert 0 < info["mem_used"] < info["mem_total"]
    assert info["sysup"] >= info["uptime"] >= 0


@pytest.mark.parametrize("body", ["{}", '{"alias": 5}', '{"alias": null}', '{"alias": "%s"}' % ("x" * 257)])
async def test_a_wrong_alias_is_refused(api: httpx.AsyncClient, core: FakeCore, body: str) -> None:
    assert error_of(await api.post("/info", content=body), 400).startswith("alias: ")
    assert core.master.alias == ""


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        *[(name, True) for name in ("eth0", "ens3", "wlan0", "wg0", "lowpan0", "venet0")],
        *[(name, False) for name in ("lo", "lo0", "docker0", "veth12ab", "br-0a1b", "virbr0", "cni0")],
    ],
)
def test_loopback_and_virtual_bridges_do_not_count(name: str, counts: bool) -> None:
    assert system.counts_as_network(name) is counts


def test_partitions_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in /sys/block: partitions are not there, and what has no hardware of its own has no `device`.
    (tmp_path / "sda" / "device").mkdir(parents=True)
    (tmp_path / "cciss!c0d0" / "device").mkdir(parents=True)
    (tmp_path / "dm-0").mkdir()
    monkeypatch.setattr(system, "_BLOCK_DEVICES", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    counted = [name for name in ("sda", "sda1", "cciss/c0d0", "dm-0", "loop0") if system.counts_as_disk(name)]
    assert counted == ["sda", "cciss/c0d0"]


async def test_samples_are_taken_beside_the_requests_whatever_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken = asyncio.Event()
    loop = asyncio.get_running_loop()
    machine = system.System()

    troubles = [OSError(errno.EMFILE, "Too many open files")] * 2

    def sample(cpu: int) -> system.Sample:
        if troubles:
            raise troubles.pop()
        loop.call_soon_threadsafe(taken.set)
        return system.Sample(cpu=cpu, mem_total=7)

    monkeypatch.setattr(system, "SAMPLE_INTERVAL", 0)
    monkeypatch.setattr(system, "take_sample", sample)
    sampling = asyncio.ensure_future(machine.keep_sampling(Log(INFO, logging.getLogger("nodepass.test"))))
    async with asyncio.timeout(15):
        while machine.sample.mem_total != 7:
            taken.clear()
            await taken.wait()
    sampling.cancel()
    assert caplog.messages[0] == "Cannot read the machine's figures for now: Too many open files"


async def test_tcping(api: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        result = (await api.get("/tcping", params={"target": target})).json()
        assert result == {"target": target, "connected": True, "latency": result["latency"], "error": None}
        assert isinstance(result["latency"], int)
    result = (await api.get("/tcping", params={"target": target})).json()
    assert result["connected"] is False
    assert result["latency"] == 0
    assert result["error"] == f"cannot connect to {target}: Connection refused"


async def test_tcping_of_a_name_that_is_none(api: httpx.AsyncClient) -> None:
    result = (await api.get("/tcping?target=nothing.invalid:80")).json()
    assert (result["connected"], result["target"]) == (False, "nothing.invalid:80")
    assert result["error"].startswith("cannot resolve nothing.invalid: ")


@pytest.mark.parametrize(
    "query", ["", "?target=", "?target=host", "?target=:80", "?target=h:0", "?target=h:99999", f"?target={'x' * 400}:1"]
)
async def test_tcping_of_no_target_is_refused(api: httpx.AsyncClient, query: str) -> None:
    assert error_of(await api.get(f"/tcping{query}"), 400).startswith("target: ")


class Stuck(Resolver):
    """Finds no address until it may."""

    def __init__(self) -> None:
        log = Log(NONE)
        super().__init__(0, log, Tasks(log))
        self.asked = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()

    async def resolve(self, host: str, patience: float = 0) -> tuple[str, ...]:
        self.asked.release()
        await self.go_on.wait()
        message = "no such name"
        raise DialError(message)


async def test_only_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcping, "PLACE_TIMEOUT", 0.01)
    resolver = Stuck()
    tries = Tcping(resolver, Log(NONE))
    target = parse_endpoint("h:1")
    first = [asyncio.ensure_future(tries.ping(target)) for _ in range(tcping.AT_ONCE)]
    for _ in first:
        await resolver.asked.acquire()
    one_more = await tries.ping(target)
    assert one_more == tcping.Result(connected=False, error="too many requests")
    assert resolver.asked.locked()
    resolver.go_on.set()
    assert {result.error for result in await asyncio.gather(*first)} == {"no such name"}
    assert (await tries.ping(target)).error == "no such name"


async def test_a_target_that_does_not_answer() -> None:
    log = Log(NONE)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        # Two connections fill the queue of a listener that does not accept: the third hears nothing.
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        result = await Tcping(Resolver(0, log, Tasks(log)), log, 0.2).ping(parse_endpoint(f"127.0.0.1:{port}"))
        for filler in fillers:
            filler.close()
    assert result.error == f"cannot connect to 127.0.0.1:{port}: no answer in time"


async def test_metrics_parse_and_add_up(api: httpx.AsyncClient, core: FakeCore) -> None:
    first = core.get("00000001")
    figures = Figures(1, 20, 64, 2, 3, 2**53 + 1, 10, 11, 12)
    core.instances[first.id] = replace(first, alias='a "quoted\\\nname', figures=figures, status=Status.ERROR)
    answer = await api.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["nodepass_info", ("version", __version__)] == 1
    counts = [found["nodepass_instances", ("status", status)] for status in ("running", "stopped", "error")]
    assert counts == [1, 0, 1]
    labels = (("alias", 'a "quoted\\\nname'), ("id", "00000001"), ("type", "server"))
    assert found["nodepass_instance_ping_seconds", *labels] == 0.02
    assert found["nodepass_instance_pool_connections", *labels] == 64
    assert found["nodepass_instance_tcp_received_bytes_total", *labels] == 2**53
    assert found["nodepass_instance_udp_sent_bytes_total", *labels] == 12
    assert "process_resident_memory_bytes" in answer.text
    assert first.url not in answer.text
