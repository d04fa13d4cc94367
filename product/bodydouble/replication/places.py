"""Who may replicate to where on this machine: no two replicas in one place, and no loop.

A loop would bring an operation back to the machine where it was made, over what was written there since. Each source
says through which machines its data comes. A target whose own name is among them refuses, if a connection of its own
would send the data on again. So that this holds for loops that are closed anywhere later, a machine whose data comes by
another way from now on ends its own sessions for that data first; they greet again, with the new way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from bodydouble.errors import FileSystemError, InputError
from bodydouble.replication.admission import SessionRefusedError
from bodydouble.replication.mapping import PathMap, overlap
from bodydouble.replication.place import check_place
from bodydouble.replication.rules import fold, roots_of, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.replication.applier import Applier
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Hello
    from bodydouble.replication.replica import Replica
    from bodydouble.replication.target import TargetSession


class OutgoingConnections(Protocol):
    """What the target side asks of this machine's own connections."""

    def suspend_set(self, name: str, why: str) -> None:
        """Stop replicating the set."""

    def release_set(self, name: str) -> None:
        """Try to replicate the set again."""

    def covering(self, places: Sequence[str]) -> list[str]:
        """Connections, in words, whose sets hold something of these directories."""

    async def greet_again(self, places: Sequence[str]) -> None:
        """End the sessions of these connections; they come back and say anew through where their data comes."""


class NoConnections:
    """A machine without connections of its own, until it is told otherwise."""

    def suspend_set(self, name: str, why: str) -> None:
        """Nothing is replicated."""

    def release_set(self, name: str) -> None:
        """Nothing is replicated."""

    def covering(self, places: Sequence[str]) -> list[str]:  # noqa: ARG002 - the protocol's
        """None."""
        return []

    async def greet_again(self, places: Sequence[str]) -> None:
        """Nothing is greeted."""


def targets_of(context: Context, hello: Hello) -> list[str]:
    """Where the source's data would be kept here.

    Raises:
        SessionRefusedError: it cannot be kept there.
    """
    placement = hello.placement
    try:
        check_place(context, hello.replication_set, placement)
    except InputError as error:
        raise SessionRefusedError(str(error), permanent=True) from error
    key = same if context.host.file_system.case_sensitive and placement.case_sensitive else fold
    return PathMap(roots_of(hello.replication_set, key), placement.mapping, placement.base, key).targets


async def check_volumes(context: Context, targets: Sequence[str]) -> None:
    """Refuse a place on a volume that is not there.

    Raises:
        SessionRefusedError: it is no path of this kind of host, or its volume does not answer.
    """
    for target in targets:
        try:
            await context.host.file_system.stat(target)
        except FileSystemError as error:
            raise SessionRefusedError(f"{target} cannot be replicated to: {error}", permanent=True) from error


def neighbours(context: Context, replicas: Sequence[Replica], targets: Sequence[str]) -> list[Replica]:
    """Replicas that would share a place with these directories."""
    return [each for each in replicas if overlap(each.place.targets, targets, context.feed.key)]


def refuse_loop(context: Context, outgoing: OutgoingConnections, hello: Hello, targets: Sequence[str]) -> None:
    """Refuse what would come back to where it was written.

    Raises:
        SessionRefusedError: it would.
    """
    if context.identity not in hello.placement.via:
        return
    sent_on = outgoing.covering(targets)
    if not sent_on:
        return
    if hello.placement.via[-1] == context.identity:
        what = "source and target are this one machine: map the set to a directory that it does not hold"
    else:
        what = f"a loop: this data comes from here, and would be sent on again by {' and '.join(sent_on)}"
    raise SessionRefusedError(what, permanent=True)


class Holders(Protocol):
    """What `Places` asks of the registry of replicas."""

    def replicas(self) -> list[Replica]:
        """All of them."""

    def find(self, source: str, replication_set: str) -> Replica | None:
        """The replica of a source's set."""

    def session_of(self, replica: Replica) -> TargetSession | None:
        """The session that the replica's source is connected by."""

    def applier(self, replica: Replica) -> Applier:
        """Who brings the replica forward."""


class Places:
    """Which replica has which place.

    Args:
        context: the daemon's surroundings.
        holders: the replicas.
    """

    def __init__(self, context: Context, holders: Holders) -> None:
        self.outgoing: OutgoingConnections = NoConnections()
        self._context = context
        self._holders = holders

    def check(self, hello: Hello, targets: Sequence[str]) -> None:
        """No two sources may write to one place, and nothing may come back to where it was written.

        Raises:
            SessionRefusedError: another replica has the place, or it would be a loop.
        """
        refuse_loop(self._context, self.outgoing, hello, targets)
        mine = self._holders.find(hello.source, hello.replication_set.name)
        for other in self._neighbours(targets):
            if other is not mine and (why := self._held(other)):
                record = other.record
                what = f"{record.source}'s {record.replication_set.name!r} has the same place here and {why}"
                raise SessionRefusedError(f"{what}: a second source for it is refused", permanent=False)
        session = None if mine is None else self._holders.session_of(mine)
        if session is not None and session.connection != hello.placement.connection:
            what = f"connection {session.connection} of {hello.source} has this replica already"
            raise SessionRefusedError(what, permanent=False)

    def _neighbours(self, targets: Sequence[str]) -> list[Replica]:
        return neighbours(self._context, self._holders.replicas(), targets)

    def _held(self, replica: Replica) -> str:
        """Why nobody else may have the replica's place now; empty when one may."""
        if self._holders.session_of(replica) is not None:
            return "is connected"
        if replica.record.restore_required:
            return "is to be restored first"
        return "is still being applied" if self._holders.applier(replica).queue.pending else ""

    async def take_over(self, replica: Replica, hello: Hello, targets: Sequence[str]) -> None:
        """Whoever had the place has it no more."""
        for other in self._neighbours(targets):
            if other is not replica and other.stream:
                await other.change(complete=False)
                await self._holders.applier(other).end()
        if replica.record.placement.via != hello.placement.via:
            now = msgspec.structs.replace(replica.record.placement, via=hello.placement.via)
            await replica.change(placement=now)

    def lineage(self, places: Sequence[str]) -> list[str]:
        """The machines that data comes through which comes into these directories now, but for this one."""
        there = [each for each in self._neighbours(places) if self._flows(each)]
        return list(dict.fromkeys(name for each in there for name in each.record.placement.via))

    def _flows(self, replica: Replica) -> bool:
        return self._holders.session_of(replica) is not None or bool(self._holders.applier(replica).queue.pending)
