"""Workload ``load``: how far the replica is behind while an application works at half of what can be sustained."""

from __future__ import annotations

import os
import random
import select
import signal
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.replication.stage import Metered
    from benchmarks.replication.systems import Running

BLOCK = 4096
FILES = 50
BURST = 3.0
"""Seconds of writing as fast as possible, from which the sustainable rate follows."""
MARK_EACH = 0.02
PATIENCE = 60.0
_MARK = struct.Struct("<Q")


class Work:
    """Overwrites blocks of some files, and makes a file of 4 KiB with every tenth operation.

    Args:
        directory: where.
        draw: draws places.
    """

    def __init__(self, directory: Path, draw: random.Random) -> None:
        directory.mkdir()
        self.operations = 0
        self._draw = draw
        self._data = draw.randbytes(BLOCK)
        self._directory = str(directory)
        self._files = [os.open(f"{directory}/f{at}", os.O_RDWR | os.O_CREAT, 0o644) for at in range(FILES)]
        self._mark = os.open(f"{directory}/mark", os.O_RDWR | os.O_CREAT, 0o644)

    def step(self) -> None:
        """One operation."""
        self.operations += 1
        if self.operations % 10:
            os.pwrite(self._files[self.operations % FILES], self._data, self._draw.randrange(64) * BLOCK)
            return
        fd = os.open(f"{self._directory}/new-{self.operations}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, self._data)
        os.close(fd)

    def mark(self, number: int) -> None:
        """Write a number that the replica shows as soon as it has everything before it."""
        os.pwrite(self._mark, _MARK.pack(number), 0)

    def close(self) -> None:
        """Let go of the files."""
        for fd in (*self._files, self._mark):
            os.close(fd)


class Observer:
    """A process that looks at the replica's mark every millisecond and notes when each number came, until it is killed.

    Args:
        path: the mark in the replica.
    """

    def __init__(self, path: Path) -> None:
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(self._reading)
            self._observe(path, writing)
        os.close(writing)

    @staticmethod
    def _observe(path: Path, writing: int) -> None:
        """In the child; ends when nobody listens any more."""
        seen = 0
        while True:
            time.sleep(0.001)
            number = read_mark(path)
            if number != seen:
                seen = number
                os.write(writing, struct.pack("<Qd", number, time.monotonic()))

    def until(self, number: int, patience: float) -> dict[int, float]:
        """When each number was seen for the first time, until ``number`` was."""
        seen: dict[int, float] = {}
        end = time.monotonic() + patience
        while number not in seen and select.select([self._reading], [], [], max(0.0, end - time.monotonic()))[0]:
            for found, at in struct.iter_unpack("<Qd", os.read(self._reading, 16 * 1024)):
                seen.setdefault(found, at)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._reading)
        return seen


def read_mark(path: Path) -> int:
    """The number in a mark; 0 where there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0
    return int(_MARK.unpack(content)[0]) if len(content) == _MARK.size else 0


def run(stage: Metered, running: Running, seed: int, seconds: int) -> dict[str, float]:
    """One round: a burst, then ``seconds`` at half of what it showed to be possible."""
    del stage
    draw = random.Random(f"{seed}:load")
    sustained = _burst(running, Work(running.source / "burst", draw))
    work = Work(running.source / "steady", draw)
    work.mark(0)
    observer = Observer(running.replica / "steady" / "mark")
    written = _steady(work, sustained / 2, seconds)
    seen = observer.until(max(written), PATIENCE)
    work.close()
    lags = sorted(lag_of(number, written[number], seen) for number in written)
    return {
        "sustained_per_s": sustained,
        "rate_per_s": work.operations / seconds,
        "lag_p50_ms": 1000 * lags[len(lags) // 2],
        "lag_p99_ms": 1000 * lags[len(lags) * 99 // 100],
        "lag_worst_ms": 1000 * lags[-1],
    }


def lag_of(number: int, at: float, seen: dict[int, float]) -> float:
    """Seconds from writing a mark until it or a later one was seen."""
    return min((when for found, when in seen.items() if found >= number), default=float("inf")) - at


def _burst(running: Running, work: Work) -> float:
    """Operations a second, from the first write to the moment at which the replica has the last one."""
    began = time.monotonic()
    while time.monotonic() - began < BURST:
        work.step()
    work.mark(1)
    work.close()
    while not read_mark(running.replica / "burst" / "mark") and time.monotonic() - began < PATIENCE:
        time.sleep(0.002)
    return work.operations / (time.monotonic() - began)


def _steady(work: Work, rate: float, seconds: float) -> dict[int, float]:
    """Work at a rate; when each mark was written."""
    written: dict[int, float] = {}
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        due = began + work.operations / rate
        if now < due:
            time.sleep(due - now)
        work.step()
        if time.monotonic() - began >= len(written) * MARK_EACH:
            number = len(written) + 1
            written[number] = time.monotonic()
            work.mark(number)
    return written
