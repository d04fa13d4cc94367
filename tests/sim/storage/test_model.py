"""Every file system against a plain dict, over sequences of calls that Hypothesis draws."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.sim.storage.volumes import KINDS, Clock, new_volume

from bodydouble.errors import FileSystemError

ROOTS = ("C:", "C:/dir", "C:/dir/sub", "C:/other long directory")
FILES = ("a", "A.TXT", "b.txt", "long name one", "long name two", "Straße")


def upper(path: str) -> str:
    """In upper case but for the sharp s, which has none on a volume."""
    return path.replace("ß", "\0").upper().replace("\0", "ß")


paths = st.builds(lambda root, name: f"{root}/{name}", st.sampled_from(ROOTS), st.sampled_from(FILES))
any_case = st.builds(lambda path, raised: upper(path) if raised else path, paths, st.booleans())
directories = st.sampled_from(ROOTS[1:])
chunks = st.builds(
    lambda byte, size: bytes([byte]) * size, st.integers(1, 255), st.sampled_from([0, 1, 700, 4096, 9000])
)
offsets = st.sampled_from([0, 1, 600, 4096, 20_000])

Model = dict[str, bytes | None]
"""Paths as they were created; the bytes of a file, None for a directory."""


def parent(path: str) -> str:
    return path.rpartition("/")[0]


class VolumeAgainstDict(RuleBasedStateMachine):
    """The same calls on a volume and on a dict: same answers, same tree, same space."""

    @initialize(kind=st.sampled_from(KINDS))
    def make(self, kind: str) -> None:
        self.volume = new_volume(kind, Clock())
        self.model: Model = {}

    # --- the model --------------------------------------------------------------------------------------------------

    def known(self, path: str) -> str | None:
        return next((known for known in self.model if upper(known) == upper(path)), None)

    def is_directory(self, path: str) -> bool:
        known = self.known(path)
        return upper(path) == "C:" or (known is not None and self.model[known] is None)

    def data(self, path: str) -> bytes | None:
        known = self.known(path)
        return None if known is None else self.model[known]

    def below(self, path: str) -> list[str]:
        return [known for known in self.model if upper(known).startswith(upper(path) + "/")]

    def spelled(self, path: str) -> str:
        return f"{self.known(parent(path)) or parent(path)}/{path.rpartition('/')[2]}"

    def check(self, call: str, *arguments: object, allowed: bool) -> bool:
        try:
            getattr(self.volume, call)(*arguments)
        except FileSystemError:
            done = False
        else:
            done = True
        assert done == allowed, f"{call}{arguments} should have been {'done' if allowed else 'refused'}"
        return done

    # --- calls ------------------------------------------------------------------------------------------------------

    @rule(path=any_case)
    def create(self, path: str) -> None:
        allowed = self.is_directory(parent(path)) and not self.is_directory(path)
        if self.check("create", path, allowed=allowed):
            self.model[self.known(path) or self.spelled(path)] = b""

    @rule(path=any_case, offset=offsets, data=chunks)
    def write(self, path: str, offset: int, data: bytes) -> None:
        known, old = self.known(path), self.data(path)
        if self.check("write", path, offset, data, allowed=old is not None):
            assert known is not None
            assert old is not None
            if data:
                self.model[known] = old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :]

    @rule(path=any_case, data=chunks)
    def append(self, path: str, data: bytes) -> None:
        known, old = self.known(path), self.data(path)
        if self.check("append", path, data, allowed=old is not None):
            assert known is not None
            assert old is not None
            self.model[known] = old + data

    @rule(path=any_case, size=offsets)
    def truncate(self, path: str, size: int) -> None:
        known, old = self.known(path), self.data(path)
        if self.check("truncate", path, size, allowed=old is not None):
            assert known is not None
            assert old is not None
            self.model[known] = old[:size].ljust(size, b"\0")

    @rule(path=any_case)
    def remove(self, path: str) -> None:
        known = self.known(path)
        if self.check("remove", path, allowed=self.data(path) is not None):
            assert known is not None
            del self.model[known]

    @rule(path=directories)
    def mkdir(self, path: str) -> None:
        if self.check("mkdir", path, allowed=self.is_directory(parent(path)) and self.known(path) is None):
            self.model[self.spelled(path)] = None

    @rule(path=directories)
    def rmdir(self, path: str) -> None:
        known = self.known(path)
        if self.check("rmdir", path, allowed=self.is_directory(path) and not self.below(path)):
            assert known is not None
            del self.model[known]

    @rule(path=any_case | directories, new=any_case | directories)
    def rename(self, path: str, new: str) -> None:
        known, other = self.known(path), self.known(new)
        allowed = known is not None and self.is_directory(parent(new))
        allowed = (allowed and not (upper(new) + "/").startswith(upper(path) + "/")) or (allowed and known == other)
        if allowed and known is not None and other is not None and other != known:
            same_kind = (self.model[known] is None) == (self.model[other] is None)
            allowed = same_kind and not self.below(new)
        if known is not None and self.model[known] is None and upper(parent(new)).startswith(upper(known)):
            allowed = allowed and not f"{upper(parent(new))}/".startswith(f"{upper(known)}/")
        if self.check("rename", path, new, allowed=allowed):
            assert known is not None
            if other is not None and other != known:
                del self.model[other]
            target = self.spelled(new)
            moved = {target + each[len(known) :]: self.model.pop(each) for each in [known, *self.below(known)]}
            self.model.update(moved)

    @rule(path=paths)
    def alias(self, path: str) -> None:
        known = self.known(path)
        if known is None:
            return
        short = self.volume.short_name(path)
        found = self.volume.stat(f"{parent(path)}/{short}")
        assert found is not None
        assert found.path == known
        assert len(short.partition(".")[0]) <= 8 or short == known.rpartition("/")[2]

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def the_tree_is_the_models(self) -> None:
        found = {
            entry.path: entry
            for root in ["C:", *self.model]
            if self.is_directory(root)
            for entry in self.volume.list(root)
        }
        assert sorted(found) == sorted(self.model)
        for path, data in self.model.items():
            assert found[path].directory == (data is None)
            assert found[path].size == len(data or b"")
            if data is not None:
                assert self.volume.read(path) == data

    @invariant()
    def the_space_is_what_the_files_take(self) -> None:
        cluster = self.volume.cluster
        taken = sum(-(-len(data or b"") // cluster) * cluster for data in self.model.values())
        assert self.volume.free_space() == self.volume.capacity - taken


VolumeAgainstDict.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestVolumeAgainstDict = VolumeAgainstDict.TestCase
