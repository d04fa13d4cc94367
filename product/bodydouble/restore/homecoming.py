"""Whether a restoration brings a source's data home: to that very machine, to where it had it, and all of it. Pure.

Only then may a source that was stood in for mirror over the stand-in again. Anybody else who receives the data has it
beside the source's own, which is older, and which the source's connection would send as soon as it is let.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.replication.mapping import PathMap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.records import RestoreRequest

    Key = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Homecoming:
    """One restoration, as far as it is known where it goes.

    Attributes:
        request: what was ordered.
        roots: of the set, as the original source has them.
        key: the form in which paths are compared.
        receiver: the name under which the receiving machine is paired; empty while it has not answered.
        left_out: what could not be read on the stand-in.
        marked_before: the set was *restore required* before the restoration began: the source's own data is older.
        stood_in: this machine began to stand in for the source meanwhile, or does now.
    """

    request: RestoreRequest
    roots: Sequence[str]
    key: Key
    receiver: str
    left_out: int
    marked_before: bool
    stood_in: bool

    @property
    def spares_source(self) -> bool:
        """Whether it is known that nothing comes to where the source replicates from: the source is what it was."""
        return bool(self._elsewhere())

    @property
    def why_stays(self) -> str:
        """Why the set stays *restore required* when it is complete, and what to do; empty: it does not."""
        found, source = [], self.request.original_source
        if self.marked_before:
            found += self._elsewhere()
        if self.left_out and (self.marked_before or not self.spares_source):
            what = "1 file or directory" if self.left_out == 1 else f"{self.left_out} files or directories"
            found.append(f"{what} could not be read here and did not go")
        if self.stood_in:
            found.append(f"this machine stood in for {source} meanwhile")
        if not found:
            return ""
        order = f"bodydouble restorations --clear {_word(source)} {_word(self.request.replication_set)}"
        otherwise = f"if what {source} has shall count, clear the mark: {order}"
        return f"{' and '.join(found)}; restore all of it to {source}, to its own place, or, {otherwise}"

    @property
    def may_go_back(self) -> bool:
        """Whether the source may replicate as before when it failed or was stopped: it was not marked, nor touched."""
        untouched = self.spares_source or not self.receiver
        return untouched and not self.marked_before and not self.stood_in

    def _elsewhere(self) -> list[str]:
        """To what other machine it goes, or to what other places than the source replicates from."""
        source = self.request.original_source
        if self.receiver and self.receiver.casefold() != source.casefold():
            return [f"the data goes to {self.receiver}, not to {source}"]
        return [
            f"{root} goes to {place} on {source}, which keeps what it has at {root}"
            for root, place in PathMap(self.roots, self.request.mapping, self.request.base, self.key).places
            if self.key(root) != self.key(place)
        ]


def _word(name: str) -> str:
    """As it is typed."""
    return f'"{name}"' if " " in name else name
