"""What simulated Windows machines replicate of a file besides its bytes: live, by a mirror, and in a verification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.test_configurations import ROOT, lab_with_data

from bodydouble_sim.storage.ntfs import NtfsVolume

if TYPE_CHECKING:
    from tests.e2e.test_configurations import Box

UNIT = 64 * 1024


def drive(box: Box, letter: str = "C") -> NtfsVolume:
    volume = box.machine.volumes[letter]
    assert isinstance(volume, NtfsVolume)
    return volume


def sparse_file(volume: NtfsVolume, path: str) -> None:
    volume.create(path)
    volume.write(path, 0, b"x" * 3 * UNIT)
    volume.set_sparse(path)
    volume.write(path, 90 * UNIT, b"end")


def test_sparse_files_take_as_little_space_on_the_target() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        source, target = (drive(lab.boxes[name]) for name in "ST")
        sparse_file(source, f"{ROOT}/mirrored")
        await lab.connect("S", "T")
        await lab.settled(("S", 1))
        async with lab.watched("S", "T"):
            sparse_file(source, f"{ROOT}/live")
            for name in ("mirrored", "live"):
                source.zero(f"{ROOT}/{name}", UNIT, UNIT)
                source.write(f"{ROOT}/{name}", 40 * UNIT, b"middle")
            await lab.settled(("S", 1))
        assert lab.boxes["S"].picture(ROOT) == lab.boxes["T"].picture(ROOT)
        for name in ("mirrored", "live"):
            path = f"{ROOT}/{name}"
            assert target.allocated(path) == source.allocated(path) < 5 * UNIT
            assert target.attributes(path) == source.attributes(path)
        lab.check(at_least=8)

    lab.run(main)
