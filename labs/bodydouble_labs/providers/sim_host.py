"""A simulated Windows machine as the lab handles it: switch, cable, console, product, witnesses."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from bodydouble.control.settings import ControlSettings
from bodydouble.daemon import Daemon, DaemonSettings
from bodydouble.security.trust import CERTIFICATE_FILE, read_shown
from bodydouble.vocabulary.paths import normalise
from bodydouble_labs.errors import FaultError, LabError
from bodydouble_labs.history import Identity, Tree, TreeEntry
from bodydouble_labs.providers.base import CommandResult, ControlAddress
from bodydouble_labs.providers.sim_order import VolumeWitness
from bodydouble_labs.providers.sim_wire import WireWitness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_labs.scenario.network import HostSpec
    from bodydouble_sim.storage.volume import Volume
    from bodydouble_sim.windows.machine import WindowsMachine

CONTROL_PORT = 6330
EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside the simulated network
SERVICE = "Bodydouble"
STATE_DIRECTORY = "C:/Program Files/Bodydouble/State"
READY_WITHIN = 60.0
"""Seconds that the product's control API may take to answer after the service was started."""


class SimHost:
    """`bodydouble_labs.providers.base.LabHost` over a simulated machine."""

    def __init__(self, name: str, spec: HostSpec, machine: WindowsMachine) -> None:
        self.name = name
        self.computer_name = spec.computer_name
        self.machine = machine
        self._address = spec.ip
        self._token = f"operator of {spec.computer_name}"
        self._certificate = b""
        self.witnesses = {letter: VolumeWitness(volume) for letter, volume in machine.volumes.items()}
        self._wires = [WireWitness(nic) for nic in machine.nics]
        self._daemon: Daemon | None = None

    @property
    def control(self) -> ControlAddress:
        """See `bodydouble_labs.providers.base.LabHost.control`."""
        if not self._certificate:
            raise LabError(f"{self.name}: the product is not installed")
        return ControlAddress(self._address, CONTROL_PORT, self._token, self._certificate)

    @property
    def connected(self) -> bool:
        """Whether a cable is in."""
        return any(nic.up for nic in self.machine.nics)

    def interface_on(self, segment: str) -> str | None:
        """Name of the first adapter on a segment."""
        return next((nic.name for nic in self.machine.nics if nic.segment.name == segment), None)

    # --- the product ------------------------------------------------------------------------------------------------

    async def install_bodydouble(self) -> None:
        """Register the unchanged daemon as an automatic service, start it, wait until it answers."""
        self.machine.system.make_directories(STATE_DIRECTORY)
        self.machine.register_program_service(SERVICE, "Bodydouble", self._run_daemon)
        started = await self.machine.command(f"net start {SERVICE}")
        if started.exit_code:
            raise LabError(f"{self.name}: the product's service does not start: {started.output.strip()}")
        await self._wait_for_daemon()
        path = f"{STATE_DIRECTORY}/{CERTIFICATE_FILE}.json"
        self._certificate = read_shown(self.volume_of(path).read(path)).certificate

    async def _run_daemon(self) -> None:
        """One run of the product's service."""
        settings = DaemonSettings(
            state_directory=STATE_DIRECTORY,
            control=ControlSettings(token=self._token, address=EVERYWHERE, port=CONTROL_PORT),
        )
        self._daemon = daemon = Daemon(self.machine.host(), settings)
        await daemon.run()

    async def _wait_for_daemon(self) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN):
                while not (self._daemon is not None and self._daemon.ready.is_set()):  # noqa: ASYNC110 - from outside
                    await asyncio.sleep(0.1)
        except TimeoutError:
            last = [entry.text for entry in self.machine.system.event_log.entries[-3:]]
            raise LabError(f"{self.name}: the product does not come up; last events: {' / '.join(last)}") from None

    # --- power and cable --------------------------------------------------------------------------------------------

    async def power_off(self) -> None:
        """Cut the power."""
        self.machine.power_off()
        self._daemon = None
        for wire in self._wires:
            wire.begin()
        if self.machine.powered or any(service.state == "running" for service in self.machine.system.scm.services()):
            raise FaultError(f"{self.name} is still running after its power was cut")

    async def power_on(self) -> None:
        """Boot; the wire must have been silent since the power was cut."""
        self.check_silence()
        self._restart_witnesses()
        self.machine.power_on()
        await self._come_up()

    async def reboot(self) -> None:
        """Shut down in good order and boot."""
        await self.machine.shut_down()
        self._daemon = None
        self._restart_witnesses()
        self.machine.power_on()
        await self._come_up()

    def _restart_witnesses(self) -> None:
        for witness in self.witnesses.values():
            witness.restart()

    async def _come_up(self) -> None:
        await self.machine.wait_booted()
        if any(service.config.name == SERVICE for service in self.machine.system.scm.services()):
            await self._wait_for_daemon()

    def check_silence(self) -> None:
        """End the watch over the wire, if there is one.

        Raises:
            FaultError: one of the machine's adapters sent frames while it had no power.
        """
        frames = sum([wire.end() for wire in self._wires])
        if frames:
            raise FaultError(f"{self.name} sent {frames} frames while it had no power")

    async def disconnect(self) -> None:
        """Pull the cable of every adapter."""
        for nic in self.machine.nics:
            nic.disconnect()

    async def connect(self) -> None:
        """Plug the cables; the system claims its addresses again."""
        for nic in self.machine.nics:
            nic.connect()
        if self.machine.powered:
            await self.machine.perform(self.machine.stack.ready(), name="address claim")

    # --- the console ------------------------------------------------------------------------------------------------

    async def command(self, line: str) -> CommandResult:
        """Run a line in the command interpreter."""
        result = await self.machine.command(line)
        return CommandResult(result.exit_code, result.output)

    async def put_file(self, path: str, data: bytes) -> None:
        """Save a file."""
        self.machine.put_file(path, data)

    async def identity(self) -> Identity:
        """Names and addresses of the running system; nothing of one that is off."""
        machine = self.machine
        if not machine.powered:
            return Identity()
        return Identity(
            active_name=machine.system.names.active,
            names=[name for name in machine.netbios.names() if "<" not in name],
            addresses=[item.address.partition("/")[0] for item in machine.stack.addresses()],
            on_network=self.connected,
        )

    async def service_states(self) -> Mapping[str, str]:
        """The services' states, nothing when the machine is off."""
        if not self.machine.powered:
            return {}
        return {service.config.name: service.state for service in self.machine.system.scm.services()}

    def product_path(self, path: str) -> str:
        """A Windows path in product form."""
        return normalise(path)

    # --- witnesses --------------------------------------------------------------------------------------------------

    async def snapshot(self, root: str) -> Tree:
        """The tree beneath ``root`` as the volume has it; nothing when it is not there."""
        path = normalise(root)
        volume = self.volume_of(path)
        tree: Tree = {}
        if volume.stat(path) is not None:
            _collect(volume, path, len(path) + 1, tree, {})
        return tree

    def volume_of(self, path: str) -> Volume:
        """The volume that holds a path in product form."""
        return self.machine.volumes[path[0]]


def _collect(volume: Volume, directory: str, prefix: int, tree: Tree, names: dict[str, str]) -> None:
    """Everything in a directory; ``names`` are the first ones of files that have several."""
    for entry in volume.list(directory):
        name = entry.path[prefix:]
        first = names.setdefault(entry.identity, name) if entry.identity else name
        tree[name] = _seen(volume, entry, "" if first == name else first)
        if entry.directory:
            _collect(volume, entry.path, prefix, tree, names)


def _seen(volume: Volume, entry: Entry, same_as: str) -> TreeEntry:
    digest = "" if entry.directory else hashlib.sha256(volume.read(entry.path)).hexdigest()
    security = entry.metadata.security.decode("latin-1")
    streams = {name: hashlib.sha256(volume.read(f"{entry.path}:{name}")).hexdigest() for name, _ in entry.streams}
    return TreeEntry(
        entry.directory, entry.size, digest, entry.metadata.attributes, security, entry.mtime_ns, entry.target or "",
        streams=streams, same_as=same_as,
    )  # fmt: skip
