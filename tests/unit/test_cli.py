"""What the command line says to a person who types something wrong: one line, exit code 2, and never the key."""

from __future__ import annotations

import base64
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nodepass import __version__
from nodepass.cli import main
from nodepass.config import ServerConfig, parse_url

KEY = "sesame"
URL = f"server://{KEY}@127.0.0.1:10101/127.0.0.1:8080"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["servr://host:1/:2"], "mode=servr: expected server://, client:// or master://"),
        (["server://"], "tunnel address: expected host:port"),
        (
            ["demos"],
            "expected a URL that begins with server://, client:// or master://, or a command: demo, ctl, run, check, ",
        ),
        ([KEY], "expected a URL that begins"),
        ([URL, "extra"], "expected one URL, in quotes; got 2 arguments"),
        (["extra", URL], "expected one URL, in quotes; got 2 arguments"),
        (["demo", URL], "too many arguments"),
        (["params", URL], "too many arguments"),
        (["genkey", URL], "too many arguments"),
        ([URL, "--tls", "1"], "unknown option --tls; parameters are part of the URL"),
        ([f"--{URL}"], "unknown option; parameters are part of the URL"),
        ([f"--key={KEY}"], "unknown option --key;"),
        ([f"{URL}?tls=3"], "tls=3: expected 0, 1 or 2"),
        (["server://:10101/:8080?strict=1"], "strict=1: needs a key in the URL; `nodepass genkey` prints one"),
        ([f"{URL}?tls=2&crt=/none.pem&key=/none.pem"], "crt=/none.pem"),
        (["master://"], "address: expected host:port"),
        (["master://:9090?tls=3"], "tls=3: expected 0, 1 or 2"),
        (["master://:9090?tls=2&crt=/none.pem&key=/none.pem"], "crt=/none.pem"),
        (["master://:9090?min=1"], "min=1: not a parameter of a master"),
        (["demo", "--seconds", KEY], "expected a number from 0 to 86400"),
        (["demo", "--seconds", "nan"], "expected a number from 0 to 86400"),
        (["demo", "--seconds", "-1"], "expected a number from 0 to 86400"),
        (["demo", "--seconds"], "requires an argument"),
    ],
)
def test_bad_arguments_give_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    # As a process of its own: an instance has loops and signals, and a traceback would be seen as a user sees it.
    done = subprocess.run([sys.executable, "-m", "nodepass", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("nodepass: ")
    assert said in done.stderr
    assert KEY not in done.stderr


def test_a_bad_variable_is_bad_input() -> None:
    environment = {**os.environ, "NP_REPORT_INTERVAL": "soon"}
    command = [sys.executable, "-m", "nodepass", URL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("nodepass: NP_REPORT_INTERVAL=soon: expected a duration")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_at_all_shows_the_banner() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert f"nodepass {__version__} │" in result.stderr
    assert result.stderr.endswith("`nodepass demo` shows a tunnel\n")
    widths = {len(line) for line in result.stderr.splitlines() if line[:1] in set("╭│├╰")}
    assert len(widths) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], [URL, "--help"]])
def test_help_shows_the_forms_of_a_url(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert '"server://KEY@:10101/' in result.stdout
    assert KEY not in result.output


def test_params_lists_every_parameter_and_variable_within_100_columns() -> None:
    result = CliRunner().invoke(main, ["params"])
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines() if line[:1].strip()]
    assert {"log", "tls", "dashboard", "NP_SEMAPHORE_LIMIT", "NP_RELOAD_INTERVAL"} <= set(names)
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "`" not in result.stdout


def test_genkey_prints_a_key_that_stands_in_a_url_as_it_is() -> None:
    keys = set()
    for _ in range(100):
        result = CliRunner().invoke(main, ["genkey"])
        assert result.exit_code == 0
        key = result.stdout.removesuffix("\n")
        assert result.stdout == f"{key}\n"
        assert len(base64.urlsafe_b64decode(f"{key}=")) == 32
        config = parse_url(f"server://{key}@:10101/:8080?strict=1")
        assert isinstance(config, ServerConfig)
        assert config.secret.reveal() == key
        keys.add(key)
    assert len(keys) == 100


def test_version_imports_nothing_that_it_does_not_need() -> None:
    code = "import sys; sys.argv = ['nodepass', '--version']; from nodepass.cli import main; main(standalone_mode=False)"
    report = "print(*(m for m in sys.modules if m.split('.')[0] in {'asyncio', 'ssl', 'cryptography', 'nodepass'}))"
    command = [sys.executable, "-c", f"{code}; {report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    version, imported = done.stdout.splitlines()
    assert version == f"nodepass {__version__}"
    assert set(imported.split()) == {
        "nodepass",
        "nodepass.arguments",
        "nodepass.cli",
        "nodepass.errors",
        "nodepass.version",
    }
