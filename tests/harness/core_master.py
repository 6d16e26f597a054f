"""A master without its API: `python -m tests.harness.core_master FOLDER [URL…]`.

Makes instances of the URLs if there are none, prints a line for each event, and ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from nodepass.config import MasterConfig, Tunables, parse_url
from nodepass.console import make_logger
from nodepass.errors import StateError
from nodepass.log import INFO, Log
from nodepass.master.instances import Instances
from nodepass.runner import run


async def main(folder: Path, urls: list[str]) -> int:
    config = parse_url("master://:9")
    assert isinstance(config, MasterConfig)
    instances = Instances(config, Tunables.from_environment(os.environ), Log(INFO, make_logger()), folder)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    try:
        await instances.open()
        reading = asyncio.create_task(tell(instances))
        if not instances.all():
            for url in urls:
                await instances.create(url)
        print("open", flush=True)
        await ended.wait()
        await instances.close()
        await reading
    except StateError as error:
        print(error, flush=True)
        await instances.close()
    return 0


async def tell(instances: Instances) -> None:
    async for event in instances.events.subscribe():
        if event.instance is not None:
            known = {instance.id for instance in instances.all()}
            pid = instances.pid(event.instance.id) if event.instance.id in known else None
            figures = event.instance.figures
            print(
                event.type, event.instance.id, event.instance.status, f"pid={pid} tcprx={figures.tcprx} mode={figures.mode}"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run(main(Path(sys.argv[1]), sys.argv[2:])))
