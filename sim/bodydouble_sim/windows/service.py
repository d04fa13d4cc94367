"""What a service is to the service control manager: its configuration, its program, its errors."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bodydouble.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble.vocabulary.records import ServiceState, StartupType

CANNOT_CONTROL = 1061
CIRCULAR = 1059
BAD_CONTROL = 1052
DUPLICATE_NAME = 52
BAD_ACCOUNT = 1057
SHUTTING_DOWN = 1115
DISPLAY_NAME_TAKEN = 1078
NO_SUCH_SERVICE = 1060
ALREADY_RUNNING = 1056
NOT_ACTIVE = 1062
DEPENDENTS_RUNNING = 1051
DISABLED = 1058
DEPENDENCY_FAILED = 1068
SPECIFIC_ERROR = 1066
TIMED_OUT = 1053
ACCESS_DENIED = 5
LOGON_FAILED = 1069
MARKED_FOR_DELETION = 1072
FILE_NOT_FOUND = 2
PROCESS_ABORTED = 1067
NEVER_STARTED = 1077
LOCAL_SYSTEM = "LocalSystem"

TEXTS = {
    FILE_NOT_FOUND: "The system cannot find the file specified.",
    ACCESS_DENIED: "Access is denied.",
    DUPLICATE_NAME: "A duplicate name exists on the network.",
    DEPENDENTS_RUNNING: "A stop control has been sent to a service that other running services are dependent on.",
    BAD_CONTROL: "The requested control is not valid for this service.",
    TIMED_OUT: "The service did not respond to the start or control request in a timely fashion.",
    ALREADY_RUNNING: "An instance of the service is already running.",
    DISABLED: (
        "The service cannot be started, either because it is disabled or because it has no enabled devices "
        "associated with it."
    ),
    BAD_ACCOUNT: "The account name is invalid or does not exist.",
    CIRCULAR: "Circular service dependency was specified.",
    CANNOT_CONTROL: "The service cannot accept control messages at this time.",
    NO_SUCH_SERVICE: "The specified service does not exist as an installed service.",
    NOT_ACTIVE: "The service has not been started.",
    SPECIFIC_ERROR: "The service has returned a service-specific error code.",
    PROCESS_ABORTED: "The process terminated unexpectedly.",
    DEPENDENCY_FAILED: "The dependency service or group failed to start.",
    LOGON_FAILED: "The service did not start due to a logon failure.",
    MARKED_FOR_DELETION: "The specified service has been marked for deletion.",
    DISPLAY_NAME_TAKEN: "The name is already in use as either a service name or a service display name.",
    SHUTTING_DOWN: "A system shutdown is in progress.",
}


class ServiceControlError(ServiceError):
    """The service control manager refused or failed.

    Attributes:
        number: the Win32 error.
        specific: the service's own error when ``number`` is 1066, else 0.
    """

    def __init__(self, number: int, detail: str = "", specific: int = 0) -> None:
        text = TEXTS.get(number, f"Error {number}.")
        super().__init__(f"{detail}: {text}" if detail else text)
        self.number = number
        self.specific = specific


class ServiceFailedError(ServiceError):
    """A service's program gave up while starting; the text says why.

    Attributes:
        specific: its own error number.
        number: the Windows error that it ended with instead of one of its own; 0: its own.
    """

    def __init__(self, specific: int, text: str, *, number: int = 0) -> None:
        super().__init__(text)
        self.specific = specific
        self.number = number


class ServiceProgram(Protocol):
    """One run of a service's program."""

    async def start(self, died: Callable[[str], None]) -> None:
        """Come up; afterwards call ``died`` once with the reason if it ends by itself.

        Raises:
            ServiceFailedError: it cannot run.
        """

    async def stop(self) -> None:
        """Shut down in order; nothing of it runs and no socket is open afterwards."""

    def kill(self) -> None:
        """Die at once, as at a crash of the process: sockets are closed, nothing is written."""


@runtime_checkable
class PausableProgram(Protocol):
    """A program that takes the controls pause and continue as well."""

    async def pause(self) -> None:
        """Serve nobody new until `resume`."""

    async def resume(self) -> None:
        """Go on."""


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A service's registration.

    Attributes:
        name: the short name (``W3SVC``).
        display_name: as the control panel shows it.
        startup: automatic, manual or disabled.
        depends_on: short names of services that must run first.
        process: the executable; services that share one die together when it crashes.
        aliases: further display names by which scripts may call it.
        group: the load order group that it starts with.
        depends_on_groups: of each of these groups one member must run first.
        account: LocalSystem, or a user account with its domain (a dot: this machine).
        interactive: whether it may show itself on the desktop; only LocalSystem's services may.
        error_control: what its failure at boot means: 0 nothing, 1 a message.
    """

    name: str
    display_name: str
    startup: StartupType = "manual"
    depends_on: tuple[str, ...] = ()
    process: str = ""
    aliases: tuple[str, ...] = ()
    group: str = ""
    depends_on_groups: tuple[str, ...] = ()
    account: str = LOCAL_SYSTEM
    interactive: bool = False
    error_control: int = 1


@dataclass(slots=True, eq=False)
class Service:
    """A registered service and what it is doing now.

    Attributes:
        starting: its dependencies are being started for it.
        deleted: marked for deletion; it is gone once it has stopped.
        on_desktop: whether this run may show itself on the desktop.
        exit_code: the Windows error that its latest run ended with.
    """

    config: ServiceConfig
    state: ServiceState = "stopped"
    program: ServiceProgram | None = None
    starting: bool = False
    deleted: bool = False
    on_desktop: bool = False
    exit_code: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def answers_to(self, name: str) -> bool:
        """Whether ``name`` is the service's short name, display name or alias, in any case."""
        wanted = name.upper()
        return any(
            known.upper() == wanted for known in (self.config.name, self.config.display_name, *self.config.aliases)
        )


class IdleProgram:
    """A service of the system that only has to be there.

    Attributes:
        accepts_stop: whether it takes the control stop; some services of the system never do.
    """

    accepts_stop = True

    async def start(self, died: Callable[[str], None]) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    def kill(self) -> None:
        """Nothing to do."""


class UnstoppableProgram(IdleProgram):
    """A service of the system that runs until the machine is shut down."""

    accepts_stop = False


class PausableIdleProgram(IdleProgram):
    """A service of the system that only has to be there and can be paused."""

    async def pause(self) -> None:
        """Nothing to do."""

    async def resume(self) -> None:
        """Nothing to do."""


class TaskProgram:
    """A service whose program is one coroutine that runs until it is cancelled.

    Args:
        name: the service's name, for the task.
        program: makes the coroutine.
        spawn: starts a named task that belongs to the machine.
    """

    def __init__(
        self,
        name: str,
        program: Callable[[], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._name = name
        self._program = program
        self._spawn = spawn
        self._task: asyncio.Task[None] | None = None
        self._wanted = False

    async def start(self, died: Callable[[str], None]) -> None:
        """Start the task; it counts as running once it has survived its first step."""
        self._wanted = True
        task = self._task = self._spawn(self._program(), f"service {self._name}")
        await asyncio.sleep(0)
        if task.done():
            raise ServiceFailedError(1, _reason(task))
        task.add_done_callback(lambda ended: died(_reason(ended)) if self._wanted else None)

    async def stop(self) -> None:
        """Cancel the task and wait for its end."""
        self._wanted = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def kill(self) -> None:
        """Cancel the task; its clean-up still runs. Where that matters, the program has a process: `ProcessProgram`."""
        self._wanted = False
        if self._task is not None:
            self._task.cancel()


def _reason(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "it was cancelled"
    error = task.exception()
    return "it ended by itself" if error is None else f"{type(error).__name__}: {error}"
