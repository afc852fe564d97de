"""Which addresses are this machine's own. Calls to them ignore proxy settings of the environment; calls to others honour them."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK_NAMES = "localhost,127.0.0.1,::1"
"""For `NO_PROXY`."""


def is_loopback(url: str) -> bool:
    """Whether the host of an http address is this machine. Names other than localhost are not resolved."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
