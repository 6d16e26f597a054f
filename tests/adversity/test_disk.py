"""A master's disk fills: what was stored is kept, what cannot be is refused and changes nothing, and room mends it."""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING, Final, Protocol, Self

import pytest

from tests.adversity.bounds import NOTICED, WITHIN
from tests.adversity.governed import DRAIN, IMPORTS, Governed
from tests.adversity.table import Row, is_long, keep
from tests.adversity.traffic import Outcome
from tests.e2e.test_dns import may_unshare
from tests.harness import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

SIZE: Final = "1m"
REFUSED: Final = 503
"""What the API answers where a change cannot be stored (`nodepass.master.api.answers`)."""

MOST_CHANGES: Final = 3000
PATIENCE: Final = 20.0


class Disk(Protocol):
    """Something that can be full."""

    @property
    def prefix(self) -> Sequence[str]:
        """A program and its arguments that run a master that sees it."""

    def fill(self, stage: Governed) -> None:
        """Leave no room for what the master writes."""

    def empty(self, stage: Governed) -> None:
        """Give room again."""


class FileLimit:
    """No disk, but a limit on how large files may be: the master cannot write to any. Everybody may set that."""

    @property
    def prefix(self) -> Sequence[str]:
        """See `Disk`."""
        return ()

    def fill(self, stage: Governed) -> None:
        """See `Disk`."""
        self._limit(stage, 0)

    def empty(self, stage: Governed) -> None:
        """See `Disk`."""
        self._limit(stage, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(stage: Governed, size: int) -> None:
        resource.prlimit(stage.master.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class SmallDisk:
    """A file system of one megabyte, in a mount namespace that a process of its own keeps.

    Args:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mount = f'mount -t tmpfs -o size={SIZE} tmpfs "$1" && echo mounted && exec sleep infinity'
        self._keeper = Process(["unshare", "-m", "sh", "-c", mount, "sh", str(folder)], name="mount")

    @property
    def prefix(self) -> Sequence[str]:
        """See `Disk`."""
        # With its root: that of a name space is another where tests run in a chroot.
        return ("nsenter", f"--target={self._keeper.pid}", "--mount", "--root")

    def __enter__(self) -> Self:
        self._keeper.start().wait_for("mounted")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._keeper.__exit__(kind, error, trace)

    def fill(self, stage: Governed) -> None:
        """See `Disk`. What the master has of room in its own files, it fills itself."""
        with self._filler.open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(os.sysconf("SC_PAGESIZE")))
            except OSError:
                pass
        instance = stage.ids["server"]
        for number in range(MOST_CHANGES):
            if stage.master.call("PATCH", f"/instances/{instance}", {"alias": f"the server {number}"}).status == REFUSED:
                return
        pytest.fail("the disk is never full")

    def empty(self, stage: Governed) -> None:
        """See `Disk`."""
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        # As a process that has the mount sees it.
        root = self.folder.relative_to("/")
        return type(self.folder)(f"/proc/{self._keeper.pid}/root") / root / "filler"


@pytest.fixture(params=["limit", "disk"] if is_long() else ["limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Each way to have no room that there is here."""
    if request.param == "disk" and not may_unshare():
        pytest.skip("`unshare -m` is not permitted here")
    if request.param == "limit":
        yield FileLimit()
        return
    with SmallDisk(tmp_path) as small:
        yield small


def test_a_full_disk_loses_nothing_and_stops_nobody(disk: Disk, tmp_path: Path) -> None:
    """Nobody's connection notices; what needs no room goes on, what does is refused; a master that is killed comes back."""
    with Governed(tmp_path, disk.prefix) as stage:
        stage.warm_up()
        disk.fill(stage)
        before = stage.instances()
        assert_refused(stage)
        assert stage.instances().keys() == before.keys()
        stage.master.wait_for("Byte counts are not saved: the state in .* cannot be written")
        stage.warm_up()
        outcomes = stage.traffic.outcomes()
        assert set(outcomes) <= {Outcome.WHOLE, Outcome.OPEN}
        # The state is not what an action needs.
        acted = stage.master.call("PATCH", f"/instances/{stage.ids['client']}", {"action": "restart"})
        assert acted.status == 200, acted.text
        # The client drains, and comes back.
        assert stage.back_after(time.monotonic(), PATIENCE) < WITHIN + DRAIN
        stage.replace_master()
        assert stage.back_after(time.monotonic(), PATIENCE) < WITHIN + DRAIN + IMPORTS
        if disk.prefix:
            # It began with a disk that was full.
            assert_refused(stage)
        disk.empty(stage)
        room = time.monotonic()
        answer = stage.master.call("PATCH", f"/instances/{stage.ids['server']}", {"alias": "there is room"})
        assert answer.status == 200, answer.text
        recovered = time.monotonic() - room
        before["server"]["alias"] = "there is room"
        stage.settle(before, {}, NOTICED + PATIENCE)
        stage.replace_master()
        stage.settle(before, {}, NOTICED + PATIENCE)
        outcomes = stage.traffic.outcomes()
        assert outcomes[Outcome.CUT] == 0
        verified = stage.traffic.verified + stage.datagrams.verified
        keep(
            Row(
                "a master's disk fills", recovered, verified, outcomes[Outcome.WHOLE], outcomes[Outcome.BROKEN], stage.twice
            )
        )


def assert_refused(stage: Governed) -> None:
    """No change is taken, each is told why, and all that was is as it was."""
    before = stage.master.call("GET", "/instances").json
    server = f"/instances/{stage.ids['server']}"
    url = f"client://127.0.0.1:{free_port()}/127.0.0.1:9?mode=1"
    changes = (
        ("POST", "/instances", {"url": url}),
        ("PATCH", server, {"alias": "another"}),
        ("PATCH", server, {"meta": {"tags": {"another": "tag"}}}),
        ("PUT", server, {"url": url}),
        ("DELETE", server, None),
        ("POST", "/info", {"alias": "another"}),
        ("PATCH", "/instances/********", {"action": "restart"}),
    )
    for method, path, body in changes:
        answer = stage.master.call(method, path, body)
        assert answer.status == REFUSED, (method, path, body, answer)
        assert "cannot be written: " in answer.json["error"]
    after = stage.master.call("GET", "/instances").json
    kept = ("id", "alias", "url", "config", "meta", "restart", "status")
    assert [{key: each[key] for key in kept} for each in after] == [{key: each[key] for key in kept} for each in before]
