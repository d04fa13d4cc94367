"""The product's own decorators of the `FileSystem` port, over a host body's files."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from bodydouble.replication.feed import Feed, FeedingFileSystem, GatedFileSystem
from bodydouble.replication.fitting import FittingFileSystem
from bodydouble.replication.mapping import PathMap
from bodydouble.replication.rules import fold, same
from bodydouble.replication.view import MappedFileSystem
from bodydouble.vocabulary.mapping import PathMapping

if TYPE_CHECKING:
    from tests.conformance.conftest import Body, Case

    from bodydouble.ports import FileSystem, Host


class Decorated:
    """A body whose files are reached through a decorator; ``kind`` says which."""

    def __init__(self, inner: Body, kind: str) -> None:
        self._inner = inner
        self._kind = kind
        drive = inner.root[:2] if inner.root[1:2] == ":" else ""
        mapped = kind == "mapped"
        self.root = f"{drive}/elsewhere/protected" if mapped else inner.root
        self.outside = f"{drive}/elsewhere/outside" if mapped else inner.outside
        self.application = inner.application
        self.script_suffix, self.script_lines = inner.script_suffix, inner.script_lines

    def configure_application(self, directory: str) -> None:
        self._inner.configure_application(directory)

    def run(self, case: Case) -> None:
        async def decorated(host: Host) -> None:
            await case(dataclasses.replace(host, file_system=self._decorate(host.file_system)))

        self._inner.run(decorated)

    def _decorate(self, files: FileSystem) -> FileSystem:
        key = same if files.case_sensitive else fold
        if self._kind == "mapped":
            roots = [self.root, self.outside]
            places = [self._inner.root, self._inner.outside]
            mapping = [PathMapping(root, place) for root, place in zip(roots, places, strict=True)]
            return MappedFileSystem(files, PathMap(roots, mapping, "", key), plain=False)
        if self._kind == "fitted":
            return FittingFileSystem(files, [self.root, self.outside], key, lambda _what, _path: None, foreign=False)
        feed = Feed(key)
        fed = FeedingFileSystem(files, feed, [self.root], asyncio.Lock())
        feed.join(fed, None)
        feed.attach(self.root, lambda _operation: None)
        return _Both(fed, GatedFileSystem(files, feed))


class _Both:
    """Applies through the feed and reads through the gate, as two halves of one machine do."""

    def __init__(self, fed: FeedingFileSystem, gated: GatedFileSystem) -> None:
        self.apply = fed.apply
        self.case_sensitive = gated.case_sensitive
        self.list_directory, self.stat = gated.list_directory, gated.stat
        self.capabilities = gated.capabilities
        self.read, self.free_space, self.find_data = gated.read, gated.free_space, gated.find_data
        self.flush = fed.flush
