"""A replication set from its creation to its deletion, also while connections use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import WEB, Site, mirrored, protect, request, running, same, until

from bodydouble.errors import BodydoubleError, ConnectionStateError, FileSystemError, InputError
from bodydouble.replication.calculation import Calculation
from bodydouble.replication.rules import Selection
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeHardLink, MakeSymbolicLink, Metadata
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble.replication.home import SetHome
    from bodydouble.vocabulary.sets import SetSize

WIDER = ReplicationSet(name="web", rules=[*WEB.rules, Rule(path="/more")])


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def site(name: str = "WEB1", **settings: Any) -> Site:
    made = Site(name, **settings)
    for directory in ("/web", "/web/images", "/web/cache", "/more"):
        made.mkdir(directory)
    for path, size in (("/web/index.htm", 10), ("/web/images/a", 200), ("/web/cache/b", 3000), ("/more/c", 40000)):
        made.put(path, bytes(size))
    return made


def names(home: SetHome) -> list[str]:
    return [each.name for each in home.sets()]


def test_sets_are_created_copied_renamed_and_deleted_and_kept_over_a_restart() -> None:
    async def scenario() -> None:
        one = site()
        async with running(one):
            home = one.service.home
            await home.save(WEB, new=True)
            await home.copy("web", "copy")
            await home.save(ReplicationSet(name="last", rules=[Rule(path="D:\\a\\b\\")]))
            await home.rename("copy", "renamed")
            assert names(home) == ["web", "renamed", "last"]
            assert home.find("renamed").rules == WEB.rules
            assert home.find("last").rules == [Rule(path="D:/a/b")]
        async with running(one):
            home = one.service.home
            assert names(home) == ["web", "renamed", "last"]
            await home.delete("web")
            assert names(home) == ["renamed", "last"]

    run(scenario())


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (lambda home: home.save(WEB, new=True), ConnectionStateError),
        (lambda home: home.copy("web", "other"), ConnectionStateError),
        (lambda home: home.copy("none", "x"), InputError),
        (lambda home: home.rename("web", "other"), ConnectionStateError),
        (lambda home: home.rename("web", "a/b"), InputError),
        (lambda home: home.rename("none", "x"), InputError),
        (lambda home: home.delete("none"), InputError),
        (lambda home: home.save(ReplicationSet("two\nlines", WEB.rules)), InputError),
        (lambda home: home.save(ReplicationSet(" web", WEB.rules)), InputError),
        (lambda home: home.save(ReplicationSet("x", [Rule(path="relative")])), InputError),
        (lambda home: home.cancel("web"), ConnectionStateError),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    order: Callable[[SetHome], Coroutine[Any, Any, Any]], error: type[BodydoubleError]
) -> None:
    async def scenario() -> None:
        one = site()
        async with running(one):
            await one.service.save_set(WEB)
            await one.service.save_set(ReplicationSet("other", [Rule(path="/other")]))
            with pytest.raises(error):
                await order(one.service.home)
            assert names(one.service.home) == ["web", "other"]
            assert one.service.home.find("web") == WEB

    run(scenario())


def test_a_save_that_the_volume_refuses_changes_nothing() -> None:
    async def scenario() -> None:
        one = site()
        async with running(one):
            await one.service.save_set(WEB)
            one.volume.fail = lambda op: "no_space" if "replication-sets" in op.path else None
            for order in (
                one.service.save_set(WIDER),
                one.service.delete_set("web"),
                one.service.home.copy("web", "x"),
            ):
                with pytest.raises(FileSystemError):
                    await order
            assert one.service.sets() == [WEB]

    run(scenario())


def test_a_set_that_is_connected_is_neither_renamed_nor_deleted_unless_it_is_disconnected_with_it() -> None:
    async def scenario() -> None:
        source, target = site(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            for order in (source.service.home.rename("web", "x"), source.service.delete_set("web")):
                with pytest.raises(ConnectionStateError, match="is connected"):
                    await order
            await source.service.delete_set("web", disconnect=True)
            assert source.service.connections() == []
            assert source.service.sets() == []

    run(scenario())


def test_a_change_is_mirrored_at_once_or_with_the_next_mirror_as_ordered() -> None:
    async def scenario() -> None:
        source, target = site(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.home.save(WIDER, remirror=False)
            assert source.service.connections()[0].set_changed
            source.put("/more/d", b"not yet")
            source.put("/web/e", b"goes on by the earlier rules")
            await mirrored(source, target)
            assert target.volume.get("/more") is None
            assert EventCode.SET_CHANGED in source.codes()
            await source.service.start_mirror(1)
            await until(lambda: same(source, target, "/more"))
            await until(lambda: source.state() == "replicating")
            assert not source.service.connections()[0].set_changed
            await source.service.home.save(WEB)
            await until(lambda: source.codes().count(EventCode.MIRROR_STARTED) == 3)

    run(scenario())


def test_a_broken_connection_goes_on_by_the_earlier_rules_and_a_new_stream_by_the_new_ones() -> None:
    async def scenario() -> None:
        source, target = site(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.home.save(WIDER, remirror=False)
            await target.service.registry.sever_all("a break")
            source.put("/web/f", b"after the break")
            await mirrored(source, target)
            assert EventCode.RESUMED in source.codes()
            assert source.service.connections()[0].set_changed
            assert target.volume.get("/more") is None
            await source.stop()
            await source.start()
            await until(lambda: same(source, target, "/more"))
            assert not source.service.connections()[0].set_changed

    run(scenario())


# --- size -----------------------------------------------------------------------------------------------------------

RULES = ReplicationSet(
    name="web",
    rules=[
        Rule(path="/web"),
        Rule(path="/web/cache", include=False),
        Rule(path="/web/i*/a"),
        Rule(path="/nowhere"),
        Rule(path="/more/*", recursive=False),
    ],
)


async def calculated(one: Site) -> SetSize:
    home = one.service.home
    assert home.calculate("web").state == "running"
    await until(lambda: home.size("web").state != "running")
    return home.size("web")


def test_the_size_counts_what_each_include_rule_brings() -> None:
    async def scenario() -> None:
        one = site()
        one.volume.do(MakeHardLink("/web/images/again", "/web/index.htm"))
        one.volume.do(MakeSymbolicLink("/web/link", "/nowhere", Metadata(), 1))
        async with running(one):
            await one.service.save_set(RULES)
            size = await calculated(one)
            assert (size.state, size.files, size.directories, size.bytes) == ("complete", 5, 2, 40210)
            found = {item.rule.path: (item.files, item.directories, item.bytes) for item in size.rules}
            assert found == {
                "/web": (3, 2, 10),
                "/web/i*/a": (1, 0, 200),
                "/nowhere": (0, 0, 0),
                "/more/*": (1, 0, 40000),
            }
            assert (size.looked, size.known, size.current) == (3, 3, "")
            assert (await calculated(one)).rules == size.rules

    run(scenario())


def test_a_calculation_is_cancelled_and_given_up_when_its_set_changes() -> None:
    async def scenario() -> None:
        one = site()
        for number in range(300):
            one.mkdir(f"/web/d{number}")
        async with running(one):
            home = one.service.home
            await one.service.save_set(WEB)
            with pytest.raises(ConnectionStateError, match="not calculated yet"):
                home.size("web")
            home.calculate("web")
            with pytest.raises(ConnectionStateError, match="is being calculated"):
                home.calculate("web")
            await until(lambda: home.size("web").looked > 10)
            size = await home.cancel("web")
            assert size.state == "cancelled"
            assert size.looked < size.known
            home.calculate("web")
            await one.service.save_set(WIDER)
            with pytest.raises(ConnectionStateError, match="not calculated yet"):
                home.size("web")
            assert (await calculated(one)).state == "complete"

    run(scenario())


def test_what_cannot_be_read_is_counted_as_that() -> None:
    async def scenario() -> None:
        one = site()
        listing = one.volume.list_directory

        async def denied(path: str) -> Any:
            if path == "/web/images":
                raise FileSystemError("denied", path)
            return await listing(path)

        one.volume.list_directory = denied  # type: ignore[method-assign]
        selection = Selection(WEB, case_sensitive=True, protected=[])
        calculation = Calculation(one.volume, WEB, selection, one.host.clock.now())
        await calculation.run()
        assert (calculation.size.state, calculation.size.unreadable, calculation.size.files) == ("complete", 1, 2)

    run(scenario())


def test_explanations_take_paths_of_either_platform() -> None:
    async def scenario() -> None:
        one = site()
        async with running(one):
            await one.service.save_set(ReplicationSet("web", [Rule(path="C:/InetPub")]))
            assert one.service.home.explain("web", r"C:\InetPub\a").selected
            with pytest.raises(InputError, match="expected an absolute path"):
                one.service.home.explain("web", "InetPub")

    run(scenario())


def test_connect_finds_no_set_that_is_being_deleted() -> None:
    async def scenario() -> None:
        one = site()
        async with running(one):
            await one.service.save_set(WEB)
            deletion = asyncio.create_task(one.service.delete_set("web"), name="deletion")
            await asyncio.sleep(0)
            with pytest.raises(InputError, match="no replication set"):
                await one.service.connect(request(1))
            await deletion

    run(scenario())
