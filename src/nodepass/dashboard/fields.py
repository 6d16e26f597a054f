"""The form of an instance, without its looks: a field for each parameter of the table, what is in them, and the URL of it.

Nothing about a parameter is written here that its row says: a new row becomes a field by itself, in the last group.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from nodepass.config import params
from nodepass.config.kinds import Choice, Flag
from nodepass.config.parameter import Parameter
from nodepass.config.query import decode_percent, split_query
from nodepass.config.split import split_url
from nodepass.errors import ConfigError
from nodepass.master.instance_url import filled_in, read_instance_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nodepass.config import MasterConfig
    from nodepass.config.parameter import Row
    from nodepass.config.values import Mode

MASK: Final = "••••••••"
"""What is shown in place of a key."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("mode", "type", "tls", "log"),
    "Certificates and identity": ("crt", "key", "sni", "strict"),
    "Targets": ("lbs", "dns", "dial", "proxy"),
    "Users": ("allow", "deny", "proxyin", "block", "notcp", "noudp"),
    "Limits": ("rate", "slot", "read"),
    "Pool and processes": ("pool", "min", "max", "workers"),
}
"""Which parameters stand together, and under which title; those of the first group are always in sight."""

REST: Final = "Other"
"""The group of all others."""

_PROPER_NAMES: Final = {"TCP": "TCP", "QUIC": "QUIC", "WEBSOCKET": "WebSocket", "HTTP2": "HTTP/2", "V1": "v1", "V2": "v2"}

_FIELDS_OF_PARTS: Final = {"tunnel address": "address", "target": "targets"}
"""Where the form shows what is wrong with a part of the URL."""


_RIGHT_PARTS: Final = {"address": "127.0.0.1:1", "targets": "127.0.0.1:2"}
"""Parts that nothing is wrong with."""


class Look(Enum):
    """How a field is filled in."""

    CHOICE = "choice"
    SWITCH = "switch"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form.

    Args:
        name: of the parameter.
        help: what it means, in plain text; where it is typed, also what a right value is.
        look: how it is filled in.
        default: the value that leaving it out comes to, as a URL writes it.
        source: where that value comes from, to stand before it.
        choices: for `Look.CHOICE`, the values and how they read.
    """

    name: str
    help: str
    look: Look
    default: str
    source: str = "default"
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def default_label(self) -> str:
        """What leaving it out comes to, for people."""
        return f"{self.source}: {self.choices.get(self.default, self.default) or 'none'}"


def groups_of(mode: Mode, master: MasterConfig) -> dict[str, list[Field]]:
    """The fields of a server or a client by the title of their group, in the order in which they are shown.

    Args:
        mode: server or client.
        master: whose settings an instance takes where its URL says nothing.
    """
    rows = {row.name: row for row in params.rows_of(mode)}
    from_master = filled_in(mode)
    groups = {
        title: [_field(rows.pop(name), mode, master if name in from_master else None) for name in names if name in rows]
        for title, names in GROUPS.items()
    }
    groups[REST] = [_field(row, mode, master if row.name in from_master else None) for row in rows.values()]
    return {title: fields for title, fields in groups.items() if fields}


def _field(row: Row, mode: Mode, master: MasterConfig | None) -> Field:
    default = row.default_text if master is None else row.text_in(master)
    remark = f" ({row.remarks[mode]})" if mode in row.remarks else ""
    text = (row.help + remark).replace("`", "")
    kind = row.kind if isinstance(row, Parameter) else None
    source = "default" if master is None else "the master's"
    if isinstance(kind, Choice):
        choices = {kind.format(member): _choice_label(member) for member in kind.members}
        return Field(row.name, text, Look.CHOICE, default, source, choices)
    if isinstance(kind, Flag):
        return Field(row.name, text, Look.SWITCH, default, source)
    return Field(row.name, f"{text}: {row.expected}", Look.TEXT, default, source)


def _choice_label(member: Enum) -> str:
    if isinstance(member.value, str):
        return member.value
    words = (_PROPER_NAMES.get(word, word.lower()) for word in member.name.split("_"))
    return f"{member.value} · {' '.join(words)}"


@dataclass(slots=True)
class Draft:
    """What is in the form. `values` has the parameters that are not left out, as a URL writes them, decoded.

    Args:
        mode: server or client.
        key: of the tunnel.
        address: of the tunnel.
        targets: comma-separated.
        values: by the parameter's name.
    """

    mode: Mode
    key: str = field(default="", repr=False)
    address: str = ""
    targets: str = ""
    values: dict[str, str] = field(default_factory=dict)

    def url(self, *, shown: bool = False) -> str:
        """The URL, or how it is shown: with a mask in place of the key."""
        key = MASK if shown and self.key else quote(self.key, safe="")
        address = quote(self.address.strip(), safe=":[]")
        targets = quote(",".join(part.strip() for part in self.targets.split(",")), safe=":[],")
        names = [row.name for row in params.rows_of(self.mode) if self.values.get(row.name)]
        query = "&".join(f"{name}={quote(self.values[name], safe='/:,')}" for name in names)
        return f"{self.mode}://{key}{'@' if key else ''}{address}/{targets}{'?' if query else ''}{query}"

    def problems(self, master: MasterConfig) -> dict[str, str]:
        """What is wrong with it, by the field: of each parameter for itself, and then of the whole.

        What is about no field has an empty name. Nothing in it repeats the key.
        """
        wrong = {}
        for row in _given(self):
            try:
                row.parse(self.values[row.name])
            except ConfigError as error:
                wrong[row.name] = _sentence(error)
        known = {row.name for row in params.rows_of(self.mode)} | _RIGHT_PARTS.keys()
        whole = replace(self, values={name: text for name, text in self.values.items() if name not in wrong})
        parts: dict[str, str] = {}
        # An address that is wrong hides what is behind it, so a right one is put in its place.
        while (refusal := _refusal(whole, master)) is not None:
            name = _FIELDS_OF_PARTS.get(refusal.setting, refusal.setting)
            if name not in _RIGHT_PARTS or name in parts:
                if not wrong and not parts:
                    wrong[name if name in known else ""] = _sentence(refusal)
                break
            parts[name] = _sentence(refusal)
            setattr(whole, name, _RIGHT_PARTS[name])
        return wrong | parts


def _refusal(draft: Draft, master: MasterConfig) -> ConfigError | None:
    try:
        read_instance_url(draft.url(), master)
    except ConfigError as error:
        return error
    return None


def _given(draft: Draft) -> Iterable[Parameter[Any]]:
    for row in params.rows_of(draft.mode):
        if draft.values.get(row.name) and isinstance(row, Parameter):
            yield row


def _sentence(error: ConfigError) -> str:
    return error.expected[:1].upper() + error.expected[1:]


def draft_of(url: str) -> Draft:
    """What a URL puts into the form.

    Raises:
        ConfigError: it is none of an instance.
    """
    parts = split_url(url)
    values = split_query(parts.mode, parts.query)
    return Draft(
        parts.mode,
        parts.key,
        decode_percent(parts.address),
        decode_percent(parts.path.removeprefix("/")),
        values,
    )


def masked(url: str) -> str:
    """A URL without its key."""
    scheme, separator, rest = url.partition("://")
    end = min((rest + "/").index("/"), (rest + "?").index("?"))
    user, at, address = rest[:end].rpartition("@")
    return f"{scheme}{separator}{MASK if user else ''}{at}{address}{rest[end:]}"
