"""Shares of a source: told by it while it lives, kept by its targets, so that a stand-in can offer the same ones.

They travel beside the stream, not in it: what counts at failover is which ones the source had a moment ago. Only shares
of directories that lie in the replication set are told, never what the system shares by itself. What a target keeps is
bounded, and lies in the replica's own places or is no part of a failover.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import InputError, ProtocolError, ShareError
from bodydouble.replication.mapping import overlap
from bodydouble.replication.protocol import Shared
from bodydouble.replication.rules import Selection
from bodydouble.replication.tasks import to_the_end
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.shares import MAX_COMMENT, MAX_SHARE_CHARACTERS, MAX_SHARES, Share, check_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bodydouble.ports import Shares
    from bodydouble.replication.context import Context
    from bodydouble.replication.protocol import Purpose, Wire
    from bodydouble.replication.replica import Replica
    from bodydouble.vocabulary.records import ReplicationSet

    Report = Callable[[EventCode, str], None]

_NAMED = 5
"""Shares that an event names; of more it says how many they are."""


# --- the source's side ----------------------------------------------------------------------------------------------


async def tell_shares(
    context: Context, wire: Wire, purpose: Purpose, replication_set: ReplicationSet | None, report: Report
) -> None:
    """Tell the target what this host shares of the set, now and at each change; until cancelled.

    A file server that does not run, or does not say, changes nothing: while a machine goes down its shares are still
    those that its clients knew.
    """
    shares = context.host.shares
    if shares is None or purpose == "restore" or replication_set is None:
        await asyncio.Event().wait()
    else:
        case_sensitive = context.host.file_system.case_sensitive
        selection = Selection(replication_set, case_sensitive=case_sensitive, protected=context.protected)
        await _tell(context, wire, shares, selection, report)


async def _tell(context: Context, wire: Wire, shares: Shares, selection: Selection, report: Report) -> None:
    told: list[Share] | None = None
    unsaid: list[str] = []
    while True:
        with suppress(ShareError):
            found, left_out = told_of(selection, await shares.query())
            if left_out and left_out != unsaid:
                report(EventCode.SHARE_LEFT_OUT, f"shares are not carried: {_some(left_out)}")
            unsaid = left_out
            if found != told:
                told = found
                await wire.send(Shared(found))
        await asyncio.sleep(context.settings.shares_interval)


def told_of(selection: Selection, shares: Iterable[Share]) -> tuple[list[Share], list[str]]:
    """What a target is told, and why the rest of what lies in the set is left out. Pure."""
    found: list[Share] = []
    left_out: list[str] = []
    room = MAX_SHARE_CHARACTERS
    for each in shares:
        if not _in_set(selection, each.path):
            continue
        share = msgspec.structs.replace(each, comment=_plain(each.comment))
        try:
            check_share(share)
        except InputError as error:
            left_out.append(str(error))
            continue
        if len(found) == MAX_SHARES or share.characters > room:
            left_out.append(f"share {share.name!r}: there are more than {MAX_SHARES}, or they are too long")
            continue
        room -= share.characters
        found.append(share)
    return found, left_out


def _in_set(selection: Selection, path: str) -> bool:
    return selection.within_roots(path) and not selection.replicates_nothing(path)


def _plain(comment: str) -> str:
    return "".join(character if character.isprintable() else " " for character in comment)[:MAX_COMMENT]


# --- the target's side ----------------------------------------------------------------------------------------------


async def learn_shares(context: Context, replica: Replica, told: Shared) -> None:
    """Keep, durably, what a source shares of a set.

    Raises:
        ProtocolError: see `check_told`.
        FileSystemError: the volume refused.
    """
    check_told(replica, told)
    if told.shares != replica.record.shares:
        await to_the_end(replica.change(shares=told.shares))
        _, held_back = shares_here(context, replica)
        if held_back:
            where = f"{replica.record.source}: {replica.record.replication_set.name}"
            context.events.record(EventCode.SHARE_LEFT_OUT, f"{where}: shares are not carried: {_some(held_back)}")


def check_told(replica: Replica, told: Shared) -> None:
    """Refuse what no source may tell.

    Raises:
        ProtocolError: more than a target keeps, what cannot be shared, directories outside the set, a restoration.
    """
    if replica.purpose_restore:
        raise ProtocolError("shares are told in a restoration")
    if sum(share.characters for share in told.shares) > MAX_SHARE_CHARACTERS:
        raise ProtocolError(f"shares of more than {MAX_SHARE_CHARACTERS} characters")
    for share in told.shares:
        try:
            check_share(share)
        except InputError as error:
            raise ProtocolError(str(error)) from error
        if not replica.selection.within_roots(share.path):
            raise ProtocolError(f"share {share.name!r}: {share.path!r} is outside the replication set's roots")


def shares_here(context: Context, replica: Replica) -> tuple[list[Share], list[str]]:
    """The source's shares with their directories on this machine, and why others are held back.

    A directory that is, holds or lies in one of this machine's own (its keys are there) is offered to nobody.
    """
    found: list[Share] = []
    held_back: list[str] = []
    for share in replica.record.shares:
        path = replica.place.path_map.there(share.path)
        if path is None or not _in_set(replica.selection, share.path):
            held_back.append(f"share {share.name!r}: {share.path} is not replicated to this machine")
        elif overlap([path], context.protected, context.feed.key):
            held_back.append(f"share {share.name!r}: in {path} is what belongs to this machine's own daemon")
        else:
            found.append(Share(share.name, path, share.comment))
    return found, held_back


def _some(reasons: list[str]) -> str:
    more = len(reasons) - _NAMED
    return "; ".join(reasons[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
