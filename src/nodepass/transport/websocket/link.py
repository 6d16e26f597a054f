"""A link over a WebSocket over another link, and how it ends.

RFC 6455, 7: either side sends Close, the other answers with Close, and the connection below ends. Behind its Close a side
sends nothing. So:

- With the subprotocol `HALF_CLOSE`, an empty message ends a direction, and Close goes out when both have ended.
- Without it (a v1 peer), `write_eof` sends Close; this side reads on until the other's.
- A Close that comes means that the other side sends no more and takes no more: the end is delivered, and whoever writes
  after that learns that the stream is broken.
- A connection that ends without Close was cut off. That is how a broken stream is passed on, through any proxy.
- The connection below is ended in order only behind both Closes: a proxy takes the end of one direction for that of both.

What always holds: the link is gone for its owner when the connection below is, and all that came has been told; or, when
the stream broke, when what came before has been told, or has had time to be (`Patience`).
"""

from __future__ import annotations

from functools import partial

from nodepass.transport.base import LINGER, NOBODY, Ending
from nodepass.transport.patience import Patience, UnreadError
from nodepass.transport.websocket.message_link import NOTHING, MessageLink

CUT_OFF = "the connection was cut off: it ended without a WebSocket Close"
CLOSED = "the other side closed the WebSocket and takes no more"


class WebSocketLink(MessageLink):
    """One end of a WebSocket whose upgrade is done. See `MessageLink`."""

    __slots__ = ()

    @property
    def on_the_way(self) -> object:
        return self._lower.on_the_way

    def write_eof(self) -> None:
        if self._lost or self._write_ended or self._ending is not None:
            return
        self._write_ended = True
        self._open = False
        # Where the peer has ended already, Close says all there is to say.
        one_of_two = self._codec.half_closes and not self._read_ended
        if self._codec.may_close:
            self._lower.write(self._codec.end() if one_of_two else self._codec.close())
        self._end_if_done()

    def close(self) -> None:
        if self._begin_ending(Ending.CLOSE):
            self._lower.write(self._codec.close())
            self._lower.close()

    def break_off(self) -> None:
        if self._begin_ending(Ending.BREAK):
            self._lower.break_off()

    def abort(self) -> None:
        self._ending = self._ending or Ending.BREAK
        self._lower.abort()
        self._lose(None)

    # As the receiver of the link below.

    def eof_received(self) -> None:
        self._ended_below(ConnectionResetError(CUT_OFF))

    def connection_lost(self, error: Exception | None) -> None:
        if self._ending is not None or isinstance(error, UnreadError):
            self._lose(error)
        else:
            self._ended_below(error or ConnectionResetError(CUT_OFF))

    def _ended_below(self, error: Exception) -> None:
        """The connection below has ended; `error` says how, should it be a surprise."""
        self._below_end = error
        if not self._raw:
            self._judge_end_below(error)
        elif self._lower.gone:
            self._lose_later(error)

    def _judge_end_below(self, error: Exception) -> None:
        """All has been decoded that came before it: was it to be expected?"""
        if not self._codec.closed and not (self._codec.ended and self._write_ended):
            self._fail(error)
            return
        self._open = False
        self._hurry_no_more()
        self._lower.write_eof()
        self._end_if_done()

    # The end.

    def _tell_end(self) -> None:
        # An end that was found together with an error, as in a Close that tells of one, is none.
        if self._codec.ended and not self._read_ended and self._codec.error is None:
            if not self._reading:
                return
            self._read_ended = True
            self._receiver.eof_received()
            self._end_if_done()
        if self._below_end is not None:
            self._judge_end_below(self._below_end)
        if self._failure is not None:
            self._lose(self._failure)

    def _write_too_late(self) -> None:
        """Where the peer has closed, what is written is lost: the owner should know."""
        if self._codec.closed and not self._write_ended and self._ending is None:
            self._fail(ConnectionResetError(CLOSED))

    def _end_if_done(self) -> None:
        """When both directions have ended, exchange Close; the end of the connection below is that of the link."""
        if not (self._read_ended and self._write_ended) or self._ending is not None or self._failure is not None:
            return
        if self._lower.gone:
            self._lose(None)
            return
        self._lower.write(self._codec.close())
        if self._linger is None:
            self._linger = self._loop.call_later(LINGER, self._end_late)

    def _end_late(self) -> None:
        """The peer has had time to end the connection below, unless it has not even taken all that was sent."""
        self._linger = None
        if self._lower.unsent:
            self._end_if_done()
        else:
            self._lower.close()

    def _fail(self, error: Exception) -> None:
        """The stream is broken: break it below, and tell so behind what has come before, for which there is a while."""
        if self._lost or self._failure is not None:
            return
        self._failure = error
        self._open = False
        self._lower.break_off()
        self._lose_later(error)
        self._wake_up()

    def _lose_later(self, error: Exception) -> None:
        self._hurry_no_more()
        self._linger = Patience(self._left, partial(self._lose, UnreadError(*error.args)))

    def _left(self) -> object:
        """See `Patience`."""
        return len(self._raw)

    def _hurry_no_more(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _begin_ending(self, ending: Ending) -> bool:
        """The owner reads no more; whether there is something below to be ended."""
        if self._ending is not None or self._lost:
            return False
        self._ending = ending
        self._reading = self._open = False
        self._raw = NOTHING
        if self._lower.gone:
            self._lose(None)
        return not self._lost

    def _lose(self, error: Exception | None) -> None:
        """The link is gone for its owner, who is told once."""
        if self._lost:
            return
        self._lost = True
        self._reading = self._open = False
        self._raw = NOTHING
        self._codec.stop()
        self._keep_alive.discard(self)
        self._hurry_no_more()
        if self._wake is not None:
            self._wake.cancel()
        if error is not None:
            self._last_error = error
        receiver, self._receiver = self._receiver, NOBODY
        receiver.connection_lost(error)
