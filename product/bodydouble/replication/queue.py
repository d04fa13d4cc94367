"""SourceQueue: operations in the order in which they were made, kept until the target has them safe. Pure.

The queue is memory only: operations that a stopped daemon had not yet sent are gone with it, and the next start
remirrors instead. That is inherent, a mirror finds what the queue would have carried.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import ProtocolError
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
    """Everything generated and not yet acknowledged, in order.

    Args:
        capacity: bytes that may be queued.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.generated = 0
        self.acknowledged = 0
        self.bytes = 0
        self._unsent: deque[Queued] = deque()
        self._sent: deque[Queued] = deque()

    def __len__(self) -> int:
        return len(self._unsent) + len(self._sent)

    def put(self, body: Body) -> int | None:
        """Append; the sequence number it got, or None when memory is exhausted (then nothing was appended)."""
        weight = weigh(body)
        if self.bytes + weight > self.capacity:
            return None
        self.generated += 1
        self.bytes += weight
        self._unsent.append(Queued(self.generated, body, weight))
        return self.generated

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
            self.bytes -= self._sent.popleft().weight
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
        return True

    def unacknowledged(self) -> list[Body]:
        """What the target may not have applied yet, oldest first."""
        return [queued.body for half in (self._sent, self._unsent) for queued in half]


def weigh(body: Body) -> int:
    """Bytes of memory that one element counts for: payload and names."""
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
