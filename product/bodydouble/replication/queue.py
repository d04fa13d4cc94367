"""SourceQueue: operations in the order in which they were made, kept until the target has them safe. Pure.

Memory first. What does not fit there goes to disk, and everything behind it too until that is read back, so that the
order stays. `bodydouble.replication.spill` does the writing and the reading; here is only what is where.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import ProtocolError
from bodydouble.replication.protocol import Orphans, Task
from bodydouble.vocabulary.operations import MakeSymbolicLink, Operation, paths_of, payload_size

if TYPE_CHECKING:
    from bodydouble.replication.protocol import Body


@dataclass(frozen=True, slots=True)
class Queued:
    """One element of the stream with its sequence number and what it weighs in bytes."""

    sequence: int
    body: Body
    weight: int


class SourceQueue:
    """Everything generated and not yet acknowledged, in order: sent, unsent, on disk, staged for the disk.

    Args:
        capacity: bytes of memory.
        disk_capacity: bytes on disk; 0 for no disk queue, None for no limit but the volume's.
    """

    def __init__(self, capacity: int, disk_capacity: int | None = 0) -> None:
        self.capacity = capacity
        self.disk_capacity = disk_capacity
        self.begun_after = 0
        self.generated = 0
        self.generated_bytes = 0
        self.sent = 0
        self.acknowledged = 0
        self.memory_bytes = 0
        self.disk_bytes = 0
        self.on_disk = 0
        self.staged_bytes = 0
        self._sent_bytes = 0
        self._unsent: deque[Queued] = deque()
        self._sent: deque[Queued] = deque()
        self._staged: deque[Queued] = deque()

    def go_on_from(self, sequence: int) -> None:
        """Nothing is queued: everything up to ``sequence`` was made, sent and acknowledged by an earlier daemon."""
        self.begun_after = self.generated = self.sent = self.acknowledged = sequence

    def __len__(self) -> int:
        return len(self._unsent) + len(self._sent) + self.on_disk + len(self._staged)

    @property
    def bytes(self) -> int:
        """Bytes queued, wherever they are."""
        return self.memory_bytes + self.disk_bytes + self.staged_bytes

    @property
    def unsent(self) -> int:
        """How many elements in memory wait to be sent."""
        return len(self._unsent)

    @property
    def unsent_bytes(self) -> int:
        """What they weigh."""
        return self.memory_bytes - self._sent_bytes

    @property
    def in_flight(self) -> bool:
        """Whether something was sent and not acknowledged."""
        return bool(self._sent)

    @property
    def asks(self) -> bool:
        """Whether the last element that waits to be sent is no operation: then somebody waits for what it does."""
        return bool(self._unsent) and not isinstance(self._unsent[-1].body, Operation)

    def put(self, body: Body) -> int | None:
        """Append; the sequence number it got, or None when the queue is exhausted (then nothing was appended)."""
        weight = weigh(body)
        spilling = self.on_disk or self._staged
        if not spilling and self.memory_bytes + weight <= self.capacity:
            self.memory_bytes += weight
            half = self._unsent
        elif self._disk_takes(weight):
            self.staged_bytes += weight
            half = self._staged
        else:
            return None
        self.generated += 1
        self.generated_bytes += weight
        half.append(Queued(self.generated, body, weight))
        return self.generated

    def _disk_takes(self, weight: int) -> bool:
        """Whether the disk has room, and is not further behind than a quarter of the memory."""
        if self.disk_capacity == 0 or (self._staged and self.staged_bytes + weight > self.capacity // 4):
            return False
        return self.disk_capacity is None or self.disk_bytes + self.staged_bytes + weight <= self.disk_capacity

    # --- to disk and back ---

    def admit(self) -> bool:
        """Take into memory what is staged, when nothing before it is on disk; whether there was any."""
        before = len(self._unsent)
        while self._staged and not self.on_disk:
            fits = self.memory_bytes + self._staged[0].weight <= self.capacity
            if not fits and (self._unsent or self._sent):
                break
            queued = self._staged.popleft()
            self.staged_bytes -= queued.weight
            self.memory_bytes += queued.weight
            self._unsent.append(queued)
        return len(self._unsent) > before

    def staged(self, max_bytes: int) -> list[Queued]:
        """The next elements to write to disk; they stay staged until `written`."""
        taken: list[Queued] = []
        size = 0
        for queued in self._staged:
            if taken and size >= max_bytes:
                break
            size += queued.weight
            taken.append(queued)
        return taken

    def written(self, items: list[Queued]) -> None:
        """The staged elements are on disk now."""
        for queued in items:
            self._staged.popleft()
            self.staged_bytes -= queued.weight
            self.disk_bytes += queued.weight
        self.on_disk += len(items)

    @property
    def wanted(self) -> int:
        """Bytes that should be read back from disk now: when half of the memory is free."""
        free = self.capacity - self.memory_bytes
        empty = not self._unsent and not self._sent
        return max(1, free // 2) if self.on_disk and (empty or 2 * free >= self.capacity) else 0

    def read_back(self, items: list[tuple[int, Body]]) -> None:
        """The oldest elements on disk are in memory again."""
        for sequence, body in items:
            weight = weigh(body)
            self._unsent.append(Queued(sequence, body, weight))
            self.memory_bytes += weight
            self.disk_bytes -= weight
        self.on_disk -= len(items)

    # --- to the target ---

    def take(self, max_bytes: int, max_operations: int) -> list[Queued]:
        """The next elements to send, at least one when there is any; they stay queued until acknowledged."""
        taken: list[Queued] = []
        size = 0
        while self._unsent and len(taken) < max_operations:
            size += self._unsent[0].weight
            if taken and size > max_bytes:
                break
            taken.append(self._unsent.popleft())
        self._sent.extend(taken)
        if taken:
            self.sent = max(self.sent, taken[-1].sequence)
        self._sent_bytes += sum(queued.weight for queued in taken)
        return taken

    def acknowledge(self, sequence: int) -> int:
        """Forget everything up to ``sequence``; how many elements that were.

        Raises:
            ProtocolError: ``sequence`` was never sent, or lies before an earlier acknowledgement.
        """
        last_sent = self._sent[-1].sequence if self._sent else self.acknowledged
        if not self.acknowledged <= sequence <= last_sent:
            raise ProtocolError(f"acknowledgement of {sequence}, expected {self.acknowledged} to {last_sent}")
        done = sequence - self.acknowledged
        while self._sent and self._sent[0].sequence <= sequence:
            weight = self._sent.popleft().weight
            self.memory_bytes -= weight
            self._sent_bytes -= weight
        self.acknowledged = sequence
        return done

    def rewind(self, position: int) -> bool:
        """Send again from after ``position`` (where the target is); False when the queue does not reach there."""
        last_sent = self._sent[-1].sequence if self._sent else self.acknowledged
        if not self.acknowledged <= position <= last_sent:
            return False
        self.acknowledge(position)
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._sent_bytes = 0
        return True

    def unacknowledged(self) -> list[Body]:
        """What the target may not have yet and memory still holds, oldest first."""
        return [queued.body for half in (self._sent, self._unsent, self._staged) for queued in half]


def weigh(body: Body) -> int:
    """Bytes of memory that one element counts for: payload and names."""
    if isinstance(body, Task):
        return 256 + len("".join([body.command, *body.arguments]).encode("utf-8", "surrogatepass"))
    if isinstance(body, Orphans):
        return 256 + sum(64 + len(name.encode("utf-8", "surrogatepass")) for name in body.names)
    if not isinstance(body, Operation):
        return 256
    names = "".join(paths_of(body)) + (body.target if isinstance(body, MakeSymbolicLink) else "")
    return payload_size(body) + len(names.encode("utf-8", "surrogatepass"))


class SequenceCheck:
    """The target's side: accepts exactly the next number.

    Args:
        position: the last number already accepted.
    """

    def __init__(self, position: int) -> None:
        self.position = position

    def accept(self, sequence: int) -> None:
        """Take ``sequence`` as the next one.

        Raises:
            ProtocolError: a gap, a repetition or a step back.
        """
        if sequence != self.position + 1:
            raise ProtocolError(f"sequence number {sequence}, expected {self.position + 1}")
        self.position = sequence
