"""Programs that tests start in a process of their own, since the lab's process leaves its network for good.

``python drive.py CASE DIRECTORY`` prints one JSON object a line: what the case saw.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from bodydouble.adapters.network import arp
from bodydouble.control.client import ControlClient
from bodydouble_labs.providers.netns import NetnsProvider
from bodydouble_labs.runner.run import conduct
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.steps import RunForStep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping

    from bodydouble_labs.providers.base import LabHost, Stage
    from bodydouble_labs.providers.netns.host import NetnsHost
    from bodydouble_labs.scenario.model import Scenario


def tell(**seen: Any) -> None:
    print(json.dumps(seen), flush=True)  # noqa: T201 - the test reads it


async def fetch(address: str, path: str) -> str:
    """Status line of an HTTP answer, or the error's name."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(address, 80)
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer.decode("latin-1")
    except (OSError, TimeoutError) as error:
        return type(error).__name__


async def resolved(stage: Stage, name: str) -> str:
    try:
        return await stage.resolve(name)
    except OSError as error:
        return type(error).__name__


async def daemon_says(host: LabHost) -> dict[str, Any]:
    control = host.control
    async with ControlClient(control.address, control.port, control.token, control.certificate) as client:
        seen = {
            "status": await client.status(),
            "service": await client.service("W3SVC"),
            "events": [event.text for event in await client.events()],
        }
    return dict(msgspec.to_builtins(seen))


async def life(stage: Stage) -> None:
    """One host's life: set up, protected, cable, power, reboot."""
    source = stage.hosts["source"]
    tell(pings=[await stage.ping("10.0.0.10"), await stage.ping("10.0.0.20"), await stage.ping("10.0.0.30")])
    installed = await source.command("install-iis /version:5.0 /drive:C")
    tell(install=installed.exit_code, output=installed.output, states=dict(await source.service_states()))
    await source.command("net stop MSFTPSVC")
    await source.install_bodydouble()
    tell(kept=dict(await source.service_states()), **await daemon_says(source))
    await source.put_file("C:\\INETPUB\\wwwroot\\new\\page.htm", b"<p>from the console</p>")
    tell(page=await fetch("10.0.0.10", "/new/page.htm"), tree=msgspec.to_builtins(await source.snapshot("C:\\InetPub")))
    tell(name=await resolved(stage, "SOURCE"), nobody=await resolved(stage, "NOBODY"))
    await source.disconnect()
    tell(unplugged=[await stage.ping("10.0.0.10"), await stage.ping("10.0.0.20")])
    with listening() as wire:
        await source.connect()
        tell(announced=[await announcement(wire)], plugged=await stage.ping("10.0.0.10"))
    await source.power_off()
    tell(dark=await stage.ping("10.0.0.10"), console=await console(source), off=dict(await source.service_states()))
    tell(asked_while_booting=await states_seen_during(source, source.power_on()))
    tell(back=dict(await source.service_states()), again=await fetch("10.0.0.10", "/new/page.htm"))
    tell(events=(await daemon_says(source))["events"])
    tell(asked_while_rebooting=await states_seen_during(source, source.reboot()))
    tell(rebooted=dict(await source.service_states()), stopped=(await daemon_says(source))["events"])


async def states_seen_during(host: LabHost, change: Coroutine[Any, Any, None]) -> list[dict[str, str]]:
    """What a collector that keeps asking for services sees while the host goes down or comes up."""
    changing = asyncio.create_task(change, name="change")
    seen: list[dict[str, str]] = []
    while not changing.done():
        states = dict(await host.service_states())
        if states not in seen:
            seen.append(states)
        await asyncio.sleep(0)
    await changing
    return seen


@contextmanager
def listening() -> Iterator[socket.socket]:
    """Every ARP frame that reaches the client's place on the wire."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as wire:
        wire.bind(("lan", 0x0806))
        wire.setblocking(False)
        yield wire


async def announcement(wire: socket.socket) -> str:
    """The next gratuitous ARP."""
    async with asyncio.timeout(5):
        while True:
            heard = arp.parse(await asyncio.get_running_loop().sock_recv(wire, 2048))
            if heard is not None and heard.sender == heard.target:
                return f"{heard.sender} is at {heard.sender_mac.hex(':')}"


async def console(host: LabHost) -> str:
    try:
        return (await host.command("hostname")).output
    except Exception as error:  # noqa: BLE001 - the test judges it
        return f"{type(error).__name__}: {error}"


async def stay(stage: Stage) -> None:
    """Two hosts, the product on one, until somebody ends this process."""
    await stage.hosts["source"].install_bodydouble()
    tell(up=True)
    await asyncio.Event().wait()


async def crash(stage: Stage) -> None:
    del stage
    raise RuntimeError("planted")


async def look(stage: Stage) -> None:
    hosts = cast("Mapping[str, NetnsHost]", stage.hosts)
    tell(answers=[await stage.ping(host.address) for host in hosts.values()])


CASES: dict[str, Callable[[Stage], Awaitable[None]]] = {"life": life, "stay": stay, "crash": crash, "look": look}


def play(case: str, directory: Path) -> None:
    outcome = NetnsProvider(pcap=True).run(load(find("iis5-power-loss")), 1, directory, CASES[case])
    tell(artifacts=outcome.artifacts, hash=outcome.trace_hash)


def hurried(name: str) -> Scenario:
    """The application note's scenario with a monitor that loses patience after 3 s, and little time to look around."""
    scenario = load(find(name)).with_monitor(interval=1.0, missed=3)
    timeline = [
        msgspec.structs.replace(step, run_for=2.5) if isinstance(step, RunForStep) else step
        for step in scenario.timeline
    ]
    return msgspec.structs.replace(scenario, timeline=timeline)


def judge(name: str, directory: Path) -> None:
    run = conduct(hurried(name), NetnsProvider(pcap=True), seed=1, directory=directory, wall_clock=time.monotonic)
    tell(result=msgspec.to_builtins(run.result))


def main() -> None:
    case, directory = sys.argv[1], Path(sys.argv[2])
    if case in ("iis5-power-loss", "iis4-power-loss"):
        judge(case, directory)
    elif case == "twice":
        play("look", directory / "first")
        play("look", directory / "second")
    else:
        play(case, directory)


if __name__ == "__main__":
    main()
