"""What a failure of the campaign says about the difference."""

from __future__ import annotations

import pytest
from tests.campaign.changes import ROOT
from tests.campaign.pictures import differences, in_words, take_picture

from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    RemoveFile,
    SetMetadata,
    SetTimes,
    Write,
    WriteStream,
)
from bodydouble_sim.storage.ntfs import NtfsVolume

FILE = f"{ROOT}/a"
BASE: list[AnyOperation] = [
    MakeDirectory(ROOT, Metadata(), 100),
    CreateFile(FILE, Metadata(), 100, 100),
    Write(FILE, 0, bytes(5000), 100),
    MakeStream(FILE, "one"),
]


def volume(*operations: AnyOperation) -> NtfsVolume:
    made = NtfsVolume("C", lambda: 0)
    made.apply([*BASE, *operations])
    return made


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (Write(FILE, 4096, b"x", 100), "a: bytes: source 5000 bytes, b'\\x00"),
        (Write(FILE, 4096, b"x", 100), "replica 5000 bytes, b'x"),
        (Write(FILE, 4096, b"x", 100), "at 4096"),
        (SetMetadata(FILE, Metadata(2)), "a: attributes: source 0, replica 2"),
        (SetTimes(FILE, 200), "a: last write: source 100, replica 200"),
        (SetTimes(FILE, 100, 300), "a: created: source 100, replica 300"),
        (WriteStream(FILE, "one", 0, b"x"), "a: streams: one: source b'', replica b'x'"),
        (MakeHardLink(f"{ROOT}/b", FILE), "a: further names: source [], replica ['C:/data/b']"),
        (RemoveFile(FILE), "a: a file, only the source has it"),
        (MakeDirectory(f"{ROOT}/d", Metadata()), "d: a directory, only the replica has it"),
        (MakeSymbolicLink(f"{ROOT}/j", "D:/", Metadata(), 1, junction=True), "j: a link, only the replica has it"),
    ],
)
def test_a_difference_is_told_with_its_path_attribute_and_both_values(operation: AnyOperation, words: str) -> None:
    source, replica = take_picture(volume(), ROOT), take_picture(volume(operation), ROOT)
    assert words in in_words(source, replica)
    assert differences(source, source) == []
