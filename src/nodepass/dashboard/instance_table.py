"""The list of instances: a table, which on a narrow screen becomes a list of cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui.element import Element

from nodepass.dashboard.fields import draft_of
from nodepass.master.model import Kind, Status
from nodepass.net.life import Stage
from nodepass.units import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nicegui.events import GenericEventArguments

    from nodepass.master.model import Instance
    from nodepass.master.recent import Point, Recent

SPARK_POINTS = 60
"""Points of the small plot in a row."""

SPARK_WIDTH, SPARK_HEIGHT = 120, 28


class InstanceTable(Element, component="instance_table.js"):
    """The list.

    Args:
        on_action: called with the ID of an instance and what is to be done to it.
    """

    def __init__(self, on_action: Callable[[str, str], object]) -> None:
        super().__init__()
        self._props["rows"] = []

        async def handle(event: GenericEventArguments) -> None:
            result: Any = on_action(str(event.args["id"]), str(event.args["action"]))
            if result is not None:
                await result

        self.on("action", handle)

    def show(self, rows: list[dict[str, Any]], *, searched: bool) -> None:
        """Show these rows, if they differ from those that are shown."""
        if rows != self._props["rows"] or searched != self._props.get("searched"):
            self._props["rows"] = rows
            self._props["searched"] = searched
            self.update()


def row_of(instance: Instance, recent: Recent, stage: Stage) -> dict[str, Any]:
    """What a row shows of an instance; nothing secret is in it.

    Args:
        instance: which.
        recent: what instances have done lately.
        stage: how far its process has come.
    """
    draft, figures, now = draft_of(instance.url), instance.figures, recent.now(instance.id)
    points = list(recent.points(instance.id))[-SPARK_POINTS:]
    return {
        "id": instance.id,
        "alias": instance.alias,
        "type": instance.type.value,
        "status": instance.status.value,
        "waits": waits_for_client(instance, stage),
        "tunnel": draft.address,
        "targets": draft.targets.split(","),
        "tags": [f"{key}: {value}" if value else key for key, value in instance.tags.items()],
        "tcp": figures.tcps,
        "udp": figures.udps,
        "ping": figures.ping,
        "received": f"{size_text(now.received)}/s",
        "sent": f"{size_text(now.sent)}/s",
        "total_received": size_text(figures.tcprx + figures.udprx),
        "total_sent": size_text(figures.tcptx + figures.udptx),
        "spark": spark(points),
    }


def waits_for_client(instance: Instance, stage: Stage) -> bool:
    """Whether it is a server that runs, and that no client has come to. A forwarder is connected as soon as it listens."""
    is_up = instance.status is Status.RUNNING and instance.type is Kind.SERVER
    return is_up and stage is Stage.LISTENING


def spark(points: Sequence[Point]) -> str:
    """The outline of the traffic, both directions together, as an SVG path; empty where there was none."""
    traffic = [point.received + point.sent for point in points]
    highest = max(traffic, default=0)
    if not highest:
        return ""
    step = SPARK_WIDTH / (SPARK_POINTS - 1)
    left = SPARK_WIDTH - step * (len(traffic) - 1)
    heights = [SPARK_HEIGHT - 2 - value / highest * (SPARK_HEIGHT - 4) for value in traffic]
    return "M" + " L".join(f"{left + index * step:.1f},{height:.1f}" for index, height in enumerate(heights))
