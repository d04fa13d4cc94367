"""Claims at the paired witnesses: they keep the source off its addresses while this machine stands in, and no longer.

Source: docs/split-brain.md; what a witness makes of it is in `bodydouble.replication.claims`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.witnesses import witness_of

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import MonitorRequest
    from bodydouble.vocabulary.witnesses import Witness, Witnesses

Wanted = Literal["hold", "release"]


class ClaimKeeper:
    """Tells every paired witness whether this machine stands in, until each has confirmed it.

    Args:
        request: the monitor's settings.
        witnesses: asks them.
    """

    def __init__(self, request: MonitorRequest, witnesses: Witnesses) -> None:
        self._interval = request.interval
        self._addresses = [item.address.partition("/")[0] for item in request.addresses]
        self._paired = [each for each in (witness_of(text, "witnesses") for text in request.witnesses) if each.port]
        self._witnesses = witnesses
        self._wanted: Wanted | None = None
        self._due: list[Witness] = []
        self._told = asyncio.Event()

    def want(self, wanted: Wanted | None) -> None:
        """From now on the claims are to be held, or released; None: a survey claims, leave them alone."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._due = [] if wanted is None else list(self._paired)
            self._told.set()

    async def run(self) -> None:
        """Tell the witnesses; until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval if self._due else None):
                    await self._told.wait()
            self._told.clear()
            await asyncio.gather(*(self._tell(each) for each in self._due))

    async def _tell(self, witness: Witness) -> None:
        wanted = self._wanted
        try:
            for address in self._addresses:
                if wanted is not None and wanted == self._wanted:
                    await self._witnesses.ask(witness, address, wanted)
        except (BodydoubleError, OSError):
            return  # out of reach: again an interval later
        if wanted == self._wanted:
            self._due.remove(witness)
