"""Instances and events as JSON.

An instance is written once per change, not once per reader or request: it is immutable, so its text is good for as long
as the instance is the same object. The same goes for an event and its readers.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from nodepass.master.model import API_KEY_ID, Figures, Peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nodepass.master.api.core import Identity
    from nodepass.master.model import Event, Instance

_NO_FIGURES: Final = asdict(Figures())
_NO_META: Final = {"peer": asdict(Peer()), "tags": {}}


def to_json(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def api_key_entry(master: Identity) -> bytes:
    """The entry of the list that holds the API key; it tells the key."""
    return to_json(
        {
            "id": API_KEY_ID,
            "alias": master.alias,
            "type": "",
            "status": "",
            "url": master.api_key.reveal(),
            "config": master.id,
            "restart": False,
            "meta": _NO_META,
            **_NO_FIGURES,
        }
    )


def event_text(type_: str, time: str, instance: bytes, logs: str) -> bytes:
    """The `data` of an event."""
    return b'{"type":%b,"time":%b,"instance":%b,"logs":%b}' % (to_json(type_), to_json(time), instance, to_json(logs))


class InstanceTexts:
    """The texts of instances, by ID, each with the instance that it was made of."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Instance, bytes]] = {}
        self._told: dict[str, tuple[Event, bytes]] = {}
        """Of each instance the last event: as a rule, all readers ask for it one after the other."""

    def instance(self, instance: Instance) -> bytes:
        """The JSON of an instance."""
        known = self._known.get(instance.id)
        if known is not None and known[0] is instance:
            return known[1]
        text = _written(instance)
        self._known[instance.id] = instance, text
        return text

    def list(self, instances: Iterable[Instance], master: Identity) -> bytes:
        """The JSON of all instances and the API key's entry; those that are not among them are forgotten."""
        listed = {instance.id: (instance, self.instance(instance)) for instance in instances}
        self._known = listed
        if len(self._told) > len(listed):
            self._told = {id_: told for id_, told in self._told.items() if id_ in listed}
        return b"[%b]" % b",".join((*(text for _, text in listed.values()), api_key_entry(master)))

    def event(self, event: Event) -> bytes:
        """The JSON of an event."""
        if event.instance is None:
            return event_text(event.type, event.time.isoformat(), b"null", event.logs)
        told = self._told.get(event.instance.id)
        if told is not None and told[0] is event:
            return told[1]
        text = event_text(event.type, event.time.isoformat(), self.instance(event.instance), event.logs)
        self._told[event.instance.id] = event, text
        return text


def _written(instance: Instance) -> bytes:
    return to_json(
        {
            "id": instance.id,
            "alias": instance.alias,
            "type": instance.type,
            "status": instance.status,
            "url": instance.url,
            "config": instance.config,
            "restart": instance.restart,
            "meta": {"peer": asdict(instance.peer), "tags": dict(instance.tags)},
            **asdict(instance.figures),
        }
    )
