"""A file of tunnels: what each form comes to, and every way in which it can be wrong, told at once and without secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nodepass.config import LogFormat, MasterConfig, ServerConfig, parse_url
from nodepass.fleet.entry import Processes
from nodepass.fleet.file import LONGEST_FILE, read_file
from nodepass.fleet.problems import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nodepass.fleet.file import TunnelsFile

SECRET = "s3cret-of-the-file"


class Files:
    """Writes files of tunnels, and reads them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tunnels.toml"

    def problems(
        self, text: str, environ: Mapping[str, str] | None = None, *, offline: bool = False
    ) -> tuple[TunnelsFile | None, list[str]]:
        """What comes of it, and the problems, without the file's name."""
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o600)
        file, report = read_file(self.path, environ or {}, offline=offline)
        assert report.is_good == (file is not None)
        told = [str(problem).removeprefix(f"{self.path}: ") for problem in report.problems]
        assert not any(SECRET in each for each in told)
        return file, told

    def read(self, text: str, environ: Mapping[str, str] | None = None) -> TunnelsFile:
        """A good one."""
        file, told = self.problems(text, environ)
        assert told == []
        assert file is not None
        return file


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    ("table", "url"),
    [
        ('url = "server://k@:1/:2?tls=1"', "server://k@:1/:2?tls=1"),
        ('url = "server://:1/:2"\ntunnel_key = "a@:/?#%"\nrate = 5', "server://a%40%3A%2F%3F%23%25@:1/:2?rate=5"),
        ('role = "server"\ntunnel = ":1"\ntargets = ":2"\ntunnel_key = "k"', "server://k@:1/:2"),
        ('role = "client"\ntunnel = "h:1"\ntargets = ["a:2", "[fe80::1%eth0]:3"]', "client://h:1/a:2,[fe80::1%25eth0]:3"),
        ('role = "forwarder"\nlisten = ":1"\ntargets = "a:2"', "client://:1/a:2?mode=1"),
        ('role = "master"\nlisten = ":1"\nprefix = "/np"\ndashboard = false', "master://:1/np?dashboard=0"),
        ('url = "client://:1/a:2"\nnotcp = true\nnoudp = 0', "client://:1/a:2?notcp=1&noudp=0"),
        ('url = "client://:1/a:2"\nallow = ["10.0.0.0/8", "::/0"]', "client://:1/a:2?allow=10.0.0.0/8,::/0"),
        ('url = "client://:1/a:2"\nallow = "10.0.0.0/8"', "client://:1/a:2?allow=10.0.0.0/8"),
        ('url = "client://:1/a:2"\nblock = 13\ndns = 0\nread = "1m"', "client://:1/a:2?block=13&dns=0&read=1m"),
        ('url = "client://:1/a:2"\nlog = "warn"\nsni = "x.y"\npool = "mux"', "client://:1/a:2?log=warn&sni=x.y&pool=mux"),
    ],
)
def test_a_table_says_what_its_url_would(files: Files, table: str, url: str) -> None:
    (entry,) = files.read(f"[tunnels.web]\n{table}\n").entries.values()
    assert entry.config == parse_url(url)
    assert entry.processes is Processes.ONE


def test_defaults_count_where_neither_the_table_nor_the_url_says(files: Files) -> None:
    file = files.read(
        """
        processes = "each"
        [defaults]
        tls = 1
        min = 7
        tunnel_key = "common"
        [tunnels.a]
        url = "server://:1/:2?tls=0"
        [tunnels.b]
        url = "client://own@h:3/:4"
        min = 8
        processes = "one"
        [tunnels.c]
        role = "forwarder"
        listen = ":5"
        targets = "h:6"
        [tunnels.d]
        url = "master://:7"
        """
    )
    urls = ("server://common@:1/:2?tls=0", "client://own@h:3/:4?tls=1&min=8", "client://:5/h:6?mode=1&tls=1&min=7")
    assert [entry.config for entry in file.entries.values()] == [*map(parse_url, urls), parse_url("master://:7?tls=1")]
    assert [entry.processes.value for entry in file.entries.values()] == ["each", "one", "each", "one"]


def test_paths_are_relative_to_the_file(files: Files, tmp_path: Path) -> None:
    text = '[tunnels.m]\nrole = "master"\nlisten = ":1"\ntls = 2\ncrt = "c.pem"\nkey = "k.pem"\nstate_dir = "s"\n'
    file, told = files.problems(text, offline=True)
    assert told == []
    assert file is not None
    entry = file.entries["m"]
    assert isinstance(entry.config, MasterConfig)
    assert (entry.config.crt, entry.config.key) == (str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))
    assert entry.state_folder == tmp_path / "s"
    _, told = files.problems(text)
    assert len(told) == 1
    assert "c.pem" in told[0]


def key_of(file: TunnelsFile) -> str:
    (entry,) = file.entries.values()
    assert isinstance(entry.config, ServerConfig)
    return entry.config.secret.reveal()


def test_where_keys_come_from(files: Files, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET + "\n")
    (tmp_path / "key").chmod(0o600)
    server = '[tunnels.web]\nurl = "server://:1/:2"\n'
    assert key_of(files.read(server + f'tunnel_key = "{SECRET}"')) == SECRET
    assert key_of(files.read(server + 'tunnel_key_file = "key"')) == SECRET
    assert key_of(files.read(server + f'tunnel_key_file = "{tmp_path}/key"')) == SECRET
    assert key_of(files.read(server + 'tunnel_key_env = "WEB_KEY"', {"WEB_KEY": SECRET})) == SECRET
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert key_of(files.read(server + 'tunnel_key_credential = "key"', credentials)) == SECRET


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('tunnel_key_file = "none"', "tunnel_key_file: {folder}/none cannot be read: No such file or directory"),
        ('tunnel_key_file = "."', "tunnel_key_file: {folder} cannot be read: Is a directory"),
        ('tunnel_key_file = "empty"', "tunnel_key_file: expected a key in one line: {folder}/empty is empty"),
        ('tunnel_key_file = "pem"', "tunnel_key_file: expected a key in one line: {folder}/pem has another content"),
        ('tunnel_key_file = "fifo"', "tunnel_key_file: {folder}/fifo cannot be read: it is not a regular file"),
        ('tunnel_key_file = "large"', "tunnel_key_file: expected a text file of one line, of 4096 bytes at most"),
        ('tunnel_key_env = "WEB_KEY"', "tunnel_key_env: the variable WEB_KEY is not set"),
        (f'tunnel_key_env = "{SECRET}"', "tunnel_key_env: the variable that is named there is not set"),
        ('tunnel_key_credential = "x"', "tunnel_key_credential: CREDENTIALS_DIRECTORY is not set"),
        ("tunnel_key = 5", "tunnel_key: expected a text that is not empty"),
        (f'tunnel_key = "{SECRET}"\ntunnel_key_env = "X"', "tunnel_key_env: expected one of tunnel_key,"),
        (f'key = "{SECRET}"', "key: the private key of tls=2, which is not asked for; the key of a tunnel is tunnel_key"),
    ],
)
def test_keys_that_are_not_there(files: Files, tmp_path: Path, keys: str, told: str) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "pem").write_text("-----BEGIN\nx\n")
    (tmp_path / "large").write_text("x" * 5000)
    os.mkfifo(tmp_path / "fifo")
    file, problems = files.problems(f'[tunnels.web]\nrole = "server"\ntunnel = ":1"\ntargets = ":2"\n{keys}\n')
    assert file is None
    assert problems[0].startswith("[tunnels.web] " + told.format(folder=tmp_path))
    assert len(problems) == 1


def test_offline_asks_for_no_key(files: Files) -> None:
    text = '[tunnels.web]\nurl = "server://:1/:2?strict=1"\ntunnel_key_env = "WEB_KEY"\n'
    assert files.problems(text, offline=True)[1] == []
    assert len(files.problems(text)[1]) == 1


def test_secrets_that_others_may_read_are_warned_about(files: Files, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    key.chmod(0o644)
    file, told = files.problems('[tunnels.web]\nurl = "server://:1/:2"\ntunnel_key_file = "key"\n')
    assert file is not None
    hint = f"others may read the secret in {key} (mode 0644): chmod o-r helps"
    assert told == [f"[tunnels.web] tunnel_key_file: {hint}"]
    for holds in ('url = "server://k@:1/:2"', 'url = "server://:1/:2"\ntunnel_key = "k"'):
        files.read(f"[tunnels.web]\n{holds}\n")
        files.path.chmod(0o604)
        (problem,) = read_file(files.path, {})[1].problems
        assert problem.severity is Severity.WARNING
    files.read('[tunnels.web]\nurl = "server://:1/:2"\n')
    files.path.chmod(0o644)
    assert read_file(files.path, {})[1].problems == []


WRONG = """
procesess = "one"
processes = "two"
[tunables]
NP_REPORT_INTERVAL = 2
np_logformat = "json"
[defaults]
tls = "1"
mim = 5
[tunnels.web]
role = "server"
tunel = ":1"
targets = 8080
mode = true
allow = "10.0.0.1/8"
dns = 30
rate = 0x10000000000000000000000
sni = "x"
[tunnels.url]
url = "server://s3cret-of-the-file@:1/:2?tls=7"
tunnel_key = "z"
[tunnels.scheme]
url = "clint://:1/:2"
[tunnels.role]
role = "mastr"
[tunnels.none]
[tunnels."bad name"]
url = "server://:1/:2?tls=8"
[tunnels.master]
role = "master"
listen = ":9090"
processes = "each"
[tunnels.twice]
url = "server://:1/:2?rate=5"
rate = 6
[tunnels.port]
role = "forwarder"
listen = ":99999"
targets = ["h:1"]
[tunnels.both]
role = "forwarder"
listen = "127.0.0.1"
targets = ["h:1"]
rate = "x"
"""

TOLD = """
procesess: unknown key; did you mean processes?
processes: expected one or each
[tunables] np_logformat: unknown key; did you mean NP_LOG_FORMAT?
[tunables] NP_REPORT_INTERVAL: expected a duration over 0, such as 300ms or 5s
[defaults] mim: unknown key; did you mean min?
[defaults] tls: expected 0, 1 or 2, not a text
[tunnels.web] mode: expected 0, 1 or 2, not a boolean
[tunnels.web] dns: 30: expected a duration such as 300ms, 1m30s or 0
[tunnels.web] rate: too large: expected a whole number from 0 to 2147483647
[tunnels.web] allow: 10.0.0.1/8: expected networks such as 10.0.0.0/8,2001:db8::/32, with no bits set past the prefix
[tunnels.web] tunnel: expected an address, as in 127.0.0.1:10101 or :10101
[tunnels.web] targets: expected host:port, or an array of them, as in ["10.0.0.5:80", "10.0.0.6:80"]
[tunnels.web] sni: not a parameter of a server
[tunnels.web] tunel: unknown key; did you mean tunnel?
[tunnels.url] tunnel_key: expected one key: the URL has one
[tunnels.url] url: tls=7: expected 0, 1 or 2
[tunnels.scheme] url: mode=clint: expected server://, client:// or master://
[tunnels.role] role: expected server, client, forwarder or master
[tunnels.none] expected url, or role: server, client, forwarder or master
[tunnels.bad name] expected a name of letters, digits and . _ -, of 64 characters at most
[tunnels.bad name] url: tls=8: expected 0, 1 or 2
[tunnels.master] processes: expected none: its instances have processes of their own, whatever it says
[tunnels.twice] rate: expected once: the URL gives it as well
[tunnels.port] listen: :99999: expected a port from 1 to 65535
[tunnels.both] rate: expected a whole number from 0 to 2147483647, not a text
[tunnels.both] listen: expected host:port, with a port from 1 to 65535
"""


def test_all_that_is_wrong_is_told_at_once(files: Files) -> None:
    file, told = files.problems(WRONG)
    assert file is None
    assert told == TOLD.strip().splitlines()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected a tunnel, a table such as [tunnels.web]"),
        (b"[tunnels]\n", "expected a tunnel, a table such as [tunnels.web]"),
        (b"tunnels = 5\n", "tunnels: expected a table, [tunnels], not a number"),
        (b"[tunnels]\nweb = 5\n", "[tunnels] web: expected a table, [tunnels.web], not a number"),
        (b"[tunnels.web\n", "it is not TOML: "),
        (b"[tunnels.web]\nurl = '\xff'\n", "it is not TOML: expected UTF-8, not so at byte 22"),
        (b"x = " + b"[" * 100_000, "it is n"),
        (b"x = " + b"9" * 10_000, "expected 1048576 bytes at most"),
        (b"#" * (LONGEST_FILE + 1), "expected 1048576 bytes at most"),
    ],
)
def test_what_is_no_file_of_tunnels(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    file, report = read_file(path, {})
    assert file is None
    assert str(report.problems[0]).startswith(f"{path}: {told}")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        file, report = read_file(path, {})
        assert file is None
        assert [str(problem) for problem in report.problems] == [f"{path}: it cannot be read: {why}"]


@pytest.mark.parametrize(
    ("one", "other", "collides"),
    [
        ("client://:1/h:2?mode=1", "client://:1/h:3?mode=1", True),
        ("client://127.0.0.1:1/h:2?mode=1", "client://:1/h:3?mode=1", True),
        ("client://127.0.0.1:1/h:2?mode=1", "client://0.0.0.0:1/h:3?mode=1", True),
        ("client://127.0.0.1:1/h:2?mode=1", "client://localhost:1/h:3?mode=1", True),
        ("client://127.0.0.1:1/h:2?mode=1", "client://127.0.0.2:1/h:3?mode=1", False),
        ("client://127.0.0.1:1/h:2?mode=1", "client://[::1]:1/h:3?mode=1", False),
        ("client://:1/h:2?mode=1&noudp=1", "client://:1/h:3?mode=1&notcp=1", False),
        ("server://k@:5/:1?mode=1", "server://k@:6/:1?mode=1", True),
        ("server://k@:5/:1?mode=1", "server://k@:5/:2?mode=1", True),
        ("server://k@:5/h:1?mode=2", "server://k@:6/h:1?mode=2", False),
        ("server://k@:5/h:1?type=1&mode=2", "client://:5/h:2?mode=1&notcp=1", True),
        ("server://k@:5/h:1?mode=2", "client://:5/h:2?mode=1&notcp=1", False),
        ("master://:1", "client://:1/h:2?mode=1", True),
        ("client://k@h:1/:2?mode=2", "client://k@h:1/:3?mode=2", False),
    ],
)
def test_two_tunnels_with_one_listener(files: Files, one: str, other: str, *, collides: bool) -> None:
    text = f'[tunnels.a]\nurl = "{one}"\n[tunnels.b]\nurl = "{other}"\n'
    file, told = files.problems(text)
    assert (file is None) == collides
    assert [line.startswith("[tunnels.b] it binds ") and "tunnels.a" in line for line in told] == [True] * collides


def test_tunables_of_the_environment_stand_above_those_of_the_file(files: Files) -> None:
    text = '[tunables]\nNP_REPORT_INTERVAL = "2s"\nNP_LOG_FORMAT = "json"\nNP_SEMAPHORE_LIMIT = 9\n'
    text += '[tunnels.a]\nurl = "client://:1/h:2?mode=1"\n'
    file = files.read(text, {"NP_REPORT_INTERVAL": "3s"})
    assert (file.tunables.report_interval, file.tunables.semaphore_limit) == (3.0, 9)
    assert file.tunables.log_format is LogFormat.JSON
    assert dict(file.variables) == {"NP_LOG_FORMAT": "json", "NP_SEMAPHORE_LIMIT": "9"}
    _, told = files.problems(text, {"NP_REPORT_INTERVAL": "soon"})
    assert told == [
        "[tunables] NP_REPORT_INTERVAL=soon: expected a duration over 0, such as 300ms or 5s (in the environment)"
    ]


def test_an_entry_that_is_read_again_is_equal(files: Files) -> None:
    text = '[tunnels.a]\nurl = "server://k@:1/:2?mode=1&tls=1"\n'
    assert files.read(text).entries == files.read(f"# comment\n{text}").entries
    assert files.read(text).entries != files.read(text.replace("k@", "l@")).entries
