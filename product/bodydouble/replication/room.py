"""VolumeRoom: whether the target's queues may put more onto their volume, without asking it each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodydouble.replication.context import Context

PLENTY = 256 * 1024 * 1024
_ASK_AFTER = 64


class VolumeRoom:
    """What the volume has left above the floor that the settings say.

    While there is plenty the volume is asked once in a while only. What others fill it with meanwhile is found out at
    the latest when it refuses a write.

    Args:
        context: the daemon's surroundings; their state directory is on the volume.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._left = 0
        self._answers = 0

    async def lacks(self, size: int) -> bool:
        """Whether there is no room for so many bytes; otherwise they are taken to be put there.

        Raises:
            FileSystemError: the volume does not answer.
        """
        if self._left - size < PLENTY or not self._answers:
            free = await self._context.host.file_system.free_space(self._context.state_directory)
            self._left = free - self._context.settings.queue_floor_bytes
            self._answers = _ASK_AFTER
        if self._left < size:
            return True
        self._left -= size
        self._answers -= 1
        return False
