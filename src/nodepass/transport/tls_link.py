"""A TLS 1.3 link over a TCP socket, with OpenSSL between two memory buffers.

asyncio's TLS cannot half-close, and costs a task and a future to set up. Here the `ssl` module is used as h11 or aioquic
would be: bytes in, bytes out. What came from the socket is put into `_incoming`; `_tls.read` turns it into plaintext in a
buffer shared by all links; `_tls.write` turns plaintext into records in `_outgoing`, which go to the socket.

What always holds:

- Half-close is a `close_notify` alert (RFC 8446, 6.1): after it this side still reads, and the other still writes.
- A socket that ends without `close_notify` has been cut off: `connection_lost` with an error, never `eof_received`.
- Plaintext that the receiver paused on stays encrypted in `_incoming` and `_rest`, at most one read's worth.
- Not much more than `PIECE` is in either of OpenSSL's buffers: they never give back what they have grown by, and there are
  two for as long as a connection lives.
- The receiver is attached once `ready` has been called; before that there is only the handshake, bounded in time.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, cast

from nodepass.errors import DialError
from nodepass.net.certificates import ClientTls, ServerCertificate
from nodepass.protocol.signals import fingerprint
from nodepass.transport.socket_link import RECORD_SIZE, Shared, SocketLink

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable
    from typing import TypeAlias

    from nodepass.net.address import Address

    Ready: TypeAlias = Callable[["TlsLink", Exception | None], None]

PIECE = 4 * RECORD_SIZE
"""Bytes that are given to OpenSSL at once."""

CUT_OFF = "the connection was cut off: it ended without TLS close_notify"

NOTHING = memoryview(b"")


class TlsLink(SocketLink):
    """One end of a TLS connection.

    Without `coalesce`, each TLS record is delivered by itself: that keeps the boundaries of datagrams which a v1 peer
    writes one by one.

    Args:
        sock: connected.
        shared: with all links of the instance.
        end: with a certificate, this is the server's end of the connection.
        timeout: seconds the handshake may take.
        ready: called once, with None when the handshake is done, or with the error that ended it.
        remote: the other side, if not what the socket says.
    """

    __slots__ = (
        "_fingerprint",
        "_incoming",
        "_notified",
        "_outgoing",
        "_peer_notified",
        "_plain",
        "_read_into",
        "_ready",
        "_ready_timer",
        "_rest",
        "_stash",
        "_tls",
        "_wake",
    )

    record_size = RECORD_SIZE

    def __init__(
        self,
        sock: socket.socket,
        shared: Shared,
        end: ServerCertificate | ClientTls,
        *,
        timeout: float,
        ready: Ready,
        remote: Address | None = None,
    ) -> None:
        super().__init__(sock, shared, remote)
        self._plain = shared.plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        if isinstance(end, ServerCertificate):
            self._fingerprint: str | None = end.fingerprint
            self._tls = end.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        else:
            self._fingerprint = None
            self._tls = end.context.wrap_bio(self._incoming, self._outgoing, server_hostname=end.hostname)
        # The standard library's types do not know that with a buffer it returns a count.
        self._read_into = cast("Callable[[int, memoryview], int]", self._tls.read)
        self._notified = False
        self._peer_notified = False
        self._rest = NOTHING
        self._stash: list[bytes] = []
        self._wake: asyncio.Handle | None = None
        self._ready: Ready | None = ready
        self._ready_timer = self._loop.call_later(timeout, self._lose, DialError("the TLS handshake took too long"))
        self.resume_reading()
        if isinstance(end, ClientTls):
            self._shake_hands()

    @property
    def fingerprint(self) -> str | None:
        return self._fingerprint

    @property
    def alpn(self) -> str | None:
        """The protocol that both ends agreed on (RFC 7301); None where they agreed on none."""
        return self._tls.selected_alpn_protocol()

    # Handshake.

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            if self._rest:
                self._take_in()
                self._shake_hands()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the other side why
            self._lose(error)
            return
        self._flush()
        ready, self._ready = self._ready, None
        if self._sock is None or ready is None:
            return
        if self._fingerprint is None:
            certificate = self._tls.getpeercert(binary_form=True)
            self._fingerprint = fingerprint(certificate) if certificate else None
        self._ready_timer.cancel()
        self.pause_reading()
        ready(self, None)

    # Reading.

    def resume_reading(self) -> None:
        super().resume_reading()
        waiting = self._stash or self._incoming.pending or self._rest or self._peer_notified
        if self._reading and self._wake is None and waiting:
            self._wake = self._loop.call_soon(self._woken)

    def read_now(self) -> None:
        shared, self._plain = self._plain, memoryview(bytearray(RECORD_SIZE))
        try:
            super().read_now()
        finally:
            self._plain = shared

    def _woken(self) -> None:
        self._wake = None
        if self._reading:
            self._decrypt()

    def _received(self, count: int) -> None:
        if not count:
            self._reading_failed(ConnectionResetError(CUT_OFF))
            return
        data = self._buffer[:count]
        if self._rest:
            # What came before has not been taken yet.
            self._rest = memoryview(b"".join((self._rest, data)))
        elif count > PIECE:
            self._incoming.write(data[:PIECE])
            self._rest = data[PIECE:]
        else:
            self._incoming.write(data)
        if self._ready is None:
            self._decrypt()
        else:
            self._shake_hands()
        if self._rest and self._rest.obj is self._buffer.obj:
            # The next read of any link is into the same memory.
            self._rest = memoryview(bytes(self._rest))

    def _take_in(self) -> None:
        """Give OpenSSL the next piece of what has come."""
        self._incoming.write(self._rest[:PIECE])
        self._rest = self._rest[PIECE:]

    def _decrypt(self) -> None:
        """Deliver the plaintext of all whole records that have come, until the receiver pauses."""
        while self._stash:
            self._receiver.data_received(memoryview(self._stash.pop(0)))
            if not self._reading:
                return
        plain, filled = self._plain, 0
        error: ssl.SSLError | None = None
        try:
            while size := self._next_record(plain[filled:]):
                filled += size
                if not self.coalesce or len(plain) - filled < RECORD_SIZE:
                    count, filled = filled, 0
                    self._receiver.data_received(plain[:count])
                    if not self._reading:
                        return
        except ssl.SSLError as failure:
            error = failure
        if filled:
            self._receiver.data_received(plain[:filled])
        if error is not None:
            self._lose(error)
        elif self._peer_notified:
            self._reading_ended()

    def _next_record(self, buffer: memoryview) -> int:
        """Put the plaintext of one record into `buffer`, and return its size; 0 where no whole record is left."""
        size = -1
        while size < 0:
            try:
                if self._incoming.pending:
                    size = self._read_into(RECORD_SIZE, buffer)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                size = 0
            if size < 0:
                if not self._rest:
                    return 0
                self._take_in()
        if not size:
            # That was `close_notify`: there will be no more.
            self._peer_notified = True
        return size

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._sock is None or self._write_ended or not data:
            return
        if len(data) > PIECE:
            pieces = memoryview(data)
            for start in range(0, len(pieces), PIECE):
                self._encrypt(pieces[start : start + PIECE])
        else:
            self._encrypt(data)

    def write_both(self, head: bytes, body: memoryview) -> None:
        if self._sock is None or self._write_ended:
            return
        self._encrypt(head, body[:PIECE])
        self.write(body[PIECE:])

    def _encrypt(self, *pieces: bytes | bytearray | memoryview) -> None:
        """Send what is not much, or nothing where the link has broken meanwhile."""
        if self._sock is None:
            return
        try:
            for piece in pieces:
                self._tls.write(piece)
        except ssl.SSLError as error:
            self._lose(error)
            return
        self._send_raw(self._outgoing.read())

    def write_eof(self) -> None:
        if self._sock is None or self._write_ended:
            return
        self._write_ended = True
        self._stash_plaintext()
        self._notify()
        if not self.gone and not self._queue:
            self._shut_down()

    def _stash_plaintext(self) -> None:
        """Decrypt what has come but was paused on: OpenSSL refuses application data while it sends `close_notify`."""
        record = memoryview(bytearray(RECORD_SIZE))
        try:
            while size := self._next_record(record):
                self._stash.append(bytes(record[:size]))
        except ssl.SSLError as error:
            self._lose(error)

    def _notify(self) -> None:
        """Send `close_notify`, once."""
        if self._notified or self._ready is not None:
            return
        self._notified = True
        # `unwrap` also waits for the other side's alert; that is not here yet, or what is here is no alert: both are fine.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _end_stream(self) -> None:
        self._notify()

    def _flush(self) -> None:
        if self._outgoing.pending and self._sock is not None:
            self._send_raw(self._outgoing.read())

    # The end.

    def _lose(self, error: Exception | None) -> None:
        self._ready_timer.cancel()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        super()._lose(error)
        self._rest = NOTHING
        ready, self._ready = self._ready, None
        if ready is not None and error is not None:
            ready(self, error)
