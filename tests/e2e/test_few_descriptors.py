"""A process that may have few file descriptors: it takes all that it is allowed, and strangers do not get them all."""

from __future__ import annotations

import re
import resource
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import KEY, Echo, Master, Runner, connect, echoed, free_port

HALF_REQUEST = b"GET / HTTP/1.1\r\nHo"
FEW = 512


def limited(kind: str) -> tuple[str, ...]:
    """What is put before a command so that it runs with few descriptors; `kind` is ulimit's flag."""
    return ("bash", "-c", f'ulimit {kind} {FEW}; exec "$@"', "bash")


def crowd(stack: ExitStack, port: int) -> None:
    """Connections that say half a word, more than the process may have descriptors."""
    for _ in range(3 * FEW):
        stranger = stack.enter_context(connect(port, source="127.0.0.9"))
        stranger.sendall(HALF_REQUEST)


def test_a_process_takes_all_that_it_may_have(np: Runner) -> None:
    with Echo() as target:
        url = f"client://127.0.0.1:{free_port()}/127.0.0.1:{target.port}?mode=1"
        forwarder = np.run(url, prefix=limited("-S -n")).ready()
        limits = Path(f"/proc/{forwarder.pid}/limits").read_text()
    found = re.search(r"^Max open files +(\d+) +(\d+)", limits, re.MULTILINE)
    assert found is not None
    assert found[1] == found[2] == str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def test_strangers_at_a_tunnel_port_leave_users_theirs(np: Runner) -> None:
    port, users = free_port(), free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1", prefix=limited("-n"))
    server.listening()
    with Echo() as target, ExitStack() as stack:
        np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&min=4").ready()
        crowd(stack, port)
        for size in (1, 1000, 100_000):
            assert echoed(users, size)
        np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&min=4").ready()
    assert not server.matches("Cannot accept")


@pytest.mark.parametrize("tls", [0, 1])
def test_strangers_at_a_master_leave_its_owner_theirs(tmp_path: Path, tls: int) -> None:
    with Master(tmp_path, f"log=info&tls={tls}", prefix=limited("-n")) as master, ExitStack() as stack:
        master.ready()
        crowd(stack, master.port)
        assert master.call("GET", "/info").status == 200
        assert master.descriptors() < FEW
        assert not master.matches("Cannot|socket.accept")
