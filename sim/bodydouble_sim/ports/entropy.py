"""The Entropy port of a simulated machine: its secrets follow from the world's seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


class SimEntropy:
    """`bodydouble.ports.Entropy` of a simulated machine.

    Args:
        stream: the machine's own, so that what another one draws does not shift it.
    """

    def __init__(self, stream: random.Random) -> None:
        self._stream = stream

    def random_bytes(self, size: int) -> bytes:
        """See the port."""
        return self._stream.randbytes(size)
