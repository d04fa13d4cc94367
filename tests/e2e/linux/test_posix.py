from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from bodydouble.adapters.linux import LinuxHostSettings, ScriptsSettings, open_host
from bodydouble.adapters.posix import durability, tree
from bodydouble.adapters.services import CommandService
from bodydouble.errors import FileSystemError, FilterError, IdentityError, InputError, ServiceError
from bodydouble.vocabulary.operations import CreateFile, MakeHardLink, Metadata, SetMetadata, Truncate, Write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble.ports import Host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux adapters")

NOTHING = Metadata()


def run(case: Callable[[Host], Awaitable[None]], settings: LinuxHostSettings | None = None) -> None:
    async def on_host() -> None:
        async with open_host(settings or LinuxHostSettings()) as host:
            await case(host)

    asyncio.run(on_host())


def test_special_files_are_not_listed_and_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "f").write_bytes(b"secret")
    (root / "link").symlink_to(outside)
    (root / "file-link").symlink_to(outside / "f")
    os.mkfifo(root / "fifo")

    async def case(host: Host) -> None:
        files = host.file_system
        listed = await files.list_directory(str(root))
        assert [(entry.path, entry.kind, entry.target) for entry in listed] == [
            (f"{root}/file-link", "link", f"{outside}/f"),
            (f"{root}/link", "link", str(outside)),
        ]
        assert await files.stat(f"{root}/link/f") is None
        for path in (f"{root}/link/f", f"{root}/file-link", f"{root}/fifo"):
            with pytest.raises(FileSystemError):
                await files.read(path, 0, 1)
            with pytest.raises(FileSystemError):
                await files.apply([Write(path, 0, b"x", 0)])
            with pytest.raises(FileSystemError):
                await files.apply([CreateFile(path, NOTHING, 0)])
        with pytest.raises(FileSystemError):
            await files.apply([MakeHardLink(f"{root}/inside", f"{root}/link/f")])

    run(case)
    assert (outside / "f").read_bytes() == b"secret"
    assert os.listdir(outside) == ["f"]  # noqa: PTH208 - the names are what matters


def test_name_that_is_not_text_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "fine").touch()
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff", os.O_CREAT))
    (tmp_path / "line\nbreak").touch()

    async def case(host: Host) -> None:
        assert [entry.path for entry in await host.file_system.list_directory(str(tmp_path))] == [f"{tmp_path}/fine"]

    run(case)


def test_durable_batch_syncs_each_touched_file_and_directory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    original = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 - not a path that exists as such
        original(fd)

    monkeypatch.setattr(os, "fsync", fsync)

    async def case(host: Host) -> None:
        path = f"{tmp_path}/f"
        writes = [Write(path, offset, b"x", 0) for offset in range(50)]
        await host.file_system.apply([CreateFile(path, NOTHING, 0), *writes])
        assert sorted(synced) == [str(tmp_path), path]
        synced.clear()
        await host.file_system.apply(writes)
        assert synced == [path]
        synced.clear()
        await host.file_system.apply(writes, durable=False)
        assert synced == []

    run(case)


def test_batch_over_many_files_syncs_the_volume_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volumes: list[int] = []
    monkeypatch.setattr(durability, "syncfs", volumes.append)

    async def case(host: Host) -> None:
        await host.file_system.apply([CreateFile(f"{tmp_path}/{number}", NOTHING, 0) for number in range(20)])
        assert len(volumes) == 1

    run(case)


@pytest.mark.root
def test_flush_reaches_the_volumes_that_are_mounted_beneath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, devices = tmp_path / "a volume", []
    inner.mkdir()
    monkeypatch.setattr(tree, "syncfs", lambda fd: devices.append(os.fstat(fd).st_dev))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", inner], check=True)
    try:
        volumes = [tmp_path.stat().st_dev, inner.stat().st_dev]

        async def case(host: Host) -> None:
            await host.file_system.apply([CreateFile(f"{inner}/f", NOTHING, 0)], durable=False)
            await host.file_system.flush(f"{tmp_path}")
            assert devices == volumes
            devices.clear()
            await host.file_system.flush(f"{inner}")
            assert devices == volumes[1:]

        run(case)
    finally:
        subprocess.run(["umount", inner], check=True)


def test_metadata_of_another_platform_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").touch()

    async def case(host: Host) -> None:
        with pytest.raises(FileSystemError, match="uid:gid:mode"):
            await host.file_system.apply([SetMetadata(f"{tmp_path}/f", Metadata(security=b"O:BAG:SY"))])

    run(case)


def test_mode_travels_as_owner_group_and_octal_mode(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    who = b"%d:%d:" % (os.getuid(), os.getgid())

    async def case(host: Host) -> None:
        await host.file_system.apply([SetMetadata(f"{tmp_path}/f", Metadata(security=who + b"640"))])
        entry = await host.file_system.stat(f"{tmp_path}/f")
        assert entry is not None
        assert entry.metadata.security == who + b"640"

    run(case)


def test_time_out_kills_the_whole_process_group(tmp_path: Path) -> None:
    script, child = tmp_path / "hang.sh", tmp_path / "child"
    script.write_text(f"echo started\nsleep 600 & echo $! > {child}\nwait\n")

    async def case(host: Host) -> None:
        result = await host.scripts.run(str(script), [], {}, 1.0)
        assert (result.timed_out, result.output) == (True, "started\n")

    run(case)
    status = f"/proc/{child.read_text().strip()}/stat"
    state = ""
    if os.path.exists(status):  # noqa: PTH110 - a string at hand
        with open(status) as file:  # noqa: PTH123 - likewise
            state = file.read().rpartition(")")[2].split()[0]
    assert state in ("", "Z", "X")


def test_output_is_cut_and_the_script_is_not_held_up_by_it(tmp_path: Path) -> None:
    script = tmp_path / "chatty.sh"
    script.write_text("head -c 1000000 /dev/zero | tr '\\0' x; exit 7\n")

    async def case(host: Host) -> None:
        result = await host.scripts.run(str(script), [], {}, 20.0)
        assert (result.exit_code, result.output) == (7, "x" * 65536)

    run(case)


def test_background_child_neither_holds_up_the_script_nor_is_killed(tmp_path: Path) -> None:
    script, child = tmp_path / "launch.sh", tmp_path / "child"
    script.write_text(f"sleep 30 & echo $! > {child}\necho launched\n")

    async def case(host: Host) -> None:
        result = await host.scripts.run(str(script), [], {}, 20.0)
        assert (result.exit_code, result.output, result.timed_out) == (0, "launched\n", False)

    run(case)
    os.kill(int(child.read_text()), 9)


def test_interpreter_table_selects_by_suffix(tmp_path: Path) -> None:
    script = tmp_path / "POSTOVER.BAT"
    script.write_text("net start\n")

    async def case(host: Host) -> None:
        result = await host.scripts.run(str(script), ["SOURCE"], {}, 5.0)
        assert result.output == f"interpreted {script} SOURCE\n"

    run(case, LinuxHostSettings(scripts=ScriptsSettings(interpreters={".bat": ["/bin/echo", "interpreted"]})))


def test_service_states_come_from_the_first_word_or_the_exit_status() -> None:
    def service(name: str, query: str) -> CommandService:
        return CommandService(name=name, query=["/bin/sh", "-c", query], start=["/bin/true"], stop=["/bin/true"])

    services = [
        service("systemd", "echo inactive; exit 3"),
        service("word", "echo start-pending"),
        service("silent", "true"),
        service("dead", "exit 1"),
    ]

    async def case(host: Host) -> None:
        states = [(await host.services.query(each.name)).state for each in services]
        assert states == ["stopped", "start-pending", "running", "stopped"]

    run(case, LinuxHostSettings(services=services))


def test_service_that_does_not_start_says_why() -> None:
    broken = CommandService(
        name="broken", query=["/bin/false"], start=["/bin/sh", "-c", "echo out of order; exit 5"], stop=["/bin/true"]
    )
    lazy = CommandService(name="lazy", query=["/bin/false"], start=["/bin/true"], stop=["/bin/true"], start_timeout=0.3)

    async def case(host: Host) -> None:
        with pytest.raises(ServiceError, match="ended with 5: out of order"):
            await host.services.start("broken")
        with pytest.raises(ServiceError, match="still stopped"):
            await host.services.start("lazy")

    run(case, LinuxHostSettings(services=[broken, lazy]))


def test_host_without_a_filter_says_what_to_do(tmp_path: Path) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(FilterError, match=r'kind = "fuse"'):
            await host.file_filter.attach(str(tmp_path), lambda _operation: None)
        with pytest.raises(IdentityError, match="netbios = true"):
            await host.identity.add_name("SOURCE")
        assert (await host.identity.query()).primary_name

    run(case)


def test_interpreter_without_a_dot_is_refused() -> None:
    async def case(_host: Host) -> None:
        raise AssertionError("opened")

    with pytest.raises(InputError, match=r"host\.scripts\.interpreters"):
        run(case, LinuxHostSettings(scripts=ScriptsSettings(interpreters={"bat": ["/bin/echo"]})))


def test_cancelled_batch_is_over_before_the_next_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot be cancelled: what it still does must not mix with what follows."""
    slow, fsync = threading.Event(), os.fsync

    def waiting(fd: int) -> None:
        slow.wait(5)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", waiting)

    async def case(host: Host) -> None:
        batch = asyncio.create_task(host.file_system.apply([CreateFile(f"{tmp_path}/a", NOTHING, 0)]), name="batch")
        await asyncio.sleep(0.1)
        batch.cancel()
        await asyncio.sleep(0.1)
        assert not batch.done()
        slow.set()
        await asyncio.wait([batch])
        assert batch.cancelled()

    run(case)


def test_a_file_beyond_what_the_system_allows_is_too_large_and_not_out_of_space(tmp_path: Path) -> None:
    path, most = str(tmp_path / "f"), 64 * 1024 * 1024
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def case(host: Host) -> None:
        await host.file_system.apply([CreateFile(path, NOTHING, 0)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        for operation in (Write(path, most, b"x", 0), Truncate(path, most + 1, 0)):
            with pytest.raises(FileSystemError) as caught:
                await host.file_system.apply([operation])
            assert caught.value.code == "too_large"

    try:
        run(case)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
