"""The parameters of the URL and the variables of the environment, as Markdown."""

from __future__ import annotations

from nodepass.config import params, tunables


def parameters() -> str:
    """One row for each parameter of the URL."""
    return "\n".join(
        ("| name | meaning | default | server | client | master |", "|---|---|---|---|---|---|", *params.markdown_rows())
    )


def values() -> str:
    """What a right value of each parameter is, in the words of the error that refuses a wrong one."""
    rows = (f"| `{row.name}` | {row.expected} |" for row in params.ALL)
    return "\n".join(("| name | expected |", "|---|---|", *rows))


def variables() -> str:
    """One row for each variable of the environment."""
    return "\n".join(("| name | meaning | default |", "|---|---|---|", *tunables.markdown_rows()))
