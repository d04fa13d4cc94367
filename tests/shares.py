"""A file server in memory, as tests of the product need it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import DuplicateShareError, ShareError

if TYPE_CHECKING:
    from bodydouble.vocabulary.shares import Share


class MemoryShares:
    """A file server; what it shares outlives a boot."""

    def __init__(self, log: list[str] | None = None) -> None:
        self._log = [] if log is None else log
        self.shared: dict[str, Share] = {}
        self.runs = True
        self.asked = 0

    async def query(self) -> list[Share]:
        self.asked += 1
        self._check()
        await asyncio.sleep(0.001)
        return list(self.shared.values())

    async def add(self, share: Share) -> None:
        self._check()
        found = self.shared.get(share.name.casefold())
        if found is not None and found.path != share.path:
            raise DuplicateShareError(f"{share.name}: {found.path} is shared by that name")
        await asyncio.sleep(0.001)
        self._log.append(f"share {share.name} {share.path}")
        self.shared.setdefault(share.name.casefold(), share)

    async def remove(self, name: str) -> None:
        self._check()
        await asyncio.sleep(0.001)
        self._log.append(f"unshare {name}")
        self.shared.pop(name.casefold(), None)

    def _check(self) -> None:
        if not self.runs:
            raise ShareError("The Server service is not started.")
