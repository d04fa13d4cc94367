"""One Windows installation: what survives a power cycle, and how it runs commands and scripts.

It stands on plain asyncio and `HostFiles`, so the same system runs on simulated volumes in virtual time and on real
directories on the real loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - a public signature
from typing import TYPE_CHECKING, Any

from bodydouble.errors import FileSystemError, ScriptError
from bodydouble.vocabulary.records import ScriptResult
from bodydouble_sim.windows import base_services, installation, life, roles, time_zone
from bodydouble_sim.windows import files as file_steps
from bodydouble_sim.windows.accounts import Accounts
from bodydouble_sim.windows.clock import SystemClock
from bodydouble_sim.windows.command_interpreter.interpreter import Interpreter
from bodydouble_sim.windows.commands import table
from bodydouble_sim.windows.event_log import EventLog
from bodydouble_sim.windows.names import ActiveName, ComputerNames, NameService, SilentNameService
from bodydouble_sim.windows.network_view import NetworkView, NoNetwork
from bodydouble_sim.windows.power import NoPower, Power
from bodydouble_sim.windows.redirector import Redirector
from bodydouble_sim.windows.registry import COMPUTER_NAME, MACHINE, PRODUCT_OPTIONS, Registry
from bodydouble_sim.windows.scm import ServiceControlManager
from bodydouble_sim.windows.shares import Shares
from bodydouble_sim.windows.shell import Shell
from bodydouble_sim.windows.version import WINDOWS_2000, checked_service_pack

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bodydouble_sim.windows.commands.disk_programs import Disks
    from bodydouble_sim.windows.files import HostFiles
    from bodydouble_sim.windows.roles import Role
    from bodydouble_sim.windows.shell import Program
    from bodydouble_sim.windows.version import WindowsVersion

SYSTEM32 = "C:/WINNT/system32"
TIMED_OUT = 1460
_EXECUTABLE = b"MZ\x90\x00This program cannot be run in DOS mode.\r\nprogram: "


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: exit code, and standard output and error together (at most 64 KiB) and apart."""

    exit_code: int
    output: str
    standard_output: str = ""
    standard_error: str = ""


class WindowsSystem:
    """Registry, names, services, event log, programs and the command interpreter of one machine.

    Args:
        files: the machine's drives.
        clock: nanoseconds since 1970 UTC.
        spawn: starts a named task that belongs to the machine.
        random: this machine's stream for choices such as its identifier.
        version: the release of Windows.
        service_pack: its service pack; the latest when None.
        registry: an existing one (a live body that starts again), else a new one.
        active_name: where the active name lives when not in the registry.
        network: the network as its programs see it; on none without.
        name_service: the NetBIOS names that it answers for; on no network without.
        power: what carries out `shutdown`; without one requests are ignored.

    Attributes:
        programs: executables by name; a file on disk refers to one of them (see `install_program`).
        disks: what ``format``, ``chkdsk`` and ``label`` work with, where the machine has drives of its own.
        redirector: files on other machines by UNC path.
        file_sharing_port: where the Server service listens and the redirector connects; None: a host that has none for
            it, so that neither reaches anybody.
        up: whether a boot has come to its end, and no shutdown has begun since.

    Raises:
        InputError: there is no such service pack.
    """

    def __init__(
        self,
        files: HostFiles,
        clock: Callable[[], int],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        random: random.Random,
        *,
        version: WindowsVersion = WINDOWS_2000,
        service_pack: int | None = None,
        registry: Registry | None = None,
        active_name: ActiveName | None = None,
        network: NetworkView | None = None,
        name_service: NameService | None = None,
        power: Power | None = None,
    ) -> None:
        self.files = files
        self.clock = clock if isinstance(clock, SystemClock) else SystemClock(clock)
        self.spawn = spawn
        self.random = random
        self.version = version
        latest = version.service_packs
        self._set_up_pack = checked_service_pack(version, latest if service_pack is None else service_pack)
        self.registry = registry or Registry()
        self.registry.clock = self.clock.steady
        self.event_log = EventLog(self.clock, self.registry)
        self.names = ComputerNames(self.registry, active_name)
        self.network = network or NoNetwork()
        self.name_service = name_service or SilentNameService()
        self.power = power or NoPower()
        self.accounts = Accounts(self.registry, random)
        self.shares = Shares(self.registry, files, self._drives, self._is_server)
        self.redirector = Redirector(self)
        self.file_sharing_port: int | None = None
        self.up = False
        self.disks: Disks | None = None
        self.scm = ServiceControlManager(
            self.registry,
            self.event_log,
            spawn,
            accounts=self.accounts,
            version=version,
            power=self.power,
            run=self._run,
        )
        self.programs: dict[str, Program] = table.programs(version)
        base_services.provide(self)

    # --- installation -----------------------------------------------------------------------------------------------

    @property
    def installed(self) -> bool:
        """Whether the registry is that of an installed system."""
        return bool(self.registry.text(COMPUTER_NAME, "ComputerName"))

    def install(self, name: str, *, role: Role = "standalone", domain: str = "WORKGROUP") -> None:
        """Set Windows up under ``name``: names, accounts, system directories, programs, services.

        Args:
            name: the computer name.
            role: in its domain; see `bodydouble_sim.windows.roles`.
            domain: the domain, or the workgroup of a standalone machine.

        Raises:
            IdentityError: not a computer name.
            InputError: the role needs a domain.
        """
        self.names.set_permanent(name)
        self.registry.set(MACHINE, "V", f"S-1-5-21-{self.random.getrandbits(31)}-{self.random.getrandbits(31)}")
        roles.assign(self, role, domain)
        installation.write_version(self.registry, self.version, self._set_up_pack)
        time_zone.put_zone(self.registry, time_zone.GREENWICH.name)
        for path in (SYSTEM32, "C:/Program Files"):
            self.make_directories(path)
        for program in table.installed(self.version):
            self.install_program(f"{SYSTEM32}/{program}.exe", program)
        base_services.register(self)
        self.registry.flush()

    @property
    def service_pack(self) -> int:
        """The number of its service pack, 0: none."""
        return installation.service_pack(self.registry, self._set_up_pack)

    @property
    def role(self) -> Role:
        """What it is in its domain."""
        return roles.role_of(self.registry)

    @property
    def domain(self) -> str:
        """Its domain, or its workgroup when it is standalone."""
        return roles.domain_of(self.registry)

    def _is_server(self) -> bool:
        return self.registry.text(PRODUCT_OPTIONS, "ProductType") != "WinNT"

    def _drives(self) -> list[str]:
        drives = getattr(self.files, "drives", None)  # drives of a file system that can tell
        if drives is not None:
            return list(drives())
        return [letter for letter in "CDEFGHIJKLMNOPQRSTUVWXYZ" if self.files.stat(f"{letter}:") is not None]

    def install_program(self, path: str, program: str) -> None:
        """Put an executable that runs ``programs[program]`` at ``path``; it can be copied like any file.

        Raises:
            FileSystemError: the file cannot be written.
        """
        self.make_directories(path.rpartition("/")[0])
        file_steps.write_file(self.files, path, _EXECUTABLE + program.encode() + b"\r\n", durable=True)

    def program_in(self, path: str) -> Program | None:
        """The program that the executable at ``path`` runs, None when it is none."""
        data = self.files.read(path)
        name = data.removeprefix(_EXECUTABLE).strip().decode("ascii", "replace")
        return self.programs.get(name) if data.startswith(_EXECUTABLE) else None

    def make_directories(self, path: str) -> None:
        """Make a directory and what is missing above it.

        Raises:
            FileSystemError: a file is in the way, or the drive does not exist.
        """
        file_steps.make_directories(self.files, path)

    def write_file(self, path: str, data: bytes, *, durable: bool = False) -> None:
        """Make ``path`` hold exactly ``data``.

        Raises:
            FileSystemError: the file cannot be written.
        """
        file_steps.write_file(self.files, path, data, durable=durable)

    @property
    def machine_id(self) -> str:
        """What tells this installation from every other: its SID."""
        return self.registry.text(MACHINE, "V")

    # --- the clock --------------------------------------------------------------------------------------------------

    def local_time(self) -> datetime:
        """The clock's time in the machine's zone (aware), daylight time included."""
        zone = time_zone.zone_in(self.registry)
        return zone.local(self.clock.now(), adjust=time_zone.adjusts(self.registry))

    def set_clock(self, moment: datetime) -> None:
        """Set the machine's clock; what counts durations does not notice.

        Args:
            moment: aware.
        """
        self.clock.set(moment)

    def set_time_zone(self, name: str) -> None:
        """Move the machine to a time zone, by its standard name; the clock's UTC stays.

        Raises:
            InputError: there is no such zone.
        """
        time_zone.put_zone(self.registry, name)

    # --- its life ---------------------------------------------------------------------------------------------------

    async def boot(self, *, restart: bool = False, last_known_good: bool = False) -> None:
        """Volatile keys go, the permanent name becomes active, automatic services start in their order.

        Args:
            restart: only the model's process starts again on a host that stayed up: the active name stays.
            last_known_good: use the control set of the last good boot instead of the default one.
        """
        if not restart:
            self.registry.boot()
            if last_known_good:
                self.registry.revert()
            self.names.boot()
        life.log_boot(self)
        await self.scm.boot()
        self.registry.accept_boot()
        self.up = True

    async def shut_down(self) -> None:
        """Stop all services, as long as ``WaitToKillServiceTimeout`` allows, and write the registry."""
        self.up = False
        await self.scm.shut_down()
        life.log_shutdown(self)
        self.registry.flush()

    def lose_power(self) -> int:
        """The power went: unflushed changes of the registry are lost; how many keys.

        Services run no more; `boot` finds out that the shutdown was none.
        """
        lost = self.registry.power_loss()
        if self.up:
            life.stamp_alive(self)
        self.up = False
        self.scm.power_loss()
        return lost

    # --- commands ---------------------------------------------------------------------------------------------------

    async def command(self, line: str, *, answers: Sequence[str] = ()) -> CommandResult:
        """Run one line as ``cmd /c`` would.

        Args:
            line: as an operator types it.
            answers: what the operator types at prompts, in order; afterwards a prompt gets the end of input, as in a
                batch file without a console.
        """
        shell = self._shell({}, answers)
        exit_code = await Interpreter(shell, f"cmd /c {line}").run_line(line)
        return CommandResult(exit_code, shell.output(), shell.console.text(1), shell.console.text(2))

    async def run_script(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the port's signature
        *,
        answers: Sequence[str] = (),
    ) -> ScriptResult:
        """Run a batch file to its end.

        Args:
            path: product form, ending in ``.bat`` or ``.cmd``.
            arguments: become ``%1`` and so on.
            environment: added to the system's.
            timeout: seconds; then the interpreter is killed (exit code `TIMED_OUT`), services it was starting go on.
            answers: see `command`.

        Raises:
            ScriptError: no such file, or no interpreter for its suffix.
        """
        entry = self.files.stat(path)
        if entry is None or entry.directory:
            raise ScriptError(f"{path}: no such script file")
        if not path.lower().endswith((".bat", ".cmd")):
            raise ScriptError(f"{path}: Windows runs scripts whose names end in .bat or .cmd")
        shell = self._shell(environment, answers)
        try:
            async with asyncio.timeout(timeout):
                exit_code = await Interpreter(shell).run_file(entry.path, arguments)
        except TimeoutError:
            return ScriptResult(exit_code=TIMED_OUT, output=shell.output(), timed_out=True)
        except FileSystemError as error:
            raise ScriptError(f"{path}: {error}") from error
        return ScriptResult(exit_code=exit_code, output=shell.output())

    def open_shell(self, environment: Mapping[str, str], answers: Sequence[str] = ()) -> Shell:
        """A command interpreter of its own, for who follows a command's output while it runs.

        Args:
            environment: added to the system's.
            answers: see `command`.
        """
        return self._shell(environment, answers)

    async def _run(self, line: str) -> None:
        """Run a command for nobody who waits for its output."""
        await self.command(line)

    def _shell(self, environment: Mapping[str, str], answers: Sequence[str]) -> Shell:
        variables = {
            "COMPUTERNAME": self.names.active,
            "ComSpec": r"C:\WINNT\system32\cmd.exe",
            "OS": "Windows_NT",
            "Path": r"C:\WINNT\system32;C:\WINNT",
            "PATHEXT": ".COM;.EXE;.BAT;.CMD",
            "SystemDrive": "C:",
            "SystemRoot": r"C:\WINNT",
            "TEMP": r"C:\TEMP",
            "windir": r"C:\WINNT",
        }
        shell = Shell.open(self, variables, answers)
        shell.environment.update(environment)
        return shell
