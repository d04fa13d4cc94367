"""A source's daemon that crashes while an application writes: nobody notices, and the replica ends equal."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.e2e.linux.test_same_tree import PATIENCE, Elsewhere, differences, equal, plant, service

from bodydouble.adapters.fuse import mounts
from bodydouble.adapters.fuse.filter import FuseFilter
from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from bodydouble.replication.service import ReplicationService

pytestmark = [pytest.mark.root, pytest.mark.fuse, pytest.mark.program("rsync")]


LEFT: list[subprocess.Popen[bytes] | None] = []
PACE = 0.01
"""Seconds between two rounds of the application: what the mirror is to keep up with on a busy machine."""


class Writer:
    """An application that never stops to write, append, replace and remove."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.failures: list[OSError] = []
        self.rounds = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(PACE) and not self.failures:
            try:
                self._round(self.rounds)
            except OSError as error:
                self.failures.append(error)
            self.rounds += 1

    def _round(self, number: int) -> None:
        new, current = self._root / f"new{number % 7}", self._root / f"current{number % 5}"
        new.write_bytes(b"%d" % number * 300)
        with (self._root / "log").open("ab") as file:
            file.write(b"%d\n" % number)
        new.rename(current)
        if number % 11 == 0:
            current.unlink()


@asynccontextmanager
async def source_daemon(directory: Path, *, crashes: bool = False) -> AsyncIterator[ReplicationService]:
    root, state = directory / "source", directory / "state1"
    async with AsyncExitStack() as stack:
        settings = LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[str(root)]))
        host = await stack.enter_async_context(open_host(settings))
        async with service(host, state, "source") as made:
            yield made
            note = (state / "run.json").read_bytes()
        if crashes:
            (state / "run.json").write_bytes(note)  # without the mark of a clean stop
            assert isinstance(host.file_filter, FuseFilter)
            LEFT.append(abandon(host.file_filter))


def abandon(file_filter: FuseFilter) -> subprocess.Popen[bytes] | None:
    """As when the process is killed: nothing is unmounted, and nobody says anything to the program.

    Returns:
        The program, which is this process's child all the same and to be waited for in the end.
    """
    program, reader, ring = file_filter._program, file_filter._reader, file_filter._ring
    assert program is not None
    assert reader is not None
    assert ring is not None
    asyncio.get_running_loop().remove_reader(program.line)
    file_filter._backing.on_change = None
    file_filter._program = file_filter._reader = file_filter._ring = None
    reader.stop()
    ring.close()
    program.close()
    return program.child


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - conditions of other machines
            await asyncio.sleep(0.02)


def test_rsync_finds_nothing_after_the_sources_daemon_crashed_while_an_application_wrote(tmp_path: Path) -> None:
    root, copy = tmp_path / "source", tmp_path / "copy"
    plant(root)
    copy.mkdir()
    writer = Writer(root)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            plain = await stack.enter_async_context(open_host(LinuxHostSettings()))
            moved = Elsewhere(plain.file_system, str(root), str(copy))  # type: ignore[arg-type]
            target = dataclasses.replace(plain, file_system=moved)
            there = await stack.enter_async_context(service(target, tmp_path / "state2", "target"))
            async with source_daemon(tmp_path, crashes=True) as here:
                await here.save_set(ReplicationSet(name="all", rules=[Rule(path=str(root))]))
                request = ConnectRequest(replication_set="all", target="127.0.0.1", port=there.port, orphans="delete")
                await here.connect(request)
                writer.start()
                await until(lambda: here.connections()[0].state == "replicating")
                name = mounts.served_by(str(root))
            seen = writer.rounds
            await until(lambda: writer.rounds > seen + 20 or bool(writer.failures))
            async with source_daemon(tmp_path) as here:
                assert mounts.served_by(str(root)) == name
                await until(lambda: here.connections()[0].state == "replicating")
                await asyncio.to_thread(writer.stop)
                await here.context.host.file_filter.settled()
                await until(lambda: equal(here))
                codes = [event.code for event in here.context.events.after(0)]
                assert EventCode.RESUMED in codes
                assert EventCode.MIRROR_STARTED not in codes

    try:
        asyncio.run(run())
    finally:
        writer.stop()
        for child in LEFT:
            assert child is not None
            child.wait()
        LEFT.clear()
    assert writer.failures == []
    assert differences(tmp_path) == ""
