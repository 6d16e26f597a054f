"""The commands of the contenders: URLs that nodepass takes, files that are what they should be."""

from __future__ import annotations

import ssl
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import nodepass
from bench.contenders import V1, Frp, NodePass, Rathole, Reference, Spread
from bench.contenders.certificate import make_certificate
from bench.gate import HEADER, strip
from bench.model import Command, Flow, Ports, Setup
from bench.ports import PortMaker
from bench.rows import HTTP2, QUIC, SINGLE, SINGLE_TLS, TCP, TCP_FILES, TCP_TLS, TUNNELS, WEBSOCKET_TLS, WITH_FILES
from nodepass.config import ClientConfig, ServerConfig, TlsMode

if TYPE_CHECKING:
    from pathlib import Path

PORTS = Ports(2001, 2002, 2003)
OURS = NodePass("nodepass", ("nodepass",))


def commands(contender: NodePass | Frp | Rathole | Reference, setup: Setup, folder: Path) -> tuple[Command, ...]:
    assert contender.refusal(setup) == ""
    return contender.commands(setup, PORTS, folder)


@pytest.mark.parametrize("setup", TUNNELS, ids=str)
@pytest.mark.parametrize("flow", Flow)
def test_a_tunnel_is_the_one_that_is_asked_for(setup: Setup, flow: Flow, tmp_path: Path) -> None:
    asked = Setup(setup.transport, tls=setup.tls, flow=flow)
    server, client = (nodepass.parse_url(one.argv[-1]) for one in commands(OURS, asked, tmp_path))
    assert isinstance(server, ServerConfig)
    assert isinstance(client, ClientConfig)
    assert server.type == setup.transport
    assert server.tls == int(setup.tls)
    assert server.mode == (1 if flow is Flow.REVERSE else 2)
    assert (server.tunnel.port, client.tunnel.port) == (PORTS.tunnel, PORTS.tunnel)
    at_server, at_client = server.targets[0].port, client.targets[0].port
    expected = (PORTS.users, PORTS.target)
    assert (at_server, at_client) == (expected if flow is Flow.REVERSE else expected[::-1])


@pytest.mark.parametrize("setup", [TCP_FILES, *WITH_FILES], ids=str)
def test_a_certificate_of_files_is_verified(setup: Setup, tmp_path: Path) -> None:
    at_server, at_client = commands(OURS, setup, tmp_path)
    server, client = (nodepass.parse_url(one.argv[-1]) for one in (at_server, at_client))
    assert isinstance(server, ServerConfig)
    assert isinstance(client, ClientConfig)
    assert (server.tls, server.type) == (TlsMode.FILES, setup.transport)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server.crt, server.key)
    assert "SSL_CERT_FILE" not in at_server.env
    verifying = ssl.create_default_context(cafile=at_client.env["SSL_CERT_FILE"])
    assert verified(serving, verifying, client.sni)
    assert not verified(serving, verifying, "another.name")
    assert not verified(serving, ssl.create_default_context(), client.sni)


def verified(serving: ssl.SSLContext, verifying: ssl.SSLContext, name: str) -> bool:
    """Whether a client accepts the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = verifying.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    try:
        client.do_handshake()
    except ssl.SSLCertVerificationError:
        return False
    return True


def test_others_verify_the_same_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands(Frp("/frps", "/frpc"), TCP_FILES, tmp_path)
    assert "certFile" in toml(tmp_path, "frps.toml")["transport"]["tls"]
    frpc = toml(tmp_path, "frpc.toml")["transport"]["tls"]
    assert (frpc["trustedCaFile"], frpc["serverName"]) == (str(tmp_path / "authority.pem"), "localhost")
    monkeypatch.setattr("bench.contenders.reference.find", lambda program: f"/{program}")
    commands(Reference(), TCP_FILES, tmp_path)
    assert (
        f"ssl verify required ca-file {tmp_path}/authority.pem verifyhost localhost" in (tmp_path / "near.cfg").read_text()
    )
    monkeypatch.setattr("bench.contenders.reference.find", lambda program: None if program == "haproxy" else f"/{program}")
    Reference().commands(TCP_FILES, PORTS, tmp_path)
    assert f"proxy_ssl_trusted_certificate {tmp_path}/authority.pem" in (tmp_path / "near.conf").read_text()


@pytest.mark.parametrize("setup", [SINGLE, SINGLE_TLS], ids=str)
def test_a_forwarder_is_one_process(setup: Setup, tmp_path: Path) -> None:
    (command,) = commands(OURS, setup, tmp_path)
    config = nodepass.parse_url(command.argv[-1])
    assert isinstance(config, ClientConfig)
    assert (config.tunnel.port, config.targets[0].port) == (PORTS.users, PORTS.target)
    assert config.tls == int(setup.tls)
    assert command.listens == PORTS.users


def test_v1_has_no_tls_at_its_forwarder() -> None:
    peer = V1("/somewhere")
    assert "without TLS" in peer.refusal(SINGLE_TLS)
    assert peer.refusal(SINGLE) == peer.refusal(TCP_TLS) == ""


def test_v1_gives_up_a_tunnel_with_files() -> None:
    assert "tls=2" in V1("/somewhere").refusal(TCP_FILES)


@pytest.mark.parametrize("setup", [TCP, SINGLE, SINGLE_TLS], ids=str)
def test_workers_are_all_that_differs(setup: Setup, tmp_path: Path) -> None:
    several, one = (commands(Spread("name", OURS, number), setup, tmp_path) for number in (2, 1))
    for more, less in zip(several, one, strict=True):
        config = nodepass.parse_url(more.argv[-1])
        assert isinstance(config, ServerConfig | ClientConfig)
        assert config.workers == 2
        assert less.argv[-1] == more.argv[-1].replace("workers=2", "workers=1")


def toml(folder: Path, name: str) -> dict[str, Any]:
    return tomllib.loads((folder / name).read_text())


@pytest.mark.parametrize("setup", [TCP, TCP_TLS, QUIC], ids=str)
def test_frp_is_configured_by_files(setup: Setup, tmp_path: Path) -> None:
    server, client = commands(Frp("/frps", "/frpc"), setup, tmp_path)
    assert (server.argv[0], client.argv[0]) == ("/frps", "/frpc")
    at_server, at_client = toml(tmp_path, "frps.toml"), toml(tmp_path, "frpc.toml")
    assert at_server["bindPort"] == at_client["serverPort"] == PORTS.tunnel
    assert ("quicBindPort" in at_server) is (setup is QUIC)
    assert at_client["transport"]["protocol"] == ("quic" if setup is QUIC else "tcp")
    assert at_client["transport"]["tls"]["enable"] is setup.encrypts
    assert {(one["type"], one["localPort"], one["remotePort"]) for one in at_client["proxies"]} == {
        ("tcp", PORTS.target, PORTS.users),
        ("udp", PORTS.target, PORTS.users),
    }
    assert at_server["auth"] == at_client["auth"]


@pytest.mark.parametrize("setup", [TCP, TCP_TLS, WEBSOCKET_TLS], ids=str)
def test_rathole_is_configured_by_files(setup: Setup, tmp_path: Path) -> None:
    commands(Rathole("/rathole"), setup, tmp_path)
    server, client = toml(tmp_path, "server.toml")["server"], toml(tmp_path, "client.toml")["client"]
    kind = {TCP: "tcp", TCP_TLS: "tls", WEBSOCKET_TLS: "websocket"}[setup]
    assert server["transport"]["type"] == client["transport"]["type"] == kind
    assert ("tls" in server["transport"]) is ("tls" in client["transport"]) is setup.encrypts
    assert server["services"]["udp"] == {"type": "udp", "bind_addr": f"127.0.0.1:{PORTS.users}"}
    assert client["services"]["tcp"] == {"type": "tcp", "local_addr": f"127.0.0.1:{PORTS.target}"}
    if setup is WEBSOCKET_TLS:
        assert server["transport"]["websocket"] == client["transport"]["websocket"] == {"tls": True}


@pytest.mark.parametrize("contender", [Frp("/frps", "/frpc"), Rathole("/rathole")], ids=lambda one: one.name)
@pytest.mark.parametrize("setup", [SINGLE, HTTP2, Setup(flow=Flow.FORWARD)], ids=str)
def test_what_peers_do_not_have_is_said(contender: Frp | Rathole, setup: Setup) -> None:
    assert contender.refusal(setup).startswith(contender.name)


def test_the_reference_has_two_hops_with_tls_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contenders.reference.find", lambda program: f"/{program}")
    far, near = commands(Reference(), TCP_TLS, tmp_path)
    assert (far.listens, near.listens) == (PORTS.tunnel, PORTS.users)
    assert f"bind 127.0.0.1:{PORTS.tunnel} ssl crt" in (tmp_path / "far.cfg").read_text()
    assert f"server next 127.0.0.1:{PORTS.tunnel} ssl verify none" in (tmp_path / "near.cfg").read_text()
    far, near = commands(Reference(), TCP, tmp_path)
    assert "ssl" not in (tmp_path / "far.cfg").read_text() + (tmp_path / "near.cfg").read_text()


def test_the_reference_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contenders.reference.find", lambda _: None)
    assert "apt-get install haproxy" in Reference().refusal(TCP)
    assert "apt-get install nginx-light" in Reference().refusal(Setup(udp=True))


def test_the_certificate_can_be_served(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.both)
    ssl.create_default_context(cafile=str(files.authority))
    assert files.pkcs12.stat().st_size > 0


def test_the_gate_takes_out_that_header_only() -> None:
    head = b"GET / HTTP/1.1\r\nHost: none\r\nnodepass-extension: 1 QUJD\r\nAuthorization: Bearer 00\r\n\r\n"
    assert HEADER.search(head)
    assert strip(head) == b"GET / HTTP/1.1\r\nHost: none\r\nAuthorization: Bearer 00\r\n\r\n"
    assert strip(strip(head)) == strip(head)
    last = b"GET / HTTP/1.1\r\nHost: none\r\nNodePass-Extension: 1 QUJD\r\n\r\n"
    assert strip(last) == b"GET / HTTP/1.1\r\nHost: none\r\n\r\n"


def test_ports_are_given_once() -> None:
    makes = PortMaker()
    ports = [makes.next() for _ in range(50)]
    assert len(set(ports)) == 50
