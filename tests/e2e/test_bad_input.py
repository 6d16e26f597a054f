"""Bad input: exit code 2, one line on standard error, no traceback; and the key is never shown, whatever happens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import Authority, NodePass, Process, Runner, free_port
from tests.harness.process import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "hunter2-is-secret"

BAD_URLS = [
    "server://",
    "bridge://k@:1/:2",
    f"server://{SECRET}@127.0.0.1/:8080",
    f"server://{SECRET}@127.0.0.1:99999/:8080",
    f"server://{SECRET}@127.0.0.1:10101",
    f"server://{SECRET}@127.0.0.1:10101/",
    f"server://{SECRET}@127.0.0.1:10101/127.0.0.1:10101",
    f"server://{SECRET}@:10101/:8080?tls=3",
    f"server://{SECRET}@:10101/:8080?tls=2",
    f"server://{SECRET}@:10101/:8080?tls=2&crt=/nonexistent.crt&key=/nonexistent.key",
    f"server://{SECRET}@:10101/:8080?nonsense=1",
    f"server://{SECRET}@:10101/:8080?log=info&log=debug",
    f"server://{SECRET}@:10101/:8080?log=loud",
    f"server://{SECRET}@:10101/:8080?min=4",
    f"server://{SECRET}@:10101/:8080?max=0",
    f"server://{SECRET}@:10101/:8080?rate=-1",
    f"server://{SECRET}@:10101/:8080?slot=many",
    f"server://{SECRET}@:10101/:8080?proxy=3",
    f"server://{SECRET}@:10101/:8080?read=5",
    f"server://{SECRET}@:10101/:8080?dns=-1s",
    f"server://{SECRET}@:10101/:8080?dial=localhost",
    f"server://{SECRET}@:10101/:8080?notcp=yes",
    f"server://{SECRET}@:10101/:8080?lbs=9",
    f"server://{SECRET}@:10101/:8080?block=4",
    f"server://{SECRET}@:10101/:8080?allow=10.0.0.0/99",
    f"server://{SECRET}@:10101/:8080?proxyin=everyone",
    f"server://{SECRET}@:10101/:8080?mode=7",
    f"client://{SECRET}@:10101/:8080?sni=a%20b",
    f"client://{SECRET}@:10101/:8080?min=0",
    "master://127.0.0.1:10101/api?tls=5",
]


@pytest.fixture
def nodepass(request: pytest.FixtureRequest) -> Iterator[NodePass]:
    with NodePass(request.param) as process:
        yield process


def assert_refused(process: Process) -> str:
    """It ends with 2 and one line on standard error; gives the line."""
    assert process.wait() == 2
    assert process.stdout == []
    assert len(process.stderr) == 1
    assert "Traceback" not in process.stderr[0]
    assert SECRET not in process.stderr[0]
    return process.stderr[0]


@pytest.mark.parametrize("nodepass", BAD_URLS, indirect=True)
def test_bad_url(nodepass: NodePass) -> None:
    assert assert_refused(nodepass).startswith("nodepass: ")


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("tls=3", "nodepass: tls=3: expected 0, 1 or 2"),
        ("mode=7", "nodepass: mode=7: expected 0, 1 or 2"),
    ],
)
def test_line_names_parameter_value_and_what_would_be_right(query: str, line: str) -> None:
    with NodePass(f"server://k@127.0.0.1:10101/127.0.0.1:8080?{query}") as process:
        assert assert_refused(process) == line


@pytest.mark.parametrize("which", ["mismatch", "no certificate", "no key", "encrypted"])
@pytest.mark.parametrize("scheme", ["server", "client"])
def test_bad_certificate_files(tmp_path: Path, scheme: str, which: str) -> None:
    authority = Authority(tmp_path)
    crt, key = authority.issue("one", "localhost")
    other, _ = authority.issue("two", "localhost")
    if which == "mismatch":
        crt = other
    elif which == "no certificate":
        crt.write_bytes(b"\xff\xfe nothing")
    elif which == "no key":
        key.write_text("nothing")
    else:
        key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
    url = f"{scheme}://{SECRET}@127.0.0.1:{free_port()}/127.0.0.1:{free_port()}?tls=2&crt={crt}&key={key}&mode=1"
    with NodePass(url) as process:
        line = assert_refused(process)
        assert line.startswith(("nodepass: crt=", "nodepass: key="))


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["server://k@:1/:2", "more"], ["params", "more"]])
def test_bad_arguments(arguments: list[str]) -> None:
    with Process([sys.executable, "-m", "nodepass", *arguments], env={"PYTHONPATH": str(SOURCE)}) as process:
        assert process.wait() == 2
        assert process.stdout == []
        assert process.stderr
        assert not process.matches("Traceback")


@pytest.mark.parametrize("name", ["NP_REPORT_INTERVAL", "NP_SEMAPHORE_LIMIT", "NP_MIN_POOL_INTERVAL"])
@pytest.mark.parametrize("value", ["soon", "-5", "", "1e3"])
def test_bad_environment(name: str, value: str) -> None:
    with NodePass(f"server://{SECRET}@127.0.0.1:10101/127.0.0.1:8080", env={name: value}) as process:
        assert assert_refused(process).startswith(f"nodepass: {name}")


@pytest.mark.parametrize("level", ["debug", "info"])
def test_key_is_shown_nowhere(np: Runner, level: str) -> None:
    """Each with a command line of its own, which a fork has not."""
    encoded = SECRET.replace("-", "%2D")
    port, users = free_port(), free_port()
    server = np.run(f"server://{SECRET}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&log={level}", forked=False).listening()
    client = np.run(f"client://{encoded}@127.0.0.1:{port}/127.0.0.1:9?mode=2&log={level}", forked=False).ready()
    stranger = np.run(f"client://wrong-{SECRET}@127.0.0.1:{port}/127.0.0.1:9?mode=2&log={level}", forked=False)
    stranger.wait_for("Client error")
    for process in (server, client, stranger):
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/comm").read_bytes()
        assert SECRET.encode() not in shown
        assert encoded.encode() not in shown
        assert b"nodepass" in shown
        process.stop()
        assert not process.matches(f"{SECRET}|{encoded}")
