"""Replicas elsewhere on the target: under a base directory, on other drives, on another kind of host."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.product.replication.memory import MemoryVolume, Picture
from tests.product.replication.site import ROOT, Relay, Site, protect, request, running, until

from bodydouble.errors import FileSystemError, InputError
from bodydouble.replication.mapping import PathMap, check_mapping, within
from bodydouble.replication.rules import fold, same
from bodydouble.replication.target_names import TargetNames
from bodydouble.replication.view import MappedFileSystem
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    Write,
)
from bodydouble.vocabulary.records import ReplicationSet, RestoreRequest, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(name: str = "WEB1", root: str = ROOT, **volume: Any) -> Site:
    site = Site(name, MemoryVolume(**volume))
    for path in ([root[:2]] if paths.has_drive(root) else []) + [root, f"{root}/images"]:
        site.volume.nodes[site.volume.key(path)] = site.volume.new(path, True)
    site.put(f"{root}/index.htm", b"hello")
    site.put(f"{root}/images/big.bin", bytes(range(256)) * 1000)
    return site


def moved(picture: Picture, root: str, place: str) -> Picture:
    """What the picture of a tree is when the tree is elsewhere."""

    def there(path: str) -> str:
        return within(place, path[len(root) :])

    return {there(path): (*entry[:5], tuple(map(there, entry[5]))) for path, entry in picture.items()}


def equal(source: Site, target: Site, place: str, root: str = ROOT) -> bool:
    return moved(source.volume.picture(root), root, place) == target.volume.picture(place)


BASE = {"base": "/replicas/web1"}
PLACE = "/replicas/web1/web"


def busy(source: Site, root: str = ROOT) -> None:
    """What applications do: every kind of operation."""
    volume = source.volume
    source.put(f"{root}/new.htm", b"x" * 70_000)
    volume.do(Rename(f"{root}/index.htm", f"{root}/default.htm"))
    volume.do(MakeHardLink(f"{root}/twin", f"{root}/default.htm"))
    volume.do(Write(f"{root}/twin", 2, b"LL", 70_000))
    volume.do(MakeSymbolicLink(f"{root}/link", f"{root}/default.htm", Metadata(), 5000))
    volume.do(MakeDirectory(f"{root}/empty", Metadata()))
    volume.do(RemoveDirectory(f"{root}/empty"))
    volume.do(RemoveFile(f"{root}/new.htm"))
    volume.do(Rename(f"{root}/images", f"{root}/pictures"))


# --- the arithmetic -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "mapping", "base", "place"),
    [
        ("/srv/www", [], "", "/srv/www"),
        ("/srv/www", [], "/replicas/s1", "/replicas/s1/srv/www"),
        ("C:/InetPub", [], "/replicas/s1", "/replicas/s1/C/InetPub"),
        ("C:/InetPub", [], "D:/Backup", "D:/Backup/C/InetPub"),
        ("C:", [], "D:/Backup", "D:/Backup/C"),
        ("/", [], "/replicas/s1", "/replicas/s1"),
        ("C:/InetPub", [PathMapping("C:/InetPub", "D:/Backup/InetPub")], "", "D:/Backup/InetPub"),
        ("C:/InetPub", [PathMapping("C:", "D:")], "", "D:/InetPub"),
        ("/srv/www", [PathMapping("/", "/mnt")], "", "/mnt/srv/www"),
        ("/srv/www", [PathMapping("/srv", "/a"), PathMapping("/srv/www", "/b")], "/c", "/b"),
        ("/srv/www", [PathMapping("/etc", "/a")], "/c", "/c/srv/www"),
    ],
)
def test_the_longest_mapping_decides_and_the_base_takes_the_rest(
    root: str, mapping: list[PathMapping], base: str, place: str
) -> None:
    assert PathMap([root], mapping, base, same).places == [(root, place)]


NAMES = st.lists(st.sampled_from(["a", "B", "c d", "C"]), max_size=3).map("/".join)


@given(NAMES, st.sampled_from(["/srv", "C:/x", "C:", "/"]), st.sampled_from(["/r", "D:/r", "E:"]))
def test_there_and_back_is_where_it_began(rest: str, root: str, target: str) -> None:
    path_map = PathMap([root], [PathMapping(root, target)], "", same)
    place = path_map.there(within(root, rest))
    assert place == within(target, rest)
    assert place is not None
    assert path_map.here(place, same) == within(root, rest)


def test_paths_outside_of_the_roots_are_nowhere() -> None:
    path_map = PathMap(["/srv/www"], [], "/r", same)
    assert path_map.there("/srv/wwwx") is None
    assert path_map.here("/r/srv/wwwx", same) is None


@pytest.mark.parametrize(
    ("mapping", "base", "words"),
    [
        ([PathMapping("/srv/www/deep", "/a")], "", "inside /srv/www"),
        ([PathMapping("/etc", "/a")], "", "nothing of the replication set"),
        ([PathMapping("/srv/www", "/a"), PathMapping("/srv/www", "/b")], "", "twice"),
        ([PathMapping("/srv/www", "/a"), PathMapping("/home", "/a/b")], "", "one place"),
        ([PathMapping("srv", "/a")], "", "absolute"),
        ([], "/a/../b", "components"),
    ],
)
def test_a_mapping_that_does_not_fit_the_set_is_refused(mapping: list[PathMapping], base: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_mapping(["/srv/www", "/home"], mapping, base, same)


def test_case_is_ignored_where_the_source_ignores_it() -> None:
    path_map = PathMap(["C:/InetPub"], [PathMapping("c:/INETPUB", "D:/x")], "", fold)
    assert path_map.there("C:/inetpub/A") == "D:/x/A"


# --- the view -------------------------------------------------------------------------------------------------------


def test_the_view_reaches_nothing_outside_of_its_roots() -> None:
    volume = MemoryVolume()
    view = MappedFileSystem(volume, PathMap(["/web"], [], "/r", same), plain=False)

    async def scenario() -> None:
        assert await view.stat("/etc") is None
        for attempt in (view.list_directory("/"), view.apply([Rename("/web/a", "/etc/a")])):
            with pytest.raises(FileSystemError, match="denied"):
                await attempt

    run(scenario())


def test_errors_name_the_path_that_was_asked_for_and_what_was_done() -> None:
    volume = MemoryVolume()
    for path in ("/r", "/r/web"):
        volume.change(MakeDirectory(path, Metadata()))
    volume.fail = lambda op: "no_space" if op.path.endswith("b") else None
    view = MappedFileSystem(volume, PathMap(["/web"], [], "/r", same), plain=False)

    async def scenario() -> None:
        with pytest.raises(FileSystemError) as caught:
            await view.apply([CreateFile("/web/a", Metadata(), 1), CreateFile("/web/b", Metadata(), 1)])
        assert (caught.value.code, caught.value.path, caught.value.done) == ("no_space", "/web/b", 1)

    run(scenario())


# --- replication ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "place"),
    [(BASE, PLACE), ({"mapping": [PathMapping("/web", "/var/copies/w")]}, "/var/copies/w")],
)
def test_mirror_and_replication_keep_the_set_elsewhere(fields: dict[str, Any], place: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, **fields)
            await until(lambda: equal(source, target, place))
            await until(lambda: source.state() == "replicating")
            busy(source)
            await until(lambda: equal(source, target, place))
            assert target.volume.get(ROOT) is None
            assert target.volume.nodes[f"{place}/link"].target == f"{ROOT}/default.htm"
            assert target.service.target_connections()[0].places == [place]
            assert EventCode.REPLICATION_ERROR not in source.codes(), [e.text for e in source.events.after(0)]

    run(scenario())


def test_a_view_that_maps_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PathMap, "there", lambda _self, path: path)

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, **BASE)
            await until(lambda: source.state() == "replicating")
            assert not equal(source, target, PLACE)

    run(scenario())


def test_the_place_survives_a_restart_of_the_target() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port, **BASE)
            await until(lambda: source.state() == "replicating")
            await target.stop()
            await target.start()
            source.put(f"{ROOT}/after", b"x")
            await until(lambda: equal(source, target, PLACE))
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


def test_changed_mapping_needs_a_mirror_and_leaves_the_old_place() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, **BASE)
            await until(lambda: source.state() == "replicating")
            await source.service.connect(request(target.service.port, base="/elsewhere"))
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            assert equal(source, target, "/elsewhere/web")
            assert equal(source, target, PLACE)

    run(scenario())


def test_two_roots_on_two_places_and_what_is_renamed_between_them() -> None:
    """On the source one volume, on the target perhaps two: a rename over the border cannot be one there."""
    mapping = [PathMapping("/web", "/v1/web"), PathMapping("/data", "/v2/elsewhere")]

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir("/data")
        source.put("/data/a", b"a")
        target.volume.fail = lambda op: "io" if isinstance(op, Rename) and op.new_path[:3] != op.path[:3] else None
        async with running(source, target):
            await source.service.save_set(ReplicationSet(name="web", rules=[Rule(path=ROOT), Rule(path="/data")]))
            await source.service.connect(request(target.service.port, mapping=mapping))
            await until(lambda: source.state() == "replicating")
            source.volume.do(Rename("/data/a", f"{ROOT}/a"))
            source.volume.do(MakeHardLink("/data/b", f"{ROOT}/index.htm"))
            source.volume.do(Write("/data/b", 0, b"B", 90_000))
            await until(lambda: equal(source, target, "/v1/web") and "/v2/elsewhere/b" in target.volume.nodes)
            await until(lambda: target.volume.nodes["/v2/elsewhere/b"].data == b"Bello")
            assert "/v2/elsewhere/a" not in target.volume.nodes
            assert EventCode.REPLICATION_ERROR not in source.codes(), [e.text for e in source.events.after(0)]

    run(scenario())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base": "/state/replicas"}, "this machine's own"),
        ({"base": "C:/replicas"}, "has no drives"),
        ({"mapping": [PathMapping("/web", "/state")]}, "this machine's own"),
    ],
)
def test_places_that_cannot_be_are_refused_with_the_reason(fields: dict[str, Any], words: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, **fields)
            await until(lambda: source.state() == "error")
            assert words in source.service.connections()[0].detail
            assert source.service.connections()[0].transmission == "error"

    run(scenario())


def test_the_targets_state_is_protected_inside_a_mapped_place() -> None:
    """A set mapped onto the root of the target: its state directory is no orphan, and nothing is written there."""

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir(f"{ROOT}/state")
        source.put(f"{ROOT}/state/run.json", b"evil")
        async with running(source, target):
            await protect(source, target.service.port, mapping=[PathMapping("/web", "/")], orphans="delete")
            await until(lambda: source.state() == "replicating")
            assert target.volume.nodes["/index.htm"].data == b"hello"
            assert target.volume.nodes["/state/run.json"].data != b"evil"
            assert "/state/target-replicas.json" in target.volume.nodes

    run(scenario())


# --- several sources ------------------------------------------------------------------------------------------------


def test_two_sources_with_one_set_name_are_kept_beside_each_other() -> None:
    async def scenario() -> None:
        one, two, target = seeded("WEB1"), seeded("WEB3"), Site("WEB2")
        two.put(f"{ROOT}/index.htm", b"other")
        async with running(one, two, target):
            for source in (one, two):
                await protect(source, target.service.port, base=f"/replicas/{source.name}")
            await until(lambda: one.state() == two.state() == "replicating")
            one.put(f"{ROOT}/more", b"1")
            two.put(f"{ROOT}/more", b"2")
            await until(lambda: all(equal(each, target, f"/replicas/{each.name}/web") for each in (one, two)))
            assert len(target.service.target_connections()) == 2

    run(scenario())


@pytest.mark.parametrize("base", ["/replicas", "/replicas/web", ""])
def test_replicas_that_would_overlap_once_mapped_are_refused(base: str) -> None:
    async def scenario() -> None:
        one, two, target = seeded("WEB1"), seeded("WEB3"), Site("WEB2")
        two.mkdir("/replicas")
        two.mkdir("/replicas/web")
        rules = [Rule(path=ROOT if base else "/replicas/web")]
        async with running(one, two, target):
            await protect(one, target.service.port, base="/replicas")
            await until(lambda: one.state() == "replicating")
            await two.service.save_set(ReplicationSet(name="other", rules=rules))
            await two.service.connect(request(target.service.port, replication_set="other", base=base))
            await until(lambda: "same place" in two.service.connections()[0].detail)
            await one.service.disconnect(1)
            await until(lambda: two.state() == "replicating")

    run(scenario())


def test_two_sets_of_one_source_may_not_share_a_place_either() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            await source.service.save_set(ReplicationSet(name="images", rules=[Rule(path=f"{ROOT}/images")]))
            await source.service.connect(request(target.service.port, replication_set="images"))
            await until(lambda: "same place" in source.service.connections()[1].detail)
            await source.service.connect(request(target.service.port, replication_set="images", base="/apart"))
            await until(lambda: source.service.connections()[1].state == "replicating")

    run(scenario())


def test_whoever_had_a_place_before_has_to_mirror_again() -> None:
    async def scenario() -> None:
        one, two, target = seeded("WEB1"), seeded("WEB3"), Site("WEB2")
        two.put(f"{ROOT}/index.htm", b"other")
        async with running(one, two, target), Relay(lambda: target.service.port) as relay:
            await protect(one, relay.port)
            await until(lambda: one.state() == "replicating")
            relay.open = False
            relay.cut()
            await until(lambda: not target.service.target_connections()[0].connected)
            await protect(two, target.service.port)
            await until(lambda: two.state() == "replicating")
            assert [each.state for each in target.service.target_connections()] == ["remirror-required", "ok"]
            await two.service.disconnect(1)
            relay.open = True
            await until(lambda: one.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            assert equal(one, target, ROOT)

    run(scenario())


# --- one machine alone, other kinds of hosts -------------------------------------------------------------------------


def test_one_machine_alone_keeps_a_replica_elsewhere() -> None:
    async def scenario() -> None:
        site = seeded()
        async with running(site):
            await protect(site, site.service.port, base="/copies")
            await until(lambda: site.state() == "replicating")
            busy(site)
            await until(lambda: equal(site, site, "/copies/web"))

    run(scenario())


@pytest.mark.parametrize("fields", [{}, {"base": "/web"}, {"mapping": [PathMapping("/web", "/web/copy")]}])
def test_one_machine_alone_without_another_place_is_refused(fields: dict[str, Any]) -> None:
    async def scenario() -> None:
        site = seeded()
        async with running(site):
            await protect(site, site.service.port, **fields)
            await until(lambda: site.state() == "error")
            assert "one machine" in site.service.connections()[0].detail

    run(scenario())


DRIVE = ReplicationSet(name="web", rules=[Rule(path="C:/web")])


def test_drive_paths_are_kept_on_a_host_without_drives_through_a_mapping() -> None:
    async def scenario() -> None:
        source, target = seeded(root="C:/web", case_sensitive=False), Site("WEB2")
        source.volume.do(CreateFile("C:/web/index.htm", Metadata(1, b"D:(A;;FA;;;WD)"), 5000))
        async with running(source, target):
            await source.service.save_set(DRIVE)
            await source.service.connect(request(target.service.port))
            await until(lambda: source.state() == "error")
            assert "has no drives: map it" in source.service.connections()[0].detail
            await source.service.connect(request(target.service.port, base="/replicas"))
            await until(lambda: source.state() == "replicating")
            busy(source, "C:/web")
            await until(lambda: "/replicas/C/web/pictures/big.bin" in target.volume.nodes)
            await until(lambda: source.service.connections()[0].applied == source.service.connections()[0].generated)
            names = {path.removeprefix("/replicas/") for path in target.volume.nodes if path.startswith("/replicas/C/")}
            assert {name.replace("C/", "C:/", 1) for name in names} == {
                node.path for node in source.volume.nodes.values() if node.path.startswith("C:/")
            }
            assert target.volume.nodes["/replicas/C/web/default.htm"].metadata == Metadata()
            assert target.codes().count(EventCode.NOT_KEPT) == 1
            not_kept = target.service.target_connections()[0].not_kept
            assert not_kept["permissions and attributes"] > 3
            await source.service.start_mirror(1)
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)

    run(scenario())


def test_a_name_in_other_case_on_the_target_is_not_taken_for_the_sources() -> None:
    async def scenario() -> None:
        source, target = seeded(root="C:/web", case_sensitive=False), Site("WEB2")
        for path in ("/replicas", "/replicas/C", "/replicas/C/web"):
            target.mkdir(path)
        target.put("/replicas/C/web/INDEX.HTM", b"hello")
        async with running(source, target):
            await source.service.save_set(DRIVE)
            await source.service.connect(request(target.service.port, base="/replicas", orphans="delete"))
            await until(lambda: source.state() == "replicating")
            assert target.volume.nodes["/replicas/C/web/index.htm"].data == b"hello"
            assert "/replicas/C/web/INDEX.HTM" not in target.volume.nodes

    run(scenario())


# --- restoration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_restoration_brings_data_home_or_to_another_drive(*, mapped: bool, elsewhere: bool) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        place = PLACE if mapped else ROOT
        async with running(source, target):
            await protect(source, target.service.port, **(BASE if mapped else {}))
            await until(lambda: source.state() == "replicating")
            await source.stop()
            await target.service.standing_in.stand_in("WEB1")
            target.put(f"{place}/order", b"placed at the stand-in")
            target.volume.do(RemoveFile(f"{place}/index.htm"))
            await source.start()
            restore = RestoreRequest(
                original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=source.service.port,
                mapping=[PathMapping("/web", "/rescued")] if elsewhere else [],
            )  # fmt: skip
            await target.restoration.restore(restore)
            await until(lambda: target.restoration.restorations()[0].state == "complete")
            home = "/rescued" if elsewhere else ROOT
            assert moved(source.volume.picture(home), home, place) == target.volume.picture(place)
            assert (f"{ROOT}/index.htm" in source.volume.nodes) == elsewhere

    run(scenario())


def test_what_applications_write_during_a_mapped_restoration_comes_home_too() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, **BASE)
            await until(lambda: source.state() == "replicating")
            await source.stop()
            await target.service.standing_in.stand_in("WEB1")
            await source.start()
            source.volume.gate.clear()
            await target.restoration.restore(
                RestoreRequest(
                    original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=source.service.port
                )
            )
            await until(lambda: target.volume.sinks)
            target.put(f"{PLACE}/late", b"written meanwhile")
            target.volume.do(Rename(f"{PLACE}/images", "/outside"))
            source.volume.gate.set()
            await until(lambda: target.restoration.restorations()[0].state == "complete")
            assert moved(source.volume.picture(ROOT), ROOT, PLACE) == target.volume.picture(PLACE)

    run(scenario())


def test_restoration_with_a_mapping_that_does_not_fit_is_refused() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            request_ = RestoreRequest(
                original_source="WEB1", replication_set="web", restore_to="127.0.0.1",
                mapping=[PathMapping("/etc", "/x")],
            )  # fmt: skip
            with pytest.raises(InputError, match="nothing of the replication set"):
                await target.restoration.restore(request_)

    run(scenario())


def test_names_that_a_host_with_drives_cannot_have_are_left_out_and_said_once() -> None:
    bad = [f"{ROOT}/{name}" for name in ("a:b", "nul.txt", "dot.", "que?", "x" * 256, "d:x/inside")]

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2", MemoryVolume(case_sensitive=False))
        target.volume.nodes["C:"] = target.volume.new("C:", True)
        source.mkdir(f"{ROOT}/d:x")
        for path in bad:
            source.put(path, b"cannot be there")
        async with running(source, target):
            target.service.context.protected.insert(0, "C:/state")  # which makes it a host with drives
            await source.service.save_set(ReplicationSet(name="web", rules=[Rule(path=ROOT)]))
            mapping = [PathMapping(ROOT, "C:/web")]
            await source.service.connect(request(target.service.port, mapping=mapping))
            await until(lambda: source.state() == "replicating")
            source.put(f"{ROOT}/ok", b"fine")
            source.volume.do(Rename(f"{ROOT}/a:b", f"{ROOT}/good"))
            source.volume.do(Rename(f"{ROOT}/index.htm", f"{ROOT}/con"))
            source.put(f"{ROOT}/later:", b"cannot be there")
            wanted = {"", "/images", "/images/big.bin", "/ok", "/good"}
            await until(lambda: {path[6:] for path in _below(target, "C:/WEB")} == {each.upper() for each in wanted})
            assert source.codes().count(EventCode.NOT_KEPT) == 1
            await until(lambda: source.state() == "replicating")

    run(scenario())


def _below(site: Site, place: str) -> list[str]:
    return [path for path in site.volume.nodes if paths.is_beneath(path, place)]


@pytest.mark.parametrize(("name", "fits"), [("\u5b57" * 85, True), ("\u5b57" * 86, False)])
def test_a_name_is_as_long_as_the_targets_volume_has_it(name: str, *, fits: bool) -> None:
    told: list[str] = []
    names = TargetNames(PathMap(["C:/web"], [], "/r", fold), told.append)
    assert names.fit(f"C:/web/{name}") == fits
    assert bool(told) != fits
    assert names.fit("D:/elsewhere/" + "x" * 300)
