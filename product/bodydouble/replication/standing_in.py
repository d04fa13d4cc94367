"""Standing in: what the replication service does for a failover of one of the sources whose replicas are here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.replication.protocol import Reach
from bodydouble.replication.reach import Line
from bodydouble.replication.sharing import shares_here
from bodydouble.replication.standing import unfinished
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.witnesses import Witnessed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.replication.context import Context
    from bodydouble.replication.target import TargetRegistry
    from bodydouble.vocabulary.shares import Share
    from bodydouble.vocabulary.witnesses import Stance, Witness


class StandingIn:
    """Marks replicas whose data are newer here than at their source, and asks third machines about sources.

    Args:
        context: the daemon's surroundings.
        registry: the replicas.
    """

    def __init__(self, context: Context, registry: TargetRegistry) -> None:
        self._context = context
        self._registry = registry
        self._lines: dict[Witness, Line] = {}

    async def stand_in(self, source: str) -> list[str]:
        """This machine takes over from ``source``: mark all its sets durably as restore required, end its sessions.

        Until a restoration clears the mark no 4.2 source replicates over what applications write here meanwhile.

        Returns:
            The sets that were not marked before.
        """
        marked = []
        for replica in self._registry.of_source(source):
            replica.stood_in += 1
            mirroring, name = replica.mirroring, replica.record.replication_set.name
            if not replica.record.restore_required:
                marked.append(name)
            await self._registry.mark(replica)
            state = unfinished(replica.record, mirroring=mirroring)
            self._context.events.record(EventCode.RESTORE_REQUIRED, f"{source}: {name}: restore required{state}")
        return marked

    async def stand_down(self, source: str, sets: Sequence[str]) -> None:
        """Nothing was written here in place of ``source``: take the mark back from ``sets``, which `stand_in` made."""
        for replica in self._registry.of_source(source):
            name = replica.record.replication_set.name
            if name in sets and replica.record.restore_required:
                await replica.change(restore_required=False)
                self._context.events.record(EventCode.RESTORE_REQUIRED, f"{source}: {name}: restore no longer required")

    def shares(self, source: str) -> list[Share]:
        """Directories of this machine that hold what ``source`` shared, by the names of the shares."""
        return [share for each in self._registry.of_source(source) for share in shares_here(self._context, each)[0]]

    async def ask(self, witness: Witness, address: str, stance: Stance, seconds: float = 0.0) -> Witnessed:
        """Ask a paired machine who may answer for an address; see `bodydouble.replication.claims`."""
        line = self._lines.setdefault(witness, Line(self._context, witness))
        reached = await line.ask(Reach(address, stance, seconds), keep=stance == "lease")
        return Witnessed(reached.answers, reached.holder, reached.firm)

    def hang_up(self) -> None:
        """Let go of the connections to witnesses that were kept for the next lease."""
        for line in self._lines.values():
            line.drop()
