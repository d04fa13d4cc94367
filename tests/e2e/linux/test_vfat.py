"""A real vfat volume as the target's: what it can keep is there by its own name, the rest is said and found missing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.linux.test_same_tree import equal, plant, replicate, work

from bodydouble.replication.rules import fold
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bodydouble.replication.service import ReplicationService
    from bodydouble.vocabulary.records import Event
    from bodydouble.vocabulary.verification import Difference

FAT = "\tvfat" in Path("/proc/filesystems").read_text()
pytestmark = [
    pytest.mark.root,
    pytest.mark.fuse,
    pytest.mark.program("mount", "mkfs.vfat"),
    pytest.mark.skipif(not FAT, reason="this kernel has no vfat"),
]

KINDS = ["extended attributes", "hard links", "holes", "names that differ in case only",
         "names that the volume cannot have", "permissions", "symbolic links"]  # fmt: skip
NAMELESS = ["*star", "q?", "back\\slash", "col:on", "'quote\"", "dot.", "with:colon.txt"]
PAIRS = [("Readme", "readme"), ("Ärger", "ärger"), ("saved", "SAVED")]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A directory on a vfat volume; the topmost one of a volume has no times."""
    image, volume, path = tmp_path / "vfat.img", tmp_path / "volume", tmp_path / "copy"
    with image.open("wb") as file:
        file.truncate(96 << 20)
    for each in (path, volume):
        each.mkdir()
    subprocess.run(["mkfs.vfat", "-F", "32", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop,utf8", image, volume], check=True)
    (volume / "replica").mkdir()
    subprocess.run(["mount", "--bind", volume / "replica", path], check=True)
    yield path
    for each in (path, volume):
        subprocess.run(["umount", each], check=True)


def plant_all(root: Path) -> None:
    plant(root)
    for one, other in PAIRS:
        (root / one).write_text(f"this is {one}")
        (root / other).write_text(f"this is {other}, longer")
    for directory in ("Docs", "docs"):
        (root / directory).mkdir()
        (root / directory / "same").write_text(f"inside of {directory}")
    (root / "longfilename of its own.text").write_text("long")
    (root / "LONGFI~1.TEX").write_text("the alias of the long one")
    (root / ("n" * 240)).write_text("a long name")
    (root / "dot.").write_text("a dot at the end")
    os.utime(root / "Readme", ns=(1, 1_700_000_001_999_999_999))


def change(root: Path) -> None:
    work(root)
    (root / "readme").write_text("written while Readme is there")
    (root / "readme").chmod(0o600)
    (root / "new").write_text("saved by a rename")
    (root / "new").rename(root / "SAVED")
    (root / "with:colon.txt").write_text("no such name")
    (root / "change").write_text("of its case alone")
    (root / "change").rename(root / "Change")
    (root / "Dir").mkdir()
    (root / "Dir/inside").write_text("moves along")
    (root / "Dir").rename(root / "dir")
    (root / "d2").rename(root / "D2")


def contents(root: Path) -> dict[str, str]:
    """The digests of files, by path; directories have none. What the product does not replicate is not there."""
    found: dict[str, str] = {}
    for directory, directories, files in os.walk(root):
        place = Path(directory)
        found |= {str((place / name).relative_to(root)): "" for name in directories if not (place / name).is_symlink()}
        for name in files:
            if not (place / name).is_symlink():
                digest = hashlib.sha256((place / name).read_bytes()).hexdigest()
                found[str((place / name).relative_to(root))] = digest
    return found


def lacking(root: Path, copy: Path) -> set[str]:
    """What is not there; all the rest has to be what the source has by just this name, as a judge of its own says."""
    here, there = contents(root), contents(copy)
    assert there == {path: here.get(path) for path in there}
    assert all(abs((root / path).stat().st_mtime_ns - (copy / path).stat().st_mtime_ns) < 2_000_000_000
               for path, digest in there.items() if digest and (root / path).stat().st_mtime > 315_532_800)  # fmt: skip
    return here.keys() - there.keys()


def is_without_place(path: str, there: set[str]) -> bool:
    """Whether another name has the place of this one, or of a directory above, or no name like it is possible."""
    parts = path.split("/")
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    taken = {fold(each) for each in there}
    return any(each in NAMELESS or each == "LONGFI~1.TEX" or (each not in there and fold(each) in taken)
               for each in above)  # fmt: skip


def kinds_of(events: Iterable[Event]) -> set[str]:
    """The kinds of things that were left out."""
    texts = [event.text.partition(" are not kept")[0] for event in events if event.code == EventCode.NOT_KEPT]
    return {text.rpartition(": ")[2] for text in texts}


async def verified(here: ReplicationService) -> list[Difference]:
    number = here.verify(1, VerificationOptions(checksum=True)).number
    await until(lambda: here.verifier.reports()[-1].state == "complete" and not here.verifier._running)
    return (await here.verifier.details(number)).differences


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - a condition of another machine
            await asyncio.sleep(0.02)


def test_a_vfat_volume_keeps_what_it_can_and_a_further_mirror_sends_nothing(tmp_path: Path, copy: Path) -> None:
    root = tmp_path / "source"
    plant_all(root)
    kinds: list[str] = []
    found: list[Difference] = []
    sent: list[int] = []

    async def look(here: ReplicationService, there: ReplicationService) -> None:
        kinds.extend(kinds_of([*there.context.events.after(0), *here.context.events.after(0)]))
        found.extend(await verified(here))
        await here.start_mirror(1)
        await until(lambda: equal(here))
        progress = here.connections()[0].mirror
        sent.append(progress.bytes_done - progress.bytes_skipped)

    replicate(tmp_path, lambda _copy: None, change, look=look)
    missing = lacking(root, copy)
    assert {path for path in missing if not is_without_place(path, contents(copy).keys() - missing)} == set()
    assert sorted(kinds) == KINDS
    assert {(each.path.removeprefix(f"{root}/"), each.kind) for each in found} == {
        (path, "missing") for path in missing
    }
    assert sent == [0]
