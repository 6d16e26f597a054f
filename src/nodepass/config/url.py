"""URLs into configurations, and back.

No error shows the tunnel key. Two things see to that: nothing is quoted that could be the key in a URL written wrongly
(an ``@`` forgotten, a ``/`` in the key not encoded), and `parse_url` raises every error afresh, with no chained cause
and with what repeats the key left out.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar
from urllib.parse import quote

from nodepass.config import params
from nodepass.config.configs import DEFAULT_PREFIX, ClientConfig, MasterConfig, ServerConfig, TunnelConfig
from nodepass.config.endpoint import Endpoint, parse_endpoint
from nodepass.config.parameter import ParameterValues
from nodepass.config.query import decode_percent, split_query
from nodepass.config.split import SplitUrl, split_url
from nodepass.config.values import Mode, PoolTransport, RunMode, Secret, TlsMode
from nodepass.errors import ConfigError

Config: TypeAlias = ServerConfig | ClientConfig | MasterConfig
TunnelT = TypeVar("TunnelT", bound=TunnelConfig)

_PREFIX: Final = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)+")
_FNV_OFFSET_BASIS: Final = 2166136261
_FNV_PRIME: Final = 16777619


def parse_url(text: str) -> Config:
    """Read and check a whole URL, without touching the network or any file.

    Args:
        text: ``<mode>://<key>@<tunnel address>/<target>[,<target>…]?<parameters>``, or
            ``master://<address>[/<prefix>]?<parameters>``.

    Raises:
        ConfigError: something in it is wrong. Neither it nor its traceback holds the key.
    """
    parts = split_url(text)
    try:
        return _build(parts)
    except ConfigError as error:
        refusal = _without_key(error, parts)
    # Outside the handler, or the error it replaces would hang on as its context.
    raise refusal


def to_url(config: Config, *, with_secret: bool) -> str:
    """Write a configuration as a URL with every parameter of its mode, defaults included.

    What has no value to write, such as `crt` without a file, is left out, and so is a key derived from the port.

    Args:
        config: what to write.
        with_secret: whether to write the key. With it, `parse_url` gives the configuration back.
    """
    texts = ((row.name, row.text_in(config)) for row in params.rows_of(config.scheme))
    query = "&".join(f"{name}={quote(text, safe='/:,')}" for name, text in texts if text)
    if isinstance(config, MasterConfig):
        return f"{config.scheme}://{_quoted(config.address)}{config.prefix}?{query}"
    shows_key = with_secret and not config.key_is_default
    key = f"{quote(config.secret.reveal(), safe='')}@" if shows_key else ""
    targets = ",".join(map(_quoted, config.targets))
    return f"{config.scheme}://{key}{_quoted(config.tunnel)}/{targets}?{query}"


def default_key(port: int) -> str:
    """Return the key of a tunnel whose URL gives none: 8 hex digits of FNV-1a 32 over the port's decimal digits."""
    digest = _FNV_OFFSET_BASIS
    for byte in str(port).encode("ascii"):
        digest = (digest ^ byte) * _FNV_PRIME % 2**32
    return f"{digest:08x}"


def _quoted(endpoint: Endpoint) -> str:
    """Write an endpoint for a URL: the ``%`` of an IPv6 zone is the one character that needs encoding."""
    return quote(str(endpoint), safe=":[]")


def _without_key(error: ConfigError, parts: SplitUrl) -> ConfigError:
    """Return the error, its value left out where it repeats the key."""
    setting, value = error.setting, error.value
    if value is not None and any(key in value for key in parts.key_texts):
        value = None
    return ConfigError(setting, value, error.expected)


def _build(parts: SplitUrl) -> Config:
    """Turn the parts of a URL into a configuration."""
    address = _tunnel_address(parts)
    if parts.mode is Mode.MASTER:
        return _master(parts, address)
    targets = _targets(parts.path)
    values = ParameterValues(split_query(parts.mode, parts.query))
    config: ServerConfig | ClientConfig
    if parts.mode is Mode.SERVER:
        config = _tunnel(ServerConfig, parts, address, targets, values)
    else:
        config = replace(
            _tunnel(ClientConfig, parts, address, targets, values), min=values[params.MIN], sni=values[params.SNI]
        )
    _check_certificate(config)
    _check_strict(config)
    _check_workers(config)
    _check_loop(config)
    return config


def _tunnel(
    make: type[TunnelT], parts: SplitUrl, tunnel: Endpoint, targets: tuple[Endpoint, ...], values: ParameterValues
) -> TunnelT:
    """Make a server's or client's configuration, its own parameters still at their defaults."""
    return make(
        secret=Secret(parts.key or default_key(tunnel.port)),
        key_is_default=not parts.key,
        tunnel=tunnel,
        targets=targets,
        log=values[params.LOG],
        tls=values[params.TLS],
        crt=values[params.CRT],
        key=values[params.KEY],
        type=values[params.TYPE],
        mode=values[params.MODE],
        dns=values[params.DNS],
        max=values[params.MAX],
        rate=values[params.RATE],
        slot=values[params.SLOT],
        proxy=values[params.PROXY],
        read=values[params.READ],
        dial=values[params.DIAL],
        notcp=values[params.NOTCP],
        noudp=values[params.NOUDP],
        lbs=values[params.LBS],
        block=values[params.BLOCK],
        strict=values[params.STRICT],
        pool=values[params.POOL],
        workers=values[params.WORKERS],
        allow=values[params.ALLOW],
        deny=values[params.DENY],
        proxyin=values[params.PROXYIN],
    )


def _master(parts: SplitUrl, address: Endpoint) -> MasterConfig:
    """Make a master's configuration."""
    if parts.key_texts:
        raise ConfigError("key", None, "expected none: a master makes its own API key")
    prefix = parts.path.rstrip("/") or DEFAULT_PREFIX
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError("prefix", prefix, "expected a path such as /api, of letters, digits and . _ ~ -")
    values = ParameterValues(split_query(parts.mode, parts.query))
    config = MasterConfig(
        address=address,
        prefix=prefix,
        log=values[params.LOG],
        tls=values[params.TLS],
        crt=values[params.CRT],
        key=values[params.KEY],
        dashboard=values[params.DASHBOARD],
    )
    _check_certificate(config)
    return config


def _tunnel_address(parts: SplitUrl) -> Endpoint:
    """Read the address in front of the path."""
    name = "address" if parts.mode is Mode.MASTER else "tunnel address"
    try:
        return parse_endpoint(decode_percent(parts.address))
    except ValueError as error:
        problem = str(error)
    raise ConfigError(name, _showable_address(parts), problem)


def _showable_address(parts: SplitUrl) -> str | None:
    """Return what a message may show of the address.

    Where no ``@`` ends the key, the key itself may stand in the host's place: then only a port is shown. Where the
    query has an ``@``, a key with a ``?`` in it may reach that far: then nothing is.
    """
    if "@" in parts.query:
        return None
    if parts.has_user_part:
        return parts.address
    host, colon, port = parts.address.rpartition(":")
    if not colon or not port.isdecimal():
        return None
    return f"…:{port}" if host else parts.address


def _targets(path: str) -> tuple[Endpoint, ...]:
    """Read the comma-separated targets of a path."""
    try:
        texts = decode_percent(path.removeprefix("/"))
    except ValueError as error:
        problem = str(error)
    else:
        if texts:
            return tuple(map(_target, texts.split(",")))
        problem = "missing; expected host:port after the tunnel address, as in server://:10101/127.0.0.1:8080"
    raise ConfigError("target", None, problem)


def _target(text: str) -> Endpoint:
    """Read one target."""
    try:
        return parse_endpoint(text)
    except ValueError as error:
        problem = str(error)
    raise ConfigError("target", text if text.isprintable() else None, problem)


def _check_certificate(config: Config) -> None:
    """Refuse certificate files that are asked for and not named."""
    if config.tls is TlsMode.FILES and not (config.crt and config.key):
        missing = " and ".join(name for name, path in (("crt", config.crt), ("key", config.key)) if not path)
        raise ConfigError("tls", "2", f"expected {missing} as well: PEM files")


def _check_strict(config: ServerConfig | ClientConfig) -> None:
    """Refuse `strict` where the key is one that everybody can derive; a client without a server proves it to nobody."""
    single_end = config.scheme is Mode.CLIENT and config.mode is RunMode.REVERSE_OR_SINGLE_END
    if config.strict and config.key_is_default and not single_end:
        raise ConfigError("strict", "1", "needs a key in the URL; `nodepass genkey` prints one")


def _check_workers(config: ServerConfig | ClientConfig) -> None:
    """Refuse what several processes do not do in this version."""
    if config.workers == 1 or config.scheme is not Mode.SERVER:
        return
    workers = str(config.workers)
    if not config.strict:
        raise ConfigError("workers", workers, "needs strict=1 at a server: v1 clients are served by one process")
    if config.type is PoolTransport.QUIC:
        raise ConfigError("workers", workers, "expected 1 at a server with type=1, or another type")


def _check_loop(config: TunnelConfig) -> None:
    """Refuse a target that would lead back into the tunnel."""
    for target in config.targets:
        if target.port == config.tunnel.port and (target.is_loopback or config.tunnel.is_unspecified):
            raise ConfigError(
                "target",
                str(target),
                f"expected a port other than the tunnel's own, {target.port}, or traffic would go round in a loop",
            )
