"""One sample of the figures a second, kept for an hour, and in a log if one is wanted.

Source: Double-Take's guides, statistics "once a second". The ring is memory only: a restarted daemon begins anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import msgspec

from bodydouble.vocabulary.records import Sample
from bodydouble.vocabulary.statistics import Figures, Rates

if TYPE_CHECKING:
    from bodydouble.control.statistics_log import StatisticsLog
    from bodydouble.failover.service import FailoverService
    from bodydouble.ports import WallClock
    from bodydouble.replication.service import ReplicationService
    from bodydouble.restore.service import RestorationService

PERIOD = 1.0
KEPT = 3_600
KEPT_LINES = 40_000
"""Figures of connections and replicas that are kept: with many of them the ring goes back less than an hour."""
_RATES = {
    "generated": "operations_generated",
    "sent": "operations_sent",
    "acknowledged": "operations_acknowledged",
    "applied": "operations_applied",
    "generated_bytes": "generated_bytes",
    "sent_bytes": "sent_bytes",
    "mirror_bytes": "mirror_bytes",
}

F = TypeVar("F", bound=Figures)


class StatisticsRing:
    """Samples the daemon's figures.

    Args:
        clock: the calendar, for the samples' time.
        replication: gives the figures.
        failover: gives Time to Fail.
        log: where samples are written as well.
        restoration: gives the restorations that run.
    """

    def __init__(
        self,
        clock: WallClock,
        replication: ReplicationService,
        failover: FailoverService,
        log: StatisticsLog | None = None,
        restoration: RestorationService | None = None,
    ) -> None:
        self._clock = clock
        self._replication = replication
        self._failover = failover
        self._log = log
        self._restoration = restoration
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._lines = 0

    async def run(self) -> None:
        """Take a sample each second until cancelled; seconds in which the daemon stood still are left out."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._keep(self.current())
            due = max(due + PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())

    def after(self, at: float, limit: int = KEPT) -> list[Sample]:
        """Samples taken later than ``at`` (seconds on the daemon's steady clock), at most ``limit``, oldest first."""
        found = [sample for sample in self._samples if sample.at > at]
        return found[-limit:] if limit else []

    def current(self) -> Sample:
        """The figures of this moment; rates are since the last sample that was kept."""
        at = asyncio.get_running_loop().time()
        counters = self._replication.counters()
        lefts = [status.time_to_fail for status in self._failover.monitors() if status.time_to_fail is not None]
        total, connections, replicas = self._replication.figures()
        before = self._samples[-1] if self._samples else None
        earlier = {} if before is None else {each.id: each for each in before.connections}
        seconds = 0.0 if before is None else at - before.at
        return Sample(
            at=at,
            time=self._clock.now(),
            queue_operations=counters.queue_operations,
            queue_bytes=counters.queue_bytes,
            operations_generated=counters.operations_generated,
            operations_acknowledged=counters.operations_acknowledged,
            operations_applied=counters.operations_applied,
            time_to_fail=min(lefts, default=None),
            total=_rated(total, None if before is None else before.total, seconds),
            connections=tuple(_rated(each, earlier.get(each.id), seconds) for each in connections),
            replicas=tuple(replicas),
            restorations=() if self._restoration is None else tuple(self._restoration.figures()),
        )

    def _keep(self, sample: Sample) -> None:
        if len(self._samples) == self._samples.maxlen:
            self._drop()
        self._samples.append(sample)
        self._lines += _lines(sample)
        while self._lines > KEPT_LINES and len(self._samples) > 1:
            self._drop()
        if self._log is not None:
            self._log.put(sample)

    def _drop(self) -> None:
        self._lines -= _lines(self._samples.popleft())


def _lines(sample: Sample) -> int:
    return len(sample.connections) + len(sample.replicas)


def _rated(figures: F, before: Figures | None, seconds: float) -> F:
    """The figures with how fast they grew; none are known of the first sample."""
    if before is None or seconds <= 0:
        return figures
    rates = {
        rate: round(max(0, getattr(figures, name) - getattr(before, name)) / seconds, 3)
        for rate, name in _RATES.items()
    }
    return msgspec.structs.replace(figures, rates=Rates(**rates))
