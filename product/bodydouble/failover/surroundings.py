"""What failover asks of the other services of its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bodydouble.vocabulary.witnesses import Witnesses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.vocabulary.shares import Share


class Marks(Protocol):
    """Marks that the data of a source is newer here than there."""

    async def stand_in(self, source: str) -> Sequence[str]:
        """Require, durably, that the source's data be restored; returns the sets of which that was not required yet."""

    async def stand_down(self, source: str, sets: Sequence[str]) -> None:
        """Require it no longer of these sets."""


class SharesKept(Protocol):
    """Knows what sources shared with their clients."""

    def shares(self, source: str) -> Sequence[Share]:
        """Directories of this machine that hold what ``source`` shared, by the names of the shares."""


class Replication(Marks, Witnesses, SharesKept, Protocol):
    """The replication service, as failover needs it."""


class ServiceAnswers(Protocol):
    """Whether the replication service of a source answers, told from any other one by its certificate."""

    def check_paired(self, source: str) -> None:
        """Check that the source's service can be told from another one.

        Raises:
            PairingError: it is not paired with this machine.
        """

    async def answers(self, source: str, address: str, port: int, limit: float) -> bool:
        """Whether the replication service of ``source`` answers at ``address`` within ``limit`` seconds.

        Raises:
            PairingError: it is not paired with this machine.
        """
