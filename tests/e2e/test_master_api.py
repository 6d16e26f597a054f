"""The API of a real master, called as front ends call it."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import KEY, Authority, Echo, Master, NodePass, connect, echoed, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    with Master(tmp_path, "log=debug") as process:
        yield process.ready()
        assert not process.stderr
        assert not process.matches("Traceback|never retrieved|Error\\(")


def forwarder_url(port: int, target: int) -> str:
    return f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target}?mode=1"


def test_a_life_over_the_api(master: Master) -> None:
    users, target = free_port(), free_port()
    with Echo(target), master.events() as events:
        made = master.create(forwarder_url(users, target), "door")
        id_ = made["id"]
        assert re.fullmatch("[0-9a-f]{8}", id_)
        assert events.wait_for("create", id=id_)["instance"]["alias"] == "door"
        assert "Forwarding" in events.wait_for("log", id=id_)["logs"] or events.wait_for("log", id=id_)
        events.wait_for("update", id=id_, mode=1, status="running")
        assert echoed(users, 100_000)
        told = events.wait_for("update", id=id_, tcprx=100_000, tcptx=100_000)["instance"]
        assert master.call("GET", f"/instances/{id_}").json == told

        assert master.call("PATCH", f"/instances/{id_}", {"action": "stop"}).json["status"] == "stopped"
        events.wait_for("update", id=id_, status="stopped", tcprx=100_000)
        with pytest.raises(OSError, match="refused"):
            connect(users)
        assert master.call("PATCH", f"/instances/{id_}", {"action": "start"}).status == 200
        events.wait_for("log", id=id_)
        events.wait_for("update", id=id_, status="running", tcprx=100_000, mode=1)
        assert echoed(users, 1000)
        events.wait_for("update", id=id_, tcprx=101_000)
        master.call("PATCH", f"/instances/{id_}", {"action": "reset"})
        events.wait_for("update", id=id_, tcprx=0)

        other = free_port()
        changed = master.call("PUT", f"/instances/{id_}", {"url": forwarder_url(other, target)})
        assert (changed.status, changed.json["id"]) == (200, id_)
        assert master.call("PUT", f"/instances/{id_}", {"url": changed.json["url"]}).status == 409
        events.wait_for("update", id=id_, url=changed.json["url"], mode=1)
        assert master.call("DELETE", f"/instances/{id_}").status == 204
        events.wait_for("delete", id=id_)
        assert [entry["id"] for entry in master.call("GET", "/instances").json] == ["********"]


def test_a_port_that_is_taken_shows_as_an_error_with_its_reason(master: Master) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, master.events() as events:
        made = master.create(forwarder_url(taken.getsockname()[1], free_port()))
        while "Address already in use" not in events.wait_for("log", id=made["id"])["logs"]:
            pass
        events.wait_for("update", id=made["id"], status="error")


def test_a_wrong_url_says_what_the_command_line_says(master: Master) -> None:
    url = f"server://{KEY}@:10101/:8080?tls=3"
    with NodePass(url) as alone:
        assert alone.wait() == 2
    answer = master.call("POST", "/instances", {"url": url})
    assert answer.status == 400
    assert f"nodepass: {answer.json['error']}" == alone.stderr[0]


def test_the_new_key_opens_and_the_old_one_does_not(master: Master) -> None:
    with master.events() as events:
        old, new = master.key, master.call("PATCH", "/instances/********", {"action": "restart"}).json["url"]
        events.wait_for("shutdown")
        assert events.next() is None
    assert master.call("GET", "/instances").status == 401
    master.key = new
    assert master.call("GET", "/instances").status == 200
    assert new != old
    assert not master.matches(new)


def test_events_can_all_be_called_instance(master: Master) -> None:
    master.create(forwarder_url(free_port(), free_port()))
    with master.events("?event=instance") as events:
        event = events.next()
        assert event is not None
        name, data = event
        assert (name, data["type"]) == ("instance", "initial")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_streams_instances_and_master(master: Master, number: int) -> None:
    users = free_port()
    with master.events() as events:
        made = master.create(forwarder_url(users, free_port()))
        events.wait_for("update", id=made["id"], mode=1)
        # One that keeps its connection open without a request, and one that has not said anything.
        idle, silent = master.connect(), connect(master.port)
        idle.request("GET", "/api/v1/info", headers={"X-API-Key": master.key})
        idle.getresponse().read()
        master.send_signal(number)
        events.wait_for("shutdown")
        assert events.next() is None
        assert master.wait() == 0
        idle.close()
        silent.close()
    assert master.lines[-1].endswith("Master shutdown complete")
    with pytest.raises(OSError, match="refused"):
        connect(users)


def test_a_reader_that_does_not_read_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with Master(tmp_path, env={"NP_SHUTDOWN_TIMEOUT": "1s"}) as master:
        master.ready()
        made = master.create(forwarder_url(free_port(), free_port()))
        readers = [connect(master.port) for _ in range(3)]
        for reader in readers:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nX-API-Key: {master.key}\r\n\r\n".encode())
            assert reader.recv(1)
        with master.events() as events:
            # More than fits into the sockets of those who do not read.
            for number in range(300):
                tags = {"number": str(number), "fill": "x" * 256, **{f"{n}": "y" * 256 for n in range(40)}}
                assert master.call("PATCH", f"/instances/{made['id']}", {"meta": {"tags": tags}}).status == 200
            while events.wait_for("update")["instance"]["meta"]["tags"].get("number") != "299":
                pass
        assert master.stop() == 0
        for reader in readers:
            reader.close()


def test_bind_is_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Master(tmp_path, port=taken.getsockname()[1]) as master:
        master.wait_for(f"Master error: cannot listen on TCP 127.0.0.1:{master.port}: Address already in use")
        taken.close()
        assert master.ready().call("GET", "/info").status == 200


@pytest.mark.parametrize("host", ["[::1]", "localhost", ""])
def test_addresses(tmp_path: Path, host: str) -> None:
    with Master(tmp_path, host=host) as master:
        assert master.ready().call("GET", "/info").status == 200


def test_garbage_and_plain_http_do_not_hurt(tmp_path: Path) -> None:
    with Master(tmp_path, "tls=1") as master:
        master.ready()
        for garbage in (b"GET /api/v1/instances HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 600, b"\r\n" * 999):
            with connect(master.port) as stranger:
                stranger.sendall(garbage)
                stranger.shutdown(socket.SHUT_WR)
                stranger.recv(100)
        assert master.call("GET", "/info").status == 200
        assert not master.stderr


def test_self_signed(tmp_path: Path) -> None:
    with Master(tmp_path, "tls=1") as master:
        master.ready()
        shown = master.wait_for(r"certificate (sha256:[0-9A-F:]{95})")[1]
        connection = master.connect()
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() == "TLSv1.3"
        assert shown
        connection.close()
        info = master.call("GET", "/info").json
        assert info["tls"] == "1"


def test_replaced_files_are_served_from_the_next_connection_on(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    crt, key = authority.issue("old", "127.0.0.1")
    served = tmp_path / "served.crt", tmp_path / "served.key"
    served[0].write_bytes(crt.read_bytes())
    served[1].write_bytes(key.read_bytes())
    query = f"tls=2&crt={served[0]}&key={served[1]}"
    with Master(tmp_path, query, env={"NP_RELOAD_INTERVAL": "100ms"}) as master:
        master.ready()
        context = ssl.create_default_context(cafile=str(authority.path))
        old = master.connect(context)
        old.connect()
        assert isinstance(old.sock, ssl.SSLSocket)
        before = old.sock.getpeercert(binary_form=True)
        crt, key = authority.issue("new", "127.0.0.1")
        served[1].write_bytes(key.read_bytes())
        served[0].write_bytes(crt.read_bytes())
        master.wait_for("TLS certificate reloaded")
        new = master.connect(context)
        new.connect()
        assert isinstance(new.sock, ssl.SSLSocket)
        assert new.sock.getpeercert(binary_form=True) != before
        for connection in (old, new):
            connection.request("GET", "/api/v1/info", headers={"X-API-Key": master.key})
            assert connection.getresponse().status == 200
            connection.close()


def test_bad_files_are_refused_before_anything_is_bound(tmp_path: Path) -> None:
    with Master(tmp_path, "tls=2&crt=/none.pem&key=/none.pem") as master:
        assert master.wait() == 2
        assert master.stderr == ["nodepass: crt=/none.pem: cannot be read: No such file or directory"]
        assert not list(tmp_path.iterdir())


def test_the_keys_are_shown_nowhere(master: Master) -> None:
    # A key of its own: others of this machine's processes may show that of all tests.
    secret = "s3cret-of-this-test-alone"
    master.create(forwarder_url(free_port(), free_port()).replace(KEY, secret))
    for body in ({"url": f"server://{secret}@nonsense"}, {"url": [secret]}, {"url": f"server://{secret}@:1/:2?tls=9"}):
        assert secret not in master.call("POST", "/instances", body).text.decode()
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert secret not in shown
    assert master.key not in shown
    master.stop()
    assert not master.matches(secret)
    assert len(master.matches(master.key)) == 1


@pytest.mark.parametrize("mode", ["server", "client"])
def test_a_server_or_client_does_not_pay_for_the_master(mode: str) -> None:
    modules: dict[str, str] = {"server": "nodepass.tunnel.server", "client": "nodepass.tunnel.client"}
    libraries = {"fastapi", "starlette", "uvicorn", "pydantic", "psutil", "prometheus_client", "platformdirs", "sqlite3"}
    code = (
        f"import sys; import nodepass.cli, nodepass.runner, nodepass.console, nodepass.child, {modules[mode]};"
        f"print(*sorted({libraries!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_docs_are_there_without_a_key(master: Master) -> None:
    page = master.call("GET", "/docs", headers={"Accept": "text/html"})
    assert page.status == 200
    named: list[Any] = re.findall(r'(?:src|href)="(.*?)"', page.text.decode())
    assert len(named) == 3
    for name in named:
        assert master.call("GET", f"/{name}", headers={"Accept": "*/*"}).status == 200
    assert master.call("GET", "/openapi.json", headers={"Accept": "*/*"}).json["openapi"].startswith("3.1")
