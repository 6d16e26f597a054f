"""One table of a file: a tunnel, as a URL or by typed keys.

Both forms end as a URL's text, which the one parser of this project reads: what is right here is right there. Each
parameter is read by itself before that, so that all that are wrong are told, and not only the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from nodepass.config import ClientConfig, Mode, RunMode, params, parse_url, to_url
from nodepass.config.kinds import alternatives
from nodepass.config.query import split_query
from nodepass.config.split import split_url
from nodepass.errors import ConfigError
from nodepass.fleet.problems import Severity
from nodepass.fleet.secrets import KEYS
from nodepass.fleet.values import text_of, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nodepass.config import Config
    from nodepass.config.parameter import Row
    from nodepass.config.split import SplitUrl
    from nodepass.fleet.problems import Table
    from nodepass.fleet.secrets import Secrets


class Processes(StrEnum):
    """Where tunnels run."""

    ONE = "one"
    """All in one process."""
    EACH = "each"
    """Each in a process of its own."""


class Role(StrEnum):
    """What a tunnel is; its table says so where it gives no URL."""

    SERVER = "server"
    CLIENT = "client"
    FORWARDER = "forwarder"
    MASTER = "master"

    @property
    def mode(self) -> Mode:
        """The scheme of its URL."""
        return Mode.CLIENT if self is Role.FORWARDER else Mode(self.value)

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The keys that stand for the parts of its URL in front of the parameters; the first two must be there."""
        if self is Role.MASTER:
            return ("listen", "prefix")
        return ("listen" if self is Role.FORWARDER else "tunnel", "targets")


PROCESSES: Final = "processes"
"""The key that says where tunnels run."""

STATE_FOLDER: Final = "state_dir"
"""The key of a master's folder."""

PATHS: Final = frozenset({params.CRT.name, params.KEY.name})
"""Parameters that are paths: as keys of a table, they are relative to the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tunnel of the file. Two that are equal are one that has not changed.

    Args:
        name: of its table.
        config: what runs.
        processes: where.
        state_folder: of a master; None for the usual one.
    """

    name: str
    config: Config
    processes: Processes
    state_folder: Path | None = None

    @property
    def role(self) -> Role:
        """What it is called."""
        is_forwarder = isinstance(self.config, ClientConfig) and self.config.mode is RunMode.REVERSE_OR_SINGLE_END
        return Role.FORWARDER if is_forwarder else Role(self.config.scheme.value)

    @property
    def url(self) -> str:
        """What it runs, with the key."""
        return to_url(self.config, with_secret=True)

    @property
    def shown_url(self) -> str:
        """The same without the key."""
        return to_url(self.config, with_secret=False)


def read_entry(
    name: str, values: Mapping[str, Any], defaults: Mapping[str, Any], secrets: Secrets, table: Table, processes: Processes
) -> Entry | None:
    """Read one tunnel; None where its problems leave nothing to run.

    Args:
        name: of the tunnel.
        values: its table.
        defaults: the table of defaults, whose own problems have been told.
        secrets: reads the key.
        table: takes the problems.
        processes: where it runs unless it says.
    """
    before = len(table.report.problems)
    if "url" in values:
        url, mode, own = _of_url(values, defaults, secrets, table)
    else:
        url, mode, own = _of_keys(values, defaults, secrets, table)
    if mode is not None:
        _check_keys(mode, own, values, table)
    processes = Processes.ONE if mode is Mode.MASTER else read_processes(values, table, processes)
    folder = values.get(STATE_FOLDER)
    if folder is not None and not isinstance(folder, str):
        table.wrong(STATE_FOLDER, f"expected the path of a folder, not {type_name(folder)}")
    told = [problem for problem in table.report.problems[before:] if problem.severity is Severity.ERROR]
    is_good = not told
    if not url:
        return None
    try:
        config = parse_url(url)
    except ConfigError as error:
        # Where keys are missing or wrong, others may be refused for that. An address is not, unless it is what is missing.
        place = _places(own).get(error.setting)
        if is_good or "url" in values or (place is not None and place not in {problem.key for problem in told}):
            _tell(error, values, own, table)
        return None
    if not is_good:
        return None
    return Entry(name, config, processes, table.folder / folder if isinstance(folder, str) else None)


def _check_keys(mode: Mode, own: tuple[str, ...], values: Mapping[str, Any], table: Table) -> None:
    """Refuse keys that are no such tunnel's."""
    for row in params.ALL:
        if row.name in values and mode not in row.modes:
            table.wrong(row.name, f"not a parameter of a {mode}")
    if mode is Mode.MASTER and PROCESSES in values:
        table.wrong(PROCESSES, "expected none: its instances have processes of their own, whatever it says")
    more = (STATE_FOLDER,) if mode is Mode.MASTER else KEYS
    check_names(values, (*own, *more, PROCESSES, *params.BY_NAME), table)


def _tell(error: ConfigError, values: Mapping[str, Any], own: tuple[str, ...], table: Table) -> None:
    """Tell what is wrong with the whole, by the key in the table that it is about."""
    key = _places(own).get(error.setting, error.setting)
    if "url" in values and error.setting not in values:
        table.wrong("url", str(error))
    elif key in values:
        table.wrong(key, error.expected if error.value is None else f"{error.value}: {error.expected}")
    else:
        # It is of the defaults.
        table.wrong("", str(error))


def _places(own: tuple[str, ...]) -> dict[str, str]:
    """The keys of a table that stand for what errors about a URL call otherwise."""
    return {"tunnel address": own[0], "address": own[0], "target": own[-1]}


def _of_url(
    values: Mapping[str, Any], defaults: Mapping[str, Any], secrets: Secrets, table: Table
) -> tuple[str, Mode | None, tuple[str, ...]]:
    own = ("url",)
    url = values["url"]
    if not isinstance(url, str):
        table.wrong("url", f"expected a URL, as in server://:10101/127.0.0.1:8080, not {type_name(url)}")
        return "", None, own
    try:
        parts = split_url(url)
        given = split_query(parts.mode, parts.query)
    except ConfigError as error:
        table.wrong("url", str(error))
        return "", None, own
    rows = params.rows_of(parts.mode)
    for row in rows:
        if row.name in values and row.name in given:
            table.wrong(row.name, "expected once: the URL gives it as well")
    texts = texts_of(rows, defaults, table, silent=True) | texts_of(rows, values, table)
    texts = {name: text for name, text in texts.items() if name not in given}
    key = _key_beside(parts, values, defaults, secrets, table)
    user = quote(key, safe="") + "@" if key else f"{quote(parts.key, safe='')}@" if parts.key else ""
    query = "&".join(filter(None, (parts.query, _query(texts))))
    return f"{parts.mode}://{user}{parts.address}{parts.path}?{query}", parts.mode, own


def _key_beside(
    parts: SplitUrl, values: Mapping[str, Any], defaults: Mapping[str, Any], secrets: Secrets, table: Table
) -> str | None:
    """The key that a URL leaves out."""
    given = [key for key in KEYS if key in values]
    if given and (parts.key or parts.mode is Mode.MASTER):
        table.wrong(
            given[0], "expected none: a master has no key" if not parts.key else "expected one key: the URL has one"
        )
        return None
    if parts.key or parts.mode is Mode.MASTER:
        return None
    return secrets.read(values if given else defaults, table)


def _of_keys(
    values: Mapping[str, Any], defaults: Mapping[str, Any], secrets: Secrets, table: Table
) -> tuple[str, Mode | None, tuple[str, ...]]:
    try:
        role = Role(str(values.get("role")))
    except ValueError:
        text = f"expected url, or role: {alternatives(Role)}" if "role" not in values else f"expected {alternatives(Role)}"
        table.wrong("role" if "role" in values else "", text)
        return "", None, ("role",)
    own = (role.own_keys[0], "role", role.own_keys[1])
    rows = [row for row in params.rows_of(role.mode) if role is not Role.FORWARDER or row is not params.MODE]
    if role is Role.FORWARDER and params.MODE.name in values:
        table.wrong(params.MODE.name, "expected none: a forwarder is a client with mode=1")
    texts = texts_of(rows, defaults, table, silent=True) | texts_of(rows, values, table)
    if role is Role.FORWARDER:
        texts[params.MODE.name] = "1"
    if params.KEY.name in values and texts.get(params.TLS.name) != "2":
        text = f"the private key of tls=2, which is not asked for; the key of a tunnel is {alternatives(KEYS)}"
        table.wrong(params.KEY.name, text)
    address = _text(values, own[0], "an address, as in 127.0.0.1:10101 or :10101", table)
    path = _prefix(values, table) if role is Role.MASTER else _targets(values, table)
    key = None
    if role in {Role.SERVER, Role.CLIENT}:
        key = secrets.read(values if any(each in values for each in KEYS) else defaults, table)
    user = f"{quote(key, safe='')}@" if key else ""
    return f"{role.mode}://{user}{quote(address, safe=':[]')}{path}?{_query(texts)}", role.mode, own


def _targets(values: Mapping[str, Any], table: Table) -> str:
    given = values.get("targets")
    targets = [given] if isinstance(given, str) else given
    if not isinstance(targets, list) or not targets or not all(isinstance(each, str) and each for each in targets):
        table.wrong("targets", 'expected host:port, or an array of them, as in ["10.0.0.5:80", "10.0.0.6:80"]')
        return ""
    return "/" + ",".join(quote(target, safe=":[]") for target in targets)


def _prefix(values: Mapping[str, Any], table: Table) -> str:
    return quote(_text(values, "prefix", "a path such as /api", table)) if "prefix" in values else ""


def _text(values: Mapping[str, Any], key: str, expected: str, table: Table) -> str:
    value = values.get(key)
    if isinstance(value, str) and value:
        return value
    table.wrong(key, f"expected {expected}" + ("" if value is None or value == "" else f", not {type_name(value)}"))
    return ""


def texts_of(rows: Iterable[Row], values: Mapping[str, Any], table: Table, *, silent: bool = False) -> dict[str, str]:
    """The parameters that a table gives, as a URL would write them; those that are wrong are told, unless `silent`."""
    texts = {}
    for row in rows:
        if row.name not in values:
            continue
        try:
            text = text_of(row.value_kind, values[row.name])
            row.check(text)
        except ConfigError as error:
            problem = str(error).removeprefix(row.name).removeprefix("=")
        except ValueError as error:
            problem = f"expected {row.expected}, {error}"
        else:
            texts[row.name] = str(table.folder / text) if row.name in PATHS and text else text
            continue
        if not silent:
            table.wrong(row.name, problem)
    return texts


def _query(texts: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(text, safe='/:,')}" for name, text in texts.items())


def read_processes(values: Mapping[str, Any], table: Table, default: Processes) -> Processes:
    """Read the key of that name."""
    value = values.get(PROCESSES, default)
    try:
        return Processes(value)
    except ValueError:
        table.wrong(PROCESSES, f"expected {alternatives(Processes)}")
        return default


def check_names(values: Mapping[str, Any], allowed: Iterable[str], table: Table) -> None:
    """Refuse keys that are not among those allowed, and say which may have been meant."""
    names = list(dict.fromkeys(allowed))
    lower = {name.lower(): name for name in names}
    for key in values:
        if key in names:
            continue
        near = get_close_matches(key.lower(), lower, n=1)
        hint = f"did you mean {lower[near[0]]}?" if near else f"expected one of {', '.join(names)}"
        table.wrong(key if key.isprintable() else "", f"unknown key; {hint}")
