"""Whether users share pool connections: every combination of what the two ends ask for and of what carries the pool."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from nodepass.config import PoolSharing, PoolTransport
from nodepass.protocol.extension import FEATURES, Feature
from nodepass.tunnel.dialect import MUX_NEEDS, Dialect
from nodepass.tunnel.sharing import granted, lacks, offered
from tests.unit.tunnel.peers import AGREEMENT, CLIENT, CODEC, keys

AUTO, SINGLE, MUX = PoolSharing.AUTO, PoolSharing.SINGLE, PoolSharing.MUX
SHARABLE = {PoolTransport.TCP, PoolTransport.WEBSOCKET}


def agree(server: PoolSharing, client: PoolSharing, transport: PoolTransport) -> tuple[frozenset[Feature], bool, bool]:
    """What both have, and which of server and client refuses that."""
    agreement = dataclasses.replace(AGREEMENT, type=transport.value)
    features = granted(server, transport, offered(client))
    return features, lacks(server, agreement, features), lacks(client, agreement, features)


@pytest.mark.parametrize(
    ("server", "client", "transport"), list(itertools.product(PoolSharing, PoolSharing, PoolTransport))
)
def test_every_combination(server: PoolSharing, client: PoolSharing, transport: PoolTransport) -> None:
    features, server_refuses, client_refuses = agree(server, client, transport)
    shares = transport in SHARABLE and SINGLE not in (server, client)
    assert (Feature.MUX in features) == shares
    # Whatever comes of it, nothing else is given up for it.
    assert features | {Feature.MUX} == FEATURES
    assert server_refuses == (transport in SHARABLE and server is MUX and client is SINGLE)
    assert client_refuses == (transport in SHARABLE and client is MUX and server is SINGLE)


@pytest.mark.parametrize("transport", PoolTransport)
@pytest.mark.parametrize("sharing", PoolSharing)
def test_a_peer_of_version_1_shares_nothing(sharing: PoolSharing, transport: PoolTransport) -> None:
    agreement = dataclasses.replace(AGREEMENT, type=transport.value)
    assert lacks(sharing, agreement) == (sharing is MUX and transport in SHARABLE)
    assert not Dialect.v1(CODEC).shares


def test_a_client_that_says_less_gets_no_more() -> None:
    few = frozenset({Feature.POOL_AUTH, Feature.SEAL})
    assert granted(AUTO, PoolTransport.TCP, few) == few
    # Users cannot share connections without what that stands on, so that is not said to be agreed on.
    assert granted(MUX, PoolTransport.TCP, few | {Feature.MUX}) == few


@pytest.mark.parametrize("missing", [feature for feature in Feature if feature in MUX_NEEDS], ids=str)
def test_it_is_not_spoken_without_what_it_needs(missing: Feature) -> None:
    for features, shares in ((FEATURES, True), (FEATURES - {missing}, False), (FEATURES - {Feature.MUX}, False)):
        terms, _, servers = keys(features)
        assert Dialect.extended(CODEC, servers, terms.features, CLIENT).shares is shares
