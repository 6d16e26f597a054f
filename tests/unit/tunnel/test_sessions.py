"""How a connection finds its session."""

from __future__ import annotations

from nodepass.tunnel.place import Place
from nodepass.tunnel.sessions import Sessions
from tests.unit.tunnel.peers import CLIENT, FakeSession, as_session, extended_session, v1_session

HERE, THERE = "192.0.2.1", "192.0.2.2"


def holding(*members: FakeSession) -> Sessions:
    sessions = Sessions(Place())
    for member in members:
        sessions.add(as_session(member))
    return sessions


def name_of(session: FakeSession) -> bytes:
    assert session.dialect.keys is not None
    return session.dialect.keys.session


def test_a_v1_session_is_known_by_its_address_alone() -> None:
    session = v1_session(HERE)
    sessions = holding(session)
    assert sessions.known_by_address(HERE) is as_session(session)
    assert sessions.known_by_address(THERE) is None
    assert sessions.expected_from(HERE)
    assert not sessions.expected_from(THERE)
    assert not sessions.prove_themselves
    assert not sessions.expects_proof_from(HERE)


def test_a_session_of_the_extension_is_known_by_its_name_from_anywhere() -> None:
    session = extended_session(HERE)
    sessions = holding(session)
    assert sessions.known_by_id(name_of(session)) is as_session(session)
    assert sessions.known_by_id(bytes(8)) is None
    assert sessions.known_by_address(HERE) is None
    assert sessions.prove_themselves
    assert sessions.expected_from(THERE)
    assert sessions.expects_proof_from(HERE)
    assert not sessions.expects_proof_from(THERE)


def test_any_number_of_them_live_at_one_address_beside_one_of_v1() -> None:
    one, two, old = extended_session(HERE, "1" * 16), extended_session(HERE, "2" * 16), v1_session(HERE)
    sessions = holding(one, two, old)
    assert set(sessions) == {as_session(one), as_session(two), as_session(old)}
    sessions.remove(as_session(one))
    assert sessions.expects_proof_from(HERE)
    assert sessions.known_by_id(name_of(one)) is None
    assert sessions.known_by_id(name_of(two)) is as_session(two)
    assert sessions.known_by_address(HERE) is as_session(old)
    sessions.remove(as_session(two))
    assert not sessions.prove_themselves
    # They may come back, and must not be taken for the v1 client while that is there.
    assert sessions.expects_proof_from(HERE)
    sessions.remove(as_session(old))
    assert not sessions.expects_proof_from(HERE)


def test_a_session_may_be_removed_twice() -> None:
    one, two = extended_session(HERE, "1" * 16), extended_session(HERE, "2" * 16)
    sessions = holding(one, two)
    for _ in range(2):
        sessions.remove(as_session(one))
    assert sessions.expects_proof_from(HERE)
    old = v1_session(HERE)
    sessions.add(as_session(old))
    for _ in range(2):
        sessions.remove(as_session(old))
    assert list(sessions) == [as_session(two)]


def test_one_that_took_the_place_of_another_is_not_removed_with_it() -> None:
    before, after = v1_session(HERE), v1_session(HERE)
    sessions = holding(before, after)
    sessions.remove(as_session(before))
    assert sessions.known_by_address(HERE) is as_session(after)


def test_nothing_is_left_of_what_was_removed() -> None:
    members = (extended_session(HERE), extended_session(THERE, ""), v1_session(HERE))
    sessions = holding(*members)
    for member in members[:2]:
        sessions.opened(as_session(member))
    for member in members:
        sessions.remove(as_session(member))
    assert list(sessions) == []
    assert not any((sessions._by_id, sessions._by_client, sessions._by_address, sessions._begun_at))


def test_a_client_that_comes_back_is_known_once_it_has_opened_a_connection() -> None:
    before, after = extended_session(HERE), extended_session(THERE)
    sessions = holding(before, after)
    assert sessions.opened(as_session(before)) is None
    assert sessions.opened(as_session(after)) is as_session(before)
    sessions.remove(as_session(before))
    another = extended_session(HERE)
    sessions.add(as_session(another))
    assert sessions.opened(as_session(another)) is as_session(after)


def test_a_handshake_alone_takes_no_place() -> None:
    real, replayed = extended_session(HERE, CLIENT), extended_session(THERE, CLIENT)
    sessions = holding(real)
    sessions.opened(as_session(real))
    sessions.add(as_session(replayed))
    sessions.remove(as_session(replayed))
    again = extended_session(HERE, CLIENT)
    sessions.add(as_session(again))
    assert sessions.opened(as_session(again)) is as_session(real)


def test_clients_without_a_name_are_not_taken_for_each_other() -> None:
    one, two = extended_session(HERE, ""), extended_session(HERE, "")
    sessions = holding(one, two)
    assert sessions.opened(as_session(one)) is None
    assert sessions.opened(as_session(two)) is None
    sessions.remove(as_session(one))
    assert list(sessions) == [as_session(two)]
