"""A small failover on bare machines; prints the trace digest. Run by the determinism test in processes of its own."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

LAN = "Local Area Connection"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


class Server(Machine):
    async def boot(self) -> None:
        await super().boot()
        self.listening = await asyncio.start_server(answer, port=80)


class Visitor(Machine):
    async def boot(self) -> None:
        draw = self.world.random(f"visitor:{self.name}")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("10.0.0.11", 999))
        transport.sendto(b"nobody listens")
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(self._visit(draw.random(), number))

    async def _visit(self, wait: float, number: int) -> None:
        while True:
            await asyncio.sleep(1 + wait)
            try:
                async with asyncio.timeout(10):
                    reader, writer = await asyncio.open_connection("SOURCE", 80)
                    writer.write(b"%d\n" % number)
                    await reader.readline()
                    writer.close()
                    await writer.wait_closed()
            except (OSError, TimeoutError):
                continue


def story(seed: int) -> tuple[World, Any]:
    world = World(seed, keep_trace=True)
    segment = world.network.segment("lan")
    source, target = Server(world, "SOURCE"), Server(world, "TARGET")
    visitors = [Visitor(world, f"VISITOR{number}") for number in range(3)]
    for number, machine in enumerate([source, target, *visitors], 10):
        machine.plug(segment, f"10.0.0.{number}/24")

    async def main() -> None:
        for machine in [source, target, *visitors]:
            machine.power_on()
        await asyncio.sleep(60)
        source.power_off()
        await asyncio.sleep(25)
        assert not await target.stack.in_use(LAN, "10.0.0.10/24")
        target.stack.add_address(LAN, "10.0.0.10/24")
        target.stack.announce(LAN, "10.0.0.10/24")
        await target.spawn(target.netbios.register("SOURCE"), name="stand-in")
        tasks = {asyncio.create_task(target.stack.ping(f"10.0.0.{n}", 1)) for n in range(10, 30)}
        for task in tasks:
            await task
        await asyncio.sleep(60)

    return world, main


if __name__ == "__main__":
    seeded, script = story(int(sys.argv[1]))
    seeded.run(script())
    assert not seeded.loop.unhandled, seeded.loop.unhandled
    sys.stdout.write(f"{seeded.trace.digest} {len(seeded.trace.lines)}\n")
    seeded.close()
