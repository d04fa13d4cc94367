"""A source's daemon that ends while an application writes on: the next one goes on where the target is."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.linux.test_daemon_crash import Writer
from tests.e2e.linux.test_same_tree import PATIENCE, RING, Elsewhere, differences, plant, service

from bodydouble.adapters.fuse import mounts
from bodydouble.adapters.linux import LinuxHostSettings, open_host
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = [pytest.mark.root, pytest.mark.fuse, pytest.mark.program("rsync")]

REPOSITORY = Path(__file__).parents[3]


class Daemon:
    """The source's, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[str] = []

    async def until(self, code: EventCode) -> str:
        """Wait for an event, and return what it says."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stdout.readline()).decode():
                self.told.append(line)
                if line.startswith(f"{code} "):
                    return line
        raise AssertionError(f"it ended before it said {code!r}: {self.told}")

    async def end(self, how: str) -> None:
        self.process.kill() if how == "kill" else self.process.terminate()
        await self.process.wait()

    def said(self, code: EventCode) -> bool:
        return any(line.startswith(f"{code} ") for line in self.told)


@asynccontextmanager
async def daemon(directory: Path, port: int, *options: str) -> AsyncIterator[Daemon]:
    command = (sys.executable, "-m", "tests.e2e.linux.source_process", str(directory), str(port), *options)
    process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        yield Daemon(process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


@asynccontextmanager
async def target(directory: Path) -> AsyncIterator[int]:
    root, copy = directory / "source", directory / "copy"
    copy.mkdir()
    async with open_host(LinuxHostSettings()) as plain:
        moved = Elsewhere(plain.file_system, str(root), str(copy))  # type: ignore[arg-type]
        host = dataclasses.replace(plain, file_system=moved)
        async with service(host, directory / "state2", "target") as there:
            yield there.port


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    plant(tmp_path / "source")
    yield tmp_path
    while mounts.topmost(str(tmp_path / "source")) is not None:
        subprocess.run(["umount", "--lazy", str(tmp_path / "source")], check=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - conditions of other processes
            await asyncio.sleep(0.02)


async def ended_and_started_again(directory: Path, how: str) -> Daemon:
    """The daemon ends, and there is another one, while an application never stops; both sides are equal in the end."""
    options = ("stay",) if how == "stop" else ()
    writer = Writer(directory / "source")
    try:
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(target(directory))
            async with daemon(directory, port, *options) as first:
                await first.until(EventCode.MIRROR_COMPLETE)
                writer.start()
                await until(lambda: writer.rounds > 30)
                await first.end(how)
                seen = writer.rounds
                await until(lambda: writer.rounds > seen + 30)
            async with daemon(directory, port, *options) as second:
                await second.until(EventCode.RESUMED)
                seen = writer.rounds
                await until(lambda: writer.rounds > seen + 10)
                await asyncio.to_thread(writer.stop)
                await until(lambda: differences(directory) == "")
            await asyncio.sleep(0)
    finally:
        writer.stop()
    assert writer.failures == []
    return second


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_rsync_finds_nothing_and_no_mirror_ran_after_the_sources_daemon_ended_and_was_started_again(
    directory: Path, how: str
) -> None:
    second = asyncio.run(ended_and_started_again(directory, how))
    assert "the filter had kept" in second.told[-1]
    assert not second.said(EventCode.MIRROR_STARTED)
    assert not second.said(EventCode.NOT_RESUMED)


@pytest.mark.parametrize("reason", ["too much", "gone"])
def test_what_the_filter_has_not_kept_is_mirrored_with_the_reason(directory: Path, reason: str) -> None:
    async def run() -> str:
        async with target(directory) as port:
            async with daemon(directory, port) as first:
                await first.until(EventCode.MIRROR_COMPLETE)
                await first.end("kill" if reason == "too much" else "stop")
            (directory / "source" / "late").write_bytes(bytes(3 * RING if reason == "too much" else 3))
            async with daemon(directory, port) as second:
                why = await second.until(EventCode.NOT_RESUMED)
                await second.until(EventCode.MIRROR_COMPLETE)
                assert not second.said(EventCode.RESUMED)
                await until(lambda: differences(directory) == "")
            return why

    why = asyncio.run(run())
    assert ("faster than they could be recorded" if reason == "too much" else "it began anew") in why
