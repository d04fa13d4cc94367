"""Every host body with a file server keeps what the `Shares` port promises; one without has no port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.conformance.conftest import Body, LinuxBody, WindowsBody

from bodydouble.errors import DuplicateShareError, ShareError
from bodydouble.vocabulary.shares import Share
from bodydouble_sim.windows.registry import CURRENT_VERSION
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bodydouble.ports import Host, Shares


@pytest.fixture(params=["windows 2000", "windows nt 4.0"])
def server(request: pytest.FixtureRequest) -> Iterator[Body]:
    """Bodies with a file server."""
    world = World(1)
    try:
        yield WindowsBody(world, NT_4 if request.param == "windows nt 4.0" else WINDOWS_2000)
    finally:
        world.close()


def port(host: Host) -> Shares:
    assert host.shares is not None
    return host.shares


def test_a_linux_host_has_no_file_server_that_could_be_asked(tmp_path: Path) -> None:
    """Samba's shares have their rights in its configuration: by name and path alone nobody could make the same."""

    async def case(host: Host) -> None:
        assert host.shares is None

    LinuxBody(tmp_path, fuse=False).run(case)


def test_a_share_is_listed_from_its_making_to_its_removal(server: Body) -> None:
    share = Share("Pages", server.root, "what clients read")

    async def case(host: Host) -> None:
        assert await port(host).query() == []
        await port(host).add(share)
        assert await port(host).query() == [share]
        await port(host).remove("PAGES")
        assert await port(host).query() == []

    server.run(case)


def test_administrative_shares_are_not_listed_and_not_removed(server: Body) -> None:
    async def case(host: Host) -> None:
        assert await port(host).query() == []
        for name in ("C$", "admin$", "IPC$"):
            with pytest.raises(ShareError, match="system's own"):
                await port(host).remove(name)

    server.run(case)


def test_adding_and_removing_may_be_repeated(server: Body) -> None:
    async def case(host: Host) -> None:
        for _ in range(2):
            await port(host).add(Share("pages", server.root))
        await port(host).add(Share("PAGES", server.root.upper()))
        assert [each.name for each in await port(host).query()] == ["pages"]
        for _ in range(2):
            await port(host).remove("pages")
        await port(host).remove("never was")

    server.run(case)


def test_a_name_of_another_directory_is_refused_and_stays_as_it_is(server: Body) -> None:
    mine = Share("pages", server.root, "mine")

    async def case(host: Host) -> None:
        await port(host).add(mine)
        with pytest.raises(DuplicateShareError, match=server.root):
            await port(host).add(Share("Pages", server.outside))
        with pytest.raises(DuplicateShareError):
            await port(host).add(Share("c$", server.root))
        assert await port(host).query() == [mine]

    server.run(case)


@pytest.mark.parametrize(("name", "path"), [("pages", "C:/Nowhere"), ("a/b", ""), ("x" * 81, "")])
def test_what_cannot_be_shared_is_refused(server: Body, name: str, path: str) -> None:
    async def case(host: Host) -> None:
        with pytest.raises(ShareError):
            await port(host).add(Share(name, path or server.root))
        assert await port(host).query() == []

    server.run(case)


def test_a_file_server_that_does_not_run_is_not_taken_for_one_without_shares(server: Body) -> None:
    async def case(host: Host) -> None:
        await port(host).add(Share("pages", server.root))
        await host.services.stop("LanmanServer")
        for question in (port(host).query(), port(host).add(Share("b", server.root)), port(host).remove("pages")):
            with pytest.raises(ShareError, match="not started"):
                await question
        await host.services.start("LanmanServer")
        assert [each.name for each in await port(host).query()] == ["pages"]

    server.run(case)


def test_what_was_done_survives_power_loss(server: WindowsBody) -> None:
    async def add(host: Host) -> None:
        await port(host).add(Share("pages", server.root))

    async def remove(host: Host) -> None:
        assert [each.name for each in await port(host).query()] == ["pages"]
        await port(host).remove("pages")

    async def look(host: Host) -> None:
        assert await port(host).query() == []

    for case in (add, remove, look):
        server.run(case)
        server.machine.power_off()


def test_shares_that_are_not_made_durable_are_seen(server: WindowsBody, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: another hive of the registry is flushed."""
    monkeypatch.setattr("bodydouble_sim.ports.shares.SHARES_KEY", CURRENT_VERSION)
    with pytest.raises(AssertionError):
        test_what_was_done_survives_power_loss(server)
