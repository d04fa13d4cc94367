"""Saying what took effect as operations, by the path it has now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.adapters.posix.metadata import metadata_of
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    import os

    from bodydouble.adapters.fuse.nodes import Node
    from bodydouble.adapters.posix.extended import Place
    from bodydouble.adapters.sinks import SinkTable


class Reporter:
    """Turns changes of nodes into operations, one for each name. A node without a path any more reports nothing.

    Args:
        root: product path of the mount.
        sinks: who is told.
    """

    def __init__(self, root: str, sinks: SinkTable) -> None:
        self._root = root
        self._sinks = sinks

    def path(self, node: Node, *below: str) -> str | None:
        """Product path of a node, or of names beneath it; None when it was removed."""
        components = node.components()
        return None if components is None else "/".join((self._root, *components, *below))

    def paths(self, node: Node) -> list[str]:
        """Product path of each name of a node."""
        return ["/".join((self._root, *components)) for components in node.every_components()]

    def created(self, node: Node, status: os.stat_result, place: Place) -> None:
        """A file came into being."""
        if path := self.path(node):
            self._sinks.report(CreateFile(path, metadata_of(status, place), status.st_mtime_ns))

    def made_directory(self, node: Node, status: os.stat_result, place: Place) -> None:
        """A directory came into being."""
        if path := self.path(node):
            self._sinks.report(MakeDirectory(path, metadata_of(status, place)))

    def written(self, node: Node, offset: int, data: bytes, status: os.stat_result) -> None:
        """Bytes were written."""
        for path in self.paths(node):
            self._sinks.report(Write(path, offset, data, status.st_mtime_ns))

    def truncated(self, node: Node, status: os.stat_result) -> None:
        """The file has a new length."""
        for path in self.paths(node):
            self._sinks.report(Truncate(path, status.st_size, status.st_mtime_ns))

    def punched(self, node: Node, offset: int, size: int, status: os.stat_result) -> None:
        """A range of the file became a hole."""
        for path in self.paths(node):
            self._sinks.report(PunchHole(path, offset, size, status.st_mtime_ns))

    def metadata(self, node: Node, status: os.stat_result, place: Place) -> None:
        """Owner, group, mode or extended attributes changed."""
        metadata = metadata_of(status, place)
        for path in self.paths(node):
            self._sinks.report(SetMetadata(path, metadata))

    def times(self, node: Node, status: os.stat_result) -> None:
        """The last-write time was set."""
        for path in self.paths(node):
            self._sinks.report(SetTimes(path, status.st_mtime_ns))

    def linked(self, path: str | None, existing: str | None) -> None:
        """A file has one more name."""
        if path and existing:
            self._sinks.report(MakeHardLink(path, existing))

    def made_link(self, node: Node, target: str, status: os.stat_result, place: Place) -> None:
        """A symbolic link came into being."""
        if path := self.path(node):
            self._sinks.report(MakeSymbolicLink(path, target, metadata_of(status, place), status.st_mtime_ns))

    def renamed(self, old: str | None, new: str | None) -> None:
        """A name changed."""
        if old and new:
            self._sinks.report(Rename(old, new))

    def removed(self, path: str | None, *, directory: bool) -> None:
        """A name is gone."""
        if path:
            self._sinks.report(RemoveDirectory(path) if directory else RemoveFile(path))
