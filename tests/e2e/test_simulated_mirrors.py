"""Mirrors between simulated Windows machines: orders, estimates in virtual time, orphans from one drive to another."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.e2e.test_configurations import ROOT, lab_with_data, seed_files

from bodydouble.daemon import DaemonSettings
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeStream, WriteStream
from bodydouble.vocabulary.orphans import OrphanRequest
from bodydouble.vocabulary.transmission import TransmissionOptions
from bodydouble_labs.providers import sim_host

if TYPE_CHECKING:
    import pytest
    from tests.e2e.test_configurations import Lab

    from bodydouble.vocabulary.orphans import OrphanReport
    from bodydouble.vocabulary.records import ConnectionStatus

SLOW = TransmissionOptions(bandwidth=20_000)


def figures(status: ConnectionStatus) -> tuple[Any, ...]:
    return status.mirror_state, status.mirror, status.mirror_end


async def searched(lab: Lab, action: Any) -> OrphanReport:
    async with lab.boxes["S"].talk() as client:
        report = await client.find_orphans(1, OrphanRequest(action))
        while report.state == "running":
            await asyncio.sleep(0.5)
            report = await client.orphans(1)
    await lab.until("S", lambda status: status.applied == status.generated)
    return report


def set_up(monkeypatch: pytest.MonkeyPatch, **replication: Any) -> None:
    """Settings of every simulated daemon."""
    settings = ReplicationSettings(**replication)
    monkeypatch.setattr(sim_host, "DaemonSettings", partial(DaemonSettings, replication=settings))


def slow_mirror() -> list[tuple[Any, ...]]:
    """What an operator sees of a mirror that is slow, paused for a while, and goes on."""
    lab = lab_with_data("ST")
    seen = []

    async def main() -> None:
        seed_files(lab.boxes["S"], 12)
        await lab.connect("S", "T", transmission=SLOW, calculate=True)
        seen.append(figures(await lab.until("S", lambda status: status.mirror.files_done > 3)))
        async with lab.boxes["S"].talk() as client:
            seen.append(figures(await client.order_mirror(1, "pause")))
            lab.boxes["S"].machine.put_file(f"{ROOT}/meanwhile", b"written while the mirror waits")
            await lab.until("S", lambda status: status.applied == status.generated)
            await asyncio.sleep(600)
            assert "/meanwhile" in lab.boxes["T"].picture(ROOT)
            seen.append(figures((await client.connections())[0]))
            seen.append(figures(await client.order_mirror(1, "resume")))
        await lab.settled(("S", 1))
        seen.append(figures(await lab.status("S")))
        assert lab.boxes["S"].picture(ROOT) == lab.boxes["T"].picture(ROOT)

    lab.run(main)
    return seen


def test_estimates_are_the_same_in_every_run_and_leave_out_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, mirror_window_bytes=20_000)
    first, paused, later, resumed, ended = seen = slow_mirror()
    assert seen == slow_mirror()
    assert [each[0] for each in seen] == ["running", "paused", "paused", "running", "complete"]
    assert first[1].calculated
    assert 0 < first[1].remaining < 60
    assert first[2] is not None
    assert (paused[1], later[2]) == (later[1], None)
    assert resumed[1].rate > 198_000 / 60
    assert ended[1].rate > 198_000 / 60
    assert (ended[1].files_done, ended[1].remaining) == (ended[1].files_total, 0.0)


def test_orphans_are_moved_from_one_drive_to_another_with_all_that_they_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename does not cross drives, so they are copied, and their named streams with them."""
    set_up(monkeypatch, orphan_directory="D:/Orphans")
    lab = lab_with_data("ST")

    async def main() -> None:
        target = lab.boxes["T"]
        seed_files(lab.boxes["S"])
        await lab.connect("S", "T")
        await lab.settled(("S", 1))
        target.mkdir(f"{ROOT}/old")
        target.machine.put_file(f"{ROOT}/old/page.htm", b"x" * 100_000)
        target.do(MakeStream(f"{ROOT}/old/page.htm", "note"))
        target.do(WriteStream(f"{ROOT}/old/page.htm", "note", 0, b"of its own"))
        assert (await searched(lab, "log")).totals.files == 1
        assert "/old/page.htm" in target.picture(ROOT)
        await searched(lab, "move")
        async with target.talk() as client:
            assert [event.text for event in await client.events() if event.code == EventCode.ORPHAN_STAYS] == []
        assert lab.boxes["S"].picture(ROOT) == target.picture(ROOT)
        (moved,) = [path for path, what in target.picture("D:/Orphans").items() if what[0] is not None]
        assert moved.endswith("/C/data/old/page.htm")
        assert target.picture("D:/Orphans")[moved][0] == b"x" * 100_000
        entry = target.machine.volumes["D"].stat(f"D:/Orphans{moved}")
        assert entry is not None
        assert entry.streams == (("note", 10),)

    lab.run(main)
