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
import sys

import click

from nodepass import __version__
from nodepass.arguments import COMPLETION_VARIABLE, BadInputError, CtlCommand, UrlGroup, complete_ctl, complete_url_or_file

BANNER_WIDTH = 37
"""Columns between the sides of the box that v1 draws."""

LONGEST_WAIT = 24 * 60 * 60
"""Seconds that an option takes at most."""

SHELLS = ("bash", "zsh", "fish")
"""Those for which `completion` has a script."""

KEY_SIZE = 32
"""Random bytes in a key that `genkey` prints."""


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


main.of_url = run_url


def _read_seconds(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """Read a length of time; click's own types would quote the text, and `nan` and `inf` are numbers to Python."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT:
        raise click.BadParameter(f"expected a number from 0 to {LONGEST_WAIT}")
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
    cls=CtlCommand,
    short_help="Use a master's API.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_ctl)
def ctl(arguments: tuple[str, ...]) -> None:
    """Do something with the instances of a master: `nodepass ctl --help` tells more."""
    from nodepass.ctl.commands import run_ctl  # noqa: PLC0415 - see the top

    sys.exit(run_ctl(list(arguments)))


@main.command(short_help="Run the tunnels of a file.")
@click.argument("file", type=click.Path())
@click.option("--no-watch", is_flag=True, help="Read the file again at SIGHUP only, not when it has been saved.")
def run(file: str, no_watch: bool) -> None:
    """Run the servers, clients and forwarders of a TOML file, until a signal ends them.

    When the file has been saved, or at SIGHUP, it is read again: what has changed in it begins anew, and nothing else is
    touched. A file with an error is told, and changes nothing.
    """
    from pathlib import Path  # noqa: PLC0415 - see the top

    from nodepass.fleet.run import run_file  # noqa: PLC0415 - see the top

    sys.exit(run_file(Path(file), watched=not no_watch))


@main.command(short_help="Check files of tunnels, and URLs.")
@click.argument("targets", metavar="FILE|URL...", nargs=-1, required=True, shell_complete=complete_url_or_file)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--offline", is_flag=True, help="Do not look for keys and certificates: they are elsewhere.")
def check(targets: tuple[str, ...], as_json: bool, offline: bool) -> None:
    """Say all that is wrong with files of tunnels or URLs, and start nothing. The exit code is 0, or 2 for an error."""
    from nodepass.fleet.check import check as check_all  # noqa: PLC0415 - see the top

    sys.exit(check_all(targets, as_json=as_json, offline=offline))


@main.command(short_help="Tell how tunnels do, also by the exit code.")
@click.argument("file", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--wait", "patience", metavar="SECONDS", callback=_read_seconds, help="Wait so long until all is well.")
@click.option("--api", metavar="URL", help="Ask the master there; else NP_API.")
@click.option("--key", metavar="KEY", help="Its API key; else NP_API_KEY.")
@click.option("--insecure", is_flag=True, help="Accept any certificate of the master.")
@click.option("--fingerprint", metavar="SHA256", help="Accept the certificate with this fingerprint, and no other.")
def status(
    file: str | None,
    as_json: bool,
    patience: float | None,
    api: str | None,
    key: str | None,
    insecure: bool,
    fingerprint: str | None,
) -> None:
    """Tell how the tunnels of a `nodepass run` do, those of FILE or all of this user's; or how a master's instances do.

    \b
    Exit codes:
      0  all are connected; of a master, none is in error
      1  one at least does not run, or has not met its server
      2  wrong arguments
      3  nobody could be asked
      4  all run, and a server at least has no client
    """  # noqa: D301 - \b is click's mark, not a backslash
    from pathlib import Path  # noqa: PLC0415 - see the top

    from nodepass.fleet import ask  # noqa: PLC0415 - see the top

    asks_master = api is not None or (file is None and "NP_API" in os.environ)
    if asks_master and file is not None:
        raise BadInputError("expected a file, or --api; got both")
    address = ask.master_address(api, key, insecure=insecure, fingerprint=fingerprint) if asks_master else None
    sys.exit(ask.status(Path(file) if file else None, address, as_json=as_json, patience=patience or 0))


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


def complete_shell(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The shells whose names begin so."""
    return [shell for shell in SHELLS if shell.startswith(incomplete)]


@main.command(short_help="Print a script for a shell's completion.")
@click.argument("shell", metavar="bash|zsh|fish", shell_complete=complete_shell)
def completion(shell: str) -> None:
    """Print a script that completes commands, options and URLs. In bash: eval "$(nodepass completion bash)"."""
    from nodepass.completion import script  # noqa: PLC0415 - see the top

    if shell not in SHELLS:
        raise BadInputError(f"expected a shell: {', '.join(SHELLS)}")
    click.echo(script(shell, main, "nodepass", COMPLETION_VARIABLE))
