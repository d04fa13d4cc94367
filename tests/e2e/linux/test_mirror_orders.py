"""Real directories: a mirror that was paused, stopped and begun again leaves rsync nothing to do; orphans are moved."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.linux.test_same_tree import Elsewhere, confuse, differences, equal, plant, service, work

from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host
from bodydouble.errors import ConnectionStateError
from bodydouble.vocabulary.mirror import MirrorOrder
from bodydouble.vocabulary.orphans import OrphanRequest
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble.replication.service import ReplicationService
    from bodydouble.vocabulary.mirror import MirrorWord

    Operator = Callable[[ReplicationService], Awaitable[None]]

pytestmark = [pytest.mark.root, pytest.mark.fuse, pytest.mark.program("rsync")]

PATIENCE = 60.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a condition of another machine
            await asyncio.sleep(0.005)


async def order(here: ReplicationService, word: MirrorWord) -> None:
    """As soon as the order fits."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ConnectionStateError):
                await here.orders.order_mirror(1, word)
                return
            await asyncio.sleep(0)


def protect(directory: Path, operator: Operator, **fields: Any) -> None:
    """Connect ``source`` to a target that keeps it in ``copy``, and let the operator do his work."""
    root, copy = directory / "source", directory / "copy"

    async def run() -> None:
        async with AsyncExitStack() as stack:
            filtered = LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[str(root)]))
            source = await stack.enter_async_context(open_host(filtered))
            plain = await stack.enter_async_context(open_host(LinuxHostSettings()))
            moved = Elsewhere(plain.file_system, str(root), str(copy))  # type: ignore[arg-type]
            target = dataclasses.replace(plain, file_system=moved)
            orphans = str(directory / "orphans")
            there = await stack.enter_async_context(service(target, directory / "state2", "target", orphans))
            here = await stack.enter_async_context(service(source, directory / "state1", "source"))
            await here.save_set(ReplicationSet(name="all", rules=[Rule(path=str(root))]))
            await here.connect(ConnectRequest(replication_set="all", target="127.0.0.1", port=there.port, **fields))
            async with asyncio.timeout(PATIENCE):
                await operator(here)

    asyncio.run(run())


def overwrite(path: Path) -> None:
    """The first byte; in a thread, because the loop serves the mount."""
    with path.open("r+") as file:
        file.write("W")


def moved_names(directory: Path) -> set[str]:
    return {path.name for path in (directory / "orphans").rglob("*") if path.is_symlink() or path.is_file()}


def test_paused_stopped_and_repeated_mirror_ends_in_the_same_tree(tmp_path: Path) -> None:
    plant(tmp_path / "source")
    confuse(tmp_path / "copy")

    async def operate(here: ReplicationService) -> None:
        await order(here, "pause")
        await asyncio.to_thread(work, tmp_path / "source")
        assert here.connections()[0].mirror_state == "paused"
        await here.orders.order_mirror(1, "resume")
        await order(here, "stop")
        assert here.connections()[0].state == "mirror-incomplete"
        await asyncio.to_thread((tmp_path / "source/last").write_text, "after the stop")
        await here.start_mirror(1, MirrorOrder(kind="difference"))
        await until(lambda: equal(here))

    protect(tmp_path, operate, orphans="move", calculate=True)
    assert differences(tmp_path) == ""
    assert {"orphan", "orphan 2"} <= moved_names(tmp_path)


def test_newer_files_of_the_target_stay_until_they_are_written_on_the_source(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    for root in (source, copy):
        root.mkdir()
        for name in ("stays", "written"):
            (root / name).write_text(f"{name} in {root.name}")
    for name in ("stays", "written"):
        os.utime(source / name, ns=(1, 1_000_000_000))

    async def operate(here: ReplicationService) -> None:
        await until(lambda: equal(here))
        assert here.connections()[0].newer_on_target == 2
        await asyncio.to_thread(overwrite, source / "written")
        await until(lambda: equal(here) and here.connections()[0].newer_on_target == 1)

    protect(tmp_path, operate, newer_only=True)
    assert (copy / "stays").read_text() == "stays in copy"
    assert (copy / "written").read_text() == "Written in source"


def test_orphans_are_listed_moved_and_deleted_by_age_without_a_mirror(tmp_path: Path) -> None:
    plant(tmp_path / "source")
    (tmp_path / "copy/old/deep").mkdir(parents=True)
    for name in ("old/deep/aged", "old/fresh"):
        (tmp_path / "copy" / name).write_text(name)
    os.utime(tmp_path / "copy/old/deep/aged", (1, 1))

    async def search(here: ReplicationService, action: Any, age: float) -> list[str]:
        here.orders.find_orphans(1, OrphanRequest(action, age))
        await until(lambda: (report := here.orphans.report(1)) is not None and report.state == "complete")
        report = here.orphans.report(1)
        assert report is not None
        return [orphan.path.rpartition("/")[2] for orphan in report.orphans if not orphan.young]

    async def operate(here: ReplicationService) -> None:
        await until(lambda: equal(here))
        assert await search(here, "log", 0.0) == ["aged", "deep", "fresh", "old"]
        assert await search(here, "move", 3600.0) == ["aged", "deep"]
        await until(lambda: moved_names(tmp_path) == {"aged"})
        assert (tmp_path / "copy/old/fresh").exists()
        assert await search(here, "delete", 0.0) == ["fresh", "old"]
        while await asyncio.to_thread(differences, tmp_path):  # noqa: ASYNC110 - their times follow
            await asyncio.sleep(0.1)

    protect(tmp_path, operate)
    assert not (tmp_path / "copy/old").exists()
