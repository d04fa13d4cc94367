"""Where the control API listens and who may speak to it."""

from __future__ import annotations

from typing import Annotated

import msgspec

DEFAULT_PORT = 6330


class ControlSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the control API.

    Attributes:
        token: the secret that every request carries as a bearer token; at least 8 characters.
        address: where to listen; loopback unless consoles on other machines are to reach it.
        port: TCP port; 0 picks a free one.
    """

    token: str
    address: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_PORT

    def __repr__(self) -> str:
        return f"ControlSettings(address={self.address!r}, port={self.port}, token=...)"
