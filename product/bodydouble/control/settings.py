"""Where the control API listens and who may speak to it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

import msgspec

DEFAULT_PORT = 6330


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine and nothing that leaves it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


class ControlSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the control API.

    Attributes:
        token: the secret that every request carries as a bearer token; at least 8 characters.
        address: where to listen; loopback unless consoles on other machines are to reach it.
        port: TCP port; 0 picks a free one.
        plain_http: serve without TLS; only on a loopback address, where nobody else listens in.
    """

    token: str
    address: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_PORT
    plain_http: bool = False

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.address)

    def __repr__(self) -> str:
        return f"ControlSettings(address={self.address!r}, port={self.port}, token=...)"
