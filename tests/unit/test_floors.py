"""The house's floors (docs/architecture.md): an import goes down only, and no two rooms need each other.

Read from the source, so that imports inside functions and those for the type checker count as well.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import nodepass

PACKAGE = Path(nodepass.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"

FLOORS = (
    {"errors", "log", "units", "version"},
    {"config", "protocol", "policy"},
    {"net"},
    {"transport", "master"},
    {"dashboard"},
    {"relay"},
    {"tunnel"},
    {
        "__init__",
        "__main__",
        "arguments",
        "child",
        "cli",
        "completion",
        "console",
        "ctl",
        "demo",
        "fleet",
        "fork_server",
        "notify",
        "progress",
        "runner",
        "worker",
    },
)
"""From the bottom up: each room may use what lies below it."""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

SHARED_FLOORS = {0, 1, len(FLOORS) - 1}
"""Where rooms of one floor may use each other, as long as no cycle comes of it."""

SHARED_LINKS = {
    "base",
    "ordered_stream",
    "queued_link",
    "send_queue",
    "socket_link",
    "stream_link",
    "tcp_link",
    "tickets",
    "tls_link",
}
"""What transports have in common; they know nothing else of each other."""

Import = tuple[str, str]
"""Two modules without the package's name: who imports, and what."""


def imports_of(module: str, source: str) -> set[Import]:
    """What a module imports of this package, under any name.

    The names that `nodepass/__init__.py` gives away come from everywhere: whoever uses them depends on `__init__`.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides which room it goes to"
            # Of `from nodepass.config import params`, nobody can tell whether `params` is a module; the room is the same.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, inner = name.partition(".")
            if package == "nodepass":
                found.add((module, inner or "__init__"))
    return found


def room_of(module: str) -> str:
    """The room of a module: the folder, or the file's name for those at the top."""
    first = module.partition(".")[0]
    return first if first in FLOOR_OF else "__init__"


def every_import() -> set[Import]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found |= imports_of(module, path.read_text(encoding="utf-8"))
    return found


def upward(imports: set[Import]) -> list[str]:
    """The imports that go up a floor, or to another room of a floor whose rooms do not know each other."""
    wrong = []
    for importer, imported in sorted(imports):
        here, there = room_of(importer), room_of(imported)
        allowed = FLOOR_OF[there] < FLOOR_OF[here] or here == there
        if not allowed and FLOOR_OF[here] == FLOOR_OF[there]:
            allowed = FLOOR_OF[here] in SHARED_FLOORS
        if not allowed:
            wrong.append(f"{importer} imports {imported}")
    return wrong


def between_transports(imports: set[Import]) -> list[str]:
    """The imports by which one transport knows another."""
    wrong = []
    for importer, imported in sorted(imports):
        if importer.startswith("transport.") and imported.startswith("transport."):
            here, other = importer.split(".")[1], imported.split(".")[1]
            if other not in SHARED_LINKS | {here}:
                wrong.append(f"{importer} imports {imported}")
    return wrong


def cycle(imports: set[Import]) -> list[str]:
    """The rooms of one cycle, or nothing."""
    needs: dict[str, set[str]] = {}
    for importer, imported in imports:
        # `__init__` gives names away for others; that it knows them is its purpose.
        if room_of(importer) != room_of(imported) and room_of(importer) != "__init__":
            needs.setdefault(room_of(importer), set()).add(room_of(imported))
    without_cycle: set[str] = set()

    def walk(room: str, path: list[str]) -> list[str]:
        if room in path:
            return [*path[path.index(room) :], room]
        if room in without_cycle:
            return []
        for other in sorted(needs.get(room, ())):
            if found := walk(other, [*path, room]):
                return found
        without_cycle.add(room)
        return []

    return next(filter(None, (walk(room, []) for room in sorted(needs))), [])


def test_every_room_has_a_floor_and_is_seen() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert rooms == set(FLOOR_OF)
    seen = {(room_of(importer), room_of(imported)) for importer, imported in every_import()}
    # One known import of each room, those inside functions and for the type checker among them.
    assert seen >= {
        ("__init__", "tunnel"),
        ("__main__", "cli"),
        ("cli", "ctl"),
        ("cli", "demo"),
        ("ctl", "config"),
        ("dashboard", "master"),
        ("child", "runner"),
        ("config", "errors"),
        ("console", "log"),
        ("demo", "__init__"),
        ("fork_server", "master"),
        ("master", "net"),
        ("net", "protocol"),
        ("protocol", "errors"),
        ("relay", "transport"),
        ("runner", "tunnel"),
        ("transport", "net"),
        ("tunnel", "policy"),
        ("tunnel", "relay"),
    }


def test_imports_go_down() -> None:
    assert upward(every_import()) == []


def test_no_rooms_need_each_other() -> None:
    assert cycle(every_import()) == []


def test_transports_do_not_know_each_other() -> None:
    assert between_transports(every_import()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("config.params", "import nodepass.net.dial"),
        ("net.dial", "from nodepass.transport import base"),
        ("errors", "from nodepass import cli"),
        ("errors", "from nodepass import Server"),
        ("tunnel.server", "import nodepass"),
        ("master.processes", "from nodepass.tunnel.server import Server"),
        ("master.processes", "import nodepass.transport.base"),
        ("master.processes", "from nodepass import child"),
        ("master.front", "from nodepass.dashboard.door import open_dashboard"),
        ("relay.tcp", "def f():\n    from nodepass.tunnel.server import Server"),
        ("protocol.signals", "if TYPE_CHECKING:\n    from nodepass.net.address import Address"),
    ],
)
def test_an_import_that_goes_up_is_found(module: str, source: str) -> None:
    assert len(upward(imports_of(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("net.dial", "from nodepass.errors import DialError"),
        ("net.dial", "import nodepass.config"),
        ("policy.slots", "from nodepass.config import values"),
        ("demo.stage", "from nodepass import Server"),
        ("tunnel.pool", "import asyncio\nfrom nodepass.tunnel.session import Session"),
    ],
)
def test_an_import_that_goes_down_is_not(module: str, source: str) -> None:
    assert upward(imports_of(module, source)) == []


def test_a_cycle_is_found() -> None:
    there = imports_of("config.params", "from nodepass.policy import slots")
    back = imports_of("policy.slots", "import nodepass.config.params")
    assert cycle(there) == []
    assert cycle(there | back) == ["config", "policy", "config"]


def test_a_transport_that_knows_another_is_found() -> None:
    assert between_transports(imports_of("transport.quic.dialer", "from nodepass.transport.tcp import TcpDialer"))
    assert not between_transports(imports_of("transport.quic.dialer", "from nodepass.transport.quic import link"))
    assert not between_transports(imports_of("transport.tcp", "from nodepass.transport import tls_link"))


def test_the_page_names_every_file_and_no_other() -> None:
    picture = PAGE.read_text(encoding="utf-8").split("```")[1]
    named = set()
    folders: list[str] = []
    for line in picture.splitlines()[1:]:
        # A line of the picture is a path, two blanks or more, and what is there; a folder's files are indented by two more.
        match = re.match(r"( *)([\w./]+)(?:  |$)", line)
        if match is None or len(match[1]) % 2 or not match[2].endswith((".py", "/")):
            continue
        depth, name = len(match[1]) // 2 - 1, match[2]
        if name.endswith("/"):
            folders[depth:] = [name]
        elif depth >= 0:
            named.add("".join(folders[:depth]) + name)
    real = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert named == {path for path in real if not path.endswith("/__init__.py")}
