"""`nodepass ctl` against a real master: what people see, what scripts read, and what happens when it fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nodepass.ctl.tables import HEADINGS
from tests.harness import Master, Process, connect, free_port
from tests.harness.process import SOURCE, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "s3cret-of-ctl"


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    with Master(tmp_path_factory.mktemp("state"), "tls=1") as process:
        yield process.ready()
        assert not process.stderr


class Ctl:
    """Runs `nodepass ctl`, told by the environment where the master is."""

    def __init__(self, master: Master) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NP_")}
        self.key = master.key
        self.env = {**environment, "PYTHONPATH": str(SOURCE), "NP_API": master.url, "NP_API_KEY": master.key}

    def run(self, *arguments: str, code: int = 0, given: str = "") -> str:
        """Run it; gives its output, or of a failure the one line on standard error."""
        done = subprocess.run(
            [sys.executable, "-m", "nodepass", "ctl", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.env,
            input=given,
            timeout=TIMEOUT,
        )
        assert done.returncode == code, done.stderr
        assert SECRET not in done.stderr
        assert self.key not in done.stderr
        if code:
            assert done.stderr.startswith("nodepass ctl: ")
            return done.stderr.removesuffix("\n")
        assert not done.stderr
        return done.stdout


@pytest.fixture
def ctl(master: Master) -> Ctl:
    return Ctl(master)


def url(port: int) -> str:
    return f"client://{SECRET}@127.0.0.1:{port}/127.0.0.1:9?mode=1"


def test_the_life_of_an_instance(ctl: Ctl, master: Master) -> None:
    port = free_port()
    made = json.loads(ctl.run("--insecure", "--json", "add", url(port), "--alias", "door \x1b[2J"))
    id_ = made["id"]
    assert SECRET in made["url"]
    listed = ctl.run("list", "--insecure")
    row = next(line for line in listed.splitlines() if line.startswith(id_))
    assert listed.splitlines()[0].split() == list(HEADINGS)
    assert row.split()[1:5] == ["door", "?[2J", "client", "running"]
    assert f"client://***@127.0.0.1:{port}/" in row
    assert SECRET not in listed
    assert "********" not in listed

    assert " stopped " in ctl.run("--insecure", "stop", id_)
    with pytest.raises(OSError, match="refused"):
        connect(port)
    assert json.loads(ctl.run("--insecure", "start", id_, "--json"))["status"] == "running"
    assert " running " in ctl.run("--insecure", "restart", id_)
    assert " 0 B " in ctl.run("--insecure", "reset", id_)
    assert [each["id"] for each in json.loads(ctl.run("--insecure", "--json", "list"))] == [id_]
    assert ctl.run("--insecure", "rm", id_) == ""
    assert json.loads(ctl.run("--insecure", "--json", "list")) == []
    assert master.call("GET", f"/instances/{id_}").status == 404


def test_a_url_from_standard_input(ctl: Ctl) -> None:
    made = json.loads(ctl.run("--insecure", "--json", "add", "-", given=url(free_port()) + "\n"))
    ctl.run("--insecure", "rm", made["id"])


def test_one_that_fails_keeps_none_of_the_others_back(ctl: Ctl) -> None:
    ids = [json.loads(ctl.run("--insecure", "--json", "add", url(free_port())))["id"] for _ in range(2)]
    said = ctl.run("--insecure", "rm", ids[0], "ffffffff", ids[1], code=1)
    assert said == "nodepass ctl: ffffffff: no instance has this ID"
    assert json.loads(ctl.run("--insecure", "--json", "list")) == []


def test_info_and_tcping(ctl: Ctl) -> None:
    assert json.loads(ctl.run("--insecure", "--json", "info"))["tls"] == "1"
    assert any(line.split() == ["tls", "1"] for line in ctl.run("--insecure", "info").splitlines())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        assert ctl.run("--insecure", "tcping", target).startswith(f"{target}: connected in ")
    assert ctl.run("--insecure", "tcping", target, code=1).endswith(f"cannot connect to {target}: Connection refused")
    assert "target: expected host:port" in ctl.run("--insecure", "tcping", "nonsense", code=1)


def test_logs_are_followed(ctl: Ctl) -> None:
    argv = [sys.executable, "-u", "-m", "nodepass", "ctl", "--insecure", "logs", "-f"]
    with Process(argv, env=ctl.env) as following:
        # No event tells that it listens: what it prints first may be of a later instance.
        ids = []
        while not following.lines:
            ids.append(json.loads(ctl.run("--insecure", "--json", "add", url(free_port()), "--alias", "me"))["id"])
        following.wait_for(r"^me: \d{4}-.*INFO")
        assert not following.matches(SECRET)
        ctl.run("--insecure", "rm", *ids)
        following.send_signal(2)
        assert following.wait() == 130
        assert not any(following.stderr)


def test_the_master_is_trusted_by_its_fingerprint(ctl: Ctl, master: Master) -> None:
    shown = master.wait_for("certificate (sha256:[0-9A-F:]{95})")[1]
    for form in (shown, shown.lower().removeprefix("sha256:").replace(":", "")):
        ctl.run("list", "--fingerprint", form)
    other = shown[:-2] + ("00" if shown[-2:] != "00" else "11")
    assert ctl.run("list", "--fingerprint", other, code=1) == (
        f"nodepass ctl: the certificate of the master is another one: {shown}"
    )
    assert "64 hex digits" in ctl.run("list", "--fingerprint", "nonsense", code=2)
    assert "for one that is self-signed, pass --fingerprint or --insecure" in ctl.run("list", code=1)


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/", "/api/v1", "/api/v1/"])
def test_any_form_of_the_prefix(ctl: Ctl, master: Master, path: str) -> None:
    assert ctl.run("--insecure", "--json", "--api", f"https://127.0.0.1:{master.port}{path}", "list") == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--key", "0" * 32, "list"), 1, "the API key is missing or wrong"),
        (("--api", "http://127.0.0.1:1", "list"), 1, "cannot reach 127.0.0.1:1: Connection refused"),
        (("--api", "http://nothing.invalid", "list"), 1, "cannot reach nothing.invalid:80: "),
        (("--api", "127.0.0.1:9090", "list"), 2, "--api: expected a URL such as https://"),
        (("--api", "https://key@127.0.0.1:9090", "list"), 2, "--api: expected a URL such as https://"),
        (("--key", "\n", "list"), 2, "--key: expected the master's key"),
        (("add", f"server://{SECRET}@:1/:2?tls=3"), 1, "tls=3: expected 0, 1 or 2"),
        (("stop", "ffffffff"), 1, "ffffffff: no instance has this ID"),
        (("stop",), 2, "Missing argument"),
        (("stop", "--force", "x"), 2, "unknown option"),
        ((f"server://{SECRET}@:1/:2",), 2, "expected a command, one of list, add, start"),
        (("list", SECRET), 2, "expected a command"),
        (("logs",), 2, "logs: expected -f"),
        (("logs", "-f", "ffffffff"), 1, "no instance has this ID"),
        ((), 2, "expected a command, one of list, add, start"),
    ],
)
def test_a_failure_is_one_line(ctl: Ctl, arguments: tuple[str, ...], code: int, said: str) -> None:
    line = ctl.run("--insecure", *arguments, code=code)
    assert "\n" not in line
    assert said in line


def test_plain_http_to_a_tls_port_says_what_to_try(ctl: Ctl, master: Master) -> None:
    said = ctl.run("--api", f"http://127.0.0.1:{master.port}", "list", code=1)
    assert "127.0.0.1" in said


def test_without_a_master_it_says_what_is_missing(ctl: Ctl) -> None:
    del ctl.env["NP_API"]
    assert "--api: missing, and so is NP_API" in ctl.run("list", code=2)
    ctl.env["NP_API"] = "http://127.0.0.1:1"
    del ctl.env["NP_API_KEY"]
    assert "--key: missing, and so is NP_API_KEY" in ctl.run("list", code=2)


def test_what_is_not_a_master_is_told(ctl: Ctl, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    argv = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), "0"]
    with Process(argv) as server:
        port = server.wait_for(r"port (\d+)")[1]
        said = ctl.run("--api", f"http://127.0.0.1:{port}", "list", code=1)
        assert said == "nodepass ctl: the answer was 404 File not found: is this a master's API?"


def test_it_starts_without_the_masters_libraries() -> None:
    libraries = {"fastapi", "starlette", "uvicorn", "pydantic", "psutil", "prometheus_client", "nodepass.tunnel"}
    code = f"import sys, nodepass.ctl.commands; print(*sorted({libraries!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_output_that_cannot_be_written_is_one_line(master: Master) -> None:
    ctl = Ctl(master)
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "nodepass", "ctl", "--insecure", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=ctl.env,
            timeout=TIMEOUT,
        )
    assert done.returncode == 1
    assert done.stderr == "nodepass ctl: cannot write: No space left on device\n"


def test_add_waits_until_it_runs(ctl: Ctl) -> None:
    made = json.loads(ctl.run("--insecure", "--json", "add", url(free_port()), "--wait", "15"))
    assert (made["status"], made["mode"]) == ("running", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = ctl.run("--insecure", "add", url(taken.getsockname()[1]), "--wait", "15", code=1)
    assert "is in error: `nodepass ctl logs -f " in said
    assert "not ready yet" in ctl.run("--insecure", "add", url(free_port()), "--wait", "0", code=1)
    for instance in json.loads(ctl.run("--insecure", "--json", "list")):
        ctl.run("--insecure", "rm", instance["id"])


def test_status_asks_a_master_too(ctl: Ctl) -> None:
    def status(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "nodepass", "status", *arguments]
        env = {**ctl.env, **variables}
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, timeout=2 * TIMEOUT)
        assert ctl.key not in done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done

    good = json.loads(ctl.run("--insecure", "--json", "add", url(free_port()), "--alias", "good", "--wait", "15"))["id"]
    done = status("--insecure")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[:3] == ["good", "client", "running"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ctl.run("--insecure", "add", url(taken.getsockname()[1]), "--alias", "bad", "--wait", "15", code=1)
        done = status("--insecure", "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["health"]) == (1, "broken")
        assert {each["name"]: each["state"] for each in told["processes"][0]["tunnels"]} == {
            "good": "running",
            "bad": "error",
        }
    assert status().returncode == 3
    assert "not trusted" in status().stderr
    assert status("--insecure", NP_API=f"https://127.0.0.1:{free_port()}/api").returncode == 3
    assert status("--api", "nonsense").returncode == 2
    assert good in ctl.run("--insecure", "list")
    for instance in json.loads(ctl.run("--insecure", "--json", "list")):
        ctl.run("--insecure", "rm", instance["id"])
