"""What a process does that is one of several of an instance (`python -m nodepass.worker`); see `tunnel.workers`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from nodepass.config import ClientConfig, RunMode, ServerConfig, Tunables, parse_url, to_url
from nodepass.console import make_logger
from nodepass.log import EVENT, tunnel_logger
from nodepass.net.packets import LARGEST_PACKET
from nodepass.runner import instance_of, run, spare_collector
from nodepass.tunnel.workers.cells import Cells
from nodepass.tunnel.workers.child import ORPHANED, WorkerPlace
from nodepass.tunnel.workers.messages import Start
from nodepass.tunnel.workers.packets import decode

if TYPE_CHECKING:
    from typing import Any

    from nodepass.tunnel.instance import Instance


def main() -> int:
    """Run one of several processes of an instance; the argument is the number of the socket to the parent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # The parent hears of them and says when it is time; see `child`.
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    packet, descriptors, _, _ = socket.recv_fds(control, LARGEST_PACKET, 1)
    start = decode(packet) if packet else None
    if not isinstance(start, Start):
        control.close()
        return ORPHANED
    try:
        # Here, because what it imports would keep the loop for a tenth of a second.
        instance = _make_instance(start)
        return run(_live(instance, start, control, Cells(descriptors[0], start.count)))
    finally:
        logging.shutdown()


async def _live(instance: Instance[Any], start: Start, control: socket.socket, cells: Cells) -> int:
    """Run the instance until the parent says that it is to end; the parent makes its reports."""
    place = WorkerPlace(start, control, cells)
    instance.settle_in(place)
    await instance.start()
    place.tell_for_ever(instance)
    spare_collector()
    await place.stopping.wait()
    await instance.stop()
    place.tell(instance)
    return 0


def _make_instance(start: Start) -> Instance[Any]:
    from setproctitle import setproctitle  # noqa: PLC0415 - as in `runner`

    config = parse_url(start.url)
    assert isinstance(config, ServerConfig | ClientConfig)  # noqa: S101 - the parent has read it before
    setproctitle(f"nodepass {to_url(config, with_secret=False)} (process {start.index + 1} of {start.count})")
    tunables = replace(Tunables.from_environment(os.environ), shutdown_timeout=start.shutdown_timeout)
    logger = make_logger(tunables.log_format)
    if start.tunnel:
        logger = tunnel_logger(start.tunnel, logger)
    logger.addFilter(lambda record: record.levelno != EVENT)
    instance = instance_of(replace(config, workers=1, mode=RunMode(start.mode)), tunables, logger)
    if start.shows_errors:
        instance.show_errors()
    return instance


if __name__ == "__main__":
    sys.exit(main())
