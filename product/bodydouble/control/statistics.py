"""One sample of the counters a second, kept for an hour.

Source: Double-Take's guides, statistics "once a second". The ring is memory only: a restarted daemon begins anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from bodydouble.vocabulary.records import Sample

if TYPE_CHECKING:
    from bodydouble.failover.service import FailoverService
    from bodydouble.ports import WallClock
    from bodydouble.replication.service import ReplicationService

PERIOD = 1.0
KEPT = 3_600


class StatisticsRing:
    """Samples the daemon's counters.

    Args:
        clock: the calendar, for the samples' time.
        replication: gives the counters.
        failover: gives Time to Fail.
    """

    def __init__(self, clock: WallClock, replication: ReplicationService, failover: FailoverService) -> None:
        self._clock = clock
        self._replication = replication
        self._failover = failover
        self._samples: deque[Sample] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Take a sample each second until cancelled; seconds in which the daemon stood still are left out."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._samples.append(self._sample(loop.time()))
            due = max(due + PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())

    def after(self, at: float) -> list[Sample]:
        """Samples taken later than ``at`` (seconds on the daemon's steady clock), oldest first."""
        return [sample for sample in self._samples if sample.at > at]

    def _sample(self, at: float) -> Sample:
        counters = self._replication.counters()
        lefts = [status.time_to_fail for status in self._failover.monitors() if status.time_to_fail is not None]
        return Sample(
            at=at,
            time=self._clock.now(),
            queue_operations=counters.queue_operations,
            queue_bytes=counters.queue_bytes,
            operations_generated=counters.operations_generated,
            operations_acknowledged=counters.operations_acknowledged,
            operations_applied=counters.operations_applied,
            time_to_fail=min(lefts, default=None),
        )
