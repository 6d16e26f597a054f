from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.config import format_duration, parse_duration

FIFTY_DAYS_IN_NANOSECONDS = 50 * 24 * 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "seconds", "written"),
    [
        ("0", 0.0, "0s"),
        ("0s", 0.0, "0s"),
        ("1ns", 1e-9, "1ns"),
        ("1500ns", 1.5e-6, "1.5µs"),
        ("7us", 7e-6, "7µs"),
        ("7\u00b5s", 7e-6, "7µs"),
        ("7\u03bcs", 7e-6, "7µs"),
        ("300ms", 0.3, "300ms"),
        ("0.25ms", 0.00025, "250µs"),
        ("1.5s", 1.5, "1.5s"),
        ("1.s", 1.0, "1s"),
        (".5s", 0.5, "500ms"),
        ("90s", 90.0, "1m30s"),
        ("1m30s", 90.0, "1m30s"),
        ("5m", 300.0, "5m0s"),
        ("1h", 3600.0, "1h0m0s"),
        ("1.5h", 5400.0, "1h30m0s"),
        ("1h0.001s", 3600.001, "1h0m0.001s"),
        ("48h", 172800.0, "48h0m0s"),
        ("1s1s", 2.0, "2s"),
        ("0.9999999999s", 0.999999999, "999.999999ms"),  # cut to the nanosecond, not rounded up
    ],
)
def test_reads_and_writes_as_go_does(text: str, seconds: float, written: str) -> None:
    assert parse_duration(text) == seconds
    assert format_duration(seconds) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "s",
        ".s",
        "-1s",
        "+1s",
        "1 s",
        " 1s",
        "1s ",
        "1d",
        "1S",
        "1e3s",
        "1..5s",
        "1s5",
        "٣s",
        "inf",
        "2562048h",
        "9" * 99 + "s",
    ],
)
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller words the message
        parse_duration(text)


@pytest.mark.parametrize("seconds", [-1.0, -1e-9, float("inf"), float("nan")])
def test_does_not_write_what_it_would_not_read(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        format_duration(seconds)


@given(st.integers(0, FIFTY_DAYS_IN_NANOSECONDS))
def test_every_nanosecond_survives_the_round_trip(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    assert parse_duration(f"{nanoseconds}ns") == seconds
    assert parse_duration(format_duration(seconds)) == seconds
