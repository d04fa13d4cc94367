"""One run on this body: builds hosts and stage, plays, takes everything down. Imported only where it can run."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bodydouble.adapters.clock import SystemClock
from bodydouble.adapters.pinger import IcmpPinger
from bodydouble_labs.providers.netns import kernel
from bodydouble_labs.providers.netns.capture import Capture
from bodydouble_labs.providers.netns.configuration import DISPLAY_NAMES, draw_token, tokens
from bodydouble_labs.providers.netns.hearing import WireHearing, probe
from bodydouble_labs.providers.netns.host import NetnsHost
from bodydouble_labs.providers.netns.names import NameQuery
from bodydouble_labs.providers.netns.plan import HOST_DIRECTORY, MOUNT_POINT
from bodydouble_labs.providers.netns.stage import NetnsStage
from bodydouble_labs.providers.netns.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bodydouble.ports import Pinger
    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.scenario.model import Scenario

LOGS: Final = "logs"


def play(
    scenario: Scenario,
    seed: int,
    directory: Path,
    main: Callable[[Stage], Awaitable[None]],
    *,
    frames: Path | None,
) -> float:
    """Leave for fresh namespaces, run ``main`` on a new stage there, take everything down.

    Args:
        scenario: says which hosts there are.
        seed: of the tokens.
        directory: gets the hosts' logs beneath `LOGS`.
        main: what is done on the stage.
        frames: pcapng file for the wire's frames, or None.

    Returns:
        Seconds that ``main`` took.

    Raises:
        OSError: not root.
        LabError: a host did not come up.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    kernel.leave_for_fresh_namespaces()
    kernel.mount("bodydouble", MOUNT_POINT, "tmpfs", options="mode=0755")
    try:
        return asyncio.run(_interruptible(scenario, seed, directory, main, frames))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        kernel.unmount(MOUNT_POINT)


async def _interruptible(
    scenario: Scenario,
    seed: int,
    directory: Path,
    main: Callable[[Stage], Awaitable[None]],
    frames: Path | None,
) -> float:
    """Play; SIGTERM ends the run like Ctrl-C, in order."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await _perform(scenario, seed, directory, main, frames)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _perform(
    scenario: Scenario,
    seed: int,
    directory: Path,
    main: Callable[[Stage], Awaitable[None]],
    frames: Path | None,
) -> float:
    async with contextlib.AsyncExitStack() as stack:
        wire = await stack.enter_async_context(Wire(next(iter(scenario.network.all_segments)), scenario.client.address))
        capture = await stack.enter_async_context(Capture(wire.segment, frames))
        pinger = IcmpPinger()
        names = NameQuery(scenario.client.address)
        hosts = _hosts(scenario, seed, wire, capture, pinger)
        for name, host in hosts.items():
            stack.push_async_callback(host.release)
            _make_directories(host, directory / LOGS / name)
        await _power_on(hosts)
        stage = NetnsStage(hosts, scenario.protections, names, pinger, SystemClock())
        stack.callback(stage.leave)
        capture.listener = WireHearing({host.mac: name for name, host in hosts.items()}, stage.owners).heard
        probing = asyncio.create_task(probe(wire.segment, [host.address for host in hosts.values()]), name="ARP probes")
        stack.push_async_callback(_end, probing)
        await main(stage)
        return stage.elapsed()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _power_on(hosts: Mapping[str, NetnsHost]) -> None:
    try:
        async with asyncio.TaskGroup() as boots:
            for name, host in hosts.items():
                boots.create_task(host.power_on(), name=f"power on {name}")
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


def _hosts(scenario: Scenario, seed: int, wire: Wire, capture: Capture, pinger: Pinger) -> dict[str, NetnsHost]:
    stream = tokens(seed)
    return {
        name: NetnsHost(
            name,
            spec,
            number=number,
            wire=wire,
            services=_services(scenario, name),
            token=draw_token(stream),
            pinger=pinger,
            capture=capture,
        )
        for number, (name, spec) in enumerate(scenario.servers.items(), start=1)
    }


def _services(scenario: Scenario, host: str) -> dict[str, str]:
    """Short to display names of the services that a host's product controls."""
    shown = DISPLAY_NAMES[scenario.hosts[host].operating_system or "windows-2000"]
    return {name: shown.get(name, name) for name in scenario.services_of(host)}


def _make_directories(host: NetnsHost, logs: Path) -> None:
    """Make the host's places; its logs lie in the result directory, so that they outlive even a killed lab."""
    logs.mkdir(parents=True, exist_ok=True)
    Path(HOST_DIRECTORY).mkdir(exist_ok=True)
    host.paths.make()
    kernel.mount(str(logs), str(host.paths.logs), flags=kernel.MS_BIND)
