"""The extension inside the handshake: what two peers of this project tell each other (extension.md).

The client's HTTP request carries the first message of a Noise handshake in the header `HEADER`, the server's JSON answer
the second as its member ``extension``. Both are sealed under a key made of the tunnel key, so each end proves that it has
that, and nobody else reads or changes what they say. What comes of it are `Terms` for both, and `SessionKeys`.

Client: `ClientExtension.header`, send it, `ClientExtension.conclude`. Server: `ServerExtension.receive`, decide,
`ServerExtension.answer`.

What always holds:

* whatever the other end sends, reading it ends in a value, or in None at the server and `HandshakeError` at the client;
* the server computes nothing costly for a message that does not decrypt;
* no clock is read: whether an `Offer` is old, and whether it has been seen before, is for the caller to decide. It is valid
  from `MOST_AGE` before its time to `MOST_AGE` after, and its `fresh` must be remembered for `REPLAY_LIFETIME`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from nodepass.errors import HandshakeError
from nodepass.protocol.agreement import Agreement
from nodepass.protocol.json_object import parse_object
from nodepass.protocol.noise import KEY_SIZE, NoiseHandshake
from nodepass.protocol.session_keys import SESSION_SIZE, SessionKeys
from nodepass.protocol.signals import LAUNCHES, is_fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nodepass.protocol.signals import Action

HEADER: Final = "NodePass-Extension"
"""The HTTP header that carries the client's message."""

VERSION: Final = 1
"""What that header begins with."""

MOST_AGE: Final = 60.0
"""Seconds by which the client's clock may differ from the server's, either way."""

REPLAY_LIFETIME: Final = 2 * MOST_AGE
"""Seconds for which a server remembers an offer: the client's clock may have been ahead."""

MOST_WORKERS: Final = 64
"""Processes that a server tells of."""

TEXT_LIMIT: Final = 4096
"""Longest header or answer, in characters."""

_LATEST_TIME: Final = 2.0**53
_CLIENT: Final = re.compile(r"[0-9a-f]{16}")
_SESSION: Final = re.compile(r"[89a-f][0-9a-f]{15}")


class Feature(Enum):
    """What a peer can do beyond v1."""

    POOL_AUTH = "pool-auth"
    """Pool connections begin with a proof of the session that they belong to."""
    PIN = "pin"
    """The client knows the certificate of the server."""
    SEAL = "seal"
    """Control lines are sealed."""
    UDP_FRAME = "udp-frame"
    """Datagrams keep their boundaries."""
    INBAND = "inband"
    """The launch signal travels on the connection that it is about."""
    CONFIRM = "confirm"
    """The egress tells when a TCP user's target is reached."""
    MUX = "mux"
    """Users share pool connections."""
    SESSIONS = "sessions"
    """A server holds several sessions at once."""


FEATURES: Final = frozenset(Feature)
"""What this version has."""


def new_session() -> bytes:
    """Choose the name of a session, which nobody can guess.

    Its first bit is set, so that a pool connection never begins as HTTP or TLS does.
    """
    first, *others = secrets.token_bytes(SESSION_SIZE)
    return bytes((first | 0x80, *others))


@dataclass(frozen=True, slots=True)
class Offer:
    """What the client says.

    Args:
        time: the client's clock, in Unix seconds.
        features: what it has of ours.
        client: 16 hex digits that name the client's process; empty if it does not give any. A client that comes back
            has the same.
        fresh: its ephemeral public key. No two honest messages share one.
    """

    time: float
    features: frozenset[Feature]
    client: str
    fresh: bytes
    refuses: frozenset[Action] = frozenset()
    """What it does not carry (`notcp`, `noudp`), of `Action.TCP` and `Action.UDP`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the server says.

    Args:
        session: the name of the session, as `new_session` gives it.
        features: what both have.
        agreement: what the clear answer says, too, where anybody could have changed it.
        fingerprint: of the server's certificate now, as `signals.fingerprint` writes it; empty without TLS.
        workers: processes that the server is. Each connection comes to one of them, so a client that has few of them, each
            for many users, does well to have more.
    """

    session: bytes
    features: frozenset[Feature]
    agreement: Agreement
    fingerprint: str
    workers: int = 1


class ClientExtension:
    """The client's side of one handshake.

    Args:
        psk: what `pre_shared_key` gives.
        client: 16 hex digits that name this process.
        refuses: what it does not carry, see `Offer`.
        features: what it has of ours.
    """

    def __init__(
        self, psk: bytes, client: str, refuses: Collection[Action] = (), features: frozenset[Feature] = FEATURES
    ) -> None:
        self._client = client
        self._refuses = refuses
        self._features = features
        self._handshake = NoiseHandshake(psk, initiator=True)

    def header(self, now: float) -> str:
        """Give the value of `HEADER`. Once: each handshake has its own.

        Args:
            now: Unix seconds.
        """
        payload = {"time": now, "features": _names(self._features), "client": self._client}
        if self._refuses:
            payload["refuses"] = sorted(action.value for action in self._refuses)
        return f"{VERSION} {_to_text(self._handshake.write_message(_to_json(payload)))}"

    def conclude(self, answer: object) -> tuple[Terms, SessionKeys]:
        """Read what the server answered; once, after `header`.

        Args:
            answer: the member ``extension`` of its JSON answer, whatever that is.

        Raises:
            HandshakeError: it is not from a server with the same key that answers this very header, or says nothing that
                makes sense.
        """
        if not isinstance(answer, str):
            raise HandshakeError("the server answered without the extension")
        try:
            payload = self._handshake.read_message(_from_text(answer))
        except (HandshakeError, ValueError) as error:
            problem = "the server did not prove that it has the key: its key is another, or someone stands in between"
            raise HandshakeError(problem) from error
        try:
            members = parse_object(payload)
        except ValueError as error:
            raise HandshakeError("the server's extension is not a JSON object") from error
        terms = _read_terms(members)
        return terms, SessionKeys(terms.session, self._handshake)


class ServerExtension:
    """The server's side of one handshake.

    Args:
        psk: what `pre_shared_key` gives.
    """

    def __init__(self, psk: bytes) -> None:
        self._handshake = NoiseHandshake(psk, initiator=False)

    def receive(self, header: str) -> Offer | None:
        """Read the value of `HEADER`; once.

        Returns:
            None when it is not for us: of another version, malformed, or under another key.
        """
        version, _, text = header.partition(" ")
        if version != str(VERSION):
            return None
        try:
            message = _from_text(text)
            members = parse_object(self._handshake.read_message(message))
        except (HandshakeError, ValueError):
            return None
        return _read_offer(members, message[:KEY_SIZE])

    def answer(self, terms: Terms) -> tuple[str, SessionKeys]:
        """Accept the offer that `receive` gave; once.

        Returns:
            The text of the member ``extension``, and the keys.
        """
        payload = {
            "session": terms.session.hex(),
            "features": _names(terms.features),
            **terms.agreement.members(),
            "fingerprint": terms.fingerprint,
        }
        if terms.workers > 1:
            payload["workers"] = terms.workers
        text = _to_text(self._handshake.write_message(_to_json(payload)))
        return text, SessionKeys(terms.session, self._handshake)


def _names(features: Iterable[Feature]) -> list[str]:
    return sorted(feature.value for feature in features)


def _to_json(members: dict[str, object]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _to_text(message: bytes) -> str:
    return base64.b64encode(message).decode("ascii")


def _from_text(text: str) -> bytes:
    """Read base64; a ValueError where it is not, or too long."""
    if len(text) > TEXT_LIMIT:
        message = "too long"
        raise ValueError(message)
    return binascii.a2b_base64(text, strict_mode=True)


def _read_features(members: dict[str, object]) -> frozenset[Feature] | None:
    """Read those that are ours of a list of names; None where there is no list."""
    names = members.get("features")
    return frozenset(feature for feature in Feature if feature.value in names) if isinstance(names, list) else None


def _read_offer(members: dict[str, object], fresh: bytes) -> Offer | None:
    time, features, client = members.get("time"), _read_features(members), members.get("client")
    # bool is an int to Python; a comparison with NaN is false.
    if not isinstance(time, int | float) or isinstance(time, bool) or not 0 <= time <= _LATEST_TIME or features is None:
        return None
    if not isinstance(client, str) or not _CLIENT.fullmatch(client):
        client = ""
    names = members.get("refuses")
    refuses = frozenset(action for action in LAUNCHES if isinstance(names, list) and action.value in names)
    return Offer(float(time), features, client, fresh, refuses)


def _read_terms(members: dict[str, object]) -> Terms:
    session, features, fingerprint = members.get("session"), _read_features(members), members.get("fingerprint")
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise HandshakeError("the server's extension names no session")
    if features is None:
        raise HandshakeError("the server's extension has no list of features")
    if not isinstance(fingerprint, str) or (fingerprint and not is_fingerprint(fingerprint)):
        raise HandshakeError("the server's extension has no fingerprint that is one")
    workers = members.get("workers")
    # bool is an int to Python. What makes no sense is left aside: it is a hint.
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MOST_WORKERS:
        workers = 1
    return Terms(bytes.fromhex(session), features, Agreement.from_members(members), fingerprint, workers)
