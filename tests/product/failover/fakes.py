"""A target's ports over a make-believe network, and a loop whose clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from tests.peers import SeededEntropy
from tests.shares import MemoryShares

from bodydouble.errors import (
    DuplicateIdentityError,
    FileSystemError,
    IdentityError,
    PairingError,
    ScriptError,
    ServiceError,
)
from bodydouble.failover.service import FailoverService
from bodydouble.ports import Host
from bodydouble.replication.claims import Asker, Claims
from bodydouble.replication.protocol import Reach
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.capabilities import Capabilities
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Entry,
    MakeDirectory,
    Metadata,
    Rename,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import (
    HostIdentity,
    InterfaceAddress,
    MonitorRequest,
    MonitorScripts,
    ScriptResult,
    ServiceState,
    ServiceStatus,
    StartupType,
)
from bodydouble.vocabulary.standing_in import NameChange
from bodydouble.vocabulary.witnesses import Witnessed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from bodydouble.vocabulary.shares import Share
    from bodydouble.vocabulary.witnesses import Stance, Witness

T = TypeVar("T")

SOURCE = "WEB1"
ADDRESS = "10.0.0.10"
SECOND = "10.0.0.11"
ADAPTER = "Local Area Connection"


class JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: the clock jumps. What is awaited is looked at whenever nothing else is to be done by then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.awaited: dict[asyncio.Future[None], Callable[[], object]] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout and not self._seen():
            self.now += timeout
        return ready

    def _seen(self) -> bool:
        """Whether something awaited has come about at this instant."""
        seen = [future for future, condition in self.awaited.items() if not future.done() and condition()]
        for future in seen:
            future.set_result(None)
        return bool(seen)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


def run_jumping(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


async def until(condition: Callable[[], object], within: float = 600.0) -> float:
    """Wait for a condition; returns the instant at which it held."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    if condition():
        return loop.time()
    held: asyncio.Future[None] = loop.create_future()
    loop.selector.awaited[held] = condition
    try:
        async with asyncio.timeout(within):
            await held
    except TimeoutError:
        raise AssertionError("the condition never held") from None
    finally:
        del loop.selector.awaited[held]
    return loop.time()


class Wire:
    """Who answers for which address besides the target."""

    def __init__(self) -> None:
        self.answering = {ADDRESS, SECOND}

    def cut(self) -> None:
        self.answering.clear()

    def heal(self) -> None:
        self.answering |= {ADDRESS, SECOND}


class FakePinger:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.sent: list[float] = []

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        self.sent.append(asyncio.get_running_loop().time())
        if address in self.wire.answering:
            await asyncio.sleep(0.001)
            return 0.001
        await asyncio.sleep(timeout)
        return None


class FakeIdentity:
    """Records what is done to the host's identity; ``failures`` counts down failing calls by verb."""

    def __init__(self, wire: Wire, log: list[str]) -> None:
        self.wire = wire
        self.log = log
        self.names: list[str] = []
        self.own = InterfaceAddress(interface=ADAPTER, address="10.0.0.20/24")
        self.addresses = [self.own]
        self.failures: Counter[str] = Counter()
        self.boots = 1
        self.tells_boots = True

    async def query(self) -> HostIdentity:
        if self.failures["query"]:
            self.failures["query"] -= 1
            raise IdentityError("the names cannot be read")
        return HostIdentity(
            primary_name="TARGET",
            permanent_name="TARGET",
            added_names=list(self.names),
            addresses=list(self.addresses),
            boot=f"boot {self.boots}" if self.tells_boots else "",
        )

    def _note(self, verb: str, what: str) -> None:
        if self.failures[verb]:
            self.failures[verb] -= 1
            raise IdentityError(f"{verb} {what}: the system refused")
        self.log.append(f"{verb} {what}")

    async def add_name(self, name: str, addresses: Sequence[str] = ()) -> None:
        del addresses
        self._note("add-name", name)
        if name not in self.names:
            self.names.append(name)

    async def remove_name(self, name: str) -> None:
        self._note("remove-name", name)
        if name in self.names:
            self.names.remove(name)

    async def add_address(self, interface: str, address: str) -> None:
        assert address.partition("/")[0] not in self.wire.answering, "two machines use one address"
        self._note("add-address", address)
        item = InterfaceAddress(interface=interface, address=address)
        if item not in self.addresses:
            self.addresses.append(item)

    async def remove_address(self, interface: str, address: str) -> None:
        self._note("remove-address", address)
        item = InterfaceAddress(interface=interface, address=address)
        if item in self.addresses:
            self.addresses.remove(item)

    async def announce(self, _interface: str, address: str) -> None:
        self._note("announce", address)

    async def name_in_use(self, name: str) -> bool:
        del name
        return False

    async def in_use(self, _interface: str, address: str) -> bool:
        await asyncio.sleep(0.5)
        return address.partition("/")[0] in self.wire.answering

    def holds(self, address: str) -> bool:
        return address in [item.address.partition("/")[0] for item in self.addresses]

    def reboot(self) -> None:
        self.boots += 1
        self.names.clear()
        self.addresses[:] = [self.own]


class FakeOwnName:
    """Whether the machine answers for TARGET; ``change`` is what has to follow."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.answers = True
        self.change = NameChange()

    async def give_up(self, name: str) -> NameChange:
        self.log.append(f"own name gives way to {name}")
        self.answers = False
        return self.change

    async def take_back(self) -> NameChange:
        self.log.append("own name taken back")
        self.answers = True
        return self.change


class FakeScripts:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.environments: list[dict[str, str]] = []
        self.results: dict[str, ScriptResult | ScriptError] = {}

    async def run(
        self, path: str, _arguments: Sequence[str], environment: Mapping[str, str], _timeout: float
    ) -> ScriptResult:
        self.log.append(f"script {path}")
        self.environments.append(dict(environment))
        result = self.results.get(path, ScriptResult(exit_code=0, output=""))
        if isinstance(result, ScriptError):
            raise result
        return result


class FakeServices:
    def __init__(self) -> None:
        self.running: dict[str, bool] = {"W3SVC": False}
        self.refuse = False
        self.automatic: list[str] = []
        self.started: list[str] = []

    async def query(self, name: str) -> ServiceStatus:
        if name not in self.running:
            raise ServiceError(f"no service {name!r}")
        startup: StartupType = "automatic" if name in self.automatic else "manual"
        state: ServiceState = "running" if self.running[name] else "stopped"
        return ServiceStatus(name=name, display_name=name, state=state, startup=startup)

    async def start(self, name: str) -> None:
        if self.refuse:
            raise ServiceError(f"{name} did not start")
        self.running[name] = True
        self.started.append(name)

    async def stop(self, name: str) -> None:
        self.running[name] = False


class FakeClock:
    def now(self) -> datetime:
        return datetime(2002, 12, 2, 9, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


class MemoryFiles:
    """A volume in memory: as much as state files need. ``refuse`` counts down batches that fail."""

    case_sensitive = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.directories: list[str] = []
        self.refuse = 0

    async def list_directory(self, _path: str) -> list[Entry]:
        return []

    async def stat(self, path: str) -> Entry | None:
        if path in self.files:
            return Entry(path, False, len(self.files[path]), 0, Metadata())
        return Entry(path, True, 0, 0, Metadata()) if path in self.directories else None

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        assert not stream
        return self.files[path][offset : offset + size]

    async def capabilities(self, _path: str) -> Capabilities:
        return Capabilities()

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        return (offset, len(self.files[path])) if offset < len(self.files[path]) else None

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        assert durable
        await asyncio.sleep(0.001)
        if self.refuse:
            self.refuse -= 1
            raise FileSystemError("no_space", operations[0].path)
        for operation in operations:
            self._apply(operation)

    async def flush(self, path: str) -> None:
        """Everything is applied durably here."""

    def _apply(self, operation: AnyOperation) -> None:
        match operation:
            case CreateFile():
                self.files.setdefault(operation.path, b"")
            case Truncate():
                self.files[operation.path] = self.files[operation.path][: operation.size]
            case Write():
                content = self.files[operation.path]
                end = operation.offset + len(operation.data)
                self.files[operation.path] = content[: operation.offset] + operation.data + content[end:]
            case Rename():
                self.files[operation.new_path] = self.files.pop(operation.path)
            case MakeDirectory():
                pass
            case _:
                raise AssertionError(operation)

    async def free_space(self, _path: str) -> int:
        return 1 << 40


class FakeSourceService:
    """The source's replication service, of a machine that is paired as WEB1."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.runs = True
        self.asked: list[tuple[str, int]] = []

    def check_paired(self, source: str) -> None:
        if source != SOURCE:
            raise PairingError(f"{source!r} is not paired")

    async def answers(self, source: str, address: str, port: int, limit: float) -> bool:
        self.check_paired(source)
        self.asked.append((address, port))
        answers = self.runs and address in self.wire.answering
        await asyncio.sleep(0.001 if answers else limit)
        return answers


class NoFilter:
    async def attach(self, _root: str, _sink: object, _lost: object = None) -> Any:
        return self

    async def settled(self) -> None:
        """Nothing is reported."""

    def detach(self) -> None:
        """Nothing was attached."""

    def resume(self, _position: int, _sinks: object, _lost: object) -> Any:
        return self

    def notes(self, _name: str) -> None:
        """Nothing is kept."""

    def keep_notes(self, _names: object) -> None:
        """Nothing is kept."""


class Target:
    """A target with its failover service; `restarted` starts the daemon again over the same disk."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.wire = Wire()
        self.identity = FakeIdentity(self.wire, self.log)
        self.pinger = FakePinger(self.wire)
        self.scripts = FakeScripts(self.log)
        self.services = FakeServices()
        self.own_name = FakeOwnName(self.log)
        self.source_service = FakeSourceService(self.wire)
        self.files = MemoryFiles()
        self.clock = FakeClock()
        self.stand_in_failures = 0
        self.seen_elsewhere: set[str] = set()
        self.told_shares: list[Share] = []
        self.shared = MemoryShares(self.log)
        self.claims = Claims(None)
        """What the paired witnesses have granted; all of them are one."""
        self.host = Host(
            self.files,
            NoFilter(),
            self.identity,
            self.services,
            self.scripts,
            self.pinger,
            self.clock,
            SeededEntropy("TARGET"),
            own_name=self.own_name,
            shares=self.shared,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> FailoverService:
        self.events = EventLog(self.files, "/state", self.clock)
        await self.events.open()
        self.store = StateStore(self.files, "/state")
        self.service = FailoverService(self.host, self.store, self.events, self, self.source_service)
        self._task = asyncio.create_task(self.service.run(), name="failover")
        waiting = asyncio.create_task(self.service.ready.wait(), name="ready")
        await asyncio.wait([self._task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        return self.service

    async def stand_in(self, source: str) -> list[str]:
        if self.stand_in_failures:
            self.stand_in_failures -= 1
            raise FileSystemError("no_space", "/state/targets.json")
        self.log.append(f"stand-in {source}")
        return ["web"]

    async def stand_down(self, source: str, sets: Sequence[str]) -> None:
        self.log.append(f"stand-down {source} {' '.join(sets)}")

    def shares(self, source: str) -> list[Share]:
        return list(self.told_shares) if source == SOURCE else []

    async def ask(self, witness: Witness, address: str, stance: Stance, seconds: float = 0.0) -> Witnessed:
        self.log.append(f"{stance} {address} at {witness}")
        if witness.address not in self.wire.answering:
            raise ConnectionRefusedError(f"{witness} does not answer")

        async def ping() -> bool:
            return address in self.seen_elsewhere

        said = await self.claims.answer(Reach(address, stance, seconds), Asker("ab" * 32, "TARGET"), ping)
        return Witnessed(said.answers, said.holder, said.firm)

    def hang_up(self) -> None:
        self.log.append("hang up")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    async def restarted(self, *, reboot: bool) -> FailoverService:
        await self.stop()
        if reboot:
            self.identity.reboot()
            self.own_name.answers = True
        return await self.start()

    @property
    def state(self) -> str:
        return next(iter(self.service._running.values())).monitor.state

    def codes(self) -> list[int]:
        return [event.code for event in self.events.after(0)]

    def texts(self) -> str:
        return "\n".join(event.text for event in self.events.after(0))

    async def in_state(self, state: str) -> float:
        return await until(lambda: self.state == state)


def request(**changes: Any) -> MonitorRequest:
    settings: dict[str, Any] = {
        "source": SOURCE,
        "addresses": [InterfaceAddress(interface=ADAPTER, address=f"{ADDRESS}/24")],
        "scripts": MonitorScripts(
            pre_failover="/s/preover",
            post_failover="/s/postover",
            pre_failback="/s/preback",
            post_failback="/s/postback",
        ),
    }
    return MonitorRequest(**(settings | changes))


def both_addresses() -> list[InterfaceAddress]:
    return [InterfaceAddress(interface=ADAPTER, address=f"{address}/24") for address in (ADDRESS, SECOND)]


def duplicate(name: str) -> DuplicateIdentityError:
    return DuplicateIdentityError(f"another machine answers for {name}")


def scenario(play: Callable[[Target], Awaitable[None]]) -> Target:
    """Let ``play`` have a target that runs, until it returns; the target, as it was left."""

    async def main() -> Target:
        target = Target()
        await target.start()
        try:
            await play(target)
        finally:
            await target.stop()
        return target

    return run_jumping(main())


def now() -> float:
    """The jumping clock."""
    return asyncio.get_running_loop().time()
