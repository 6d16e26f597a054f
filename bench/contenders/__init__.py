"""Who takes part: the commands that start nodepass and its peers."""

from bench.contenders.extension import Gated
from bench.contenders.frp import Frp
from bench.contenders.nodepass import KEY, OURS, V1, NodePass, this_nodepass
from bench.contenders.rathole import Rathole
from bench.contenders.reference import Reference
from bench.contenders.workers import Spread

__all__ = ["KEY", "OURS", "V1", "Frp", "Gated", "NodePass", "Rathole", "Reference", "Spread", "this_nodepass"]
