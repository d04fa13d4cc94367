"""Every check of a preflight sees the defect that it is for, passes what is right, and says when it cannot know."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from tests.product.preflight.machines import ADAPTER, changed, good, texts

from bodydouble.preflight.catalog import CHECKS, preflight
from bodydouble.preflight.scripts import read
from bodydouble.vocabulary.applications import ApplicationDirectory, Uncovered
from bodydouble.vocabulary.inventory import InstalledService
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.records import InterfaceAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.preflight.findings import Finding, Situation

    Change = Callable[[Situation], Situation]

OVER, BACK = "post-failover", "pre-failback"
SHOP = ApplicationDirectory("D:\\shop", "web site 2 (Shop)", "root")


def at(side: str, path: str, value: Any) -> Change:
    """One part of a side's facts is something else."""

    def change(situation: Situation) -> Situation:
        return dataclasses.replace(situation, **{side: changed(getattr(situation, side), path, value)})

    return change


def both(path: str, value: Any) -> Change:
    return lambda situation: at("target", path, value)(at("source", path, value)(situation))


def all_of(*changes: Change) -> Change:
    def change(situation: Situation) -> Situation:
        for each in changes:
            situation = each(situation)
        return situation

    return change


def written(event: str, content: str) -> Change:
    """A script has another text."""

    def change(situation: Situation) -> Situation:
        number = 0 if event == OVER else 1
        before = situation.host("target").scripts[number]
        fresh = msgspec.structs.replace(read(before.path, content), programs=before.programs)
        return at("target", f"scripts.{number}", fresh)(situation)

    return change


def text(event: str, old: str, new: str, *more: tuple[str, str]) -> Change:
    """Something else stands in a script."""

    def change(situation: Situation) -> Situation:
        content = texts(situation.profile.name)[0 if event == OVER else 1]
        for before, after in ((old, new), *more):
            assert before in content, content
            content = content.replace(before, after)
        return written(event, content)(situation)

    return change


def without_service(side: str, name: str) -> Change:
    def change(situation: Situation) -> Situation:
        services = situation.facts(cast("Any", side)).services
        return at(side, "facts.services", [each for each in services if each.name != name])(situation)

    return change


def service(side: str, name: str, **values: Any) -> Change:
    def change(situation: Situation) -> Situation:
        services = situation.facts(cast("Any", side)).services
        number = next(number for number, each in enumerate(services) if each.name == name)
        for key, value in values.items():
            situation = at(side, f"facts.services.{number}.{key}", value)(situation)
        return situation

    return change


REQUEST = "monitors.0.request"
TAKE, GIVE = '"C:\\Bodydouble\\chngname" /s SOURCE\n', '"C:\\Bodydouble\\chngname" /t\n'

# profile, what is planted, the check that must see it, its verdict, and words that it must say
PLANTED: list[tuple[str, Change, str, str, str]] = [
    ("iis5", at("target", "facts.system.key", "windows-nt-4"), "same-system", "fail", "the source runs Windows 2000"),
    ("iis5", at("target", "facts.system.service_pack", 2), "same-system", "warn", "Service Pack 4, the target"),
    ("nginx", at("target", "facts.system.version", "11"), "same-system", "warn", "Linux 12, the target Debian"),
    ("iis4", both("facts.system.key", "windows-2000"), "application-system", "fail", "the target runs"),
    ("iis4", at("source", "facts.system.service_pack", 3), "service-pack", "fail", "the source has Service Pack 3; 4"),
    ("iis4", at("target", "facts.system.service_pack", 0), "service-pack", "fail", "the target has none; 4 or higher"),
    ("iis4", at("target", "facts.system.service_pack", None), "service-pack", "unknown", "does not say which"),
    ("iis4", at("target", "facts.domain_role", "primary-controller"), "domain-role", "warn", "a primary domain cont"),
    ("iis5", at("source", "facts.domain_role", "backup-controller"), "domain-role", "warn", "a backup domain contr"),
    (
        "iis5",
        at("target", "identity.addresses.1.address", "10.0.1.20/24"),
        "same-network",
        "fail",
        "the source is in 10.0.0.0/24, the target in 10.0.1.0/24",
    ),
    ("iis5", at("target", "version", "0.9"), "product", "warn", "the target 0.9"),
    ("iis5", at("target", "facts.installations", []), "application", "fail", "IIS 5.0 is not on the target"),
    ("iis5", at("source", "facts.installations.0.version", "4.0"), "application", "fail", "IIS 4.0 is on the source"),
    ("nginx", without_service("target", "nginx"), "application", "fail", "nginx is not on the target"),
    (
        "nginx",
        all_of(without_service("target", "nginx"), at("target", "facts.services_complete", value=False)),
        "application",
        "unknown",
        "does not list them all",
    ),
    (
        "iis5",
        at("target", "facts.installations.0.directory", "D:/InetPub"),
        "same-directory",
        "fail",
        "C:/InetPub on the source and D:/InetPub on the target",
    ),
    ("iis5", at("source", "facts.installations.0.directory", ""), "same-directory", "unknown", "does not say where"),
    ("iis5", at("target", "facts.installations.0.set_up_as", "TARGET"), "set-up-name", "fail", "the name TARGET; the"),
    ("iis5", at("target", "facts.installations", []), "set-up-name", "unknown", "does not say under which name"),
    ("iis5", at("target", "identity.primary_name", "SOURCE"), "own-name", "fail", "active name is SOURCE, its own TAR"),
    ("iis5", at("target", "identity.permanent_name", "source"), "own-name", "fail", "own name is the source's"),
    ("iis5", service("target", "W3SVC", startup="automatic"), "services-manual", "fail", "(W3SVC) starts: automatic"),
    ("iis4", service("target", "cisvc", startup="automatic"), "services-manual", "fail", "(cisvc) starts: automatic"),
    ("iis4", service("target", "SMTPSVC", startup="disabled"), "services-manual", "fail", "(SMTPSVC) starts: disabled"),
    ("nginx", service("target", "nginx", startup="unknown"), "services-manual", "unknown", "starts: unknown"),
    ("iis5", without_service("target", "NNTPSVC"), "services-manual", "fail", "(NNTPSVC) is on the source and not"),
    ("iis5", at("source", "directories", [SHOP]), "same-sites", "warn", "D:\\shop is not configured on the target"),
    (
        "iis5",
        at("target", "directories.0.path", "D:\\InetPub\\wwwroot"),
        "same-sites",
        "warn",
        "D:\\InetPub\\wwwroot on the target",
    ),
    ("iis5", at("target", "directories", None), "same-sites", "unknown", "the target's sites keep their data is not"),
    ("iis5", service("target", "Bodydouble", interactive=False), "desktop", "warn", "may not interact"),
    ("iis5", without_service("target", "Bodydouble"), "desktop", "unknown", "does not say how"),
    (
        "iis5",
        at("source", "uncovered", [Uncovered(SHOP, "outside", "lies outside of the set")]),
        "sites-in-set",
        "fail",
        "web site 2 (Shop), root: D:\\shop lies outside",
    ),
    ("iis5", at("source", "sets", []), "sites-in-set", "fail", "no replication set"),
    ("iis5", at("source", "directories", None), "sites-in-set", "unknown", "is not known"),
    ("iis5", at("source", "connections", []), "connection", "fail", "no connection"),
    ("iis5", at("source", "connections.0.state", "stopped"), "connection", "fail", "is stopped"),
    ("iis5", at("source", "connections.0.state", "mirroring"), "connection", "warn", "is mirroring"),
    ("iis5", at("source", "connections.0.route", "10.0.0.30"), "route", "fail", "connection 1 goes to 10.0.0.30"),
    ("iis5", at("source", "connections.0.route", "127.0.0.1"), "route", "warn", "only the target itself can reach"),
    ("iis5", at("source", "connections.0.target", "10.0.0.30"), "connection", "fail", "no connection to the target"),
    ("iis5", at("source", "connections.0.target", "standby"), "route", "unknown", "goes to standby, a name"),
    (
        "iis5",
        at("source", "identity.addresses.1.address", "10.0.1.10/24"),
        "route",
        "warn",
        "in no network of the source's",
    ),
    ("iis5", at("source", "connections.0.base", "D:/Replica"), "one-to-one", "fail", "maps: D:/Replica"),
    (
        "iis5",
        at("source", "connections.0.mapping", [PathMapping("C:/InetPub", "D:/Web")]),
        "one-to-one",
        "fail",
        "maps: C:/InetPub to D:/Web",
    ),
    ("iis5", at("source", "connections.0.compatibility", "4.1"), "remirror", "fail", "compatibility 4.1"),
    ("iis5", at("target", "monitors", []), "monitor", "fail", "no monitor of SOURCE; it has none"),
    ("iis5", at("target", f"{REQUEST}.source", "OTHER"), "monitor", "fail", "no monitor of SOURCE; it has OTHER"),
    ("iis5", at("target", "monitors.0.state", "stopped"), "monitor", "fail", "stopped"),
    ("iis5", at("target", "monitors.0.state", "failed-over"), "monitor", "warn", "failed-over"),
    (
        "iis5",
        at("target", "identity.addresses.0", InterfaceAddress(ADAPTER, "10.0.0.10/24")),
        "failover-address",
        "fail",
        "10.0.0.10/24 is on the target already",
    ),
    (
        "iis5",
        at("target", f"{REQUEST}.addresses.0.address", "10.0.0.11/24"),
        "failover-address",
        "fail",
        "10.0.0.11/24 is not the source's",
    ),
    (
        "iis5",
        at("target", f"{REQUEST}.addresses.0.interface", "LAN 2"),
        "failover-address",
        "fail",
        "for the adapter 'LAN 2', which the target has not",
    ),
    (
        "iis5",
        at("target", "identity.addresses.1.address", "10.0.1.20/24"),
        "failover-address",
        "fail",
        "is not in the network of the target's Local Area Connection",
    ),
    ("iis5", at("target", "monitors", []), "failover-address", "fail", "no monitor"),
    ("iis5", at("target", f"{REQUEST}.name", value=False), "failover-identity", "warn", "leaves the name SOURCE alone"),
    ("iis5", at("target", f"{REQUEST}.identity", "replace"), "failover-identity", "warn", "replaces the target's own"),
    ("iis5", at("target", f"{REQUEST}.identity", "replace"), "failover-identity", "warn", "after it is renamed"),
    ("iis5", at("target", f"{REQUEST}.scripts.pre_failback", ""), "scripts-set", "fail", "pre-failback: none is set"),
    (
        "iis5",
        at("target", "scripts.0.trouble", "there is no such file"),
        "scripts-readable",
        "fail",
        "POSTOVER.BAT: there is no such file",
    ),
    ("iis5", at("target", "scripts", []), "scripts-readable", "unknown", "does not say what is in it"),
    ("iis5", text(OVER, "C:\\Body", "<drive>\\Body"), "script-placeholders", "fail", "line 8: <drive> was not"),
    ("iis5", text(OVER, "/s SOURCE", "/s source_name"), "script-placeholders", "fail", "source_name was not replaced"),
    ("iis5", text(OVER, "/s SOURCE", "/s OTHER"), "script-name", "fail", "line 8: the name is OTHER, the source's SOU"),
    ("iis5", text(OVER, TAKE, ""), "script-name", "fail", "chngname /s SOURCE is missing"),
    ("iis5", text(OVER, GIVE, ""), "script-name", "fail", "chngname /t is missing"),
    ("iis5", text(OVER, TAKE, f"{GIVE}{TAKE}"), "script-name", "fail", "put back before the other one is taken"),
    ("iis5", text(OVER, TAKE, f"net start W3SVC\n{TAKE}"), "script-name", "fail", "a service starts before the name"),
    ("iis5", text(OVER, GIVE, f"{GIVE}net start Late\n"), "script-name", "fail", "starts after the name was put back"),
    ("iis5", text(OVER, GIVE, f'net start "Content Index"\n{GIVE}'), "script-services", "fail", "'Content Index'"),
    ("iis5", text(BACK, "setlocal", "net stop Old"), "script-services", "fail", "PREBACK.BAT, line 4: the target has"),
    (
        "nginx",
        all_of(text(OVER, "start_service nginx", "start_service apache2"),
               at("target", "facts.services_complete", value=False)),
        "script-services",
        "unknown",
        "no service 'apache2' that it lists",
    ),
    ("iis4", text(OVER, "net start cisvc", "rem x"), "script-starts", "fail", "does not start Content Index (cisvc)"),
    ("iis5", text(OVER, "net start SMTPSVC", "rem x"), "script-starts", "warn", "does not start Simple Mail Transport"),
    ("iis4", text(BACK, "net stop cisvc", "rem x"), "script-stops", "fail", "PREBACK.BAT does not stop cisvc"),
    ("nginx", text(BACK, "stop_service nginx", "# x"), "script-stops", "fail", "does not stop nginx"),
    (
        "iis4",
        text(OVER, "net start cisvc", 'rem net start "Content Index"'),
        "script-remarks",
        "warn",
        "start Content Index is a comment",
    ),
    ("iis5", at("target", "scripts.0.programs.0.there", value=False), "chngname", "fail", "has no C:\\Bodydouble"),
    ("iis5", at("target", "scripts.0.programs", []), "chngname", "unknown", "cannot be told"),
    ("iis5", text(OVER, TAKE, "", (GIVE, "")), "chngname", "fail", "does not call it"),
    (
        "nginx",
        all_of(text(OVER, "start_service nginx", "bodydouble chngname /s SOURCE; start_service nginx"),
               at("target", "chngname", value=False)),
        "chngname",
        "fail",
        "the target's name cannot be changed",
    ),
    (
        "nginx",
        all_of(text(OVER, "start_service nginx", "'/opt/x y/bodydouble' chngname /s SOURCE"),
               at("target", "chngname", value=False)),
        "chngname",
        "fail",
        "the target's name cannot be changed",
    ),
]  # fmt: skip


def of(findings: list[Finding], check: str) -> list[Finding]:
    return [each for each in findings if each.check == check]


@pytest.mark.parametrize("name", ["iis4", "iis5", "nginx"])
def test_machines_that_were_set_up_as_the_note_says_pass_every_check(name: str) -> None:
    report = preflight(good(name))
    assert [each for each in report.findings if each.verdict != "pass"] == []
    assert report.verdict == "pass"
    assert list(dict.fromkeys(each.check for each in report.findings)) == [each.name for each in CHECKS]


@pytest.mark.parametrize(("name", "plant", "check", "verdict", "words"), PLANTED)
def test_a_planted_defect_is_seen_by_its_check(name: str, plant: Change, check: str, verdict: str, words: str) -> None:
    report = preflight(plant(good(name)))
    seen = [each for each in of(report.findings, check) if each.verdict == verdict and words in each.detail]
    assert seen, of(report.findings, check)
    assert all(each.remedy and each.reason and each.section for each in seen)
    assert report.verdict == "fail" if verdict == "fail" else report.verdict in ("fail", "unknown", "warn")


def test_every_check_is_shown_a_defect() -> None:
    assert {each.name for each in CHECKS} == {check for _, _, check, _, _ in PLANTED}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_a_check_cannot_know_it_says(check: Any) -> None:
    situation = good("iis5")
    for need in check.needs:
        side, _, part = need.partition(" ")
        nobody: Any = {side: None, f"{side}_trouble": "no answer from 10.0.0.9"}
        lacking = at(side, "facts", None)(situation) if part else dataclasses.replace(situation, **nobody)
        (finding,) = of(preflight(lacking).findings, check.name)
        assert finding.verdict == "unknown"
        assert ("does not say what it is" if part else "could not be asked: no answer from 10.0.0.9") in finding.detail


def test_without_any_answer_every_check_is_not_known() -> None:
    situation = dataclasses.replace(good("iis4"), source=None, target=None)
    report = preflight(situation)
    assert {each.verdict for each in report.findings} == {"unknown"}
    assert report.verdict == "unknown"


def test_the_notes_own_scripts_pass_once_they_are_filled_in() -> None:
    printed = Path(__file__).parents[3] / "labs" / "scenarios" / "scripts"
    over, back = ((printed / name).read_text() for name in ("POSTOVER.BAT", "PREBACK.BAT"))
    situation = all_of(written(BACK, back), written(OVER, over))(good("iis5"))
    left = [each.detail for each in of(preflight(situation).findings, "script-placeholders")]
    assert [each.partition("line ")[2] for each in left] == [
        "6: <drive> was not replaced",
        "6: <directory> was not replaced",
        "6: source_name was not replaced",
        "21: <drive> was not replaced",
        "21: <directory> was not replaced",
    ]
    filled = over.replace("<drive>\\<directory>", "C:\\Bodydouble").replace("source_name", "SOURCE")
    report = preflight(written(OVER, filled)(situation))
    assert [each for each in report.findings if each.verdict != "pass"] == []
    index = all_of(written(BACK, back), written(OVER, filled))(good("iis4"))
    seen = {(each.check, each.verdict) for each in preflight(index).findings if each.verdict != "pass"}
    assert seen == {("script-starts", "fail"), ("script-remarks", "warn")}


def test_details_name_line_numbers_that_are_right() -> None:
    situation = text(OVER, "net start W3SVC\n", "net start W4SVC\n")(good("iis5"))
    (finding,) = [each for each in of(preflight(situation).findings, "script-services") if "W4SVC" in each.detail]
    found = re.search(r"line (\d+)", finding.detail)
    assert found is not None
    assert texts("iis5")[0].splitlines()[int(found[1]) - 1] == "net start W3SVC"


def test_a_service_that_the_source_does_not_use_need_not_be_started() -> None:
    unused = all_of(service("source", "SMTPSVC", startup="disabled"), text(OVER, "net start SMTPSVC", "rem x"))
    assert {each.verdict for each in of(preflight(unused(good("iis5"))).findings, "script-starts")} == {"pass"}


def test_while_the_target_stands_in_the_address_may_be_there() -> None:
    standing = all_of(
        at("target", "monitors.0.state", "failed-over"),
        at("target", "identity.addresses.0", InterfaceAddress(ADAPTER, "10.0.0.10/24")),
        at("target", "identity.primary_name", "SOURCE"),
    )
    report = preflight(standing(good("iis5")))
    assert {each.verdict for each in of(report.findings, "failover-address")} == {"pass"}
    assert {each.verdict for each in of(report.findings, "own-name")} == {"warn"}


def test_a_service_that_only_the_target_has_is_judged_as_well() -> None:
    only = all_of(without_service("source", "NNTPSVC"), service("target", "NNTPSVC", startup="automatic"))
    failed = [each.detail for each in of(preflight(only(good("iis5"))).findings, "services-manual")]
    assert "Network News Transport Protocol (NNTP) (NNTPSVC) starts: automatic" in failed


def test_connections_to_other_targets_are_none_of_its_business() -> None:
    situation = good("iis5")
    (ours,) = situation.host("source").connections
    other = msgspec.structs.replace(
        ours, id=2, target="10.0.0.30", state="stopped", base="D:/Copy", compatibility="4.1"
    )
    report = preflight(at("source", "connections", [other, ours])(situation))
    assert [each for each in report.findings if each.verdict != "pass"] == []


def test_a_connection_to_the_targets_name_is_judged_too() -> None:
    named = all_of(at("source", "connections.0.target", "target"), at("source", "connections.0.base", "D:/Copy"))
    seen = {each.check: each.verdict for each in preflight(named(good("iis5"))).findings}
    assert (seen["connection"], seen["route"], seen["one-to-one"]) == ("pass", "unknown", "fail")


def test_services_are_found_by_all_their_names() -> None:
    named = at("target", "facts.services", [InstalledService(name="x", other_names=("w3svc",), startup="automatic")])
    failed = [each.detail for each in of(preflight(named(good("iis5"))).findings, "services-manual")]
    assert "World Wide Web Publishing Service (x) starts: automatic" in failed
