"""No error, repr or traceback shows the tunnel key, however wrong the URL around it is."""

from __future__ import annotations

import traceback
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.config import MasterConfig, parse_url, to_url
from nodepass.errors import ConfigError

# A key begins with a mark that none of the texts of this project contain: where it shows, the key does.
MARK: Final = "Zq"
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda rest: MARK + rest)
rude_keys = st.text("Zq7ü@/?#:%&=.[]\\ \n", max_size=12).map(lambda rest: MARK + rest)

TAILS: Final = (
    "@:10101/127.0.0.1:8080",
    "@example.com:443/[::1]:80,b:81?tls=1&crt=/a@b.pem",
    "@:10101",
    "@:99999/a:1",
    "@host/a:1",
    "@:1/a:1",
    "@[::1:1/a:2",
    "@:1/a:2?tls=9",
    "@:1/a:2?nothing=1",
    "@:1/a:2?allow=300.0.0.0/8&tls=1",
    "@:1/a:2?dial=%zz",
    "",
    ":10101/127.0.0.1:8080",
    "/127.0.0.1:8080",
    "?tls=1",
)


def everything_shown(error: BaseException) -> str:
    """Return what any handler could print of an error, its chain included, but for the source lines of these tests."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None:
        chain.append(current)
        current = current.__cause__ or current.__context__
    traces = ("".join(traceback.format_exception(link)) for link in chain)
    return "\n".join([*traces, *map(repr, chain), *(repr(vars(link)) for link in chain)])


def refusal_of(url: str) -> str:
    """Return what can be seen of the error a URL gives; empty when it gives none."""
    try:
        config = parse_url(url)
    except ConfigError as error:
        return everything_shown(error)
    # Without an '@' the text is a host, not a key, and may be shown.
    if "@" in url and not isinstance(config, MasterConfig) and not config.key_is_default:
        assert MARK not in repr(config)
        assert MARK not in to_url(config, with_secret=False)
    return ""


@given(keys, st.sampled_from(["server", "client", "master", "relay", ""]), st.sampled_from(TAILS))
def test_an_encoded_key(key: str, scheme: str, tail: str) -> None:
    assert MARK not in refusal_of(f"{scheme}://{quote(key, safe='')}{tail}")


@given(rude_keys, st.sampled_from(["server", "client", "master"]), st.sampled_from(TAILS))
def test_a_key_that_ought_to_have_been_encoded(key: str, scheme: str, tail: str) -> None:
    assert MARK not in refusal_of(f"{scheme}://{key}{tail}")


@given(st.data(), keys, st.sampled_from(TAILS[:11]))
def test_a_url_with_one_character_wrong(data: st.DataObject, key: str, tail: str) -> None:
    head = "server://"
    around = head + tail
    position = data.draw(st.integers(0, len(around) - 1))
    replacement = data.draw(st.sampled_from(["", "@", ":", "/", "?", "#", "%", "&", "=", ",", " ", "\0", "x", "[", "]"]))
    broken = around[:position] + replacement + around[position + 1 :]
    split = len(head) if position >= len(head) else len(head) + len(replacement) - 1
    assert MARK not in refusal_of(broken[:split] + quote(key, safe="") + broken[split:])


@given(keys, st.sampled_from(["tls", "sni", "crt", "rate", "allow", "unheard-of"]))
def test_a_key_that_is_given_again_as_a_parameter(key: str, name: str) -> None:
    written = quote(key, safe="")
    assert MARK not in refusal_of(f"server://{written}@:1/a:2?{name}={written}%zz")
    assert MARK not in refusal_of(f"client://{written}@:1/a:2?{name}={written}%00")


@pytest.mark.parametrize(
    "url",
    [
        "server://Zqkey@:1/a:2?Zqkey=1",
        "server://Zqkey@:1/a:2?tls=1&tls=Zqkey",
        "server://Zqkey@:1/Zqkey",
        "server://Zqkey@Zqkey/a:1",
        "server://Zq%6bey@:1/a:2?tls=Zq%6bey",
        "server://Zq?key@:1/a:2",
        "server://a@Zq?key@:1/a:2",
        "server://a:Zq?key@:1/a:2",
        "server://a:1/Zq@:1/a:2",
        "server://a:1/b:2?Zq@:1/a:2",
        "server://Zq/key@:1/a:2",
        "Zqkey@:1/a:2",
        "server:Zqkey@://:1/a:2",
        "master://Zqkey@:1",
        "server://Zq%ff@:1/a:2",
    ],
)
def test_a_key_in_places_of_its_own(url: str) -> None:
    shown = refusal_of(url)
    assert shown
    assert "Zq" not in shown
