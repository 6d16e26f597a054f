"""Prometheus metrics: each instance's figures, how many there are of each status, and the master's own process."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from nodepass.master.model import Status
from nodepass.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from nodepass.master.model import Figures, Instance

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

LABELS: Final = ("id", "alias", "type")

GAUGES: Final[tuple[tuple[str, str, Callable[[Figures], float]], ...]] = (
    ("mode", "1 reverse or single-end, 2 forward or dual-end, 0 not known yet", lambda figures: figures.mode),
    ("ping_seconds", "Time the peer takes to answer", lambda figures: figures.ping / 1000),
    ("pool_connections", "Idle pool connections", lambda figures: figures.pool),
    ("tcp_sessions", "TCP sessions in progress", lambda figures: figures.tcps),
    ("udp_sessions", "UDP sessions in progress", lambda figures: figures.udps),
)
"""Name, help and value of what goes up and down; all names begin with `nodepass_instance_`."""

COUNTERS: Final[tuple[tuple[str, str, Callable[[Figures], float]], ...]] = (
    ("tcp_received_bytes", "Bytes read from TCP users or targets", lambda figures: figures.tcprx),
    ("tcp_sent_bytes", "Bytes written to TCP users or targets", lambda figures: figures.tcptx),
    ("udp_received_bytes", "Bytes read from UDP users or targets", lambda figures: figures.udprx),
    ("udp_sent_bytes", "Bytes written to UDP users or targets", lambda figures: figures.udptx),
)
"""The same for what only goes up."""


class Metrics(Collector):
    """The text that Prometheus scrapes."""

    def __init__(self) -> None:
        self._instances: Iterable[Instance] = ()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def text(self, instances: Iterable[Instance]) -> bytes:
        """Write the metrics of these instances and of the process."""
        self._instances = tuple(instances)
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics of the instances that `text` was called with."""
        version = GaugeMetricFamily("nodepass_info", "The master's version", labels=("version",))
        version.add_metric((__version__,), 1)
        yield version
        by_status = Counter(instance.status for instance in self._instances)
        instances = GaugeMetricFamily("nodepass_instances", "Instances by status", labels=("status",))
        for status in Status:
            instances.add_metric((status,), by_status[status])
        yield instances
        for family, rows in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
            for name, meaning, value in rows:
                yield self._figures(family(f"nodepass_instance_{name}", meaning, labels=LABELS), value)

    def _figures(
        self, metric: GaugeMetricFamily | CounterMetricFamily, value: Callable[[Figures], float]
    ) -> GaugeMetricFamily | CounterMetricFamily:
        """Give a metric its value of each instance."""
        for instance in self._instances:
            metric.add_metric((instance.id, instance.alias, instance.type), value(instance.figures))
        return metric
