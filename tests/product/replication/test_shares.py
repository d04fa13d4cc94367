"""Shares of a source: told while it lives, kept by its target, bounded, and only of what is replicated."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.replication.site import ROOT, WEB, Site, running, until
from tests.product.replication.test_hostile_source import HELLO, ends, session, victim
from tests.shares import MemoryShares

from bodydouble.errors import InputError
from bodydouble.replication.protocol import Begin, Message, Shared, Welcome
from bodydouble.replication.rules import Selection
from bodydouble.replication.sharing import told_of
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, RestoreRequest, Rule
from bodydouble.vocabulary.shares import MAX_SHARE_CHARACTERS, MAX_SHARES, Share, check_share

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bodydouble.replication.protocol import Wire

PAGES, OTHER = Share("pages", f"{ROOT}/pages", "for clients"), Share("other", "/srv/other")


def sharing(name: str, *shares: Share, **settings: Any) -> tuple[Site, MemoryShares]:
    site, server = Site(name, shares_interval=0.02, **settings), MemoryShares()
    server.shared = {each.name.casefold(): each for each in shares}
    site.host = dataclasses.replace(site.host, shares=server)
    site.mkdir(ROOT)
    site.mkdir(f"{ROOT}/pages")
    return site, server


async def connect(source: Site, target: Site, **changes: Any) -> None:
    await source.service.save_set(WEB)
    request = {"replication_set": "web", "target": "127.0.0.1", "port": target.service.port, **changes}
    await source.service.connect(ConnectRequest(**request))
    await until(lambda: source.state() == "replicating")


def kept(target: Site, source: str = "WEB1") -> list[Share]:
    return list(target.service.standing_in.shares(source))


async def asked_again(server: MemoryShares) -> None:
    """Until the source has looked twice more: what the first look found has been told by then."""
    before = server.asked
    await until(lambda: server.asked > before + 2)


def play(story: Callable[[Site, Site, MemoryShares], Awaitable[None]], *shares: Share, **changes: Any) -> None:
    async def scenario() -> None:
        (source, server), target = sharing("WEB1", *(shares or (PAGES, OTHER))), Site("WEB2")
        async with running(source, target):
            await connect(source, target, **changes)
            await story(source, target, server)

    asyncio.run(scenario())


# --- told and kept --------------------------------------------------------------------------------------------------


def test_a_target_keeps_what_its_source_shares_of_the_set_and_nothing_else() -> None:
    async def story(_source: Site, target: Site, _server: MemoryShares) -> None:
        await until(lambda: kept(target))
        assert kept(target) == [PAGES]
        assert kept(target, "web1") == [PAGES]
        assert kept(target, "WEB3") == []

    play(story)


def test_shares_are_kept_as_their_directories_are_mapped() -> None:
    async def story(_source: Site, target: Site, _server: MemoryShares) -> None:
        await until(lambda: kept(target))
        assert kept(target) == [Share("pages", "/replicas/web1/pages", "for clients")]

    play(story, mapping=[PathMapping(ROOT, "/replicas/web1")])


def test_a_change_on_the_source_is_told() -> None:
    async def story(_source: Site, target: Site, server: MemoryShares) -> None:
        await until(lambda: kept(target))
        await server.add(Share("more", ROOT))
        await until(lambda: len(kept(target)) == 2)
        server.shared.clear()
        await until(lambda: not kept(target))

    play(story)


def test_a_file_server_that_stops_takes_nothing_away() -> None:
    async def story(source: Site, target: Site, server: MemoryShares) -> None:
        await until(lambda: kept(target))
        server.runs = False
        server.shared.clear()
        await asked_again(server)
        await source.stop()
        await source.start()
        await until(lambda: source.state() == "replicating")
        await asked_again(server)
        assert kept(target) == [PAGES]

    play(story)


def test_a_target_knows_them_after_its_source_has_gone_and_it_was_started_again() -> None:
    async def story(source: Site, target: Site, _server: MemoryShares) -> None:
        await until(lambda: kept(target))
        await source.kill()
        await target.crash()
        await target.start()
        assert kept(target) == [PAGES]

    play(story)


def test_what_is_excluded_or_the_daemons_own_is_not_told() -> None:
    rules = ReplicationSet("w", [Rule("/web"), Rule("/web/logs", include=False)])
    selection = Selection(rules, case_sensitive=True, protected=["/web/state"])
    shares = [
        Share("a", "/web"),
        Share("b", "/web/logs"),
        Share("c", "/web/state"),
        Share("d", "/"),
        Share("e", "/webs"),
    ]
    assert told_of(selection, shares) == ([shares[0]], [])


def test_what_cannot_be_told_is_said_once() -> None:
    async def story(source: Site, target: Site, server: MemoryShares) -> None:
        await until(lambda: kept(target))
        await server.add(Share("a", ROOT))
        await until(lambda: len(kept(target)) == 2)
        assert source.codes().count(EventCode.SHARE_LEFT_OUT) == 1

    play(story, PAGES, Share("what?", ROOT))


def test_more_than_a_target_keeps_are_left_out_by_the_source() -> None:
    selection = Selection(WEB, case_sensitive=True, protected=[])
    found, left_out = told_of(selection, [Share(f"s{number}", ROOT) for number in range(MAX_SHARES + 1)])
    assert (len(found), len(left_out)) == (MAX_SHARES, 1)
    long = [Share(f"s{number}", f"{ROOT}/{'x' * 4000}") for number in range(20)]
    found, left_out = told_of(selection, long)
    assert sum(each.characters for each in found) <= MAX_SHARE_CHARACTERS
    assert len(found) + len(left_out) == 20


def test_a_comment_is_told_in_one_line_of_its_length() -> None:
    selection = Selection(WEB, case_sensitive=True, protected=[])
    ((share,), left_out) = told_of(selection, [Share("s", ROOT, "a\r\nb" + "c" * 300)])
    assert left_out == []
    assert share.comment.startswith("a  bccc")
    check_share(share)


@pytest.mark.parametrize(
    "name", ["C$", "z$", "ADMIN$", "ipc$", "Print$", "", "a/b", "a\\b", "x" * 81, "a\0", " a", "pipe"]
)
def test_names_of_the_system_and_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_share(Share(name, "/web"))


def test_a_hidden_share_of_an_administrator_is_a_share_like_others() -> None:
    check_share(Share("orders$", "C:/Orders"))


def test_a_restoration_tells_no_shares() -> None:
    """The stand-in's shares are not the source's: what the source shares, it knows itself."""

    async def scenario() -> None:
        (source, _), (target, _) = sharing("WEB1"), sharing("WEB2", PAGES)
        async with running(source, target):
            await connect(source, target)
            await target.service.standing_in.stand_in("WEB1")
            port = source.service.port
            request = RestoreRequest(original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=port)
            await target.restoration.restore(request)
            await until(lambda: target.restoration.restorations()[0].state != "running")
            assert target.restoration.restorations()[0].state == "complete"
            assert EventCode.REPLICATION_ERROR not in source.codes()

    asyncio.run(scenario())


# --- hostile sources ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def told(target: Site, shares: list[Share], hello: Message = HELLO) -> AsyncIterator[Wire]:
    """A hostile source's session, in which it has told these shares."""
    async with session(target, hello) as wire:
        assert isinstance(await wire.receive(), Welcome)
        await wire.send(Begin("evil/1", 0))
        await wire.send(Shared(shares))
        yield wire


def share_of(**fields: Any) -> Share:
    return msgspec.structs.replace(PAGES, **fields)


@pytest.mark.parametrize(
    "shares",
    [
        [share_of(path="/etc")],
        [share_of(path="/")],
        [share_of(path="/web/../etc")],
        [share_of(path="web")],
        [share_of(path="/webs")],
        [share_of(path="/web/\0")],
        [share_of(path="/web/" + "a" * 5000)],
        [share_of(name="C$")],
        [share_of(name="ipc$")],
        [share_of(name="a\\b")],
        [share_of(name="")],
        [share_of(name="x" * 81)],
        [share_of(comment="x" * 256)],
        [share_of(comment="\x1b[2J")],
        [share_of(name=f"s{number}") for number in range(MAX_SHARES + 1)],
        [share_of(name=f"s{number}", path="/web/" + "a" * 4000) for number in range(20)],
    ],
    ids=lambda shares: shares[0].name[:8].encode().hex() + str(len(shares)),
)
def test_shares_that_no_source_may_tell_end_the_session_and_are_not_kept(shares: list[Share]) -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target):
            async with told(target, shares) as wire:
                await ends(wire)
            assert kept(target, "EVIL") == []

    asyncio.run(scenario())


def test_shares_in_a_restoration_end_the_session() -> None:
    async def scenario() -> None:
        target = victim()
        async with running(target):
            hello = msgspec.structs.replace(HELLO, purpose="restore")
            async with told(target, [PAGES], hello) as wire:
                await ends(wire)

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/", "/state", "/state/trust"])
def test_what_is_holds_or_lies_in_the_targets_own_directories_is_held_back(path: str) -> None:
    """Its keys are there."""

    async def scenario() -> None:
        target = victim()
        hello = msgspec.structs.replace(HELLO, replication_set=ReplicationSet("web", [Rule("/")]))
        async with running(target):
            async with told(target, [Share("all", path), Share("etc", "/etc")], hello):
                await until(lambda: kept(target, "EVIL"))
            assert kept(target, "EVIL") == [Share("etc", "/etc")]
            assert target.codes().count(EventCode.SHARE_LEFT_OUT) == 1

    asyncio.run(scenario())
