"""What a `nodepass` process does with its URL: make the instance, choose the event loop, end on signals.

A mode is imported when it is asked for.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from nodepass.config import MasterConfig, Mode, RunMode, ServerConfig, Tunables, parse_url, to_url
from nodepass.console import make_logger
from nodepass.errors import ConfigError, NodePassError
from nodepass.net.descriptors import raise_limit
from nodepass.net.life import Staged, stage_of
from nodepass.notify import Notifier
from nodepass.protocol.tunnel_key import pre_shared_key

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from nodepass.config import ClientConfig, Config
    from nodepass.master.master import Master
    from nodepass.tunnel.instance import Instance
    from nodepass.tunnel.workers.parent import Workers

OBJECTS_BETWEEN_COLLECTIONS = 20_000

SIGNAL_EXIT = 128
"""Added to the number of the signal that ends a process at once, as shells do."""


READY_PATIENCE = 5.0
"""Seconds after which a service manager hears that the process runs, whether its tunnel is ready or waits for its peer."""


class Startable(Protocol):
    """What a process does until a signal ends it."""

    async def start(self) -> None:
        """Begin to run in the background.

        Raises:
            ConfigError: a file that the URL names is no good.
        """

    async def stop(self) -> None:
        """End gracefully."""


class Runnable(Startable, Staged, Protocol):
    """What a URL describes: a server, a client or a master."""

    @property
    def config(self) -> Config:
        """What the URL says."""

    async def ready(self) -> None:
        """Wait until it listens, or has met its server."""


def run_url(url: str) -> int:
    """Run what a URL describes until a signal ends it.

    Returns:
        The exit code.

    Raises:
        ConfigError: the URL, the environment or a file they name is wrong; nothing has been bound.
    """
    tunables = Tunables.from_environment(os.environ)
    make = _make_master if url.lower().startswith(f"{Mode.MASTER}://") else make_instance
    runnable = make(url, tunables, make_logger(tunables.log_format))
    show_url(runnable.config)
    return run(_notified(runnable, Notifier(os.environ)))


async def _notified(runnable: Runnable, notifier: Notifier) -> int:
    """Run it, and tell the service manager how it does."""
    announcing = asyncio.ensure_future(_announce(runnable, notifier))
    try:
        return await until_signalled(runnable, ending=notifier.stopping)
    finally:
        announcing.cancel()
        notifier.close()


async def _announce(runnable: Runnable, notifier: Notifier) -> None:
    with suppress(TimeoutError, NodePassError):
        async with asyncio.timeout(READY_PATIENCE):
            await runnable.ready()
    notifier.ready(lambda: stage_of(runnable))


def run(main_task: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on uvloop where it is installed, else on asyncio."""
    raise_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main_task)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - it may be missing
    except ImportError:
        # Windows' default loop has no readiness callbacks; elsewhere this is the default.
        return asyncio.SelectorEventLoop
    return new_event_loop


def make_instance(
    url: str, tunables: Tunables, logger: logging.Logger, held: Sequence[int] = ()
) -> Instance[Any] | Workers:
    """Make the server or client that a URL describes.

    Args:
        url: what to run.
        tunables: the NP_* settings.
        logger: where log lines go.
        held: descriptors that other processes of the instance hold on to as well, if it is several.

    Raises:
        ConfigError: the URL is wrong, or a master's.
    """
    config = parse_url(url)
    if isinstance(config, MasterConfig):
        raise ConfigError("mode", config.scheme.value, "expected server or client")
    count = config.workers or processor_count()
    if count == 1:
        return instance_of(replace(config, workers=1), tunables, logger)
    if sys.platform != "linux":
        raise ConfigError("workers", str(config.workers), "expected 1: only Linux spreads users over processes")
    from nodepass.tunnel.workers.parent import Workers  # noqa: PLC0415 - one process does not need it

    return Workers(url, config, count, tunables, logger, held)


def processor_count() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def instance_of(config: ServerConfig | ClientConfig, tunables: Tunables, logger: logging.Logger) -> Instance[Any]:
    """Make the server or client of a configuration."""
    if isinstance(config, ServerConfig) or config.mode is not RunMode.REVERSE_OR_SINGLE_END:
        # What the handshake needs is made while this thread reads the code to come.
        Thread(target=pre_shared_key, args=(config.secret.reveal(),), daemon=True).start()
    if isinstance(config, ServerConfig):
        from nodepass.tunnel.server import Server  # noqa: PLC0415 - a client does not need it

        return Server(config, tunables=tunables, logger=logger)
    from nodepass.tunnel.client import Client  # noqa: PLC0415 - a server does not need it

    return Client(config, tunables=tunables, logger=logger)


def _make_master(url: str, tunables: Tunables, logger: logging.Logger) -> Master:
    """Make the master that a URL describes.

    Raises:
        ConfigError: the URL is wrong.
    """
    from nodepass.master.master import Master  # noqa: PLC0415 - servers and clients must not pay for its libraries

    return Master(url, tunables=tunables, logger=logger)


def show_url(config: Config) -> None:
    """Let `ps` show what this process runs, without the key."""
    from setproctitle import setproctitle  # noqa: PLC0415 - the demo does not need it

    setproctitle(f"nodepass {to_url(config, with_secret=False)}")


def spare_collector() -> None:
    """Have the garbage collector look seldom, and not at what has been made so far, which lives as long as the process.

    Users leave no cycles behind (a test holds that), so there is little to find.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)


async def until_signalled(
    instance: Startable,
    *,
    started: Callable[[], object] = lambda: None,
    ending: Callable[[], object] = lambda: None,
    patient: bool = False,
) -> int:
    """Run the instance; the first signal drains it, a second one ends the process at once.

    Args:
        instance: what to run.
        started: called once it has been started.
        ending: called with the first signal.
        patient: whether a second signal changes nothing instead.

    Raises:
        ConfigError: a file that the URL names is no good.
    """
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()

    def on_signal(number: int) -> None:
        if signalled.is_set() and not patient:
            logging.shutdown()
            os._exit(SIGNAL_EXIT + number)
        signalled.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    await instance.start()
    started()
    spare_collector()
    await signalled.wait()
    ending()
    await instance.stop()
    return 0
