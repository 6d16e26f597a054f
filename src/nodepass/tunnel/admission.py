"""Who may come in at an ingress."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodepass.config import ClientConfig, IPNetwork, ServerConfig
    from nodepass.net.address import Address


class Admission:
    """Who may come in: `allow`, `deny`, and who must say where it comes from (`proxyin`)."""

    def __init__(self, config: ServerConfig | ClientConfig) -> None:
        self._allow = config.allow
        self._deny = config.deny
        self._proxies = config.proxyin

    def admits(self, remote: Address) -> bool:
        """Whether a user from here is taken; deny wins."""
        if not self._allow and not self._deny:
            return True
        return not _within(remote, self._deny) and (not self._allow or _within(remote, self._allow))

    def is_proxy(self, remote: Address) -> bool:
        """Whether what comes from here must begin with a PROXY header."""
        return bool(self._proxies) and _within(remote, self._proxies)


def _within(remote: Address, networks: tuple[IPNetwork, ...]) -> bool:
    ip = ipaddress.ip_address(remote.ip)
    return any(ip in network for network in networks)
