from __future__ import annotations

from dataclasses import fields

import pytest

from nodepass.config import LogFormat, Tunables
from nodepass.config.tunables import markdown_rows
from nodepass.errors import ConfigError

VARIABLES = {
    "NP_SEMAPHORE_LIMIT": ("7", 7),
    "NP_TCP_DATA_BUF_SIZE": ("16384", 16384),
    "NP_UDP_DATA_BUF_SIZE": ("1", 1),
    "NP_HANDSHAKE_TIMEOUT": ("11s", 11.0),
    "NP_TCP_DIAL_TIMEOUT": ("12s", 12.0),
    "NP_UDP_DIAL_TIMEOUT": ("13s", 13.0),
    "NP_UDP_READ_TIMEOUT": ("1m30s", 90.0),
    "NP_POOL_GET_TIMEOUT": ("14s", 14.0),
    "NP_MIN_POOL_INTERVAL": ("50ms", 0.05),
    "NP_MAX_POOL_INTERVAL": ("15s", 15.0),
    "NP_REPORT_INTERVAL": ("16s", 16.0),
    "NP_FALLBACK_INTERVAL": ("17s", 17.0),
    "NP_SERVICE_COOLDOWN": ("18s", 18.0),
    "NP_SHUTDOWN_TIMEOUT": ("19s", 19.0),
    "NP_RELOAD_INTERVAL": ("2h", 7200.0),
    "NP_LOG_FORMAT": ("json", LogFormat.JSON),
}


def test_the_table_has_every_field_once() -> None:
    assert [field.name for field in fields(Tunables)] == [name.removeprefix("NP_").lower() for name in VARIABLES]
    assert [line.split("`")[1] for line in markdown_rows()] == list(VARIABLES)


def test_defaults() -> None:
    assert Tunables.from_environment({}) == Tunables()
    assert Tunables().tcp_data_buf_size == 524288
    assert Tunables().udp_data_buf_size == 65535
    assert Tunables().min_pool_interval == 0.1
    assert Tunables().reload_interval == 3600.0


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_sets_its_own_field_and_no_other(name: str) -> None:
    text, value = VARIABLES[name]
    tunables = Tunables.from_environment({name: text})
    changed = {f.name: getattr(tunables, f.name) for f in fields(Tunables) if getattr(tunables, f.name) != f.default}
    assert changed == {name.removeprefix("NP_").lower(): value}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("NP_SEMAPHORE_LIMIT", "0", "NP_SEMAPHORE_LIMIT=0: expected a whole number from 1 to 2147483647"),
        ("NP_TCP_DATA_BUF_SIZE", "", "NP_TCP_DATA_BUF_SIZE=: expected a whole number from 1 to 2147483647"),
        ("NP_UDP_DATA_BUF_SIZE", "16k", "NP_UDP_DATA_BUF_SIZE=16k: expected a whole number from 1 to 2147483647"),
        ("NP_LOG_FORMAT", "xml", "NP_LOG_FORMAT=xml: expected text or json"),
        ("NP_REPORT_INTERVAL", "0", "NP_REPORT_INTERVAL=0: expected a duration over 0, such as 300ms or 5s"),
        ("NP_REPORT_INTERVAL", "5", "NP_REPORT_INTERVAL=5: expected a duration over 0, such as 300ms or 5s"),
        ("NP_MIN_POOL_INTERVAL", "2s", "NP_MIN_POOL_INTERVAL=2s: expected 1s, NP_MAX_POOL_INTERVAL, or less"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Tunables.from_environment({name: text})
    assert str(refusal.value) == message


def test_other_variables_are_left_alone() -> None:
    assert Tunables.from_environment({"NP_UNHEARD_OF": "x", "NP_STATE_DIR": "/x", "HOME": "/"}) == Tunables()
