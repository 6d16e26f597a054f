"""Fixtures of the tests against a v1 peer. They are skipped where no peer is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import Authority
from tests.interop.pair import PEER, Case, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    peer = os.environ.get(PEER, "")
    if os.access(peer, os.X_OK):
        return
    reason = f"{PEER}={peer}: not a program" if peer else f"{PEER} is not set: it names the program of a v1 peer"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of servers with `tls=2`; both ends trust it."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(authority: Authority) -> Iterator[Callable[..., Pair]]:
    """Makes pairs of one end of ours and one of v1's; they end with the test."""
    made: list[Pair] = []

    def make(case: Case, **more: str) -> Pair:
        made.append(Pair(case, authority, **more))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.close()
