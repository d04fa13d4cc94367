r"""Clients read and write ``\\SOURCE\pages`` at the source, at its stand-in, and at the source again.

The machines are simulated, with the Server service and the redirector's sessions over their network; the product is the
real one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e.standing_in import OWN_SHARE, Server, Story, _fail_back, _go_on

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.shares import Share
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.file_sharing import NetworkPathError

if TYPE_CHECKING:
    from bodydouble.daemon import Daemon
    from bodydouble.vocabulary.records import MonitorStatus

SHARE = r"\\SOURCE\pages"
PAGE = rf"{SHARE}\page.txt"
CLIENTS_PATIENCE = 60.0


class FileClients(Story):
    """As `Story`, with a client of the source's shares.

    Args:
        in_the_way: what the target shares by the name of the source's share, empty: nothing.
    """

    def __init__(self, in_the_way: str = "") -> None:
        super().__init__()
        self.in_the_way = in_the_way
        self.client = Server(self.world, "CLIENT", ["10.0.0.50"])

    async def _play(self) -> None:
        await self._begin()
        await self._use(b"a page", b"written at the source")
        await self._fail_over()
        await self._use(b"written at the source", b"written at the stand-in")
        await self.target.perform(_fail_back, lambda: self.target.state in ("failing-back", "failed-back"))
        await self._until(lambda: self.target.state == "failed-back")
        await self._bring_source_back()
        await self.target.perform(_go_on, lambda: self.target.state == "monitoring")
        await self._restore()
        assert self.target.shared == ["own"]
        await self._use(b"written at the stand-in", b"written at the source again")
        assert self.source.windows.volumes["C"].read("C:/Data/page.txt") == b"written at the source again"

    async def _begin(self) -> None:
        for server in (self.source, self.target, self.client):
            await server.install()
            server.windows.system.accounts.add("carol", "secret")
            server.windows.system.registry.flush()
        if self.in_the_way:
            self.target.share(Share("Pages", self.in_the_way))
        await self._protect()

    async def _fail_over(self) -> None:
        await self._until(self._replicated)
        self.source.windows.power_off()
        self.source.daemon = None
        await self._until(lambda: self.target.state == "failed-over")

    def _replicated(self) -> bool:
        return self.target.windows.volumes["C"].read("C:/Data/page.txt") == b"written at the source"

    async def _use(self, expected: bytes, new: bytes) -> None:
        async with asyncio.timeout(CLIENTS_PATIENCE):
            while not await self.client.windows.perform(self._used(expected, new), name="carol"):  # noqa: ASYNC110
                await asyncio.sleep(0.5)

    async def _used(self, expected: bytes, new: bytes) -> bool:
        """Read, then write; False when nobody serves it, as clients see it while one machine takes over."""
        files = self.client.windows.system.redirector
        try:
            await files.connect(SHARE, "carol", "secret")
            assert await files.read(PAGE) == expected
            await files.remove(PAGE)
            await files.create(PAGE)
            await files.write(PAGE, 0, new)
            await files.flush(PAGE)
        except NetworkPathError:
            return False
        return True

    def monitor(self) -> MonitorStatus:
        daemon = self.target.daemon
        assert daemon is not None
        return daemon.failover.monitors()[0]

    def left_out(self) -> list[str]:
        daemon: Daemon | None = self.target.daemon
        assert daemon is not None
        return [event.text for event in daemon.events.after(0) if event.code == EventCode.SHARE_LEFT_OUT]


def test_clients_find_the_sources_share_at_the_stand_in_and_afterwards_at_the_source() -> None:
    story = FileClients()
    story.run()
    assert story.left_out() == []


def test_what_the_target_shares_by_the_same_name_stays_its_own() -> None:
    class InTheWay(FileClients):
        async def _play(self) -> None:
            await self._begin()
            await self._fail_over()
            (found,) = [each for each in self.target.windows.system.shares.all() if each.name == "Pages"]
            assert found.path == "C:/Elsewhere"
            assert self.monitor().shares == []
            await self.target.perform(_fail_back, lambda: self.target.state in ("failing-back", "failed-back"))
            await self._until(lambda: self.target.state == "failed-back")
            assert self.target.shared == ["Pages", OWN_SHARE.name]

        def _replicated(self) -> bool:
            return True  # nobody wrote

    story = InTheWay("C:/Elsewhere")
    story.run()
    (text,) = story.left_out()
    assert "C:/Elsewhere" in text


def test_a_link_that_the_source_wrote_is_not_shared() -> None:
    """It would offer what the stand-in never got from the source."""

    class Lured(FileClients):
        async def _play(self) -> None:
            await self._begin()
            volume = self.source.windows.volumes["C"]
            assert isinstance(volume, NtfsVolume)
            volume.mkdir("C:/Data/link")
            self.source.share(Share("lure", "C:/Data/link"))
            await self._until(lambda: len(self.monitor().shares) == 2)
            volume.make_junction("C:/Data/link", "C:/WINNT")
            there = self.target.windows.volumes["C"]
            await self._until(lambda: getattr(there.stat("C:/Data/link"), "kind", "") != "directory")
            await self._fail_over()
            assert self.target.shared == ["own", "pages"]

        def _replicated(self) -> bool:
            return True  # nobody wrote

    story = Lured()
    story.run()
    (text,) = story.left_out()
    assert "lure" in text
    assert "but a link" in text
