from __future__ import annotations

import asyncio
import ctypes
import errno
import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bodydouble.adapters.fuse import mounts
from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host
from bodydouble.adapters.posix.extended import ACCESS_LIST, DEFAULT_LIST
from bodydouble.errors import FilterError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeSymbolicLink,
    Rename,
    SetMetadata,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from tests.e2e.linux.conftest import Filtered

    from bodydouble.ports import Host

pytestmark = [pytest.mark.root, pytest.mark.fuse]

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def test_unlinked_open_file_keeps_working_and_reports_nothing_more(filtered: Filtered) -> None:
    def application() -> None:
        with (filtered.root / "f").open("w+b", buffering=0) as file:
            file.write(b"before")
            (filtered.root / "f").unlink()
            file.write(b"after")
            os.ftruncate(file.fileno(), 8)
            file.seek(0)
            assert file.read() == b"beforeaf"

    filtered.run_application(application)
    assert filtered.reported() == [("CreateFile", "f"), ("Write", "f"), ("RemoveFile", "f")]


def test_replaced_open_file_reports_nothing_more_under_its_old_name(filtered: Filtered) -> None:
    def application() -> None:
        (filtered.root / "new").touch()
        with (filtered.root / "f").open("wb", buffering=0) as file:
            (filtered.root / "new").rename(filtered.root / "f")
            file.write(b"into the void")

    filtered.run_application(application)
    assert filtered.reported() == [("CreateFile", "new"), ("CreateFile", "f"), ("Rename", "new")]


def test_renamed_open_file_reports_under_its_new_path(filtered: Filtered) -> None:
    def application() -> None:
        (filtered.root / "d").mkdir()
        with (filtered.root / "d/f").open("wb", buffering=0) as file:
            (filtered.root / "d/f").rename(filtered.root / "d/g")
            file.write(b"1")
            (filtered.root / "d").rename(filtered.root / "e")
            file.write(b"2")

    filtered.run_application(application)
    writes = [each for each in filtered.seen if isinstance(each, Write)]
    assert [(each.path, each.offset, each.data) for each in writes] == [
        (f"{filtered.root}/d/g", 0, b"1"),
        (f"{filtered.root}/e/g", 1, b"2"),
    ]


def test_shared_mapping_writes_are_reported(filtered: Filtered) -> None:
    def application() -> None:
        path = filtered.root / "f"
        path.write_bytes(b"." * 8192)
        # In a process of its own: a page fault served by this very process would hold its interpreter lock.
        program = (
            "import mmap,sys; f=open(sys.argv[1],'r+b'); m=mmap.mmap(f.fileno(),0); m[5000:5003]=b'abc'; m.flush()"
        )
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)

    filtered.run_application(application)
    content = bytearray(8192)
    for each in filtered.seen:
        if isinstance(each, Write):
            content[each.offset : each.offset + len(each.data)] = each.data
    assert content == b"." * 5000 + b"abc" + b"." * (8192 - 5003)
    assert mmap.PAGESIZE == 4096


def test_truncating_at_open_is_reported_as_such(filtered: Filtered) -> None:
    (filtered.root / "f").write_bytes(b"old content")

    def application() -> None:
        (filtered.root / "f").write_bytes(b"new")

    filtered.run_application(application)
    assert [type(each) for each in filtered.seen] == [Truncate, Write]
    assert (filtered.root / "f").read_bytes() == b"new"


def test_appends_carry_their_offset(filtered: Filtered) -> None:
    def application() -> None:
        for piece in (b"one", b"two"):
            with (filtered.root / "log").open("ab") as file:
                file.write(piece)

    filtered.run_application(application)
    assert [(each.offset, each.data) for each in filtered.seen if isinstance(each, Write)] == [(0, b"one"), (3, b"two")]


def test_mode_and_owner_changes_are_reported_with_their_result(filtered: Filtered) -> None:
    def application() -> None:
        (filtered.root / "f").touch(mode=0o644)
        (filtered.root / "f").chmod(0o600)
        os.chown(filtered.root / "f", 1234, 1235)

    filtered.run_application(application)
    changes = [each.metadata.security for each in filtered.seen if isinstance(each, SetMetadata)]
    assert changes == [b"0:0:600", b"1234:1235:600"]


def test_files_belong_to_who_made_them_and_permissions_hold(filtered: Filtered) -> None:
    filtered.root.chmod(0o777)
    (filtered.root / "secret").write_bytes(b"x")
    (filtered.root / "secret").chmod(0o600)
    for parent in filtered.root.parents[:4]:
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(0o755)

    def application() -> None:
        command = f"umask 027; echo x > {filtered.root}/mine; cat {filtered.root}/secret"
        done = subprocess.run(["/bin/sh", "-c", command], user=1234, group=1235, extra_groups=[], check=False, cwd="/")
        assert done.returncode != 0

    filtered.run_application(application)
    created = filtered.seen[0]
    assert isinstance(created, CreateFile)
    assert (created.path, created.metadata.security) == (f"{filtered.root}/mine", b"1234:1235:640")


def test_rename_without_replacing_is_honoured_and_exchange_refused(filtered: Filtered) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    here = -100

    def rename(old: str, new: str, flags: int) -> int:
        names = os.fsencode(filtered.root / old), os.fsencode(filtered.root / new)
        return 0 if libc.renameat2(here, names[0], here, names[1], flags) == 0 else ctypes.get_errno()

    def application() -> None:
        (filtered.root / "a").touch()
        (filtered.root / "b").touch()
        assert rename("a", "b", RENAME_NOREPLACE) == errno.EEXIST
        assert rename("a", "b", RENAME_EXCHANGE) == errno.EINVAL
        assert rename("a", "c", RENAME_NOREPLACE) == 0

    filtered.run_application(application)
    assert filtered.seen[2:] == [Rename(f"{filtered.root}/a", f"{filtered.root}/c")]


def test_what_has_no_operation_is_refused_and_not_silently_unreplicated(filtered: Filtered) -> None:
    (filtered.root / "existing-link").symlink_to("\udcff")

    def refused(action: object, *arguments: object) -> int | None:
        try:
            action(*arguments)  # type: ignore[operator]
        except OSError as error:
            return error.errno
        return 0

    def application() -> None:
        root = filtered.root
        (root / "f").touch()
        assert refused(os.symlink, b"\xff", os.fsencode(root / "g")) == errno.EINVAL
        assert refused(os.mkfifo, root / "g") == errno.EPERM
        assert refused(os.mkdir, os.fsencode(root) + b"/\xff") == errno.EINVAL
        assert refused(os.mkdir, root / "line\nbreak") == errno.EINVAL
        assert [path.name for path in root.iterdir()] == ["f"]
        assert refused(os.lstat, root / "existing-link") == errno.ENOENT

    filtered.run_application(application)
    assert filtered.reported() == [("CreateFile", "f")]


def test_a_change_is_reported_under_every_name_of_the_file(filtered: Filtered) -> None:
    root = filtered.root
    (root / "d").mkdir()
    (root / "d/known-before").touch()
    os.link(root / "d/known-before", root / "other")
    os.link(root / "other", root.parent / "outside")

    def application() -> None:
        with (root / "other").open("r+b", buffering=0) as file:
            file.write(b"1")
            os.link(root / "other", root / "third")
            (root / "d").rename(root / "e")
            file.write(b"2")
            (root / "other").unlink()
            file.write(b"3")
        (root / "third").chmod(0o600)

    filtered.run_application(application)
    writes = [(each.path.removeprefix(f"{root}/"), each.data) for each in filtered.seen if isinstance(each, Write)]
    assert writes == [
        *((name, b"1") for name in ("d/known-before", "other")),
        *((name, b"2") for name in ("e/known-before", "other", "third")),
        *((name, b"3") for name in ("e/known-before", "third")),
    ]
    assert filtered.reported()[2] == ("MakeHardLink", "third")
    assert filtered.reported()[-2:] == [("SetMetadata", "e/known-before"), ("SetMetadata", "third")]


def test_symbolic_links_are_reported_with_their_owner_and_times(filtered: Filtered) -> None:
    root = filtered.root

    def application() -> None:
        (root / "link").symlink_to("../no where\n")
        assert str((root / "link").readlink()) == "../no where\n"
        os.chown(root / "link", 1234, 1235, follow_symlinks=False)
        os.utime(root / "link", ns=(5, 7_000_000_000), follow_symlinks=False)
        os.link(root / "link", root / "again", follow_symlinks=False)
        (root / "link").rename(root / "moved")
        (root / "moved").unlink()
        assert os.lstat(root / "again").st_uid == 1234

    filtered.run_application(application)
    made = filtered.seen[0]
    assert isinstance(made, MakeSymbolicLink)
    assert (made.target, made.metadata.security) == ("../no where\n", b"0:0:777")
    assert filtered.reported() == [
        ("MakeSymbolicLink", "link"),
        ("SetMetadata", "link"),
        ("SetTimes", "link"),
        ("MakeHardLink", "again"),
        ("Rename", "link"),
        ("RemoveFile", "moved"),
    ]


def access_list(user: int, permissions: int, mask: int) -> bytes:
    """An access control list as the kernel stores it: owner rw, one user, group r, mask, others none."""
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), (2, permissions, user), (4, 4, nobody), (16, mask, nobody), (32, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_extended_attributes_are_reported_with_all_that_the_file_has(filtered: Filtered) -> None:
    def application() -> None:
        path = filtered.root / "f"
        path.touch()
        os.setxattr(path, "user.b", b"2")
        os.setxattr(path, "user.a", b"1")
        os.removexattr(path, "user.b")
        with pytest.raises(OSError, match="File exists"):
            os.setxattr(path, "user.a", b"1", os.XATTR_CREATE)
        assert (os.listxattr(path), os.getxattr(path, "user.a")) == (["user.a"], b"1")
        with pytest.raises(OSError, match="No data"):
            os.getxattr(path, "user.b")

    filtered.run_application(application)
    seen = [each.metadata.extended for each in filtered.seen if isinstance(each, SetMetadata)]
    assert seen == [(("user.b", b"2"),), (("user.a", b"1"), ("user.b", b"2")), (("user.a", b"1"),)]


def test_extended_attributes_can_be_refused(filtered: Filtered) -> None:
    async def case() -> None:
        settings = FilterSettings(kind="fuse", roots=[str(filtered.root)], extended_attributes=False)
        async with open_host(LinuxHostSettings(filter=settings)):
            await asyncio.to_thread(application)

    def application() -> None:
        path = filtered.root / "f"
        path.write_bytes(b"x")
        for name in ("user.x", ACCESS_LIST):
            with pytest.raises(OSError, match="not supported"):
                os.setxattr(path, name, access_list(1, 4, 4))

    asyncio.run(case())


def test_access_control_lists_are_enforced_handed_down_and_reported(filtered: Filtered) -> None:
    filtered.root.chmod(0o755)
    for parent in filtered.root.parents[:4]:
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(0o755)

    def application() -> None:
        secret, place = filtered.root / "secret", filtered.root / "d"
        secret.write_text("x")
        os.setxattr(secret, ACCESS_LIST, access_list(1234, 4, 4))
        assert secret.stat().st_mode & 0o777 == 0o640
        for user, status in ((1234, 0), (1235, 1)):
            done = subprocess.run(["/bin/cat", secret], user=user, group=9, extra_groups=[], check=False, cwd="/")
            assert done.returncode == status
        place.mkdir()
        os.setxattr(place, DEFAULT_LIST, access_list(1234, 6, 6))
        (place / "f").touch(mode=0o666)
        (place / "e").mkdir()

    filtered.run_application(application)
    below = {each.path.removeprefix(f"{filtered.root}/"): each for each in filtered.seen}
    made, directory = below["d/f"], below["d/e"]
    assert isinstance(made, CreateFile)
    assert isinstance(directory, MakeDirectory)
    assert dict(made.metadata.extended)[ACCESS_LIST] == access_list(1234, 6, 6)
    assert DEFAULT_LIST in dict(directory.metadata.extended)


def test_changed_program_loses_its_set_user_id_bit(filtered: Filtered) -> None:
    (filtered.root / "program").touch()
    (filtered.root / "program").chmod(0o4755)

    def application() -> None:
        with (filtered.root / "program").open("ab") as file:
            file.write(b"x")

    filtered.run_application(application)
    assert (filtered.root / "program").stat().st_mode & 0o7777 == 0o755
    last = filtered.seen[-1]
    assert isinstance(last, SetMetadata)
    assert last.metadata.security.endswith(b":755")


def test_sink_that_raises_neither_harms_the_application_nor_the_other_sinks(filtered: Filtered) -> None:
    complaints: list[str] = []

    def broken(_operation: object) -> None:
        raise RuntimeError("planted")

    async def case(host: Host) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["message"]))
        await host.file_filter.attach(str(filtered.root), broken)
        await asyncio.to_thread((filtered.root / "f").touch)

    filtered.run(case)
    assert ("CreateFile", "f") in filtered.reported()
    assert "a sink raised" in complaints[0]


def test_stopping_unmounts_even_while_a_file_is_open(filtered: Filtered) -> None:
    opened: list[int] = []

    def application() -> None:
        opened.append(os.open(filtered.root / "f", os.O_CREAT | os.O_WRONLY))
        os.write(opened[0], b"written")

    filtered.run_application(application)
    assert mounts.topmost(str(filtered.root)) is None
    assert (filtered.root / "f").read_bytes() == b"written"
    with pytest.raises(OSError, match="not connected"):
        os.write(opened[0], b"late")
    with pytest.raises(OSError, match="not connected"):
        os.close(opened[0])


def test_unmounting_behind_the_filters_back_is_noticed(filtered: Filtered) -> None:
    complaints: list[str] = []

    async def case(host: Host) -> None:
        gone = asyncio.Event()

        def complained(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            complaints.append(context["message"])
            gone.set()

        asyncio.get_running_loop().set_exception_handler(complained)
        await asyncio.to_thread(subprocess.run, ["umount", str(filtered.root)], check=True)
        await gone.wait()
        with pytest.raises(FilterError, match="not mounted"):
            await host.file_filter.attach(str(filtered.root), filtered.seen.append)

    filtered.run(case)
    assert "no longer seen" in complaints[0]


def test_missing_directory_is_refused() -> None:
    async def open_with_missing() -> None:
        async with open_host(LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=["/nowhere/at/all"]))):
            pass

    with pytest.raises(FilterError, match="No such file"):
        asyncio.run(open_with_missing())


def test_bytes_that_went_in_before_the_volume_was_full_are_reported(filtered: Filtered) -> None:
    room = 64 << 10
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(filtered.root)]
    written: list[int] = []

    def application() -> None:
        with (filtered.root / "f").open("wb", buffering=0) as file:
            written.append(file.write(bytes(2 * room)) or 0)
            with pytest.raises(OSError, match="No space"):
                file.write(b"more")

    subprocess.run(mount, check=True)
    try:
        filtered.run_application(application)
        assert (filtered.root / "f").stat().st_size == written[0]
    finally:
        subprocess.run(["umount", str(filtered.root)], check=True)
    writes = [each for each in filtered.seen if isinstance(each, Write)]
    assert 0 < sum(len(each.data) for each in writes) == written[0] < 2 * room
