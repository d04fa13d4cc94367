"""Sharing what a source shared, while this machine stands in for it, and sharing it no longer afterwards.

Source: reference/double-take.md, "Monitoring and failover": shares come after the name, and are removed at failback.

Which shares are to be made is decided first, and is in the journal before the first one is: failback then removes
exactly these, wherever a failover or this machine was interrupted. A name that this machine shares already is its own
and is not touched. Shares are not worth the rest of a failover: what cannot be shared for a while is left out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, DuplicateShareError, ShareError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.shares import MAX_SHARES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bodydouble.failover.journal import Journal
    from bodydouble.failover.steps import Steps
    from bodydouble.failover.surroundings import SharesKept
    from bodydouble.ports import Host, Shares
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import MonitorRequest
    from bodydouble.vocabulary.shares import Share

CHOICE = "choice of shares"
SHARES = "shares"
PATIENCE = 60.0
"""Seconds for which shares that cannot be made, or removed, are tried again: a file server may still be starting."""


class Sharing:
    """The shares of one source.

    Args:
        host: the host's ports.
        events: where each share is recorded.
        request: the monitor's settings.
        steps: carries out the steps.
        journal: has what was, or is to be, shared by this failover.
        kept: knows what the source shared.
    """

    def __init__(
        self,
        host: Host,
        events: EventLog,
        request: MonitorRequest,
        *,
        steps: Steps,
        journal: Journal,
        kept: SharesKept,
    ) -> None:
        self._host = host
        self._events = events
        self._request = request
        self._steps = steps
        self._journal = journal
        self._kept = kept
        self._tried_since: float | None = None

    def begin(self) -> None:
        """A procedure begins: whatever did not work before may work now."""
        self._tried_since = None

    def to_carry(self) -> list[Share]:
        """What failover would share, as far as it is known before it looks at this machine."""
        if not self._request.shares or self._host.shares is None:
            return []
        return list(self._kept.shares(self._request.source))

    async def assume(self) -> bool:
        """Share what the source shared; False when something is left to be tried again."""
        if not self._request.shares or not (self._journal.shares or self._kept.shares(self._request.source)):
            return True
        done = await self._steps.take(CHOICE, "look at what this machine shares", self._choose)
        if done and self._journal.shares:
            done = await self._steps.take(SHARES, "share what the source shared", self._add_all)
        return done or self._out_of_patience("is not shared here")

    async def undo(self) -> bool:
        """Share it no longer; False when something is left to be tried again."""
        if not self._journal.shares:
            return True
        done = await self._steps.take(SHARES, "end the shares of the source", self._remove_all)
        return done or self._out_of_patience("may still be shared here; look, and remove it by hand")

    # --- which ------------------------------------------------------------------------------------------------------

    async def _choose(self) -> None:
        """Choose what to share. What an earlier try chose stays chosen: it may be shared already."""
        if self._host.shares is None:
            self._leave_out("this machine has no file server that could be asked")
            return
        wanted = self._kept.shares(self._request.source)
        present = {each.name.casefold(): each for each in await self._host.shares.query()}
        chosen = {each.name.casefold(): each for each in self._journal.shares}
        unfit: list[tuple[Share, str]] = []
        for share in wanted[:MAX_SHARES]:
            key = share.name.casefold()
            found = chosen.get(key) or present.get(key)
            if why := await self._unfit(share, found):
                unfit.append((share, why))
            elif found is None:
                chosen[key] = share
        self._journal.shares = list(chosen.values())
        for share, why in unfit:
            self._leave_out(why, share)
        if len(wanted) > MAX_SHARES:
            self._leave_out(f"{len(wanted) - MAX_SHARES} more: a failover shares {MAX_SHARES} at most")

    async def _unfit(self, share: Share, found: Share | None) -> str:
        """Why a share cannot be made where ``found`` has its name, empty: it can, or is there."""
        if found is not None:
            return "" if self._same_place(found, share) else f"this machine shares {found.path} by that name"
        entry = await self._host.file_system.stat(share.path)
        if entry is not None and entry.kind == "directory":
            return ""
        # A link, also one on the way, may lead anywhere: the source wrote it.
        return f"{share.path} is no directory of this machine" + ("" if entry is None else f", but a {entry.kind}")

    def _same_place(self, one: Share, other: Share) -> bool:
        if self._host.file_system.case_sensitive:
            return one.path == other.path
        return one.path.casefold() == other.path.casefold()

    def _leave_out(self, why: str, share: Share | None = None) -> None:
        what = "shares are" if share is None else f"share {share.name} is"
        self._events.record(EventCode.SHARE_LEFT_OUT, f"{self._request.source}: {what} not carried: {why}")

    # --- adding and removing ----------------------------------------------------------------------------------------

    def _port(self) -> Shares:
        if self._host.shares is None:
            raise ShareError("this machine has no file server that could be asked")
        return self._host.shares

    async def _add_all(self) -> None:
        """Make those that are not there; one whose name somebody has given to another directory is not ours."""
        missing = [ours for ours, now in await self._now() if now is None or not self._same_place(ours, now)]
        await self._each(missing, self._add)

    async def _now(self) -> list[tuple[Share, Share | None]]:
        """What was chosen, with what this machine shares by these names now."""
        present = {each.name.casefold(): each for each in await self._port().query()}
        return [(each, present.get(each.name.casefold())) for each in self._journal.shares]

    async def _add(self, share: Share) -> None:
        try:
            await self._port().add(share)
        except DuplicateShareError as error:  # somebody was faster: it is not ours
            self._journal.shares.remove(share)
            self._leave_out(str(error), share)
        else:
            self._events.record(EventCode.SHARE_ADDED, f"Share {share.name} added: {share.path}")

    async def _remove_all(self) -> None:
        """End the shares that are as they were made; who changed one since has made it their own."""
        ours_still = [ours for ours, now in await self._now() if now and self._same_place(ours, now)]
        await self._each(ours_still, self._remove)

    async def _remove(self, share: Share) -> None:
        await self._port().remove(share.name)
        self._events.record(EventCode.SHARE_REMOVED, f"Share {share.name} removed")

    @staticmethod
    async def _each(shares: Iterable[Share], action: Callable[[Share], Awaitable[None]]) -> None:
        """Do it to each, whatever becomes of the others.

        Raises:
            ShareError: the first that failed.
        """
        failed: list[str] = []
        for share in shares:
            try:
                await action(share)
            except (BodydoubleError, OSError) as error:
                failed.append(f"{share.name}: {error}")
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise ShareError(f"{failed[0]}{more}")

    def _out_of_patience(self, so: str) -> bool:
        """Whether what failed is to be tried no longer; says so once."""
        now = asyncio.get_running_loop().time()
        if self._tried_since is None:
            self._tried_since = now
        if now - self._tried_since < PATIENCE:
            return False
        if self._tried_since != float("-inf"):
            self._tried_since = float("-inf")
            self._leave_out(f"what could not be done for {PATIENCE:.0f} s {so}")
        return True
