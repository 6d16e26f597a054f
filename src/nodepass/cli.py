"""The command line: arguments, exit codes, signals, the event loop. A mode is imported when it is asked for.

Exit codes: 0 after a graceful end, 2 for wrong arguments, 128 and the signal's number when a second signal cuts it short.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from nodepass import __version__
from nodepass.config import ClientConfig, Mode, ServerConfig, Tunables, parse_url, to_url
from nodepass.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from nodepass.tunnel.instance import Instance

EXIT_BAD_INPUT = 2

BANNER_WIDTH = 37
"""Columns between the sides of the box that v1 draws."""


def banner() -> str:
    """What `nodepass` is and the three forms of its URL, in a box."""
    lines = (f"nodepass {__version__} ", f"{platform.system()}/{platform.machine()} ".lower())
    urls = (
        " server://<key>@<address>/<target>?…",
        " client://<key>@<address>/<target>?…",
        " master://<address>/<prefix>?…",
    )
    bar = "─" * BANNER_WIDTH
    return "\n".join(
        (
            f"╭{bar}╮",
            *(f"│{line:>{BANNER_WIDTH}}│" for line in lines),
            f"├{bar}┤",
            *(f"│{url:<{BANNER_WIDTH}}│" for url in urls),
            f"╰{bar}╯",
        )
    )


class UrlGroup(click.Group):
    """Commands by name, and a URL where a command is expected: `nodepass server://…` is `nodepass run server://…`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command's name for a URL."""
        if args and args[0] not in self.commands:
            return super().resolve_command(ctx, ["url", *args])
        return super().resolve_command(ctx, args)


@click.group(
    cls=UrlGroup,
    invoke_without_command=True,
    subcommand_metavar="URL | COMMAND [ARGUMENT]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "-V", "--version", message="nodepass %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Run a tunnel for TCP and UDP, described by one URL.

    \b
      nodepass "server://KEY@:10101/:8080?tls=1"               at the public end
      nodepass "client://KEY@HOST:10101/127.0.0.1:80"          behind NAT
      nodepass "client://:5432/db.internal:6432?mode=1"        one end only

    `nodepass params` lists every parameter, `nodepass demo` shows a tunnel at work.
    """  # noqa: D301 - \b is click's mark, not a backslash
    if ctx.invoked_subcommand is None:
        click.echo(banner(), err=True)
        click.echo("\nnodepass: expected a URL or a command; `nodepass --help` tells more", err=True)
        ctx.exit(EXIT_BAD_INPUT)


@main.command(hidden=True)
@click.argument("url")
def url(url: str) -> None:
    """Run what URL describes until a signal ends it."""
    instance = _or_exit(lambda: _make(url))
    _hide_arguments(instance.config)
    sys.exit(_run(_until_signalled(instance)))


@main.command()
def params() -> None:
    """List the parameters of the URL and the variables of the environment."""
    from nodepass.config import help_text  # noqa: PLC0415 - only needed here

    click.echo(help_text())


@main.command()
@click.option("--seconds", type=click.FloatRange(min=0), help="End by itself after this long; for ever unless given.")
def demo(seconds: float | None) -> None:
    """See a tunnel at work: a web page behind NAT, a server and a client, all on this machine."""
    from nodepass.demo import run_demo  # noqa: PLC0415 - only needed here

    sys.exit(_run(run_demo(seconds)))


def _or_exit(make: Callable[[], Instance[Any]]) -> Instance[Any]:
    """What `make` makes; or, for bad input, one line that says what would be right, and exit code 2."""
    try:
        return make()
    except ConfigError as error:
        click.echo(f"nodepass: {error}", err=True)
        sys.exit(EXIT_BAD_INPUT)


def _make(url: str) -> Instance[Any]:
    from nodepass.console import make_logger  # noqa: PLC0415 - `--version` needs none of it

    config = parse_url(url)
    tunables = Tunables.from_environment(os.environ)
    logger = make_logger()
    if isinstance(config, ServerConfig):
        from nodepass.tunnel.server import Server  # noqa: PLC0415 - a client does not need it

        return Server(config, tunables=tunables, logger=logger)
    if isinstance(config, ClientConfig):
        from nodepass.tunnel.client import Client  # noqa: PLC0415 - a server does not need it

        return Client(config, tunables=tunables, logger=logger)
    raise ConfigError("mode", Mode.MASTER.value, "not part of this version; expected server or client")


def _hide_arguments(config: ServerConfig | ClientConfig) -> None:
    """Take the key out of what `ps` shows of this process."""
    from setproctitle import setproctitle  # noqa: PLC0415 - only a running instance needs it

    setproctitle(f"nodepass {to_url(config, with_secret=False)}")


def _run(main_task: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where it is installed, else on asyncio."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - only a running instance needs it
    except ImportError:
        # Windows' default loop has no readiness callbacks; elsewhere this is the default.
        new_event_loop = asyncio.SelectorEventLoop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main_task)


async def _until_signalled(instance: Instance[Any]) -> int:
    """Run the instance; the first signal drains it, a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()

    def on_signal(number: int) -> None:
        if signalled.is_set():
            os._exit(128 + number)
        signalled.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await instance.start()
    except ConfigError as error:
        click.echo(f"nodepass: {error}", err=True)
        return EXIT_BAD_INPUT
    # What has been made so far lives as long as the process: the collector need not look at it again and again.
    gc.freeze()
    await signalled.wait()
    await instance.stop()
    return 0
