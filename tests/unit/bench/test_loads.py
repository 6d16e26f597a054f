"""What loads read from others' reports, and what they count themselves."""

from __future__ import annotations

import json

import pytest

from bench.loads.bulk import received
from bench.loads.datagrams import loss
from bench.loads.handshakes import source
from bench.loads.wrk import parse_wrk
from bench.model import BenchError

WRK = """Running 2s test @ http://127.0.0.1:8080/small
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.71ms  560.30us  11.08ms   90.67%
    Req/Sec    38.10k     2.70k   41.93k    76.19%
  Latency Distribution
     50%  612.00us
     75%    1.82ms
     90%    2.06ms
     99%    1.20s
  79580 requests in 2.10s, 18.44MB read
Requests/sec:  37896.12
Transfer/sec:      8.78MB
"""


def test_a_report_of_wrk_is_read() -> None:
    report = parse_wrk(WRK)
    assert report.requests == 79580
    assert report.per_second == pytest.approx(79580 / 2.1)
    assert report.size == pytest.approx(18.44 * (1 << 20))
    assert report.p50 == pytest.approx(0.612)
    assert report.p99 == pytest.approx(1200)
    assert report.notes == ()


def test_errors_of_wrk_are_noted() -> None:
    report = parse_wrk(WRK + "  Socket errors: connect 0, read 3, write 0, timeout 1\n")
    assert report.notes == ("socket errors: connect 0, read 3, write 0, timeout 1",)


@pytest.mark.parametrize(
    "text",
    [
        "unable to connect to 127.0.0.1",
        WRK.replace("79580 requests", "0 requests"),
        WRK + "  Non-2xx or 3xx responses: 5\n",
    ],
)
def test_what_is_no_measurement_is_refused(text: str) -> None:
    with pytest.raises(BenchError):
        parse_wrk(text)


def test_a_report_of_iperf3_is_read() -> None:
    report = {"end": {"sum_sent": {"bytes": 9, "seconds": 1}, "sum_received": {"bytes": 1234, "seconds": 2.5}}}
    assert received(json.dumps(report)) == (1234, 2.5)


@pytest.mark.parametrize("report", ["", "{}", '{"error": "unable to connect", "end": {}}'])
def test_an_error_of_iperf3_is_refused(report: str) -> None:
    with pytest.raises(BenchError, match="iperf3"):
        received(report)


def test_loss_is_what_did_not_arrive() -> None:
    assert loss(200, 150) == 25
    assert loss(200, 0) == 100
    # Joined datagrams may make a fraction more of it.
    assert loss(200, 200.5) == 0
    assert loss(0, 0) == 0


def test_handshakes_come_from_many_addresses() -> None:
    assert source(0) == "127.1.0.0"
    assert source(257) == "127.1.1.1"
    assert len({source(number) for number in range(5000)}) == 5000
