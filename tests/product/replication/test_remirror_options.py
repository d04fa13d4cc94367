"""What follows by itself: remirrors of each kind or none, compatibility, mirrors' scripts; and stopping replication."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, same, until

from bodydouble.errors import ConnectionStateError
from bodydouble.replication.mirror_control import options_of
from bodydouble.replication.standing import heard
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mirror import AS_CONNECTED, MirrorOrder
from bodydouble.vocabulary.operations import Write
from bodydouble.vocabulary.records import ConnectRequest, MirrorScripts, ScriptResult

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def pair(**settings: Any) -> tuple[Site, Site]:
    source, target = Site("WEB1", **settings), Site("WEB2")
    source.mkdir(ROOT)
    for number in range(5):
        source.put(f"{ROOT}/{number}", b"x" * 100)
    return source, target


@pytest.mark.parametrize(
    ("fields", "order", "automatic", "kind"),
    [
        ({}, AS_CONNECTED, True, "difference"),
        ({"mirror": "full"}, AS_CONNECTED, True, "full"),
        ({"mirror": "full", "remirror": "checksum"}, AS_CONNECTED, True, "checksum"),
        ({"mirror": "full", "remirror": "checksum"}, AS_CONNECTED, False, "full"),
        ({"mirror": "full", "remirror": "difference"}, MirrorOrder(kind="checksum"), True, "checksum"),
    ],
)
def test_a_remirror_that_nobody_ordered_has_a_kind_of_its_own(
    fields: dict[str, Any], order: MirrorOrder, automatic: bool, kind: str
) -> None:
    request = ConnectRequest("web", "t", **fields)
    assert options_of(request, order, trusted=True, automatic=automatic).kind == kind


def test_the_options_are_shown_as_double_take_names_them() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port, remirror="checksum", recognise_restore=False)
            status = source.service.connections()[0]
            assert (status.auto_remirror, status.compatibility) == ("checksum", "4.1")
            await protect(source, target.service.port, remirror_after_reconnect=False)
            status = source.service.connections()[0]
            assert (status.auto_remirror, status.compatibility) == ("none", "4.2")

    run(scenario())


def test_after_a_restart_the_automatic_remirror_is_of_its_own_kind() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port, mirror="difference", remirror="full")
            await mirrored(source, target)
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            target.volume.applied.clear()
            await source.stop()
            await source.start()
            await until(lambda: source.state() == "replicating")
            written = [each.path for each in target.volume.applied if type(each).__name__ == "Write"]
            assert len(written) == 5, "a mirror of differences would have sent nothing"

    run(scenario())


@pytest.mark.parametrize(("remirror", "found"), [("difference", False), ("checksum", True)])
def test_what_nobody_recorded_and_changed_neither_size_nor_time_is_found_by_checksum_only(
    remirror: str, found: bool
) -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port, remirror=remirror)
            await mirrored(source, target)
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            await source.stop()
            before = source.volume.get(f"{ROOT}/0")
            assert before is not None
            source.volume.change(Write(f"{ROOT}/0", 0, b"y", before.mtime))
            await source.start()
            await until(lambda: source.state() == "replicating")
            assert same(source, target) == found
            started = [event.text for event in source.events.after(0) if event.code == EventCode.MIRROR_STARTED][-1]
            assert ("checksum" if found else "equal size and time of last write") in started

    run(scenario())


# --- stopping -------------------------------------------------------------------------------------------------------


def test_stopped_replication_sends_what_is_queued_and_waits_for_a_mirror() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            orders = source.service.orders
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.put(f"{ROOT}/queued", b"before the order")
            assert (await orders.order_replication(1, running=False)).replication_stopped
            source.put(f"{ROOT}/after", b"after the order")
            await until(lambda: source.state() == "mirror-required")
            assert target.volume.get(f"{ROOT}/queued") is not None
            assert target.volume.get(f"{ROOT}/after") is None
            assert source.volume.sinks == [], "nobody listens to applications"
            assert EventCode.REPLICATION_STOPPED in source.codes()
            assert EventCode.QUEUE_EXHAUSTED not in source.codes()
            with pytest.raises(ConnectionStateError, match="stopped already"):
                await orders.order_replication(1, running=False)
            await orders.order_replication(1, running=True)
            await mirrored(source, target)
            assert not source.service.connections()[0].replication_stopped
            with pytest.raises(ConnectionStateError, match="not stopped"):
                await orders.order_replication(1, running=True)

    run(scenario())


def test_stopped_replication_stays_stopped_over_a_restart() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.orders.order_replication(1, running=False)
            await source.stop()
            await source.start()
            source.put(f"{ROOT}/later", b"while it is stopped")
            await until(lambda: source.state() == "mirror-required")
            assert target.volume.get(f"{ROOT}/later") is None
            await source.service.start_mirror(1)
            await mirrored(source, target)
            assert same(source, target)

    run(scenario())


# --- scripts --------------------------------------------------------------------------------------------------------


@dataclass
class Scripts:
    """Notes what is run, and lets a test hold it back."""

    ran: list[tuple[str, list[str]]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109
    ) -> ScriptResult:
        assert environment["BODYDOUBLE_TASK_ID"]
        assert timeout
        self.ran.append((path, list(arguments)))
        await self.gate.wait()
        return ScriptResult(0, "done")


def test_scripts_run_at_a_mirrors_start_stop_and_end_and_hold_nothing_up() -> None:
    async def scenario() -> None:
        source, target = pair(task_directory="/tasks")
        scripts = Scripts()
        source.host = replace(source.host, scripts=scripts)
        source.mkdir("/tasks")
        for name in ("began", "ended", "broken"):
            source.put(f"/tasks/{name}", b"")
        async with running(source, target):
            chosen = MirrorScripts(start="began", stop="broken", complete="ended")
            await protect(source, target.service.port, scripts=chosen)
            await mirrored(source, target)
            await until(lambda: len(scripts.ran) == 2)
            assert scripts.ran == [("/tasks/began", ["web", "127.0.0.1"]), ("/tasks/ended", ["web", "127.0.0.1"])]
            scripts.gate.set()
            await until(lambda: source.codes().count(EventCode.TASK_ENDED) == 2)
            for number in range(200):
                source.put(f"{ROOT}/more-{number}", b"y" * 10)
            await source.service.start_mirror(1)
            await source.service.orders.order_mirror(1, "stop")
            await until(lambda: ("/tasks/broken", ["web", "127.0.0.1"]) in scripts.ran)

    run(scenario())


def test_a_script_that_this_machine_does_not_offer_is_an_event_and_the_mirror_goes_on() -> None:
    async def scenario() -> None:
        source, target = pair()
        async with running(source, target):
            await protect(source, target.service.port, scripts=MirrorScripts(start="../etc/evil"))
            await mirrored(source, target)
            await until(lambda: EventCode.TASK_REFUSED in source.codes())

    run(scenario())


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [
        ("ok", "queue-full", EventCode.TARGET_QUEUE_FULL),
        ("queue-full", "queue-full", None),
        ("ok", "paused", EventCode.TARGET_PAUSED),
        ("paused", "paused", None),
        ("paused", "ok", EventCode.TARGET_RESUMED),
        ("mirroring", "ok", None),
    ],
)
def test_a_source_tells_what_is_new_on_the_targets_side(before: Any, now: Any, code: EventCode | None) -> None:
    told = heard(before, now)
    assert (told and told[0]) == code
