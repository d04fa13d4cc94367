r"""The news that the NNTP service keeps: groups as directories, articles as files, numbers that never come back.

Source: "Directories and Files" in the NNTP service's help: a group ``entertainment.news`` is the directory
``\Inetpub\nntpfile\root\entertainment\news``; article files end in ``.nws``; a file ending in ``.xix`` lists the
subjects of each 128 articles; files ending in ``.lst`` are the service's own, and a rebuild restores them. That help
and reference pages name four groups of a fresh set-up: control.cancel, control.newgroup, control.rmgroup and
microsoft.public.ins. How the files look inside is this model's own: an article's file is the article, named by its
number.

What survives a power cut: an article, once `post` has returned, in all its groups; a number, which is never given
twice, not even after its article was cancelled. Subject files are not flushed: `load` compares them with the articles
and makes them anew where they differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import nntp_article

if TYPE_CHECKING:
    from bodydouble_sim.iis.nntp_article import Overview
    from bodydouble_sim.windows.system import WindowsSystem

DEFAULT_GROUPS = ("control.cancel", "control.newgroup", "control.rmgroup", "microsoft.public.ins")
ARTICLES_A_FILE = 128
_LIST = "group.lst"
_ARTICLE = ".nws"
_SUBJECTS = ".xix"
_UNFINISHED = ".tmp"


@dataclass(slots=True)
class Group:
    """One newsgroup.

    Attributes:
        high: the highest number that an article ever had.
        created_ns: when it was made, nanoseconds since 1970 UTC.
        articles: overviews by number, ascending.
        arrived: when each came, nanoseconds since 1970 UTC.
    """

    name: str
    high: int = 0
    created_ns: int = 0
    articles: dict[int, Overview] = field(default_factory=dict)
    arrived: dict[int, int] = field(default_factory=dict)

    @property
    def low(self) -> int:
        """The lowest number of an article that is there; one more than `high` in an empty group (RFC 3977, 6.1.1.2)."""
        return next(iter(self.articles), self.high + 1)


class NewsStore:
    """The groups and articles beneath one nntpfile directory.

    Args:
        system: the machine.
        root: the nntpfile directory, product form.

    Attributes:
        groups: by name.
        rebuilt: the groups whose subject files `load` had to make anew.
    """

    def __init__(self, system: WindowsSystem, root: str) -> None:
        self._system = system
        self._files = system.files
        self._root = root
        self.groups: dict[str, Group] = {}
        self.rebuilt: list[str] = []
        self._known: dict[str, tuple[str, int]] = {}

    # --- reading ----------------------------------------------------------------------------------------------------

    def find(self, message_id: str) -> tuple[str, int] | None:
        """Group and number of the article with that Message-ID."""
        return self._known.get(message_id)

    def article(self, group: str, number: int) -> bytes:
        """An article.

        Raises:
            FileSystemError: its file is gone, or cannot be read.
        """
        return self._files.read(f"{self._place(group)}/{number}{_ARTICLE}")

    def _place(self, group: str) -> str:
        return f"{self._root}/root/{group.replace('.', '/')}"

    # --- start ------------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read what is on the disk, and repair what a power cut left unfinished.

        Raises:
            FileSystemError: the directory cannot be read or written.
        """
        self.groups, self._known, self.rebuilt = {}, {}, []
        self._system.make_directories(f"{self._root}/root")
        recorded = self._read_list()
        fresh = not recorded
        for name in recorded or dict.fromkeys(DEFAULT_GROUPS, (0, self._system.clock())):
            high, created = recorded.get(name, (0, self._system.clock()))
            self.groups[name] = Group(name, high, created)
            self._system.make_directories(self._place(name))
        for group in self.groups.values():
            self._read_group(group)
        self._finish_crossposts(recorded)
        if fresh:
            self.save()

    def _read_list(self) -> dict[str, tuple[int, int]]:
        if self._files.stat(f"{self._root}/{_LIST}") is None:
            return {}
        found: dict[str, tuple[int, int]] = {}
        for line in self._files.read(f"{self._root}/{_LIST}").decode("ascii", "replace").splitlines():
            words = line.split(" ")
            numbers = len(words) == 3 and words[1].isdigit() and words[2].isdigit()  # noqa: PLR2004 - a line's words
            if numbers and line.isascii() and nntp_article.is_group(words[0]):
                found[words[0]] = (int(words[1]), int(words[2]))
        return found

    def _read_group(self, group: Group) -> None:
        files = {entry.path.rpartition("/")[2].lower(): entry for entry in self._files.list(self._place(group.name))}
        for name, entry in files.items():
            if name.endswith(_UNFINISHED) and not entry.directory:
                self._files.remove(entry.path)
        articles = {
            int(stem): entry
            for name, entry in files.items()
            if name.endswith(_ARTICLE) and (stem := name.removesuffix(_ARTICLE)).isascii() and stem.isdigit()
        }
        known = self._read_subjects([entry.path for name, entry in files.items() if name.endswith(_SUBJECTS)])
        sizes = {number: overview.size for number, overview in known.items()}
        if sizes != {number: entry.size for number, entry in articles.items()}:
            known = {number: self._seen(group.name, number) for number in articles}
            self.rebuilt.append(group.name)
        group.articles = dict(sorted(known.items()))
        group.arrived = {number: articles[number].mtime_ns for number in group.articles}
        group.high = max([group.high, *group.articles])
        for number, overview in group.articles.items():
            self._known.setdefault(overview.message_id, (group.name, number))
        if group.name in self.rebuilt:
            self._write_subjects(group)

    def _seen(self, group: str, number: int) -> Overview:
        return nntp_article.overview_of(number, self.article(group, number))

    def _read_subjects(self, paths: list[str]) -> dict[int, Overview]:
        found: dict[int, Overview] = {}
        for path in paths:
            for line in self._files.read(path).decode("latin-1").split("\r\n"):
                overview = nntp_article.parsed(line)
                if overview is not None:
                    found[overview.number] = overview
        return found

    def _finish_crossposts(self, recorded: dict[str, tuple[int, int]]) -> None:
        """An article that reached only some of its groups before the power went goes into the others.

        A number up to the recorded one was given out and taken back (cancelled); those stay away.
        """
        for group in list(self.groups.values()):
            for number, overview in list(group.articles.items()):
                for name, other in _references(overview.xref):
                    target = self.groups.get(name)
                    if target is not None and other not in target.articles and other > recorded.get(name, (0, 0))[0]:
                        self._file(target, other, self.article(group.name, number), self._system.clock())

    # --- posting ----------------------------------------------------------------------------------------------------

    def post(self, article: bytes, names: list[str], server: str) -> None:
        """File an article in groups that exist; durable in all of them once this returns.

        Raises:
            FileSystemError: the disk refuses; it may be in some of the groups.
        """
        places = [(self.groups[name], self.groups[name].high + 1) for name in names]
        xref = " ".join([server, *(f"{group.name}:{number}" for group, number in places)])
        stamped = nntp_article.completed(article, {"Xref": xref})
        for group, number in places:
            self._file(group, number, stamped, self._system.clock())

    def _file(self, group: Group, number: int, article: bytes, now: int) -> None:
        place = f"{self._place(group.name)}/{number}"
        self._system.write_file(place + _UNFINISHED, article, durable=True)
        self._files.rename(place + _UNFINISHED, place + _ARTICLE)
        self._files.flush(place + _ARTICLE)  # the name, on a file system that does not journal it
        overview = nntp_article.overview_of(number, article)
        group.high = max(group.high, number)
        group.articles[number] = overview
        group.arrived[number] = now
        self._known.setdefault(overview.message_id, (group.name, number))
        self._append_subject(group, overview)

    def _append_subject(self, group: Group, overview: Overview) -> None:
        """Not flushed, and a failure is no reason to refuse an article that is filed: `load` makes the file anew."""
        path = self._subjects(group, overview.number)
        try:
            if self._files.stat(path) is None:
                self._files.create(path)
            self._files.append(path, f"{overview.line()}\r\n".encode("latin-1", "replace"))
        except FileSystemError as error:
            self._system.event_log.record("nntpsvc", 4001, "warning", f"{path} could not be written: {error}")

    def _subjects(self, group: Group, number: int) -> str:
        first = (number - 1) // ARTICLES_A_FILE * ARTICLES_A_FILE + 1
        return f"{self._place(group.name)}/{first}{_SUBJECTS}"

    def _write_subjects(self, group: Group) -> None:
        texts: dict[str, list[str]] = {}
        for number, overview in group.articles.items():
            texts.setdefault(self._subjects(group, number), []).append(f"{overview.line()}\r\n")
        for entry in self._files.list(self._place(group.name)):
            if entry.path.lower().endswith(_SUBJECTS) and entry.path not in texts:
                self._files.remove(entry.path)
        for path, lines in texts.items():
            self._system.write_file(path, "".join(lines).encode("latin-1", "replace"))

    # --- control ----------------------------------------------------------------------------------------------------

    def cancel(self, message_id: str) -> bool:
        """Remove an article from all its groups; its numbers are not given again.

        Returns:
            Whether there was one.

        Raises:
            FileSystemError: the disk refuses.
        """
        found = self._known.get(message_id)
        if found is None:
            return False
        self.save()
        xref = self.groups[found[0]].articles[found[1]].xref
        for name, number in dict.fromkeys([found, *_references(xref)]):
            group = self.groups.get(name)
            if group is not None and number in group.articles and group.articles[number].message_id == message_id:
                self._files.remove(f"{self._place(name)}/{number}{_ARTICLE}")
                del group.articles[number], group.arrived[number]
                self._write_subjects(group)
        del self._known[message_id]
        return True

    def add_group(self, name: str) -> None:
        """Make a group; one that exists stays as it is.

        Raises:
            FileSystemError: the disk refuses.
        """
        if name not in self.groups:
            self._system.make_directories(self._place(name))
            self.groups[name] = Group(name, 0, self._system.clock())
            self._read_group(self.groups[name])
            self.save()

    def remove_group(self, name: str) -> None:
        """Remove a group and its articles.

        Raises:
            FileSystemError: the disk refuses.
        """
        group = self.groups.pop(name, None)
        if group is None:
            return
        self.save()
        for entry in self._files.list(self._place(name)):
            if not entry.directory and entry.path.lower().endswith((_ARTICLE, _SUBJECTS)):
                self._files.remove(entry.path)
        self._known = {
            overview.message_id: (other.name, number)
            for other in reversed(self.groups.values())
            for number, overview in other.articles.items()
        }

    def save(self) -> None:
        """Make the list of groups with their highest numbers durable.

        Raises:
            FileSystemError: the disk refuses; the old list is still there.
        """
        lines = [f"{group.name} {group.high} {group.created_ns}\r\n" for group in self.groups.values()]
        path = f"{self._root}/{_LIST}"
        self._system.write_file(path + _UNFINISHED, "".join(lines).encode(), durable=True)
        self._files.rename(path + _UNFINISHED, path)
        self._files.flush(path)


def _references(xref: str) -> list[tuple[str, int]]:
    """The (group, number) pairs of an Xref header."""
    pairs = [word.rpartition(":") for word in xref.split()[1:]]
    return [(name, int(number)) for name, _, number in pairs if number.isascii() and number.isdigit()]
