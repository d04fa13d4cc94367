"""Orphans: what the target has beneath the mapped roots and the source has not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, request, running, same, until

from bodydouble.errors import ConnectionStateError, InputError, ProtocolError
from bodydouble.replication.protocol import Item, ListedEntry, Orphans
from bodydouble.replication.questions import Questions
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.mirror import MirrorOrder
from bodydouble.vocabulary.operations import (
    CreateFile,
    Entry,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    Operation,
    RemoveDirectory,
    RemoveFile,
    Rename,
)
from bodydouble.vocabulary.orphans import OrphanReport, OrphanRequest
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine

BESIDE = "/orphans"
NOW = datetime(2002, 12, 2, 9, tzinfo=UTC)
OLD, YOUNG = (int((NOW.timestamp() - age) * 1e9) for age in (90_000, 600))
DAY = 86_400.0


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded() -> Site:
    site = Site("WEB1")
    site.mkdir(ROOT)
    site.mkdir(f"{ROOT}/images")
    site.put(f"{ROOT}/index.htm", b"hello")
    site.put(f"{ROOT}/images/a", b"a")
    return site


def with_orphans(**settings: Any) -> Site:
    """A target with files of its own: in a directory that both have, and in one that only it has."""
    site = Site("WEB2", **settings)
    for path in (ROOT, f"{ROOT}/images", f"{ROOT}/old", f"{ROOT}/old/deep", "/outside"):
        site.mkdir(path)
    for path, time in (("images/b", OLD), ("old/deep/c", OLD), ("old/young", YOUNG), ("last", OLD)):
        site.volume.change(CreateFile(f"{ROOT}/{path}", Metadata(), time))
    site.put("/outside/own", b"not in the set")
    return site


def beneath(site: Site, root: str) -> list[str]:
    """Files beneath a directory, by their names from there on."""
    return sorted(node.path[len(root) + 1 :] for node in site.volume.inside(root) if not node.directory)


ORPHANED = ["images/b", "last", "old/deep/c", "old/young"]


def report_of(source: Site) -> OrphanReport:
    report = source.service.orphans.report(1)
    assert report is not None
    return report


async def search(source: Site, action: Any, min_age: float = 0.0) -> OrphanReport:
    source.service.orders.find_orphans(1, OrphanRequest(action, min_age))
    await until(lambda: report_of(source).state != "running")
    status = source.service.connections()[0]
    await until(lambda: source.service.connections()[0].applied >= status.generated)
    return report_of(source)


# --- with a mirror ---


def test_mirror_moves_orphans_under_a_date_and_their_own_paths() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans(orphan_directory=BESIDE)
        async with running(source, target):
            await protect(source, target.service.port, orphans="move")
            await mirrored(source, target)
            assert beneath(target, f"{BESIDE}/2002-12-02/web") == ORPHANED
            assert f"{ROOT}/old" not in target.volume.nodes
            assert target.volume.nodes["/outside/own"].data == b"not in the set"
            report = report_of(source)
            assert (report.during, report.state, report.action) == ("mirror", "complete", "move")
            assert (report.totals.files, report.totals.directories, report.totals.young) == (4, 2, 0)
            assert EventCode.ORPHANS_FOUND in source.codes()

    run(scenario())


@pytest.mark.parametrize("action", ["delete", "move", "log"])
def test_younger_orphans_stay_with_the_directories_that_they_are_in(action: Any) -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans(orphan_directory=BESIDE)
        async with running(source, target):
            await protect(source, target.service.port, orphans=action, orphan_age=DAY)
            await until(lambda: source.state() == "replicating")
            left = ["old/young"] if action != "log" else ORPHANED
            assert [path for path in beneath(target, ROOT) if path in ORPHANED] == left
            assert (f"{ROOT}/old/deep" in target.volume.nodes) == (action == "log")
            found = {orphan.path: orphan.young for orphan in report_of(source).orphans}
            assert found[f"{ROOT}/old/young"]
            assert not found[f"{ROOT}/old/deep/c"]
            assert report_of(source).totals.young == 1

    run(scenario())


def test_orphans_are_kept_where_the_target_has_no_directory_for_them() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        async with running(source, target):
            await protect(source, target.service.port, orphans="move")
            await until(lambda: source.state() == "replicating")
            assert set(ORPHANED) < set(beneath(target, ROOT))
            assert EventCode.ORPHAN_STAYS in source.codes()
            assert report_of(source).action == "log"
            with pytest.raises(ConnectionStateError, match="orphan_directory"):
                source.service.orders.find_orphans(1, OrphanRequest("move"))

    run(scenario())


def test_what_the_rules_leave_out_is_no_orphan_and_keeps_its_directory() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        rules = [
            Rule(path=ROOT), Rule(path=f"{ROOT}/old/deep", include=False),
            Rule(path=f"{ROOT}/*.own", include=False),
        ]  # fmt: skip
        target.put(f"{ROOT}/a.own", b"x")
        async with running(source, target):
            await source.service.save_set(ReplicationSet(name="web", rules=rules))
            await source.service.connect(request(target.service.port, orphans="delete"))
            await until(lambda: source.state() == "replicating")
            left = [path for path in beneath(target, ROOT) if path not in beneath(source, ROOT)]
            assert left == ["a.own", "old/deep/c"]
            files = {orphan.path for orphan in report_of(source).orphans if orphan.kind == "file"}
            assert files == {f"{ROOT}/images/b", f"{ROOT}/last", f"{ROOT}/old/young"}

    run(scenario())


def test_directory_in_whose_place_the_source_has_a_file_is_moved_away_first() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans(orphan_directory=BESIDE)
        source.put(f"{ROOT}/old", b"a file here")
        async with running(source, target):
            await protect(source, target.service.port, orphans="move", orphan_age=DAY)
            await mirrored(source, target)
            assert "old/young" in beneath(target, f"{BESIDE}/2002-12-02/web")

    run(scenario())


def test_orphan_that_is_there_twice_gets_a_number_and_one_that_cannot_be_renamed_is_copied() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans(orphan_directory=BESIDE)
        target.mkdir(BESIDE)
        for path in ("", "/2002-12-02", "/2002-12-02/web"):
            target.volume.change(MakeDirectory(BESIDE + path, Metadata()))
        target.volume.change(CreateFile(f"{BESIDE}/2002-12-02/web/last", Metadata(), 5))
        target.put(f"{ROOT}/long", b"x" * 150_000)
        target.volume.change(MakeSymbolicLink(f"{ROOT}/link", "/etc", Metadata(), OLD))
        across = lambda op: "io" if isinstance(op, Rename) and op.new_path.startswith(BESIDE) else None  # noqa: E731
        target.volume.fail = across
        async with running(source, target):
            await protect(source, target.service.port, orphans="move")
            await until(lambda: source.state() == "replicating")
            moved = beneath(target, f"{BESIDE}/2002-12-02/web")
            assert moved == sorted([*ORPHANED, "last.1", "long"])
            assert target.volume.nodes[f"{BESIDE}/2002-12-02/web/long"].data == b"x" * 150_000
            assert f"{ROOT}/long" not in target.volume.nodes
            assert f"{ROOT}/link" in target.volume.nodes  # what is no file is not copied
            stays = [e.text for e in target.events.after(0) if e.code == EventCode.ORPHAN_STAYS]
            assert [f"{ROOT}/link stays" in text for text in stays] == [True]

    run(scenario())


def test_orphan_that_cannot_be_removed_stays_with_an_event_and_holds_nothing_up() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        target.volume.fail = lambda op: "denied" if isinstance(op, RemoveFile) and op.path.endswith("/c") else None
        async with running(source, target):
            await protect(source, target.service.port, orphans="delete")
            await until(lambda: source.state() == "replicating")
            assert [path for path in beneath(target, ROOT) if path in ORPHANED] == ["old/deep/c"]
            assert EventCode.ORPHAN_STAYS in target.codes()
            source.put(f"{ROOT}/later", b"x")
            await until(lambda: f"{ROOT}/later" in target.volume.nodes)

    run(scenario())


def test_orphans_are_only_sought_beneath_the_mapped_roots() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2", orphan_directory=BESIDE)
        for path in ("/copies", "/copies/web"):
            target.mkdir(path)
        for path in ("/copies/beside", "/copies/web/orphan"):
            target.put(path, b"x")
        async with running(source, target):
            mapping = [PathMapping(ROOT, "/copies/web")]
            await protect(source, target.service.port, orphans="move", mapping=mapping)
            await until(lambda: source.state() == "replicating")
            assert beneath(target, f"{BESIDE}/2002-12-02") == ["copies/web/orphan"]
            assert "/copies/beside" in target.volume.nodes
            assert [orphan.path for orphan in report_of(source).orphans] == [f"{ROOT}/orphan"]

    run(scenario())


# --- under changes ---


async def orphan_directory_is_made_on_the_source(monkeypatch: pytest.MonkeyPatch, action: Any) -> None:
    """Just after the mirror listed the root, an application makes a directory that holds orphans on the target."""
    original = MemoryVolume.list_directory

    async def list_directory(self: MemoryVolume, path: str) -> list[Entry]:
        listing = await original(self, path)
        if self.sinks and path == ROOT and not self.get(f"{ROOT}/old"):
            self.do(MakeDirectory(f"{ROOT}/old", Metadata()))
        return listing

    monkeypatch.setattr(MemoryVolume, "list_directory", list_directory)
    source, target = seeded(), with_orphans(orphan_directory=BESIDE)
    async with running(source, target):
        await protect(source, target.service.port, orphans=action)
        await mirrored(source, target)


@pytest.mark.parametrize("action", ["delete", "move"])
def test_directory_that_is_made_meanwhile_stays_and_what_is_in_it_on_the_target_goes(
    monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    run(orphan_directory_is_made_on_the_source(monkeypatch, action))


# --- by themselves ---


def test_search_lists_and_changes_nothing() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            assert source.service.orphans.report(1) is None
            target.volume.applied.clear()
            report = await search(source, "log", DAY)
            assert [(orphan.path[len(ROOT) + 1 :], orphan.young) for orphan in report.orphans] == [
                ("last", False),
                ("old/deep/c", False),
                ("old/deep", False),
                ("old/young", True),
                ("images/b", False),
            ]
            assert (report.totals.files, report.totals.directories, report.totals.young) == (4, 1, 1)
            assert not [op for op in target.volume.applied if isinstance(op, Operation)]

    run(scenario())


@pytest.mark.parametrize("action", ["delete", "move"])
def test_search_clears_a_complete_replica_which_stays_complete(action: Any) -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans(orphan_directory=BESIDE)
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            await search(source, action)
            assert same(source, target)
            assert target.service.target_connections()[0].state == "ok"
            assert bool(target.volume.get(BESIDE)) == (action == "move")
            again = await search(source, action)
            assert again.totals.files == 0
            assert source.codes().count(EventCode.ORPHANS_FOUND) == 1

    run(scenario())


def test_root_that_is_missing_on_the_source_makes_no_orphans() -> None:
    """A volume that is not mounted, for instance: its replica is the only copy then."""

    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        rules = [Rule(path=ROOT), Rule(path="/gone")]
        target.mkdir("/gone")
        target.put("/gone/only copy", b"x")
        async with running(source, target):
            await source.service.save_set(ReplicationSet(name="web", rules=rules))
            await source.service.connect(request(target.service.port))
            await until(lambda: source.state() == "replicating")
            await search(source, "delete")
            assert "/gone/only copy" in target.volume.nodes
            assert any("/gone is missing" in event.text for event in source.events.after(0))

    run(scenario())


def test_only_one_thing_reads_at_a_time_and_only_a_complete_replica() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        async with running(source, target):
            await protect(source, target.service.port)
            with pytest.raises(ConnectionStateError, match="only what is mirrored"):
                source.service.orders.find_orphans(1, OrphanRequest())
            await until(lambda: source.state() == "replicating")
            with pytest.raises(ConnectionStateError, match="no search"):
                await source.service.orphans.stop(1)
            source.service.orders.find_orphans(1, OrphanRequest())
            with pytest.raises(ConnectionStateError, match="is running"):
                source.service.orders.find_orphans(1, OrphanRequest())
            with pytest.raises(ConnectionStateError, match="is running"):
                await source.service.start_mirror(1)
            await source.service.orphans.stop(1)
            assert (report_of(source).state, report_of(source).detail) == ("interrupted", "it was stopped")
            await source.service.start_mirror(1, MirrorOrder(orphans="delete"))
            await mirrored(source, target)

    run(scenario())


def test_search_goes_on_over_a_broken_connection_and_ends_with_its_stream() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await until(lambda: source.state() == "replicating")
            source.service.orders.find_orphans(1, OrphanRequest("delete"))
            relay.cut()
            await until(lambda: report_of(source).state == "complete")
            await until(lambda: same(source, target))
            relay.open = False
            relay.cut()
            source.service.connection(1).start_mirror()
            await until(lambda: source.state() != "replicating")

    run(scenario())


def test_report_is_kept_over_a_restart_and_goes_with_its_connection() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            report = await search(source, "log")
            await until(lambda: "/state/orphan-reports.json" in source.volume.nodes)
            await source.stop()
            await source.start()
            assert report_of(source).totals == report.totals
            await source.service.disconnect(1)
            assert source.service.orphans.report(1) is None

    run(scenario())


# --- what no source may say ---


@pytest.mark.parametrize(
    "body",
    [
        Orphans("/outside", ["own"], False, "2002-12-02"),
        Orphans(ROOT, ["../outside"], False, "2002-12-02"),
        Orphans(ROOT, [".."], True, "2002-12-02"),
        Orphans(ROOT, ["a/b"], True, "2002-12-02"),
    ],
)
def test_orphans_outside_of_the_roots_are_refused(body: Orphans) -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans()
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            replica = target.service.registry.find("WEB1", "web")
            assert replica is not None
            with pytest.raises(ProtocolError):
                replica.check(Item(1, body))

    run(scenario())


def test_orphan_directory_is_never_replicated_and_has_to_be_one() -> None:
    async def scenario() -> None:
        source, target = seeded(), with_orphans(orphan_directory=f"{ROOT}/.orphans")
        async with running(source, target):
            await protect(source, target.service.port, orphans="move")
            await until(lambda: source.state() == "replicating")
            assert beneath(target, f"{ROOT}/.orphans/2002-12-02/web") == ORPHANED
            report = await search(source, "delete")
            assert report.totals.files == 0
        with pytest.raises(InputError, match="orphan_directory"):
            await Site("WEB3", orphan_directory="relative").start()

    run(scenario())


def test_hard_link_of_an_orphan_to_a_file_of_the_set_costs_that_name_only() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.change(MakeHardLink(f"{ROOT}/second name", f"{ROOT}/index.htm"))
            await search(source, "delete")
            assert same(source, target)

    run(scenario())


def test_what_became_something_else_while_the_target_answered_is_no_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        source.mkdir(ROOT)
        source.mkdir(f"{ROOT}/d")
        children = Questions.children
        became: list[str] = []

        async def late(questions: Questions, path: str) -> dict[str, ListedEntry]:
            answer = await children(questions, path)
            if path == ROOT and not became:
                became.append(path)
                source.volume.do(RemoveDirectory(f"{ROOT}/d"))
                source.volume.do(MakeSymbolicLink(f"{ROOT}/d", "elsewhere", Metadata(), 1000))
            return answer

        async with running(source, target):
            await protect(source, target.service.port, orphans="delete")
            await mirrored(source, target)
            monkeypatch.setattr(Questions, "children", late)
            await source.service.start_mirror(1)
            await until(lambda: became and source.state() == "replicating")
            await mirrored(source, target)
            assert EventCode.ORPHAN not in source.codes()

    run(scenario())
