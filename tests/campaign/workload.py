"""One workload: applications at work on a source, everything that may happen to it and to its target, and then peace.

Safety holds at every step; liveness at the end, when everything is healed: the replica converges within `BOUND` seconds
of virtual time, and an event names the cause of each mirror on the way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.campaign.changes import CHANGES, FIELDS, ROOT
from tests.campaign.station import PORT, Station, wanting
from tests.campaign.watch import OPERATOR, SOURCE, ReplicaWatch

from bodydouble.errors import ConnectionStateError, FileSystemError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import CreateFile, MakeDirectory, Metadata, Write
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.replication.source import SourceConnection
    from bodydouble.vocabulary.operations import AnyOperation

EVENTS = 6
"""Latest events of either side that a failure shows."""
BOUND = 300.0
"""Virtual seconds within which a healed pair has to converge, once for each thing that an operator has to order."""
SET = ReplicationSet(name="data", rules=[Rule(path=ROOT)])
KIB = 1024
PAUSES = st.sampled_from([0.0, 0.0005, 0.002, 0.006, 0.02, 0.1, 1.0, 7.0])
SIDES = st.sampled_from(["source", "target"])
SETTINGS = st.fixed_dictionaries(
    {
        "queue_bytes": st.sampled_from([200 * KIB, 200 * KIB, 1024 * KIB]),
        "disk_queue_bytes": st.sampled_from([0, None, 0, 100 * KIB]),
        "queue_full": st.sampled_from(["disconnect", "pause", "stop"]),
        "target_queue_bytes": st.sampled_from([None, 50 * KIB]),
        "mirror_window_bytes": st.sampled_from([80 * KIB, 30 * KIB]),
        "receive_bytes": st.sampled_from([1024 * KIB, 20 * KIB]),
    }
)
CHANGE = st.one_of(*CHANGES.values())
WORK = st.lists(CHANGE, min_size=1, max_size=12)
SEED_FILES: list[AnyOperation] = [
    MakeDirectory(f"{ROOT}/d", Metadata()),
    *[CreateFile(f"{ROOT}/{name}", Metadata(), 1) for name in ("a", "b", "d/a", "d/b")],
    *[
        Write(f"{ROOT}/{name}", 0, name.encode() * size, 1)
        for name, size in (("a", 150_000), ("b", 9000), ("d/a", 50_000))
    ],
]

totals: Counter[str] = Counter()
"""What all workloads of this process did, for their summary."""


class Workload(RuleBasedStateMachine):
    """The rules. `plant` and `run` use it as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None

    @initialize(
        seed=st.integers(0, 2**16),
        explore=st.booleans(),
        settings=SETTINGS,
        kind=st.sampled_from(["full", "difference", "checksum"]),
        stale=st.lists(CHANGE, max_size=8),
        hands=st.sampled_from([False, False, True]),
        early=st.sampled_from([False, False, True]),
    )
    def begin(
        self,
        *,
        seed: int,
        explore: bool,
        settings: dict[str, Any],
        kind: Any,
        stale: list[AnyOperation],
        hands: bool,
        early: bool,
    ) -> None:
        """Connect two machines.

        Args:
            seed: of everything that the world draws.
            explore: tasks run in a drawn order.
            settings: of both sides.
            kind: how mirrors compare.
            stale: what an earlier replica on the target is like.
            hands: somebody edits the replica and orders mirrors, so that the promise rests most of the time.
            early: applications work from the first moment on; otherwise only when the mirror is complete.
        """
        self.hands = hands
        self.world = world = World(seed, capture=False, explore=explore)
        segment = world.network.segment("lan")
        self.source = Station(world, segment, SOURCE, 10, settings)
        self.target = Station(world, segment, "TARGET", 11, settings)
        self.watch = ReplicaWatch(self.source, self.target)
        self.paused = False
        for operation in SEED_FILES:
            self.source.volumes["C"].apply([operation], durable=True)
        for operation in [*SEED_FILES, *stale]:
            try:
                self.target.volumes["C"].apply([operation], durable=True)
            except FileSystemError:
                continue
        self.watch.open()
        self.source.on_event = self.watch.note_event
        for station in (self.source, self.target):
            station.machine.power_on()
            station.start()
        self.wait_for("both daemons", lambda: not (self.source.ready and self.target.ready))
        self.run(self._connect(kind))
        if not early:
            self.wait_for("the first mirror", lambda: not self.watch.settled())
        totals["workloads"] += 1

    async def _connect(self, kind: Any) -> None:
        service = self.source.service
        assert service is not None
        await service.save_set(SET)
        request = ConnectRequest(
            replication_set="data", target=self.target.address, port=PORT, mirror=kind, orphans="delete"
        )
        await self.source.machine.spawn(service.connect(request), name="operator")

    # --- time ---

    def run(self, part: Any) -> Any:
        assert self.world is not None
        result = self.world.run(part)
        for station in (self.source, self.target):
            station.check_alive()
        return result

    def wait_for(self, what: str, missing: Any, bound: float = BOUND) -> None:
        assert not self.run(wanting(missing, bound)), f"{what}: not within {bound:g} virtual seconds; {self.describe()}"

    def describe(self) -> str:
        connection, replica = self.source.connection, self.target.replica(SOURCE)
        said = "nothing" if connection is None else f"{connection.state} ({connection.detail})"
        waits = "nothing" if replica is None else self.target.service.registry.detail(replica)  # type: ignore[union-attr]
        return f"the source says {said}{_queue(connection)}, the target {waits or 'nothing'}; {self._told()}"

    def _told(self) -> str:
        """The latest events of both sides."""
        return "; ".join(
            f"{name} told: {[each if isinstance(each, str) else each.text for each in station.told[-EVENTS:]]}"
            for name, station in (("source", self.source), ("target", self.target))
        )

    @rule(pause=PAUSES)
    def let_time_pass(self, pause: float) -> None:
        self.run(asyncio.sleep(pause))

    # --- applications: a rule for each kind of operation is made below ---

    def change(self, *operations: AnyOperation, pause: float = 0.0) -> None:
        """Applications change the source, and then time passes."""
        self.run(self._change(operations, pause))

    async def _change(self, operations: Sequence[AnyOperation], pause: float) -> None:
        for operation in operations:
            if self.source.do(operation):
                totals[type(operation).__name__] += 1
        await asyncio.sleep(pause)

    @rule(path=FIELDS["path"], count=st.integers(6, 14), away=st.sampled_from([True, True, False]))
    def flood(self, path: str, count: int, away: bool) -> None:
        """More than some queues hold; ``away``: while the target is."""
        if away:
            self.target.machine.nics[0].disconnect()
        writes = [Write(path, 0, bytes([number + 1]) * 40_000, number) for number in range(count)]
        self.change(CreateFile(path, Metadata(), 1), *writes, pause=0.5 if away else 0.0)
        if away:
            self.target.machine.nics[0].connect()

    @rule(path=FIELDS["path"], offsets=st.lists(FIELDS["offset"], min_size=25, max_size=25), pause=PAUSES)
    def write_while_it_is_mirrored(self, path: str, offsets: list[int], pause: float) -> None:
        """On a disk that is so slow that an application often gets in between reading and sending."""
        disk = self.source.volumes["C"].disk
        disk.slowness = 30.0
        self.run(self._order_mirror())
        self.run(asyncio.sleep(pause))
        for number, offset in enumerate(offsets):
            self.change(Write(path, offset, bytes([number + 1]) * 50, number), pause=0.003)
        disk.slowness = 1.0

    # --- what happens to machines ---

    def station(self, side: str) -> Station:
        return self.source if side == "source" else self.target

    @rule(operations=WORK, side=SIDES, hard=st.booleans(), pause=PAUSES, away=PAUSES)
    def fall(self, operations: list[AnyOperation], side: str, hard: bool, pause: float, away: float) -> None:
        """A power cut, or the daemon is killed, at work; it comes back after a while."""
        self.change(*operations, pause=pause)
        self._fall(side, hard=hard, away=away)

    def _fall(self, side: str, *, hard: bool, away: float) -> None:
        station = self.station(side)
        totals["power cuts" if hard else "kills"] += 1
        station.power_off(hard=hard)
        self.run(asyncio.sleep(away))
        station.power_on()

    @rule(operations=WORK, hard=st.booleans(), pause=PAUSES)
    def fall_with_a_full_queue(self, operations: list[AnyOperation], hard: bool, pause: float) -> None:
        """The target falls while it has acknowledged what it does not apply."""
        self.run(self._pause(paused=True))
        self.change(*operations, pause=pause)
        self._fall("target", hard=hard, away=0.0)
        self.wait_for("the target", lambda: not self.target.supervise() and not self._full("target"))
        self.run(self._pause(paused=False))

    def _full(self, side: str) -> bool:
        return any(volume.disk._ballast for volume in self.station(side).volumes.values())

    @rule(operations=WORK, side=SIDES, pause=PAUSES)
    def restart(self, operations: list[AnyOperation], side: str, pause: float) -> None:
        self.change(*operations, pause=pause)
        station = self.station(side)
        station.stop()
        self.wait_for(f"{side} stops", lambda: not station.stopped, 60)
        station.start()

    @rule(operations=WORK, pause=PAUSES, away=PAUSES, stay=st.sampled_from([False, False, False, True]))
    def pull_the_cable(self, operations: list[AnyOperation], pause: float, away: float, stay: bool) -> None:
        """And plug it again after a while, or only when the next one would be pulled."""
        self.change(*operations, pause=pause)
        nic = self.target.machine.nics[0]
        if nic.up:
            totals["disconnects"] += 1
            nic.disconnect()
            self.run(asyncio.sleep(away))
        if not stay and not nic.up:
            nic.connect()

    @rule(side=SIDES, seconds=st.sampled_from([-7200, -1, 1, 86_400]))
    def set_the_clock(self, side: str, seconds: int) -> None:
        self.station(side).clock.offset += seconds * 1_000_000_000

    @rule(side=SIDES, letter=st.sampled_from(["C", "D"]), leave=st.sampled_from([0, 8 * KIB, 1100 * KIB]))
    def fill_or_empty_a_disk(self, side: str, letter: str, leave: int) -> None:
        disk = self.station(side).volumes[letter].disk
        if disk._ballast:
            disk.unfill()
        else:
            totals["full disks"] += 1
            disk.fill(leave)

    @rule(slowness=st.sampled_from([1.0, 20.0, 200.0]))
    def slow_the_target_down(self, slowness: float) -> None:
        for volume in self.target.volumes.values():
            volume.disk.slowness = slowness

    @precondition(lambda self: self.hands)
    @rule(operation=CHANGE)
    def edit_on_the_target(self, operation: AnyOperation) -> None:
        self.watch.tainted = True
        self.run(self._edit(operation))

    async def _edit(self, operation: AnyOperation) -> None:
        self.watch.carrying.handed = True
        if self.target.do(operation):
            totals["edits on the target"] += 1
        self.watch.carrying.handed = False

    # --- what operators do ---

    @precondition(lambda self: self.hands and self.source.connection is not None and self.source.ready)
    @rule()
    def mirror(self) -> None:
        self.run(self._order_mirror())

    async def _order_mirror(self) -> None:
        connection = self.source.connection
        if connection is None:
            return
        self.source.told.append(OPERATOR)
        try:
            connection.start_mirror()
        except ConnectionStateError:
            self.source.told.pop()
            return
        totals["mirrors ordered"] += 1

    @precondition(lambda self: self.target.replica(SOURCE) is not None and self.target.ready)
    @rule()
    def pause_or_resume_the_target(self) -> None:
        self.run(self._pause(paused=not self.target.replica(SOURCE).record.paused))  # type: ignore[union-attr]

    async def _pause(self, *, paused: bool) -> None:
        service = self.target.service
        if service is None or service.registry.find(SOURCE, "data") is None:
            return
        try:
            await self.target.machine.spawn(service.registry.pause(SOURCE, "data", paused=paused), name="operator")
        except (ConnectionStateError, FileSystemError):
            return

    # --- safety, and liveness ---

    @invariant()
    def replica_is_a_prefix_and_nobody_is_silent(self) -> None:
        if self.world is not None:
            self.watch.check()

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            if not self._failed_before():
                self.heal()
        finally:
            totals["operations compared"] += self.watch.compared
            totals["compared exactly"] += self.watch.exact
            totals["elements judged as queued"] += self.watch.elements.judged
            totals["changes traced to elements"] += self.watch.carrying.judged
            totals["operations during mirrors"] += self.watch.mirrored
            events = [told for told in self.source.told if not isinstance(told, str)]
            totals["resumed by a daemon started again"] += sum(
                "for a daemon started again" in each.text for each in events
            )
            totals["not resumed by one"] += sum(each.code == EventCode.NOT_RESUMED for each in events)
            self.watch.close()
            self.world.close()

    def _failed_before(self) -> bool:
        return bool(self.watch.problems)

    def heal(self) -> None:
        """Everything works again; operators do what events and states ask for; then both sides are equal."""
        self._repair()
        self.settle()
        if self.watch.tainted:
            self.run(self._order_mirror())
            self.wait_for("the operator's mirror", self._mirroring)
            self.settle()
            self.watch.tainted = False
        self.watch.check()
        self.watch.check_causes()
        self.watch.check_equal("when all is healed")

    def _mirroring(self) -> bool:
        connection = self.source.connection
        return connection is None or connection.stream is None or connection.stream.mirroring

    def _repair(self) -> None:
        if not self.target.machine.nics[0].up:
            self.target.machine.nics[0].connect()
        for station in (self.source, self.target):
            for volume in station.volumes.values():
                volume.disk.unfill()
                volume.disk.slowness = 1.0
        self.wait_for("both daemons", lambda: not all([self.source.supervise(), self.target.supervise()]))
        if self.target.replica(SOURCE) is not None and self.target.replica(SOURCE).record.paused:  # type: ignore[union-attr]
            self.run(self._pause(paused=False))

    def settle(self) -> None:
        """Wait for convergence; order the mirror that a source waits for."""
        self.run(wanting(lambda: not (self.watch.settled() or self._waits_for_an_operator()), BOUND))
        if self._waits_for_an_operator():
            self.run(self._order_mirror())
        self.wait_for("convergence", lambda: not self.watch.settled())
        self.watch.check()

    def _waits_for_an_operator(self) -> bool:
        connection = self.source.connection
        return connection is not None and connection.state == "mirror-required"


def _busy(self: Workload, operations: list[AnyOperation], pause: float) -> None:
    self.change(*operations, pause=pause)


for _number in range(4):  # so often, because what is drawn should mostly be work
    setattr(Workload, f"work_{_number}", rule(operations=WORK, pause=PAUSES)(_busy))


def _rule_for(kind: type[Any]) -> Any:
    def apply(self: Workload, operation: AnyOperation, pause: float) -> None:
        self.change(operation, pause=pause)

    return rule(operation=CHANGES[kind], pause=PAUSES)(apply)


for _kind in CHANGES:
    setattr(Workload, f"do_{_kind.__name__}", _rule_for(_kind))


def _queue(connection: SourceConnection | None) -> str:
    """How far a connection's stream is."""
    if connection is None or connection.stream is None:
        return ""
    stream = connection.stream
    return (
        f", {stream.applied} applied of {stream.queue.generated}, {len(stream.queue)} queued, {stream.queue.sent} sent"
    )
