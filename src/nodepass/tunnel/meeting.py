"""The client's side of a handshake: asks the server for a session, and tells what both have agreed on.

It proves the key with the extension first, and shows no token: whoever listens, or answers in the server's place, learns
nothing to use. A v1 server refuses that. Only then, and not with `strict=1`, the token is sent, as v1 does; from then on it
goes with every handshake, since it can be known.

The server takes a proof for one minute. Where its clock is not this machine's, as on a router that has just started, it
refuses, and tells its time with that: the client tries once more by the server's clock. That gives nothing away: a proof
serves whoever made it only.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Final

from nodepass.errors import DialError, HandshakeError, HandshakeRefused
from nodepass.net.address import Address
from nodepass.protocol.client_handshake import ClientHandshake
from nodepass.protocol.extension import MOST_AGE, ClientExtension, Feature
from nodepass.protocol.handshake import bearer_token
from nodepass.protocol.signals import Action
from nodepass.protocol.tunnel_key import pre_shared_key
from nodepass.tunnel.sharing import lacks, offered

if TYPE_CHECKING:
    from nodepass.config import ClientConfig
    from nodepass.protocol.agreement import Agreement
    from nodepass.protocol.client_handshake import Answer
    from nodepass.protocol.extension import Terms
    from nodepass.protocol.session_keys import SessionKeys
    from nodepass.tunnel.resources import Resources

HTTPS_PORT: Final = 443
"""A client that dials this port finds a reverse proxy in front of the server, and speaks https to it (spec: wire.md)."""

READ_SIZE: Final = 16 * 1024

CLIENT_NAME_SIZE: Final = 8
"""Bytes by which a server knows a client that comes back."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What a handshake came to.

    Args:
        server: where the server was found, and pool connections go.
        agreement: what the server decides.
        terms: what it says under the key; None from a v1 server.
        keys: of the session; None with a v1 server.
    """

    server: Address
    agreement: Agreement
    terms: Terms | None = None
    keys: SessionKeys | None = None

    @property
    def server_workers(self) -> int:
        """How many processes the server is, as far as it tells."""
        return 1 if self.terms is None else self.terms.workers


class Introduction:
    """How one client introduces itself to its server, again and again.

    Args:
        config: where the server is, and the key.
        resources: of the instance.
    """

    def __init__(self, config: ClientConfig, resources: Resources) -> None:
        self._config = config
        self._resources = resources
        self._name = secrets.token_hex(CLIENT_NAME_SIZE)
        carried = {Action.TCP: not config.notcp, Action.UDP: not config.noudp}
        self._refuses = frozenset(action for action, is_carried in carried.items() if not is_carried)
        self._clock_difference = 0.0
        self._shows_token = False

    async def meet(self) -> Meeting:
        """Ask the server for a session.

        Raises:
            DialError: the server cannot be reached or does not answer in time.
            HandshakeError: it answered something else than an agreement; `HandshakeRefused` if it refused.
        """
        key = await asyncio.to_thread(pre_shared_key, self._config.secret.reveal())
        try:
            return await self._ask(key)
        except HandshakeRefused as refusal:
            if refusal.status != HTTPStatus.UNAUTHORIZED:
                raise
            if self._follows_clock(refusal.date):
                return await self._ask(key)
            if self._config.strict or self._shows_token:
                raise
        return await self._ask_with_token(key)

    def _follows_clock(self, date: float | None) -> bool:
        """Whether the server's clock is so far off that this may be why it refused; it is followed from now on."""
        if date is None or abs(date - time() - self._clock_difference) < MOST_AGE / 2:
            return False
        self._clock_difference = date - time()
        self._resources.log.warning("The server's clock is %+.0f s off this machine's", self._clock_difference)
        return True

    async def _ask_with_token(self, key: bytes) -> Meeting:
        self._shows_token = True
        try:
            meeting = await self._ask(key)
        except HandshakeError:
            self._shows_token = False
            raise
        if meeting.keys is None:
            self._resources.log.warning("The server is of version 1: it proves nothing (strict=1 refuses such servers)")
        return meeting

    async def _ask(self, key: bytes) -> Meeting:
        """Ask at each address of the server until one answers."""
        host = self._config.tunnel.host or "localhost"
        timeout = self._resources.tunables.handshake_timeout
        failure = DialError(f"cannot resolve {host}")
        for ip in await self._resources.resolver.resolve(host):
            address = Address(ip, self._config.tunnel.port)
            extension = ClientExtension(key, self._name, self._refuses, offered(self._config.pool))
            try:
                async with asyncio.timeout(timeout):
                    answer = await self._exchange(address, host, extension)
            except TimeoutError:
                failure = DialError(f"the server at {address} did not answer within {timeout:g} s")
            except ssl.SSLError as error:
                failure = DialError(f"TLS with the server at {address}: {error.reason or error}")
            except OSError as error:
                failure = DialError(f"cannot connect to the server at {address}: {error.strerror or error}")
            else:
                return self._conclude(address, extension, answer)
        raise failure

    async def _exchange(self, address: Address, host: str, extension: ClientExtension) -> Answer:
        config = self._config
        tls = ssl.create_default_context() if config.tunnel.port == HTTPS_PORT else None
        name = (config.sni or host) if tls is not None else None
        reader, writer = await asyncio.open_connection(address.ip, address.port, ssl=tls, server_hostname=name)
        try:
            token = bearer_token(config.secret.reveal()) if self._shows_token else ""
            handshake = ClientHandshake(config.server_name, token, extension.header(time() + self._clock_difference))
            writer.write(handshake.request())
            while data := await reader.read(READ_SIZE):
                answer = handshake.receive(data)
                if answer is not None:
                    return answer
            return handshake.receive_eof()
        except ConnectionError as error:
            raise HandshakeError(f"the server broke the handshake off: {error.strerror or error}") from error
        finally:
            writer.close()

    def _conclude(self, address: Address, extension: ClientExtension, answer: Answer) -> Meeting:
        if answer.extension is None:
            if self._config.strict:
                raise HandshakeError("the server does not prove the key: it is of version 1, or someone is in between")
            return self._accept(Meeting(address, answer.agreement))
        terms, keys = extension.conclude(answer.extension)
        if terms.agreement != answer.agreement:
            raise HandshakeError("the server's answer was changed on the way: someone is in between")
        return self._accept(Meeting(address, terms.agreement, terms, keys))

    def _accept(self, meeting: Meeting) -> Meeting:
        features = meeting.terms.features if meeting.terms is not None else frozenset[Feature]()
        if lacks(self._config.pool, meeting.agreement, features):
            raise HandshakeError("the server has each user use a connection of its own, and pool=mux here asks for sharing")
        return meeting
