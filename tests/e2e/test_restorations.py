"""Restorations to a source whose disk survived, and to one that was rebuilt with an empty disk; simulated machines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.e2e.test_configurations import ROOT, Box, Lab, lab_with_data, seed_files
from tests.product.dtcl.consoles import Script, ScriptedConsole

from bodydouble.cli import reconnection
from bodydouble.dtcl import shipped
from bodydouble.restore.homecoming import Homecoming
from bodydouble.vocabulary.operations import Write
from bodydouble.vocabulary.records import AcceptRequest, OfferRequest, RestoreRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.control.client import ControlClient

S, T, U = "10.0.0.10", "10.0.0.11", "10.0.0.12"
MONITOR = f"""
    login {T} token file {T}.token; target {T};
    monitor create S; monitor move {S}/24 to "Local Area Connection"; monitor option interval 1s missed 3;
    monitor start;
"""


def console_of(lab: Lab) -> ScriptedConsole:
    return ScriptedConsole({box.ip: box.host for box in lab.boxes.values()})


async def rebuild(lab: Lab) -> None:
    """Another machine in the place of the source: nothing on its disk, and nobody has met it."""
    old = lab.boxes["S"]
    await old.host.disconnect()
    del lab.world.machines["S"]
    lab.segment.nics[:] = [nic for nic in lab.segment.nics if nic.machine is not old.machine]
    new = lab.boxes["S"] = Box(lab, "S", 10)
    await new.host.disconnect()
    new.machine.power_on()
    await new.machine.wait_booted()
    await new.host.install_bodydouble()


async def pair_again(lab: Lab) -> None:
    async with lab.boxes["S"].talk() as source, lab.boxes["T"].talk() as target:
        await target.remove_peer("S")
        offer = await target.offer_pairing(OfferRequest())
        await source.accept_pairing(AcceptRequest(host=T, code=offer.code))


async def by_console(lab: Lab) -> None:
    """As ``bodydouble restore --reconnect`` does it."""
    async with lab.boxes["T"].talk() as target, lab.boxes["S"].talk() as source:
        begun = await target.restore(RestoreRequest(original_source="S", replication_set="data", restore_to=S))
        while (await target.restorations())[begun.id - 1].state == "running":  # noqa: ASYNC110 - asked from outside
            await asyncio.sleep(0.5)
        assert (await target.restorations())[begun.id - 1].state == "complete"
        (known,) = [each.replication_set for each in await target.restorable()]
        await connected(source, lambda: reconnection.connection_to(source, known, T))


async def connected(client: ControlClient, connect: Callable[[], Awaitable[object]]) -> None:
    await connect()
    while (await client.connections())[-1].state != "replicating":  # noqa: ASYNC110 - asked from outside
        await asyncio.sleep(0.5)


async def by_script(lab: Lab) -> None:
    variables = {
        "original": "S",
        "set": "data",
        "from": T,
        "to": S,
        "from_token": f"{T}.token",
        "to_token": f"{S}.token",
    }
    script = Script(console_of(lab), variables)
    assert await script.run(shipped.example("restore")) is None
    assert script.console.written[-1] == "data is protected again"
    await script.interpreter.close()


@pytest.mark.parametrize("way", [by_console, by_script], ids=lambda way: way.__name__)
@pytest.mark.parametrize("rebuilt", [False, True], ids=["surviving disk", "empty disk"])
def test_the_stand_ins_data_comes_home_and_is_protected_again(
    way: Callable[[Lab], Awaitable[None]], *, rebuilt: bool
) -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        target = lab.boxes["T"]
        seed_files(lab.boxes["S"])
        await lab.connect("S", "T")
        await lab.settled(("S", 1))
        script = Script(console_of(lab))
        await script.run(MONITOR)
        await lab.boxes["S"].host.power_off()
        await script.run("wait on failover timeout 5m;")
        await target.work(ROOT, 20)  # applications on the stand-in
        if rebuilt:
            await rebuild(lab)
        else:
            await lab.boxes["S"].host.disconnect()
            await lab.boxes["S"].host.power_on()
        await script.run("failback; wait on failback;")
        await lab.boxes["S"].host.connect()
        await script.run("while not ok [failback stop] within 2m { sleep 1s; }")
        if rebuilt:
            await pair_again(lab)
        newer = target.picture(ROOT)
        await way(lab)
        source = lab.boxes["S"]
        assert source.picture(ROOT) == newer == target.picture(ROOT)
        await source.work(ROOT, 10)
        await lab.settled(("S", (await last(source))))
        assert source.picture(ROOT) == target.picture(ROOT) != newer
        await script.interpreter.close()

    lab.run(main)


async def stood_in(lab: Lab, script: Script) -> None:
    """The source loses its power, the target stands in, applications write there, and the identity is given back."""
    await script.run(MONITOR)
    await lab.boxes["S"].host.power_off()
    await script.run("wait on failover timeout 5m;")
    await lab.boxes["T"].work(ROOT, 20)
    await lab.boxes["S"].host.disconnect()
    assert await script.run("if not ok [restore clear data of S] { quit 7; }") == 7  # clients are still served here
    await script.run("failback; wait on failback;")


TO_A_THIRD_MACHINE = f"""
    login {T} token file {T}.token; target {T}; login {U} token file {U}.token; source {U};
    restore data of S to {U} from {T};
    $restored = [wait on restore timeout 1d];
    print $restored.receiver $restored.stays_required;
"""


@pytest.mark.parametrize("ending", ["mark stays", "mark goes"])
def test_a_source_that_boots_with_its_old_data_overwrites_nothing_that_a_third_machine_received(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark that goes whoever received the data is the planted defect: the old data is found on the stand-in."""
    if ending == "mark goes":
        monkeypatch.setattr(Homecoming, "why_stays", "")
    lab = lab_with_data("STU")

    async def main() -> None:
        source, target, third = lab.boxes.values()
        seed_files(source)
        await lab.connect("S", "T")
        await lab.settled(("S", 1))
        script = Script(console_of(lab))
        await stood_in(lab, script)
        target.do(Write(f"{ROOT}/seed-0", 0, b"newer", int(target.machine.clock())))
        old, newer = source.picture(ROOT), target.picture(ROOT)
        await script.run(TO_A_THIRD_MACHINE)
        assert third.picture(ROOT) == newer != old
        await source.host.power_on()
        await source.host.connect()
        if ending == "mark goes":
            await lab.until("S", lambda each: each.state == "replicating")
            assert target.picture(ROOT)["/seed-0"] == old["/seed-0"]
            return
        assert "the data goes to U, not to S; " in script.console.written[-1]
        await lab.until("S", lambda each: each.state == "restore-required")
        await third.work(ROOT, 10)
        await asyncio.sleep(300)
        assert (source.picture(ROOT), target.picture(ROOT)) == (old, newer)
        await script.run("failback continue;")
        await by_script(lab)
        assert source.picture(ROOT) == newer == target.picture(ROOT)
        await script.interpreter.close()

    lab.run(main)


def test_a_third_machine_becomes_the_source_once_the_old_one_is_given_up() -> None:
    lab = lab_with_data("STU")

    async def main() -> None:
        _, target, third = lab.boxes.values()
        seed_files(lab.boxes["S"])
        await lab.connect("S", "T")
        await lab.settled(("S", 1))
        script = Script(console_of(lab))
        await stood_in(lab, script)
        await script.run(TO_A_THIRD_MACHINE)
        newer = third.picture(ROOT)
        await script.run("failback stop;")
        async with target.talk() as client:
            await client.remove_peer("S")
        await script.run("restore clear data of S;")
        made = await lab.connect("U", "T")
        await third.work(ROOT, 10)
        await lab.settled(("U", made))
        assert third.picture(ROOT) == target.picture(ROOT) != newer
        await lab.boxes["S"].host.power_on()
        await lab.boxes["S"].host.connect()
        await lab.until("S", lambda each: "see whether this machine is paired there" in each.detail)
        assert third.picture(ROOT) == target.picture(ROOT)
        await script.interpreter.close()

    lab.run(main)


async def last(box: Box) -> int:
    async with box.talk() as client:
        return (await client.connections())[-1].id
