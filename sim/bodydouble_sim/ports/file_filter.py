"""`bodydouble.ports.FileFilter`: the hook in simulated volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bodydouble.ports import Sink
    from bodydouble_sim.storage.ntfs import NtfsVolume


class SimAttachment:
    """A sink's hold on a volume's filter."""

    def __init__(self, detach: Callable[[], None]) -> None:
        self._detach = detach

    def detach(self) -> None:
        """See `bodydouble.ports.Attachment.detach`."""
        self._detach()


class SimFileFilter:
    """Reports what applications change on simulated volumes; unloaded by a power loss."""

    def __init__(self, volumes: Mapping[str, NtfsVolume]) -> None:
        self._volumes = volumes

    async def attach(self, root: str, sink: Sink) -> SimAttachment:
        """See `bodydouble.ports.FileFilter.attach`. Paths are reported as the volume spells them."""
        volume = self._volumes.get(root[:1].upper()) if root[1:2] == ":" else None
        if volume is None:
            raise FilterError(f"{root}: no volume that the filter watches (drives: {', '.join(sorted(self._volumes))})")
        return SimAttachment(volume.add_filter(root, sink))
