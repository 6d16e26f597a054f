"""Shell completion: `nodepass completion bash` prints a script, and that asks this program what may come next.

click knows commands and options. This adds what may come next in a URL. bash needs a script of its own for that: it takes
`:` and `=` for the ends of words.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

if TYPE_CHECKING:
    import click

    from nodepass.config.parameter import Row

BASH_SCRIPT: Final = r"""
%(complete_func)s() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} reply kind value
    # What bash takes for the word begins behind the last of its word breaks; what is told here is the whole word.
    local begun=${COMP_WORDS[COMP_CWORD]} whole
    COMPREPLY=()
    while IFS=$'\t' read -r kind value; do
        case $kind in
            word) whole=$value ;;
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            *)
                [[ $begun == [\"\']* ]] || value=${value#"${whole%%"${begun##*[:=]}"}"}
                COMPREPLY+=("$value")
                [[ $kind == part ]] && compopt -o nospace 2>/dev/null
                ;;
        esac
    done < <(env COMP_LINE="$line" %(complete_var)s=bash_complete %(prog_name)s)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_QUOTES: Final = "\"'"


class UrlBash(BashComplete):
    """bash, with URLs as words."""

    source_template = BASH_SCRIPT

    @staticmethod
    def _check_version() -> None:
        """Bash 4.4 has all that the script uses, and is older than any Python that runs this."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words in front of the cursor, and the one that it stands in, without the quote that opens it."""
        *before, last = words_of(os.environ["COMP_LINE"])
        return before[1:], last

    def complete(self) -> str:
        """All that may come next, a line each; first the word that is to be completed."""
        args, incomplete = self.get_completion_args()
        items = self.get_completions(args, incomplete)
        return "\n".join([f"word\t{incomplete}", *(self.format_completion(item) for item in items)])

    def format_completion(self, item: CompletionItem) -> str:
        """A line: what it is, and its text."""
        return f"{'part' if item.part else item.type}\t{item.value}"


SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": UrlBash, "zsh": ZshComplete, "fish": FishComplete}


def prepare() -> None:
    """Have click use what is here."""
    add_completion_class(UrlBash, "bash")


def script(shell: str, program: click.Command, name: str, variable: str) -> str:
    """The script for a shell.

    Args:
        shell: one of `SHELLS`.
        program: what is completed.
        name: of the program.
        variable: by which the script tells that it asks.
    """
    return SHELLS[shell](program, {}, name, variable).source()


def words_of(line: str) -> list[str]:
    """The words of a command line, the last of which may be empty, or in quotes that are still open."""
    words, word, quote = [], "", ""
    is_word = False
    for character in line:
        if quote:
            if character == quote:
                quote = ""
            else:
                word += character
        elif character in _QUOTES:
            quote, is_word = character, True
        elif character.isspace():
            if is_word:
                words.append(word)
            word, is_word = "", False
        else:
            word, is_word = word + character, True
    return [*words, word]


def url_items(incomplete: str) -> list[CompletionItem]:
    """How a URL may go on: its scheme, the names of its parameters, and their values where there are few."""
    from nodepass.config import Mode, params  # noqa: PLC0415 - the command line starts without it

    scheme, separator, rest = incomplete.partition("://")
    if not separator:
        return [_part(f"{mode}://") for mode in Mode if f"{mode}://".startswith(incomplete.lower())]
    head, question, query = rest.rpartition("?")
    if not question or scheme.lower() not in set(Mode):
        return []
    before, _, last = query.rpartition("&")
    start = f"{scheme}://{head}?{before}&" if before else f"{scheme}://{head}?"
    rows = params.rows_of(Mode(scheme.lower()))
    name, equals, value = last.partition("=")
    if equals:
        return [_part(f"{start}{name}={text}") for text in _values(params.BY_NAME.get(name)) if text.startswith(value)]
    given = {pair.partition("=")[0] for pair in before.split("&")}
    found = [row for row in rows if row.name.startswith(name) and row.name not in given]
    if len(found) > 1:
        return [_part(f"{start}{row.name}=", row.help) for row in found]
    # The one that is left comes with its values: a shell that is given a single word ends it, quotes and all.
    return [
        _part(f"{start}{row.name}={text}", row.help) for row in found for text in _values(row) or ("", row.default_text)
    ]


def _part(text: str, meaning: str | None = None) -> CompletionItem:
    """Something behind which more comes, and no space."""
    return CompletionItem(text, help=meaning, part=True)


def _values(row: Row | None) -> list[str]:
    """The values of a parameter that has few."""
    expected = "" if row is None else row.expected
    if not re.fullmatch(r"[\w-]+(, [\w-]+)* or [\w-]+", expected):
        return []
    return re.split(r", | or ", expected)


def url_or_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What may come next in an argument that is a file or a URL."""
    if "://" in incomplete:
        return url_items(incomplete)
    return [*(url_items(incomplete) if incomplete else []), CompletionItem(incomplete, type="file")]
