"""The Content Index service and its catalogue."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sim.iis_mail.host import Host, until

from bodydouble.errors import InputError
from bodydouble_sim.iis import content_index
from bodydouble_sim.iis.catalog_query import QueryError, query
from bodydouble_sim.iis.content_index import ContentIndex
from bodydouble_sim.windows.service import ServiceConfig, ServiceControlError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WEB = "C:/InetPub/wwwroot"
DOCUMENTS = {
    "a": ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"],
    "b": ["word", "for", "windows", "and", "the", "computing", "of", "computers"],
    "c": ["fox", *["x"] * 60, "dog"],
}


@asynccontextmanager
async def indexing(host: Host) -> AsyncIterator[ContentIndex]:
    """The service, registered as on NT 4.0 with IIS 4.0, running."""
    system = host.system
    config = ServiceConfig("cisvc", "Content Index", "manual", ("RpcSs",), "cisvc.exe")
    system.scm.register(config, lambda: ContentIndex(system))
    await system.scm.start("Content Index")
    program = system.scm.find("cisvc").program
    assert isinstance(program, ContentIndex)
    yield program
    if system.scm.find("cisvc").state != "stopped":
        await system.scm.stop("cisvc")


@pytest.fixture
def web(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(content_index, "PERIOD", 0.005)
    host.system.make_directories(f"{WEB}/sub")
    host.system.write_file(f"{WEB}/default.htm", b"<html><title>Welcome</title><script>secret()</script>Orders here")
    host.system.write_file(f"{WEB}/sub/order.txt", b"One order of green tea")
    host.system.write_file(f"{WEB}/photo.gif", b"GIF89a order")
    return host


def events(host: Host) -> list[int]:
    kept = host.system.event_log.entries
    return [entry.number for entry in kept if (entry.log, entry.source) == ("Application", "Ci")]


def found(host: Host, text: str) -> list[str]:
    return [path.removeprefix(f"{WEB}/") for path in content_index.query(host.system, text)]


@pytest.mark.behaviour("Index Server's help, Scanning: a full scan the first time")
def test_the_first_start_indexes_the_texts_of_all_files(web: Host) -> None:
    async def run() -> None:
        async with indexing(web):
            await until(lambda: bool(found(web, "order")))
            assert found(web, "order") == ["sub/order.txt"]
            assert found(web, "welcome & orders") == ["default.htm"]
            assert found(web, "secret | photo") == ["photo.gif"]

    asyncio.run(run())


@pytest.mark.behaviour("Index Server's help, Scanning: changes are taken up while the service runs")
def test_a_new_a_changed_and_a_removed_file_are_noticed(web: Host) -> None:
    async def run() -> None:
        async with indexing(web):
            await until(lambda: bool(found(web, "tea")))
            web.system.write_file(f"{WEB}/new.txt", b"coffee")
            await until(lambda: found(web, "coffee") == ["new.txt"])
            web.system.write_file(f"{WEB}/new.txt", b"cocoa instead")
            await until(lambda: found(web, "cocoa") == ["new.txt"] and not found(web, "coffee"))
            web.system.files.remove(f"{WEB}/new.txt")
            await until(lambda: not found(web, "cocoa"))

    asyncio.run(run())


@pytest.mark.behaviour("Index Server's help, Scanning: an incremental scan at each start")
def test_what_changed_while_the_service_was_stopped_is_found_at_the_next_start(web: Host) -> None:
    async def run() -> None:
        async with indexing(web):
            await until(lambda: bool(found(web, "tea")))
        web.system.write_file(f"{WEB}/late.txt", b"chocolate")
        async with indexing(web):
            await until(lambda: found(web, "chocolate") == ["late.txt"])

    asyncio.run(run())
    assert events(web) == [4097, 4097]


@pytest.mark.behaviour(
    "KB 209304: after a restart without shutdown events 4124 or 4126; KB 191147: it is rebuilt by itself"
)
def test_a_catalogue_that_was_open_at_a_power_cut_is_rebuilt_with_event_4126(web: Host) -> None:
    async def before() -> None:
        async with indexing(web) as service:
            await until(lambda: bool(found(web, "tea")))
            web.lose_power(3)
            service.kill()

    async def after() -> None:
        async with indexing(web):
            await until(lambda: found(web, "green tea") == ["sub/order.txt"])

    web.system.files.flush(f"{WEB}/sub/order.txt")
    asyncio.run(before())
    asyncio.run(after())
    assert events(web) == [4126, 4097]


@pytest.mark.behaviour("KB 191147: a corrupt catalogue is rebuilt when the service starts")
def test_a_damaged_catalogue_is_rebuilt(web: Host) -> None:
    async def run() -> None:
        async with indexing(web):
            await until(lambda: bool(found(web, "tea")))
        web.system.write_file("C:/InetPub/catalog.wci/CiCatalog.idx", bytes(300))
        async with indexing(web):
            await until(lambda: found(web, "tea") == ["sub/order.txt"])

    asyncio.run(run())
    assert events(web) == [4097, 4126, 4097]


@pytest.mark.behaviour("KB 312920: net pause cisvc makes the catalogue read-only")
def test_a_paused_service_answers_and_takes_nothing_up(web: Host) -> None:
    async def run() -> None:
        async with indexing(web) as service:
            await until(lambda: bool(found(web, "tea")))
            await web.system.scm.pause("cisvc")
            web.system.write_file(f"{WEB}/new.txt", b"coffee")
            assert service.catalog is not None
            await asyncio.sleep(content_index.PERIOD * 4)
            assert (found(web, "coffee"), found(web, "tea")) == ([], ["sub/order.txt"])
            await web.system.scm.resume("cisvc")
            await until(lambda: found(web, "coffee") == ["new.txt"])

    asyncio.run(run())


@pytest.mark.behaviour("reference/windows-iis.md, Services: Content Index depends on RPC")
def test_content_index_starts_rpc_first(web: Host) -> None:
    async def run() -> str:
        async with indexing(web):
            return web.system.scm.find("RpcSs").state

    assert asyncio.run(run()) == "running"


def test_a_catalogue_that_cannot_be_written_stops_the_start(host: Host) -> None:
    host.system.write_file("C:/InetPub", b"a file in the way")

    async def run() -> int:
        with pytest.raises(ServiceControlError) as caught:
            async with indexing(host):
                pass
        return caught.value.specific

    assert asyncio.run(run()) == content_index.NO_CATALOG


@pytest.mark.behaviour("reference/windows-iis.md, Services: in Windows 2000 it is the system's Indexing Service")
def test_without_web_content_the_service_runs_and_indexes_nothing(host: Host) -> None:
    async def run() -> None:
        async with indexing(host) as service:
            assert service.catalog is None

    asyncio.run(run())
    assert host.system.files.stat("C:/InetPub") is None


def test_a_query_needs_the_service(web: Host) -> None:
    with pytest.raises(InputError, match="not"):
        content_index.query(web.system, "tea")


@pytest.mark.behaviour("MSDN, The Index Server Query Language: phrases, noise words, Boolean operators, NEAR, prefixes")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FOX", ["a", "c"]),
        ("quick brown fox", ["a"]),
        ("brown quick", []),
        ("word of windows", ["b"]),
        ("fox and dog", ["a", "c"]),
        ("fox & ! lazy", ["c"]),
        ("fox or windows", ["a", "b", "c"]),
        ("fox near dog", ["a"]),
        ("fox ~ dog", ["a"]),
        ("comput*", ["b"]),
        ('"fox jumps"', ["a"]),
        ("(quick or windows) and not word", ["a"]),
    ],
)
def test_the_query_language(text: str, expected: list[str]) -> None:
    assert query(text, DOCUMENTS) == expected


@pytest.mark.parametrize("text", ["", "the", "fox and", "(fox", "fox)", "not fox", "& &", "(" * 100, "x" * 2000])
def test_a_query_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        query(text, DOCUMENTS)


@given(st.text(alphabet='fox dog"()&|!~*and', max_size=60))
def test_no_query_crashes(text: str) -> None:
    try:
        assert set(query(text, DOCUMENTS)) <= set(DOCUMENTS)
    except QueryError:
        return
