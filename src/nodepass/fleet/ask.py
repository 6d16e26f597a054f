"""`nodepass status`: asks the processes of `nodepass run`, or a master, how their tunnels do.

Exit codes are `Health`, and 2 for wrong arguments.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from nodepass.ctl.address import read_address
from nodepass.ctl.client import Api, ApiError
from nodepass.ctl.tables import printable, table, without_key
from nodepass.fleet.problems import Problem, Severity
from nodepass.fleet.runtime import SOCKET, paths_of, runtime_folder, sockets_in
from nodepass.fleet.state import Health, State, health_of
from nodepass.master.model import API_KEY_ID, Status
from nodepass.progress import waiting
from nodepass.units import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from nodepass.ctl.address import ApiAddress

TIMEOUT: Final = 5.0
"""Seconds that a process has to answer."""

LONGEST_ANSWER: Final = 64 << 20

ASK_INTERVAL: Final = 0.2
"""Seconds between two questions while somebody waits for the answer to be good."""

HEADINGS: Final = ("NAME", "TYPE", "STATE", "PING", "POOL", "TCP", "UDP", "RECEIVED", "SENT", "URL")

_ORDER: Final = (Health.UNREACHABLE, Health.BROKEN, Health.WAITING, Health.WELL)
"""Of several, the first counts."""

_OF_STATUS: Final = {Status.RUNNING: State.CONNECTED, Status.ERROR: State.FAILED}
"""What a master's instance counts as; one that somebody has stopped counts as nothing."""


@dataclass(slots=True)
class Answer:
    """What came of asking.

    Args:
        health: how all do together.
        members: what was told, as JSON has it.
        tunnels: of all that answered.
        remarks: lines for people.
    """

    health: Health
    members: list[Mapping[str, Any]] = field(default_factory=list)
    tunnels: list[Mapping[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def status(file: Path | None, address: ApiAddress | None, *, as_json: bool, patience: float) -> int:
    """Ask, and print what is told; gives the exit code.

    Args:
        file: of the process that is asked; every one of this user where there is neither it nor an address.
        address: of the master that is asked.
        as_json: whether a program reads what is printed.
        patience: seconds to wait until all is well.
    """
    ask: Callable[[], Answer] = (lambda: _ask_files(file)) if address is None else (lambda: _ask_master(address))
    answer = ask()
    end = time.monotonic() + patience
    with waiting("Waiting until all tunnels are connected") as line:
        while answer.health is not Health.WELL and (left := end - time.monotonic()) > 0:
            time.sleep(min(ASK_INTERVAL, left))
            answer = ask()
            well = sum(tunnel["state"] == State.CONNECTED for tunnel in answer.tunnels)
            line.text = f"{well} of {len(answer.tunnels)} tunnels are connected"
    if as_json:
        told = {"health": answer.health.name.lower(), "processes": answer.members, "remarks": answer.remarks}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return answer.health
    if answer.tunnels:
        for row in table([HEADINGS, *map(_row, answer.tunnels)]):
            click.echo(row)
    for remark in answer.remarks:
        click.echo(f"nodepass: {printable(remark)}", err=True)
    return answer.health


def master_address(api: str | None, key: str | None, *, insecure: bool, fingerprint: str | None) -> ApiAddress:
    """Where the master is that the options and the environment name.

    Raises:
        ConfigError: one is missing or wrong.
    """
    return read_address(
        api or os.environ.get("NP_API"),
        key or os.environ.get("NP_API_KEY"),
        insecure=insecure,
        fingerprint=fingerprint,
    )


def _ask_files(file: Path | None) -> Answer:
    folder = runtime_folder(os.environ)
    if file is None:
        sockets = tuple(sockets_in(folder))
        if not sockets:
            return Answer(Health.UNREACHABLE, remarks=[f"no `nodepass run` of this user: {folder} has no socket"])
    else:
        files = paths_of(file, folder)
        sockets = (files.with_name(files.name + SOCKET),)
    return _together([_ask_socket(path, file) for path in sockets])


def _together(answers: Iterable[Answer]) -> Answer:
    whole = Answer(Health.WELL)
    for answer in answers:
        whole.health = next(health for health in _ORDER if health in {whole.health, answer.health})
        whole.members += answer.members
        whole.tunnels += answer.tunnels
        whole.remarks += answer.remarks
    return whole


def _ask_socket(path: Path, file: Path | None) -> Answer:
    what = f"{file}: nobody runs it" if file is not None else "a `nodepass run` has ended without a word"
    try:
        told = json.loads(_read(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return Answer(Health.UNREACHABLE, remarks=[f"{what} ({path})"])
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no answer in time"
        return Answer(Health.UNREACHABLE, remarks=[f"{path} cannot be asked: {reason}"])
    tunnels = told["tunnels"]
    remarks = [_problem_text(problem) for problem in told["problems"]]
    remarks += [f"{tunnel['name']}: {tunnel['error']}" for tunnel in tunnels if tunnel["state"] == State.FAILED]
    return Answer(health_of(State(tunnel["state"]) for tunnel in tunnels), [told], tunnels, remarks)


def _problem_text(members: Mapping[str, str]) -> str:
    severity, file, table_, key, text = (members[name] for name in ("severity", "file", "table", "key", "problem"))
    return f"{severity}: {Problem(Severity(severity), file, table_, key, text)}"


def _read(path: Path) -> bytes:
    """All that the process behind a socket tells."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(os.fspath(path))
        end = time.monotonic() + TIMEOUT
        data = bytearray()
        while (piece := sock.recv(1 << 16)) and len(data) < LONGEST_ANSWER:
            data += piece
            if time.monotonic() > end:
                raise TimeoutError
        return bytes(data)


def _ask_master(address: ApiAddress) -> Answer:
    try:
        instances = Api(address).ask("GET", "/instances")
    except ApiError as error:
        return Answer(Health.UNREACHABLE, remarks=[str(error)])
    tunnels: list[Mapping[str, Any]] = [
        {
            "name": instance["alias"] or instance["id"],
            "type": instance["type"],
            "state": instance["status"],
            "url": without_key(instance["url"]),
            **{name: instance[name] for name in _FIGURES},
        }
        for instance in instances
        if instance["id"] != API_KEY_ID
    ]
    counted = [_OF_STATUS.get(Status(tunnel["state"])) for tunnel in tunnels]
    health = health_of(state for state in counted if state is not None)
    return Answer(health, [{"api": f"{address.host}:{address.port}", "tunnels": tunnels}], tunnels)


_FIGURES: Final = ("ping", "pool", "tcps", "udps", "tcprx", "tcptx", "udprx", "udptx")


def _row(tunnel: Mapping[str, Any]) -> tuple[str, ...]:
    head = (tunnel["name"], tunnel["type"], tunnel["state"])
    # JSON has all of it; in a table the parameters would hide the rest.
    url = tunnel["url"].partition("?")[0]
    if "ping" not in tunnel:
        return (*head, *("-" for _ in HEADINGS[3:-1]), url)
    return (
        *head,
        f"{tunnel['ping']} ms",
        *(str(tunnel[name]) for name in ("pool", "tcps", "udps")),
        size_text(tunnel["tcprx"] + tunnel["udprx"]),
        size_text(tunnel["tcptx"] + tunnel["udptx"]),
        url,
    )
