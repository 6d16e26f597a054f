from __future__ import annotations

import copy
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.config import Blocked, Secret


@pytest.mark.parametrize(
    ("blocked", "digits"),
    [(Blocked(0), "0"), (Blocked.TLS, "3"), (Blocked.TLS | Blocked.SOCKS, "13"), (~Blocked(0), "123")],
)
def test_blocked_digits(blocked: Blocked, digits: str) -> None:
    assert blocked.digits == digits


@given(st.text("äqxz", min_size=3))
def test_secret_is_not_shown_however_it_is_printed(text: str) -> None:
    secret = Secret(text)
    record = logging.LogRecord("name", logging.INFO, "path", 1, "%s %r", (secret, secret), None)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", repr([secret]), record.getMessage()]
    assert not any(text in form for form in shown)
    assert secret.reveal() == text


def test_secrets_compare_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    text: object = "a"
    assert Secret("a") != text


def test_secrets_survive_being_copied() -> None:
    secret = Secret("a")
    assert copy.deepcopy(secret) == secret
    assert pickle.loads(pickle.dumps(secret)) == secret
