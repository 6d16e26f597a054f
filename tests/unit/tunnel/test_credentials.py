"""What a client says first on a connection, and to whom."""

from __future__ import annotations

import pytest

from nodepass.errors import CertificateError
from nodepass.net.address import Address
from nodepass.protocol.extension import FEATURES, Feature
from nodepass.protocol.session_keys import POOL_PROOF_SIZE, counter_of
from nodepass.protocol.signals import fingerprint
from nodepass.tunnel.credentials import Credentials
from nodepass.tunnel.dialect import Dialect
from nodepass.tunnel.meeting import Meeting
from tests.unit.relay.fakes import FakeLink
from tests.unit.tunnel.peers import AGREEMENT, CODEC, keys

SERVER = Address("192.0.2.1", 10101)
TOLD, OTHER, LATER = (fingerprint(name) for name in (b"told", b"other", b"later"))


def meeting(features: frozenset[Feature] = FEATURES, told: str = "") -> tuple[Meeting, Dialect]:
    """A handshake's outcome, and how the server sees the same session."""
    terms, clients, servers = keys(features, told)
    return Meeting(SERVER, AGREEMENT, terms, clients), Dialect.extended(CODEC, servers, features)


def test_a_v1_server_is_told_nothing_and_not_looked_at() -> None:
    credentials = Credentials(Meeting(SERVER, AGREEMENT))
    for certificate in (None, OTHER):
        link = FakeLink(fingerprint=certificate)
        credentials.show(link)
        assert link.sent == b""
    credentials.trust(TOLD)
    credentials.show(FakeLink(fingerprint=OTHER))


def test_each_connection_begins_with_a_proof_of_its_own_that_the_server_admits() -> None:
    outcome, dialect = meeting()
    credentials = Credentials(outcome)
    links = [FakeLink() for _ in range(5)]
    for link in links:
        credentials.show(link)
        assert len(link.sent) == POOL_PROOF_SIZE
    assert len({counter_of(link.sent) for link in links}) == 5
    # In whatever order they come; and none of them twice.
    assert [dialect.admits(link.sent) for link in reversed(links)] == [True] * 5
    assert not any(dialect.admits(link.sent) for link in links)


def test_a_server_without_pool_auth_gets_no_proof() -> None:
    outcome, _ = meeting(FEATURES - {Feature.POOL_AUTH})
    link = FakeLink()
    Credentials(outcome).show(link)
    assert link.sent == b""


@pytest.mark.parametrize("shown", [OTHER, None, ""])
def test_another_certificate_is_told_nothing(shown: str | None) -> None:
    outcome, dialect = meeting(told=TOLD)
    credentials = Credentials(outcome)
    link = FakeLink(fingerprint=shown)
    with pytest.raises(CertificateError, match=r"not the one that the server has told: someone may stand between"):
        credentials.show(link)
    assert link.sent == b""
    right = FakeLink(fingerprint=TOLD)
    credentials.show(right)
    assert dialect.admits(right.sent)


def test_a_certificate_that_is_announced_is_trusted_beside_the_first() -> None:
    outcome, _ = meeting(told=TOLD)
    credentials = Credentials(outcome)
    with pytest.raises(CertificateError):
        credentials.show(FakeLink(fingerprint=LATER))
    credentials.trust(LATER)
    for certificate in (TOLD, LATER):
        credentials.show(FakeLink(fingerprint=certificate))
    with pytest.raises(CertificateError):
        credentials.show(FakeLink(fingerprint=OTHER))


@pytest.mark.parametrize(("features", "told"), [(FEATURES, ""), (FEATURES - {Feature.PIN}, TOLD)])
def test_without_tls_or_without_pin_there_is_nothing_to_compare(features: frozenset[Feature], told: str) -> None:
    outcome, _ = meeting(features, told)
    link = FakeLink(fingerprint=OTHER)
    Credentials(outcome).show(link)
    assert len(link.sent) == POOL_PROOF_SIZE


def test_however_many_certificates_a_server_tells_few_are_known() -> None:
    outcome, _ = meeting(told=TOLD)
    credentials = Credentials(outcome)
    for number in range(1000):
        credentials.trust(fingerprint(number.to_bytes(2, "big")))
    credentials.trust(LATER)
    credentials.show(FakeLink(fingerprint=LATER))
    with pytest.raises(CertificateError):
        credentials.show(FakeLink(fingerprint=TOLD))
