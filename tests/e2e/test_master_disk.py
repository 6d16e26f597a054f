"""A disk that is full or read-only when the master starts: its state is read, and changes are refused meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.harness import TIMEOUT
from tests.harness.process import SOURCE

from .test_dns import may_unshare

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not may_unshare(), reason="`unshare -m` is not permitted here")

SCRIPT = """
import os, signal, subprocess, sys
from pathlib import Path
from nodepass.errors import StateError
from tests.unit.master.test_state_file import LOG, StateFile, instance, reopened

folder, fault, end = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def fail():
    if fault == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        return
    filler = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(filler, bytes(4096))
    except OSError:
        os.close(filler)

def mend():
    if fault == "read-only":
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    else:
        (folder / "filler").unlink()

def write():
    file = StateFile(folder, LOG)
    file.open()
    for number in range(5):
        file.save(instance(number))
    if end == "killed":
        os._exit(0)
    file.close()

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
if not os.fork():
    write()
    os._exit(0)
os.wait()
fail()
file = StateFile(folder, LOG)
assert len(file.open().instances) == 5
try:
    for number in range(5, 500):
        file.save(instance(number))
    raise AssertionError("the disk took it")
except StateError as error:
    assert "cannot be written" in str(error), error
mend()
kept = list(file.kept.instances)
file.save(instance(1000))
file.close()
assert list(reopened(folder).instances) == [*kept, instance(1000).id]
"""


@pytest.mark.parametrize("fault", ["read-only", "full"])
@pytest.mark.parametrize("end", ["in order", "killed"])
def test_a_master_starts_with_what_it_can_read(tmp_path: Path, fault: str, end: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(SOURCE), str(SOURCE.parent)))}
    argv = ["unshare", "-m", sys.executable, "-c", SCRIPT, str(tmp_path), fault, end]
    result = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
