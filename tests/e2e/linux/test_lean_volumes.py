"""Real directories whose target's volume keeps less, and links that lead over the border of the set."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.e2e.linux.test_same_tree import plant, replicate, work

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import Rule
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bodydouble.replication.service import ReplicationService

pytestmark = [pytest.mark.root, pytest.mark.fuse, pytest.mark.program("rsync", "mount")]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A directory on a volume that keeps neither extended attributes nor holes."""
    path = tmp_path / "copy"
    path.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "ramfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def rsync(directory: Path, *options: str) -> str:
    whole = ["rsync", *options, "--delete", f"{directory}/source/", f"{directory}/copy/"]
    return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


def xattrs(root: Path) -> int:
    found = 0
    for directory, _, files in os.walk(root):
        for name in (directory, *(os.path.join(directory, each) for each in files)):  # noqa: PTH118 - many
            try:
                found += len(os.listxattr(name, follow_symlinks=False))
            except OSError:
                continue
    return found


async def verified(here: ReplicationService) -> int:
    number = here.verify(1, VerificationOptions(checksum=True)).number
    while here.verifier.reports()[-1].state != "complete":  # noqa: ASYNC110 - a condition of another machine
        await asyncio.sleep(0.02)
    return len((await here.verifier.details(number)).differences)


def test_a_volume_without_extended_attributes_and_holes_gets_everything_else(tmp_path: Path, copy: Path) -> None:
    root = tmp_path / "source"
    plant(root)
    told: list[str] = []
    found: list[int] = []

    async def look(here: ReplicationService, there: ReplicationService) -> None:
        told.extend(event.text for event in there.context.events.after(0) if event.code == EventCode.NOT_KEPT)
        found.append(await verified(here))

    replicate(tmp_path, lambda _copy: None, work, look=look)
    assert rsync(tmp_path, "-aniHc") == ""
    assert xattrs(root) > 0
    assert xattrs(copy) == 0
    assert sorted(text.split(" ", 2)[2].partition(" are not")[0] for text in told) == ["extended attributes", "holes"]
    assert found == [0]


def test_links_that_lead_over_the_border_of_the_set(tmp_path: Path) -> None:
    root, outside = tmp_path / "source", tmp_path / "outside"
    for directory in (root, outside, root / "left out"):
        directory.mkdir()
        (directory / "f").write_text(str(directory))
    os.link(outside / "f", root / "first")

    def application(root: Path) -> None:
        os.link(root / "left out/f", root / "second")
        os.link(root / "second", root / "third")
        (root / "left out/f").write_text("through the name that is left out")
        os.link(root / "first", root / "fourth")
        (root / "second").rename(root / "left out/second")
        (root / "away").symlink_to(outside)
        (root / "inside").symlink_to("left out/f")
        os.link(root / "f", root / "left out/of f")
        (root / "left out/of f").write_text("through a further name")

    found: list[int] = []

    async def look(here: ReplicationService, _there: ReplicationService) -> None:
        found.append(await verified(here))

    rules = [Rule(path=str(root / "left out"), include=False)]
    replicate(tmp_path, lambda copy: copy.mkdir(), application, rules, look)
    assert rsync(tmp_path, "-aniHAXc", "--exclude=/left out") == ""
    assert not (tmp_path / "copy/left out").exists()
    assert (tmp_path / "copy/third").read_text() == "through the name that is left out"
    assert (tmp_path / "copy/first").stat().st_ino == (tmp_path / "copy/fourth").stat().st_ino
    assert found == [0]
