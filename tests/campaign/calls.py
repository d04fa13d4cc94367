"""What applications of a Linux machine do, a system call or two for each kind of operation in the vocabulary."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    PunchHole,
    RemoveDirectory,
    RemoveFile,
    RemoveStream,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    TruncateStream,
    Write,
    WriteStream,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

_NAMES = ("a", "b", "ü", "d1", "d2")
_KEEP_SIZE, _PUNCH = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)

NOT_ON_LINUX = (MakeStream, WriteStream, TruncateStream, RemoveStream)


def _path(root: Path, stream: random.Random) -> Path:
    return root.joinpath(*stream.choices(_NAMES, k=stream.choice((1, 1, 2, 2, 3))))


def _there(root: Path, stream: random.Random) -> Path:
    """Something that is there, most of the time."""
    found = [path for path in sorted(root.rglob("*")) if not path.is_symlink()]
    return stream.choice(found) if found else root / "a"


def _make_directory(root: Path, stream: random.Random) -> None:
    _path(root, stream).mkdir()


def _create(root: Path, stream: random.Random) -> None:
    """A new file, or one that is saved by way of another name."""
    path = _path(root, stream)
    if stream.random() < 0.5:
        path.open("xb").close()
        return
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(stream.randbytes(stream.choice((10, 5000, 70_000))))
    beside.replace(path)


def _write(root: Path, stream: random.Random) -> None:
    fd = os.open(_there(root, stream), os.O_WRONLY | stream.choice((0, os.O_APPEND)))
    try:
        os.pwrite(fd, stream.randbytes(stream.choice((1, 700, 40_000))), stream.choice((0, 3, 65_530, 140_000)))
    finally:
        os.close(fd)


def _truncate(root: Path, stream: random.Random) -> None:
    os.truncate(_there(root, stream), stream.choice((0, 2, 4096, 66_000)))


def _punch(root: Path, stream: random.Random) -> None:
    fd = os.open(_there(root, stream), os.O_WRONLY)
    try:
        offset, size = stream.choice((0, 4096)), stream.choice((100, 4096, 70_000))
        _libc.fallocate(fd, _PUNCH | _KEEP_SIZE, ctypes.c_long(offset), ctypes.c_long(size))
    finally:
        os.close(fd)


def _rename(root: Path, stream: random.Random) -> None:
    _there(root, stream).rename(_path(root, stream))


def _remove_file(root: Path, stream: random.Random) -> None:
    _there(root, stream).unlink()


def _remove_directory(root: Path, stream: random.Random) -> None:
    _there(root, stream).rmdir()


def _set_metadata(root: Path, stream: random.Random) -> None:
    path = _there(root, stream)
    what = stream.randrange(4)
    if what == 0:
        path.chmod(stream.choice((0o600, 0o644, 0o755)))
    elif what == 1:
        os.chown(path, stream.randrange(3), stream.randrange(3))
    elif what == 2:
        os.setxattr(path, "user.note", stream.randbytes(stream.choice((0, 5, 300))))
    else:
        os.removexattr(path, "user.note")


def _set_times(root: Path, stream: random.Random) -> None:
    os.utime(_there(root, stream), ns=(1, stream.randrange(2_000_000_000) * 1_000_000_000 + 7))


def _hard_link(root: Path, stream: random.Random) -> None:
    os.link(_there(root, stream), _path(root, stream))


def _symbolic_link(root: Path, stream: random.Random) -> None:
    _path(root, stream).symlink_to(stream.choice(("a", "/no/such", "../b")))


CALLS: dict[type[Any], Callable[[Path, random.Random], None]] = {
    MakeDirectory: _make_directory,
    CreateFile: _create,
    Write: _write,
    Truncate: _truncate,
    PunchHole: _punch,
    Rename: _rename,
    RemoveFile: _remove_file,
    RemoveDirectory: _remove_directory,
    SetMetadata: _set_metadata,
    SetTimes: _set_times,
    MakeHardLink: _hard_link,
    MakeSymbolicLink: _symbolic_link,
}
