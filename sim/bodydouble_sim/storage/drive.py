"""What is asked for when a machine is built with a drive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_CAPACITY = 8 * 1024**3


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive of a machine that is to be built.

    Attributes:
        capacity: size in bytes.
        file_system: what it is formatted with; None leaves it unformatted.
    """

    capacity: int = DEFAULT_CAPACITY
    file_system: Literal["ntfs", "fat32", "fat16"] | None = "ntfs"
