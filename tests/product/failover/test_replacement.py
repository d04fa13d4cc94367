"""Replacing the target's own identity: its name, and where told so its addresses, there and back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from tests.product.failover.fakes import ADAPTER, ADDRESS, SOURCE, Target, request, scenario, until

from bodydouble.cli.output import monitors_table
from bodydouble.errors import InputError
from bodydouble.failover.replacement import Replacement
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import InterfaceAddress
from bodydouble.vocabulary.standing_in import NameChange, OwnAddress

OWN = OwnAddress(ADAPTER, "10.0.0.20/24")
NAME_SERVICES = NameChange(("LanmanServer", "Netlogon", "Browser"))
REBOOT = NameChange(reboot="it has to be renamed and booted")


def replacing(**changes: Any) -> Any:
    return request(identity="replace", given_up=[OWN], **changes)


async def failed_over(target: Target) -> None:
    await target.service.create_monitor(replacing())
    target.wire.cut()
    await target.in_state("failed-over")


async def failed_back(target: Target) -> None:
    await target.service.failback(SOURCE)
    await target.in_state("failed-back")


def test_the_own_identity_makes_way_and_comes_back_in_order() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        assert target.log[-4:] == [
            f"add-name {SOURCE}",
            f"own name gives way to {SOURCE}",
            "remove-address 10.0.0.20/24",
            "script /s/postover",
        ]
        assert not target.identity.holds("10.0.0.20")
        target.log.clear()
        await failed_back(target)
        assert target.log == [
            "script /s/preback",
            f"remove-name {SOURCE}",
            f"remove-address {ADDRESS}/24",
            "add-address 10.0.0.20/24",
            "announce 10.0.0.20/24",
            "own name taken back",
            "script /s/postback",
        ]
        assert target.own_name.answers

    scenario(play)


def test_services_that_the_name_concerns_are_restarted_there_and_back_if_they_start_with_the_machine() -> None:
    async def play(target: Target) -> None:
        target.own_name.change = NAME_SERVICES
        target.services.running = dict.fromkeys(NAME_SERVICES.services, True)
        target.services.automatic = ["LanmanServer", "Browser"]
        await failed_over(target)
        assert target.services.started == ["LanmanServer", "Browser"]
        assert target.services.running["Netlogon"] is False
        await failed_back(target)
        assert target.services.started == ["LanmanServer", "Browser"] * 2
        assert target.codes().count(EventCode.SERVICES_RESTARTED) == 2

    scenario(play)


@pytest.mark.parametrize(("reboot", "restarts"), [(False, 1), (True, 2)])
def test_services_are_restarted_again_only_after_a_boot(*, reboot: bool, restarts: int) -> None:
    async def play(target: Target) -> None:
        target.own_name.change = NAME_SERVICES
        target.services.running = dict.fromkeys(NAME_SERVICES.services, True)
        target.services.automatic = ["LanmanServer"]
        await failed_over(target)
        await target.restarted(reboot=reboot)
        await target.in_state("failed-over")
        assert target.services.started == ["LanmanServer"] * restarts
        assert not target.own_name.answers
        assert not target.identity.holds("10.0.0.20")

    scenario(play)


def test_a_boot_that_is_needed_is_said_and_shown_until_the_name_is_back() -> None:
    async def play(target: Target) -> None:
        target.own_name.change = REBOOT
        await failed_over(target)
        assert target.service.monitors()[0].reboot == REBOOT.reboot
        assert EventCode.REBOOT_NEEDED in target.codes()
        assert REBOOT.reboot in shown(target)
        target.own_name.change = NameChange()
        await failed_back(target)
        assert target.service.monitors()[0].reboot == ""
        assert REBOOT.reboot not in shown(target)

    scenario(play)


def shown(target: Target) -> str:
    """What the console and DTCL print of the monitors."""
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(monitors_table(target.service.monitors()))
    return console.export_text()


def test_an_assumed_address_that_goes_with_an_own_one_is_added_again() -> None:
    async def play(target: Target) -> None:
        original = target.identity.remove_address

        async def all_of_the_network(interface: str, address: str) -> None:
            await original(interface, address)
            if address == OWN.address:
                target.identity.addresses.clear()

        target.identity.remove_address = all_of_the_network  # type: ignore[method-assign] # Linux: secondary addresses
        await failed_over(target)
        assert target.identity.holds(ADDRESS)
        assert target.log[-2] == f"announce {ADDRESS}/24"

    scenario(play)


def test_an_own_address_that_another_machine_took_is_not_taken_back_until_it_is_free() -> None:
    async def play(target: Target) -> None:
        await failed_over(target)
        target.wire.answering = {"10.0.0.20"}
        await target.service.failback(SOURCE)
        await until(lambda: "another machine on the network answers for 10.0.0.20" in target.texts())
        assert not target.identity.holds("10.0.0.20")
        target.wire.cut()
        await target.in_state("failed-back")
        assert target.identity.holds("10.0.0.20")

    scenario(play)


@pytest.mark.parametrize("seam", ["_take_name_back", "_take_back"])
def test_a_defect_planted_in_the_way_back_is_seen(monkeypatch: pytest.MonkeyPatch, seam: str) -> None:
    async def nothing(*_arguments: object) -> None:
        """The defect: the step is left out."""

    monkeypatch.setattr(Replacement, seam, nothing)
    with pytest.raises(AssertionError):
        test_the_own_identity_makes_way_and_comes_back_in_order()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"identity": "replace", "name": False}, "the source's name has to be assumed"),
        ({"given_up": [OWN]}, "only when its identity is replaced"),
        ({"identity": "replace", "given_up": [OwnAddress(ADAPTER, "10.0.0.21/24")]}, "is not this machine's"),
    ],
)
def test_a_replacement_that_could_not_be_carried_out_is_refused(changes: dict[str, Any], expected: str) -> None:
    async def play(target: Target) -> None:
        with pytest.raises(InputError, match=expected):
            await target.service.create_monitor(request(**changes))

    scenario(play)


def test_one_machine_is_replaced_by_one_source_only() -> None:
    async def play(target: Target) -> None:
        await target.service.create_monitor(replacing())
        other = [InterfaceAddress(interface=ADAPTER, address="10.0.0.12/24")]
        with pytest.raises(InputError, match="replaced by 'WEB1' already"):
            await target.service.create_monitor(request(source="WEB2", addresses=other, identity="replace"))
        await target.service.create_monitor(request(source="WEB2", addresses=other))

    scenario(play)
