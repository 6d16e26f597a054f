"""`nodepass check`: files of tunnels and URLs, all that is wrong with them, and nothing started."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from nodepass.config import TlsMode, parse_url
from nodepass.errors import ConfigError
from nodepass.fleet.file import read_file
from nodepass.fleet.problems import Report
from nodepass.net.certificates import certificate_source

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_BAD_INPUT: Final = 2


def check(targets: Iterable[str], *, as_json: bool, offline: bool) -> int:
    """Check files and URLs, and print what is wrong; gives the exit code.

    Args:
        targets: paths and URLs.
        as_json: whether a program reads what is printed.
        offline: whether the files and variables that they name are elsewhere.
    """
    reports = []
    for target in targets:
        report, tunnels = (_check_url if "://" in target else _check_file)(target, offline=offline)
        reports.append(report)
        if not as_json:
            for problem in report.problems:
                click.echo(f"nodepass: {problem.severity}: {problem}", err=True)
            if report.is_good:
                click.echo(f"{report.file}: {tunnels} tunnel{'' if tunnels == 1 else 's'}, no errors")
    is_good = all(report.is_good for report in reports)
    if as_json:
        problems = [problem.members() for report in reports for problem in report.problems]
        click.echo(json.dumps({"ok": is_good, "problems": problems}, ensure_ascii=False, indent=2))
    return 0 if is_good else EXIT_BAD_INPUT


def _check_file(target: str, *, offline: bool) -> tuple[Report, int]:
    file, report = read_file(Path(target), os.environ, offline=offline)
    return report, 0 if file is None else len(file.entries)


def _check_url(target: str, *, offline: bool) -> tuple[Report, int]:
    # It may hold a key: it is not shown.
    report = Report("URL")
    try:
        config = parse_url(target)
        if config.tls is TlsMode.FILES and not offline:
            certificate_source(config.tls, config.crt, config.key)
    except ConfigError as error:
        report.wrong("", "", str(error))
    return report, 1
