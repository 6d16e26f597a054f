"""The machine's figures, sampled in a thread every few seconds: a request only reads the last sample."""

from __future__ import annotations

import asyncio
import platform
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from nodepass.log import WARN

if TYPE_CHECKING:
    from nodepass.log import Log

SAMPLE_INTERVAL = 2.0
"""Seconds between samples; the CPU's percent is the mean over them."""

GO_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i686": "386"}
"""Architectures by the names that v1, and so its front ends, know."""

OPERATING_SYSTEM: Final = platform.system().lower()
ARCHITECTURE: Final = GO_ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower())
HOST_NAME: Final = platform.node()

_LOOPBACK_OR_VIRTUAL: Final = re.compile(r"lo\d*$|(veth|docker|podman|br-|virbr|cni|flannel|cali|lxcbr|lxdbr|vnet)")
_NETWORK_DEVICES: Final = Path("/sys/class/net")
_BLOCK_DEVICES: Final = Path("/sys/block")


@dataclass(frozen=True, slots=True)
class Sample:
    """The machine at one moment. Sizes are in bytes, and count from the machine's start.

    Args:
        cpu: percent of all cores since the sample before.
        mem_total: memory.
        mem_used: what is not available to programs.
        swap_total: swap space.
        swap_used: of it, in use.
        netrx: received, without loopback and virtual bridges.
        nettx: sent.
        diskr: read from disks, without partitions.
        diskw: written.
    """

    cpu: int = 0
    mem_total: int = 0
    mem_used: int = 0
    swap_total: int = 0
    swap_used: int = 0
    netrx: int = 0
    nettx: int = 0
    diskr: int = 0
    diskw: int = 0


class System:
    """The last sample, and what keeps it fresh."""

    def __init__(self) -> None:
        self._booted = 0.0
        self.sample = Sample()
        # Where there is no /proc, as in some jails, all else goes on.
        with suppress(OSError):
            # Of a clock that goes on evenly: that of the day can be set.
            self._booted = time.monotonic() - (time.time() - psutil.boot_time())
            self.sample = take_sample(_cpu_percent())

    @property
    def uptime(self) -> int:
        """Seconds since the machine started."""
        return max(round(time.monotonic() - self._booted), 0)

    async def keep_sampling(self, log: Log) -> None:
        """Take samples, for ever.

        Args:
            log: where it is told that there are none to be had for a while.
        """
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL)
            # Here, because psutil measures since the same thread last asked; it is cheap.
            try:
                cpu = _cpu_percent()
                self.sample = await asyncio.to_thread(take_sample, cpu)
            except OSError as error:
                # No descriptors just now, or no memory: the last figures stand.
                log.seldom("sampling", WARN, "Cannot read the machine's figures for now: %s", error.strerror or error)


def take_sample(cpu: int) -> Sample:
    """Ask the system. What it does not tell, as in some containers, stays 0.

    Args:
        cpu: percent.
    """
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    net = [figures for name, figures in psutil.net_io_counters(pernic=True).items() if counts_as_network(name)]
    disks = [figures for name, figures in _disk_figures().items() if counts_as_disk(name)]
    return Sample(
        cpu=cpu,
        mem_total=memory.total,
        mem_used=max(memory.total - memory.available, 0),
        swap_total=swap.total,
        swap_used=swap.used,
        netrx=sum(figures.bytes_recv for figures in net),
        nettx=sum(figures.bytes_sent for figures in net),
        diskr=sum(figures.read_bytes for figures in disks),
        diskw=sum(figures.write_bytes for figures in disks),
    )


def _cpu_percent() -> int:
    """A whole number, as in v1: front ends read it into one."""
    return round(psutil.cpu_percent())


def _disk_figures() -> dict[str, Any]:
    try:
        return psutil.disk_io_counters(perdisk=True)
    except (NotImplementedError, OSError):
        return {}


def counts_as_network(name: str) -> bool:
    """Whether a network interface is neither the loopback nor a virtual bridge or one of its ports."""
    return not _LOOPBACK_OR_VIRTUAL.match(name) and not (_NETWORK_DEVICES / name / "bridge").exists()


def counts_as_disk(name: str) -> bool:
    """Whether a block device is a disk: no partition, and nothing that lies on another (loop, RAID, encryption, RAM)."""
    if sys.platform != "linux":
        return True
    # A device that the kernel made of others has no hardware behind it.
    return (_BLOCK_DEVICES / name.replace("/", "!") / "device").exists()
