"""What comes under a key: outsiders' bytes, and what one says who has the key."""

from __future__ import annotations

import base64

from nodepass.errors import HandshakeError, SignalError
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.extension import FEATURES, TEXT_LIMIT, ClientExtension, ServerExtension, Terms, new_session
from nodepass.protocol.noise import KEY_SIZE, NoiseHandshake
from nodepass.protocol.sealed import SealedCodec
from nodepass.protocol.session_keys import POOL_PROOF_SIZE, SESSION_SIZE, SessionKeys, begins_proof, counter_of, session_of
from nodepass.protocol.signals import Action, Signal
from tests.fuzz.target import Target

PRE_SHARED = bytes(KEY_SIZE)
CLIENT = "0123456789abcdef"
SESSION = bytes((0x80, *range(1, SESSION_SIZE)))
PING = Signal(Action.PING)


def session_keys() -> tuple[SessionKeys, SessionKeys]:
    """Both ends of a session."""
    initiator, responder = (NoiseHandshake(PRE_SHARED, initiator=first) for first in (True, False))
    responder.read_message(initiator.write_message(b""))
    initiator.read_message(responder.write_message(b""))
    return SessionKeys(SESSION, initiator), SessionKeys(SESSION, responder)


# Made once: each line that is refused leaves them as they were, which is asserted.
here, there = session_keys()
sender, receiver = SealedCodec(here), SealedCodec(there)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def noise_message(data: bytes) -> None:
    for first in (True, False):
        end = NoiseHandshake(PRE_SHARED, initiator=first)
        if first:
            end.write_message(b"")
        try:
            end.read_message(data)
        except HandshakeError:
            continue
        raise AssertionError("a message was taken that nobody wrote")


def extension_header(data: bytes) -> None:
    """As outsiders write it."""
    assert ServerExtension(PRE_SHARED).receive(data.decode("latin-1")) is None


def extension_offer(data: bytes) -> None:
    """As one writes it who has the key."""
    client = NoiseHandshake(PRE_SHARED, initiator=True)
    server = ServerExtension(PRE_SHARED)
    offer = server.receive(f"1 {text(client.write_message(data))}")
    if offer is None:
        return
    assert offer.features <= FEATURES
    assert offer.client == "" or len(offer.client) == len(CLIENT)
    terms = Terms(new_session(), offer.features, Agreement(Flow.REVERSE, 1024, 0, 0), "")
    answer, _ = server.answer(terms)
    assert len(answer) <= TEXT_LIMIT


def extension_answer(data: bytes) -> None:
    """As a server writes it that has the key."""
    client = ClientExtension(PRE_SHARED, CLIENT)
    server = NoiseHandshake(PRE_SHARED, initiator=False)
    server.read_message(base64.b64decode(client.header(0.0).partition(" ")[2]))
    terms, _ = client.conclude(text(server.write_message(data)))
    assert len(terms.session) == SESSION_SIZE
    assert terms.features <= FEATURES


def extension_answer_text(data: bytes) -> None:
    """As outsiders write it."""
    client = ClientExtension(PRE_SHARED, CLIENT)
    client.header(0.0)
    client.conclude(data.decode("latin-1"))
    raise AssertionError("an answer was taken that nobody wrote")


def sealed_line(data: bytes) -> None:
    """As outsiders write it; the next good line opens all the same."""
    try:
        receiver.decode(data)
    except SignalError:
        assert receiver.decode(sender.encode(PING)) == PING
    else:
        raise AssertionError("a line was taken that nobody wrote")


def sealed_signal(data: bytes) -> None:
    """As the other end writes it."""
    found = receiver.decode(base64.b64encode(here.seal(data)))
    assert receiver.decode(sender.encode(found)) == found


def proof(data: bytes) -> None:
    # The gate waits until so many bytes are there.
    if len(data) != POOL_PROOF_SIZE:
        return
    begins_proof(data)
    right = session_of(data) == SESSION and here.proof(counter_of(data)) == data
    assert there.proves(data) == right


KEYED = (
    Target("noise-message", noise_message),
    Target("extension-header", extension_header, longest=TEXT_LIMIT + 100),
    Target("extension-offer", extension_offer),
    Target("extension-answer", extension_answer, (HandshakeError,)),
    Target("extension-answer-text", extension_answer_text, (HandshakeError,)),
    Target("sealed-line", sealed_line),
    Target("sealed-signal", sealed_signal, (SignalError,)),
    Target("proof", proof, longest=40),
)
