"""What a process does that a master has started for an instance (see `fork_server`).

It is `nodepass URL`, with five differences:

- It reports to its master, and says why it fails, whatever `log` says; and it reports from the moment it listens. The
  instance's own CHECK_POINT lines come with each answer of a peer: a server that waits for its first client would look as
  if it hung.
- It tells how far it has come (`Stage`), which no CHECK_POINT does.
- Its last line is a CHECK_POINT, so that not a byte is missing from the counters.
- It ends a little before the master's patience does, so that this last line is always written.
- A second SIGTERM changes nothing: a service manager that ends a whole group sends one, and the master another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nodepass.config import Tunables
from nodepass.console import make_logger
from nodepass.errors import ConfigError, TunnelError
from nodepass.log import ERROR, EVENT, Log
from nodepass.master.fork_messages import STAGE_PREFIX, STOP_PATIENCE
from nodepass.net.life import Stage, stage_of
from nodepass.net.tasks import Tasks
from nodepass.runner import make_instance, run, show_url, until_signalled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nodepass.tunnel.instance import Instance
    from nodepass.tunnel.workers.parent import Workers

EXIT_BAD_INPUT: Final = 2

LONGEST_DRAIN: Final = STOP_PATIENCE - 0.5
"""Seconds that sessions have to finish at most."""

STAGE_INTERVAL: Final = 0.5
"""Seconds between two looks at how far the instance has come."""


def run_instance(url: str, held: Sequence[int] = ()) -> int:
    """Run what a URL describes until a signal ends it; gives the exit code.

    Args:
        url: what to run.
        held: descriptors that other processes of the instance hold on to as well, if it is several.
    """
    try:
        tunables = Tunables.from_environment(os.environ)
        logger = make_logger(tunables.log_format)
        instance = make_instance(
            url,
            replace(tunables, shutdown_timeout=min(tunables.shutdown_timeout, LONGEST_DRAIN)),
            _without_reports(logger),
            held,
        )
        instance.show_errors()
        show_url(instance.config)
        return run(_live(instance, tunables.report_interval, logger))
    except ConfigError as error:
        sys.stderr.write(f"nodepass: {error}\n")
        return EXIT_BAD_INPUT
    finally:
        logging.shutdown()


def _without_reports(logger: logging.Logger) -> logging.Logger:
    """The logger of the instance itself, whose reports are made here instead."""
    quiet = logger.getChild("instance")
    quiet.addFilter(lambda record: record.levelno != EVENT)
    return quiet


async def _live(instance: Instance[Any] | Workers, interval: float, logger: logging.Logger) -> int:
    tasks = Tasks(Log(ERROR, logger))

    def begin_reports() -> None:
        tasks.start(_report(instance, interval, logger), "report")
        tasks.start(_tell_stage(instance, logger), "stage")

    code = await until_signalled(instance, started=begin_reports, patient=True)
    await tasks.cancelled()
    logger.log(EVENT, instance.checkpoint().format())
    return code


async def _report(instance: Instance[Any] | Workers, interval: float, logger: logging.Logger) -> None:
    """Report at once when it is ready, and every interval while it is."""
    with suppress(TunnelError):
        while True:
            await instance.ready()
            logger.log(EVENT, instance.checkpoint().format())
            await asyncio.sleep(interval)


async def _tell_stage(instance: Instance[Any] | Workers, logger: logging.Logger) -> None:
    """Tell, whenever it has changed, how far the instance has come."""
    told = Stage.STARTING
    while True:
        stage = stage_of(instance)
        if stage is not told:
            logger.log(EVENT, "%s%s", STAGE_PREFIX, stage)
            told = stage
        await asyncio.sleep(STAGE_INTERVAL)
