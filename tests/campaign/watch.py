"""What is held against every workload: the replica is a prefix of its source, and nobody is silent about it when not.

The source's states are remembered by hash, one an operation, over all of its lives. A replica's state is a look-up, and
it may only go forward. The promise is the product's: it rests while a mirror runs, while operations are carried out
again after a stop or a full volume, and after somebody's hands were in the replica.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING

from tests.campaign.carrying import Carrying, is_one_file, is_same_change
from tests.campaign.changes import ROOT
from tests.campaign.elements import QueuedElements
from tests.campaign.pictures import in_words

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.providers.sim_order import touches

if TYPE_CHECKING:
    from tests.campaign.station import Station

    from bodydouble.replication.applier import Applier
    from bodydouble.replication.protocol import AnyMessage, Item
    from bodydouble.replication.replica import Replica
    from bodydouble.replication.service import ReplicationService
    from bodydouble.vocabulary.operations import AnyOperation
    from bodydouble.vocabulary.records import Event
    from bodydouble_labs.providers.sim_order import VolumeWitness
    from bodydouble_sim.storage.volume import Volume

SOURCE = "SOURCE"
_CAUSES = {
    EventCode.AUTO_DISCONNECT, EventCode.QUEUE_EXHAUSTED, EventCode.REPLICATION_ERROR, EventCode.MIRROR_REQUIRED,
}  # fmt: skip
"""Events of a source that say why a mirror follows."""
OPERATOR = "the operator mirrors"


class SourceHistory:
    """Every state that the source's directory was in, by hash, numbered; a power cut leaves one more."""

    def __init__(self, witness: VolumeWitness, volume: Volume) -> None:
        self._witness = witness
        self._are_one_file = partial(is_one_file, volume)
        self._numbers: dict[int, list[int]] = {}
        self._states: list[int] = []
        self._joined: set[int] = set()
        self._before: AnyOperation | None = None
        self._remember()
        witness.listeners.append(self._follow)
        witness.restarted.append(self._remember)

    @property
    def last(self) -> int:
        """The number of the present state, from 1 on."""
        return len(self._states)

    def states(self, number: int) -> set[int]:
        """The state of a number, and those until a change to one file was told under each of its names."""
        found = {self._states[number - 1]}
        while number in self._joined:
            found.add(self._states[number])
            number += 1
        return found

    def _remember(self) -> None:
        self._states.append(self.present)
        self._numbers.setdefault(self.present, []).append(self.last)

    @property
    def present(self) -> int:
        return self._witness.shadow.value(ROOT)

    def find(self, state: int, begin: int) -> int | None:
        """The number of the first such state from ``begin`` on."""
        numbers = self._numbers.get(state, [])
        index = bisect_left(numbers, begin)
        return numbers[index] if index < len(numbers) else None

    def _follow(self, operation: AnyOperation) -> None:
        if not touches(operation, ROOT):
            return
        before, self._before = self._before, operation
        if before is not None and is_same_change(before, operation) and self._are_one_file(before.path, operation.path):
            self._joined.add(self.last)
        self._remember()


class ReplicaWatch:
    """Compares the replica after each operation that it takes, and whenever the source says that it is complete.

    Attributes:
        compared: how many states of the replica were looked up.
        exact: how many were compared with the very state that they have to be.
        mirrored: how many operations it took meanwhile without the promise.
        tainted: somebody's hands were in the replica since its last mirror.
        problems: what was seen that may not be.
    """

    def __init__(self, source: Station, target: Station) -> None:
        self.compared = self.exact = self.mirrored = 0
        self.tainted = False
        self.problems: list[str] = []
        self.history = SourceHistory(source.witness, source.volumes["C"])
        self._source, self._target = source, target
        self._reached = 0
        self._complete = ""
        self._begun: dict[str, int] = {}
        self._carried_out: dict[str, int] = {}
        self._fresh = False
        self._settled: dict[str, int] = {}
        self._resting = True
        self.elements = QueuedElements(source, lambda: self.history.last, self.problems.append)
        self.carrying = Carrying(target, self.elements, self.problems.append)
        target.witness.listeners.append(self._follow)
        target.on_service = self._attend

    def open(self) -> None:
        """Begin; until `close`."""
        self.elements.open()
        self.carrying.handed = False

    def close(self) -> None:
        """Hear of nothing more."""
        self.elements.close()

    def note_event(self, event: Event) -> None:
        """A mirror of a new stream begins: what it completes is no earlier state than the present one."""
        connection = self._source.connection
        if event.code == EventCode.MIRROR_STARTED and connection is not None:
            name = connection._beginning.name if connection.stream is None else connection.stream.name
            self._begun.setdefault(name, self.history.last)

    def _attend(self, service: ReplicationService) -> None:
        """Learn of what each replica carries out, and whether it does so for the first time."""
        self.carrying.stop()
        add = service.registry._add_applier

        def added(replica: Replica) -> Applier:
            execute = replica.execute

            async def observed(items: list[Item], **how: bool) -> list[AnyMessage]:
                begun = self._carried_out.get(replica.stream, 0)
                self._fresh = items[0].sequence > begun
                self._carried_out[replica.stream] = max(begun, items[-1].sequence)
                self.carrying.begin(replica, items)
                answers = await execute(items, **how)
                self.carrying.end(replica, complete=self._fresh and not self.tainted)
                self._compare_exactly(replica, items[-1].sequence)
                return answers

            setattr(replica, "execute", observed)  # noqa: B010 - this one only
            return add(replica)

        setattr(service.registry, "_add_applier", added)  # noqa: B010

    def _compare_exactly(self, replica: Replica, number: int) -> None:
        """What is carried out up to an element makes the replica what the source was when that was queued."""
        element = self.elements.find(replica.stream, number)
        again = number < self._carried_out[replica.stream]
        if again or element is None or not self._is_promised(replica):
            return
        self.exact += 1
        if self._target.witness.shadow.value(ROOT) not in self.history.states(element.moment):
            what = f"{number} ({type(element.body).__name__})"
            self._tell(f"up to element {what} the replica is not what the source was when that was queued")

    def _tell(self, problem: str) -> None:
        """A problem, with what differs from what the source has now."""
        if not self.problems:
            found = in_words(self._source.picture(), self._target.picture())
            problem += f"; from the source as it is now it differs in{found}"
        self.problems.append(problem)

    def _promised(self) -> bool:
        """Whether the product promises a prefix at this moment."""
        replica = self._target.replica(SOURCE)
        return replica is not None and self._is_promised(replica) and self._fresh

    def _is_promised(self, replica: Replica) -> bool:
        """Whether the product promises a prefix of what is complete."""
        if replica.mirroring or not replica.stream:
            self._complete = ""
        elif replica.record.complete:
            self._complete = replica.stream
        promised = self._complete == replica.stream != "" and not self.tainted
        if promised and self._resting:
            self._reached = max(self._reached, self._begun.get(replica.stream, 0))
        self._resting = not promised
        return promised

    def _follow(self, operation: AnyOperation) -> None:
        if not touches(operation, ROOT):
            return
        if not self._promised():
            self.mirrored += 1
            return
        state = self._target.witness.shadow.value(ROOT)
        number = self.history.find(state, self._reached)
        self.compared += 1
        if number is not None:
            self._reached = number
            return
        known = self.history.find(state, 0) is not None
        what = "went back to an earlier state" if known else "is in a state that the source never had"
        self._tell(f"after {type(operation).__name__} {operation.path} the replica {what}")

    def check(self) -> None:
        """Raise when something was seen, or when the source calls a replica complete that is not.

        Raises:
            AssertionError: what.
        """
        self.elements.check()
        assert not self.problems, "; ".join(self.problems[:3])
        self._check_durable()
        if self.settled() and not self.tainted:
            self.check_equal("silently: all was applied, says the source")

    def check_equal(self, when: str) -> None:
        """The replica has what the source has.

        Raises:
            AssertionError: what differs: path, attribute and both values.
        """
        state = self._target.witness.shadow.value(ROOT)
        source, replica = self._source.picture(), self._target.picture()
        same = state == self.history.present and source == replica
        assert same, f"the replica differs {when}{in_words(source, replica)}"

    def settled(self) -> bool:
        """Whether the source says that the replica has everything, and no stop of the target made it begin again."""
        connection, replica = self._source.connection, self._target.replica(SOURCE)
        if not is_settled(self._source) or connection is None or connection.stream is None or replica is None:
            return False
        return self._target.ready and replica.applied >= connection.stream.queue.generated

    def _check_durable(self) -> None:
        """What the source was told to be safe, and what was recorded as applied, is so after any stop of the target."""
        connection, replica = self._source.connection, self._target.replica(SOURCE)
        stream = None if connection is None else connection.stream
        if stream is None or replica is None or not self._target.ready or stream.name != replica.stream:
            return
        assert self._target.service is not None
        applier = self._target.service.registry.applier(replica)
        received = applier.queue.received
        assert received >= stream.queue.acknowledged, f"{stream.queue.acknowledged} acknowledged, {received} there"
        settled = self._settled.get(stream.name, 0)
        assert replica.applied >= settled, f"{settled} recorded as applied, {replica.applied} are"
        self._settled[stream.name] = applier._settled

    def check_causes(self) -> None:
        """Every mirror that follows a complete one has a cause that an event, or the operator, names.

        Raises:
            AssertionError: one has none.
        """
        cause, complete = "connected for the first time", False
        # A target that cannot go on says so, too, and the connection may break before its source hears of it.
        diverged = sum("diverged" in told.text for told in self._target.told if not isinstance(told, str))
        for told in self._source.told:
            if isinstance(told, str):
                cause = told
            elif told.code in _CAUSES:
                cause = told.text
            elif told.code == EventCode.MIRROR_STARTED:
                diverged -= int(not cause and complete)
                assert diverged >= 0, f"nothing says why event {told.number} happened: {told.text}"
                cause, complete = "", False
            elif told.code == EventCode.MIRROR_COMPLETE:
                complete = True


def is_settled(source: Station) -> bool:
    """Whether the source says that the replica has everything."""
    connection = source.connection
    if connection is None or connection.stream is None or not source.ready:
        return False
    stream = connection.stream
    return connection.state == "replicating" and not len(stream.queue) and stream.applied == stream.queue.generated
