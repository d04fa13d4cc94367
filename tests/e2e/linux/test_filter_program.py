"""The filter program beside the daemon: what each does when the other ends, is slow, or has several mounts."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from bodydouble.adapters.fuse import filter as filter_module
from bodydouble.adapters.fuse import mounts, program
from bodydouble.adapters.fuse.staleness import Staleness
from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host
from bodydouble.errors import FilterError, InputError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    Metadata,
    PunchHole,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.e2e.linux.conftest import Filtered

    from bodydouble.ports import Host
    from bodydouble.vocabulary.operations import AnyOperation

pytestmark = [pytest.mark.root, pytest.mark.fuse]

LEAST_RING = 16 << 20

DAEMON = textwrap.dedent(
    """
    import asyncio, sys
    from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host
    async def main():
        async with open_host(LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[sys.argv[1]]))):
            print("mounted", flush=True)
            await asyncio.Event().wait()
    asyncio.run(main())
    """
)


@contextmanager
def daemon(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon in a process of its own, and whatever it leaves behind taken away in the end."""
    command = [sys.executable, "-c", DAEMON, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mounted\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
    if mounts.topmost(str(root)) is not None:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def serving(root: Path) -> int:
    """The process of the program that serves a mount; nobody is connected to it."""
    name = mounts.served_by(str(root))
    assert name is not None
    found = program._connect(name)
    assert found is not None
    found.close()
    return found.pid


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_applications_go_on_when_the_daemon_is_killed_and_the_next_one_takes_the_mount_over(filtered: Filtered) -> None:
    with daemon(filtered.root) as first:
        before = (filtered.root / "open").open("wb", buffering=0)
        name = mounts.served_by(str(filtered.root))
        kill(first)
        before.write(b"while no daemon runs")
        (filtered.root / "kept").write_bytes(b"x")

        def application() -> None:
            assert mounts.served_by(str(filtered.root)) == name
            (filtered.root / "kept").unlink()
            before.write(b"!")

        filtered.run_application(application)
        assert [type(each) for each in filtered.seen] == [RemoveFile, Write]
        assert mounts.topmost(str(filtered.root)) is None
        assert (filtered.root / "open").read_bytes() == b"while no daemon runs!"
        with pytest.raises(OSError, match="not connected"):
            before.write(b"late")
        before.close()


def test_application_writes_through_any_number_of_crashes(filtered: Filtered) -> None:
    """Nobody waits for a daemon, and what is reported between two crashes is without a gap."""
    stop = threading.Event()
    failures: list[OSError] = []

    def application() -> None:
        number = 0
        while not stop.is_set():
            try:
                (filtered.root / "f").write_bytes(b"%d" % number)
            except OSError as error:
                failures.append(error)
            number += 1

    async def case(_host: Host) -> None:
        enough = len(filtered.seen) + 300
        while len(filtered.seen) < enough:  # noqa: ASYNC110 - another thread makes them
            await asyncio.sleep(0.005)
        stop.set()
        await asyncio.to_thread(writer.join)

    writer = threading.Thread(target=application)
    with daemon(filtered.root) as first:
        writer.start()
        kill(first)
        with daemon(filtered.root) as second:
            kill(second)
            filtered.run(case)
    assert failures == []
    numbers = [int(each.data) for each in filtered.seen if isinstance(each, Write)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_mount_of_a_program_that_was_killed_is_repaired(filtered: Filtered) -> None:
    with daemon(filtered.root) as first:
        (filtered.root / "kept").write_bytes(b"x")
        kill(first)
        os.kill(serving(filtered.root), signal.SIGKILL)
        while not mounts.is_dead(str(filtered.root)):
            pass
        with pytest.raises(OSError, match="not connected"):
            filtered.root.stat()
        filtered.run_application((filtered.root / "kept").unlink)
    assert filtered.seen == [RemoveFile(f"{filtered.root}/kept")]
    assert mounts.topmost(str(filtered.root)) is None


def run_with_a_crash(root: Path, case: Callable[[Host, list[AnyOperation], list[str]], Awaitable[None]]) -> list[str]:
    """Kill the program under a living daemon, then the case; what the event loop complained of."""
    complaints: list[str] = []
    seen: list[AnyOperation] = []
    lost: list[str] = []

    async def crash() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context["message"]))
        async with open_host(LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[str(root)]))) as host:
            await host.file_filter.attach(str(root), seen.append, lost.append)
            await asyncio.to_thread((root / "before").touch)
            os.kill(host.file_filter._program.pid, signal.SIGKILL)  # type: ignore[attr-defined]
            while not lost:  # noqa: ASYNC110 - another process ends
                await asyncio.sleep(0.001)
            await case(host, seen, lost)

    asyncio.run(crash())
    assert mounts.topmost(str(root)) is None
    return complaints


def test_program_that_crashes_is_replaced_and_what_was_recorded_is_reported_first(
    filtered: Filtered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_module, "_TOO_SOON", 0.0)
    root = filtered.root

    async def case(host: Host, seen: list[AnyOperation], lost: list[str]) -> None:
        assert [each.path for each in seen] == [f"{root}/before"]
        await host.file_filter.attach(str(root), seen.append, lost.append)
        await asyncio.to_thread((root / "after").touch)
        await host.file_filter.settled()
        assert [each.path for each in seen] == [f"{root}/before", f"{root}/after"]
        assert len(lost) == 1

    assert ["ended by itself" in each for each in run_with_a_crash(root, case)] == [True]


def test_program_that_crashes_at_once_is_not_started_again_and_again(filtered: Filtered) -> None:
    root = filtered.root

    async def case(host: Host, seen: list[AnyOperation], _lost: list[str]) -> None:
        with pytest.raises(FilterError, match="not mounted"):
            await host.file_filter.attach(str(root), seen.append)

    assert "had only just been started" in run_with_a_crash(root, case)[-1]


def test_program_with_other_settings_is_replaced(filtered: Filtered) -> None:
    with daemon(filtered.root) as first:
        kill(first)
        name = mounts.served_by(str(filtered.root))

        async def case() -> None:
            settings = FilterSettings(kind="fuse", roots=[str(filtered.root)], extended_attributes=False)
            async with open_host(LinuxHostSettings(filter=settings)):
                assert mounts.served_by(str(filtered.root)) not in (None, name)

        asyncio.run(case())
    assert mounts.topmost(str(filtered.root)) is None


def test_program_of_another_version_is_replaced(filtered: Filtered, monkeypatch: pytest.MonkeyPatch) -> None:
    greeting, start = program._HELLO, program.start

    def understood_again(*arguments: Any, **named: Any) -> program.Program:
        monkeypatch.setattr(program, "_HELLO", greeting)
        return start(*arguments, **named)

    monkeypatch.setattr(program, "start", understood_again)
    with daemon(filtered.root) as first:
        kill(first)
        old = os.pidfd_open(serving(filtered.root))
        monkeypatch.setattr(program, "_HELLO", re.compile("no such greeting"))
        filtered.run_application((filtered.root / "f").touch)
    assert select.select([old], [], [], 10)[0] == [old]
    os.close(old)
    assert filtered.reported() == [("CreateFile", "f")]


def test_program_that_is_told_to_end_while_no_daemon_is_there_takes_its_mounts_away(filtered: Filtered) -> None:
    with daemon(filtered.root) as first:
        kill(first)
        pid = os.pidfd_open(serving(filtered.root))
        signal.pidfd_send_signal(pid, signal.SIGTERM)
        select.select([pid], [], [])
        os.close(pid)
        assert mounts.topmost(str(filtered.root)) is None


def test_mount_of_a_living_daemon_is_left_alone(filtered: Filtered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_DYING_SECONDS", 0.2)
    with daemon(filtered.root):
        with pytest.raises(FilterError, match="already filters"):
            filtered.run_application(lambda: None)
        assert mounts.topmost(str(filtered.root)) == mounts.TYPE
    assert mounts.topmost(str(filtered.root)) is None


def test_full_ring_holds_no_application_up_and_is_told(filtered: Filtered) -> None:
    """The daemon does nothing for a while: its loop runs the application itself."""
    settings = FilterSettings(kind="fuse", roots=[str(filtered.root)], ring_bytes=LEAST_RING)
    seen: list[AnyOperation] = []
    lost: list[str] = []

    async def case() -> None:
        async with open_host(LinuxHostSettings(filter=settings)) as host:
            await host.file_filter.attach(str(filtered.root), seen.append, lost.append)
            (filtered.root / "f").write_bytes(bytes(2 * LEAST_RING))
            await host.file_filter.settled()
            assert len(lost) == 1
            await host.file_filter.attach(str(filtered.root), seen.append, lost.append)
            (filtered.root / "g").touch()
            await host.file_filter.settled()

    asyncio.run(case())
    assert "was full" in lost[0]
    assert seen[-1:] == [each for each in seen if each.path.endswith("/g")]
    assert not [each for each in seen if isinstance(each, Write)]
    assert (filtered.root / "f").stat().st_size == 2 * LEAST_RING


def test_ring_is_used_round_and_round(filtered: Filtered) -> None:
    settings = FilterSettings(kind="fuse", roots=[str(filtered.root)], ring_bytes=LEAST_RING)
    size, rounds = 700_001, 60
    sizes: list[int] = []

    async def case() -> None:
        async with open_host(LinuxHostSettings(filter=settings)) as host:
            await host.file_filter.attach(str(filtered.root), add)
            for number in range(rounds):
                await asyncio.to_thread((filtered.root / "f").write_bytes, bytes([number]) * size)
                await host.file_filter.settled()

    def add(operation: AnyOperation) -> None:
        if isinstance(operation, Write):
            assert set(operation.data) == {len(sizes) // -(-size // (1 << 20))}
            sizes.append(len(operation.data))

    asyncio.run(case())
    assert sum(sizes) == size * rounds > 2 * LEAST_RING


def test_several_roots_are_filtered_and_a_file_may_have_names_in_two(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        root.mkdir()
    (one / "shared").write_bytes(b"old")
    os.link(one / "shared", two / "shared too")
    seen: list[AnyOperation] = []

    def application() -> None:
        (one / "f").touch()
        with (two / "shared too").open("r+b", buffering=0) as file:
            file.write(b"new")
        os.link(two / "shared too", two / "third")
        with pytest.raises(OSError, match="cross-device"):
            (one / "f").rename(two / "f")

    async def case() -> None:
        settings = FilterSettings(kind="fuse", roots=[str(two), str(one)])
        async with open_host(LinuxHostSettings(filter=settings)) as host:
            for root in (one, two):
                await host.file_filter.attach(str(root), seen.append)
            await asyncio.to_thread(application)
            await host.file_filter.settled()
            for path in ("one/f", "two/third"):
                assert await host.file_system.stat(f"{tmp_path}/{path}") is not None

    asyncio.run(case())
    assert [(type(each), each.path.removeprefix(f"{tmp_path}/")) for each in seen] == [
        (CreateFile, "one/f"),
        (Write, "one/shared"),
        (Write, "two/shared too"),
        (MakeHardLink, "two/third"),
    ]
    assert mounts.topmost(str(one)) is mounts.topmost(str(two)) is None


@pytest.mark.parametrize("roots", [[], ["/"], ["/srv/a", "/srv/a-b", "/srv/a/c"], ["/srv/a", "/srv/a"], ["/srv"] * 65])
def test_roots_that_cannot_be_filtered_are_refused(roots: list[str]) -> None:
    async def case() -> None:
        async with open_host(LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=roots))):
            pass

    with pytest.raises(InputError, match=r"host\.filter\.roots"):
        asyncio.run(case())


def seen_by_an_application(root: Path, held: IO[bytes]) -> dict[str, object]:
    found: dict[str, object] = {str(each.relative_to(root)): each.stat().st_mode & 0o777 for each in root.rglob("*")}
    found |= {
        f"{name} reads": (root / name).read_bytes() for name in ("f", "g", "d/f", "e/f") if (root / name).exists()
    }
    return {**found, "held reads": os.pread(held.fileno(), 100, 0), "held is long": os.fstat(held.fileno()).st_size}


def work_of_the_product(root: Path) -> tuple[dict[str, object], dict[str, object]]:
    """What an application sees before and after the product has changed about everything, beneath its cached view."""
    (root / "d").mkdir()
    (root / "d/f").write_bytes(b"old")
    (root / "f").write_bytes(b"old")
    (root / "g").write_bytes(b"goes")
    looked: list[dict[str, object]] = []
    changes: list[AnyOperation] = [
        Write(f"{root}/f", 0, b"new", 1),
        SetTimes(f"{root}/f", (root / "f").stat().st_mtime_ns),
        SetMetadata(f"{root}/f", Metadata(security=b"0:0:600")),
        RemoveFile(f"{root}/g"),
        Rename(f"{root}/d", f"{root}/e"),
        CreateFile(f"{root}/h", Metadata(security=b"0:0:640"), 1),
        MakeDirectory(f"{root}/e/deep", Metadata(security=b"0:0:711")),
    ]

    async def case() -> None:
        async with open_host(LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[str(root)]))) as host:
            with await asyncio.to_thread((root / "f").open, "rb", buffering=0) as held:
                looked.append(await asyncio.to_thread(seen_by_an_application, root, held))
                await host.file_system.apply(changes, durable=False)
                looked.append(await asyncio.to_thread(seen_by_an_application, root, held))

    asyncio.run(case())
    return looked[0], looked[1]


def test_application_sees_at_once_what_the_product_changed_beneath_what_the_kernel_remembers(
    filtered: Filtered,
) -> None:
    before, after = work_of_the_product(filtered.root)
    assert (before["f"], before["held reads"], before["g"]) == (0o644, b"old", 0o644)
    assert after == {
        "f": 0o600, "f reads": b"new", "held reads": b"new", "held is long": 3,
        "e": 0o755, "e/f": 0o644, "e/f reads": b"old", "e/deep": 0o711, "h": 0o640,
    }  # fmt: skip


def test_without_being_told_the_kernel_shows_what_it_remembers(
    filtered: Filtered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Staleness, "changed", lambda _self, _operations: None)
    _, after = work_of_the_product(filtered.root)
    assert (after["f"], after["held reads"]) == (0o644, b"old")


def test_what_is_open_is_reported_under_the_name_that_the_product_has_given_it(filtered: Filtered) -> None:
    root = filtered.root
    (root / "d").mkdir()
    (root / "d/f").touch()

    async def case(host: Host) -> None:
        with await asyncio.to_thread((root / "d/f").open, "wb", buffering=0) as held:
            await host.file_system.apply([Rename(f"{root}/d", f"{root}/e")], durable=False)
            await asyncio.to_thread(held.write, b"x")

    filtered.run(case)
    assert filtered.reported()[-1] == ("Write", "e/f")


def test_file_that_gets_the_inode_of_one_that_the_product_removed_is_another_file(filtered: Filtered) -> None:
    """What is still open of the removed one reports nothing, and shows nothing of its bytes."""

    async def case(host: Host) -> None:
        for number in range(20):
            path = filtered.root / f"old{number}"
            with await asyncio.to_thread(path.open, "w+b", buffering=0) as held:
                await asyncio.to_thread(held.write, b"old")
                await host.file_system.apply([RemoveFile(str(path))], durable=False)
            new = filtered.root / f"new{number}"
            await asyncio.to_thread(new.touch)
            assert await asyncio.to_thread(new.read_bytes) == b""
            await asyncio.to_thread(new.write_bytes, b"new")
            assert await asyncio.to_thread(new.read_bytes) == b"new"

    filtered.run(case)
    writes = [(each.path.rpartition("/")[2], each.data) for each in filtered.seen if isinstance(each, Write)]
    assert writes == [(f"{kind}{number}", kind.encode()) for number in range(20) for kind in ("old", "new")]


def test_holes_and_reserved_space_are_reported_as_holes_and_lengths(filtered: Filtered) -> None:
    keep_size, punch_hole, collapse = 1, 2, 8

    def fallocate(fd: int, mode: int, offset: int, length: int) -> int:
        import ctypes  # noqa: PLC0415 - only here

        libc = ctypes.CDLL(None, use_errno=True)
        sizes = ctypes.c_int64(offset), ctypes.c_int64(length)
        return 0 if libc.fallocate(fd, mode, *sizes) == 0 else ctypes.get_errno()

    def application() -> None:
        (filtered.root / "f").write_bytes(b"x" * 20_000)
        with (filtered.root / "f").open("r+b", buffering=0) as file:
            assert fallocate(file.fileno(), punch_hole | keep_size, 8192, 4096) == 0
            assert fallocate(file.fileno(), keep_size, 0, 50_000) == 0
            assert fallocate(file.fileno(), 0, 0, 30_000) == 0
            assert fallocate(file.fileno(), punch_hole | keep_size, 40_000, 4096) == 0
            assert fallocate(file.fileno(), collapse, 0, 4096) == errno.EOPNOTSUPP

    filtered.run_application(application)
    (_, _, hole, reserved, longer, beyond) = filtered.seen
    assert isinstance(hole, PunchHole)
    assert isinstance(longer, Truncate)
    for dated in (reserved, beyond):  # nothing but the time of last write
        assert isinstance(dated, SetTimes)
    assert (hole.offset, hole.size, longer.size) == (8192, 4096, 30_000)


def test_missing_program_says_what_to_install(filtered: Filtered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "EXECUTABLE", Path("/nowhere/bodydouble-filter"))
    with pytest.raises(FilterError, match="apt-get install gcc"):
        filtered.run_application(lambda: None)


# --- the program itself ----------------------------------------------------------------------------------------------

CHANGES = textwrap.dedent(
    """
    import os, random, sys
    root, seed = sys.argv[1:]
    drawn = random.Random(int(seed))
    names = [f"{root}/{d}{n}" for d in ("", "d/", "e/") for n in "abc"]
    for _ in range(400):
        one, other = drawn.sample(names, 2)
        try:
            match drawn.randrange(12):
                case 0: os.makedirs(f"{root}/{drawn.choice('de')}", exist_ok=True)
                case 1: os.rename(one, other)
                case 2: os.unlink(one)
                case 3: os.link(one, other)
                case 4: os.symlink(other, one)
                case 5: os.truncate(one, drawn.randrange(9000))
                case 6: os.chmod(one, drawn.choice([0o600, 0o644, 0o4755]))
                case 7: os.rename(f"{root}/d", f"{root}/e")
                case 8: os.setxattr(one, "user.x", drawn.randbytes(9))
                case 9:
                    with open(one, "ab") as file: file.write(drawn.randbytes(700))
                case _:
                    with open(one, "r+b" if os.path.exists(one) else "wb", buffering=0) as file:
                        for _ in range(3):
                            os.pwrite(file.fileno(), drawn.randbytes(drawn.randrange(5000)), drawn.randrange(9000))
        except OSError:
            pass
    """
)


def replayed(tmp_path: Path, writers: int) -> str:
    """What rsync finds different after several processes changed a tree and the reports were carried out elsewhere."""
    root, copy = tmp_path / "root", tmp_path / "copy"
    root.mkdir()
    copy.mkdir()
    seen: list[AnyOperation] = []

    def application() -> None:
        commands = [[sys.executable, "-c", CHANGES, str(root), str(seed)] for seed in range(writers)]
        for process in [subprocess.Popen(command) for command in commands]:
            assert process.wait() == 0

    async def case() -> None:
        async with open_host(LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[str(root)]))) as host:
            await host.file_filter.attach(str(root), seen.append)
            await asyncio.to_thread(application)
            await host.file_filter.settled()
            for each in seen:
                await host.file_system.apply([moved(each, str(root), str(copy))], durable=False)

    asyncio.run(case())
    whole = ["rsync", "-aniHAXcO", "--delete", f"{root}/", f"{copy}/"]
    return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


def moved(operation: AnyOperation, root: str, copy: str) -> AnyOperation:
    import msgspec  # noqa: PLC0415 - only here

    named = {name: getattr(operation, name, None) for name in ("path", "new_path", "existing")}
    fields = {name: copy + path.removeprefix(root) for name, path in named.items() if path is not None}
    return msgspec.structs.replace(operation, **fields)


@pytest.mark.program("rsync")
def test_reports_of_several_writers_carried_out_in_order_give_the_same_tree(tmp_path: Path) -> None:
    assert replayed(tmp_path, 3) == ""


@pytest.mark.program("cc")
def test_program_builds_without_a_warning_and_runs_clean_under_sanitizers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "bodydouble-filter"
    flags = "-O1 -g -Werror -fsanitize=address,undefined -fno-sanitize-recover=undefined"
    build = Path(__file__).parents[3] / "product/filter/build"
    subprocess.run([build, built], check=True, env={**os.environ, "CFLAGS": flags})
    monkeypatch.setattr(program, "EXECUTABLE", built)
    monkeypatch.setenv("ASAN_OPTIONS", f"log_path={tmp_path}/said:detect_leaks=0")
    monkeypatch.setenv("UBSAN_OPTIONS", f"log_path={tmp_path}/said")
    (tmp_path / "case").mkdir()
    assert replayed(tmp_path / "case", 2) == ""
    assert [path.read_text() for path in tmp_path.glob("said*")] == []


def test_metadata_is_reported_with_what_it_became(filtered: Filtered) -> None:
    def application() -> None:
        (filtered.root / "f").touch()
        (filtered.root / "g").touch()
        (filtered.root / "f").chmod(0o4711)
        (filtered.root / "f").rename(filtered.root / "g")

    filtered.run_application(application)
    changed, renamed = filtered.seen[-2:]
    assert isinstance(changed, SetMetadata)
    assert changed.metadata.security == b"0:0:4711"
    assert renamed == Rename(f"{filtered.root}/f", f"{filtered.root}/g")
