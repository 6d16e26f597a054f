"""Everything the API may do to instances.

What always holds:

- Changes of one instance take turns; those of different instances do not wait for each other.
- A change is on the disk before it is in memory, and in memory before the method returns. Where the disk refuses it,
  nothing has changed.
- A change that has begun is finished, even if whoever asked for it has gone.
- Byte counts are not changes: they are saved a moment later, many at a time.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nodepass.errors import MasterError, SameUrlError, StateError, UnknownInstanceError
from nodepass.master.changes import changed_fields, check_change, check_text
from nodepass.master.events import EventHub
from nodepass.master.figures import without_totals
from nodepass.master.identity import MasterIdentity, new_master
from nodepass.master.instance_url import read_instance_url
from nodepass.master.model import Action, EventType, Instance, Status
from nodepass.master.processes import Processes
from nodepass.master.store import Store, state_folder
from nodepass.master.supervised import Supervised, Surroundings
from nodepass.master.totals import TotalsSaver
from nodepass.net.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from nodepass.config import MasterConfig, Tunables
    from nodepass.log import Log
    from nodepass.master.model import Change
    from nodepass.net.life import Stage

T = TypeVar("T")

_ID_BYTES: Final = 4


class Instances:
    """The instances of one master.

    Args:
        config: of the master.
        tunables: the NP_* settings, of which instances have the same.
        log: of the master.
        folder: where the state is kept; NP_STATE_DIR, or the platform's folder for a user's data, unless given.
    """

    master: MasterIdentity
    """Who this master is; there from `open` on."""

    def __init__(self, config: MasterConfig, tunables: Tunables, log: Log, folder: Path | None = None) -> None:
        self.events = EventHub(self.all)
        self._config = config
        self._tunables = tunables
        self._log = log
        self._store = Store(state_folder(os.environ) if folder is None else folder, log)
        self._processes = Processes(self._store.processes_lock, log)
        self._tasks = Tasks(log)
        self._changes: set[asyncio.Task[Any]] = set()
        self._supervised: dict[str, Supervised] = {}
        self._saver = TotalsSaver(self._store, self._existing, log)
        self._closed = False
        self._surroundings = Surroundings(
            processes=self._processes,
            events=self.events,
            log=log,
            tasks=self._tasks,
            report_interval=tunables.report_interval,
            counted=self._saver.has_counted,
        )

    # From start to end.

    async def open(self) -> None:
        """Read the state, or make one with a new key; start the instances that start with the master.

        Raises:
            StateError: the state cannot be read, another master uses it, or the new key cannot be stored.
        """
        state = await self._store.open()
        row = state.master
        if row is None:
            row = new_master()
            await self._store.save_master(row)
            # The one time that they are shown: whatever `log` says, for without the key the master is of no use.
            self._log.always("ID of this new master: %s", row.id)
            self._log.always("API key of this new master: %s", row.api_key.reveal())
        self.master = MasterIdentity(row, self._store, self.events)
        for instance in state.instances.values():
            self._supervised[instance.id] = Supervised(instance, self._surroundings)
        await self._back_up()
        for supervised in self._supervised.values():
            if supervised.instance.restart:
                await supervised.start()
        self._tasks.start(self._saver.run(), "saving of byte counts")
        self._tasks.start(self._look_after_for_ever(), "look at instances in error")

    async def close(self) -> None:
        """Tell all readers, stop all instances, and save what they counted. Nothing happens the second time."""
        if self._closed:
            return
        self._closed = True
        self.events.close()
        self._processes.refuse()
        await asyncio.gather(*map(self._close_one, self._supervised.values()))
        await self._processes.close()
        await self._tasks.cancelled()
        await asyncio.gather(*self._changes, return_exceptions=True)
        if self._supervised:
            try:
                await self._store.save_totals(self.all())
            except StateError as error:
                self._log.error("The last byte counts are lost: %s", error)
        await self._store.close()

    async def _close_one(self, supervised: Supervised) -> None:
        async with supervised.turn:
            await supervised.stop()

    # What can be asked and changed.

    def all(self) -> list[Instance]:
        """Every instance, as it is now, in the order in which they were made."""
        return [supervised.instance for supervised in self._supervised.values()]

    def get(self, id: str) -> Instance:  # noqa: A002 - what it is called everywhere
        """One instance, as it is now.

        Raises:
            UnknownInstanceError: there is none with this ID.
        """
        return self._find(id).instance

    def pid(self, id: str) -> int | None:  # noqa: A002 - see above
        """Process ID of an instance; None while it has no process. Raises as `get` does."""
        return self._find(id).pid

    def stage(self, id: str) -> Stage:  # noqa: A002 - see above
        """How far the process of an instance has come, as it last told; STARTING without one. Raises as `get` does."""
        return self._find(id).stage

    async def create(self, url: str, alias: str = "") -> Instance:
        """Make an instance, and start it. That it cannot run, as with a port that is taken, its status shows later.

        Raises:
            ConfigError: the URL is wrong, for the reason that the command line gives; or the alias is too long.
            StateError: it cannot be stored.
        """
        return await self._finished(self._create(url, alias))

    async def change(self, id: str, change: Change) -> Instance:  # noqa: A002 - see above
        """Change an instance: first what is stored, then the action.

        Raises:
            UnknownInstanceError: there is none with this ID.
            ConfigError: a text is too long.
            StateError: it cannot be stored.
        """
        check_change(change)
        return await self._finished(self._change(id, change))

    async def replace_url(self, id: str, url: str) -> Instance:  # noqa: A002 - see above
        """Stop an instance, give it another URL, and start it.

        Raises:
            UnknownInstanceError: there is none with this ID.
            ConfigError: the URL is wrong, for the reason that the command line gives.
            SameUrlError: it is the one that it has.
            StateError: it cannot be stored.
        """
        return await self._finished(self._replace_url(id, url))

    async def delete(self, id: str) -> None:  # noqa: A002 - see above
        """Stop an instance, and forget it.

        Raises:
            UnknownInstanceError: there is none with this ID.
            StateError: that it is gone cannot be stored.
        """
        await self._finished(self._delete(id))

    # How that is done.

    async def _finished(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that is finished even if this is cancelled."""
        if self._closed:
            work.close()
            raise MasterError("the master is ending")
        task = asyncio.get_running_loop().create_task(work)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def _turn(self, instance_id: str) -> AsyncIterator[Supervised]:
        """Wait for the turn to change an instance, if it is still there then."""
        supervised = self._find(instance_id)
        async with supervised.turn:
            self._find(instance_id)
            if self._closed:
                raise MasterError("the master is ending")
            yield supervised

    async def _create(self, url: str, alias: str) -> Instance:
        check_text("alias", alias)
        read = read_instance_url(url, self._config)
        instance = Instance(self._new_id(), alias, read.kind, Status.RUNNING, read.url, read.config)
        supervised = Supervised(instance, self._surroundings)
        async with supervised.turn:
            await self._store.save(instance)
            self._supervised[instance.id] = supervised
            self.events.tell(EventType.CREATE, instance)
            await supervised.start()
        return supervised.instance

    async def _change(self, instance_id: str, change: Change) -> Instance:
        async with self._turn(instance_id) as supervised:
            kept = changed_fields(supervised.instance, change)
            if kept:
                await self._store.save(replace(supervised.instance, **kept))
                supervised.set(**kept)
            if change.action is Action.START:
                await supervised.start()
            elif change.action is Action.STOP:
                await supervised.stop()
            elif change.action is Action.RESTART:
                await supervised.restart()
            elif change.action is Action.RESET:
                zeroed = replace(supervised.instance, figures=without_totals(supervised.instance.figures))
                await self._store.save_totals((zeroed,))
                supervised.reset()
            return supervised.instance

    async def _replace_url(self, instance_id: str, url: str) -> Instance:
        async with self._turn(instance_id) as supervised:
            read = read_instance_url(url, self._config)
            if read.url == supervised.instance.url:
                raise SameUrlError("the instance has this URL already")
            fresh: dict[str, Any] = {"type": read.kind, "url": read.url, "config": read.config}
            await self._store.save(replace(supervised.instance, **fresh))
            await supervised.stop()
            supervised.set(**fresh)
            await supervised.start()
            return supervised.instance

    async def _delete(self, instance_id: str) -> None:
        async with self._turn(instance_id) as supervised:
            await self._store.remove(instance_id)
            await supervised.stop()
            del self._supervised[instance_id]
            self.events.tell(EventType.DELETE, supervised.instance)

    def _existing(self, instance_ids: set[str]) -> list[Instance]:
        return [self._supervised[each].instance for each in instance_ids if each in self._supervised]

    def _find(self, instance_id: str) -> Supervised:
        supervised = self._supervised.get(instance_id)
        if supervised is None:
            raise UnknownInstanceError("no instance has this ID")
        return supervised

    def _new_id(self) -> str:
        while (new := secrets.token_hex(_ID_BYTES)) in self._supervised:
            pass
        return new

    # What goes on by itself.

    async def _look_after_for_ever(self) -> None:
        """Every NP_RELOAD_INTERVAL, back up the state and restart what is in error."""
        while True:
            await asyncio.sleep(self._tunables.reload_interval)
            await self._back_up()
            for supervised in tuple(self._supervised.values()):
                if supervised.instance.status is Status.ERROR:
                    self._tasks.start(self._restart(supervised), f"restart of {supervised.instance.id}")

    async def _restart(self, supervised: Supervised) -> None:
        async with supervised.turn:
            still_there = self._supervised.get(supervised.instance.id) is supervised
            if still_there and not self._closed and supervised.instance.status is Status.ERROR:
                await supervised.restart()

    async def _back_up(self) -> None:
        try:
            await self._store.back_up()
        except StateError as error:
            self._log.error("No backup: %s", error)
