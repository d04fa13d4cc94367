"""Names that differ in case only, from a source that tells case: the target keeps one of them, and never a mix."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, WEB, Relay, Site, mirrored, protect, request, running, until
from tests.product.replication.test_mirror_under_load import attempt, operations, settled
from tests.product.replication.test_target_queue import ROOT as HERE
from tests.product.replication.test_target_queue import TargetMachine, cut_while_applying, modelled, picture, prepared

from bodydouble.replication import mirror, pairing
from bodydouble.replication.fitting import FittingFileSystem
from bodydouble.replication.rules import fold
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import RestoreRequest
from bodydouble.vocabulary.verification import Difference, VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.records import MirrorKind
    from bodydouble.vocabulary.verification import VerificationReport

NAMES = ["Readme", "readme", "README", "docs", "Docs", "x"]
PLACES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda parts: f"{ROOT}/" + "/".join(parts))
DRAWN = operations(PLACES).filter(lambda each: not isinstance(each, StreamOperation))
WHAT = "names that differ in case only"


def lacking(source: MemoryVolume, target: MemoryVolume) -> list[str]:
    """What the target lacks; whatever it has is the source's, by just this name.

    Raises:
        AssertionError: it has something else.
    """
    here, there = source.picture(ROOT), target.picture(ROOT)
    for path, found in there.items():
        assert path in here, f"{path} is not the source's"
        assert found[:5] == here[path][:5], path
        assert found[5] == tuple(name for name in here[path][5] if name in there and len(found[5]) > 1), path
    return [path for path in here if path not in there]


def is_beside(path: str, target: MemoryVolume) -> bool:
    """Whether a path, or a directory that it is in, is lacking for want of a place."""
    while path != ROOT:
        there = target.get(path)
        if there is not None and there.path != path:
            return True
        path = paths.parent(path)
    return False


def tree(*extra: AnyOperation) -> Callable[[MemoryVolume], None]:
    def plant(volume: MemoryVolume) -> None:
        volume.change(MakeDirectory(ROOT, Metadata()))
        for operation in extra:
            volume.change(operation)

    return plant


def file(name: str, data: bytes, at: int = 1000) -> list[AnyOperation]:
    path = f"{ROOT}/{name}"
    return [CreateFile(path, Metadata(), at), Write(path, 0, data, at)]


# --- operations as they come, in any batches --------------------------------------------------------------------------


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DRAWN, max_size=40), st.integers(1, 6))
@example([*file("Readme", b"one"), *file("readme", b"two"), RemoveFile(f"{ROOT}/Readme"),
          Write(f"{ROOT}/readme", 9, b"more", 2000)], 1)  # fmt: skip
@example([*file("x", b"new"), *file("Readme", b"one"), *file("readme", b"two"),
          Rename(f"{ROOT}/x", f"{ROOT}/readme")], 2)  # fmt: skip
@example([*file("Readme", b"one"), *file("readme", b"two"), Rename(f"{ROOT}/Readme", f"{ROOT}/readme")], 2)
@example([*file("Readme", b"one"), *file("readme", b"two"), Rename(f"{ROOT}/readme", f"{ROOT}/Readme")], 2)
@example([*file("Readme", b"one"), *file("readme", b"two"), RemoveFile(f"{ROOT}/Readme"),
          CreateFile(f"{ROOT}/readme", Metadata(), 3000)], 1)  # fmt: skip
@example([MakeDirectory(f"{ROOT}/x", Metadata()), *file("x/Readme", b"one"), *file("x/readme", b"two"),
          Rename(f"{ROOT}/x", f"{ROOT}/docs"), RemoveFile(f"{ROOT}/docs/Readme"),
          Write(f"{ROOT}/docs/readme", 9, b"more", 3000)], 1)  # fmt: skip
@example([*file("Readme", b"one"), MakeHardLink(f"{ROOT}/readme", f"{ROOT}/Readme"), RemoveFile(f"{ROOT}/Readme"),
          MakeHardLink(f"{ROOT}/x", f"{ROOT}/readme")], 2)  # fmt: skip
def test_after_any_operations_each_file_is_the_source_s_of_just_its_name(drawn: list[AnyOperation], size: int) -> None:
    asyncio.run(_batches(drawn, size, tells_case=True))


def test_a_target_that_takes_names_for_one_is_caught() -> None:
    """The planted defect of these tests: operations are handed on as they are."""
    drawn = [*file("Readme", b"one"), *file("readme", b"twofold", 2000)]
    with pytest.raises(AssertionError):
        asyncio.run(_batches(drawn, 6, tells_case=False))


async def _batches(drawn: list[AnyOperation], size: int, *, tells_case: bool) -> None:
    source, target = MemoryVolume(), MemoryVolume(case_sensitive=False)
    told: list[tuple[str, str]] = []
    done: list[AnyOperation] = []
    for volume in (source, target):
        tree()(volume)
    source.sinks.append((ROOT, done.append))
    for operation in drawn:
        attempt(source, operation, filtered=True)
    fitted = FittingFileSystem(
        target, [ROOT], fold, lambda *first: told.append(first), foreign=False, tells_case=tells_case
    )
    replayed = MemoryVolume()
    tree()(replayed)
    for at in range(0, len(done), size):
        await fitted.apply(done[at : at + size])
        for operation in done[at : at + size]:
            replayed.change(operation)
        missing = lacking(replayed, target)
        assert [what for what, _ in told] == [WHAT] * (1 if fitted.not_kept else 0)
        assert told or not missing


# --- a connection -----------------------------------------------------------------------------------------------------


def pair_of_machines(plant: Callable[[MemoryVolume], None], **fields: Any) -> tuple[Site, Site]:
    source, target = Site("A", **fields), Site("B", MemoryVolume(case_sensitive=False))
    plant(source.volume)
    target.volume.change(MakeDirectory(ROOT, Metadata()))
    return source, target


STEPS = st.lists(DRAWN | DRAWN | DRAWN | st.integers(1, 60) | st.sampled_from(["cut", "mirror"]), max_size=50)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(DRAWN, max_size=25),
    st.lists(DRAWN, max_size=15),
    STEPS,
    st.sampled_from(["full", "difference", "checksum"]),
)
def test_whatever_happens_during_mirrors_nothing_is_mixed_and_what_collides_no_more_is_taken_in(
    before: list[AnyOperation], stale: list[AnyOperation], steps: list[Any], kind: MirrorKind
) -> None:
    asyncio.run(_play(before, stale, steps, kind))


async def _play(before: list[AnyOperation], stale: list[AnyOperation], steps: list[Any], kind: MirrorKind) -> None:
    source, target = pair_of_machines(tree(), retry_interval=0.001, mirror_window_bytes=100_000)
    for operation in before:
        attempt(source.volume, operation, filtered=False)
    for operation in stale:
        attempt(target.volume, operation, filtered=False)
    async with running(source, target), Relay(lambda: target.service.port) as relay:
        await source.service.save_set(WEB)
        await source.service.connect(request(relay.port, mirror=kind, orphans="delete"))
        await _steps(source, relay, steps)
        await until(lambda: settled(source))
        missing = lacking(source.volume, target.volume)
        assert not missing or told(target)
        await _mirror(source)  # what was left out for something that is gone is taken in
        missing = lacking(source.volume, target.volume)
        assert all(is_beside(path, target.volume) for path in missing)
        resolve(source.volume)
        await until(lambda: settled(source))
        lacking(source.volume, target.volume)
        await _mirror(source)
        assert source.volume.picture(ROOT) == target.volume.picture(ROOT)


async def _steps(source: Site, relay: Relay, steps: list[Any]) -> None:
    for step in steps:
        if isinstance(step, int):
            for _ in range(step):
                await asyncio.sleep(0)
        elif step == "cut":
            relay.cut()
        elif step == "mirror":
            if source.service.connection(1).state == "replicating":
                source.service.connection(1).start_mirror()
        else:
            attempt(source.volume, step, filtered=True)


async def _mirror(source: Site) -> None:
    await source.service.start_mirror(1)
    await until(lambda: settled(source))


def resolve(volume: MemoryVolume) -> None:
    """Give each name that differs from an earlier one in case only another name."""
    seen: set[str] = set()
    for number in range(100):
        pairs = sorted(node.path for node in volume.inside(ROOT))
        seen.clear()
        other = next((path for path in pairs if fold(path) in seen or seen.add(fold(path))), None)  # type: ignore[func-returns-value]
        if other is None:
            return
        volume.do(Rename(other, f"{paths.parent(other)}/apart {number}"))


def told(site: Site) -> list[str]:
    return [event.text for event in site.events.after(0) if event.code == EventCode.NOT_KEPT]


PAIR = tree(*file("Readme", b"one"), *file("readme", b"twofold", 2000), MakeDirectory(f"{ROOT}/docs", Metadata()),
            MakeDirectory(f"{ROOT}/Docs", Metadata()), *file("docs/x", b"small letters"))  # fmt: skip
LACKING = [f"{ROOT}/docs", f"{ROOT}/docs/x", f"{ROOT}/readme"]


def connected(case: Callable[[Site, Site], Any], plant: Callable[[MemoryVolume], None] = PAIR) -> None:
    async def scenario() -> None:
        source, target = pair_of_machines(plant)
        async with running(source, target):
            await protect(source, target.service.port, orphans="delete")
            await until(lambda: settled(source))
            await case(source, target)

    asyncio.run(scenario())


def test_what_is_left_out_is_told_once_a_stream_and_counted() -> None:
    async def case(source: Site, target: Site) -> None:
        assert lacking(source.volume, target.volume) == LACKING
        source.put(f"{ROOT}/README", b"three")
        await until(lambda: settled(source))
        assert told(target) == [f"A: web: {WHAT} are not kept here, first of {ROOT}/readme"]
        assert target.service.target_connections()[0].not_kept[WHAT] >= 4
        assert EventCode.REPLICATION_ERROR not in target.codes() + source.codes()

    connected(case)


def test_verification_finds_it_missing_and_says_why() -> None:
    async def case(source: Site, _target: Site) -> None:
        report = await _verified(source)
        details = await source.service.verifier.details(report.number)
        assert details.differences == [
            Difference(f"{ROOT}/docs", "missing", "there is Docs, and case tells no names apart"),
            Difference(f"{ROOT}/readme", "missing", "there is Readme, and case tells no names apart"),
            Difference(f"{ROOT}/docs/x", "missing", ""),
        ]

    connected(case)


async def _verified(source: Site) -> VerificationReport:
    number = source.service.verify(1, VerificationOptions(checksum=True)).number
    await until(lambda: source.service.verifier.reports()[-1].state == "complete")
    await until(lambda: not source.service.verifier._running)
    return next(each for each in source.service.verifier.reports() if each.number == number)


def test_a_repair_of_it_leaves_everything_as_it_is() -> None:
    async def case(source: Site, target: Site) -> None:
        kept = target.volume.picture(ROOT)
        source.service.verify(1, VerificationOptions(repair=True))
        await until(lambda: source.service.verifier.reports()[-1].state not in ("running", "repairing"))
        await until(lambda: settled(source))
        assert target.volume.picture(ROOT) == kept

    connected(case)


def test_what_goes_while_a_mirror_compares_makes_room() -> None:
    """Planted by a mirror that trusts what it was told: then it takes the place for taken."""

    def compare(source: Site, pairs: Any) -> Any:
        def comparing(*args: Any) -> Any:
            found = pairs(*args)
            if source.volume.get(f"{ROOT}/Readme") is not None:
                source.volume.do(RemoveFile(f"{ROOT}/Readme"))
            return found

        return comparing

    async def case(source: Site, target: Site) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(mirror, "pair", compare(source, pairing.pair))
            await _mirror(source)
        assert lacking(source.volume, target.volume) == [f"{ROOT}/docs", f"{ROOT}/docs/x"]

    connected(case)


def test_what_leaves_the_set_takes_nothing_along_that_is_spelled_like_it() -> None:
    async def case(source: Site, target: Site) -> None:
        source.mkdir("/out")
        for name in ("readme", "docs"):
            source.volume.do(Rename(f"{ROOT}/{name}", f"/out/{name}"))
        await until(lambda: settled(source))
        assert source.volume.picture(ROOT) == target.volume.picture(ROOT)

    connected(case)


def test_a_name_is_free_again_when_the_source_s_own_is_gone() -> None:
    async def case(source: Site, target: Site) -> None:
        for name in ("readme", "Readme"):
            source.volume.do(RemoveFile(f"{ROOT}/{name}"))
        source.put(f"{ROOT}/readme", b"a new one")
        await until(lambda: settled(source))
        assert lacking(source.volume, target.volume) == [f"{ROOT}/docs", f"{ROOT}/docs/x"]

    connected(case)


def test_an_orphan_that_a_mirror_removed_is_in_nobody_s_way() -> None:
    async def case(source: Site, target: Site) -> None:
        target.put(f"{ROOT}/orphan", b"only the target has it")
        await _mirror(source)
        source.put(f"{ROOT}/Orphan", b"new")
        await until(lambda: settled(source))
        assert lacking(source.volume, target.volume) == LACKING

    connected(case)


def test_a_further_mirror_changes_nothing_and_sends_none_of_it() -> None:
    async def case(source: Site, target: Site) -> None:
        before = len(target.volume.applied)
        await _mirror(source)
        assert target.volume.applied[before:] == []

    connected(case)


def test_a_change_of_case_alone_is_one_here_too() -> None:
    async def case(source: Site, target: Site) -> None:
        for operation in (
            Rename(f"{ROOT}/Readme", f"{ROOT}/READme"),
            Write(f"{ROOT}/READme", 0, b"ONE", 3000),
            Rename(f"{ROOT}/Docs", f"{ROOT}/DOCS"),
        ):
            source.volume.do(operation)
        await until(lambda: settled(source))
        assert lacking(source.volume, target.volume) == LACKING
        assert f"{ROOT}/READme" in target.volume.picture(ROOT)

    connected(case)


def test_operations_on_what_is_left_out_change_nothing_of_what_is_there() -> None:
    async def case(source: Site, target: Site) -> None:
        path = f"{ROOT}/readme"
        kept = target.volume.picture(ROOT)
        for operation in (
            Write(path, 2, b"zero", 5000),
            Truncate(path, 1, 5000),
            SetMetadata(path, Metadata(3)),
            SetTimes(path, 6000),
            MakeHardLink(f"{ROOT}/docs/y", path),
            Rename(f"{ROOT}/docs/x", f"{ROOT}/docs/z"),
            Rename(path, f"{ROOT}/docs/x"),
            MakeSymbolicLink(f"{ROOT}/readME", "x", Metadata(), 1),
            RemoveFile(f"{ROOT}/readME"),
        ):
            source.volume.do(operation)
        await until(lambda: settled(source))
        assert target.volume.picture(ROOT) == kept

    connected(case)


def test_what_has_a_place_again_comes_with_the_next_mirror_and_not_by_halves() -> None:
    async def case(source: Site, target: Site) -> None:
        source.volume.do(RemoveFile(f"{ROOT}/Readme"))
        source.volume.do(Write(f"{ROOT}/readme", 0, b"TWO", 4000))
        await until(lambda: settled(source))
        assert target.volume.get(f"{ROOT}/readme") is None
        assert source.state() == "replicating"
        await _mirror(source)
        assert lacking(source.volume, target.volume) == [f"{ROOT}/docs", f"{ROOT}/docs/x"]

    connected(case)


def test_a_target_that_was_started_again_goes_on_leaving_it_out() -> None:
    async def scenario() -> None:
        source, target = pair_of_machines(PAIR)
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await until(lambda: settled(source))
            await target.stop()
            source.volume.do(RemoveFile(f"{ROOT}/Readme"))
            source.volume.do(Write(f"{ROOT}/readme", 0, b"TWO", 4000))
            await target.start()
            await until(lambda: settled(source))
            assert lacking(source.volume, target.volume) == LACKING
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    asyncio.run(scenario())


def test_a_restoration_leaves_what_the_stand_in_had_no_place_for() -> None:
    async def case(source: Site, target: Site) -> None:
        await source.stop()
        await target.service.standing_in.stand_in("A")
        target.put(f"{ROOT}/Readme", b"written at the stand-in")
        await source.start()
        order = RestoreRequest(
            original_source="A", replication_set="web", restore_to="127.0.0.1", port=source.service.port,
            orphans="delete",
        )  # fmt: skip
        await target.restoration.restore(order)
        await until(lambda: target.restoration.restorations()[0].state == "complete")
        assert lacking(source.volume, target.volume) == LACKING
        assert bytes(source.volume.nodes[f"{ROOT}/readme"].data) == b"twofold"

    connected(case)


def test_where_both_tell_case_both_names_are_kept() -> None:
    async def scenario() -> None:
        source, target = Site("A"), Site("B")
        PAIR(source.volume)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            assert told(target) == []

    asyncio.run(scenario())


# --- power cuts of the target -----------------------------------------------------------------------------------------

FILES = [f"{HERE}/{name}" for name in ("a", "A", "d/a", "d/A", "D/a", "D", "b")]
DIRECTORIES = [f"{HERE}/d", f"{HERE}/D"]
CUT = st.one_of(
    st.builds(CreateFile, st.sampled_from(FILES), st.just(Metadata()), st.just(1_000_000_000)),
    st.builds(Write, st.sampled_from(FILES), st.sampled_from([0, 4096]), st.sampled_from([b"x", b"y" * 5000]),
              st.just(2_000_000_000)),
    st.builds(Rename, st.sampled_from(FILES + DIRECTORIES), st.sampled_from(FILES + DIRECTORIES)),
    st.builds(RemoveFile, st.sampled_from(FILES)),
    st.builds(MakeDirectory, st.sampled_from(DIRECTORIES), st.just(Metadata())),
    st.builds(RemoveDirectory, st.sampled_from(DIRECTORIES)),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(CUT, min_size=3, max_size=14), st.integers(0, 1 << 20), st.integers(1, 12))
@example([CreateFile(FILES[0], Metadata(), 1), CreateFile(FILES[1], Metadata(), 1), Rename(FILES[0], FILES[1])], 1, 1)
def test_power_cuts_while_applying_mix_nothing(drawn: list[AnyOperation], seed: int, second: int) -> None:
    asyncio.run(_cut(drawn, seed, second))


async def _cut(drawn: list[AnyOperation], seed: int, second: int) -> None:
    made, model = modelled(drawn, tells_case=True)
    cut_at = 0
    while made:
        cut_at += 1
        machine = await prepared("ntfs 5", seed, [], made, tells_case=True)
        if not await cut_while_applying(machine, cut_at):
            return
        machine = TargetMachine(machine.volume, tells_case=True)
        await machine.applier.load()
        if await cut_while_applying(machine, second):
            machine = TargetMachine(machine.volume, tells_case=True)
            await machine.applier.load()
            await machine.apply()
        assert machine.queue.applied == len(made)
        for path, (directory, data, *_rest) in picture(machine.volume).items():
            node = model.get(path)
            assert node is not None, path
            assert (node.directory, bytes(node.data)) == (directory, data), path
