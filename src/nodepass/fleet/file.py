"""A file of tunnels, read and checked whole: all that is wrong with it is told at once, and nothing of it runs then.

::

    processes = "one"                       # or "each": a process for each tunnel

    [tunables]                              # NP_* variables, where the environment does not have them
    NP_REPORT_INTERVAL = "10s"

    [defaults]                              # parameters of all tunnels that take them
    tls = 1

    [tunnels.web]                           # a tunnel by keys …
    role = "server"
    tunnel = ":10101"
    targets = ":8080"
    mode = 1
    tunnel_key_file = "web.key"

    [tunnels.dns]                           # … or by its URL
    url = "client://127.0.0.1:5353/10.0.0.2:53?mode=1"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from itertools import combinations
from re import compile as pattern
from typing import TYPE_CHECKING, Any, Final

from nodepass.config import TlsMode, Tunables, params, tunables
from nodepass.config.split import split_url
from nodepass.errors import ConfigError
from nodepass.fleet.entry import PROCESSES, Processes, check_names, read_entry, read_processes, texts_of
from nodepass.fleet.listeners import listeners_of
from nodepass.fleet.problems import Report, Table
from nodepass.fleet.secrets import INLINE, KEYS, Secrets, read_regular_file, warn_if_open
from nodepass.fleet.values import text_of, type_name
from nodepass.net.certificates import certificate_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nodepass.fleet.entry import Entry

LONGEST_FILE: Final = 1 << 20
"""Bytes."""

NAME: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a tunnel may be called: its name stands in log lines and in tables."""

_TABLES: Final = ("tunables", "defaults", "tunnels")


@dataclass(frozen=True, slots=True)
class TunnelsFile:
    """What a file says.

    Args:
        entries: the tunnels by name, in the file's order.
        tunables: the NP_* settings in force: those of the environment, then of the file, then the defaults.
        variables: those that the file gives and the environment does not have, as the environment would.
    """

    entries: Mapping[str, Entry]
    tunables: Tunables
    variables: Mapping[str, str]


def read_file(path: Path, environ: Mapping[str, str], *, offline: bool = False) -> tuple[TunnelsFile | None, Report]:
    """Read a file; None in place of it where there is an error.

    Args:
        path: of the file; what it names is relative to its folder.
        environ: the environment.
        offline: whether to look at nothing but the file: keys and certificates are elsewhere.
    """
    report = Report(str(path))
    report.about_to_read(path)
    folder = path.parent.absolute()
    top = Table(report, "", folder)
    secrets = Secrets(environ, offline)
    values, mode = _read_toml(path, top)
    if values is None:
        return None, report
    check_names(values, (PROCESSES, *_TABLES), top)
    tables = {name: _table(values, name, top) for name in _TABLES}
    processes = read_processes(values, top, Processes.ONE)
    variables, settings = _read_tunables(tables["tunables"], environ, Table(report, "tunables", folder))
    defaults = _read_defaults(tables["defaults"], Table(report, "defaults", folder))
    entries = {}
    for name, table in _tunnels(tables["tunnels"], top):
        entry = read_entry(name, tables["tunnels"][name], defaults, secrets, table, processes)
        if entry is not None:
            entries[name] = entry
            if not offline:
                _check_certificate(entry, table)
    _check_listeners(entries, top)
    if _holds_secret(tables["defaults"], tables["tunnels"]) and not offline:
        warn_if_open("", path, mode, top)
    if not report.is_good:
        return None, report
    return TunnelsFile(entries, settings, variables), report


def _read_toml(path: Path, top: Table) -> tuple[dict[str, Any] | None, int]:
    try:
        data, mode = read_regular_file(path, LONGEST_FILE)
        return tomllib.loads(data.decode("utf-8")), mode
    except OSError as error:
        top.wrong("", f"it cannot be read: {error.strerror}")
    except tomllib.TOMLDecodeError as error:
        top.wrong("", f"it is not TOML: {error}")
    except UnicodeDecodeError as error:
        top.wrong("", f"it is not TOML: expected UTF-8, not so at byte {error.start + 1}")
    except RecursionError:
        top.wrong("", "it is nested too deeply")
    except ValueError:
        top.wrong("", f"expected {LONGEST_FILE} bytes at most, and no number of thousands of digits")
    return None, 0


def _table(values: Mapping[str, Any], name: str, top: Table) -> dict[str, Any]:
    value = values.get(name, {})
    if isinstance(value, dict):
        return value
    top.wrong(name, f"expected a table, [{name}], not {type_name(value)}")
    return {}


def _tunnels(tunnels: Mapping[str, Any], top: Table) -> Iterator[tuple[str, Table]]:
    """The tunnels' tables. None at all is refused: what saves the file may have emptied it a moment ago."""
    if not tunnels:
        top.wrong("", "expected a tunnel, a table such as [tunnels.web]")
    for name, values in tunnels.items():
        table = Table(top.report, f"tunnels.{name}" if name.isprintable() else "tunnels", top.folder)
        if not NAME.fullmatch(name):
            table.wrong("", "expected a name of letters, digits and . _ -, of 64 characters at most")
        if isinstance(values, dict):
            yield name, table
        else:
            Table(top.report, "tunnels", top.folder).wrong(
                name, f"expected a table, [tunnels.{name}], not {type_name(values)}"
            )


def _read_tunables(values: Mapping[str, Any], environ: Mapping[str, str], table: Table) -> tuple[dict[str, str], Tunables]:
    """The variables that count, and all settings."""
    rows = {variable.name: variable for variable in tunables.ALL}
    check_names(values, rows, table)
    texts = {}
    for name in rows.keys() & values.keys():
        kind = rows[name].kind
        try:
            text = text_of(kind, values[name])
            kind.parse(text)
        except ValueError:
            table.wrong(name, f"expected {kind.expected}")
        else:
            texts[name] = text
    variables = {name: text for name, text in texts.items() if name not in environ}
    try:
        return variables, Tunables.from_environment({**variables, **environ})
    except ConfigError as error:
        table.wrong("", f"{error}{'' if error.setting in variables else ' (in the environment)'}")
        return variables, Tunables()


def _read_defaults(values: Mapping[str, Any], table: Table) -> dict[str, Any]:
    check_names(values, (*params.BY_NAME, *KEYS), table)
    texts_of(params.ALL, values, table)
    return dict(values)


def _check_certificate(entry: Entry, table: Table) -> None:
    config = entry.config
    if config.tls is TlsMode.FILES:
        try:
            certificate_source(config.tls, config.crt, config.key, ())
        except ConfigError as error:
            table.wrong("", str(error))


def _check_listeners(entries: Mapping[str, Entry], top: Table) -> None:
    """Refuse two tunnels that bind the same address."""
    bound = [(entry.name, listener) for entry in entries.values() for listener in listeners_of(entry.config)]
    told = set()
    for (name, listener), (other, theirs) in combinations(bound, 2):
        if (name, other) not in told and listener.collides_with(theirs):
            told.add((name, other))
            where = "in this tunnel already" if name == other else f"and so does tunnels.{name}: {listener}"
            Table(top.report, f"tunnels.{other}", top.folder).wrong("", f"it binds {theirs}, {where}")


def _holds_secret(defaults: Mapping[str, Any], tunnels: Mapping[str, Any]) -> bool:
    """Whether the file itself has a key in it."""
    for values in (defaults, *(values for values in tunnels.values() if isinstance(values, dict))):
        if INLINE in values:
            return True
        url = values.get("url")
        try:
            if isinstance(url, str) and split_url(url).key:
                return True
        except ConfigError:
            # It has been told; it may hold one all the same.
            return True
    return False
