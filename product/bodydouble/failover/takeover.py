"""Assuming a source's identity and giving it back, step by step.

The order is the product's: pre-failover script; addresses; gratuitous ARP; name; post-failover script, and for failback
pre-failback script; name; addresses; post-failback script, as the guides of later Double-Take versions list it. In
front of everything stands the durable mark that the source's data must be restored before it may replicate again,
because from the first added address on clients may write newer data here.

Every step may be repeated: a daemon that was restarted while it stood in goes through all of them again.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import BodydoubleError, DuplicateIdentityError
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import InterfaceAddress, MonitorRequest, ScriptResult

    StandIn = Callable[[str], Awaitable[None]]

ScriptEvent = Literal["pre-failover", "post-failover", "pre-failback", "post-failback"]

ANNOUNCE_AGAIN = (1.0, 2.0, 4.0)
"""Seconds after the first gratuitous ARP at which it is repeated: a single broadcast may be lost."""

STEP_TIMEOUT = 30.0
"""Seconds that one step at the host's identity may take before it counts as failed."""


class Takeover:
    """Carries one source's identity to this machine and back.

    Args:
        host: the host's ports.
        events: where each step is recorded.
        stand_in: marks, durably, that the source's data must be restored.
        request: the monitor's settings.
        tasks: owns the background repetitions of the announcement.
    """

    def __init__(
        self, host: Host, events: EventLog, stand_in: StandIn, request: MonitorRequest, tasks: asyncio.TaskGroup
    ) -> None:
        self._host = host
        self._events = events
        self._stand_in = stand_in
        self._request = request
        self._tasks = tasks
        self._repeats: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, str] = {}
        self.assuming = ""

    # --- failover -------------------------------------------------------------------------------------------------

    async def fail_over(self, leave: asyncio.Event) -> bool:
        """Assume the identity; steps that fail are tried again each interval until they succeed or ``leave`` is set.

        Returns:
            True when the whole identity is assumed, False when ``leave`` ended the attempts.
        """
        while not await self._attempt("mark the data as newer here", self._mark_standing_in):
            # Without the mark a returning source would mirror over what clients write here: no address before it.
            if await self._pause(leave):
                return False
        await self._run_pre_script("pre-failover", self._request.scripts.pre_failover)
        missing = await self._assume_addresses(self._request.addresses)
        # Who could take none of the addresses, because the source still has them, does not answer to its name either.
        named = len(missing) < len(self._request.addresses) and await self._assume_name()
        await self._run_post_script("post-failover", self._request.scripts.post_failover)
        while missing or not named:
            if await self._pause(leave):
                return False
            missing = await self._assume_addresses(missing)
            named = named or (len(missing) < len(self._request.addresses) and await self._assume_name())
        self.assuming = ""
        self._events.record(EventCode.FAILOVER_COMPLETE, f"Failover of {self._request.source} is complete")
        return True

    async def _mark_standing_in(self) -> None:
        await self._stand_in(self._request.source)

    async def _assume_addresses(self, addresses: Sequence[InterfaceAddress]) -> list[InterfaceAddress]:
        """Add and announce addresses; returns those that could not be added."""
        added: list[InterfaceAddress] = []
        missing: list[InterfaceAddress] = []
        for item in addresses:
            self.assuming = item.address
            done = await self._attempt(f"add address {item.address}", partial(self._add_address, item))
            (added if done else missing).append(item)
        for item in added:
            await self._attempt(f"announce address {item.address}", partial(self._announce, item))
        return missing

    async def _add_address(self, item: InterfaceAddress) -> None:
        if await self._host.identity.in_use(item.interface, item.address):
            raise DuplicateIdentityError(f"another machine on the network still answers for {item.address}")
        await self._host.identity.add_address(item.interface, item.address)
        self._events.record(EventCode.ADDRESS_ADDED, f"Address {item.address} added to {item.interface}")

    async def _announce(self, item: InterfaceAddress) -> None:
        """Tell the neighbours at once, and again a few times in the background."""
        await self._host.identity.announce(item.interface, item.address)
        self._events.record(EventCode.MAC_BROADCAST, f"MAC address of {item.address} broadcast on {item.interface}")
        self._stop_repeating(item.address)
        self._repeats[item.address] = self._tasks.create_task(
            self._announce_again(item), name=f"announce {item.address}"
        )

    async def _announce_again(self, item: InterfaceAddress) -> None:
        before = 0.0
        for after in ANNOUNCE_AGAIN:
            await asyncio.sleep(after - before)
            before = after
            await self._attempt(
                f"repeat announcement of {item.address}",
                partial(self._host.identity.announce, item.interface, item.address),
            )

    async def _assume_name(self) -> bool:
        self.assuming = self._request.source
        return await self._attempt(f"add name {self._request.source}", self._add_name)

    async def _add_name(self) -> None:
        await self._host.identity.add_name(self._request.source)
        self._events.record(EventCode.NAME_ADDED, f"Name {self._request.source} added")

    # --- failback -------------------------------------------------------------------------------------------------

    async def fail_back(self) -> None:
        """Give the identity back; what cannot be removed is tried again each interval, lest two machines hold it."""
        for item in self._request.addresses:
            self._stop_repeating(item.address)
        await self._run_pre_script("pre-failback", self._request.scripts.pre_failback)
        unnamed = await self._give_back_name()
        held = await self._give_back_addresses(self._request.addresses)
        await self._run_post_script("post-failback", self._request.scripts.post_failback)
        while held or not unnamed:
            await asyncio.sleep(self._request.interval)
            unnamed = unnamed or await self._give_back_name()
            held = await self._give_back_addresses(held)
        self.assuming = ""
        self._events.record(EventCode.FAILBACK_COMPLETE, f"Failback of {self._request.source} is complete")

    async def _give_back_name(self) -> bool:
        return await self._attempt(f"remove name {self._request.source}", self._remove_name)

    async def _remove_name(self) -> None:
        await self._host.identity.remove_name(self._request.source)
        self._events.record(EventCode.NAME_REMOVED, f"Name {self._request.source} removed")

    async def _give_back_addresses(self, addresses: Sequence[InterfaceAddress]) -> list[InterfaceAddress]:
        """Remove addresses; returns those that are still held."""
        return [
            item
            for item in addresses
            if not await self._attempt(f"remove address {item.address}", partial(self._remove_address, item))
        ]

    async def _remove_address(self, item: InterfaceAddress) -> None:
        await self._host.identity.remove_address(item.interface, item.address)
        self._events.record(EventCode.ADDRESS_REMOVED, f"Address {item.address} removed from {item.interface}")

    # --- scripts --------------------------------------------------------------------------------------------------

    async def _run_pre_script(self, event: ScriptEvent, path: str) -> None:
        await self._run_script(event, path)

    async def _run_post_script(self, event: ScriptEvent, path: str) -> None:
        await self._run_script(event, path)

    async def _run_script(self, event: ScriptEvent, path: str) -> None:
        """Run one script to its end. Whatever becomes of it is recorded, and the procedure goes on."""
        if not path:
            return
        try:
            result = await self._host.scripts.run(
                path, [], await self._environment(event), self._request.script_timeout
            )
        except (BodydoubleError, OSError) as error:
            self._report(f"{event} script {path}", str(error))
        else:
            self._events.record(EventCode.SCRIPT_ENDED, _script_text(event, path, result))

    async def _environment(self, event: ScriptEvent) -> dict[str, str]:
        try:
            target = (await self._host.identity.query()).permanent_name
        except (BodydoubleError, OSError) as error:
            self._report("look up this machine's name", str(error))
            target = ""
        return {"BODYDOUBLE_SOURCE": self._request.source, "BODYDOUBLE_TARGET": target, "BODYDOUBLE_EVENT": event}

    # --- steps ----------------------------------------------------------------------------------------------------

    async def _attempt(self, what: str, action: Callable[[], Awaitable[None]]) -> bool:
        """Carry out one step; a failure is recorded once, and again only when its reason changes."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT):
                await action()
        except BodydoubleError as error:
            self._report(what, str(error))
            return False
        except TimeoutError:
            self._report(what, f"not done within {STEP_TIMEOUT:.0f} s")
            return False
        except OSError as error:  # whatever the system refuses, the other steps and monitors go on
            self._report(what, str(error))
            return False
        self._failures.pop(what, None)
        return True

    def _report(self, what: str, reason: str) -> None:
        if self._failures.get(what) != reason:
            self._failures[what] = reason
            text = f"{self._request.source}: could not {what}: {reason}"
            self._events.record(EventCode.FAILOVER_STEP_FAILED, text)

    async def _pause(self, leave: asyncio.Event) -> bool:
        """Wait an interval; True as soon as ``leave`` is set."""
        try:
            async with asyncio.timeout(self._request.interval):
                await leave.wait()
        except TimeoutError:
            return False
        return True

    def _stop_repeating(self, address: str) -> None:
        repeat = self._repeats.pop(address, None)
        if repeat is not None:
            repeat.cancel()


def _script_text(event: ScriptEvent, path: str, result: ScriptResult) -> str:
    ending = "was stopped at its time-out" if result.timed_out else f"ended with exit code {result.exit_code}"
    output = result.output.strip()
    return f"{event} script {path} {ending}" + (f":\n{output}" if output else "")
