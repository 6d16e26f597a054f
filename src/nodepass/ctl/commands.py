"""The commands of `nodepass ctl` and their options.

Exit codes: 0 done, 1 the master refused or cannot be reached (or, for `tcping`, the target), 2 wrong arguments. Each error
is one line on standard error, which quotes no argument: any may hold a key.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from nodepass.completion import url_items
from nodepass.ctl.address import read_address
from nodepass.ctl.client import Api, ApiError
from nodepass.ctl.tables import HEADINGS, instance_row, printable, table
from nodepass.errors import ConfigError
from nodepass.master.model import API_KEY_ID, Status
from nodepass.progress import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

EXIT_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130

LOOK_INTERVAL: Final = 0.2
"""Seconds between two looks at an instance that is to run."""

_OPTIONS: Final = (
    click.option("--api", metavar="URL", help="The master's API, as in https://host:9090/api; else NP_API."),
    click.option("--key", metavar="KEY", help="The API key; else NP_API_KEY."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API gives it."),
    click.option("--insecure", is_flag=True, help="Accept any certificate."),
    click.option("--fingerprint", metavar="SHA256", help="Accept the certificate with this fingerprint, and no other."),
)
"""Taken in front of a command and behind it."""


class Session:
    """One call of `nodepass ctl`: its options, and its exit code."""

    def __init__(self) -> None:
        self.code = 0
        self._options: dict[str, Any] = {}
        self._api: Api | None = None

    def take(self, options: dict[str, Any]) -> None:
        """Take options that were given, over those taken before."""
        self._options |= {name: value for name, value in options.items() if value}

    @property
    def as_json(self) -> bool:
        """Whether a script reads what is printed."""
        return bool(self._options.get("as_json"))

    @property
    def api(self) -> Api:
        """The master.

        Raises:
            ConfigError: the options do not say where it is.
        """
        if self._api is None:
            self._api = Api(
                read_address(
                    self._options.get("api") or os.environ.get("NP_API"),
                    self._options.get("key") or os.environ.get("NP_API_KEY"),
                    insecure=bool(self._options.get("insecure")),
                    fingerprint=self._options.get("fingerprint"),
                )
            )
        return self._api

    def fail(self, message: str) -> None:
        """Say what went wrong, and go on."""
        click.echo(f"nodepass ctl: {printable(message)}", err=True)
        self.code = EXIT_FAILED

    def show(self, instances: list[dict[str, Any]]) -> None:
        """Print instances as a table."""
        for line in table([HEADINGS, *map(instance_row, instances)]):
            click.echo(line)

    def each(self, ids: Iterable[str], doing: str, act: Callable[[str], Any]) -> None:
        """Do something to each instance, and print what came of it; one that fails keeps none of the others back."""
        done = []
        for id_ in ids:
            try:
                with waiting(f"{doing} {printable(id_)}"):
                    instance = act(_path(id_))
            except ApiError as error:
                self.fail(f"{id_}: {error}")
            else:
                done += [] if instance is None else [instance]
        if self.as_json:
            for instance in done:
                click.echo(_compact(instance))
        elif done:
            self.show(done)


def run_ctl(arguments: list[str]) -> int:
    """Run `nodepass ctl` with these arguments; gives the exit code."""
    session = Session()
    try:
        code = ctl.main(arguments, prog_name="nodepass ctl", standalone_mode=False, obj=session)
    except click.UsageError as error:
        return _refuse(_usage(error))
    except ConfigError as error:
        return _refuse(str(error))
    except ApiError as error:
        session.fail(str(error))
    except BrokenPipeError:
        # Whoever read has enough, as in `nodepass ctl list | head`.
        _write_no_more()
    except OSError as error:
        _write_no_more()
        session.fail(f"cannot write: {error.strerror or error}")
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    else:
        return code or session.code
    return session.code


def _write_no_more() -> None:
    """Throw away what is still to be written, also at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(message: str) -> int:
    click.echo(f"nodepass ctl: {message}", err=True)
    return EXIT_BAD_INPUT


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.MissingParameter | click.BadOptionUsage):
        return error.format_message()
    if isinstance(error, click.NoSuchOption):
        return "unknown option; `nodepass ctl --help` lists them"
    return f"expected a command, one of {', '.join(ctl.commands)}; `nodepass ctl COMMAND --help` tells what it takes"


def _path(id_: str) -> str:
    return f"/instances/{quote(id_, safe='')}"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the common options too, and give it the session in their place."""

    def run(**values: Any) -> None:
        session: Session = click.get_current_context().obj
        session.take({name: values.pop(name) for name in ("api", "key", "as_json", "insecure", "fingerprint")})
        command(session, **values)

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    for option in reversed(_OPTIONS):
        run = option(run)
    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@with_options
def ctl(_: Session) -> None:
    """Do something with the instances of a master, through its API."""


@ctl.command("list")
@with_options
def list_all(session: Session) -> None:
    """List all instances."""
    instances = [entry for entry in session.api.ask("GET", "/instances") if entry["id"] != API_KEY_ID]
    if session.as_json:
        click.echo(_compact(instances))
    else:
        session.show(instances)


@ctl.command()
@click.argument("url", shell_complete=lambda *arguments: url_items(arguments[-1]))
@click.option("--alias", default="", help="A name for people.")
@click.option("--wait", "patience", metavar="SECONDS", type=float, help="Wait so long until it runs, or is in error.")
@with_options
def add(session: Session, url: str, alias: str, patience: float | None) -> None:
    """Make an instance of a URL, and start it. With - the URL is read from standard input.

    With --wait, the exit code is 0 once it listens, or a client has met its server.
    """
    if url == "-":
        url = sys.stdin.readline().strip()
    body = {"url": url, "alias": alias}
    instance = session.api.ask("POST", "/instances", body)
    if patience is not None:
        instance = _when_it_runs(session, instance, patience)
    if session.as_json:
        click.echo(_compact(instance))
    else:
        session.show([instance])


def _when_it_runs(session: Session, instance: dict[str, Any], patience: float) -> dict[str, Any]:
    """Wait until an instance has reported that it is ready, or that it is in error."""
    end = time.monotonic() + patience
    with waiting(f"Waiting until {instance['id']} runs"):
        while not instance["mode"] and instance["status"] == Status.RUNNING and (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK_INTERVAL, left))
            instance = session.api.ask("GET", _path(instance["id"]))
    if instance["status"] != Status.RUNNING:
        session.fail(f"{instance['id']} is in error: `nodepass ctl logs -f {instance['id']}` tells why")
    elif not instance["mode"]:
        session.fail(f"{instance['id']} is not ready yet")
    return instance


def _add_action(name: str, meaning: str) -> None:
    @click.argument("ids", metavar="ID...", nargs=-1, required=True)
    @with_options
    def act(session: Session, ids: tuple[str, ...]) -> None:
        session.each(ids, f"{name.capitalize()}:", lambda path: session.api.ask("PATCH", path, {"action": name}))

    ctl.command(name, help=meaning)(act)


for _name, _meaning in (
    ("start", "Start instances."),
    ("stop", "Stop instances."),
    ("restart", "Stop instances and start them."),
    ("reset", "Zero the byte counts of instances."),
):
    _add_action(_name, _meaning)


@ctl.command("rm")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@with_options
def remove(session: Session, ids: tuple[str, ...]) -> None:
    """Stop instances, and forget them."""
    session.each(ids, "Remove:", lambda path: session.api.ask("DELETE", path))


@ctl.command()
@click.option("-f", "--follow", is_flag=True, help="Needed: the master keeps no lines of the past.")
@click.argument("ids", metavar="[ID...]", nargs=-1)
@with_options
def logs(session: Session, follow: bool, ids: tuple[str, ...]) -> None:
    """Print what instances log from now on; of all, unless some are named."""
    if not follow:
        raise ConfigError("logs", None, "expected -f: the master keeps no lines of the past")
    for id_ in ids:
        session.api.ask("GET", _path(id_))
    for event in session.api.events():
        if event["type"] != "log" or (ids and event["instance"]["id"] not in ids):
            continue
        instance = event["instance"]
        line = f"{instance['alias'] or instance['id']}: {event['logs']}"
        click.echo(_compact(event) if session.as_json else printable(line))
        sys.stdout.flush()


@ctl.command()
@with_options
def info(session: Session) -> None:
    """Show the master and its machine."""
    members = session.api.ask("GET", "/info")
    if session.as_json:
        click.echo(_compact(members))
    else:
        for line in table([(name, str(value)) for name, value in members.items()]):
            click.echo(line)


@ctl.command()
@click.argument("target", metavar="HOST:PORT")
@with_options
def tcping(session: Session, target: str) -> None:
    """Try a TCP connection from the master's machine."""
    with waiting(f"Connecting to {printable(target)}"):
        result = session.api.ask("GET", f"/tcping?target={quote(target, safe='')}")
    if session.as_json:
        click.echo(_compact(result))
    elif result["connected"]:
        click.echo(f"{printable(target)}: connected in {result['latency']} ms")
    if not result["connected"]:
        session.fail(result["error"])
