"""Samples of the target's replica while the order of replication is watched.

This body sees files, not single operations, so it cannot compare each state with a prefix of the source's operations.
It notes which records lie intact in the replica at an instant; the checkers judge whether those sets only grow.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bodydouble_labs.history import ReplicaSample

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_labs.history import History
    from bodydouble_labs.providers.netns.volume import IntactRecords

INTERVAL: Final = 0.5


class ReplicaWatch:
    """Appends a `ReplicaSample` each `INTERVAL` seconds while it is on."""

    def __init__(self, history: History, elapsed: Callable[[], float]) -> None:
        """Append to ``history``, stamped by ``elapsed``."""
        self._history = history
        self._elapsed = elapsed
        self._task: asyncio.Task[None] | None = None

    def start(self, records: IntactRecords) -> None:
        """Sample ``records`` from now on, instead of what was sampled before."""
        self.stop()
        self._task = asyncio.create_task(self._run(records), name="replica watch")

    def stop(self) -> None:
        """Sample no more. An error of the watch is the lab's and goes into the history."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, records: IntactRecords) -> None:
        while True:
            try:
                present = records.present(self._history.records)
            except OSError as error:
                self._history.lab_errors.append(f"replica watch: {error}")
                return
            self._history.replica_samples.append(ReplicaSample(self._elapsed(), present))
            await asyncio.sleep(INTERVAL)
