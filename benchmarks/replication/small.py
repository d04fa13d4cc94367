"""Workload ``small``: many small files, some of them overwritten, renamed, deleted."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.replication.trees import Expected, lag, rsync_lines

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.replication.stage import Metered
    from benchmarks.replication.systems import Running

SIZE = 4096
FILES_A_DIRECTORY = 50
PATCH = 256
PATIENCE = 120.0


@dataclass(frozen=True)
class SmallPlan:
    """What is done, drawn before anything is timed.

    Attributes:
        directories: in the order in which they are made.
        creates: paths and bytes.
        patches: path, offset, bytes.
        renames: old and new path.
        deletes: paths.
    """

    directories: list[str]
    creates: list[tuple[str, bytes]]
    patches: list[tuple[str, int, bytes]]
    renames: list[tuple[str, str]]
    deletes: list[str]

    @classmethod
    def drawn(cls, seed: int, files: int) -> SmallPlan:
        """The plan of a seed: 20 % overwritten at a random offset, 5 % renamed, 5 % deleted."""
        draw = random.Random(f"{seed}:small")
        directories = [f"d{at}" for at in range(-(-files // FILES_A_DIRECTORY))]
        names = [f"d{at // FILES_A_DIRECTORY}/file-{at}.dat" for at in range(files)]
        chosen = draw.sample(names, files // 10)
        renamed, deleted = chosen[: files // 20], chosen[files // 20 :]
        return cls(
            directories,
            [(name, draw.randbytes(SIZE)) for name in names],
            [(name, draw.randrange(SIZE - PATCH), draw.randbytes(PATCH)) for name in draw.sample(names, files // 5)],
            [(name, f"{draw.choice(directories)}/renamed-{at}.dat") for at, name in enumerate(renamed)],
            deleted,
        )

    def expected(self) -> Expected:
        """What it leaves."""
        files = dict(self.creates)
        for path, offset, data in self.patches:
            files[path] = files[path][:offset] + data + files[path][offset + len(data) :]
        for old, new in self.renames:
            files[new] = files.pop(old)
        for path in self.deletes:
            del files[path]
        last = [*reversed(self.deletes), *(new for _, new in reversed(self.renames))]
        return Expected(files, {*self.deletes, *(old for old, _ in self.renames)}, last)


def perform(plan: SmallPlan, root: Path) -> float:
    """Do all of it; creates per second as the application saw them (open, write, close)."""
    prefix = f"{root}/"
    for directory in plan.directories:
        os.mkdir(prefix + directory)
    began = time.perf_counter()
    for path, content in plan.creates:
        fd = os.open(prefix + path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, content)
        os.close(fd)
    rate = len(plan.creates) / (time.perf_counter() - began)
    for path, offset, data in plan.patches:
        fd = os.open(prefix + path, os.O_WRONLY)
        os.pwrite(fd, data, offset)
        os.close(fd)
    for old, new in plan.renames:
        os.rename(prefix + old, prefix + new)
    for path in plan.deletes:
        os.unlink(prefix + path)
    return rate


def run(stage: Metered, running: Running, seed: int, files: int) -> dict[str, float]:
    """One round; what was measured, in the units of the keys."""
    plan = SmallPlan.drawn(seed, files)
    expected = plan.expected()
    before = stage.wire_bytes()
    began = time.monotonic()
    rate = perform(plan, running.source)
    ended = time.monotonic()
    measured = {"creates_per_s": rate, "application_s": ended - began}
    measured["lag_s"] = lag(lambda: expected.met_by(running.replica), ended, PATIENCE)
    time.sleep(0.5)  # the last acknowledgements
    sent, received = stage.wire_bytes()
    measured["sent_mb"] = (sent - before[0]) / 1e6
    measured["received_mb"] = (received - before[1]) / 1e6
    return measured | rsync_lines(running.source, running.replica)
