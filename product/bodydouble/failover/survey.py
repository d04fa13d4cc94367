"""Survey: what the wire and the witnesses say of the source, asked in the last second of the countdown.

Whoever asked only when the countdown is over would let the clients wait for the answers. They count for a moment: what
was asked too long ago is asked again by whoever needs it.

A witness is an address that has to answer a ping, such as the gateway's (``10.0.0.1``), or a paired machine at which
the source's addresses are claimed (``10.0.0.30:6320``, see `bodydouble.replication.claims`). This machine does not
stand in while too few of them answer (`enough`), because then it is probably the one that is cut off, nor while a
paired one still reaches the source, or has let somebody else have the address.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.witnesses import enough, witness_of

if TYPE_CHECKING:
    from bodydouble.ports import Host
    from bodydouble.vocabulary.records import InterfaceAddress, MonitorRequest
    from bodydouble.vocabulary.witnesses import Witness, Witnesses

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
        witnesses: asks the paired ones.
    """

    def __init__(self, host: Host, request: MonitorRequest, witnesses: Witnesses) -> None:
        self._host = host
        self._request = request
        self._witnesses = witnesses
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
        """Why they are against it. An operator's word needs none: nothing is claimed before that is given."""
        if self._request.manual_intervention or not self._request.witnesses:
            return ""
        witnesses = [witness_of(each, "witnesses") for each in self._request.witnesses]
        verdicts = await asyncio.gather(*(self._ask_witness(each) for each in witnesses))
        answered = {each: said for each, said in zip(witnesses, verdicts, strict=True) if said is not None}
        if objections := [said for said in answered.values() if said]:
            return objections[0]
        if not enough(witnesses, list(answered)):
            wanted = "no witness answers" if not answered else "too few witnesses answer"
            return f"{wanted} ({', '.join(self._request.witnesses)}): this machine may be the one that is cut off"
        return ""

    async def _ask_witness(self, witness: Witness) -> str | None:
        """Its objection; empty: it answers and has none; None: it does not answer."""
        try:
            if not witness.port:
                return None if await self._host.pinger.ping(witness.address, PING_SECONDS) is None else ""
            return await self._claim_of(witness)
        except (BodydoubleError, OSError):
            return None

    async def _claim_of(self, witness: Witness) -> str:
        """Claim the addresses; why that is refused, empty: it is granted."""
        own = [item.address.partition("/")[0] for item in self._request.addresses]
        found: list[str] = []
        for address in own:
            said = await self._witnesses.ask(witness, address, "claim")
            if said.holder:
                found.append(f"the witness {witness.address} lets {said.holder} have {address}")
            elif said.answers:
                found.append(f"the witness {witness.address} still reaches {address}")
        # Where one silent address is enough for a failure, one that is reached proves nothing against it.
        return found[0] if found and (self._request.trigger == "all" or len(found) == len(own)) else ""
