"""What applications need and no replication set holds is said at save, connect and in status."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import Site, protect, running

from bodydouble.errors import ServiceError
from bodydouble.replication.coverage import judge
from bodydouble.replication.rules import Selection
from bodydouble.vocabulary.applications import ApplicationDirectory
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine

INETPUB = Rule(path="C:/InetPub")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def selection(*rules: Rule) -> Selection:
    return Selection(ReplicationSet("IIS", list(rules)), case_sensitive=False, protected=["C:/Bodydouble"])


def needed(path: str) -> ApplicationDirectory:
    return ApplicationDirectory(path, "web site 1", "root")


@pytest.mark.parametrize(
    ("path", "rules", "state", "words"),
    [
        (r"c:\inetpub\wwwroot", [INETPUB], None, ""),
        (r"C:\InetPub\wwwroot", [INETPUB, Rule("C:/InetPub/wwwroot/tmp", include=False)], None, ""),
        (r"D:\shop", [INETPUB], "outside", "lies outside of the replication set 'IIS' (no rule matches): include it"),
        (r"C:\InetPub", [Rule("C:/InetPub/wwwroot")], "partly", "only in part"),
        (r"C:\InetPub\wwwroot", [Rule("C:/InetPub/wwwroot", recursive=False)], "partly", "only in part"),
        (r"C:\InetPub\mail", [INETPUB, Rule("C:/InetPub/m*", include=False)], "outside", "rule C:/InetPub/m* excludes"),
        (r"C:\Bodydouble\www", [Rule("C:/")], "outside", "never replicated"),
        (r"\\FILES\web", [INETPUB], "elsewhere", "share of another machine"),
        ("www", [INETPUB], "outside", "cannot be in a replication set: 'www': expected an absolute path"),
    ],
)
def test_a_directory_is_judged_by_the_rules(path: str, rules: list[Rule], state: str | None, words: str) -> None:
    found = judge(needed(path), {"IIS": selection(*rules)})
    assert (found and found.state) == state
    if found is not None:
        assert words in found.words
        assert path in found.words


def test_one_set_that_holds_all_of_it_is_enough() -> None:
    sets = {"mail": selection(Rule("C:/InetPub/mailroot")), "web": selection(Rule("C:/InetPub/wwwroot"))}
    assert judge(needed("C:/InetPub/wwwroot"), sets) is None
    missing = judge(needed("C:/InetPub/ftproot"), sets)
    assert missing is not None
    assert missing.replication_sets == ("mail", "web")
    assert "outside of the replication sets mail, web" in missing.words


class Applications:
    def __init__(self) -> None:
        self.known = [ApplicationDirectory("/web", "web site 1", "root")]
        self.damaged = False

    async def directories(self) -> list[ApplicationDirectory]:
        if self.damaged:
            raise ServiceError("metabase.bin: damaged")
        return self.known


def warnings(site: Site) -> list[str]:
    return [event.text for event in site.events.after(0) if event.code == EventCode.NOT_IN_THE_SET]


def test_warnings_come_at_save_and_connect_once_and_are_in_status() -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        source.mkdir("/web")
        applications = Applications()
        source.host = replace(source.host, applications=applications)
        async with running(source, target):
            await protect(source, target.service.port)
            assert warnings(source) == []
            applications.known.append(ApplicationDirectory("/shop", "web site 2", "root"))
            assert [each.directory.path for each in await source.service.coverage.now()] == ["/shop"]
            await source.service.coverage.now()
            assert len(warnings(source)) == 1
            assert "web site 2, root: /shop lies outside of the replication set 'web'" in warnings(source)[0]
            await source.service.save_set(ReplicationSet("other", [Rule("/other")]))
            assert len(warnings(source)) == 2
            await source.service.save_set(ReplicationSet("shop", [Rule("/shop")]))
            assert await source.service.coverage.saved() == []
            assert [each.state for each in await source.service.coverage.connected()] == ["outside"]
            await source.stop()
            await source.start()  # with an events log of its own
            assert len(warnings(source)) == 1, "a start tells what the connected sets lack"

    run(scenario())


def test_applications_that_cannot_be_asked_are_an_event_and_stop_nothing() -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        applications = Applications()
        applications.damaged = True
        source.host = replace(source.host, applications=applications)
        async with running(source, target):
            await protect(source, target.service.port)
            assert await source.service.coverage.now() == []
            assert len(warnings(source)) == 2  # at save and at connect
            assert "metabase.bin: damaged" in warnings(source)[0]

    run(scenario())
