"""Everything nodepass raises on purpose.

::

    NodePassError
    ├── ConfigError              the URL, the environment or a file it names is wrong; nothing has been bound yet
    ├── ProtocolError            a peer sent bytes that are not the protocol
    │   ├── HandshakeError       the HTTP exchange failed; `HandshakeRefused` when the server said no
    │   ├── SignalError          a line of the control channel does not decode
    │   ├── FrameError           a connection that users share carries no frames
    │   ├── ProxyHeaderError     a PROXY header does not parse
    │   └── SilentEndError       it ended its connection, and had sent no byte on it
    ├── TunnelError              something failed while running; the instance restarts or the connection ends
    │   ├── ListenError          an address cannot be bound
    │   ├── DialError            nothing answered at an address
    │   └── SessionError         the tunnel between two peers ended
    │       ├── CertificateError the server shows another certificate than it has told
    │       └── SilenceError     nothing is heard of the peer any more
    ├── RunError                 `nodepass run` cannot begin: its file is run already, or it has no folder for its socket
    └── MasterError              a master cannot do what it was asked to; nothing has changed
        ├── UnknownInstanceError no instance has this ID
        ├── SameUrlError         the URL is the one that it has
        ├── ProcessError         a process cannot be started
        └── StateError           the state cannot be written or opened; what is in memory can be read all the same
"""

from __future__ import annotations


class NodePassError(Exception):
    """Base of all; its text is one line, fit to be shown to the person who runs the tunnel."""


class ConfigError(NodePassError):
    """A setting is wrong: which one, what it was, and what would be right.

    Args:
        setting: name of the parameter, variable or part of the URL.
        value: what was given; None where there is nothing to show or where it is secret.
        expected: what would be right, to follow a colon.
    """

    def __init__(self, setting: str, value: str | None, expected: str) -> None:
        self.setting = setting
        self.value = value
        self.expected = expected
        shown = setting if value is None else f"{setting}={value}"
        super().__init__(f"{shown}: {expected}")


class ProtocolError(NodePassError):
    """A peer sent bytes that are not the protocol."""


class HandshakeError(ProtocolError):
    """The handshake's HTTP exchange failed."""


class HandshakeRefused(HandshakeError):  # noqa: N818 - it is an outcome, named after what the server did
    """The server answered the handshake with a status other than 200.

    Args:
        status: the HTTP status.
        reason: the short text that came with it.
        date: the server's clock then, in unix seconds, if it told.
    """

    def __init__(self, status: int, reason: str, date: float | None = None) -> None:
        self.status = status
        self.reason = reason
        self.date = date
        super().__init__(f"handshake refused: {status} {reason}".rstrip())


class SignalError(ProtocolError):
    """A line of the control channel does not decode."""


class FrameError(ProtocolError):
    """What comes on a connection that users share is not of its framing."""


class ProxyHeaderError(ProtocolError):
    """A PROXY header does not parse."""


class SilentEndError(ProtocolError):
    """A peer ended its connection, and had sent no byte on it: whoever only looks whether somebody listens does that."""


class TunnelError(NodePassError):
    """Something failed while running."""


class ListenError(TunnelError):
    """An address cannot be bound."""


class DialError(TunnelError):
    """Nothing answered at an address."""


class SessionError(TunnelError):
    """The tunnel between two peers ended."""


class CertificateError(SessionError):
    """The server shows another certificate than it has told under the key."""


class SilenceError(SessionError):
    """Nothing is heard of the peer any more: what it has got of what was sent is not known."""


class RunError(NodePassError):
    """`nodepass run` cannot begin."""


class MasterError(NodePassError):
    """A master cannot do what it was asked to."""


class UnknownInstanceError(MasterError):
    """No instance has this ID."""


class SameUrlError(MasterError):
    """An instance has this URL already."""


class ProcessError(MasterError):
    """A process of an instance, or the one that starts them all, cannot be started."""


class StateError(MasterError):
    """The master's state cannot be written or opened."""
