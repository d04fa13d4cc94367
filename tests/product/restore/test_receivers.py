"""Who receives a restoration, and where: what ends *restore required* and what does not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.replication.site import ROOT, Site, request, running, until
from tests.product.restore.test_restorations import Held, complete, restore_of, stood_in

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.replication.target import TargetSession
from bodydouble.restore import service as service_module
from bodydouble.restore.homecoming import Homecoming
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mapping import PathMapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bodydouble.replication.protocol import Hello
    from bodydouble.replication.replica import Replica
    from bodydouble.vocabulary.records import RestorationStatus

NEWER = b"newer data of the stand-in"


def content(site: Site, path: str) -> bytes:
    return bytes(site.volume.nodes[path].data)


def required(target: Site) -> bool:
    return target.service.target_connections()[0].restore_required


def texts(site: Site, code: EventCode) -> list[str]:
    return [event.text for event in site.events.after(0) if event.code == code]


@asynccontextmanager
async def third_machine(name: str = "WEB3") -> AsyncIterator[Site]:
    third = Site(name)
    async with running(third):
        yield third


async def restored_to(receiver: Site, target: Site, **fields: Any) -> RestorationStatus:
    asked = {"restore_to": "127.0.0.1", "port": receiver.service.port, **fields}
    await target.restoration.restore(msgspec.structs.replace(restore_of(receiver), **asked))
    await complete(target)
    return target.restoration.restorations()[-1]


async def kept_off(source: Site) -> bool:
    """Whether the source, asking its target anew, is told to mirror nothing."""
    answers: list[bool] = []
    blocked = TargetSession._blocked

    def watched(session: TargetSession, hello: Hello, replica: Replica) -> bool:
        answers.append(blocked(session, hello, replica))
        return answers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TargetSession, "_blocked", watched)
        await source.service.connect(request(source.service.connections()[0].port))
        await until(lambda: answers)
    return answers[-1]


def test_what_another_machine_received_leaves_the_original_source_off_the_newer_replica() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        await until(lambda: source.state() == "restore-required")
        async with third_machine() as third:
            await restored_to(third, target)
            assert third.volume.picture(ROOT) == target.volume.picture(ROOT)
            assert required(target)
            assert await kept_off(source)
            assert source.state() == "restore-required"
            assert content(target, f"{ROOT}/a-first") == NEWER

    stood_in(main)


def test_a_mark_that_goes_whoever_received_the_data_is_seen_to_lose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: the original source mirrors its old data over the newer."""
    monkeypatch.setattr(Homecoming, "why_stays", "")

    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        async with third_machine() as third:
            await restored_to(third, target)
            await until(lambda: source.state() == "replicating")
            assert content(target, f"{ROOT}/a-first") == b"old"

    stood_in(main)


def test_the_result_and_the_event_say_who_received_the_data_and_what_to_do() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        async with third_machine() as third:
            begun = msgspec.structs.replace(restore_of(source), port=third.service.port)
            await target.restoration.restore(begun)
            await volume.waiting.wait()
            (status,) = target.restoration.restorations()
            assert (status.state, status.receiver) == ("running", "WEB3")
            assert status.stays_required.startswith("the data goes to WEB3, not to WEB1; ")
            volume.free.set()
            await complete(target)
            (status,) = target.restoration.restorations()
            assert status.detail == f"restore required stays: {status.stays_required}"
            assert status.detail.endswith("clear the mark: bodydouble restorations --clear WEB1 web")
            assert status.detail in texts(target, EventCode.RESTORE_COMPLETE)[-1]
            assert target.restoration.restorable()[0].required

    stood_in(main)


def test_the_original_source_is_told_by_its_pairing_and_not_by_an_address() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        status = await restored_to(source, target, restore_to="localhost")
        assert (status.receiver, status.stays_required, status.detail) == ("WEB1", "", "")
        assert not required(target)

    stood_in(main)


def test_another_place_on_the_original_source_leaves_the_mark() -> None:
    """What the source replicates is still the old data, where it had it before."""

    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        status = await restored_to(source, target, mapping=[PathMapping(ROOT, "/elsewhere")])
        assert content(source, "/elsewhere/a-first") == NEWER
        assert required(target)
        assert f"{ROOT} goes to /elsewhere on WEB1, which keeps what it has at {ROOT}" in status.stays_required
        assert await kept_off(source)
        assert content(target, f"{ROOT}/a-first") == NEWER

    stood_in(main)


@pytest.mark.parametrize("fields", [{"mapping": [PathMapping(ROOT, ROOT)]}, {"base": "/"}], ids=["map", "base"])
def test_a_mapping_to_where_the_source_had_it_is_no_other_place(fields: dict[str, Any]) -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        assert (await restored_to(source, target, **fields)).stays_required == ""
        await until(lambda: source.state() == "replicating")
        assert content(source, f"{ROOT}/a-first") == NEWER

    stood_in(main)


def test_a_set_that_nobody_stood_in_for_is_replicated_again_after_it_was_copied_to_a_third_machine() -> None:
    """The source's data is no older than what the third machine received."""

    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        await target.restoration.clear("WEB1", "web")
        await until(lambda: source.state() == "replicating")
        async with third_machine() as third:
            assert (await restored_to(third, target)).stays_required == ""
            assert not required(target)
            await until(lambda: source.state() == "replicating")
            source.put(f"{ROOT}/after", b"normal again")
            await until(lambda: target.volume.picture(ROOT).keys() >= source.volume.picture(ROOT).keys())

    stood_in(main)


@pytest.mark.parametrize("receiver", ["WEB1", "WEB3"])
def test_one_that_is_stopped_leaves_a_source_off_that_it_began_to_overwrite_and_no_other(receiver: str) -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        await target.restoration.clear("WEB1", "web")
        await until(lambda: source.state() == "replicating")
        volume.arm()
        async with third_machine() as third:
            port = source.service.port if receiver == "WEB1" else third.service.port
            begun = await target.restoration.restore(
                msgspec.structs.replace(restore_of(source), mirror="full", port=port)
            )
            await volume.waiting.wait()
            assert required(target)
            await target.restoration.stop(begun.id)
            assert required(target) == (receiver == "WEB1")

    stood_in(main)


def test_standing_in_while_a_restoration_runs_leaves_the_mark() -> None:
    """A source that fails again while it receives: clients write here again, and that does not all go there."""

    async def main(source: Site, target: Site, volume: Held) -> None:
        await target.restoration.restore(restore_of(source))
        await volume.waiting.wait()
        await target.service.standing_in.stand_in("WEB1")
        volume.free.set()
        await complete(target)
        (status,) = target.restoration.restorations()
        assert status.stays_required.startswith("this machine stood in for WEB1 meanwhile; ")
        assert required(target)
        target.stands_in = "WEB1"
        assert (await restored_to(source, target)).stays_required.startswith("this machine stood in for WEB1")
        with pytest.raises(ConnectionStateError, match="this machine stands in for WEB1: fail back first"):
            await target.restoration.clear("web1", "web")
        target.stands_in = ""
        assert (await restored_to(source, target)).stays_required == ""

    stood_in(main)


# --- the operator's order ---------------------------------------------------------------------------------------------


def test_an_operator_clears_the_mark_and_then_the_sources_own_data_counts() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        async with third_machine() as third:
            await restored_to(third, target)
            assert not (await target.restoration.clear("WEB1", "web")).required
            (said,) = [text for text in texts(target, EventCode.RESTORE_REQUIRED) if "no longer" in text]
            assert said == "WEB1: web: restore no longer required, by an operator's order: WEB1 may mirror over it"
            await until(lambda: source.state() == "replicating")
            assert content(target, f"{ROOT}/a-first") == b"old"

    stood_in(main)


def test_a_mark_that_is_cleared_stays_so_over_a_crash() -> None:
    async def main(_source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        await target.restoration.clear("web1", "web")
        await target.crash()
        await target.start()
        assert not required(target)

    stood_in(main)


def test_the_mark_is_not_cleared_while_a_restoration_runs_nor_where_there_is_none() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        await target.restoration.restore(restore_of(source))
        await volume.waiting.wait()
        with pytest.raises(ConnectionStateError, match="a restoration of 'web' is running"):
            await target.restoration.clear("WEB1", "web")
        volume.free.set()
        await complete(target)
        with pytest.raises(ConnectionStateError, match="WEB1's 'web' is not marked"):
            await target.restoration.clear("WEB1", "web")
        with pytest.raises(InputError, match="no replica of WEB9's 'web'"):
            await target.restoration.clear("WEB9", "web")

    stood_in(main)


# --- restarts ---------------------------------------------------------------------------------------------------------


def test_one_that_leaves_the_mark_is_complete_on_disk_before_anybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut begins it again, over what users do on the machine that they were told is ready."""
    shown: list[str] = []
    save = StateStore.save

    async def watched(store: StateStore, name: str, value: Any) -> None:
        if name == service_module.BOOK and value.restorations[-1].state == "complete":
            shown.append(sites[0].restoration.restorations()[-1].state)
        await save(store, name, value)

    sites: list[Site] = []
    monkeypatch.setattr(StateStore, "save", watched)

    async def main(_source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        sites.append(target)
        async with third_machine() as third:
            await restored_to(third, target)
            assert shown == ["running"]
            await target.crash()
            third.put(f"{ROOT}/order", b"an order on the third machine")
            await target.start()
            assert [each.state for each in target.restoration.restorations()] == ["complete"]
            assert content(third, f"{ROOT}/order") == b"an order on the third machine"

    stood_in(main)


# --- what could not be restored ---------------------------------------------------------------------------------------


def test_what_cannot_be_read_on_the_stand_in_leaves_the_mark() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        volume.locked = f"{ROOT}/order"
        status = await restored_to(source, target)
        assert (status.receiver, required(target), status.progress.left_out) == ("WEB1", True, 1)
        assert "1 file or directory could not be read here and did not go" in status.stays_required
        volume.locked = ""
        assert (await restored_to(source, target)).stays_required == ""
        assert not required(target)

    stood_in(main)


def test_a_root_that_is_missing_on_the_stand_in_leaves_the_mark() -> None:
    """Its volume is not mounted, perhaps: what was written to it comes back with it."""

    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        kept = {path: volume.nodes.pop(path) for path in list(volume.nodes) if path.startswith(ROOT)}
        status = await restored_to(source, target)
        assert content(source, f"{ROOT}/a-first") == b"old"
        assert (required(target), status.progress.left_out) == (True, 1)
        volume.nodes |= kept

    stood_in(main)
