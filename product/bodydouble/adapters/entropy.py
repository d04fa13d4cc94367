"""The Entropy port over the kernel's generator."""

from __future__ import annotations

import os


class SystemEntropy:
    """`bodydouble.ports.Entropy` of this machine."""

    def random_bytes(self, size: int) -> bytes:
        """See the port."""
        return os.urandom(size)
