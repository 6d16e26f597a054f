"""The form without its looks: every parameter has a field, and what is in them becomes a URL and back."""

from __future__ import annotations

import pytest

from nodepass.config import MasterConfig, parse_url
from nodepass.config.params import rows_of
from nodepass.config.values import Mode
from nodepass.dashboard.fields import Draft, Look, draft_of, groups_of, masked

MASTER = parse_url("master://:9090?log=warn&tls=1")
assert isinstance(MASTER, MasterConfig)

MODES = [Mode.SERVER, Mode.CLIENT]


@pytest.mark.parametrize("mode", MODES)
def test_every_parameter_has_one_field(mode: Mode) -> None:
    assert isinstance(MASTER, MasterConfig)
    names = [field.name for fields in groups_of(mode, MASTER).values() for field in fields]
    assert sorted(names) == sorted(row.name for row in rows_of(mode))


@pytest.mark.parametrize("mode", MODES)
def test_what_a_field_offers_is_right(mode: Mode) -> None:
    """Every choice, and both ends of every switch, make a URL that is one."""
    assert isinstance(MASTER, MasterConfig)
    for fields in groups_of(mode, MASTER).values():
        for field in fields:
            options = {Look.CHOICE: list(field.choices), Look.SWITCH: ["0", "1"], Look.TEXT: [field.default]}[field.look]
            for option in options:
                draft = Draft(mode, "s3cret", ":10101", "127.0.0.1:8080", {field.name: option} if option else {})
                if (field.name, option) == ("tls", "2"):
                    draft.values |= {"crt": "c", "key": "k"}
                assert draft.problems(MASTER) == {}, (field.name, option)


def test_defaults_come_from_the_table_or_from_the_master() -> None:
    assert isinstance(MASTER, MasterConfig)
    of_server = {field.name: field for fields in groups_of(Mode.SERVER, MASTER).values() for field in fields}
    of_client = {field.name: field for fields in groups_of(Mode.CLIENT, MASTER).values() for field in fields}
    assert of_server["tls"].default_label == "the master's: 1 · self signed"
    assert of_client["tls"].default_label == "default: 0 · none"
    assert of_server["log"].default_label == "the master's: warn"
    assert of_client["min"].default_label == "default: 64"
    assert of_client["type"].choices["3"] == "3 · HTTP/2"
    assert "told by the server" in of_client["type"].help
    assert "`" not in "".join(field.help for field in of_client.values())
    assert "min" not in of_server


@pytest.mark.parametrize(
    "url",
    [
        "server://:10101/127.0.0.1:8080",
        "server://s3cret@[::1]:10101/[fe80::1%25eth0]:80,b.example:81?tls=1&mode=1",
        "client://a%40b%2Fc%3A@server.example:10101/10.0.0.1:80?mode=2&min=8&allow=10.0.0.0/8,::/0",
    ],
)
def test_there_and_back(url: str) -> None:
    draft = draft_of(url)
    again = parse_url(draft.url())
    assert again == parse_url(url)
    assert draft_of(draft.url()) == draft


def test_what_is_typed_is_encoded_and_trimmed() -> None:
    draft = Draft(Mode.SERVER, "a@b/c?d#e%f g", " :10101 ", "10.0.0.1:80, 10.0.0.2:80", {"crt": "/a&b=c+d.pem"})
    config = parse_url(draft.url())
    assert not isinstance(config, MasterConfig)
    assert config.secret.reveal() == "a@b/c?d#e%f g"
    assert config.crt == "/a&b=c+d.pem"
    assert [target.host for target in config.targets] == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"address": ""}, "address", "Expected host:port, with a port from 1 to 65535"),
        ({"address": ":0"}, "address", "Expected a port from 1 to 65535"),
        ({"targets": ""}, "targets", "Missing"),
        ({"targets": "a:1,b"}, "targets", "Expected host:port"),
        ({"targets": "127.0.0.1:10101"}, "targets", "Expected a port other than the tunnel's own"),
        ({"values": {"read": "soon"}}, "read", "Expected a duration"),
        ({"values": {"tls": "2"}}, "tls", "Expected crt and key as well"),
        ({"values": {"max": "0"}}, "max", "Expected a whole number from 1 to 65535"),
        ({"values": {"workers": "4"}}, "workers", "Needs strict=1"),
        ({"key": "", "values": {"strict": "1"}}, "strict", "Needs a key"),
        ({"key": "x" * 20_000}, "", "Expected at most"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(change: dict[str, object], field: str, text: str) -> None:
    assert isinstance(MASTER, MasterConfig)
    draft = Draft(Mode.SERVER, "s3cret", ":10101", "127.0.0.1:8080")
    for name, value in change.items():
        setattr(draft, name, value)
    wrong = draft.problems(MASTER)
    assert list(wrong) == [field]
    assert wrong[field].startswith(text)
    assert "s3cret" not in wrong[field]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert isinstance(MASTER, MasterConfig)
    draft = Draft(Mode.CLIENT, "k", "h:1", "a:2", {"min": "0", "dial": "somewhere", "block": "9", "rate": "5"})
    assert set(draft.problems(MASTER)) == {"min", "dial", "block"}
    draft.address = draft.targets = ""
    assert set(draft.problems(MASTER)) == {"min", "dial", "block", "address", "targets"}


def test_what_is_typed_says_what_is_right() -> None:
    assert isinstance(MASTER, MasterConfig)
    fields = {field.name: field for group in groups_of(Mode.CLIENT, MASTER).values() for field in group}
    assert fields["min"].help.endswith(": a whole number from 1 to 65535")
    assert "0 or 1" not in fields["strict"].help


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("server://s3cret@:1/a:2?tls=1", "server://••••••••@:1/a:2?tls=1"),
        ("server://s3cret:more@:1/a:2", "server://••••••••@:1/a:2"),
        ("client://h:1/a:2?sni=x@y", "client://h:1/a:2?sni=x@y"),
        ("client://s3cret@h:1?x=/@", "client://••••••••@h:1?x=/@"),
    ],
)
def test_a_masked_url_has_no_key(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_the_url_that_is_shown_has_no_key() -> None:
    draft = Draft(Mode.SERVER, "s3cret", ":1", "a:2")
    assert draft.url(shown=True) == "server://••••••••@:1/a:2"
    assert "s3cret" not in repr(draft)
    draft.key = ""
    assert draft.url(shown=True) == "server://:1/a:2"
