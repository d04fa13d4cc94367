"""Assuming a source's identity and giving it back, step by step.

The order is the product's: pre-failover script; addresses; gratuitous ARP; name; shares; post-failover script, and for
failback pre-failback script; name; addresses; shares; post-failback script, as the guides of later Double-Take versions
list it. In front of everything stands the durable mark that the source's data must be restored before it may replicate
again, because from the first added address on clients may write newer data here.

Every step but a script may be repeated at will, and each is in the journal (`bodydouble.failover.journal`): a daemon
that was restarted in the middle, or while it stood in, carries out what is not done or does not hold any more.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Literal

from bodydouble.errors import BodydoubleError, DuplicateIdentityError
from bodydouble.failover.replacement import OWN_NAME, Replacement
from bodydouble.failover.scripts import ScriptRuns
from bodydouble.failover.sharing import SHARES, Sharing
from bodydouble.failover.steps import Steps
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bodydouble.failover.journal import Journal
    from bodydouble.failover.surroundings import Replication
    from bodydouble.failover.survey import Survey
    from bodydouble.failover.turns import Turns
    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import HostIdentity, InterfaceAddress, MonitorRequest
    from bodydouble.vocabulary.shares import Share
    from bodydouble.vocabulary.standing_in import ScriptEvent

Outcome = Literal["done", "left", "held", "aborted"]
"""How a procedure ended for now: complete; at an operator's word; waiting for one; given up, and to be undone."""

ANNOUNCE_AGAIN = (1.0, 2.0, 4.0)
"""Seconds after the first gratuitous ARP at which it is repeated: a single broadcast may be lost."""

MARK = "mark"


class Takeover:
    """Carries one source's identity to this machine and back.

    Args:
        host: the host's ports.
        events: where each step is recorded.
        marks: marks the source's data, and knows what the source shared.
        request: the monitor's settings.
        tasks: owns the background repetitions of the announcement.
        journal: how far the procedure is.
        survey: what the wire said a moment ago.
        turns: the line in front of the machine's scripts.
    """

    def __init__(
        self,
        host: Host,
        events: EventLog,
        marks: Replication,
        request: MonitorRequest,
        *,
        tasks: asyncio.TaskGroup,
        journal: Journal,
        survey: Survey,
        turns: Turns,
    ) -> None:
        self._host = host
        self._events = events
        self._marks = marks
        self._request = request
        self._tasks = tasks
        self._journal = journal
        self._survey = survey
        self._steps = Steps(events, request.source, journal)
        self._scripts = ScriptRuns(host, events, request, journal, self._steps.report, turns)
        self._replacement = Replacement(host, events, request, self._steps)
        self._sharing = Sharing(host, events, request, steps=self._steps, journal=journal, kept=marks)
        self._repeats: dict[str, asyncio.Task[None]] = {}
        self._barred: set[str] = set()
        self.assuming = ""

    @property
    def reboot(self) -> str:
        """What only a boot of this machine would bring about, empty: nothing."""
        return self._replacement.reboot

    @property
    def to_carry(self) -> list[Share]:
        """What of the source's shares failover would make, as far as it is known."""
        return self._sharing.to_carry()

    # --- failover -------------------------------------------------------------------------------------------------

    async def fail_over(self, leave: asyncio.Event) -> Outcome:
        """Assume the identity; steps that fail are tried again each interval until they succeed or ``leave`` is set."""
        await self._begin(EventCode.FAILOVER_STARTED, EventCode.FAILOVER_RESUMED, "Failover")
        ended = await self._prepare(leave) or await self._assume(leave)
        if ended == "done":
            self.assuming = ""
            source = self._request.source
            if self._journal.undoing is None:
                self._events.record(EventCode.FAILOVER_COMPLETE, f"Failover of {source} is complete")
            else:
                text = f"Failback of {source} is undone: this machine stands in as before"
                self._events.record(EventCode.FAILBACK_UNDONE, text)
        return ended

    async def _prepare(self, leave: asyncio.Event) -> Outcome | None:
        """What comes before the first address; None when the way is free."""
        # Without the mark a returning source would mirror over what clients write here: no address before it.
        mark = partial(self._steps.take, MARK, "mark the data as newer here", self._mark_standing_in)
        if not await self._until_done(mark, leave):
            return "left"
        if self._journal.undoing != "pre-failback":  # else its counterpart never ran
            if await self._run_pre_script("pre-failover", self._request.scripts.pre_failover, leave):
                return "left"
            if stop := self._stopped_at("pre-failover"):
                return stop
        return None

    async def _assume(self, leave: asyncio.Event) -> Outcome:
        """Addresses, name, shares, post-failover script."""
        while True:
            missing = await self._assume_addresses(self._request.addresses)
            # Who could take none of the addresses, because the source still has them, does not answer to its name
            # either, and does not serve.
            named = not self._request.name or (
                len(missing) < len(self._request.addresses) and await self._assume_name()
            )
            replaced = self._request.identity == "add" or (named and await self._replacement.assume())
            shared = True
            if len(self._barred) < len(self._request.addresses):
                shared = await self._sharing.assume()
                if await self._run_post_script("post-failover", self._request.scripts.post_failover, leave):
                    return "left"
                if stop := self._stopped_at("post-failover"):
                    return stop
            if named and replaced and shared and not missing:
                return "done"
            if await self._pause(leave):
                return "left"

    async def _mark_standing_in(self) -> None:
        self._journal.marked += await self._marks.stand_in(self._request.source)

    async def _unmark(self) -> bool:
        return await self._steps.take("unmark", "take the mark back", self._take_marks_back)

    async def _take_marks_back(self) -> None:
        """Nothing was written here: no client was sent here yet. What an earlier failover marked stays marked."""
        await self._marks.stand_down(self._request.source, self._journal.marked)

    async def _assume_addresses(self, addresses: Sequence[InterfaceAddress]) -> list[InterfaceAddress]:
        """Add and announce addresses; returns those that could not be added."""
        added: list[InterfaceAddress] = []
        missing: list[InterfaceAddress] = []
        for item in addresses:
            self.assuming = item.address
            step = _address_step(item)
            done = await self._steps.take(step, f"add address {item.address}", partial(self._add_address, item))
            (added if done else missing).append(item)
        for item in added:
            step = _announcement_step(item)
            await self._steps.take(step, f"announce address {item.address}", partial(self._announce, item))
        return missing

    async def keep(self) -> None:
        """Add again an address that is gone, such as one that the system gave up at a conflict, once nobody has it."""
        identity = await self._own_identity()
        if identity is None:
            return
        held = {item.address.partition("/")[0] for item in identity.addresses}
        gone = [item for item in self._request.addresses if item.address.partition("/")[0] not in held]
        if gone:
            self._journal.due_again([*map(_address_step, gone), *map(_announcement_step, gone)])
            await self._assume_addresses(gone)
            self.assuming = ""

    async def _add_address(self, item: InterfaceAddress) -> None:
        if not self._survey.unused(item) and await self._host.identity.in_use(item.interface, item.address):
            self._barred.add(item.address)
            raise DuplicateIdentityError(f"another machine on the network still answers for {item.address}")
        self._barred.discard(item.address)
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
            await self._steps.attempt(
                f"repeat announcement of {item.address}",
                partial(self._host.identity.announce, item.interface, item.address),
            )

    async def _assume_name(self) -> bool:
        self.assuming = self._request.source
        return await self._steps.take(self._name_step, f"add name {self._request.source}", self._add_name)

    async def _add_name(self) -> None:
        addresses = [item.address.partition("/")[0] for item in self._request.addresses]
        await self._host.identity.add_name(self._request.source, addresses)
        self._events.record(EventCode.NAME_ADDED, f"Name {self._request.source} added")

    # --- failback -------------------------------------------------------------------------------------------------

    async def fail_back(self) -> Outcome:
        """Give the identity back; what cannot be removed is tried again each interval, lest two machines hold it."""
        scripts, undoing = self._request.scripts, self._journal.undoing
        for item in self._request.addresses:
            self._stop_repeating(item.address)
        await self._begin(EventCode.FAILBACK_STARTED, EventCode.FAILBACK_RESUMED, "Failback")
        if undoing != "pre-failover":  # nothing was started yet that it could stop
            await self._run_pre_script("pre-failback", scripts.pre_failback)
            if stop := self._stopped_at("pre-failback"):
                return stop
        unnamed = not self._request.name or await self._give_back_name()
        held = await self._give_back_addresses(self._request.addresses)
        unshared = await self._sharing.undo()
        own = self._request.identity == "add" or await self._replacement.undo()
        await self._run_post_script("post-failback", scripts.post_failback)
        if stop := self._stopped_at("post-failback"):
            return stop
        unmarked = undoing != "pre-failover" or await self._unmark()
        while held or not (unnamed and unshared and own and unmarked):
            self._scripts.expect_none()
            await asyncio.sleep(self._request.interval)
            unnamed = unnamed or await self._give_back_name()
            held = await self._give_back_addresses(held)
            unshared = unshared or await self._sharing.undo()
            own = own or await self._replacement.undo()
            unmarked = unmarked or await self._unmark()
        self.assuming = ""
        if undoing is None:
            self._events.record(EventCode.FAILBACK_COMPLETE, f"Failback of {self._request.source} is complete")
        else:
            text = f"Failover of {self._request.source} is undone: this machine does not stand in, an operator decides"
            self._events.record(EventCode.FAILOVER_UNDONE, text)
        return "done"

    async def _give_back_name(self) -> bool:
        return await self._steps.take(self._name_step, f"remove name {self._request.source}", self._remove_name)

    async def _remove_name(self) -> None:
        await self._host.identity.remove_name(self._request.source)
        self._events.record(EventCode.NAME_REMOVED, f"Name {self._request.source} removed")

    async def _give_back_addresses(self, addresses: Sequence[InterfaceAddress]) -> list[InterfaceAddress]:
        """Remove addresses; returns those that are still held."""
        return [
            item
            for item in addresses
            if not await self._steps.take(
                _address_step(item), f"remove address {item.address}", partial(self._remove_address, item)
            )
        ]

    async def _remove_address(self, item: InterfaceAddress) -> None:
        await self._host.identity.remove_address(item.interface, item.address)
        self._events.record(EventCode.ADDRESS_REMOVED, f"Address {item.address} removed from {item.interface}")

    # --- after a restart ------------------------------------------------------------------------------------------

    async def _begin(self, started: EventCode, resumed: EventCode, what: str) -> None:
        """Say that the procedure begins; after a restart find out first what of it still holds."""
        source = self._request.source
        self._sharing.begin()
        if not self._journal.inherited:
            if not self._journal.steps():
                self._events.record(started, f"{what} of {source} started")
            return
        identity = await self._own_identity()
        held = {item.address.partition("/")[0] for item in identity.addresses} if identity else set()
        ours = [item for item in self._request.addresses if item.address.partition("/")[0] in held]
        rebooted = self._journal.booted_since()
        if what == "Failover":
            # A host that cannot tell its boots apart betrays one by what did not survive it.
            rebooted = rebooted or (identity is not None and not ours and self._journal.added_addresses())
            self._due_again(identity, ours, rebooted=rebooted)
        self._journal.due_again([OWN_NAME])  # whether the machine answers for it nobody can tell, and what follows
        self._journal.inherited = False
        after = "a reboot of this machine" if rebooted else "a restart of the service"
        self._events.record(resumed, f"{what} of {source} goes on after {after}")

    def _due_again(self, identity: HostIdentity | None, ours: Sequence[InterfaceAddress], *, rebooted: bool) -> None:
        """Find the steps of failover that have to be carried out once more.

        The scripts among them only after a boot: the services that they started do not run then.
        """
        if rebooted:
            self._journal.due_again(self._journal.steps())
            return
        gone = [item for item in self._request.addresses if item not in ours]
        self._journal.due_again([MARK, SHARES, *map(_address_step, gone), *map(_announcement_step, gone)])
        names = [name.casefold() for name in identity.added_names] if identity else []
        if self._request.name and self._request.source.casefold() not in names:
            self._journal.due_again([self._name_step])

    async def _own_identity(self) -> HostIdentity | None:
        try:
            return await self._host.identity.query()
        except (BodydoubleError, OSError) as error:
            self._steps.report("look up this machine's names and addresses", str(error))
            return None

    # --- scripts --------------------------------------------------------------------------------------------------

    async def _run_pre_script(self, event: ScriptEvent, path: str, leave: asyncio.Event | None = None) -> bool:
        return await self._scripts.run(event, path, leave)

    async def _run_post_script(self, event: ScriptEvent, path: str, leave: asyncio.Event | None = None) -> bool:
        return await self._scripts.run(event, path, leave)

    def _stopped_at(self, event: ScriptEvent) -> Literal["held", "aborted"] | None:
        """What a script's failure makes of the procedure, None: it goes on."""
        state = self._journal.state(event)
        return state if state in ("held", "aborted") else None

    # --- steps ----------------------------------------------------------------------------------------------------

    @property
    def _name_step(self) -> str:
        return f"name {self._request.source}"

    async def _until_done(self, action: Callable[[], Awaitable[bool]], leave: asyncio.Event) -> bool:
        """Try each interval until it succeeds; False when ``leave`` was set before."""
        while not await action():
            if await self._pause(leave):
                return False
        return True

    async def _pause(self, leave: asyncio.Event) -> bool:
        """Wait an interval; True as soon as ``leave`` is set."""
        self._scripts.expect_none()
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


def _address_step(item: InterfaceAddress) -> str:
    return f"address {item.address}"


def _announcement_step(item: InterfaceAddress) -> str:
    return f"announcement {item.address}"
