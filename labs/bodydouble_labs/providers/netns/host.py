"""A server of the scenario on this body: power, cable, console and volume of one set of namespaces."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from bodydouble.errors import InputError
from bodydouble.security.trust import CERTIFICATE_FILE, read_shown
from bodydouble_labs.errors import FaultError, LabError
from bodydouble_labs.history import Identity
from bodydouble_labs.providers.base import CommandResult, ControlAddress
from bodydouble_labs.providers.netns import door
from bodydouble_labs.providers.netns.configuration import CONTROL_PORT, configuration
from bodydouble_labs.providers.netns.machine import PoweredMachine
from bodydouble_labs.providers.netns.plan import HOSTS_DIRECTORY, INSIDE, HostPaths, HostPlan, Order
from bodydouble_labs.providers.netns.volume import Drives
from bodydouble_labs.providers.netns.wire import HOST_INTERFACE, LONGEST_NAME, Plug, Wire
from bodydouble_labs.scenario.systems import system_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodydouble.ports import Pinger
    from bodydouble_labs.history import Tree
    from bodydouble_labs.providers.netns.capture import Capture
    from bodydouble_labs.scenario.network import HostSpec

WRITE_TIMEOUT: Final = 30.0
WITNESS_TIMEOUT: Final = 0.2
"""Seconds for which a dead host's address must be silent; a living one answers within a millisecond."""
_SAVE: Final = 'mkdir -p -- "${1%/*}" && cat > "$1"'


class NetnsHost:
    """One server. It is off after construction; see `bodydouble_labs.providers.base.LabHost` for the methods."""

    def __init__(
        self,
        name: str,
        spec: HostSpec,
        *,
        number: int,
        wire: Wire,
        services: Mapping[str, str],
        token: str,
        pinger: Pinger,
        capture: Capture,
    ) -> None:
        """Describe a host.

        Args:
            name: the scenario's key.
            spec: what the scenario says about it.
            number: 1, 2, ...; makes port name and MAC address, the same over power cycles.
            wire: the segment it is plugged into.
            services: short to display names of the services that its product controls.
            token: its control token.
            pinger: asks the wire whether an address answers.
            capture: hears every frame on the wire.
        """
        self.name = name
        self.computer_name = spec.computer_name
        self.address = spec.ip
        self.paths = HostPaths(f"{HOSTS_DIRECTORY}/{name}")
        self.drives = Drives(self.paths.drives)
        self._wire = wire
        self._services = dict(services)
        self._token = token
        self._pinger = pinger
        self._capture = capture
        self._silent_since: int | None = None
        version, service_pack = system_of(spec)
        self._plan = HostPlan(
            name=name,
            computer_name=spec.computer_name,
            address=spec.address,
            control_port=CONTROL_PORT,
            operating_system=version.key,
            service_pack=service_pack,
        )
        self._port = f"port{number}-{name}"[:LONGEST_NAME]
        self.mac = f"02:bd:00:00:00:{number:02x}"
        self._cable = True
        self._machine: PoweredMachine | None = None
        self._up: PoweredMachine | None = None  # the machine while its system runs: neither booting nor going down

    @property
    def control(self) -> ControlAddress:
        """See `bodydouble_labs.providers.base.LabHost.control`; its state has the certificate."""
        try:
            shown = read_shown((self.paths.state / f"{CERTIFICATE_FILE}.json").read_bytes())
        except (OSError, InputError) as error:
            raise LabError(f"{self.name}: the product has no certificate, so it is not installed: {error}") from error
        return ControlAddress(self.address, CONTROL_PORT, self._token, shown.certificate)

    def interface_on(self, segment: str) -> str:
        """The adapter's name; there is one segment only (see `requirements.of_scenario`)."""
        del segment
        return HOST_INTERFACE

    # --- power and cable --------------------------------------------------------------------------------------------

    async def power_on(self) -> None:
        """Boot in new namespaces with the same directory and MAC address.

        Raises:
            LabError: the host is on already, or did not come up; the message names the log.
            FaultError: it was heard on the wire while it had no power.
        """
        if self._machine is not None:
            raise LabError(f"{self.name} is already switched on")
        self.check_silence()
        self.paths.make()
        machine = self._machine = await PoweredMachine.switch_on(self._plan, self.paths.logs / "init.log")
        await self._wire.plug_in(Plug(self._port, self.mac, self._cable), machine.namespaces_of)
        await machine.order(Order("boot"))
        self._up = machine

    async def power_off(self) -> None:
        """Cut the power: first nothing reaches the wire any more, then everything on the host is killed.

        Raises:
            FaultError: the kernel still knows the host's init, or its address still answers.
        """
        machine = self._powered()
        self._up = None
        await self._wire.cut(self._port)
        self._silent_since = self._capture.frames_from(self.mac)
        await machine.kill()
        await self._wire.unplug(self._port)
        self._machine = None
        if machine.running():
            raise FaultError(f"{self.name}: init still runs after the power was cut")
        if self._cable and await self._pinger.ping(self.address, WITNESS_TIMEOUT) is not None:
            raise FaultError(f"{self.name}: {self.address} still answers after the power was cut")

    def check_silence(self) -> None:
        """End the watch over the wire that began when the power was cut, if there is one.

        Raises:
            FaultError: frames with the host's MAC address were heard while it had no power.
        """
        before, self._silent_since = self._silent_since, None
        frames = self._capture.frames_from(self.mac) - before if before is not None else 0
        if frames:
            raise FaultError(f"{self.name} was heard on the wire {frames} times while it had no power")

    async def reboot(self) -> None:
        """Orderly shutdown (services, then the product, each at its own pace), then `power_on`.

        Raises:
            FaultError: the shutdown failed.
            LabError: see `power_on`.
        """
        machine = self._powered()
        self._up = None
        await machine.shut_down()
        await self._wire.unplug(self._port)
        self._machine = None
        await self.power_on()

    async def disconnect(self) -> None:
        """Pull the cable; also possible while the host is off.

        Raises:
            FaultError: the port still has its link.
        """
        self._cable = False
        if self._machine is not None:
            await self._wire.cut(self._port)

    async def connect(self) -> None:
        """Plug the cable in; a running host then announces its addresses (see `netns.media`).

        Raises:
            FaultError: no carrier came.
        """
        self._cable = True
        if self._machine is not None:
            await self._wire.join(self._port)

    async def release(self) -> None:
        """End whatever still runs, without ceremony."""
        self._up = None
        if self._machine is not None:
            await self._machine.kill()
            self._machine = None

    # --- the product ------------------------------------------------------------------------------------------------

    async def install_bodydouble(self) -> None:
        """Configure the product, start it beneath the system, and put the services back as they were.

        Raises:
            LabError: it did not become ready; the message names the log.
        """
        machine = self._powered()
        before = await self.service_states()
        self.paths.config.write_text(configuration(self._token, self._services), encoding="utf-8")
        self._up = None
        await machine.order(Order("install"))
        self._up = machine
        after = await self.service_states()
        for name in self._services:
            if before.get(name) != after.get(name):
                await self._bring(name, running=before.get(name) == "running")

    async def _bring(self, service: str, *, running: bool) -> None:
        line = f"net start {service}" if running else f"net stop {service} /y"
        result = await self.command(line)
        if result.exit_code:
            raise LabError(f"{self.name}: {line} failed after the installation: {result.output.strip()}")

    # --- the console ------------------------------------------------------------------------------------------------

    async def command(self, line: str) -> CommandResult:
        """Run one line through the system's command door.

        Raises:
            LabError: the host is off, or its system does not answer.
        """
        self._powered()
        return await door.command(self.paths.door, line)

    async def put_file(self, path: str, data: bytes) -> None:
        """Save a file from inside the host's mount namespace, that is, through the product's filter.

        Raises:
            LabError: the host is off, or the file could not be written.
        """
        place = str(INSIDE.drives / self.drives.locate(path))
        enter = ("nsenter", "--target", str(self._powered().namespaces_of), "--mount")
        process = await asyncio.create_subprocess_exec(
            *enter, "sh", "-c", _SAVE, "save", place, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                _, errors = await process.communicate(data)
        except TimeoutError:
            process.kill()
            raise LabError(f"{self.name}: saving {path} took longer than {WRITE_TIMEOUT:.0f} s") from None
        if process.returncode:
            raise LabError(f"{self.name}: cannot save {path}: {errors.decode(errors='replace').strip()}")

    async def identity(self) -> Identity:
        """What ``hostname`` and ``ipconfig`` show; which names the product answers to, only the wire can tell.

        Raises:
            LabError: the system is up and does not answer.
        """
        machine = self._up
        if machine is None:
            return Identity(names=None)
        try:
            shown = [(await self.command(line)).output for line in ("hostname", "ipconfig")]
        except LabError:
            if self._up is not machine:  # it went down while it was asked
                return Identity(names=None)
            raise
        addresses = re.findall(r"IP Address[ .]*: (\d+\.\d+\.\d+\.\d+)", shown[1])
        return Identity(shown[0].strip().upper(), None, addresses, self._cable)

    async def service_states(self) -> Mapping[str, str]:
        """The services' states; a service that is not installed is left out, a host that is not up has none.

        Raises:
            LabError: the system is up and does not answer.
        """
        machine = self._up
        if machine is None:
            return {}
        try:
            states = {name: await door.service_state(self.paths.door, name) for name in self._services}
        except LabError:
            if self._up is not machine:  # it went down while it was asked
                return {}
            raise
        return {name: state for name, state in states.items() if state is not None}

    # --- the volume -------------------------------------------------------------------------------------------------

    async def snapshot(self, root: str) -> Tree:
        """The tree beneath a Windows path, read beneath the product's filter, whether the host is on or off."""
        return self.drives.tree(root)

    def product_path(self, path: str) -> str:
        r"""``C:\InetPub`` is ``/mnt/host/drives/C/InetPub`` to the product."""
        return str(INSIDE.drives / self.drives.locate(path))

    def _powered(self) -> PoweredMachine:
        if self._machine is None:
            raise LabError(f"{self.name} is switched off")
        return self._machine
