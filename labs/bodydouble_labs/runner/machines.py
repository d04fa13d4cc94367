"""Steps at the machines themselves: cables, power switches, the console's keyboard, and faults with their witnesses."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from bodydouble_labs.errors import FaultError, LabError
from bodydouble_labs.history import Mark
from bodydouble_labs.runner.network import begin

if TYPE_CHECKING:
    from bodydouble_labs.providers.base import LabHost
    from bodydouble_labs.runner.bench import Bench
    from bodydouble_labs.scenario.steps import (
        CommandStep,
        FaultStep,
        InstallStep,
        NetworkStep,
        PowerStep,
        PutStep,
        ServicesStep,
        SiteStep,
        StartupStep,
    )

HEALED_WITHIN = 60.0
"""Seconds that a host which had failed may take to answer on the network again."""
FAULT_WINDOW = 5.0
"""Seconds within which a fault comes at an instant that the seed decides, so that seeds meet different moments."""
SILENT_PINGS = 2
"""Echo requests that a host without power must leave unanswered before the fault counts as seen."""


async def command(bench: Bench, step: CommandStep) -> None:
    """Type a command."""
    await typed(bench.host(step.on), step.command, expected=step.exit_code)


async def typed(host: LabHost, line: str, expected: int = 0) -> None:
    """Run a line at a host's console.

    Raises:
        LabError: it ended with another exit code.
    """
    result = await host.command(line)
    if result.exit_code != expected:
        output = " / ".join(part.strip() for part in result.output.splitlines() if part.strip())
        raise LabError(f"{host.name}: {line!r} ended with exit code {result.exit_code}: {output or 'no output'}")


async def install(bench: Bench, step: InstallStep) -> None:
    """Install the product."""
    await bench.host(step.on).install_bodydouble()
    bench.wiring.installed(step.on)


async def network(bench: Bench, step: NetworkStep) -> None:
    """Pull or plug the cable; a host that had failed has to be seen answering once it is plugged."""
    host = bench.host(step.on)
    if step.network == "disconnect":
        await bench.collector.collect()
        bench.wiring.plugged(step.on, connected=False)
        await host.disconnect()
        return
    await host.connect()
    bench.wiring.plugged(step.on, connected=True)
    await _see_again(bench, step.on)


async def power(bench: Bench, step: PowerStep) -> None:
    """Switch on after a power loss, or restart in good order."""
    host = bench.host(step.on)
    if step.power == "reboot":
        await bench.collector.collect()
        bench.wiring.switched_off(step.on)
        await host.reboot()
        bench.wiring.switched_on(step.on)
        return
    if bench.wiring.powered(step.on):
        raise LabError(f"{step.on} is on already")
    bench.wiring.switched_on(step.on)
    bench.mark(Mark(bench.stage.elapsed(), "heal", step.on, "power on"))
    await host.power_on()
    await _see_again(bench, step.on)


async def fault(bench: Bench, step: FaultStep) -> None:
    """Cut the power, and have it seen from outside that the host is gone; or let a fault of the network begin."""
    if step.fault != "power-loss":
        await begin(bench, step, FAULT_WINDOW)
        return
    host = bench.host(step.on)
    if not bench.wiring.powered(step.on):
        raise LabError(f"{step.on} has no power to lose")
    if bench.wiring.all_powered():  # a fault while another one lasts belongs to it and comes at once
        await asyncio.sleep(FAULT_WINDOW * random.Random(f"{bench.seed}:fault:{step.on}").random())  # noqa: S311 - seeded
    if not await bench.stage.ping(bench.address(step.on)):
        raise FaultError(f"{step.on} does not answer before its power is cut: nobody could see the difference")
    at = bench.stage.elapsed()
    await host.power_off()
    bench.wiring.switched_off(step.on)
    bench.wiring.lost_power(step.on)
    bench.mark(Mark(at, "fault", step.on, step.fault))
    for _ in range(SILENT_PINGS):
        if await bench.stage.ping(bench.address(step.on)):
            raise FaultError(f"{step.on} still answers at {bench.address(step.on)} after its power was cut")


async def _see_again(bench: Bench, name: str) -> None:
    if not bench.wiring.to_be_seen_again(name):
        return
    deadline = bench.stage.elapsed() + HEALED_WITHIN
    while not await bench.stage.ping(bench.address(name)):
        if bench.stage.elapsed() > deadline:
            raise FaultError(f"{name} was switched on and connected, but does not answer within {HEALED_WITHIN:.0f} s")
        await asyncio.sleep(1.0)
    bench.wiring.seen_again(name)


async def put(bench: Bench, step: PutStep) -> None:
    """Copy files, with their placeholders filled in."""
    host = bench.host(step.on)
    for item in step.put:
        data = bench.scenario.files[item.from_]
        for text, value in item.replace.items():
            data = data.replace(text.encode(), value.encode())
        await host.put_file(item.to, data)


async def startup(bench: Bench, step: StartupStep) -> None:
    """Set the startup type of the site's services; ``manual`` stops those that run as well."""
    host = bench.host(step.on)
    type_ = "demand" if step.startup == "manual" else "auto"
    for name in await _present(bench, step.on):
        await typed(host, f"sc config {name} start= {type_}")
    if step.startup == "manual":
        await _stop(bench, step.on)


async def services(bench: Bench, step: ServicesStep) -> None:
    """Start or stop the site's services, those that are not so already."""
    host = bench.host(step.on)
    if step.services == "stop":
        await _stop(bench, step.on)
        return
    for name in await _present(bench, step.on):
        if (await host.service_states())[name] != "running":
            await typed(host, f"net start {name}")


async def _stop(bench: Bench, on: str) -> None:
    host = bench.host(on)
    for name in reversed(await _present(bench, on)):
        if (await host.service_states())[name] != "stopped":
            await typed(host, f"net stop {name} /y")


async def _present(bench: Bench, on: str) -> list[str]:
    host, wanted = bench.host(on), bench.scenario.services_of(on)
    states = await host.service_states()
    missing = [name for name in wanted if name not in states]
    if missing:
        raise LabError(f"{host.name} has no service {', '.join(missing)}; it has {', '.join(states) or 'none'}")
    return wanted


async def site(bench: Bench, step: SiteStep) -> None:
    """Put the pages where the web server finds them, and make the directory that takes the uploads."""
    host = bench.host(step.on)
    for page in bench.content.pages:
        await host.put_file(page.windows_path, page.body)
    await host.put_file(f"{bench.content.records_directory}\\readme.txt", b"Records of the lab's writers.\r\n")
