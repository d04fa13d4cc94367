"""Replacing this machine's own identity by the source's, and putting it back: the steps that *add* does not have.

While the machine stands in it does not answer for its own name, nor at the addresses that it was told to give up. What
else a host needs to be known under the other name, it says itself (`bodydouble.ports.OwnName`): Windows NT 4.0 services
that are started again, Windows 2000 a boot, which is the operator's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bodydouble.errors import DuplicateIdentityError, IdentityError
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.failover.steps import Steps
    from bodydouble.ports import Host, OwnName
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import MonitorRequest
    from bodydouble.vocabulary.standing_in import NameChange, OwnAddress

OWN_NAME = "own name"
SERVICES = "services of the name"
SERVICES_TIMEOUT = 300.0
"""Seconds that starting the services again may take."""


class Replacement:
    """Takes the machine's own identity out of the way, and puts it back.

    Args:
        host: the host's ports.
        events: where each step is recorded.
        request: the monitor's settings.
        steps: carries out the steps.

    Attributes:
        reboot: what only a boot would bring about, empty: nothing.
    """

    def __init__(self, host: Host, events: EventLog, request: MonitorRequest, steps: Steps) -> None:
        self._host = host
        self._events = events
        self._request = request
        self._steps = steps
        self._services: Sequence[str] = ()
        self.reboot = ""

    async def assume(self) -> bool:
        """Give the own identity up; False when something is left to be tried again."""
        done = await self._steps.take(OWN_NAME, "give up this machine's own name", self._give_up_name)
        done = done and await self._restart_services()
        for item in self._request.given_up:
            what = f"give up address {item.address}"
            done = await self._steps.take(f"own {item.address}", what, partial(self._give_up_address, item)) and done
        return done

    async def undo(self) -> bool:
        """Put the own identity back; False when something is left to be tried again."""
        done = True
        for item in self._request.given_up:
            what = f"take address {item.address} back"
            done = await self._steps.take(f"own {item.address}", what, partial(self._take_back, item)) and done
        named = await self._steps.take(OWN_NAME, "take this machine's own name back", self._take_name_back)
        return named and await self._restart_services() and done

    # --- the name -------------------------------------------------------------------------------------------------

    def _port(self) -> OwnName:
        if self._host.own_name is None:
            raise IdentityError("this machine cannot give its own name up")
        return self._host.own_name

    async def _give_up_name(self) -> None:
        change = await self._port().give_up(self._request.source)
        self._follow(change)
        text = f"This machine answers for {self._request.source} in place of its own name"
        self._events.record(EventCode.OWN_NAME_GIVEN_UP, text)

    async def _take_name_back(self) -> None:
        change = await self._port().take_back()
        self._follow(change)
        self._events.record(EventCode.OWN_NAME_TAKEN_BACK, "This machine answers for its own name again")

    def _follow(self, change: NameChange) -> None:
        """Take note of what has to follow."""
        self._services = change.services
        self.reboot = change.reboot
        if change.reboot:
            self._events.record(EventCode.REBOOT_NEEDED, f"{self._request.source}: {change.reboot}")

    async def _restart_services(self) -> bool:
        if not self._services:
            return True
        names = ", ".join(self._services)
        return await self._steps.take(SERVICES, f"restart {names}", self._restart, limit=SERVICES_TIMEOUT)

    async def _restart(self) -> None:
        """Stop them, the last first, and start those that start with the machine."""
        for name in reversed(self._services):
            await self._host.services.stop(name)
        for name in self._services:
            if (await self._host.services.query(name)).startup == "automatic":
                await self._host.services.start(name)
        text = f"Restarted so that they know the machine's name: {', '.join(self._services)}"
        self._events.record(EventCode.SERVICES_RESTARTED, text)

    # --- addresses ------------------------------------------------------------------------------------------------

    async def _give_up_address(self, item: OwnAddress) -> None:
        await self._host.identity.remove_address(item.interface, item.address)
        self._events.record(EventCode.ADDRESS_REMOVED, f"Own address {item.address} removed from {item.interface}")
        await self._keep_assumed()

    async def _keep_assumed(self) -> None:
        """A system may remove with one address others of the same network (Linux: its secondary ones)."""
        held = {each.address.partition("/")[0] for each in (await self._host.identity.query()).addresses}
        for item in self._request.addresses:
            if item.address.partition("/")[0] not in held:
                await self._host.identity.add_address(item.interface, item.address)
                await self._host.identity.announce(item.interface, item.address)

    async def _take_back(self, item: OwnAddress) -> None:
        if await self._host.identity.in_use(item.interface, item.address):
            raise DuplicateIdentityError(f"another machine on the network answers for {item.address}")
        await self._host.identity.add_address(item.interface, item.address)
        await self._host.identity.announce(item.interface, item.address)
        self._events.record(EventCode.ADDRESS_ADDED, f"Own address {item.address} added to {item.interface}")
