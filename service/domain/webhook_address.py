"""Where a webhook may go. A client names the URL, and it is this service's network that calls it.

What a URL says is looked at when the request is accepted, what its name resolves to at every delivery: a name can mean a public
address today and a private one tomorrow.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from service.errors import RequestError

MAX_URL_CHARACTERS = 2000

_UNICAST = ipaddress.ip_network("2000::/3")
"""All that is given out of IPv6; what a Python does not know to be private yet is outside of it."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Public by itself; the last four bytes are the IPv4 address that is reached through it."""


def check_url(value: str) -> str:
    if len(value) > MAX_URL_CHARACTERS:
        raise _refusal(f"{len(value)} characters, but at most {MAX_URL_CHARACTERS} are taken")
    if not value.isascii() or not value.isprintable() or any(character in ' "<>\\^`{|}' for character in value):
        raise _refusal("it has characters that no URL has: percent-encode them, and write a name in its xn-- form")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refusal(str(error)) from error
    if parts.scheme not in ("https", "http") or not host:
        raise _refusal("a webhook goes to a URL such as https://example.com/hooks")
    if "@" in parts.netloc:
        raise _refusal("a name or a password in it would be sent to nobody: deliveries are signed")
    if "#" in value:
        raise _refusal("what follows a # is never sent: leave it out")
    if port == 0 or any(not label or len(label) > 63 for label in host.removesuffix(".").split(".")) or len(host) > 253:
        raise _refusal("its host or port cannot be called")
    return value


WebhookUrl = Annotated[str, AfterValidator(check_url)]


def allow_url(url: str | None, *, private: bool) -> None:
    """Raises `invalid_webhook_url` for what this deployment will never call. `private`: http and private networks are allowed."""
    if url is None or private:
        return
    parts = urlsplit(url)
    message = None
    if parts.scheme != "https":
        message = "a webhook goes over https"
    elif _is_address(parts) and not is_public(parts.hostname or ""):
        message = "a webhook goes to a public address"
    if message is not None:
        raise RequestError("invalid_webhook_url", f"{message}; an operator may set CLEARWAY_WEBHOOK_PRIVATE", param="webhook_url")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet at large, also where IPv6 only wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return is_public(str(inner))
        return ip in _UNICAST and ip.is_global
    return ip.is_global and not ip.is_multicast


def _is_address(parts: SplitResult) -> bool:
    try:
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return True


def _refusal(why: str) -> PydanticCustomError:
    return PydanticCustomError("invalid_webhook_url", "no URL for a webhook: {why}", {"why": why})
