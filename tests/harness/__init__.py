"""What end-to-end tests stand on: free ports, real processes whose lines can be waited for, and small targets.

Everything waits on events with a timeout; nothing sleeps for a fixed time. All of it is threaded and blocking, so that it
serves plain and asyncio tests alike (in the latter through `asyncio.to_thread`, or before the loop matters).
"""

from tests.harness.net import connect, read_all, read_exactly, udp_socket, wait_tcp
from tests.harness.ports import free_port
from tests.harness.process import TIMEOUT, NodePass, Process
from tests.harness.targets import Echo, Received, Recorder, Silent, SpeaksFirst, UdpEcho

__all__ = [
    "TIMEOUT",
    "Echo",
    "NodePass",
    "Process",
    "Received",
    "Recorder",
    "Silent",
    "SpeaksFirst",
    "UdpEcho",
    "connect",
    "free_port",
    "read_all",
    "read_exactly",
    "udp_socket",
    "wait_tcp",
]
