"""Keeping: what both sides' volumes keep, so that nobody sends again, or calls a difference, what cannot be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities, common

if TYPE_CHECKING:
    from bodydouble.ports import FileSystem
    from bodydouble.replication.questions import Questions
    from bodydouble.replication.rules import Selection


class Keeping:
    """What source and target keep, root by root; asked once each.

    Args:
        questions: to the target.
        file_system: the source's.
        selection: the rules.
    """

    def __init__(self, questions: Questions, file_system: FileSystem, selection: Selection) -> None:
        self._questions = questions
        self._file_system = file_system
        self._selection = selection
        self._known: dict[str, Capabilities] = {}

    async def of(self, path: str) -> Capabilities:
        """What both keep of what lies at ``path``, which is in one of the roots."""
        key = self._selection.key
        root = next((each for each in self._selection.roots if paths.is_beneath(key(path), key(each))), path)
        if root not in self._known:
            try:
                here = await self._file_system.capabilities(root)
            except FileSystemError:
                here = Capabilities()
            if not self._file_system.case_sensitive:
                here = msgspec.structs.replace(here, case_sensitive=False)
            self._known[root] = common(here, await self._questions.kept(root))
        return self._known[root]
