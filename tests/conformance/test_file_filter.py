from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import FilterError
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetTimes,
    Truncate,
    Write,
)

if TYPE_CHECKING:
    from tests.conformance.conftest import Application, Body

    from bodydouble.ports import Host
    from bodydouble.vocabulary.operations import AnyOperation

T1 = 1_000_000_000 * 86400 * 365 * 33


async def do_a_bit_of_everything(application: Application, root: str) -> None:
    await application.mkdir(f"{root}/d")
    await application.create(f"{root}/d/f")
    await application.write(f"{root}/d/f", 0, b"hello")
    await application.write(f"{root}/d/f", 5, b" world")
    await application.truncate(f"{root}/d/f", 7)
    await application.create(f"{root}/g")
    await application.rename(f"{root}/d/f", f"{root}/g")
    await application.rename(f"{root}/d", f"{root}/e")
    await application.set_times(f"{root}/g", T1)
    await application.remove(f"{root}/g")
    await application.rmdir(f"{root}/e")


def shapes(operations: list[AnyOperation], root: str) -> list[tuple[str, ...]]:
    found = []
    for operation in operations:
        shape = [type(operation).__name__, operation.path.removeprefix(root)]
        if isinstance(operation, Rename):
            shape.append(operation.new_path.removeprefix(root))
        if isinstance(operation, Write):
            shape.append(f"{operation.offset}:{operation.data.decode()}")
        if isinstance(operation, Truncate):
            shape.append(str(operation.size))
        found.append(tuple(shape))
    return found


def test_every_change_is_reported_once_in_order_with_its_bytes(filtered: Body) -> None:
    async def case(host: Host) -> None:
        seen: list[AnyOperation] = []
        await host.file_filter.attach(filtered.root, seen.append)
        await do_a_bit_of_everything(filtered.application, filtered.root)
        await host.file_filter.settled()
        assert shapes(seen, filtered.root) == [
            (MakeDirectory.__name__, "/d"),
            (CreateFile.__name__, "/d/f"),
            (Write.__name__, "/d/f", "0:hello"),
            (Write.__name__, "/d/f", "5: world"),
            (Truncate.__name__, "/d/f", "7"),
            (CreateFile.__name__, "/g"),
            (Rename.__name__, "/d/f", "/g"),
            (Rename.__name__, "/d", "/e"),
            (SetTimes.__name__, "/g"),
            (RemoveFile.__name__, "/g"),
            (RemoveDirectory.__name__, "/e"),
        ]

    filtered.run(case)


def test_replaying_the_reports_elsewhere_makes_the_same_tree(filtered: Body) -> None:
    async def case(host: Host) -> None:
        seen: list[AnyOperation] = []
        await host.file_filter.attach(filtered.root, seen.append)
        application, root = filtered.application, filtered.root
        await application.mkdir(f"{root}/d")
        await application.create(f"{root}/d/f")
        await application.write(f"{root}/d/f", 3, b"tail")
        await application.rename(f"{root}/d", f"{root}/moved")
        await application.write(f"{root}/moved/f", 0, b"abc")
        await host.file_filter.settled()
        await host.file_system.apply([rebased(operation, root, filtered.outside) for operation in seen])
        ours = await host.file_system.stat(f"{filtered.outside}/moved/f")
        theirs = await host.file_system.stat(f"{root}/moved/f")
        assert ours is not None
        assert theirs is not None
        assert (ours.size, ours.mtime_ns, ours.metadata) == (theirs.size, theirs.mtime_ns, theirs.metadata)
        assert await host.file_system.read(f"{filtered.outside}/moved/f", 0, 100) == b"abctail"

    filtered.run(case)


def rebased(operation: AnyOperation, root: str, elsewhere: str) -> AnyOperation:
    import msgspec  # noqa: PLC0415 - only here

    changes = {"path": elsewhere + operation.path.removeprefix(root)}
    if isinstance(operation, Rename):
        changes["new_path"] = elsewhere + operation.new_path.removeprefix(root)
    return msgspec.structs.replace(operation, **changes)


def test_effect_is_visible_when_the_sink_is_called(filtered: Body) -> None:
    async def case(host: Host) -> None:
        seen: list[AnyOperation] = []
        await host.file_filter.attach(filtered.root, seen.append)
        await filtered.application.create(f"{filtered.root}/f")
        await filtered.application.write(f"{filtered.root}/f", 0, b"x")
        entry = await host.file_system.stat(f"{filtered.root}/f")
        await host.file_filter.settled()
        assert entry is not None
        last = seen[-1]
        assert isinstance(last, Write)
        assert (entry.size, entry.mtime_ns) == (1, last.mtime_ns)

    filtered.run(case)


def test_products_own_changes_are_not_reported_but_are_seen_by_applications(filtered: Body) -> None:
    async def case(host: Host) -> None:
        seen: list[AnyOperation] = []
        await host.file_filter.attach(filtered.root, seen.append)
        path = f"{filtered.root}/f"
        await host.file_system.apply([CreateFile(path, Metadata(), T1), Write(path, 0, b"product", T1)])
        assert await filtered.application.read(path) == b"product"
        await host.file_system.apply([Write(path, 0, b"PRODUCT and more", T1)])
        assert await filtered.application.read(path) == b"PRODUCT and more"
        await host.file_filter.settled()
        assert seen == []

    filtered.run(case)


def test_sink_hears_only_of_its_own_root(filtered: Body) -> None:
    async def case(host: Host) -> None:
        application, root = filtered.application, filtered.root
        await application.mkdir(f"{root}/in")
        await application.mkdir(f"{root}/inner")
        seen: list[AnyOperation] = []
        await host.file_filter.attach(f"{root}/in", seen.append)
        await application.create(f"{root}/inner/f")
        await host.file_filter.settled()
        assert seen == []
        await application.create(f"{root}/in/f")
        await host.file_filter.settled()
        assert len(seen) == 1

    filtered.run(case)


def test_rename_across_the_border_is_reported_whole(filtered: Body) -> None:
    async def case(host: Host) -> None:
        application, root = filtered.application, filtered.root
        await application.mkdir(f"{root}/in")
        await application.create(f"{root}/f")
        seen: list[AnyOperation] = []
        await host.file_filter.attach(f"{root}/in", seen.append)
        await application.rename(f"{root}/f", f"{root}/in/f")
        await application.rename(f"{root}/in/f", f"{root}/g")
        await host.file_filter.settled()
        assert seen == [Rename(f"{root}/f", f"{root}/in/f"), Rename(f"{root}/in/f", f"{root}/g")]

    filtered.run(case)


def test_rename_of_a_directory_above_the_root_is_reported_whole(filtered: Body) -> None:
    async def case(host: Host) -> None:
        application, root = filtered.application, filtered.root
        seen: list[AnyOperation] = []
        await host.file_filter.attach(f"{root}/above/in", seen.append)  # it does not exist yet
        await application.mkdir(f"{root}/new")
        await application.mkdir(f"{root}/new/in")
        await application.rename(f"{root}/new", f"{root}/above")
        await application.create(f"{root}/above/in/f")
        await application.rename(f"{root}/above", f"{root}/gone")
        await application.create(f"{root}/gone/in/f2")
        await host.file_filter.settled()
        assert shapes(seen, root) == [
            (Rename.__name__, "/new", "/above"),
            (CreateFile.__name__, "/above/in/f"),
            (Rename.__name__, "/above", "/gone"),
        ]

    filtered.run(case)


def test_detached_sink_hears_nothing_more(filtered: Body) -> None:
    async def case(host: Host) -> None:
        seen: list[AnyOperation] = []
        heard: list[AnyOperation] = []
        attachment = await host.file_filter.attach(filtered.root, seen.append)
        await host.file_filter.attach(filtered.root, heard.append)
        attachment.detach()
        attachment.detach()
        await filtered.application.create(f"{filtered.root}/f")
        await host.file_filter.settled()
        assert (len(seen), len(heard)) == (0, 1)

    filtered.run(case)


def test_root_outside_every_watched_volume_is_refused(body: Body) -> None:
    async def elsewhere(host: Host) -> None:
        with pytest.raises(FilterError):
            await host.file_filter.attach("Z:/elsewhere", lambda _operation: None)

    body.run(elsewhere)
