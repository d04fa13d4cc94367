from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.errors import DuplicateName, MachineStateError
from bodydouble_sim.machine import Machine

if TYPE_CHECKING:
    from bodydouble_sim.world import World

LAN = "Local Area Connection"


class Bare(Machine):
    async def boot(self) -> None:
        pass


def pair(world: World, first: str = "10.0.0.10/24", second: str = "10.0.0.20/24") -> tuple[Machine, Machine]:
    segment = world.network.segment("lan")
    machines = Bare(world, "A"), Bare(world, "B")
    machines[0].plug(segment, first)
    machines[1].plug(segment, second, duplicate=first == second)
    return machines


def owned(machine: Machine) -> list[str]:
    return [record.address for record in machine.stack.addresses()]


async def power(*machines: Machine) -> None:
    for machine in machines:
        machine.power_on()
    await asyncio.sleep(2)


def announcements(world: World, address: str) -> int:
    return sum(
        1
        for line in world.trace.lines
        if " arp " in line and " 1 " in line and line.split()[6] == line.split()[8] == address
    )


def test_boot_announces_a_static_address_three_times(world: World) -> None:
    a, _ = pair(world)
    world.run(power(a))
    assert announcements(world, "10.0.0.10") == 3
    assert owned(a) == ["10.0.0.10/24"]


def test_an_address_added_at_run_time_is_announced_by_nobody_but_the_caller(world: World) -> None:
    a, _ = pair(world)

    async def main() -> None:
        await power(a)
        a.stack.add_address(LAN, "10.0.0.99/24")
        a.stack.add_address(LAN, "10.0.0.99/24")
        await asyncio.sleep(5)
        assert announcements(world, "10.0.0.99") == 0
        a.stack.announce(LAN, "10.0.0.99/24")
        assert announcements(world, "10.0.0.99") == 1
        assert owned(a) == ["10.0.0.10/24", "10.0.0.99/24"]

    world.run(main())


def test_added_addresses_do_not_survive_a_boot_and_static_ones_do(world: World) -> None:
    a, _ = pair(world)

    async def main() -> None:
        await power(a)
        a.stack.add_address(LAN, "10.0.0.99/24")
        a.stack.remove_address(LAN, "10.0.0.10/24")
        assert owned(a) == ["10.0.0.99/24"]
        a.power_off()
        assert owned(a) == []
        await power(a)
        assert owned(a) == ["10.0.0.10/24"]

    world.run(main())


def test_an_address_that_another_machine_answers_for_is_not_taken_at_boot(world: World) -> None:
    a, b = pair(world, "10.0.0.10/24", "10.0.0.10/24")
    told: list[tuple[str, str, str]] = []
    b.address_conflict_hooks.append(lambda *what: told.append(what))

    async def main() -> None:
        await power(a)
        await power(b)
        assert owned(a) == ["10.0.0.10/24"]
        assert owned(b) == []
        assert b.stack.conflicts == {"10.0.0.10": a.nics[0].mac}

    world.run(main())
    assert told == [(LAN, "10.0.0.10", a.nics[0].mac)]
    assert any("10.0.0.10/24 conflict" in line for line in world.trace.lines)
    assert any("10.0.0.10/24 defended" in line for line in world.trace.lines)


def test_the_defender_puts_right_what_the_claim_put_wrong_in_neighbours_caches(world: World) -> None:
    a, b = pair(world, "10.0.0.10/24", "10.0.0.10/24")
    c = Bare(world, "C")
    c.plug(world.network.segment("lan"), "10.0.0.30/24")

    async def main() -> None:
        await power(a, c)
        assert await c.stack.ping("10.0.0.10", 1) is not None
        await power(b)
        assert c.nics[0].arp.entries()["10.0.0.10"] == a.nics[0].mac

    world.run(main())


def test_a_cable_that_comes_back_to_a_stood_in_address_gives_it_up(world: World) -> None:
    a, b = pair(world)

    async def main() -> None:
        await power(a, b)
        a.nics[0].disconnect()
        b.stack.add_address(LAN, "10.0.0.10/24")
        b.stack.announce(LAN, "10.0.0.10")
        await asyncio.sleep(1)
        a.nics[0].connect()
        await asyncio.sleep(3)
        assert owned(a) == []
        assert owned(b) == ["10.0.0.20/24", "10.0.0.10/24"]

    world.run(main())


def test_a_probe_finds_an_owner_and_finds_silence(world: World) -> None:
    a, b = pair(world)

    async def main() -> None:
        await power(a, b)
        began = world.loop.time()
        assert await a.stack.in_use(LAN, "10.0.0.20/24")
        assert world.loop.time() - began < 0.01
        assert not await a.stack.in_use(LAN, "10.0.0.77")
        assert world.loop.time() - began <= 1.01
        assert not await a.stack.in_use(LAN, "10.0.0.10")  # itself does not count
        assert "10.0.0.20" not in a.nics[0].arp.entries()  # a probe teaches nothing to anybody
        assert "10.0.0.10" not in b.nics[0].arp.entries()

    world.run(main())


def test_neighbours_keep_talking_to_the_dead_until_the_stand_in_announces(world: World) -> None:
    a, b = pair(world)
    client = Bare(world, "C")
    client.plug(world.network.segment("lan"), "10.0.0.30/24")

    async def main() -> None:
        await power(a, b, client)
        assert await client.stack.ping("10.0.0.10", 1) is not None
        a.power_off()
        b.stack.add_address(LAN, "10.0.0.10/24")
        assert await client.stack.ping("10.0.0.10", 1) is None
        b.stack.announce(LAN, "10.0.0.10")
        await asyncio.sleep(0.001)
        assert await client.stack.ping("10.0.0.10", 1) is not None

    world.run(main())


@pytest.mark.parametrize(("interval", "expected"), [(1, 600), (150, 150)])
def test_arp_entries_age_after_two_minutes_unused_and_ten_minutes_at_most(
    world: World, interval: float, expected: float
) -> None:
    a, b = pair(world)

    async def main() -> float:
        await power(a, b)
        await a.stack.ping("10.0.0.20", 1)
        first = world.loop.time()
        b.power_off()
        await asyncio.sleep(interval)
        while a.nics[0].arp.lookup("10.0.0.20"):  # noqa: ASYNC110 - a look-up is a use
            await asyncio.sleep(interval)
        return world.loop.time() - first

    assert world.run(main()) == pytest.approx(expected, abs=interval + 0.1)


def test_ping_of_itself_of_the_dead_and_of_the_unreachable(world: World) -> None:
    a, b = pair(world)

    async def main() -> None:
        await power(a, b)
        assert await a.stack.ping("127.0.0.1", 1) is not None
        assert await a.stack.ping("10.0.0.10", 1) is not None
        assert await a.stack.ping("192.168.7.7", 1) is None
        b.power_off()
        assert await a.stack.ping("10.0.0.20", 1) is None

    world.run(main())


def test_requests_to_a_stack_that_do_not_fit_are_refused(world: World) -> None:
    a, _ = pair(world)
    with pytest.raises(MachineStateError, match="is off"):
        a.stack.add_address(LAN, "10.0.0.99/24")

    async def main() -> None:
        await power(a)
        with pytest.raises(MachineStateError, match="no adapter"):
            a.stack.add_address("eth7", "10.0.0.99/24")
        with pytest.raises(ValueError, match="999"):
            a.stack.add_address(LAN, "10.0.0.999/24")
        with pytest.raises(MachineStateError, match="does not have"):
            a.stack.announce(LAN, "10.0.0.99")
        a.stack.remove_address(LAN, "10.0.0.99/24")

    world.run(main())


def test_two_segments_are_two_networks(world: World) -> None:
    a, b = pair(world)
    other = world.network.segment("other", "10.1.0.0/24")
    c = Bare(world, "C")
    a.plug(other, "10.1.0.1/24")
    c.plug(other, "10.1.0.2/24")

    async def main() -> None:
        await power(a, b, c)
        assert await a.stack.ping("10.1.0.2", 1) is not None
        assert await a.stack.ping("10.0.0.20", 1) is not None
        assert await b.stack.ping("10.1.0.2", 1) is None
        assert [nic.name for nic in a.nics] == [LAN, LAN + " 2"]

    world.run(main())


# --- names ----------------------------------------------------------------------------------------------------------


async def resolve(machine: Machine, name: str) -> Any:
    async def ask() -> str:
        found = await asyncio.get_running_loop().getaddrinfo(name, 80)
        return str(found[0][4][0])

    return await machine.spawn(ask(), name="ask")


def test_a_name_is_found_by_broadcast_and_kept_for_ten_minutes(world: World) -> None:
    a, b = pair(world)

    async def main() -> None:
        await power(a, b)
        await b.netbios.register("source")
        assert await resolve(a, "Source") == "10.0.0.20"
        b.power_off()
        await asyncio.sleep(590)
        assert await resolve(a, "SOURCE") == "10.0.0.20"
        await asyncio.sleep(11)
        with pytest.raises(OSError, match="cannot resolve"):
            await resolve(a, "SOURCE")

    world.run(main())


def test_a_name_in_use_is_refused_and_a_released_one_is_free(world: World) -> None:
    a, b = pair(world)

    async def main() -> None:
        await power(a, b)
        await a.netbios.register("SOURCE")
        with pytest.raises(DuplicateName, match=r"10\.0\.0\.10"):
            await b.netbios.register("source")
        assert b.netbios.names() == []
        await a.netbios.release("SOURCE")
        await b.netbios.register("source")
        assert b.netbios.names() == ["SOURCE"]
        await b.netbios.register("SOURCE")
        b.power_off()
        assert b.netbios.names() == []
        with pytest.raises(MachineStateError):
            await b.netbios.register("SOURCE")
        with pytest.raises(MachineStateError):
            await a.netbios.register("A-NAME-OF-MORE-THAN-FIFTEEN")

    world.run(main())


def test_names_come_from_literal_hosts_file_own_table_then_the_wire(world: World) -> None:
    a, b = pair(world)
    a.hosts["Intranet"] = "10.0.0.20"

    async def main() -> None:
        await power(a, b)
        assert await resolve(a, "10.9.9.9") == "10.9.9.9"
        assert await resolve(a, "INTRANET") == "10.0.0.20"
        assert await resolve(a, "localhost") == "127.0.0.1"
        assert await resolve(a, "A") == "10.0.0.10"
        assert not any(" 137 137 " in line for line in world.trace.lines)

    world.run(main())


def test_a_plain_machine_registers_its_own_name_at_boot(world: World) -> None:
    machine = Machine(world, "alpha")
    machine.plug(world.network.segment("lan"), "10.0.0.1/24")
    world.run(power(machine))
    assert machine.netbios.names() == ["ALPHA"]


def test_a_name_that_was_taken_over_while_the_cable_was_out_is_given_up(world: World) -> None:
    a, b = pair(world)

    async def main() -> None:
        await power(a, b)
        await a.netbios.register("SOURCE")
        await a.netbios.register("KEPT")
        a.nics[0].disconnect()
        await b.netbios.register("SOURCE")
        a.nics[0].connect()
        await asyncio.sleep(5)
        assert a.netbios.names() == ["KEPT"]
        assert b.netbios.names() == ["SOURCE"]

    world.run(main())
    assert any("A SOURCE conflict" in line for line in world.trace.lines)


def test_what_is_no_netbios_name_is_not_asked_for_on_the_wire(world: World) -> None:
    a, _ = pair(world)

    async def main() -> None:
        await power(a)
        for name in ("www.example.com", "::1", "a-name-that-is-much-too-long"):
            with pytest.raises(OSError, match="cannot resolve"):
                await resolve(a, name)
        assert not any(" 137 137 " in line for line in world.trace.lines)

    world.run(main())
