"""The `Inventory` port: what a host says of itself is so."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING

import pytest

from bodydouble.adapters.inventory import LinuxInventory
from bodydouble.adapters.services import CommandService
from bodydouble.errors import ServiceError
from bodydouble.vocabulary.inventory import InstalledService
from bodydouble_sim.iis import metabase_file
from bodydouble_sim.storage.drive import Drive
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from tests.conformance.conftest import Body

    from bodydouble.ports import Host, Inventory
    from bodydouble_sim.windows.version import WindowsVersion


def inventory(host: Host) -> Inventory:
    assert host.inventory is not None
    return host.inventory


def test_a_host_says_which_system_it_is(plain: Body) -> None:
    async def case(host: Host) -> None:
        system = (await inventory(host).facts()).system
        windows = plain.root[1] == ":"
        assert system.key == ("windows-2000" if windows else "linux")
        assert system.title == ("Windows 2000" if windows else platform.freedesktop_os_release()["NAME"])
        assert (system.service_pack is not None) == windows

    plain.run(case)


def test_services_are_listed_as_they_are_registered(plain: Body) -> None:
    async def case(host: Host) -> None:
        facts = await inventory(host).facts()
        clock = next(each for each in facts.services if each.name == "Clock")
        status = await host.services.query("Clock Service")
        assert (
            (clock.display_name, clock.startup) == (status.display_name, status.startup) == ("Clock Service", "manual")
        )

    plain.run(case)


def test_a_host_without_the_application_has_no_installation(plain: Body) -> None:
    async def case(host: Host) -> None:
        assert (await inventory(host).facts()).installations == []

    plain.run(case)


# --- Windows ---


def on(
    version: WindowsVersion, service_pack: int, case: Callable[[WindowsMachine, Host], Coroutine[Any, Any, None]]
) -> None:
    world = World(1)
    machine = WindowsMachine(
        world, "TARGET", {"C": Drive(file_system="ntfs"), "D": Drive(file_system="ntfs")}, version=version,
        service_pack=service_pack,
    )  # fmt: skip

    async def on_the_machine() -> None:
        await case(machine, machine.host())

    async def main() -> None:
        machine.power_on()
        await machine.wait_booted()
        await machine.perform(on_the_machine(), name="case")

    try:
        world.run(main())
    finally:
        world.close()


@pytest.mark.parametrize(("version", "pack"), [(NT_4, 3), (NT_4, 6), (WINDOWS_2000, 0)])
def test_windows_says_its_service_pack_and_role(version: WindowsVersion, pack: int) -> None:
    async def case(_machine: WindowsMachine, host: Host) -> None:
        facts = await inventory(host).facts()
        assert (facts.system.key, facts.system.service_pack, facts.domain_role) == (version.key, pack, "standalone")
        assert facts.services_complete

    on(version, pack, case)


@pytest.mark.parametrize("version", [NT_4, WINDOWS_2000])
def test_iis_says_under_which_name_and_where_it_was_set_up(version: WindowsVersion) -> None:
    async def case(machine: WindowsMachine, host: Host) -> None:
        assert host.active_name is not None
        await host.active_name.change("SOURCE")
        result = await machine.command("install-iis /drive:D /directory:Web /manual")
        assert result.exit_code == 0, result.output
        await host.active_name.restore()
        facts = await inventory(host).facts()
        (found,) = facts.installations
        assert (found.application, found.version, found.set_up_as) == ("IIS", version.iis, "SOURCE")
        assert found.directory == "D:/Web"
        services = {each.name: each.startup for each in facts.services}
        assert services["W3SVC"] == "manual"
        await machine.command("sc config W3SVC start= auto type= own type= interact")
        web = next(each for each in (await inventory(host).facts()).services if each.name == "W3SVC")
        assert (web.startup, web.interactive) == ("automatic", True)

    on(version, 6 if version is NT_4 else 4, case)


def test_a_damaged_metabase_is_an_error_and_no_missing_one() -> None:
    async def case(machine: WindowsMachine, host: Host) -> None:
        machine.put_file(metabase_file.METABASE.replace("/", "\\"), b"not this")
        with pytest.raises(ServiceError, match="cannot be read"):
            await inventory(host).facts()

    on(WINDOWS_2000, 4, case)


# --- Linux with and without systemd ---


def with_systemctl(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = directory / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


UNITS = """cat <<'E'
nginx.service           enabled  enabled
apache2.service         disabled enabled
getty@.service          enabled  enabled
odd.service             masked   enabled
strange.service         linked   -
E"""
CLOCK = CommandService(name="nginx", display_name="Web", query=["true"], start=["true"], stop=["true"])


def listed(*services: CommandService) -> tuple[dict[str, str], bool]:
    facts = asyncio.run(LinuxInventory(list(services)).facts())
    return {each.name: each.startup for each in facts.services}, facts.services_complete


def test_systemd_says_which_services_start_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_systemctl(tmp_path, monkeypatch, UNITS)
    expected = {
        "nginx": "automatic", "apache2": "manual", "getty@": "automatic", "odd": "disabled", "strange": "unknown",
    }  # fmt: skip
    assert listed() == (expected, True)
    assert listed(CLOCK) == (expected, True)


def test_what_the_configuration_says_of_a_service_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_systemctl(tmp_path, monkeypatch, UNITS)
    clock = CommandService(name="nginx", startup="manual", query=["true"], start=["true"], stop=["true"])
    assert listed(clock)[0]["nginx"] == "manual"


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 60"])
def test_without_systemd_the_list_is_not_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    with_systemctl(tmp_path, monkeypatch, script)
    monkeypatch.setattr("bodydouble.adapters.inventory._QUERY_SECONDS", 0.5)
    facts = asyncio.run(LinuxInventory([CLOCK]).facts())
    assert facts.services == [InstalledService(name="nginx", display_name="Web")]
    assert not facts.services_complete
