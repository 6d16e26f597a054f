"""Byte counts over the life of an instance, whose processes each begin at nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nodepass.master.model import Figures

if TYPE_CHECKING:
    from nodepass.protocol.checkpoint import CheckPoint


def of_report(report: CheckPoint) -> Figures:
    """What a process reports of itself."""
    return Figures(
        mode=report.mode,
        ping=report.ping,
        pool=report.pool,
        tcps=report.tcps,
        udps=report.udps,
        tcprx=report.tcp_received,
        tcptx=report.tcp_sent,
        udprx=report.udp_received,
        udptx=report.udp_sent,
    )


def advanced(figures: Figures, before: Figures, now: Figures) -> Figures:
    """What is to be shown after a report. Byte counts never go back, whatever a process reports.

    Args:
        figures: what was shown.
        before: what the process reported before; nothing if this is its first report.
        now: what it reports.
    """
    return replace(
        now,
        tcprx=figures.tcprx + max(0, now.tcprx - before.tcprx),
        tcptx=figures.tcptx + max(0, now.tcptx - before.tcptx),
        udprx=figures.udprx + max(0, now.udprx - before.udprx),
        udptx=figures.udptx + max(0, now.udptx - before.udptx),
    )


def without_process(figures: Figures) -> Figures:
    """The byte counts alone."""
    return Figures(tcprx=figures.tcprx, tcptx=figures.tcptx, udprx=figures.udprx, udptx=figures.udptx)


def without_totals(figures: Figures) -> Figures:
    """All but the byte counts."""
    return replace(figures, tcprx=0, tcptx=0, udprx=0, udptx=0)
