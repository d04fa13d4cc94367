"""`bodydouble.ports.FileFilter`: the hook in simulated volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bodydouble.ports import Lost, Sink
    from bodydouble_sim.storage.volume import Volume


class SimAttachment:
    """A sink's hold on a volume's filter."""

    def __init__(self, detach: Callable[[], None]) -> None:
        self._detach = detach

    def detach(self) -> None:
        """See `bodydouble.ports.Attachment.detach`."""
        self._detach()


class SimFileFilter:
    """Reports what applications change on simulated volumes; unloaded by a power loss.

    What has no operation (named streams, compression) is not reported: see `bodydouble_sim.storage.volume`.
    """

    def __init__(self, volumes: Mapping[str, Volume]) -> None:
        self._volumes = volumes

    async def attach(self, root: str, sink: Sink, lost: Lost | None = None) -> SimAttachment:  # noqa: ARG002 - never
        """See `bodydouble.ports.FileFilter.attach`. Paths are reported as the volume spells them; none is ever lost."""
        volume = self._volumes.get(root[:1].upper()) if root[1:2] == ":" else None
        if volume is None or volume.file_system is None:
            known = sorted(letter for letter, each in self._volumes.items() if each.file_system is not None)
            raise FilterError(f"{root}: no volume that the filter watches (drives: {', '.join(known)})")
        return SimAttachment(volume.add_filter(root, sink))

    async def settled(self) -> None:
        """See `bodydouble.ports.FileFilter.settled`: each change is reported before anything else happens."""
