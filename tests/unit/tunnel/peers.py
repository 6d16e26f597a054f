"""Sessions and what they are made of, for tests that need no tunnel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from nodepass.config import ServerConfig, Tunables, parse_url
from nodepass.net.address import Address
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.extension import FEATURES, ClientExtension, ServerExtension, Terms, new_session
from nodepass.protocol.signals import SignalCodec
from nodepass.tunnel.dialect import Dialect
from nodepass.tunnel.resources import make_resources

if TYPE_CHECKING:
    from nodepass.log import Log
    from nodepass.protocol.extension import Feature
    from nodepass.protocol.session_keys import SessionKeys
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.session import Session

KEY = "a-key-of-the-tests"
PSK = bytes(range(32))
CLIENT = "0123456789abcdef"
AGREEMENT = Agreement(Flow.REVERSE, max=1024, tls=0, type=0)
CODEC = SignalCodec(KEY)


def server_config() -> ServerConfig:
    config = parse_url(f"server://{KEY}@127.0.0.1:10101/127.0.0.1:8080")
    assert isinstance(config, ServerConfig)
    return config


def resources(log: Log, tunables: Tunables | None = None) -> Resources:
    return make_resources(server_config(), tunables or Tunables(), log)


def keys(features: frozenset[Feature] = FEATURES, fingerprint: str = "") -> tuple[Terms, SessionKeys, SessionKeys]:
    """What a handshake comes to: the terms, and the keys of client and server."""
    client, server = ClientExtension(PSK, CLIENT), ServerExtension(PSK)
    assert server.receive(client.header(0.0)) is not None
    answer, servers = server.answer(Terms(new_session(), features, AGREEMENT, fingerprint))
    terms, clients = client.conclude(answer)
    return terms, clients, servers


@dataclass(eq=False)
class FakeSession:
    """What a `Sessions` and a `Gate` see of a session."""

    peer: Address
    dialect: Dialect
    clients_keys: SessionKeys | None = None

    def proof(self, counter: int) -> bytes:
        """What its client writes on a new connection."""
        assert self.clients_keys is not None
        return self.clients_keys.proof(counter)


def v1_session(ip: str) -> FakeSession:
    return FakeSession(Address(ip, 40112), Dialect.v1(CODEC))


def extended_session(ip: str, client: str = CLIENT) -> FakeSession:
    terms, clients, servers = keys()
    return FakeSession(Address(ip, 40112), Dialect.extended(CODEC, servers, terms.features, client), clients)


def as_session(fake: FakeSession) -> Session:
    return cast("Session", fake)
