"""The NP_* environment variables: settings of a whole process that rarely need changing, read once at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from nodepass.config.kinds import Choice, Duration, Integer, Kind
from nodepass.config.values import LogFormat
from nodepass.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_COUNT: Final = Integer(1)
_TIME: Final = Duration(zero_allowed=False)


@dataclass(frozen=True, slots=True)
class Variable(Generic[T]):
    """One environment variable.

    Args:
        name: its name; the field of `Tunables` is the same in lower case without ``NP_``.
        kind: how it is read.
        default: value where it is unset.
        help: what it means, in Markdown.
    """

    name: str
    kind: Kind[T]
    default: T
    help: str

    def read(self, environ: Mapping[str, str]) -> T:
        """Read its value, or return its default.

        Raises:
            ConfigError: it is set to something that is no value of its kind; set to nothing counts as that.
        """
        text = environ.get(self.name)
        if text is None:
            return self.default
        try:
            return self.kind.parse(text)
        except ValueError:
            raise ConfigError(self.name, text, f"expected {self.kind.expected}") from None

    @property
    def default_text(self) -> str:
        """The default as the variable would write it."""
        return self.kind.format(self.default)


SEMAPHORE_LIMIT: Final = Variable("NP_SEMAPHORE_LIMIT", _COUNT, 65536, "most signals waiting to be sent")
TCP_DATA_BUF_SIZE: Final = Variable("NP_TCP_DATA_BUF_SIZE", _COUNT, 524288, "most bytes of one read from a stream")
UDP_DATA_BUF_SIZE: Final = Variable("NP_UDP_DATA_BUF_SIZE", _COUNT, 65535, "largest datagram, in bytes")
HANDSHAKE_TIMEOUT: Final = Variable("NP_HANDSHAKE_TIMEOUT", _TIME, 5.0, "time for a handshake")
TCP_DIAL_TIMEOUT: Final = Variable("NP_TCP_DIAL_TIMEOUT", _TIME, 5.0, "time to connect over TCP")
UDP_DIAL_TIMEOUT: Final = Variable("NP_UDP_DIAL_TIMEOUT", _TIME, 5.0, "time to set up a UDP socket")
UDP_READ_TIMEOUT: Final = Variable("NP_UDP_READ_TIMEOUT", _TIME, 30.0, "a UDP session without traffic ends after this")
POOL_GET_TIMEOUT: Final = Variable("NP_POOL_GET_TIMEOUT", _TIME, 5.0, "time to wait for a pool connection")
MIN_POOL_INTERVAL: Final = Variable("NP_MIN_POOL_INTERVAL", _TIME, 0.1, "shortest time between refills of the pool")
MAX_POOL_INTERVAL: Final = Variable("NP_MAX_POOL_INTERVAL", _TIME, 1.0, "longest time between refills of the pool")
REPORT_INTERVAL: Final = Variable("NP_REPORT_INTERVAL", _TIME, 5.0, "time between pings and between reports")
FALLBACK_INTERVAL: Final = Variable("NP_FALLBACK_INTERVAL", _TIME, 300.0, "`lbs=2` returns to the first target after this")
SERVICE_COOLDOWN: Final = Variable("NP_SERVICE_COOLDOWN", _TIME, 3.0, "pause before an instance that failed starts again")
SHUTDOWN_TIMEOUT: Final = Variable("NP_SHUTDOWN_TIMEOUT", _TIME, 5.0, "time that connections have to finish at the end")
RELOAD_INTERVAL: Final = Variable("NP_RELOAD_INTERVAL", _TIME, 3600.0, "time between re-reading certificates and backups")

LOG_FORMAT: Final = Variable(
    "NP_LOG_FORMAT",
    Choice(LogFormat),
    LogFormat.TEXT,
    "how log lines are written: `text`, or `json`, an object in each line",
)

AnyVariable: TypeAlias = Variable[int] | Variable[float] | Variable[LogFormat]

ALL: Final[tuple[AnyVariable, ...]] = (
    *(SEMAPHORE_LIMIT, TCP_DATA_BUF_SIZE, UDP_DATA_BUF_SIZE),
    *(HANDSHAKE_TIMEOUT, TCP_DIAL_TIMEOUT, UDP_DIAL_TIMEOUT, UDP_READ_TIMEOUT, POOL_GET_TIMEOUT, MIN_POOL_INTERVAL),
    *(MAX_POOL_INTERVAL, REPORT_INTERVAL, FALLBACK_INTERVAL, SERVICE_COOLDOWN, SHUTDOWN_TIMEOUT, RELOAD_INTERVAL),
    LOG_FORMAT,
)
"""Every variable, in the order of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunables:
    """The settings in force, each documented by its variable. Times are in seconds, sizes in bytes.

    The two buffer sizes are upper bounds that a user may set; v1 reads 16384 bytes at a time. Unset, a stream is read
    262144 bytes at a time, for the cost of a relay lies in its system calls and wake-ups, and a datagram may have any
    size that exists: 65507 bytes of payload fit over IPv4, and 65535 is the most a length of 2 bytes can say.
    """

    semaphore_limit: int = SEMAPHORE_LIMIT.default
    tcp_data_buf_size: int = TCP_DATA_BUF_SIZE.default
    udp_data_buf_size: int = UDP_DATA_BUF_SIZE.default
    handshake_timeout: float = HANDSHAKE_TIMEOUT.default
    tcp_dial_timeout: float = TCP_DIAL_TIMEOUT.default
    udp_dial_timeout: float = UDP_DIAL_TIMEOUT.default
    udp_read_timeout: float = UDP_READ_TIMEOUT.default
    pool_get_timeout: float = POOL_GET_TIMEOUT.default
    min_pool_interval: float = MIN_POOL_INTERVAL.default
    max_pool_interval: float = MAX_POOL_INTERVAL.default
    report_interval: float = REPORT_INTERVAL.default
    fallback_interval: float = FALLBACK_INTERVAL.default
    service_cooldown: float = SERVICE_COOLDOWN.default
    shutdown_timeout: float = SHUTDOWN_TIMEOUT.default
    reload_interval: float = RELOAD_INTERVAL.default
    log_format: LogFormat = LOG_FORMAT.default

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Tunables:
        """Read every variable; one that is not in the table is none of this project's.

        Raises:
            ConfigError: a variable is wrong, or the pool's two intervals are the wrong way round.
        """
        tunables = cls(
            semaphore_limit=SEMAPHORE_LIMIT.read(environ),
            tcp_data_buf_size=TCP_DATA_BUF_SIZE.read(environ),
            udp_data_buf_size=UDP_DATA_BUF_SIZE.read(environ),
            handshake_timeout=HANDSHAKE_TIMEOUT.read(environ),
            tcp_dial_timeout=TCP_DIAL_TIMEOUT.read(environ),
            udp_dial_timeout=UDP_DIAL_TIMEOUT.read(environ),
            udp_read_timeout=UDP_READ_TIMEOUT.read(environ),
            pool_get_timeout=POOL_GET_TIMEOUT.read(environ),
            min_pool_interval=MIN_POOL_INTERVAL.read(environ),
            max_pool_interval=MAX_POOL_INTERVAL.read(environ),
            report_interval=REPORT_INTERVAL.read(environ),
            fallback_interval=FALLBACK_INTERVAL.read(environ),
            service_cooldown=SERVICE_COOLDOWN.read(environ),
            shutdown_timeout=SHUTDOWN_TIMEOUT.read(environ),
            reload_interval=RELOAD_INTERVAL.read(environ),
            log_format=LOG_FORMAT.read(environ),
        )
        if tunables.min_pool_interval > tunables.max_pool_interval:
            least, most = MIN_POOL_INTERVAL, MAX_POOL_INTERVAL
            shown = least.kind.format(tunables.min_pool_interval)
            raise ConfigError(
                least.name, shown, f"expected {least.kind.format(tunables.max_pool_interval)}, {most.name}, or less"
            )
        return tunables


def markdown_rows() -> tuple[str, ...]:
    """Return the lines of the README's table of environment variables."""
    return tuple(f"| `{variable.name}` | {variable.help} | `{variable.default_text}` |" for variable in ALL)
