"""Workload ``order``: what a replica is after the source was cut off, against what the application had been told.

The application appends numbered records to A, then to B, with fsync each, and after every hundredth replaces
``current`` by a rename. A replica that is the source at *some* moment has, for a number n: n or n + 1 records in A,
n in B, and the last ``current`` before that, whole. Anything else is a violation.
"""

from __future__ import annotations

import os
import random
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.replication.stage import Metered
    from benchmarks.replication.systems import Running

RATE = 500
EACH = 100
RECORD = 64
CURRENT = 64 * RECORD
CALM = 0.6
"""Seconds without a change after which nothing more is taken to come."""
PATIENCE = 60.0
CUT_BETWEEN = (0.6, 2.0)
"""Seconds after the beginning."""


def record(number: int) -> bytes:
    """A record: its number, and a checksum, so that no part of two passes for one."""
    body = b"%010d " % number * 4
    return body[: RECORD - 10].ljust(RECORD - 10) + b" %08x\n" % zlib.crc32(body)


def current(number: int) -> bytes:
    """What ``current`` is after so many records."""
    return record(number) * (CURRENT // RECORD)


@dataclass
class Findings:
    """What a cut left.

    Attributes:
        violations: each in words.
        torn: versions of ``current`` that are not whole.
        present: records that are in both files.
    """

    violations: list[str] = field(default_factory=list)
    torn: int = 0
    present: int = 0


def check(a: bytes, b: bytes, current_bytes: bytes | None) -> Findings:
    """Judge a replica; ``current_bytes`` is None where there is none."""
    found = Findings()
    in_a, in_b = _records("A", a, found), _records("B", b, found)
    found.present = min(in_a, in_b)
    if in_b > in_a:
        found.violations.append(f"B has {in_b} records, A only {in_a}")
    if in_a > in_b + 1:
        found.violations.append(f"A has {in_a} records, B only {in_b}")
    replaced = 0
    if current_bytes is not None:
        replaced = int(current_bytes[:10] or b"0") if current_bytes[:10].isdigit() else 0
        if current_bytes != current(replaced):
            found.torn = 1
            return found
    if replaced > in_b:
        found.violations.append(f"current is that of {replaced} records, B has {in_b}")
    if replaced < (in_a - 1) // EACH * EACH:
        found.violations.append(f"current is that of {replaced} records, A has {in_a}")
    return found


def _records(name: str, content: bytes, found: Findings) -> int:
    """How many whole records there are from the beginning; what follows them is a violation."""
    count = 0
    while content[count * RECORD : (count + 1) * RECORD] == record(count + 1):
        count += 1
    if len(content) > count * RECORD:
        found.violations.append(f"{name} has {len(content) - count * RECORD} bytes that are no record behind {count}")
    return count


class Application:
    """Writes until it is told to stop.

    Args:
        directory: where to.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.written = 0
        self._directory = str(directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._files = [os.open(f"{directory}/{name}", flags, 0o644) for name in "AB"]

    def run(self, seconds: float) -> float:
        """Write for so long, `RATE` records a second if that is possible; records a second that it was."""
        began = time.monotonic()
        first = self.written
        while (now := time.monotonic()) - began < seconds:
            due = began + (self.written - first) / RATE
            if now < due:
                time.sleep(due - now)
            self._write()
        return (self.written - first) / (time.monotonic() - began)

    def _write(self) -> None:
        number = self.written + 1
        for fd in self._files:
            os.write(fd, record(number))
            os.fsync(fd)
        self.written = number
        if number % EACH == 0:
            self._replace(number)

    def _replace(self, number: int) -> None:
        fresh = f"{self._directory}/current.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, current(number))
        os.fsync(fd)
        os.close(fd)
        os.rename(fresh, f"{self._directory}/current")

    def close(self) -> None:
        """Let go of the files."""
        for fd in self._files:
            os.close(fd)


def run(stage: Metered, running: Running, seed: int, cuts: int) -> dict[str, float]:
    """So many cuts; how many of them violated the order, and how much of what was acknowledged was missing."""
    del stage
    draw = random.Random(f"{seed}:order")
    missing: list[int] = []
    rates: list[float] = []
    violated = torn = 0
    for number in range(cuts):
        name = f"cut-{number}"
        application = Application(running.source / name)
        rates.append(application.run(draw.uniform(*CUT_BETWEEN)))
        acknowledged = application.written
        running.cut()
        application.close()
        found = _left(running.replica / name)
        violated += bool(found.violations)
        torn += found.torn
        missing.append(max(0, acknowledged - found.present))
        for each in found.violations:
            click.echo(f"order, seed {seed}, cut {number}, {running.replica}: {each}", err=True)
        running.heal()
    missing.sort()
    return {
        "cuts": cuts,
        "violated": violated,
        "torn": torn,
        "missing_median": missing[len(missing) // 2],
        "missing_worst": missing[-1],
        "missing_median_ms": missing[len(missing) // 2] * 1000 / RATE,
        "missing_worst_ms": missing[-1] * 1000 / RATE,
        "records_per_s": sum(rates) / len(rates),
    }


def _left(directory: Path) -> Findings:
    """What is there once nothing more comes."""
    _await_calm(lambda: _state(directory))
    a, b = (_content(directory / name) or b"" for name in "AB")
    return check(a, b, _content(directory / "current"))


def _await_calm(look: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < CALM and time.monotonic() < end:
        time.sleep(0.02)
        if (now := look()) != seen:
            seen, since = now, time.monotonic()


def _state(directory: Path) -> list[tuple[str, int, int]]:
    try:
        return sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in os.scandir(directory))
    except FileNotFoundError:
        return []


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
