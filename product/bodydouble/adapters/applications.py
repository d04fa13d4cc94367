"""The `Applications` port where an administrator says what the applications' directories are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.vocabulary.applications import ApplicationDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConfiguredApplications:
    """Directories by configuration.

    Args:
        directories: in product form.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = [ApplicationDirectory(path, "configuration", "protected directory") for path in directories]

    async def directories(self) -> list[ApplicationDirectory]:
        """See the port."""
        return list(self._directories)
