"""The note's scripts and its name rule on live hosts, through the remote door, with curl as the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.windows.host import DIRECTORY, status

from bodydouble_sim.windows.version import NT_4

if TYPE_CHECKING:
    from tests.e2e.windows.host import LiveHost

pytestmark = pytest.mark.program("curl")

CHNGNAME = rf"{DIRECTORY}\chngname"
IIS = {"IIS Admin Service", "FTP Publishing Service", "World Wide Web Publishing Service"}


def prepared(host: LiveHost, *, content_index: bool) -> None:
    """The note's "Install and Configure Software on the Target": set up under SOURCE, manual, its own name back."""
    host.done(CHNGNAME, "/s", "SOURCE")
    host.install_iis("/manual")
    host.done("net", "stop", '"IIS Admin Service"', "/y")
    if host.version is NT_4:
        host.done("net", "stop", '"Content Index"')
    host.done(CHNGNAME, "/t")
    host.put_scripts("SOURCE", content_index=content_index)


@pytest.mark.behaviour("the note, Naming Conventions: IIS does not run while TARGET is the primary name")
def test_iis_set_up_as_source_starts_under_that_name_only_and_keeps_running_after_it(fresh: LiveHost) -> None:
    prepared(fresh, content_index=False)
    assert fresh.run("net", "start", "W3SVC").status == 2
    assert status(fresh.base + "/") == 0
    fresh.done(CHNGNAME, "/s", "SOURCE")
    assert fresh.done("hostname") == "source\r\n"
    fresh.done("net", "start", "W3SVC")
    fresh.done(CHNGNAME, "/t")
    assert fresh.done("hostname") == "target\r\n"
    assert status(fresh.base + "/") == 200


@pytest.mark.behaviour("the note, Install Software on the Target, 4 and 10: manual services stay stopped at a boot")
def test_after_a_restart_the_services_are_as_their_startup_types_say(fresh: LiveHost) -> None:
    prepared(fresh, content_index=False)
    fresh.done("cmd", "/c", rf"{DIRECTORY}\POSTOVER.BAT")
    assert status(fresh.base + "/") == 200
    assert fresh.stop() == 0
    fresh.start()
    assert fresh.running().isdisjoint(IIS)
    assert status(fresh.base + "/") == 0


@pytest.mark.behaviour("the note, Configure Failover: an automatic IIS set up as SOURCE fails at TARGET's boot")
def test_automatic_services_fail_at_a_boot_under_the_targets_own_name(fresh: LiveHost) -> None:
    fresh.done(CHNGNAME, "/s", "SOURCE")
    fresh.install_iis()
    fresh.done(CHNGNAME, "/t")
    assert status(fresh.base + "/") == 200
    assert fresh.stop() == 0
    fresh.start()
    assert fresh.running().isdisjoint(IIS)
    assert status(fresh.base + "/") == 0


@pytest.mark.behaviour("the note, POSTOVER.BAT and PREBACK.BAT as printed")
def test_the_notes_scripts_bring_the_site_up_and_down(fresh: LiveHost) -> None:
    content_index = fresh.version is NT_4
    prepared(fresh, content_index=content_index)
    postover = fresh.done(rf"{DIRECTORY}\POSTOVER.BAT")
    assert status(fresh.base + "/") == 200
    assert "service name is invalid" not in postover
    assert fresh.running() >= IIS
    assert ("Content Index" in fresh.running()) == content_index
    assert fresh.done("hostname") == "target\r\n"
    fresh.done(rf"{DIRECTORY}\PREBACK.BAT")
    assert status(fresh.base + "/") == 0
    assert fresh.running().isdisjoint({*IIS, "Content Index"})


@pytest.mark.behaviour("the note, POSTOVER.BAT: the Content Index lines are for IIS 4.0")
def test_the_content_index_lines_work_on_iis_4_and_fail_visibly_on_iis_5(fresh: LiveHost) -> None:
    prepared(fresh, content_index=True)
    ran = fresh.run(rf"{DIRECTORY}\POSTOVER.BAT")
    assert ("The service name is invalid." in ran.errors) == (fresh.version is not NT_4)
    assert ("Content Index" in fresh.running()) == (fresh.version is NT_4)
    assert status(fresh.base + "/") == 200
    ran = fresh.run(rf"{DIRECTORY}\PREBACK.BAT")
    assert ("The service name is invalid." in ran.errors) == (fresh.version is not NT_4)
    assert status(fresh.base + "/") == 0


@pytest.mark.behaviour("the note, Configure Failover: commented out, the Content Index is left alone")
def test_the_content_index_stays_stopped_while_its_lines_are_comments(fresh: LiveHost) -> None:
    prepared(fresh, content_index=False)
    fresh.done(rf"{DIRECTORY}\POSTOVER.BAT")
    assert "Content Index" not in fresh.running()
    assert status(fresh.base + "/") == 200


@pytest.mark.behaviour("the note, Requirements: IIS 4.0 on NT 4.0, IIS 5.0 on Windows 2000")
def test_iis_of_the_other_release_is_refused_by_its_set_up(fresh: LiveHost) -> None:
    other = "5.0" if fresh.version is NT_4 else "4.0"
    ran = fresh.run("install-iis", f"/version:{other}")
    assert ran.status == 1
    assert f"IIS {other} does not run on" in ran.output
