"""What is done with arguments before a command has them, and how it is told that they are wrong: in one line.

No message quotes an argument: any of them may hold the key.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from nodepass.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

EXIT_BAD_INPUT = 2

STANDARD_STREAMS = 3

PLAIN_OPTION = re.compile(r"--?[A-Za-z][A-Za-z-]{0,20}")
"""What an option's name looks like; anything else may be a piece of a URL."""

COMPLETION_VARIABLE = "_NODEPASS_COMPLETE"
"""A shell that asks what may come next sets it."""

COMMANDS_WITH_KEYS = {"ctl", "status"}
"""Commands that take an API key as an option."""


class BadInputError(click.ClickException):
    """Arguments that are wrong: one line that says what would be right, and exit code 2."""

    exit_code = EXIT_BAD_INPUT

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it the way every message of this program looks."""
        click.echo(f"nodepass: {self.format_message()}", file=file, err=True)


class UrlGroup(click.Group):
    """Commands by name, and a URL where a command is expected: `nodepass server://…`."""

    of_url: click.Command
    """Runs a URL."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **extra: Any) -> Any:
        """Make the process fit to run, if it is one of its own, and run it."""
        if args is None:
            _open_missing_streams()
            if COMPLETION_VARIABLE in os.environ:
                from nodepass.completion import prepare  # noqa: PLC0415 - only a shell asks for it

                prepare()
            extra["complete_var"] = COMPLETION_VARIABLE
            if any("://" in argument for argument in sys.argv[1:]) or not COMMANDS_WITH_KEYS.isdisjoint(sys.argv[1:2]):
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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Commands and options, and the beginnings of URLs."""
        from nodepass.completion import url_items  # noqa: PLC0415 - only a shell asks for it

        return [*super().shell_complete(ctx, incomplete), *url_items(incomplete)]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command's name for a URL."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "URL", self.of_url, args


class CtlCommand(click.Command):
    """`nodepass ctl`, whose own commands are imported when they are needed."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """What its commands take."""
        from click.shell_completion import ShellComplete  # noqa: PLC0415 - only a shell asks for it

        from nodepass.ctl.commands import ctl  # noqa: PLC0415 - see above

        whole = ShellComplete(ctl, {}, "nodepass ctl", COMPLETION_VARIABLE)
        return whole.get_completions(list(ctx.params["arguments"]), incomplete)


def complete_ctl(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    """What may come next behind `nodepass ctl`."""
    return ctx.command.shell_complete(ctx, incomplete)


def complete_url_or_file(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """What may come next in an argument that is a file or a URL."""
    from nodepass.completion import url_or_file  # noqa: PLC0415 - only a shell asks for it

    return url_or_file(ctx, parameter, incomplete)


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
