"""One Windows installation: what survives a power cycle, and how it runs commands and scripts.

It stands on plain asyncio and `HostFiles`, so the same system runs on simulated volumes in virtual time and on real
directories on the real loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bodydouble.errors import FileSystemError, ScriptError
from bodydouble.vocabulary.records import ScriptResult
from bodydouble_sim.windows import files as file_steps
from bodydouble_sim.windows.batch import Interpreter
from bodydouble_sim.windows.chngname import chngname
from bodydouble_sim.windows.event_log import EventLog
from bodydouble_sim.windows.names import ActiveName, ComputerNames
from bodydouble_sim.windows.net_command import net
from bodydouble_sim.windows.registry import COMPUTER_NAME, MACHINE, Registry
from bodydouble_sim.windows.sc_command import sc
from bodydouble_sim.windows.scm import ServiceControlManager
from bodydouble_sim.windows.service import IdleProgram, ServiceConfig
from bodydouble_sim.windows.shell import Shell
from bodydouble_sim.windows.version import WINDOWS_2000, checked_service_pack

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bodydouble_sim.windows.files import HostFiles
    from bodydouble_sim.windows.shell import Program
    from bodydouble_sim.windows.version import WindowsVersion

SYSTEM32 = "C:/WINNT/system32"
TIMED_OUT = 1460
_EXECUTABLE = b"MZ\x90\x00This program cannot be run in DOS mode.\r\nprogram: "
_BASE_SERVICES = (
    ServiceConfig("Eventlog", "Event Log", "automatic", (), "services.exe"),
    ServiceConfig("RpcSs", "Remote Procedure Call (RPC)", "automatic", (), "svchost.exe"),
    ServiceConfig("LanmanServer", "Server", "automatic", (), "services.exe"),
    ServiceConfig("LanmanWorkstation", "Workstation", "automatic", (), "services.exe"),
    ServiceConfig("cisvc", "Indexing Service", "manual", ("RpcSs",), "cisvc.exe"),
)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: exit code, and standard output and error together (at most 64 KiB)."""

    exit_code: int
    output: str


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

    Attributes:
        programs: executables by name; a file on disk refers to one of them (see `install_program`).

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
    ) -> None:
        self.files = files
        self.clock = clock
        self.spawn = spawn
        self.random = random
        self.version = version
        latest = version.service_packs
        self.service_pack = checked_service_pack(version, latest if service_pack is None else service_pack)
        self.registry = registry or Registry()
        self.event_log = EventLog(clock)
        self.names = ComputerNames(self.registry, active_name)
        self.scm = ServiceControlManager(self.registry, self.event_log, spawn)
        self.programs: dict[str, Program] = {"net": net, "sc": sc, "chngname": chngname, "hostname": _hostname}
        for config in _BASE_SERVICES:
            self.scm.provide(config.name, IdleProgram)

    # --- installation -----------------------------------------------------------------------------------------------

    @property
    def installed(self) -> bool:
        """Whether the registry is that of an installed system."""
        return bool(self.registry.text(COMPUTER_NAME, "ComputerName"))

    def install(self, name: str) -> None:
        """Set Windows up under ``name``: names, system directories, programs, base services.

        Raises:
            IdentityError: not a computer name.
        """
        self.names.set_permanent(name)
        self.registry.set(MACHINE, "V", f"S-1-5-21-{self.random.getrandbits(31)}-{self.random.getrandbits(31)}")
        for path in (SYSTEM32, "C:/Program Files"):
            self.make_directories(path)
        for program in ("net", "sc", "hostname"):
            self.install_program(f"{SYSTEM32}/{program}.exe", program)
        for config in _BASE_SERVICES:
            self.scm.register(config, IdleProgram)

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

    # --- its life ---------------------------------------------------------------------------------------------------

    async def boot(self, *, restart: bool = False) -> None:
        """Volatile keys go, the permanent name becomes active, automatic services start in dependency order.

        Args:
            restart: only the model's process starts again on a host that stayed up: the active name stays.
        """
        if not restart:
            self.registry.boot()
            self.names.boot()
        self.event_log.record("EventLog", 6005, "information", "The Event log service was started.")
        await self.scm.boot()

    async def shut_down(self) -> None:
        """Stop all services in order."""
        await self.scm.shut_down()
        self.event_log.record("EventLog", 6006, "information", "The Event log service was stopped.")

    # --- commands ---------------------------------------------------------------------------------------------------

    async def command(self, line: str) -> CommandResult:
        """Run one line as ``cmd /c`` would."""
        shell = self._shell({})
        exit_code = await Interpreter(shell).run_line(line)
        return CommandResult(exit_code, shell.output())

    async def run_script(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the port's signature
    ) -> ScriptResult:
        """Run a batch file to its end.

        Args:
            path: product form, ending in ``.bat`` or ``.cmd``.
            arguments: become ``%1`` and so on.
            environment: added to the system's.
            timeout: seconds; then the interpreter is killed (exit code `TIMED_OUT`), services it was starting go on.

        Raises:
            ScriptError: no such file, or no interpreter for its suffix.
        """
        entry = self.files.stat(path)
        if entry is None or entry.directory:
            raise ScriptError(f"{path}: no such script file")
        if not path.lower().endswith((".bat", ".cmd")):
            raise ScriptError(f"{path}: Windows runs scripts whose names end in .bat or .cmd")
        shell = self._shell(environment)
        try:
            async with asyncio.timeout(timeout):
                exit_code = await Interpreter(shell).run_file(entry.path, arguments)
        except TimeoutError:
            return ScriptResult(exit_code=TIMED_OUT, output=shell.output(), timed_out=True)
        except FileSystemError as error:
            raise ScriptError(f"{path}: {error}") from error
        return ScriptResult(exit_code=exit_code, output=shell.output())

    def _shell(self, environment: Mapping[str, str]) -> Shell:
        variables = {
            "COMPUTERNAME": self.names.active,
            "OS": "Windows_NT",
            "PATH": r"C:\WINNT\system32;C:\WINNT",
            "SYSTEMDRIVE": "C:",
            "SYSTEMROOT": r"C:\WINNT",
        }
        variables.update({name.upper(): value for name, value in environment.items()})
        return Shell(self, variables)


async def _hostname(shell: Shell, _arguments: list[str]) -> int:
    shell.line(shell.system.names.active.lower())
    return 0
