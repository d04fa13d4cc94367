"""A filter that reports changes some time after they took effect, and one that cannot report them all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication import test_mirror_under_load
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, same, until
from tests.product.replication.test_busy_application import Drawn, run
from tests.product.replication.test_mirror_under_load import play, visible

from bodydouble.replication.fence import FencedFileSystem
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Operation, Write, paths_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.operations import AnyOperation

SEEDS = range(100, 106)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every filter reports late, and nothing counts as settled before it has."""
    settled: Callable[[Site], bool] = test_mirror_under_load.settled
    monkeypatch.setattr(MemoryVolume, "lateness", 0.05)
    monkeypatch.setattr(
        test_mirror_under_load, "settled", lambda source: not source.volume.unreported and settled(source)
    )


class Inside(Drawn):
    """A busy application that stays inside of the set, and an operator who mirrors again and again."""

    def steps(self, volume: MemoryVolume) -> Any:
        for step in super().steps(volume):
            named = paths_of(step) if isinstance(step, Operation) else ()
            if not any(path.endswith(".tmp") or path.startswith("/out") for path in named):
                yield step
            if self.random.random() < 0.05:
                yield "mirror"


def states_that_never_were(seed: int) -> int:
    """How many states of the replica, looked at whenever its mirror is complete, the source was never in."""
    wrong: list[str] = []

    def check(source: Site, target: Site) -> Callable[[], None]:
        prefixes = [visible(source.volume)]

        def applied(operation: AnyOperation) -> None:
            replica = target.service.registry.find("WEB1", "web")
            complete = replica is not None and replica.record.complete and not replica.mirroring
            if complete and visible(target.volume) not in prefixes:
                wrong.append(operation.path)

        target.volume.on_applied = applied
        return lambda: prefixes.append(visible(source.volume))

    asyncio.run(play([], [], Inside(seed, 300), "checksum", check))
    return len(wrong)


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("seed", SEEDS)
def test_replica_converges_although_reports_are_late(seed: int) -> None:
    run(seed)


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("seed", SEEDS)
def test_replica_is_a_source_prefix_although_reports_are_late(seed: int) -> None:
    assert states_that_never_were(seed) == 0


@pytest.mark.parametrize("fenced", [True, False])
def test_what_a_mirror_read_is_newer_than_what_it_was_told_only_without_the_fence(
    fenced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application writes a, then b, when the mirror has passed a and is about to read b."""
    monkeypatch.setattr(MemoryVolume, "lateness", 3600.0)
    if not fenced:
        monkeypatch.setattr(FencedFileSystem, "read", lambda self, *which: self._files.read(*which))
        monkeypatch.setattr(FencedFileSystem, "stat", lambda self, path: self._files.stat(path))
        monkeypatch.setattr(FencedFileSystem, "list_directory", lambda self, path: self._files.list_directory(path))

    class Worked(MemoryVolume):
        async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
            if path == f"{ROOT}/b" and not self.unreported:
                self.do(Write(f"{ROOT}/a", 0, b"new", 7000))
                self.do(Write(f"{ROOT}/b", 0, b"new", 8000))
            return await super().read(path, offset, size, stream)

    async def scenario() -> tuple[bytes, ...]:
        source, target = Site("WEB1", Worked()), Site("WEB2")
        source.mkdir(ROOT)
        for name in ("a", "b"):
            source.put(f"{ROOT}/{name}", b"old")
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            return tuple(bytes(target.volume.nodes[f"{ROOT}/{name}"].data) for name in ("a", "b"))

    assert (asyncio.run(scenario()) == (b"old", b"new")) == (not fenced)


def test_lost_changes_end_in_an_event_and_a_mirror_that_finds_them() -> None:
    """Also one that shows in neither size nor time."""

    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        source.mkdir(ROOT)
        source.put(f"{ROOT}/index.htm", b"hello")
        async with running(source, target):
            await protect(source, target.service.port, mirror="difference")
            await mirrored(source, target)
            time = source.volume.nodes[f"{ROOT}/index.htm"].mtime
            source.volume.change(Write(f"{ROOT}/index.htm", 0, b"HELLO", time))
            source.volume.losers[-1]("planted")
            await until(lambda: same(source, target))
            await until(lambda: source.state() == "replicating")
            lost = [event.text for event in source.events.after(0) if event.code == EventCode.CHANGES_LOST]
            assert len(lost) == 1
            assert "planted; a remirror follows" in lost[0]
            source.put(f"{ROOT}/later", b"reported again")
            await until(lambda: same(source, target))

    asyncio.run(scenario())


def test_loss_after_the_stream_has_ended_says_nothing() -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        source.mkdir(ROOT)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.disconnect(1)
            source.volume.losers[-1]("planted")
            assert EventCode.CHANGES_LOST not in source.codes()

    asyncio.run(scenario())
