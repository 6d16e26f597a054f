"""A tunnel at work, for a newcomer's first minute: a web page as the target, a server and a client, in one process.

It uses nodepass as any application would: through `nodepass.Server` and `nodepass.Client`.
"""

from nodepass.demo.story import run_demo

__all__ = ["run_demo"]
