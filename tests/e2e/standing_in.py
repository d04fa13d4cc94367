"""A simulated source and its target, of which the target may lose its power, or its daemon, at any chosen boundary.

A boundary is the moment before or after a call that the target's failover makes on its host: a batch of a state file, a
question or a change of its identity, a script, a heartbeat; and the moment in the middle of a script at which its
service starts or stops. They are counted in a run without a cut, and then each run is cut at one of them.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.control.settings import ControlSettings
from bodydouble.daemon import Daemon, DaemonSettings
from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.records import (
    AcceptRequest,
    ConnectRequest,
    FailbackDecision,
    InterfaceAddress,
    MonitorRequest,
    MonitorScripts,
    OfferRequest,
    ReplicationSet,
    RestoreRequest,
    Rule,
)
from bodydouble.vocabulary.shares import Share
from bodydouble.vocabulary.standing_in import SCRIPT_EVENTS, OwnAddress, ScriptOptions
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.service import IdleProgram, ServiceConfig
from bodydouble_sim.windows.version import WINDOWS_2000
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble.ports import Host
    from bodydouble.vocabulary.standing_in import Heartbeat, ScriptEvent
    from bodydouble_sim.windows.version import WindowsVersion

STATE = "C:/Program Files/Bodydouble/State"
ADAPTER = "Local Area Connection"
ADDRESSES = ("10.0.0.10", "10.0.0.11")
OWN = "10.0.0.20"
NAMED = ("LanmanServer", "Browser")
"""Services that Windows NT 4.0 has to start again when the machine's name is another one."""
SITE = "Site"
ORDER = "C:/Data/order.txt"
OFF_SECONDS = 5.0


class Boundaries:
    """Counts boundaries while it is open, and does ``cut`` at the chosen one.

    Attributes:
        labels: what each boundary was, in order.
        scripts: each script's run: its event, attempt and boot, and whether it came to its end.
    """

    def __init__(self, chosen: int | None) -> None:
        self.chosen = chosen
        self.open = False
        self.labels: list[str] = []
        self.scripts: list[tuple[str, int, str, bool]] = []
        self.cut: Callable[[], None] = lambda: None

    async def pass_by(self, label: str) -> None:
        """One boundary; whoever is cut here never comes back."""
        if not self.open:
            return
        self.labels.append(label)
        if len(self.labels) - 1 == self.chosen:
            self.cut()
            await asyncio.get_running_loop().create_future()


class Bounded:
    """A port whose calls are boundaries."""

    def __init__(self, port: Any, name: str, boundaries: Boundaries) -> None:
        self._port = port
        self._name = name
        self._boundaries = boundaries

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)
        if not callable(call):
            return call

        async def bounded(*arguments: Any, **options: Any) -> Any:
            label = self._label(method, arguments)
            if not label:
                return await call(*arguments, **options)
            await self._boundaries.pass_by(f"before {label}")
            result = await self._carry_out(call, arguments, options)
            await self._boundaries.pass_by(f"after {label}")
            return result

        return bounded

    async def _carry_out(self, call: Any, arguments: Any, options: Any) -> Any:
        return await call(*arguments, **options)

    def _label(self, method: str, arguments: Any) -> str:
        return f"{self._name}.{method} {arguments[0] if arguments else ''}".strip()


class BoundedFiles(Bounded):
    """The volumes: only batches of state files are boundaries."""

    def _label(self, method: str, arguments: Any) -> str:
        if method != "apply":
            return ""
        first = arguments[0][0]
        kept = first.path.startswith(STATE) and "events" not in first.path and "statistics" not in first.path
        return f"{type(first).__name__} {first.path.rpartition('/')[2]}" if kept else ""


class BoundedScripts(Bounded):
    """The scripts, whose runs are noted."""

    boot: Callable[[], int]

    async def _carry_out(self, call: Any, arguments: Any, options: Any) -> Any:
        environment = arguments[2]
        run = environment["BODYDOUBLE_EVENT"], int(environment["BODYDOUBLE_ATTEMPT"]), str(self.boot())
        self._boundaries.scripts.append((*run, False))
        result = await call(*arguments, **options)
        self._boundaries.scripts[-1] = (*run, True)
        return result


class SiteProgram(IdleProgram):
    """The service that the scripts start and stop: the moment in which it does is in the middle of a script."""

    def __init__(self, boundaries: Boundaries) -> None:
        self._boundaries = boundaries

    async def start(self, died: Callable[[str], None]) -> None:
        """See `IdleProgram`."""
        await self._boundaries.pass_by("in the middle of starting the site")
        await super().start(died)

    async def stop(self) -> None:
        """See `IdleProgram`."""
        await self._boundaries.pass_by("in the middle of stopping the site")
        await super().stop()


class Server:
    """A simulated machine with the daemon and the site as its services."""

    def __init__(
        self,
        world: World,
        name: str,
        addresses: list[str],
        boundaries: Boundaries | None = None,
        version: WindowsVersion = WINDOWS_2000,
    ) -> None:
        self.windows = WindowsMachine(world, name, version=version)
        self.windows.plug(world.network.segment("lan"), [f"{address}/24" for address in addresses])
        self.boundaries = boundaries
        self.daemon: Daemon | None = None

    async def install(self) -> None:
        """Boot and start the daemon."""
        self.windows.power_on()
        await self.windows.wait_booted()
        self.windows.system.make_directories(STATE)
        self.windows.system.make_directories("C:/Data")
        silent = self.boundaries or Boundaries(None)
        config = ServiceConfig(SITE, "The site", "manual", (), "site.exe")
        self.windows.system.scm.register(config, lambda: SiteProgram(silent))
        self.windows.register_program_service("Bodydouble", "Bodydouble", self._serve)
        await self.windows.command("net start Bodydouble")
        await self.ready()

    async def _serve(self) -> None:
        control = ControlSettings(token="a token of some length")
        self.daemon = Daemon(self._host(), DaemonSettings(state_directory=STATE, control=control))
        await self.daemon.run()

    def _host(self) -> Host:
        host = self.windows.host()
        if self.boundaries is None:
            return host
        scripts = BoundedScripts(host.scripts, "script", self.boundaries)
        scripts.boot = lambda: self.windows.lives
        files: Any = BoundedFiles(host.file_system, "file", self.boundaries)
        identity: Any = Bounded(host.identity, "identity", self.boundaries)
        pinger: Any = Bounded(host.pinger, "heartbeat", self.boundaries)
        own_name: Any = Bounded(host.own_name, "own name", self.boundaries)
        services: Any = Bounded(host.services, "service", self.boundaries)
        shares: Any = Bounded(host.shares, "share", self.boundaries)
        ported: Any = scripts
        return dataclasses.replace(
            host,
            file_system=files,
            identity=identity,
            scripts=ported,
            pinger=pinger,
            own_name=own_name,
            services=services,
            shares=shares,
        )

    async def ready(self) -> Daemon:
        """The daemon, once it serves."""
        while self.daemon is None or not self.daemon.ready.is_set():  # noqa: ASYNC110 - it is another machine
            await asyncio.sleep(0.1)
        return self.daemon

    def cut_power(self) -> None:
        """Lose the power, and get it back in a while."""
        self.windows.power_off()
        self.daemon = None
        loop = self.windows.world.loop
        loop.create_task(self._switch_on(), name="electrician", context=loop.lab.context.copy())

    async def _switch_on(self) -> None:
        await asyncio.sleep(OFF_SECONDS)
        self.windows.power_on()

    def kill_daemon(self) -> None:
        """End the daemon's process, and start it again in a while."""
        self.windows.system.scm.crash("Bodydouble.exe")
        self.daemon = None
        loop = self.windows.world.loop
        loop.create_task(self._start_again(), name="operator", context=loop.lab.context.copy())

    async def _start_again(self) -> None:
        await asyncio.sleep(OFF_SECONDS)
        await self.windows.command("net start Bodydouble")

    async def perform(self, part: Callable[[Daemon], Coroutine[Any, Any, Any]], done: Callable[[], bool]) -> None:
        """Have the daemon do something, again after each failure and restart, until ``done``."""
        while not done():
            daemon = await self.ready()
            task = self.windows.process_of("Bodydouble").spawn(part(daemon), name="operator's command")
            await asyncio.wait([task], timeout=30)
            if task.done() and task.exception() is not None and not isinstance(task.exception(), BodydoubleError):
                task.result()
            await asyncio.sleep(0.5)

    async def call(self, part: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Have the daemon do something, in its own process: it dies with it."""
        task = self.windows.process_of("Bodydouble").spawn(part, name=name)
        await asyncio.wait([task])
        task.result()

    @property
    def state(self) -> str:
        """The monitor's state, empty while nobody can tell."""
        if self.daemon is None or not self.daemon.ready.is_set() or not self.daemon.failover.monitors():
            return ""
        return self.daemon.failover.monitors()[0].state

    @property
    def serving(self) -> bool:
        """Whether the site runs."""
        return self.windows.powered and self.windows.system.scm.find(SITE).state == "running"

    @property
    def owned(self) -> list[str]:
        """The source's addresses and name, as far as this machine answers for them."""
        if not self.windows.powered:
            return []
        addresses = [address for address in ADDRESSES if self.windows.stack.owns(address)]
        return [*addresses, *(name for name in self.windows.netbios.names() if name == "SOURCE")]

    def share(self, share: Share) -> None:
        """An administrator shares a directory."""
        self.windows.system.make_directories(share.path)
        self.windows.system.shares.add(share.name, share.path, share.comment)
        self.windows.system.registry.flush()

    @property
    def shared(self) -> list[str]:
        """What administrators, and failovers, share here."""
        return sorted(each.name for each in self.windows.system.shares.all() if not each.special)

    @property
    def has_its_own(self) -> list[str]:
        """Its own address and name, as far as it answers for them, and what does not run of what has to."""
        names = [name for name in self.windows.netbios.names() if name == "TARGET"]
        stopped = [name for name in NAMED if self.windows.system.scm.find(name).state != "running"]
        return [*([OWN] if self.windows.stack.owns(OWN) else []), *names, *stopped]


EVERYTHING = [*ADDRESSES, "SOURCE"]
SHARED, OTHER, OWN_SHARE = Share("pages", "C:/Data"), Share("other", "C:/Other"), Share("own", "C:/Own")
"""What the source shares of its set and beside it, and what the target shares by itself."""


class Story:
    """One life of the pair: protect, lose the source, stand in, fail back, restore."""

    def __init__(
        self,
        chosen: int | None = None,
        *,
        kill: bool = False,
        heartbeat: Heartbeat = "icmp",
        replaces: WindowsVersion | None = None,
        aborts: ScriptEvent | None = None,
    ) -> None:
        self.heartbeat = heartbeat
        self.aborts = aborts
        self.replaces = replaces is not None
        self.boundaries = Boundaries(chosen)
        self.world = World(1)
        self.source = Server(self.world, "SOURCE", list(ADDRESSES))
        self.target = Server(self.world, "TARGET", [OWN], self.boundaries, replaces or WINDOWS_2000)
        self.boundaries.cut = self.target.kill_daemon if kill else self.target.cut_power

    def run(self) -> Boundaries:
        """Play it; an assertion fails where something is not as it must be."""
        try:
            self.world.run(asyncio.wait_for(self._play(), 3600))
        finally:
            self.world.close()
        return self.boundaries

    async def _play(self) -> None:
        await self.source.install()
        await self.target.install()
        await self._protect()
        self.boundaries.open = True
        self.source.windows.power_off()
        self.source.daemon = None
        if self.aborts in ("pre-failover", "post-failover"):
            await self._until(lambda: self.target.state == "waiting-for-operator")
            assert (self.target.owned, self.target.serving) == ([], False)
            assert self.target.shared == ["own"]
            self._mend()
            await self.target.perform(_fail_over, lambda: self.target.state in ("failing-over", "failed-over"))
        await self._until(lambda: self.target.state == "failed-over")
        assert (self.target.owned, self.target.serving) == (EVERYTHING, True)
        assert self.target.shared == ["own", "pages"]
        assert self.target.has_its_own == ([] if self.replaces else [OWN, "TARGET"])
        self.target.windows.put_file("C:\\Data\\order.txt", b"an order")
        await self.target.perform(
            _fail_back, lambda: self.target.state in ("failing-back", "failed-back") or self._tried()
        )
        if self.aborts in ("pre-failback", "post-failback"):
            await self._until(lambda: self.target.state == "failed-over")
            assert (self.target.owned, self.target.serving) == (EVERYTHING, True)
            self._mend()
            await self.target.perform(_fail_back, lambda: self.target.state in ("failing-back", "failed-back"))
        await self._until(lambda: self.target.state == "failed-back")
        assert (self.target.owned, self.target.serving) == ([], False)
        assert self.target.shared == ["own"]
        assert self.target.has_its_own == [OWN, "TARGET"]
        await self._bring_source_back()
        await self.target.perform(_go_on, lambda: self.target.state == "monitoring")
        self.boundaries.open = False
        await self._restore()
        self._check_end()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert len(self.source.owned) * len(self.target.owned) == 0, "two machines answer for the identity"
            assert not (self.source.serving and self.target.serving), "the site runs twice"
            await asyncio.sleep(0.05)

    async def _protect(self) -> None:
        target = await self.target.ready()
        source = await self.source.ready()
        code = target.pairing.offer(OfferRequest()).code
        accept = source.pairing.accept(AcceptRequest(host="10.0.0.20", code=code))
        await self.source.call(accept, name="pair")
        self.source.windows.put_file("C:\\Data\\page.txt", b"a page")
        for event in SCRIPT_EVENTS:
            self._put_script(event, fails=event == self.aborts)
        await self.source.windows.command(f"net start {SITE}")
        self.source.share(SHARED)
        self.source.share(OTHER)
        self.target.share(OWN_SHARE)
        await self.source.call(self._connect(source), name="connect")
        await self._until(lambda: [each.name for each in target.replication.standing_in.shares("SOURCE")] == ["pages"])
        request = _request(self.heartbeat, replaces=self.replaces)
        if self.aborts:
            policy = {self.aborts: ScriptOptions(on_failure="abort")}
            request = msgspec.structs.replace(request, script_options=policy)
        await self.target.call(target.failover.create_monitor(request), name="monitor")

    def _put_script(self, event: ScriptEvent, *, fails: bool) -> None:
        verbs = {"post-failover": f"net start {SITE}", "pre-failback": f"net stop {SITE}"}
        lines = [verbs.get(event, "echo %BODYDOUBLE_ATTEMPT%"), "exit 3" if fails else "exit 0", ""]
        self.target.windows.put_file(f"C:\\{event}.bat", "\r\n".join(lines).encode())

    def _tried(self) -> bool:
        """Whether the script that ends failback has been run: it may be undone by now."""
        return self.aborts in ("pre-failback", "post-failback") and self.aborts in [
            event for event, *_ in self.boundaries.scripts
        ]

    def _mend(self) -> None:
        """The operator sees why the script failed."""
        assert self.aborts is not None
        self._put_script(self.aborts, fails=False)

    @staticmethod
    async def _connect(source: Daemon) -> None:
        await source.replication.save_set(ReplicationSet("data", [Rule("C:/Data")]))
        status = await source.replication.connect(ConnectRequest(replication_set="data", target="10.0.0.20"))
        connection = source.replication.connection(status.id)
        while connection.status().state != "replicating":  # noqa: ASYNC110 - from outside
            await asyncio.sleep(0.1)

    async def _bring_source_back(self) -> None:
        self.source.windows.power_on()
        await self.source.windows.wait_booted()
        await self.source.ready()
        await asyncio.sleep(10)  # time enough for a source that would mirror over what was written on the stand-in

    async def _restore(self) -> None:
        target = await self.target.ready()
        request = RestoreRequest(original_source="SOURCE", replication_set="data", restore_to="10.0.0.10")
        await self.target.call(target.restoration.restore(request), name="restore")
        await self._until(lambda: target.restoration.restorations()[0].state != "running")
        assert target.restoration.restorations()[0].state == "complete"
        await self.source.windows.command(f"net start {SITE}")

    def _check_end(self) -> None:
        assert (self.source.owned, self.source.serving) == (EVERYTHING, True)
        assert (self.target.owned, self.target.serving) == ([], False)
        assert (self.source.shared, self.target.shared) == (["other", "pages"], ["own"])
        assert self.source.windows.volumes["C"].read(ORDER) == b"an order"
        assert self.source.windows.volumes["C"].read("C:/Data/page.txt") == b"a page"


async def _fail_back(daemon: Daemon) -> None:
    await daemon.failover.failback("SOURCE")


async def _fail_over(daemon: Daemon) -> None:
    await daemon.failover.failover("SOURCE")


async def _go_on(daemon: Daemon) -> None:
    await daemon.failover.decide("SOURCE", FailbackDecision(decision="continue"))


def _request(heartbeat: Heartbeat, *, replaces: bool) -> MonitorRequest:
    return MonitorRequest(
        identity="replace" if replaces else "add",
        given_up=[OwnAddress(ADAPTER, f"{OWN}/24")] if replaces else [],
        source="SOURCE",
        addresses=[InterfaceAddress(interface=ADAPTER, address=f"{address}/24") for address in ADDRESSES],
        heartbeat=heartbeat,
        interval=1.0,
        missed=2,
        scripts=MonitorScripts(
            pre_failover="C:/pre-failover.bat",
            post_failover="C:/post-failover.bat",
            pre_failback="C:/pre-failback.bat",
            post_failback="C:/post-failback.bat",
        ),
    )
