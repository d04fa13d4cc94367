"""What a daemon answers to a request that it does not carry out."""

from __future__ import annotations

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """The answer to every request that is not carried out: why."""

    error: str
