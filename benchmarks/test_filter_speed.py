"""What an application sees of the filter beside bindfs, the leanest pass-through there is, and beside no mount at all.

All three in turns of a fraction of a second, and of each the best turn, so that whoever else uses the machine hinders
all alike. As root, with bindfs installed (`apt-get install bindfs`), which serves one request at a time by default.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bodydouble.vocabulary.operations import AnyOperation

pytestmark = [pytest.mark.root, pytest.mark.fuse, pytest.mark.program("bindfs")]

TURNS = 12
APPLICATION = textwrap.dedent(
    """
    import os, sys, time
    root, block, turn = sys.argv[1], b"x" * 4096, 0
    for line in sys.stdin:
        turn += 1
        directory = f"{root}/{turn}"
        os.mkdir(directory)
        began = time.perf_counter()
        for number in range(400):
            fd = os.open(f"{directory}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(fd, block)
            os.close(fd)
        created = time.perf_counter()
        fd = os.open(f"{directory}/large", os.O_CREAT | os.O_WRONLY)
        opened = time.perf_counter()
        for number in range(2000):
            os.write(fd, block)
        wrote = time.perf_counter()
        os.close(fd)
        print(400 / (created - began), 2000 / (wrote - opened), flush=True)
    """
)


class Application:
    """A process that works in one directory, a turn at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.creates = self.writes = 0.0

    def turn(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        creates, writes = map(float, self.process.stdout.readline().split())
        self.creates, self.writes = max(self.creates, creates), max(self.writes, writes)


@contextmanager
def application(root: Path) -> Iterator[Application]:
    command = [sys.executable, "-c", APPLICATION, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Application(process)


@contextmanager
def bindfs(beneath: Path, root: Path) -> Iterator[Path]:
    subprocess.run(["bindfs", beneath, root], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


async def measure(directory: Path) -> dict[str, Application]:
    places = {name: directory / name for name in ("native", "beneath", "bindfs", "filter")}
    for place in places.values():
        place.mkdir()
    reported = 0

    def report(_operation: AnyOperation) -> None:
        nonlocal reported
        reported += 1

    with ExitStack() as stack:
        stack.enter_context(bindfs(places["beneath"], places["bindfs"]))
        settings = FilterSettings(kind="fuse", roots=[str(places["filter"])])
        async with open_host(LinuxHostSettings(filter=settings)) as host:
            await host.file_filter.attach(str(places["filter"]), report)
            with ExitStack() as processes:
                working = {
                    name: processes.enter_context(application(places[name])) for name in ("native", "bindfs", "filter")
                }
                for _ in range(TURNS):
                    for each in working.values():
                        await asyncio.to_thread(each.turn)
            await host.file_filter.settled()
    assert reported >= TURNS * (2 * 400 + 2000), "every create and write is reported"
    return working


def test_application_on_the_filter_beside_bindfs(benchmark: Any, tmp_path: Path) -> None:
    """Near bindfs, while each change is reported; a filter in the daemon's own process had a fifth of its creates."""
    found: dict[str, Application] = {}
    benchmark.pedantic(lambda: found.update(asyncio.run(measure(tmp_path))), rounds=1)
    for name, each in found.items():
        benchmark.extra_info[name] = {"creates_per_s": round(each.creates), "writes_per_s": round(each.writes)}
    benchmark.extra_info["creates_by_bindfs"] = round(found["filter"].creates / found["bindfs"].creates, 2)
    benchmark.extra_info["writes_by_bindfs"] = round(found["filter"].writes / found["bindfs"].writes, 2)
    assert found["filter"].writes >= 0.4 * found["bindfs"].writes
    assert found["filter"].creates >= 0.4 * found["bindfs"].creates
