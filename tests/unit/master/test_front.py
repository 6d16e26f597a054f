"""What a master knows of its dashboard before anybody looks at it: nothing."""

from __future__ import annotations

import subprocess
import sys


def test_a_master_starts_without_the_dashboard_and_its_library() -> None:
    program = "import sys, nodepass.master.master; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    assert "nodepass.master.front" in modules
    loaded = {name for name in modules if name.startswith(("nodepass.dashboard", "nicegui", "socketio", "websockets"))}
    assert loaded == set()


def test_what_strangers_see_needs_no_library_either() -> None:
    program = "import sys, nodepass.dashboard.door; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    assert "nodepass.dashboard.plain_pages" in modules
    assert not [name for name in modules if name.startswith(("nicegui", "socketio"))]
