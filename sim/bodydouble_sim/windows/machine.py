"""Windows on a simulated machine: volumes, the system, and the ports that the product gets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from bodydouble_sim.errors import DuplicateName, MachineStateError
from bodydouble_sim.iis import setup as iis_setup
from bodydouble_sim.iis.setup import IisOptions
from bodydouble_sim.machine import Machine
from bodydouble_sim.storage.drive import Drive
from bodydouble_sim.windows import file_sharing
from bodydouble_sim.windows.clock import SystemClock
from bodydouble_sim.windows.files import VolumeFiles
from bodydouble_sim.windows.machine_drives import MachineDrives
from bodydouble_sim.windows.machine_services import MachineNames, MachinePower
from bodydouble_sim.windows.network_view import SimulatedNetwork
from bodydouble_sim.windows.process_program import ProcessProgram
from bodydouble_sim.windows.registry import CONTROL
from bodydouble_sim.windows.service import ServiceConfig
from bodydouble_sim.windows.system import WindowsSystem
from bodydouble_sim.windows.version import WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bodydouble.ports import Host
    from bodydouble.vocabulary.records import StartupType
    from bodydouble_sim.process import Process
    from bodydouble_sim.windows.roles import Role
    from bodydouble_sim.windows.system import CommandResult
    from bodydouble_sim.windows.version import WindowsVersion
    from bodydouble_sim.world import World

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND_NS = 1000
CRASH_CONTROL = rf"{CONTROL}\CrashControl"
DUMP_SECONDS = 30.0
"""How long a machine with a STOP error writes its memory to the disk before it restarts."""


class WindowsMachine(Machine):
    """A machine with Windows installed under its name.

    Volumes, registry, service registrations, installed programs and the event log survive power cycles; processes,
    volatile registry keys, added names and added addresses do not.

    Args:
        world: where it stands.
        name: its computer name (1 to 15 characters), kept in upper case.
        drives: by drive letter; there must be a C.
        version: the release of Windows.
        service_pack: its service pack; the latest when None.
        role: in its domain (`bodydouble_sim.windows.roles`).
        domain: its domain, or its workgroup when it is standalone.

    Attributes:
        drives: its drives.
        volumes: their volumes by drive letter.
        system: registry, names, services, files, event log.
        lost_sectors: sectors whose un-flushed bytes did not survive the latest power loss.
        lost_keys: registry keys whose un-flushed changes did not survive it.

    Raises:
        IdentityError: ``name`` is not a computer name.
        InputError: there is no such service pack, or a drive is too large for its file system.
    """

    def __init__(
        self,
        world: World,
        name: str,
        drives: Mapping[str, Drive] | None = None,
        *,
        version: WindowsVersion = WINDOWS_2000,
        service_pack: int | None = None,
        role: Role = "standalone",
        domain: str = "WORKGROUP",
    ) -> None:
        super().__init__(world, name)
        base = (world.now() - _EPOCH) // (datetime.resolution) * _MICROSECOND_NS - world.loop.now
        self.clock = SystemClock(lambda: base + world.loop.now)
        pack = version.service_packs if service_pack is None else service_pack
        self.drives = MachineDrives(self, self.clock, version, pack, drives or {"C": Drive()})
        self.volumes = self.drives.volumes
        self.lost_sectors = 0
        stream = world.random(f"windows:{name}")
        self.lost_keys = 0
        self._power = MachinePower(self)
        self._stop_code: int | None = None
        self.system = WindowsSystem(
            VolumeFiles(self.volumes),
            self.clock,
            self._spawn,
            stream,
            version=version,
            service_pack=service_pack,
            network=SimulatedNetwork(self),
            name_service=MachineNames(self),
            power=self._power,
        )
        self.system.file_sharing_port = file_sharing.PORT
        self.system.disks = self.drives
        self.system.install(name, role=role, domain=domain)
        self.drives.flush()  # Windows was set up long ago
        iis_setup.provide(self.system)
        self.power_loss_hooks.append(self._lose_power)
        self.address_conflict_hooks.append(self._address_conflict)
        self._booted: asyncio.Event | None = None
        self._last_known_good = False
        self._winrm_port: int | None = None
        self._repaired: dict[str, tuple[str, ...]] = {}

    def _spawn(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self.spawn(coro, name=f"{self.name}/{name}")

    # --- power ------------------------------------------------------------------------------------------------------

    def power_on(self, *, last_known_good: bool = False) -> None:
        """See `Machine.power_on`; volumes are mounted and checked, `wait_booted` tells when the services run.

        What was changed in the registry while the power was off counts as written: another system did it.

        Args:
            last_known_good: the operator chose the last known good configuration in the boot menu.
        """
        self.system.registry.flush()
        self._last_known_good = last_known_good
        self._booted = asyncio.Event()
        self._repaired = self.drives.mount()
        super().power_on()

    async def wait_booted(self) -> None:
        """Return once the system is up and its automatic services have been started.

        Raises:
            MachineStateError: the power is off, or went meanwhile.
        """
        if self._booted is None or not self.powered:
            raise MachineStateError(f"{self.name} is off")
        await self.perform(self._until_booted(self._booted), name="wait for boot")

    @staticmethod
    async def _until_booted(booted: asyncio.Event) -> None:
        await booted.wait()

    async def boot(self) -> None:
        """The permanent name goes on the wire (a clash leaves it off and is logged), then the system boots."""
        self._log_repairs()
        await self._register_name(self.system.names.permanent)
        await self.system.boot(last_known_good=self._last_known_good)
        self._log_stop_error()
        self._serve_winrm()
        if self._booted is not None:
            self._booted.set()

    def stop_error(self, code: int) -> None:
        """A STOP error (blue screen): nothing runs any more and unwritten data are lost, as at a power cut.

        Source: KB 307973, ``CrashControl``: AutoReboot (switched on unless set otherwise) starts it again, here
        after `DUMP_SECONDS`; LogEvent enters what happened into the System log at the next boot.

        Args:
            code: the bug check (``0x0000000A``).

        Raises:
            MachineStateError: the power is off.
        """
        self.power_off()
        self._stop_code = code
        if self.system.registry.number(CRASH_CONTROL, "AutoReboot", 1):
            self._power.restart_after(DUMP_SECONDS)

    def _log_stop_error(self) -> None:
        code, self._stop_code = self._stop_code, None
        if code is not None and self.system.registry.number(CRASH_CONTROL, "LogEvent", 1):
            text = f"The computer has rebooted from a bugcheck. The bugcheck was: 0x{code:08x}."
            self.system.event_log.record("Save Dump", 1001, "information", text)

    def _log_repairs(self) -> None:
        """What autochk repaired on the volumes at the start.

        Source: KB 218461, KB 255008: event 1001 of Winlogon in the Application log of Windows 2000; NT 4.0 shows it on
        the screen.
        """
        for letter, lines in self._repaired.items():
            self.world.trace.record("disk", self.name, "checked", letter, len(lines))
            if not self.system.version.is_nt4:
                text = f"Checking file system on {letter}:\n" + "\n".join(lines)
                self.system.event_log.record("Winlogon", 1001, "information", text, log="Application")

    async def _register_name(self, name: str) -> None:
        self.system.names.conflict = False
        if not self.stack.addresses():
            return
        try:
            await self.netbios.register(name)
        except DuplicateName as error:
            self.system.names.conflict = True
            text = f"A duplicate name has been detected on the TCP network. {error}"
            self.system.event_log.record("NetBT", 4319, "error", text)
        except MachineStateError as error:  # the addresses went while the name was being claimed
            self.system.event_log.record("NetBT", 4321, "error", f"The name {name} could not be registered. {error}")

    def _lose_power(self) -> None:
        stream = self.world.random(f"power loss:{self.name}")
        self.lost_sectors = self.drives.lose_power(stream)
        self.lost_keys = self.system.lose_power()
        self.world.trace.record("disk", self.name, "lost sectors", self.lost_sectors)

    async def shut_down(self) -> None:
        """Orderly: services stop, volumes are flushed, the power goes off.

        Raises:
            MachineStateError: the power is off.
        """
        await self.perform(self.system.shut_down(), name="shut down")
        self.drives.flush()
        self.power_off()
        self.drives.went_down_in_good_order()

    async def reboot(self) -> None:
        """`shut_down`, `power_on`, `wait_booted`.

        Raises:
            MachineStateError: the power is off.
        """
        await self.shut_down()
        self.power_on()
        await self.wait_booted()

    def _address_conflict(self, adapter: str, address: str, mac: str) -> None:
        """Log a conflict of addresses.

        Source: reference/windows-iis.md, "Network": who claims an address that is answered does not use it (Tcpip
        4198), who has it logs 4199 and announces it again.
        """
        lost = not self.stack.owns(address)
        what = f"The system detected an address conflict for IP address {address} with the system having network "
        what += f"hardware address {mac}. "
        what += f"{adapter} does not use it." if lost else "Network operations on this system may be disrupted."
        self.system.event_log.record("Tcpip", 4198 if lost else 4199, "error", what)

    # --- the operator at its console --------------------------------------------------------------------------------

    async def perform(self, coro: Coroutine[Any, Any, T], *, name: str) -> T:
        """Run a coroutine as a task of this machine and wait for it from outside.

        Raises:
            MachineStateError: the power is off, or goes before it is done.
        """
        task = self.spawn(coro, name=f"{self.name}/{name}")
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task.add_done_callback(lambda ended: _hand_over(ended, result))

        def lost() -> None:
            if not result.done():
                result.set_exception(MachineStateError(f"{self.name} lost its power during {name}"))

        self.power_loss_hooks.append(lost)
        try:
            return await result
        finally:
            self.power_loss_hooks.remove(lost)
            if not task.done() and self.powered:
                task.cancel()

    async def command(self, line: str, *, answers: Sequence[str] = ()) -> CommandResult:
        """Run one line in the command interpreter, as the operator at the console.

        Args:
            line: as it is typed.
            answers: what the operator types at prompts, in order.

        Raises:
            MachineStateError: the power is off, or goes before the command is done.
        """
        return await self.perform(self.system.command(line, answers=answers), name="console")

    async def install_iis(self, options: IisOptions | None = None) -> None:
        """Set IIS up under the active name.

        Raises:
            InputError: the options do not fit this machine.
            ServiceControlError: a service did not start.
            MachineStateError: the power is off.
        """
        await self.perform(iis_setup.install(self.system, options or IisOptions()), name="install IIS")

    def put_file(self, path: str, data: bytes) -> None:
        """Save a file (Windows or product form path, parents are made), as an application at the console does it.

        Raises:
            FileSystemError: the volume refused.
        """
        path = path.replace("\\", "/")
        self.system.make_directories(path.rpartition("/")[0])
        self.system.write_file(path, data, durable=True)

    def register_program_service(
        self,
        name: str,
        display_name: str,
        program: Callable[[], Coroutine[Any, Any, None]],
        startup: StartupType = "automatic",
    ) -> None:
        """Register a service whose program is a coroutine that runs until cancelled (the product's daemon).

        Args:
            name: short name.
            display_name: as the control panel shows it.
            program: makes the coroutine of one run.
            startup: automatic starts it at each boot from the next one on; ``net start`` starts it now.
        """
        config = ServiceConfig(name, display_name, startup, (), f"{name}.exe")
        self.system.scm.register(config, lambda: ProcessProgram(name, program, self))
        self.system.registry.flush()

    def process_of(self, service: str) -> Process:
        """The process of a service that was registered by `register_program_service`.

        What is asked of the program's objects directly has to run in it: elsewhere it would outlive a kill.

        Raises:
            MachineStateError: it does not run.
        """
        program = self.system.scm.find(service).program
        if not isinstance(program, ProcessProgram) or program.process is None:
            raise MachineStateError(f"{service} on {self.name} has no process")
        return program.process

    def open_winrm(self, port: int = 5985) -> None:
        """Open the remote door (`bodydouble_sim.live.winrm`) now and after every boot, on all addresses.

        An account needs a password to use it (``net user Administrator PASSWORD``).

        Raises:
            MachineStateError: the power is off.
        """
        self._winrm_port = port
        self._serve_winrm()

    def _serve_winrm(self) -> None:
        from bodydouble_sim.live.winrm.server import WinrmDoor  # noqa: PLC0415 - a body's door, not a part of Windows

        if self._winrm_port is not None:
            door = WinrmDoor(self.system, port=self._winrm_port)
            self.spawn(door.run(), name=f"{self.name}/winrm")

    def host(self) -> Host:
        """The seven ports over this machine."""
        from bodydouble_sim.ports.host import compose  # noqa: PLC0415 - ports know machines, not the reverse

        return compose(self)


def _hand_over(task: asyncio.Task[T], result: asyncio.Future[T]) -> None:
    if result.done():
        if not task.cancelled():
            task.exception()
    elif task.cancelled():
        result.cancel()
    elif (error := task.exception()) is not None:
        result.set_exception(error)
    else:
        result.set_result(task.result())
