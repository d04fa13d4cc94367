r"""A catalogue of Index Server: the words of every document beneath a directory, on the disk in ``catalog.wci``.

Sources: Index Server's help, "Scanning" (an incremental scan at each start finds what changed meanwhile; a full one is
made the first time and as part of recovery); KB 209304 (a restart without a shutdown can corrupt a catalogue, events
4124 and 4126); KB 191147 (it is then rebuilt by itself). The file's format is this model's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import catalog_query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.windows.files import HostFiles

MOST_BYTES = 256 * 1024
MOST_DOCUMENTS = 100_000
_TEXT = (".txt", ".htm", ".html", ".asp", ".inc", ".css", ".xml", ".log", ".ini", ".bat")
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_FORMAT = 1


class _Document(msgspec.Struct, frozen=True):
    size: int
    written: int
    words: list[str]


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    documents: dict[str, _Document]


class Catalog:
    """The index of one directory.

    Args:
        files: the machine's drives.
        scope: the directory that is indexed, product form.
        place: the ``catalog.wci`` directory.
    """

    def __init__(self, files: HostFiles, scope: str, place: str) -> None:
        self._files = files
        self._scope = scope
        self._place = place
        self._documents: dict[str, _Document] = {}
        self._changed = False

    @property
    def count(self) -> int:
        """How many documents are indexed."""
        return len(self._documents)

    # --- the disk ---------------------------------------------------------------------------------------------------

    def open(self) -> bool:
        """Read the catalogue and mark it as in use.

        Returns:
            False when it was in use before, or cannot be understood: nothing of it can be trusted, and it is empty now.

        Raises:
            FileSystemError: the directory cannot be written.
        """
        self._documents, self._changed = {}, True
        clean = self._files.stat(self._marker) is None
        fresh = self._files.stat(self._index) is None
        if clean and not fresh:
            clean = self._read()
        self._files.create(self._marker)
        self._files.write(self._marker, 0, b"in use\r\n")
        self._files.flush(self._marker)
        return clean

    @property
    def _marker(self) -> str:
        return f"{self._place}/CiCatalog.use"

    @property
    def _index(self) -> str:
        return f"{self._place}/CiCatalog.idx"

    def _read(self) -> bool:
        try:
            saved = msgspec.msgpack.decode(self._files.read(self._index), type=_Saved)
        except (FileSystemError, msgspec.MsgspecError, UnicodeDecodeError):
            return False
        if saved.format != _FORMAT:
            return False
        self._documents, self._changed = dict(saved.documents), False
        return True

    def close(self) -> None:
        """Write the catalogue through to the disk and take the mark away: it can be trusted at the next `open`.

        Raises:
            FileSystemError: it cannot be written; the mark stays.
        """
        self.save()
        self._files.remove(self._marker)

    def save(self) -> None:
        """Write the catalogue, if anything in it has changed.

        Raises:
            FileSystemError: it cannot be written; the former one is still there.
        """
        if self._changed:
            data = msgspec.msgpack.encode(_Saved(_FORMAT, self._documents))
            temporary = f"{self._index}.new"
            self._files.create(temporary)
            self._files.write(temporary, 0, data)
            self._files.flush(temporary)
            self._files.rename(temporary, self._index)
            self._changed = False

    # --- scanning ---------------------------------------------------------------------------------------------------

    def scan(self) -> int:
        """Index what is new or has changed, forget what is gone.

        Returns:
            How many documents were read or forgotten.
        """
        found = {entry.path: entry for entry in self._walk(self._scope)}
        gone = [path for path in self._documents if path not in found]
        for path in gone:
            del self._documents[path]
        stale = [entry for path, entry in found.items() if self._is_stale(path, entry)]
        read = [entry for entry in stale[: MOST_DOCUMENTS - len(self._documents)] if self._filter(entry)]
        self._changed = self._changed or bool(gone or read)
        return len(gone) + len(read)

    def _is_stale(self, path: str, entry: Entry) -> bool:
        known = self._documents.get(path)
        return known is None or (known.size, known.written) != (entry.size, entry.mtime_ns)

    def _walk(self, directory: str) -> Iterator[Entry]:
        try:
            entries = self._files.list(directory)
        except FileSystemError:
            return  # it went away while we looked
        for entry in entries:
            if not entry.directory:
                yield entry
            elif entry.path.upper() != self._place.upper():
                yield from self._walk(entry.path)

    def _filter(self, entry: Entry) -> bool:
        """Take the words out of a document; one in use is left for the next scan."""
        try:
            data = self._files.read(entry.path, 0, MOST_BYTES) if entry.path.lower().endswith(_TEXT) else b""
        except FileSystemError:
            return False
        name = entry.path.rpartition("/")[2]
        text = _TAG.sub(" ", data.decode("latin-1")) if ".htm" in name.lower() else data.decode("latin-1")
        words = _WORD.findall(f"{name} {text}".lower())
        self._documents[entry.path] = _Document(entry.size, entry.mtime_ns, words)
        return True

    # --- queries ----------------------------------------------------------------------------------------------------

    def query(self, text: str) -> list[str]:
        """The documents that a query finds, by path.

        Raises:
            bodydouble_sim.iis.catalog_query.QueryError: it cannot be understood.
        """
        return catalog_query.query(text, {path: one.words for path, one in self._documents.items()})
