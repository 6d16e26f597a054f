from __future__ import annotations

import re
from dataclasses import fields
from ipaddress import ip_address, ip_network
from typing import TypeVar, assert_type

import pytest

from nodepass.config import (
    Balancing,
    Blocked,
    ClientConfig,
    Config,
    LogLevel,
    MasterConfig,
    Mode,
    PoolSharing,
    PoolTransport,
    ProxyVersion,
    RunMode,
    ServerConfig,
    TlsMode,
    params,
)
from nodepass.config.parameter import Parameter, ParameterValues
from nodepass.errors import ConfigError

T = TypeVar("T")


def test_looking_up_a_row_gives_its_type() -> None:
    values = ParameterValues({"tls": "2", "deny": "10.0.0.0/8"})
    assert_type(values[params.TLS], TlsMode)
    assert_type(values[params.RATE], int)
    assert_type(values[params.DNS], float)
    assert values[params.TLS] is TlsMode.FILES
    assert values[params.DENY] == (ip_network("10.0.0.0/8"),)
    assert values[params.DNS] == 300.0


def reads(parameter: Parameter[T], text: str, value: T) -> object:
    return pytest.param(parameter, text, value, id=f"{parameter.name}={text}")


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        *(reads(params.LOG, level.value, level) for level in LogLevel),
        *(reads(params.TLS, str(mode.value), mode) for mode in TlsMode),
        *(reads(params.MODE, str(mode.value), mode) for mode in RunMode),
        *(reads(params.PROXY, str(version.value), version) for version in ProxyVersion),
        *(reads(params.LBS, str(balancing.value), balancing) for balancing in Balancing),
        reads(params.CRT, "/etc/my certificate.pem", "/etc/my certificate.pem"),
        reads(params.TYPE, "0", PoolTransport.TCP),
        reads(params.DNS, "1m30s", 90.0),
        reads(params.READ, "0s", 0.0),
        reads(params.MIN, "1", 1),
        reads(params.MAX, "65535", 65535),
        reads(params.RATE, "0", 0),
        reads(params.SLOT, "2147483647", 2147483647),
        reads(params.DIAL, "auto", None),
        reads(params.DIAL, "2001:db8::1", ip_address("2001:db8::1")),
        reads(params.NOTCP, "1", True),
        reads(params.SNI, "example.com", "example.com"),
        reads(params.BLOCK, "0", Blocked(0)),
        reads(params.BLOCK, "13", Blocked.SOCKS | Blocked.TLS),
        reads(params.BLOCK, "123", Blocked.SOCKS | Blocked.HTTP | Blocked.TLS),
        reads(params.POOL, "single", PoolSharing.SINGLE),
        reads(params.POOL, "mux", PoolSharing.MUX),
        reads(params.STRICT, "0", False),
        reads(params.STRICT, "1", True),
        reads(params.WORKERS, "1", 1),
        reads(params.WORKERS, "0", 0),
        reads(params.ALLOW, "10.0.0.0/8,::1/128", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        reads(params.DASHBOARD, "0", False),
    ],
)
def test_reads_and_writes_the_same_text(parameter: Parameter[T], text: str, value: T) -> None:
    assert parameter.parse(text) == value
    assert parameter.parse(parameter.kind.format(value)) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tls", "3", "tls=3: expected 0, 1 or 2"),
        ("tls", "", "tls=: expected 0, 1 or 2"),
        ("tls", "01", "tls=01: expected 0, 1 or 2"),
        ("log", "INFO", "log=INFO: expected none, debug, info, warn, error or event"),
        ("type", "9", "type=9: expected 0, 1, 2 or 3"),
        ("strict", "yes", "strict=yes: expected 0 or 1"),
        ("pool", "shared", "pool=shared: expected auto, single or mux"),
        ("workers", "65", "workers=65: expected a whole number from 0 to 64"),
        ("dns", "5", "dns=5: expected a duration such as 300ms, 1m30s or 0"),
        ("min", "0", "min=0: expected a whole number from 1 to 65535"),
        ("max", "65536", "max=65536: expected a whole number from 1 to 65535"),
        ("rate", "-1", "rate=-1: expected a whole number from 0 to 2147483647"),
        ("rate", "1_0", "rate=1_0: expected a whole number from 0 to 2147483647"),
        ("slot", "٣", "slot=٣: expected a whole number from 0 to 2147483647"),
        ("notcp", "true", "notcp=true: expected 0 or 1"),
        ("dial", "eth0", "dial=eth0: expected auto or an IP address"),
        ("dial", "", "dial=: expected auto or an IP address"),
        ("sni", "a b", "sni=a b: expected a host name"),
        ("block", "11", "block=11: expected 0, or any of 1 2 3 combined, each once"),
        ("block", "10", "block=10: expected 0, or any of 1 2 3 combined, each once"),
        ("block", "4", "block=4: expected 0, or any of 1 2 3 combined, each once"),
        ("block", "", "block=: expected 0, or any of 1 2 3 combined, each once"),
    ],
)
def test_refuses_and_says_what_it_wants(name: str, text: str, message: str) -> None:
    parameter = params.BY_NAME[name]
    assert isinstance(parameter, Parameter)
    with pytest.raises(ConfigError) as refusal:
        parameter.parse(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8,", "host", "1.2.3", "10.0.0.0/8, 11.0.0.0/8"),
        *("fe80::1%eth0", "fe80::%eth0/64", "::1%\x00"),
    ],
)
def test_refuses_what_is_no_network(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"allow={text}: expected networks such as")):
        params.ALLOW.parse(text)


def test_a_bare_address_is_a_network_of_one() -> None:
    assert params.ALLOW.parse("10.0.0.1,::1") == (ip_network("10.0.0.1/32"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("mode", "config"), [(Mode.SERVER, ServerConfig), (Mode.CLIENT, ClientConfig), (Mode.MASTER, MasterConfig)]
)
def test_a_configuration_has_a_field_for_every_parameter_of_its_mode(mode: Mode, config: type[Config]) -> None:
    not_parameters = {"secret", "key_is_default", "tunnel", "targets", "address", "prefix"}
    assert {field.name for field in fields(config)} - not_parameters == {row.name for row in params.rows_of(mode)}


def test_every_default_is_a_value_the_row_takes() -> None:
    for row in params.ALL:
        assert isinstance(row, Parameter)
        assert row.parse(row.default_text) == row.default if row.default_text else not row.default, row.name


def test_markdown_has_one_well_formed_line_for_each_row() -> None:
    lines = params.markdown_rows()
    assert len(lines) == len(params.ALL) == 26
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 7 for line in lines)
    assert lines[0].endswith("| `info` | x | x | x |")
    by_name = dict(zip(params.BY_NAME, lines, strict=True))
    assert by_name["tls"].endswith("| `0` | x | single-end | x |")
    assert by_name["max"].endswith("| `1024` | x | told by the server |  |")
    assert by_name["dashboard"].endswith("| `1` |  |  | x |")
