"""`HostFiles` over simulated volumes of each file system, and over real directories: the same cases."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.sim.storage.volumes import KINDS, fails, new_volume

from bodydouble_sim.live.directory_files import DirectoryFiles
from bodydouble_sim.storage.sharing import ALL, Share
from bodydouble_sim.windows.files import VolumeFiles, make_directories, write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bodydouble_sim.windows.files import HostFiles

SECOND = 1_000_000_000


@pytest.fixture(params=[*KINDS, "directory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> HostFiles:
    if request.param != "directory":
        return VolumeFiles({"C": new_volume(request.param, time.time_ns)})
    (tmp_path / "C").mkdir()
    return DirectoryFiles(tmp_path)


@pytest.fixture
def permissions(files: HostFiles) -> HostFiles:
    if files.volume("C:").file_system != "ntfs":
        pytest.skip("the file system has no permissions")
    return files


def test_bytes_come_back(files: HostFiles) -> None:
    files.mkdir("C:/d")
    files.create("C:/d/a")
    files.write("C:/d/a", 3, b"12345")
    files.append("C:/d/a", b"6")
    files.flush("C:/d/a")
    assert files.read("C:/d/a") == b"\0\0\x00123456"
    assert files.read("C:/d/a", 4, 2) == b"23"
    files.create("C:/d/a")
    assert files.read("C:/d/a") == b""


def test_names_keep_their_case_and_ignore_it(files: HostFiles) -> None:
    make_directories(files, "C:/InetPub/wwwroot")
    write_file(files, "c:/inetpub/WWWROOT/Default.htm", b"x", durable=True)
    entry = files.stat("C:/INETPUB/wwwroot/DEFAULT.HTM")
    assert entry is not None
    assert entry.path == "C:/InetPub/wwwroot/Default.htm"
    assert [each.path.rpartition("/")[2] for each in files.list("C:/inetpub/wwwroot")] == ["Default.htm"]


def test_errors_have_their_codes(files: HostFiles) -> None:
    files.mkdir("C:/d")
    files.create("C:/d/f")
    refused: list[tuple[str, Callable[[], object]]] = [
        ("not_found", lambda: files.read("C:/none")),
        ("not_found", lambda: files.write("C:/none", 0, b"")),
        ("not_found", lambda: files.create("C:/none/f")),
        ("not_found", lambda: files.list("C:/d/f")),
        ("not_found", lambda: files.remove("C:/none")),
        ("not_found", lambda: files.rename("C:/none", "C:/a")),
        ("not_found", lambda: files.attributes("C:/none")),
        ("not_found", lambda: files.short_name("C:/none")),
        ("not_found", lambda: files.hold("C:/none", share=ALL)),
        ("not_found", lambda: files.volume("Q:/x")),
        ("exists", lambda: files.mkdir("C:/d")),
        ("exists", lambda: files.create("C:/d")),
        ("not_empty", lambda: files.rmdir("C:/d")),
        ("denied", lambda: files.create("C:/" + "x" * 256)),
    ]
    for code, call in refused:
        fails(code, call)
    assert files.stat("C:/none") is None
    assert files.stat("Q:/x") is None


def test_a_rename_replaces_a_file(files: HostFiles) -> None:
    write_file(files, "C:/old", b"old")
    write_file(files, "C:/new", b"new")
    files.rename("C:/new", "C:/OLD")
    assert files.read("C:/old") == b"new"
    assert files.stat("C:/new") is None
    files.rename("C:/old", "C:/Old")
    assert files.read("C:/old") == b"new"


@pytest.mark.behaviour("Microsoft: File Attribute Constants")
def test_attributes_are_kept_through_a_rename_and_go_with_the_file(files: HostFiles) -> None:
    files.create("C:/a")
    assert files.attributes("C:/a") == 32
    files.set_attributes("C:/a", 2 | 4)
    files.rename("C:/a", "C:/b")
    assert files.attributes("C:/b") == 6
    files.remove("C:/b")
    files.create("C:/b")
    assert files.attributes("C:/b") == 32
    files.mkdir("C:/d")
    assert files.attributes("C:/d") == 0


@pytest.mark.behaviour("Microsoft: File Attribute Constants (READONLY)")
def test_read_only_files_stay_as_they_are(files: HostFiles) -> None:
    write_file(files, "C:/a", b"1")
    write_file(files, "C:/b", b"2")
    files.set_attributes("C:/a", 1)
    refused: list[Callable[[], None]] = [
        lambda: files.write("C:/a", 0, b"x"),
        lambda: files.create("C:/a"),
        lambda: files.remove("C:/a"),
        lambda: files.rename("C:/b", "C:/a"),
    ]
    for call in refused:
        fails("denied", call)
    files.set_attributes("C:/a", 0)
    files.remove("C:/a")


def test_times_are_set(files: HostFiles) -> None:
    files.create("C:/a")
    files.set_times("C:/a", 1_038_819_600 * SECOND)
    entry = files.stat("C:/a")
    assert entry is not None
    assert entry.mtime_ns == 1_038_819_600 * SECOND


@pytest.mark.behaviour("KB 142982")
def test_a_long_name_is_found_by_its_alias(files: HostFiles) -> None:
    files.mkdir("C:/Program Files")
    write_file(files, "C:/Program Files/long name.html", b"x")
    assert files.short_name("C:/Program Files") == "PROGRA~1"
    assert files.short_name("C:/program files/LONG NAME.HTML") == "LONGNA~1.HTM"
    assert files.read("C:/progra~1/longna~1.htm") == b"x"


def test_a_drive_tells_what_it_is(files: HostFiles) -> None:
    found = files.volume("C:/any")
    assert found.file_system in ("ntfs", "fat32", "fat16")
    assert 0 < found.free <= found.capacity
    assert 0 < found.serial < 1 << 32
    assert files.drives() == ["C"]


@pytest.mark.behaviour("Microsoft: CreateFile, dwShareMode")
def test_a_handle_keeps_others_out_until_it_is_released(files: HostFiles) -> None:
    write_file(files, "C:/a", b"1")
    write_file(files, "C:/b", b"2")
    hold = files.hold("C:/A", share=Share.READ)
    assert files.read("C:/a") == b"1"
    refused: list[Callable[[], object]] = [
        lambda: files.append("C:/a", b"x"),
        lambda: files.create("C:/a"),
        lambda: files.remove("C:/a"),
        lambda: files.rename("C:/a", "C:/c"),
        lambda: files.rename("C:/b", "C:/a"),
        lambda: files.hold("C:/a", share=ALL, uses=Share.WRITE),
    ]
    for call in refused:
        fails("sharing", call)
    hold.release()
    files.append("C:/a", b"x")


def test_a_handle_may_keep_readers_out(files: HostFiles) -> None:
    write_file(files, "C:/a", b"1")
    hold = files.hold("C:/a", share=Share.NONE)
    fails("sharing", lambda: files.read("C:/a"))
    hold.release()
    assert files.read("C:/a") == b"1"


@pytest.mark.behaviour("reference: File systems, permissions")
def test_permissions_decide_who_gets_in(permissions: HostFiles) -> None:
    permissions.mkdir("C:/d")
    permissions.create("C:/d/a")
    assert permissions.access("C:/d/a", "Guest", ["Guests"], "write")
    permissions.set_security("C:/d/a", b"O:BAD:(A;;FR;;;IUSR_SOURCE)(A;;FA;;;BA)")
    permissions.set_security("C:/d", b"O:BAD:(A;OICI;FA;;;BA)")
    assert permissions.security("C:/d/a") == b"O:BAD:(A;;FR;;;IUSR_SOURCE)(A;;FA;;;BA)"
    assert permissions.access("C:/d/a", "IUSR_SOURCE", [], "read")
    assert not permissions.access("C:/d/a", "IUSR_SOURCE", [], "write")
    assert not permissions.access("C:/d/a", "Guest", ["Guests"], "read")
    assert permissions.access("C:/d/a", "Operator", ["Administrators"], "delete")
    assert permissions.access("C:/d/a", None, [], "write")


@pytest.mark.behaviour("Microsoft: Naming Files, Paths, and Namespaces (trailing dots and spaces)")
def test_trailing_dots_and_spaces_are_dropped(files: HostFiles) -> None:
    files.mkdir("C:/dir. ")
    write_file(files, "C:/dir/page.htm. .", b"x")
    assert [each.path for each in files.list("C:/dir")] == ["C:/dir/page.htm"]
    assert files.read("C:/dir./page.htm") == b"x"


@pytest.mark.behaviour("Microsoft: Naming Files, Paths, and Namespaces (reserved names)")
def test_nul_is_in_every_directory_and_swallows_everything(files: HostFiles) -> None:
    files.mkdir("C:/d")
    assert files.stat("C:/d/nul") is not None
    assert files.stat("C:/none/nul") is None
    write_file(files, "C:/d/NUL.txt", b"gone", durable=True)
    assert files.read("C:/d/nul") == b""
    assert files.list("C:/d") == []


@pytest.mark.behaviour("Microsoft: Naming Files, Paths, and Namespaces (reserved names)")
@pytest.mark.parametrize("name", ["con", "COM1.log", "lpt1", "aux.h"])
def test_no_file_has_the_name_of_a_device(files: HostFiles, name: str) -> None:
    files.create("C:/a")
    for call in (
        lambda: files.create(f"C:/{name}"),
        lambda: files.mkdir(f"C:/{name}"),
        lambda: files.rename("C:/a", f"C:/{name}"),
        lambda: files.remove(f"C:/{name}"),
    ):
        fails("denied", call)


@pytest.mark.behaviour("Microsoft: Maximum Path Length Limitation (MAX_PATH 260; 248 for a directory)")
def test_a_path_has_at_most_259_characters_and_a_new_directory_247(files: HostFiles) -> None:
    directory = "C:/" + "d" * 100 + "/" + "e" * (247 - 3 - 100 - 1)
    assert len(directory) == 247
    make_directories(files, directory)
    fails("denied", lambda: files.mkdir(directory[:-1] + "xx"))
    files.create(f"{directory}/{'f' * 11}")
    fails("denied", lambda: files.create(f"{directory}/{'f' * 12}"))
    assert files.stat(f"{directory}/{'f' * 12}") is None


def test_a_rename_stays_on_its_drive(tmp_path: Path) -> None:
    both = {letter: new_volume("ntfs 5", time.time_ns) for letter in "C"}
    files = VolumeFiles(both)
    files.create("C:/a")
    fails("not_found", lambda: files.rename("C:/a", "D:/a"))
    (tmp_path / "C").mkdir()
    fails("denied", lambda: DirectoryFiles(tmp_path).create("C:/a:stream"))
