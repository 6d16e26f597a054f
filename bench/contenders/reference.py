"""What relays written in C do of the same: two hops for a tunnel, one for a forwarder, TLS between the hops.

haproxy carries TCP, nginx's stream module UDP (and TCP where haproxy is not installed). They have no pool transports:
beside QUIC, WebSocket and HTTP/2 they do what they do for TCP, with TLS wherever the tunnel has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contenders.certificate import NAME, make_certificate
from bench.model import HOST, Command, Contender
from bench.programs import STREAM_MODULE, STREAM_PACKAGE, find, missing
from nodepass.config import TlsMode

if TYPE_CHECKING:
    from pathlib import Path

    from bench.model import Ports, Setup

NGINX_CONNECTIONS = 20000
"""The default of 512 is too small for many users; haproxy goes by the limit of open files, as nodepass does."""


class Reference(Contender):
    """haproxy and nginx."""

    def __init__(self) -> None:
        super().__init__("haproxy" if find("haproxy") else "nginx")

    @property
    def names(self) -> tuple[str, ...]:
        return ("haproxy", "nginx")

    def name_in(self, setup: Setup) -> str:
        return "nginx" if setup.udp else self.name

    def refusal(self, setup: Setup) -> str:
        if find("haproxy") and not setup.udp:
            return ""
        if not find("nginx"):
            return missing("nginx") if setup.udp else missing("haproxy")
        if not STREAM_MODULE.exists():
            return f"nginx's stream module is missing (apt-get install {STREAM_PACKAGE})"
        return "nginx's UDP has no TLS" if setup.udp and setup.encrypts else ""

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        files = make_certificate(folder) if setup.encrypts else None
        both = str(files.both) if files else ""
        authority = str(files.authority) if files and setup.tls is TlsMode.FILES else ""
        if setup.single:
            # What users connect to decrypts.
            hops = [Hop("forwarder", ports.users, ports.target, decrypts=both)]
        else:
            hops = [
                Hop("far", ports.tunnel, ports.target, decrypts=both),
                Hop("near", ports.users, ports.tunnel, encrypts=setup.encrypts, authority=authority),
            ]
        haproxy = find("haproxy")
        if haproxy and not setup.udp:
            return tuple(hop.haproxy(haproxy, folder) for hop in hops)
        return tuple(hop.nginx(str(find("nginx")), folder, udp=setup.udp) for hop in hops)

    def version(self) -> tuple[str, ...]:
        haproxy = find("haproxy")
        return (haproxy, "-v") if haproxy else (str(find("nginx")), "-v")


class Hop:
    """One process that relays.

    Args:
        name: what it is called.
        listen: its port.
        to: the next port.
        decrypts: file of certificate and key with which it listens for TLS; empty for none.
        encrypts: whether it speaks TLS to the next.
        authority: file of the authority by which it then verifies the next's certificate; empty for none.
    """

    def __init__(
        self, name: str, listen: int, to: int, *, decrypts: str = "", encrypts: bool = False, authority: str = ""
    ) -> None:
        self.name = name
        self.listen = listen
        self.to = to
        self.decrypts = decrypts
        self.encrypts = encrypts
        self.authority = authority

    def haproxy(self, program: str, folder: Path) -> Command:
        """As haproxy; the timeouts are those that it asks for, long enough for no row to see them."""
        bind = f"bind {HOST}:{self.listen}" + (f" ssl crt {self.decrypts}" if self.decrypts else "")
        server = f"server next {HOST}:{self.to}" + self._haproxy_tls()
        path = folder / f"{self.name}.cfg"
        path.write_text(
            "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n"
            f"listen hop\n    {bind}\n    {server}\n",
            encoding="utf-8",
        )
        return Command(self.name, (program, "-db", "-f", str(path)), self.listen)

    def nginx(self, program: str, folder: Path, *, udp: bool) -> Command:
        """As nginx's stream module."""
        listen = f"{HOST}:{self.listen}" + (" udp" if udp else "") + (" ssl" if self.decrypts else "")
        certificate = f"ssl_certificate {self.decrypts}; ssl_certificate_key {self.decrypts};" if self.decrypts else ""
        to_next = "proxy_ssl on;" if self.encrypts else ""
        if self.authority:
            to_next += f" proxy_ssl_verify on; proxy_ssl_trusted_certificate {self.authority}; proxy_ssl_name {NAME};"
        path = folder / f"{self.name}.conf"
        path.write_text(
            f"""
            daemon off; pid {folder}/{self.name}.pid; error_log stderr warn; load_module {STREAM_MODULE};
            events {{ worker_connections {NGINX_CONNECTIONS}; }}
            stream {{
                server {{
                    listen {listen}; proxy_pass {HOST}:{self.to}; {to_next} {certificate}
                }}
            }}
            """,
            encoding="utf-8",
        )
        return Command(self.name, (program, "-e", "stderr", "-c", str(path)), 0 if udp else self.listen)

    def _haproxy_tls(self) -> str:
        """How it speaks to the next."""
        if not self.encrypts:
            return ""
        verified = f"required ca-file {self.authority} verifyhost {NAME}" if self.authority else "none"
        return f" ssl verify {verified}"
