"""Which releases of Windows, file systems and versions of IIS a scenario may ask for together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble_labs.errors import ScenarioError
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.model import IIS_SERVICES
from bodydouble_labs.scenario.systems import remarks, system_of

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble_labs.scenario.model import Scenario

NT_4, IIS_4 = "windows-nt-4, service_pack: 6", "/version:4.0"
W2K, IIS_5 = "windows-2000", "/version:5.0"


def changed(tmp_path: Path, *changes: tuple[str, str], shipped: str = "iis4-power-loss") -> Path:
    text = find(shipped).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = tmp_path / "changed.yaml"
    file.write_text(text)
    return file


def refused(tmp_path: Path, *changes: tuple[str, str], shipped: str = "iis4-power-loss") -> str:
    file = changed(tmp_path, *changes, shipped=shipped)
    with pytest.raises(ScenarioError) as caught:
        load(file)
    place, _, words = str(caught.value).partition(": ")
    assert place == f"{file}:{caught.value.line}"
    assert caught.value.line > 1
    return words


def mixed(tmp_path: Path, target: str = NT_4) -> Scenario:
    """The source on Windows 2000, the target on NT 4.0."""
    return load(changed(tmp_path, (NT_4, W2K), (IIS_4, IIS_5), (NT_4, target)))


@pytest.mark.behaviour("the note, Requirements: IIS 4.0 is that of NT 4.0, IIS 5.0 that of Windows 2000")
@pytest.mark.parametrize(
    ("shipped", "old", "new", "words"),
    [
        ("iis5-power-loss", IIS_5, IIS_4, "IIS 4.0 does not run on Windows 2000, which source has; IIS 5.0 does"),
        ("iis4-power-loss", IIS_4, IIS_5, "IIS 5.0 does not run on Windows NT 4.0, which source has; IIS 4.0 does"),
    ],
)
def test_iis_of_the_other_release_is_refused_at_its_step(
    tmp_path: Path, shipped: str, old: str, new: str, words: str
) -> None:
    assert refused(tmp_path, (old, new), shipped=shipped) == f"timeline[0].command: {words}"


def test_a_set_up_that_is_expected_to_fail_may_ask_for_anything(tmp_path: Path) -> None:
    step = "command: 'install-iis /version:4.0 /drive:C'"
    file = changed(tmp_path, (step, f"{step.replace('4.0', '5.0')}\n    exit_code: 1"))
    assert load(file).name == "iis4-power-loss"


@pytest.mark.behaviour("reference/windows-iis.md, File systems: NT 4.0 cannot mount FAT32")
def test_fat32_on_nt4_is_refused_at_its_drive(tmp_path: Path) -> None:
    words = refused(tmp_path, ("{C: ntfs}", "{C: ntfs, D: fat32}"))
    assert words == "hosts.source.drives.D: Windows NT 4.0 cannot mount fat32; it mounts ntfs or fat16"


def test_an_unknown_file_system_is_refused(tmp_path: Path) -> None:
    assert "hosts.source.drives.C: expected fat16, fat32 or ntfs" in refused(tmp_path, ("{C: ntfs}", "{C: ext4}"))


def test_a_server_without_drive_c_is_refused(tmp_path: Path) -> None:
    assert "the drive C is missing" in refused(tmp_path, ("{C: ntfs}", "{D: ntfs}"))


def test_a_service_pack_that_never_was_is_refused(tmp_path: Path) -> None:
    words = refused(tmp_path, (W2K, f"{W2K}, service_pack: 5"), shipped="iis5-power-loss")
    assert words.startswith("hosts.source.service_pack: ")
    assert "0 to 4" in words


@pytest.mark.behaviour("reference/windows-iis.md, Versions: the Option Pack needs Service Pack 3")
def test_iis4_without_its_service_pack_is_refused(tmp_path: Path) -> None:
    words = refused(tmp_path, ("service_pack: 6", "service_pack: 2"))
    assert words == "timeline[0].command: IIS 4.0 needs Service Pack 3 or higher; source has 2"


def test_a_client_has_no_service_pack(tmp_path: Path) -> None:
    assert "a client has no" in refused(tmp_path, ("computer_name: CLIENT", "computer_name: CLIENT, service_pack: 1"))


def test_shipped_scenarios_need_no_remark() -> None:
    assert remarks(load(find("iis4-power-loss"))) == remarks(load(find("iis5-power-loss"))) == []


@pytest.mark.behaviour("the note, Requirements: both servers should run the same operating system")
def test_two_operating_systems_are_allowed_and_remarked(tmp_path: Path) -> None:
    (remark,) = remarks(mixed(tmp_path))
    assert remark.startswith("the source runs Windows 2000, the target Windows NT 4.0: ")


@pytest.mark.behaviour("the note, Requirements: NT 4.0 with Service Pack 4 or higher")
def test_service_pack_3_is_allowed_and_remarked(tmp_path: Path) -> None:
    found = remarks(load(changed(tmp_path, ("service_pack: 6", "service_pack: 3"))))
    assert found == ["source has Service Pack 3 of Windows NT 4.0: the note wants 4 or higher"]


@pytest.mark.behaviour("reference/windows-iis.md, Services: Content Index belongs to IIS 4.0 only")
def test_each_server_has_the_services_of_its_own_iis(tmp_path: Path) -> None:
    scenario = mixed(tmp_path)
    assert "cisvc" not in scenario.services_of("source")
    assert scenario.services_of("target") == list(IIS_SERVICES["windows-nt-4"])
    assert "cisvc" in scenario.services_of("target")


def test_services_that_the_scenario_names_are_those_of_both_servers(tmp_path: Path) -> None:
    scenario = load(changed(tmp_path, ("  records: records", "  records: records\n  services: [IISADMIN, W3SVC]")))
    assert scenario.services_of("source") == scenario.services_of("target") == ["IISADMIN", "W3SVC"]


def test_the_latest_service_pack_is_meant_when_none_is_named(tmp_path: Path) -> None:
    scenario = load(changed(tmp_path, (", service_pack: 6", "")))
    assert system_of(scenario.source)[1] == 6
    assert system_of(load(find("iis5-power-loss")).source)[1] == 4
