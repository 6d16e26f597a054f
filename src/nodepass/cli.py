"""The command line: arguments, and one line for each way in which they can be wrong.

Exit codes: 0 after a graceful end, 2 for wrong arguments, 128 and the signal's number when a second signal cuts it short.

Nothing but click is imported until a command needs it, so that `--version` and `--help` answer at once. No message quotes
an argument: any of them may hold the key.
"""

from __future__ import annotations

import io
import math
import os
import platform
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from nodepass import __version__
from nodepass.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

EXIT_BAD_INPUT = 2

STANDARD_STREAMS = 3

BANNER_WIDTH = 37
"""Columns between the sides of the box that v1 draws."""

LONGEST_DEMO = 24 * 60 * 60
"""Seconds that `--seconds` takes at most."""

KEY_SIZE = 32
"""Random bytes in a key that `genkey` prints."""

PLAIN_OPTION = re.compile(r"--?[A-Za-z][A-Za-z-]{0,20}")
"""What an option's name looks like; anything else may be a piece of a URL."""


def banner() -> str:
    """What `nodepass` is and the forms of its URL, in a box."""
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


class BadInputError(click.ClickException):
    """Arguments that are wrong: one line that says what would be right, and exit code 2."""

    exit_code = EXIT_BAD_INPUT

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it the way every message of this program looks."""
        click.echo(f"nodepass: {self.format_message()}", file=file, err=True)


class UrlGroup(click.Group):
    """Commands by name, and a URL where a command is expected: `nodepass server://…`."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **extra: Any) -> Any:
        """Make the process fit to run, if it is one of its own, and run it."""
        if args is None:
            _open_missing_streams()
            if any("://" in argument for argument in sys.argv[1:]) or sys.argv[1:2] == ["ctl"]:
                _hide_arguments()
        return super().main(args, *others, **extra)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options in front of the URL or the command."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _bad_usage(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or what the URL describes."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _bad_usage(error) from None
        except ConfigError as error:
            raise BadInputError(str(error)) from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command's name for a URL."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "URL", run_url, args


def _open_missing_streams() -> None:
    """Put /dev/null where a standard stream was closed by whoever started the process.

    Whatever opened a file or socket next would get its number: the event loop aborts on that, and log lines would go there.
    """
    for number in range(STANDARD_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    # Python has seen that they were closed, and made no object for them.
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a number, for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - a number, for good


def _hide_arguments() -> None:
    """Take keys out of what `ps` shows of this process; a URL that has been read comes back later, without it.

    Before the imports that take most of the time of a start.
    """
    from setproctitle import setproctitle  # noqa: PLC0415 - see the top

    setproctitle("nodepass")


def _bad_usage(error: click.UsageError) -> BadInputError:
    """Say in one line what click says in several, and without the arguments that it quotes."""
    if isinstance(error, click.NoSuchOption):
        name = f" {error.option_name}" if PLAIN_OPTION.fullmatch(error.option_name) else ""
        return BadInputError(f'unknown option{name}; parameters are part of the URL, as in "server://…?tls=1"')
    if isinstance(error, click.BadParameter | click.BadOptionUsage):
        return BadInputError(error.format_message())
    return BadInputError("too many arguments; `nodepass --help` tells more")


@click.group(
    cls=UrlGroup,
    invoke_without_command=True,
    subcommand_metavar="URL | COMMAND",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "-V", "--version", message="nodepass %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Run a tunnel for TCP and UDP, described by one URL.

    \b
      nodepass "server://KEY@:10101/:8080?tls=1&mode=1"      at the public end
      nodepass "client://KEY@HOST:10101/127.0.0.1:80?mode=2" behind NAT
      nodepass "client://:15432/db.internal:5432?mode=1"     one end only
      nodepass "master://:9090/api?tls=1"                    a REST API that runs them

    Users of HOST:8080 then reach the web server behind NAT. KEY is a secret
    that both ends share. Quote the URL, or the shell takes its & and ? for
    itself.
    """  # noqa: D301 - \b is click's mark, not a backslash
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    if ctx.invoked_subcommand is None:
        click.echo(banner(), err=True)
        click.echo("", err=True)
        raise BadInputError("expected a URL or a command; `nodepass --help` tells more, `nodepass demo` shows a tunnel")


def _show_main_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and ctx.parent is not None:
        click.echo(ctx.parent.get_help())
        ctx.exit()


@click.command(add_help_option=False)
@click.option("-h", "--help", is_flag=True, is_eager=True, expose_value=False, callback=_show_main_help)
@click.argument("arguments", nargs=-1)
def run_url(arguments: tuple[str, ...]) -> None:
    """Run what a URL describes until a signal ends it."""
    if len(arguments) != 1:
        raise BadInputError(f"expected one URL, in quotes; got {len(arguments)} arguments")
    if "://" not in arguments[0]:
        commands = ", ".join(main.commands)
        raise BadInputError(f"expected a URL that begins with server://, client:// or master://, or a command: {commands}")
    from nodepass import runner  # noqa: PLC0415 - see the top

    sys.exit(runner.run_url(arguments[0]))


def _read_seconds(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """Read a length of time; click's own types would quote the text, and `nan` and `inf` are numbers to Python."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_DEMO:
        raise click.BadParameter(f"expected a number from 0 to {LONGEST_DEMO}")
    return seconds


@main.command(short_help="See a tunnel at work, on this machine alone.")
@click.option("--seconds", metavar="N", callback=_read_seconds, help="End by itself after N seconds.")
def demo(seconds: float | None) -> None:
    """See a tunnel at work: a web page behind NAT, a server and a client, all on this machine.

    It checks itself by a download and a UDP round trip through the tunnel; the exit code is 0 if both came through.
    """
    from nodepass import runner  # noqa: PLC0415 - see the top
    from nodepass.demo import run_demo  # noqa: PLC0415 - see the top

    sys.exit(runner.run(run_demo(seconds)))


@main.command(
    short_help="Use a master's API.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ctl(arguments: tuple[str, ...]) -> None:
    """Do something with the instances of a master: `nodepass ctl --help` tells more."""
    from nodepass.ctl.commands import run_ctl  # noqa: PLC0415 - see the top

    sys.exit(run_ctl(list(arguments)))


@main.command(short_help="List the URL's parameters and the NP_* variables.")
def params() -> None:
    """List the parameters of the URL and the variables of the environment."""
    from nodepass.config import help_text  # noqa: PLC0415 - see the top

    click.echo(help_text())


@main.command(short_help="Print a new key.")
def genkey() -> None:
    """Print a new key for a tunnel, which stands in a URL as it is: 32 random bytes."""
    import secrets  # noqa: PLC0415 - see the top

    click.echo(secrets.token_urlsafe(KEY_SIZE))
