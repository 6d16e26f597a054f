"""The command line, and which rows it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.arguments import parse_arguments
from bench.contenders import V1, Frp, Rathole
from bench.model import Cast
from bench.ports import PortMaker
from bench.rows import QUICK, all_rows, chosen


def test_nothing_asks_for_everything() -> None:
    options = parse_arguments([])
    assert options.peers == ()
    assert options.only == ()
    assert options.runs is None
    assert not options.quick
    assert not options.names_only
    assert (options.json, options.plot, options.compare) == (None, None, None)


def test_every_option_is_taken(tmp_path: Path) -> None:
    programs = [tmp_path / name for name in ("one", "two")]
    for program in programs:
        program.touch()
    one, two = programs
    options = parse_arguments(
        [
            *("--peer", f"v1={one}", "--peer", f"frp={one},{two}", "--peer", f"rathole={two}"),
            *("--only", "bulk*", "--only", "udp", "--runs", "7", "--quick", "--list"),
            *("--json", "a.json", "--plot", "b.svg", "--compare", "c.json"),
        ]
    )
    assert [type(peer) for peer in options.peers] == [V1, Frp, Rathole]
    assert [peer.name for peer in options.peers] == ["v1", "frp", "rathole"]
    assert options.only == ("bulk*", "udp")
    assert options.runs == 7
    assert options.quick
    assert options.names_only
    assert (options.json, options.plot, options.compare) == (Path("a.json"), Path("b.svg"), Path("c.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peer", "other=/bin/sh"], "expected v1 or frp or rathole"),
        (["--peer", "/bin/sh"], "expected v1 or frp or rathole"),
        (["--peer", "frp=/bin/sh"], "expected frp=<frps>,<frpc>"),
        (["--peer", "v1=/bin/sh,/bin/sh"], "expected v1="),
        (["--peer", "v1=/nowhere/at/all"], "is no file"),
        (["--peer", "v1=/bin/sh", "--peer", "v1=/bin/sh"], "named twice"),
        (["--runs", "0"], "expected a whole number from 1"),
        (["--runs", "many"], "expected a whole number from 1"),
        (["--plot", "picture.pdf"], "ends with .png or .svg"),
        (["--what"], "unrecognized arguments"),
    ],
)
def test_what_is_wrong_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def names(*patterns: str, quick: bool = False) -> list[str]:
    return [row.name for row in chosen(all_rows(PortMaker()), patterns, quick=quick)]


def test_names_are_unique_and_the_quick_ones_exist() -> None:
    everything = names()
    assert len(set(everything)) == len(everything)
    assert set(names(quick=True)) == QUICK


def test_a_name_is_that_row_and_a_pattern_many() -> None:
    assert names("bulk-down-1/tcp") == ["bulk-down-1/tcp"]
    assert names("bulk-down-1/tcp*")[:2] == ["bulk-down-1/tcp", "bulk-down-1/tcp+tls"]
    assert names("udp-200/") == names("udp-200/*")
    assert names("version", "idle-2000/quic") == ["idle-2000/quic", "version"]
    assert names("nothing-of-this-name") == []


def test_a_pattern_finds_rows_beyond_the_quick_ones() -> None:
    assert names("bulk-up-8/http2", quick=True) == ["bulk-up-8/http2"]


TUNNELS = {"tcp", "tcp+tls", "quic", "websocket", "websocket+tls", "http2"}
FORWARD = {f"{name}-forward" for name in TUNNELS}
FULL = {*TUNNELS, *FORWARD, "tcp+tls2", "tcp+tls2-forward", "single"}
WITH_FILES = {"quic+tls2", "websocket+tls2", "http2+tls2"}


def setups(load: str) -> set[str]:
    """The names of the setups under which a load is measured."""
    return {name.removeprefix(f"{load}/") for name in names() if name.startswith(f"{load}/")}


@pytest.mark.parametrize("load", ["bulk-down-8", "bulk-up-1", "bulk-up-8", "one-connection", "beside-bulk"])
def test_both_flows_have_the_same_rows(load: str) -> None:
    assert setups(load) - {"single+tls"} == FULL


@pytest.mark.parametrize(
    "load", ["bulk-down-1", "requests-64", "new-connections", "first-byte", "udp-200", "udp-1400", "idle-2000"]
)
def test_every_transport_tls_mode_and_flow_has_its_main_rows(load: str) -> None:
    assert setups(load) - {"single+tls"} == {*FULL, *WITH_FILES}


def test_every_transport_grows() -> None:
    for number in (1, 10, 100, 1000, 10000):
        assert setups(f"growth-{number}") == TUNNELS


def test_a_forwarder_with_tls_has_rows_for_users_who_speak_it() -> None:
    found = {name.partition("/")[0] for name in names("single+tls") if not name.startswith("workers")}
    assert found == {
        *("downloads-1", "downloads-8", "requests-64", "one-connection", "beside-bulk", "new-connections", "first-byte")
    }


def test_several_processes_are_measured_beside_one() -> None:
    rows = [row for row in all_rows(PortMaker()) if row.cast is Cast.WORKERS]
    assert {row.name.partition("/")[0] for row in rows} == {
        *("workers-connections", "workers-requests", "workers-hellos", "workers-paced", "workers-overload")
    }
    assert all(row.name.startswith("workers-") for row in rows)
