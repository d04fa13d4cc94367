"""What a replica should be in the end, and whether it is."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1024 * 1024
_POLL = 0.005


@dataclass
class Expected:
    """The tree that a workload leaves behind.

    Attributes:
        files: bytes by path relative to the tree's root.
        absent: paths at which nothing may be.
        last: what the workload did last, looked at first, so that looking costs little while the replica is behind.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    last: list[str] = field(default_factory=list)

    def met_by(self, root: Path) -> bool:
        """Whether ``root`` holds exactly that; files at other paths than those named are not looked for."""
        prefix = f"{root}/"
        for path in (*self.last, *self.absent):
            if path in self.absent and os.path.lexists(prefix + path):
                return False
            if path in self.files and not _holds(prefix + path, self.files[path]):
                return False
        return all(_holds(prefix + path, content) for path, content in self.files.items())


def _holds(path: str, content: bytes) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return os.read(fd, len(content) + 1) == content
    finally:
        os.close(fd)


def same_bytes(one: Path, other: Path, look_first: list[int]) -> bool:
    """Whether two files are equal; at ``look_first`` (offsets) they are compared before anything else."""
    try:
        with one.open("rb", buffering=0) as a, other.open("rb", buffering=0) as b:
            if os.fstat(a.fileno()).st_size != os.fstat(b.fileno()).st_size:
                return False
            for offset in look_first:
                if os.pread(a.fileno(), 4096, offset) != os.pread(b.fileno(), 4096, offset):
                    return False
            while piece := a.read(_BLOCK):
                if piece != b.read(len(piece)):
                    return False
    except FileNotFoundError:
        return False
    return True


def lag(met: object, since: float, patience: float) -> float:
    """Seconds from ``since`` to the beginning of the first look at which ``met`` holds; infinite after ``patience``."""
    assert callable(met)
    while (now := time.monotonic()) - since < patience:
        if met():
            return now - since
        time.sleep(_POLL)
    return float("inf")


def differences(source: Path, replica: Path) -> list[str]:
    """What ``rsync -aniHAXc --delete`` would change: nothing, when the replica is the source's image."""
    command = ["rsync", "-aniHAXc", "--delete", f"{source}/", f"{replica}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def only_directory_times(line: str) -> bool:
    """Whether a line of `differences` is about nothing but the time of a directory."""
    return line.startswith(".d..t......")


def rsync_lines(source: Path, replica: Path) -> dict[str, float]:
    """How many `differences` there are, and how many more that are only times of directories."""
    lines = differences(source, replica)
    times = sum(only_directory_times(line) for line in lines)
    return {"rsync_lines": len(lines) - times, "rsync_directory_times": times}
