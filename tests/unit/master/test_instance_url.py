"""What the master adds to the URL of an instance."""

from __future__ import annotations

import pytest

from nodepass.config import MasterConfig, parse_url
from nodepass.errors import ConfigError
from nodepass.master.instance_url import LONGEST_URL, read_instance_url
from nodepass.master.model import Kind


def master(query: str = "") -> MasterConfig:
    config = parse_url(f"master://:9090?{query}")
    assert isinstance(config, MasterConfig)
    return config


TLS = "log=warn&tls=2&crt=/c.pem&key=/k.pem"


@pytest.mark.parametrize(
    ("of_master", "given", "url"),
    [
        ("log=debug", "client://k@h:1/:2", "client://k@h:1/:2?log=debug"),
        ("log=debug", "client://k@h:1/:2?", "client://k@h:1/:2?log=debug"),
        ("log=debug", "client://k@h:1/:2?min=1", "client://k@h:1/:2?min=1&log=debug"),
        ("log=debug", "client://k@h:1/:2?log=none", "client://k@h:1/:2?log=none"),
        (TLS, "client://k@h:1/:2", "client://k@h:1/:2?log=warn"),
        ("", "server://k@h:1/:2", "server://k@h:1/:2?log=info&tls=0"),
        (TLS, "server://k@h:1/:2", "server://k@h:1/:2?log=warn&tls=2&crt=/c.pem&key=/k.pem"),
        (TLS, "server://k@h:1/:2?tls=2", "server://k@h:1/:2?tls=2&log=warn&crt=/c.pem&key=/k.pem"),
        (TLS, "server://k@h:1/:2?tls=0&log=info&crt=/x&key=/y", "server://k@h:1/:2?tls=0&log=info&crt=/x&key=/y"),
    ],
)
def test_what_the_url_does_not_say(of_master: str, given: str, url: str) -> None:
    read = read_instance_url(given, master(of_master))
    assert read.url == url
    assert parse_url(read.config) == parse_url(url)
    # As often as it is read, nothing more is added.
    assert read_instance_url(read.url, master(of_master)) == read


def test_the_config_has_every_parameter() -> None:
    read = read_instance_url("client://k@h:1/:2", master())
    assert read.kind is Kind.CLIENT
    assert read.config.startswith("client://k@h:1/:2?log=info&tls=0&type=0&mode=0&dns=5m0s&min=64&max=1024&")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("master://:9091/api", "mode=master: expected server:// or client://"),
        ("server://k@:1/:1", "target=:1: expected a port other than"),
        ("server://s3cret@:1/:2?tls=3", r"tls=3: expected 0, 1 or 2"),
        ("client://s3cret@:1/:2?s3cret=1", "unknown parameter"),
        ("nonsense", "mode: expected server://, client:// or master://"),
        ("", "mode: expected"),
        (f"client://:1/:2?sni={'x' * LONGEST_URL}", "expected at most"),
    ],
)
def test_a_wrong_url_is_refused_for_the_reason_of_the_command_line(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read_instance_url(url, master())
    assert "s3cret" not in str(caught.value)


def test_it_does_not_show_the_key() -> None:
    assert "s3cret" not in repr(read_instance_url("client://s3cret@h:1/:2", master()))
