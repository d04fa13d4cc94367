"""Standalone servers, domain members and domain controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.errors import InputError
from bodydouble_sim.windows import roles
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.registry import PRODUCT_OPTIONS
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.roles import Role
    from bodydouble_sim.world import World

    Build = Callable[..., WindowsMachine]


@pytest.fixture
def controller(world: World) -> Build:
    segment = world.network.segment("lan")

    def build(name: str, address: str, role: Role, version: Any = NT_4) -> WindowsMachine:
        machine = WindowsMachine(world, name, version=version, role=role, domain="LAB")
        machine.plug(segment, address)
        return machine

    return build


async def booted(machine: WindowsMachine) -> None:
    machine.power_on()
    await machine.wait_booted()


def netlogon(machine: WindowsMachine) -> tuple[str, list[int]]:
    log = machine.system.event_log.entries
    return machine.system.scm.find("Netlogon").state, [e.number for e in log if e.source == "NETLOGON"]


@pytest.mark.behaviour("Microsoft, ProductOptions: LanmanNT is a domain controller")
@pytest.mark.parametrize(
    ("role", "product"),
    [
        ("standalone", "ServerNT"),
        ("member", "ServerNT"),
        ("primary-controller", "LanmanNT"),
        ("backup-controller", "LanmanNT"),
    ],
)
def test_the_product_type_tells_a_domain_controller(world: World, role: Role, product: str) -> None:
    system = WindowsMachine(world, "M", role=role, domain="LAB").system
    assert (system.registry.text(PRODUCT_OPTIONS, "ProductType"), system.role, system.domain) == (product, role, "LAB")


@pytest.mark.behaviour('Microsoft, "Windows 2000 default groups": operators instead of Power Users on controllers')
def test_a_domain_controller_has_operators_instead_of_power_users(world: World) -> None:
    alone = WindowsMachine(world, "A").system.accounts.groups()
    controller = WindowsMachine(world, "B", role="primary-controller", domain="LAB").system.accounts.groups()
    assert "Power Users" in alone
    assert "Power Users" not in controller
    assert {"Server Operators", "Account Operators", "Print Operators"} <= set(controller)


@pytest.mark.behaviour('the note, "Requirements": standalone servers are recommended')
def test_a_controller_is_cautioned_and_a_standalone_server_is_not(world: World) -> None:
    assert roles.cautions(WindowsMachine(world, "A").system) == []
    (text,) = roles.cautions(WindowsMachine(world, "B", role="backup-controller", domain="LAB").system)
    assert "backup domain controller" in text


@pytest.mark.behaviour("NETLOGON 3095: a member of a workgroup needs no Net Logon")
def test_net_logon_does_not_run_on_a_standalone_server(world: World) -> None:
    machine = WindowsMachine(world, "A")

    async def main() -> int:
        await booted(machine)
        return (await machine.command("net start Netlogon")).exit_code

    assert world.run(main()) == 2
    assert netlogon(machine) == ("stopped", [3095])


@pytest.mark.behaviour("KB 167248: a primary domain controller is already running in this domain, 3097 and 7024")
def test_a_second_primary_controller_does_not_get_its_net_logon_up(world: World, controller: Build) -> None:
    first = controller("ONE", "10.0.0.1/24", "primary-controller")
    second = controller("TWO", "10.0.0.2/24", "primary-controller")

    async def main() -> None:
        await booted(first)
        await booted(second)

    world.run(main())
    assert netlogon(first) == ("running", [])
    assert netlogon(second) == ("stopped", [3097])
    assert any("service-specific error 3097" in e.text for e in second.system.event_log.entries if e.number == 7024)


@pytest.mark.behaviour("KB 167248: the stand-in is promoted; the original controller has to be demoted by hand")
def test_a_primary_controller_that_comes_back_has_to_be_demoted(world: World, controller: Build) -> None:
    primary = controller("ONE", "10.0.0.1/24", "primary-controller")
    backup = controller("TWO", "10.0.0.2/24", "backup-controller")

    async def restarted(machine: WindowsMachine) -> str:
        await machine.command("net stop Netlogon /y")
        await machine.command("net start Netlogon")
        return str(machine.system.scm.find("Netlogon").state)

    async def main() -> list[str]:
        await booted(primary)
        await booted(backup)
        primary.power_off()
        await backup.perform(roles.promote(backup.system), name="promote")
        seen = [await restarted(backup)]
        await booted(primary)
        seen.append(primary.system.scm.find("Netlogon").state)
        await primary.perform(roles.demote(primary.system), name="demote")
        return [*seen, await restarted(primary)]

    assert world.run(main()) == ["running", "stopped", "running"]
    assert (primary.system.role, backup.system.role) == ("backup-controller", "primary-controller")


@pytest.mark.behaviour("KB 167248: promotion asks for the primary controller on the network")
def test_a_backup_controller_is_not_promoted_beside_the_primary_one(world: World, controller: Build) -> None:
    primary = controller("ONE", "10.0.0.1/24", "primary-controller")
    backup = controller("TWO", "10.0.0.2/24", "backup-controller")

    async def main() -> None:
        await booted(primary)
        await booted(backup)
        with pytest.raises(InputError, match="demote it first"):
            await backup.perform(roles.promote(backup.system), name="promote")

    world.run(main())


@pytest.mark.behaviour('the note, "Requirements": problems with promotion and demotion during failover')
def test_a_controller_under_anothers_name_is_neither_promoted_nor_demoted(world: World, controller: Build) -> None:
    backup = controller("TWO", "10.0.0.2/24", "backup-controller")

    async def main() -> None:
        await booted(backup)
        backup.system.names.set_active("SOURCE")
        with pytest.raises(InputError, match="active name SOURCE"):
            await backup.perform(roles.promote(backup.system), name="promote")

    world.run(main())


@pytest.mark.behaviour("KB 160324: event 5721, the computer name has been changed")
def test_a_member_under_anothers_name_is_not_known_to_its_domain(world: World, controller: Build) -> None:
    primary = controller("ONE", "10.0.0.1/24", "primary-controller")
    member = controller("TARGET", "10.0.0.2/24", "member")

    async def main() -> list[str]:
        await booted(primary)
        await booted(member)
        before = member.system.scm.find("Netlogon").state
        await member.command("net stop Netlogon")
        member.system.names.set_active("SOURCE")
        output = (await member.command("net start Netlogon")).output
        return [before, member.system.scm.find("Netlogon").state, str("denied" in output)]

    assert world.run(main()) == ["running", "stopped", "True"]
    assert netlogon(member)[1] == [5721]


@pytest.mark.behaviour("KB 153719: event 3210 and 7023, access denied, on a backup domain controller")
def test_a_backup_controller_under_anothers_name_cannot_authenticate(world: World, controller: Build) -> None:
    primary = controller("ONE", "10.0.0.1/24", "primary-controller")
    backup = controller("TARGET", "10.0.0.2/24", "backup-controller")

    async def main() -> None:
        await booted(primary)
        await booted(backup)
        await backup.command("net stop Netlogon")
        backup.system.names.set_active("SOURCE")
        await backup.command("net start Netlogon")

    world.run(main())
    assert netlogon(backup) == ("stopped", [3210])
    assert any("Access is denied" in e.text for e in backup.system.event_log.entries if e.number == 7023)


@pytest.mark.behaviour("KB 938449: event 5719, no domain controller is available")
def test_a_member_without_a_controller_runs_on(world: World, controller: Build) -> None:
    member = controller("TARGET", "10.0.0.2/24", "member")
    world.run(booted(member))
    assert netlogon(member) == ("running", [5719])


@pytest.mark.behaviour("Microsoft: domain controllers of Windows 2000 are peers")
def test_controllers_of_windows_2000_are_not_promoted(world: World, controller: Build) -> None:
    backup = controller("TWO", "10.0.0.2/24", "backup-controller", WINDOWS_2000)

    async def main() -> None:
        await booted(backup)
        with pytest.raises(InputError, match="no promotion"):
            await backup.perform(roles.promote(backup.system), name="promote")

    world.run(main())


@pytest.mark.behaviour("KB 163409: DOMAIN<1B> is no name of a computer")
def test_the_domains_name_is_no_added_name_of_the_controller(world: World, controller: Build) -> None:
    primary = controller("ONE", "10.0.0.1/24", "primary-controller")

    async def main() -> list[str]:
        await booted(primary)
        return list((await primary.host().identity.query()).added_names)

    assert world.run(main()) == []
    assert primary.netbios.names() == ["ONE", "LAB<1B>"]


def test_only_what_is_a_controller_changes_its_role(world: World) -> None:
    machine = WindowsMachine(world, "A", version=NT_4)

    async def main() -> None:
        await booted(machine)
        for change in (roles.promote, roles.demote):
            with pytest.raises(InputError, match="is a standalone"):
                await machine.perform(change(machine.system), name="change")

    world.run(main())
    with pytest.raises(InputError, match="domain or workgroup"):
        WindowsMachine(world, "B", domain="")
