"""Roots that are not there yet, come with a directory above them, vanish and come back; wildcards on the way."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import Site, request, running, until

from bodydouble.errors import FileSystemError
from bodydouble.replication.rules import Selection
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine

ELSEWHERE = ReplicationSet(name="web", rules=[Rule(path="/web"), Rule(path="/srv/site/data")])
LOGS = ReplicationSet(
    name="web",
    rules=[
        Rule(path="/in*/*.log"),
        Rule(path="/in*/keep", include=True, recursive=False),
        Rule(path="/in*/a?.log", include=False),
    ],
)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_a_root_that_is_missing_at_a_mirror_is_no_orphan() -> None:
    """As when its volume was not mounted: the one mirror would take the other copy away, too."""

    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await source.service.save_set(ELSEWHERE)
            await source.service.connect(request(target.service.port, orphans="delete"))
            await until(lambda: source.state() == "replicating")
            await source.stop()
            held = {path for path in source.volume.nodes if paths.is_beneath(path, "/web")}
            for path in held:
                del source.volume.nodes[path]
            await source.start()
            await until(lambda: source.state() == "replicating")
            assert held
            assert held <= set(target.volume.nodes)
            told = [event.text for event in source.events.after(0) if event.code == EventCode.ORPHAN]
            assert told == ["/web: this root is missing here (is its volume mounted?): kept there"]

    run(scenario())


def pair() -> tuple[Site, Site]:
    source, target = Site("WEB1"), Site("WEB2")
    source.mkdir("/web")
    source.put("/web/index.htm", b"index")
    return source, target


async def connected(source: Site, target: Site, replication_set: ReplicationSet) -> None:
    await source.service.save_set(replication_set)
    await source.service.connect(request(target.service.port))
    await until(lambda: source.state() == "replicating")
    target.volume.applied.clear()


async def settled(source: Site, target: Site, replication_set: ReplicationSet) -> None:
    """The target has what the set selects, directories on the way to it, and nothing else beneath its roots."""
    selection = Selection(replication_set, case_sensitive=True, protected=["/state"])

    def wanted() -> dict[str, object]:
        everything = source.volume.picture("/").items()
        return {
            path: each
            for path, each in everything
            if path != "/" and (selection.selects(path) or (each[0] and selection.replicates(path)))
        }

    def there() -> dict[str, object]:
        everything = target.volume.picture("/").items()
        return {
            path: each
            for path, each in everything
            if path != "/" and selection.within_roots(path) and not selection.protects(path)
        }

    await until(lambda: wanted() == there(), "the replica differs, or holds something else")
    await until(lambda: source.state() == "replicating")
    assert source.codes().count(EventCode.MIRROR_STARTED) == 1


def test_a_root_that_does_not_exist_yet_is_picked_up_when_it_is_made() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await connected(source, target, ELSEWHERE)
            for path in ("/srv", "/srv/site", "/srv/site/data"):
                source.mkdir(path)
            source.put("/srv/site/data/a", b"first")
            source.put("/srv/site/other", b"outside the set")
            await settled(source, target, ELSEWHERE)
            assert target.volume.get("/srv/site/data/a") is not None
            assert target.volume.get("/srv/site/other") is None

    run(scenario())


@pytest.mark.parametrize("above", ["/srv", "/srv/site", "/srv/site/data"])
def test_a_root_comes_and_goes_with_a_rename_above_it_without_a_mirror_of_the_rest(above: str) -> None:
    async def scenario() -> None:
        source, target = pair()
        rest = "/srv/site/data"[len(above) :]
        source.mkdir("/srv")
        if above == "/srv":
            source.volume.do(RemoveDirectory("/srv"))
        elif above == "/srv/site/data":
            source.mkdir("/srv/site")
        made = "/new"
        source.mkdir(made)
        for name in rest.strip("/").split("/") if rest else []:
            made = paths.join(made, name)
            source.mkdir(made)
        source.put(f"{made}/a", b"written where nobody looked")
        async with running(source, target):
            await connected(source, target, ELSEWHERE)
            source.volume.do(Rename("/new", above))
            await settled(source, target, ELSEWHERE)
            assert target.volume.get("/srv/site/data/a") is not None
            source.volume.do(Rename(above, "/old"))
            await settled(source, target, ELSEWHERE)
            assert target.volume.get("/srv/site/data/a") is None
            source.volume.do(Rename("/old", above))
            source.put("/srv/site/data/b", b"and on it goes")
            await settled(source, target, ELSEWHERE)
            assert not [each for each in target.volume.applied if each.path.startswith("/web")]

    run(scenario())


def test_a_root_that_is_removed_and_made_again_is_replicated() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await connected(source, target, ELSEWHERE)
            source.volume.do(RemoveFile("/web/index.htm"))
            source.volume.do(RemoveDirectory("/web"))
            await until(lambda: target.volume.get("/web") is None)
            source.mkdir("/web")
            source.put("/web/new.htm", b"new")
            await settled(source, target, ELSEWHERE)

    run(scenario())


def test_wildcards_on_the_way_select_what_comes_and_leave_out_the_rest() -> None:
    async def scenario() -> None:
        source, target = pair()
        source.mkdir("/inetpub")
        source.put("/inetpub/ex.log", b"mirrored")
        async with running(source, target):
            await connected(source, target, LOGS)
            source.put("/inetpub/ab.log", b"excluded")
            source.put("/inetpub/index.htm", b"matches nothing")
            source.put("/inside", b"a file where a directory would be on the way")
            source.mkdir("/inlet")
            source.put("/inlet/b.log", b"new directory")
            source.volume.do(SetMetadata("/inlet", Metadata(7)))
            source.volume.do(SetMetadata("/inside", Metadata(7)))
            await settled(source, target, LOGS)
            assert {path for path in target.volume.nodes if path.startswith("/in")} == {
                "/inetpub", "/inetpub/ex.log", "/inlet", "/inlet/b.log",
            }  # fmt: skip
            assert source.state() == "replicating"

    run(scenario())


DIRECTORIES = ["/in1", "/in2", "/out", "/in1/keep", "/in1/x.log", "/out/keep", "/in2/keep/deep", "/in1/ab.log"]
FILES = ["c.log", "ab.log", "page.htm"]


def act(random_: random.Random, source: Site) -> None:
    """Something that an application may do; what is not possible just now is not done."""
    directory = random_.choice(DIRECTORIES)
    path = paths.join(directory, random_.choice(FILES))
    with suppress(FileSystemError):
        match random_.randrange(6):
            case 0:
                source.mkdir(directory)
            case 1:
                source.put(random_.choice([path, path, directory]), random_.randbytes(9))
            case 2:
                source.volume.do(RemoveFile(path))
            case 3:
                source.volume.do(Rename(directory, random_.choice(DIRECTORIES)))
            case 4:
                source.volume.do(Rename(path, paths.join(random_.choice(DIRECTORIES), random_.choice(FILES))))
            case _:
                source.volume.do(SetMetadata(random_.choice([directory, path]), Metadata(random_.randrange(3))))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_moves_over_the_borders_of_the_rules_the_replica_converges(seed: int) -> None:
    async def scenario() -> None:
        random_ = random.Random(seed)
        source, target = pair()
        async with running(source, target):
            await connected(source, target, LOGS)
            for _ in range(150):
                act(random_, source)
                if random_.random() < 0.1:
                    await asyncio.sleep(0)
            await settled(source, target, LOGS)
            assert EventCode.REPLICATION_ERROR not in [*source.codes(), *target.codes()]

    run(scenario())
