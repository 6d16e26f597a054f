"""Every target, by its name."""

from __future__ import annotations

from tests.fuzz.keyed import KEYED
from tests.fuzz.settings import SETTINGS
from tests.fuzz.streams import STREAMS
from tests.fuzz.transports import TRANSPORTS
from tests.fuzz.wire import WIRE

GROUPS = {"wire": (*WIRE, *STREAMS), "keyed": KEYED, "settings": SETTINGS, "transports": TRANSPORTS}
"""By the name of the group."""

TARGETS = {target.name: target for group in GROUPS.values() for target in group}
