"""`bodydouble.ports.FileFilter`: the hook in simulated volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FilterError
from bodydouble_sim.handles import close_when_killed
from bodydouble_sim.storage.attached_filter import AttachedFilter
from bodydouble_sim.storage.filter_memory import FilterMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from bodydouble.ports import Lost, Sink
    from bodydouble_sim.storage.volume import Volume


class SimAttachment:
    """A sink's hold on a volume's filter."""

    def __init__(self, memory: FilterMemory, detach: Callable[[], None]) -> None:
        self._memory = memory
        self._detach = detach
        close_when_killed(detach)

    @property
    def position(self) -> int:
        """See `bodydouble.ports.FilterAttachment.position`."""
        return self._memory.position

    def detach(self) -> None:
        """See `bodydouble.ports.Attachment.detach`."""
        self._detach()


class SimResumedAttachment:
    """Several sinks' hold, which are told first of what the filter has kept."""

    def __init__(self, memory: FilterMemory, position: int, sinks: Mapping[str, tuple[Volume, Sink]]) -> None:
        self._memory = memory
        self._position: int | None = position
        self._sinks = sinks
        self._detach: list[Callable[[], None]] = []

    @property
    def position(self) -> int:
        """See `bodydouble.ports.FilterAttachment.position`."""
        return self._memory.position if self._position is None else self._position

    def detach(self) -> None:
        """See `bodydouble.ports.Attachment.detach`."""
        for detach in self._detach:
            detach()
        self._sinks = {}

    async def caught_up(self) -> None:
        """See `bodydouble.ports.ResumedAttachment.caught_up`; takes no time."""
        assert self._position is not None, "once"
        if missing := self._memory.missing(self._position):
            raise FilterError(f"the filter has kept all but {missing} bytes of what has happened since")
        filters = [AttachedFilter(root, sink) for root, (_, sink) in self._sinks.items()]
        for operation, end in self._memory.after(self._position):
            self._position = end
            for attached in filters:
                if attached.sees(operation):
                    attached.sink(operation)
        self._position = None
        self._detach = [volume.add_filter(root, sink) for root, (volume, sink) in self._sinks.items()]
        close_when_killed(self.detach)


class SimFileFilter:
    """Reports what applications change on simulated volumes; unloaded by a power loss.

    What has no operation (named streams, compression) is not reported: see `bodydouble_sim.storage.volume`.
    """

    def __init__(self, volumes: Mapping[str, Volume]) -> None:
        self._volumes = volumes

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> SimAttachment:  # noqa: ARG002 - never
        """See `bodydouble.ports.FileFilter.attach`. Paths are reported as the volume spells them; none is ever lost."""
        volume = self._volume(root)
        return SimAttachment(self._memory(), volume.add_filter(root, sink))

    def resume(self, position: int, sinks: Mapping[str, Sink], lost: Lost) -> SimResumedAttachment:
        """See `bodydouble.ports.FileFilter.resume`."""
        del lost
        return SimResumedAttachment(
            self._memory(), position, {root: (self._volume(root), sink) for root, sink in sinks.items()}
        )

    async def settled(self) -> None:
        """See `bodydouble.ports.FileFilter.settled`: each change is reported before anything else happens."""

    def notes(self, name: str) -> memoryview | None:
        """See `bodydouble.ports.FileFilter.notes`."""
        return self._memory().notes(name)

    def keep_notes(self, names: Collection[str]) -> None:
        """See `bodydouble.ports.FileFilter.keep_notes`."""
        self._memory().keep_notes(names)

    def _volume(self, root: str) -> Volume:
        volume = self._volumes.get(root[:1].upper()) if root[1:2] == ":" else None
        if volume is None or volume.file_system is None:
            known = sorted(letter for letter, each in self._volumes.items() if each.file_system is not None)
            raise FilterError(f"{root}: no volume that the filter watches (drives: {', '.join(known)})")
        return volume

    def _memory(self) -> FilterMemory:
        """The driver's, one for the machine; there is none before the driver is used, nor on a volume that is new."""
        volumes = self._volumes.values()
        kept = (volume.filter_memory for volume in volumes if volume.filter_memory is not None)
        memory = next(kept, None) or FilterMemory()
        for volume in volumes:
            volume.filter_memory = memory
        return memory
