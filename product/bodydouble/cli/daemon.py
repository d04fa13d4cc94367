"""``daemon``: run the services of this machine.

The daemon and the host's adapters are imported only here, inside the command: every other command starts without them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bodydouble.cli.session import Command, examples
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from bodydouble.adapters.linux import LinuxHostSettings
    from bodydouble.daemon import Daemon, DaemonSettings


@click.command(cls=Command, epilog=examples("bodydouble daemon --config /etc/bodydouble/daemon.toml"))
@click.option("--config", type=click.Path(path_type=Path), required=True, help="The TOML configuration file.")
def daemon(config: Path) -> None:
    """Run the daemon in the foreground until SIGTERM or SIGINT."""
    from bodydouble.adapters.linux import LinuxHostSettings  # noqa: PLC0415 - see the module's docstring
    from bodydouble.cli.config import load_config  # noqa: PLC0415 - see the module's docstring
    from bodydouble.cli.tables import located  # noqa: PLC0415 - see the module's docstring

    settings, host_settings = load_config(config, LinuxHostSettings)
    os.environ["BODYDOUBLE_CONFIG"] = str(config.resolve())  # scripts that it runs find it by that
    try:
        asyncio.run(_run(settings, host_settings))
    except InputError as error:
        raise located(config, error) from error


async def _run(settings: DaemonSettings, host_settings: LinuxHostSettings) -> None:
    from bodydouble.adapters.linux import open_host  # noqa: PLC0415 - see the module's docstring
    from bodydouble.daemon import Daemon  # noqa: PLC0415 - see the module's docstring

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_host(host_settings, settings.state_directory) as host:
        await _until(stop, Daemon(host, settings))


async def _until(stop: asyncio.Event, daemon: Daemon) -> None:
    """Run the daemon until ``stop``; its own error leaves here."""
    running = asyncio.create_task(daemon.run(), name="daemon")
    stopping = asyncio.create_task(stop.wait(), name="wait for a signal")
    ready = asyncio.create_task(_announce(daemon), name="announce readiness")
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    _notify(b"STOPPING=1")
    for task in (running, stopping, ready):
        task.cancel()
    await asyncio.wait([running, stopping, ready])
    if not running.cancelled():
        running.result()


async def _announce(daemon: Daemon) -> None:
    await daemon.ready.wait()
    _notify(b"READY=1")
    click.echo(f"bodydouble: ready, control port {daemon.control.port}", err=True)


def _notify(state: bytes) -> None:
    """Tell systemd, if that started this daemon (sd_notify(3)); @ stands for an abstract socket."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice:
            notice.sendto(state, "\0" + place[1:] if place.startswith("@") else place)
