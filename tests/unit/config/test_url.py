from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.config import (
    Balancing,
    Blocked,
    ClientConfig,
    Config,
    Endpoint,
    LogLevel,
    MasterConfig,
    PoolSharing,
    ProxyVersion,
    RunMode,
    Secret,
    ServerConfig,
    TlsMode,
    TunnelConfig,
    default_key,
    parse_url,
    to_url,
)
from nodepass.errors import ConfigError

FULL_QUERY: Final = (
    "log=debug&tls=2&crt=/a+b.pem&key=/k%2B.pem&mode=2&dns=0&rate=100&slot=5&proxy=2&read=1m30s&dial=10.0.0.9&notcp=1"
    "&noudp=1&lbs=2&block=31&strict=1&pool=single&workers=1&allow=10.0.0.0/8,::1&deny=10.1.0.0/16&proxyin=192.0.2.1"
)


def test_a_bare_server() -> None:
    config = parse_url("server://:10101/127.0.0.1:8080")
    assert config == ServerConfig(
        secret=Secret("e68be2b4"),
        key_is_default=True,
        tunnel=Endpoint("", 10101),
        targets=(Endpoint("127.0.0.1", 8080),),
    )


def test_every_parameter_reaches_its_field() -> None:
    assert parse_url(f"client://k@[::1]:1/a:2,[2001:db8::1]:3?{FULL_QUERY}&min=7&sni=x.example") == ClientConfig(
        secret=Secret("k"),
        tunnel=Endpoint("::1", 1),
        targets=(Endpoint("a", 2), Endpoint("2001:db8::1", 3)),
        log=LogLevel.DEBUG,
        tls=TlsMode.FILES,
        crt="/a b.pem",
        key="/k+.pem",
        mode=RunMode.FORWARD_OR_DUAL_END,
        dns=0.0,
        rate=100,
        slot=5,
        proxy=ProxyVersion.V2,
        read=90.0,
        dial=ip_address("10.0.0.9"),
        notcp=True,
        noudp=True,
        lbs=Balancing.PRIMARY_BACKUP,
        block=Blocked.SOCKS | Blocked.TLS,
        strict=True,
        pool=PoolSharing.SINGLE,
        allow=(ip_network("10.0.0.0/8"), ip_network("::1/128")),
        deny=(ip_network("10.1.0.0/16"),),
        proxyin=(ip_network("192.0.2.1/32"),),
        min=7,
        sni="x.example",
    )


def test_rate_in_bytes_is_for_computing_and_in_mbit_for_showing() -> None:
    config = parse_url("server://:1/a:2?rate=3&max=9")
    assert isinstance(config, ServerConfig)
    assert (config.rate, config.rate_bytes, config.max) == (3, 375_000, 9)


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("master://:9090", "/api"),
        ("master://:9090/", "/api"),
        ("MASTER://:9090/np/", "/np"),
        ("master://:9090/a/b.c", "/a/b.c"),
    ],
)
def test_master_prefix(url: str, prefix: str) -> None:
    assert parse_url(url) == MasterConfig(address=Endpoint("", 9090), prefix=prefix)


def test_master_parameters() -> None:
    assert parse_url("master://h:9?log=none&tls=2&crt=c&key=k&dashboard=0") == MasterConfig(
        address=Endpoint("h", 9), log=LogLevel.NONE, tls=TlsMode.FILES, crt="c", key="k", dashboard=False
    )


@pytest.mark.parametrize(
    ("user_part", "key"),
    [
        ("key@", "key"),
        ("a%40b%2F%3A%20%25@", "a@b/: %"),
        ("a@b@", "a@b"),
        ("key:password@", "key"),
        ("schl%C3%BCssel@", "schlüssel"),
        ("a+b@", "a+b"),
    ],
)
def test_key(user_part: str, key: str) -> None:
    config = parse_url(f"server://{user_part}:1/a:2")
    assert isinstance(config, ServerConfig)
    assert (config.secret, config.key_is_default) == (Secret(key), False)


@pytest.mark.parametrize("user_part", ["", "@", ":password@"])
def test_no_key_gives_the_port_s(user_part: str) -> None:
    config = parse_url(f"server://{user_part}:443/a:2")
    assert isinstance(config, ServerConfig)
    assert (config.secret, config.key_is_default) == (Secret("2339c1b2"), True)


@pytest.mark.parametrize(("port", "key"), [(10101, "e68be2b4"), (443, "2339c1b2"), (1, "340ca71c"), (65535, "181ab38f")])
def test_default_key_is_that_of_v1(port: int, key: str) -> None:
    assert default_key(port) == key


@pytest.mark.parametrize(
    ("address", "query", "name"),
    [
        ("example.com:1", "", "example.com"),
        ("münchen.de:1", "", "xn--mnchen-3ya.de"),
        ("example.com:1", "?sni=other.example", "other.example"),
        (":1", "", "none"),
        ("192.0.2.1:1", "", "none"),
        ("[::1]:1", "", "none"),
        ("192.0.2.1:1", "?sni=other.example", "other.example"),
    ],
)
def test_server_name(address: str, query: str, name: str) -> None:
    config = parse_url(f"client://{address}/a:2{query}")
    assert isinstance(config, ClientConfig)
    assert config.server_name == name


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "mode: expected server://, client:// or master://"),
        ("server:/:1/a:2", "mode: expected server://, client:// or master://"),
        ("relay://:1/a:2", "mode=relay: expected server://, client:// or master://"),
        ("server://:1/a:2 ", "URL: expected no blanks or control characters, unless percent-encoded; found one at 16"),
        (
            "server://:1/a:\x002",
            "URL: expected no blanks or control characters, unless percent-encoded; found one at 15",
        ),
        ("server://:1/a:2#x", "URL: expected no '#', unless percent-encoded as %23"),
        ("server://", "tunnel address: expected host:port, with a port from 1 to 65535"),
        ("server://host/a:2", "tunnel address: expected host:port, with a port from 1 to 65535"),
        ("server://k@host/a:2", "tunnel address=host: expected host:port, with a port from 1 to 65535"),
        ("server://:99999/a:2", "tunnel address=:99999: expected a port from 1 to 65535"),
        ("server://host:99999/a:2", "tunnel address=…:99999: expected a port from 1 to 65535"),
        ("server://k@host:99999/a:2", "tunnel address=host:99999: expected a port from 1 to 65535"),
        (
            "server://k@ho%zz:1/a:2",
            "tunnel address=ho%zz:1: expected two hex digits after each '%' (a '%' itself is %25)",
        ),
        ("server://%f@:1/a:2", "key: expected two hex digits after each '%' (a '%' itself is %25)"),
        ("server://%ff@:1/a:2", "key: expected percent-encoded UTF-8"),
        ("server://:1/a:%", "target: expected two hex digits after each '%' (a '%' itself is %25)"),
        ("server://:1/a", "target=a: expected host:port, with a port from 1 to 65535"),
        ("server://:1/a:2,", "target=: expected host:port, with a port from 1 to 65535"),
        ("server://:1/a:2,b:0", "target=b:0: expected a port from 1 to 65535"),
        ("server://:1/a%0Ab:2", "target: expected a host name, an IPv4 address, or an IPv6 address in brackets"),
        ("server://:1/a:2?tls=3", "tls=3: expected 0, 1 or 2"),
        ("server://:1/a:2?tsl=1", "unknown parameter=tsl: did you mean tls?"),
        ("server://:1/a:2?NOTCP=1", "unknown parameter=NOTCP: did you mean notcp?"),
        ("server://:1/a:2?min=1", "min=1: not a parameter of a server, only of a client; leave it out"),
        ("client://:1/a:2?dashboard=1", "dashboard=1: not a parameter of a client, only of a master; leave it out"),
        ("master://:1?slot=1", "slot=1: not a parameter of a master, only of a server or client; leave it out"),
        ("master://:1?zz=1", "unknown parameter=zz: a master takes log, tls, crt, key, dashboard"),
        ("server://:1/a:2?tls=1&log=info&tls=1", "tls=1: expected once, not repeated"),
        ("server://:1/a:2?crt=%0a", "crt=%0a: expected no control characters"),
        ("server://:1/a:2?crt=%f", "crt=%f: expected two hex digits after each '%' (a '%' itself is %25)"),
        ("server://:1/a:2?crt=%ff", "crt=%ff: expected percent-encoded UTF-8"),
        ("server://:1/a:2?tls=2", "tls=2: expected crt and key as well: PEM files"),
        ("client://:1/a:2?tls=2&key=x", "tls=2: expected crt as well: PEM files"),
        ("master://:1?tls=2&crt=x", "tls=2: expected key as well: PEM files"),
        ("master://k@:1", "key: expected none: a master makes its own API key"),
        ("master://:1/a//b", "prefix=/a//b: expected a path such as /api, of letters, digits and . _ ~ -"),
        ("master://:1/a/../b", "prefix=/a/../b: expected a path such as /api, of letters, digits and . _ ~ -"),
    ],
)
def test_refuses_and_says_what_it_wants(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_url(url)
    assert str(refusal.value) == message
    assert "\n" not in message


@pytest.mark.parametrize("url", ["server://:1", "server://:1/", "client://:1?tls=1"])
def test_a_target_is_needed(url: str) -> None:
    with pytest.raises(ConfigError, match="target: missing; expected host:port after the tunnel address"):
        parse_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "server://:80/10.0.0.1:80",
        "server://0.0.0.0:80/example.com:80",
        "client://[::]:80/a:1,b:80",
        "server://10.0.0.1:80/127.0.0.2:80",
        "client://example.com:80/localhost:80",
        "server://10.0.0.1:80/a:1,[::1]:80",
    ],
)
def test_a_loop_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a port other than the tunnel's own, 80, or traffic would go round"):
        parse_url(url)


@pytest.mark.parametrize("url", ["server://10.0.0.1:80/10.0.0.2:80", "server://:80/127.0.0.1:81", "client://a:80/b:80"])
def test_what_only_looks_like_a_loop_is_taken(url: str) -> None:
    assert isinstance(parse_url(url), TunnelConfig)


@pytest.mark.parametrize("url", ["server://:1/a:2", "server://@:1/a:2", "client://h:1/a:2", "client://h:1/a:2?mode=2"])
def test_strict_needs_a_key(url: str) -> None:
    strict = f"{url}{'&' if '?' in url else '?'}strict=1"
    with pytest.raises(ConfigError) as refusal:
        parse_url(strict)
    assert str(refusal.value) == "strict=1: needs a key in the URL; `nodepass genkey` prints one"
    parse_url(strict.replace("strict=1", "strict=0"))
    config = parse_url(strict.replace("//@", "//").replace("//", "//k@"))
    assert isinstance(config, TunnelConfig)
    assert config.strict


def test_strict_without_a_key_is_taken_where_there_is_no_peer() -> None:
    config = parse_url("client://:1/a:2?mode=1&strict=1")
    assert isinstance(config, ClientConfig)
    assert config.strict


def test_to_url_writes_every_default_out() -> None:
    written = to_url(parse_url("server://se%2Fcret@:10101/127.0.0.1:8080"), with_secret=True)
    assert written == (
        "server://se%2Fcret@:10101/127.0.0.1:8080?log=info&tls=0&type=0&mode=0&dns=5m0s&max=1024&rate=0&slot=65536"
        "&proxy=0&read=0s&dial=auto&notcp=0&noudp=0&lbs=0&block=0&strict=0&pool=auto&workers=1"
    )
    assert to_url(parse_url("master://:9"), with_secret=False) == "master://:9/api?log=info&tls=0&dashboard=1"


def test_to_url_without_the_secret() -> None:
    assert to_url(parse_url("client://hunter2@h:1/a:2"), with_secret=False).startswith("client://h:1/a:2?")


hosts = st.sampled_from(["", "10.0.0.1", "example.com", "::1", "fe80::1%eth0", "xn--mnchen-3ya.de"])
paths = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def tunnels() -> st.SearchStrategy[Config]:
    common = {
        "secret": st.builds(Secret, keys),
        "tunnel": st.builds(Endpoint, hosts, st.integers(1, 99)),
        "targets": st.lists(st.builds(Endpoint, hosts, st.integers(100, 65535)), min_size=1).map(tuple),
        "tls": st.sampled_from(TlsMode),
        "crt": paths,
        "key": paths,
        "dns": st.integers(0, 10**15).map(lambda nanoseconds: nanoseconds / 10**9),
        "rate": st.integers(0, 10**6),
        "block": st.integers(0, 7).map(Blocked),
        "dial": st.none() | st.ip_addresses(),
        "allow": st.lists(st.ip_addresses().map(ip_network)).map(tuple),
        "notcp": st.booleans(),
    }
    return st.builds(ServerConfig, **common, max=st.integers(1, 65535)) | st.builds(
        ClientConfig, **common, min=st.integers(1, 65535), sni=st.sampled_from(["", "example.com"])
    )


@given(tunnels())
def test_what_is_written_is_read_back(config: Config) -> None:
    assert parse_url(to_url(config, with_secret=True)) == config


@pytest.mark.parametrize("url", ["server://:1/a:2", "client://:1/a:2?tls=1", "master://:1/x?tls=2&crt=a&key=b&dashboard=0"])
def test_what_is_written_without_a_key_is_read_back(url: str) -> None:
    assert parse_url(to_url(parse_url(url), with_secret=True)) == parse_url(url)
