"""What end-to-end tests stand on: free ports, real processes whose lines can be waited for, and small targets.

Everything waits on events with a timeout; nothing sleeps for a fixed time. All of it is threaded and blocking, so that it
serves plain and asyncio tests alike (in the latter through `asyncio.to_thread`, or before the loop matters).
"""

from tests.harness.census import Census
from tests.harness.certificates import Authority, user_context
from tests.harness.harm import OF_TCP, OF_UDP, Harm
from tests.harness.interceptor import Interceptor
from tests.harness.load import Load, greeting
from tests.harness.master import Events, Master, insecure_context
from tests.harness.net import connect, echoed, ended, exchange, read_all, read_exactly, turned_away, udp_socket, wait_tcp
from tests.harness.ports import free_port
from tests.harness.process import TIMEOUT, NodePass, Process
from tests.harness.targets import Echo, Received, Recorder, Silent, SpeaksFirst, TcpTarget, UdpEcho, unanswering
from tests.harness.tunnel import KEY, Runner, Tunnel
from tests.harness.udp_way import Troubles, UdpWay
from tests.harness.wiretap import Recording, Wiretap

__all__ = [
    "KEY",
    "OF_TCP",
    "OF_UDP",
    "TIMEOUT",
    "Authority",
    "Census",
    "Echo",
    "Events",
    "Harm",
    "Interceptor",
    "Load",
    "Master",
    "NodePass",
    "Process",
    "Received",
    "Recorder",
    "Recording",
    "Runner",
    "Silent",
    "SpeaksFirst",
    "TcpTarget",
    "Troubles",
    "Tunnel",
    "UdpEcho",
    "UdpWay",
    "Wiretap",
    "connect",
    "echoed",
    "ended",
    "exchange",
    "free_port",
    "greeting",
    "insecure_context",
    "read_all",
    "read_exactly",
    "turned_away",
    "udp_socket",
    "unanswering",
    "user_context",
    "wait_tcp",
]
