"""Records about the applications that a machine protects: where they keep data, and what of it no set holds."""

from __future__ import annotations

from typing import Literal

import msgspec


class ApplicationDirectory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A directory that an application keeps data in.

    Attributes:
        path: as the application's configuration has it; one that begins with two slashes or backslashes is a share of
            another machine.
        application: whose: ``web site 1 (Default Web Site)``.
        what: what it keeps there: ``root``, ``virtual directory /shop``, ``drop directory``.
    """

    path: str
    application: str
    what: str


class Uncovered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A directory of an application that no replication set holds, or not all of it.

    Attributes:
        directory: which one.
        state: ``outside``: of every set; ``partly``: something of it is in a set; ``elsewhere``: it is on another
            machine and can be protected only there.
        reason: why, in words, with what to do.
        replication_sets: the sets that were looked at.
    """

    directory: ApplicationDirectory
    state: Literal["outside", "partly", "elsewhere"]
    reason: str
    replication_sets: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """It all in one sentence."""
        found = self.directory
        return f"{found.application}, {found.what}: {found.path} {self.reason}"
