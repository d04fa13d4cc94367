"""Survey: what the wire and the witnesses say of the source, asked in the last second of the countdown.

Whoever asked only when the countdown is over would let the clients wait for the answers. They count for a moment: what
was asked too long ago is asked again by whoever needs it.

A witness is an address that has to answer a ping, such as the gateway's (``10.0.0.1``), or a paired machine that is
asked whether it reaches the source (``10.0.0.30:6320``). This machine does not stand in while none of them answers,
because then it is probably the one that is cut off, nor while a paired one still reaches the source.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError

if TYPE_CHECKING:
    from bodydouble.failover.surroundings import Reaching
    from bodydouble.ports import Host
    from bodydouble.vocabulary.records import InterfaceAddress, MonitorRequest

LEAD = 1.0
"""Seconds before the end of the countdown at which the questions are asked."""
FRESH = 1.5
"""Seconds for which an answer counts."""
PING_SECONDS = 1.0


class Survey:
    """Asks the network about one source.

    Args:
        host: the host's ports.
        request: the monitor's settings.
        reaching: asks the paired witnesses.
    """

    def __init__(self, host: Host, request: MonitorRequest, reaching: Reaching) -> None:
        self._host = host
        self._request = request
        self._reaching = reaching
        self._unused: dict[str, float] = {}

    async def take(self) -> str:
        """Ask everybody at once; why the source's identity may not be assumed now, empty: nothing is against it."""
        addresses = self._request.addresses
        *_, objection = await asyncio.gather(
            *(self._ask_for(item) for item in addresses), self._ask_for_name(), self._ask_witnesses()
        )
        return objection or ""

    def unused(self, item: InterfaceAddress) -> bool:
        """Whether nobody answered for the address a moment ago."""
        asked = self._unused.pop(item.address, None)
        return asked is not None and asyncio.get_running_loop().time() - asked <= FRESH

    async def _ask_for(self, item: InterfaceAddress) -> None:
        self._unused.pop(item.address, None)
        try:
            if not await self._host.identity.in_use(item.interface, item.address):
                self._unused[item.address] = asyncio.get_running_loop().time()
        except (BodydoubleError, OSError):
            return  # whoever adds the address asks again, and says what is wrong

    async def _ask_for_name(self) -> None:
        """The host remembers that nobody answered: adding the name takes no time then."""
        if not self._request.name:
            return
        try:
            await self._host.identity.name_in_use(self._request.source)
        except (BodydoubleError, OSError):
            return

    # --- witnesses --------------------------------------------------------------------------------------------------

    async def _ask_witnesses(self) -> str:
        witnesses = self._request.witnesses
        verdicts = await asyncio.gather(*(self._ask_witness(each) for each in witnesses))
        objections = [verdict for verdict in verdicts if verdict]
        if objections:
            return objections[0]
        if witnesses and all(verdict is None for verdict in verdicts):
            return f"no witness answers ({', '.join(witnesses)}): this machine may be the one that is cut off"
        return ""

    async def _ask_witness(self, witness: str) -> str | None:
        """Its objection; empty: it answers and has none; None: it does not answer."""
        address, _, port = witness.partition(":")
        try:
            if not port:
                return None if await self._host.pinger.ping(address, PING_SECONDS) is None else ""
            own = [item.address.partition("/")[0] for item in self._request.addresses]
            seen = [each for each in own if await self._reaching.reaches(address, int(port), each)]
            # Where one silent address is enough for a failure, one that is reached proves nothing against it.
            if seen and (self._request.trigger == "all" or len(seen) == len(own)):
                return f"the witness {address} still reaches {seen[0]}"
        except (BodydoubleError, OSError):
            return None
        return ""
