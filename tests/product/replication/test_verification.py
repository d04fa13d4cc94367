from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.memory import memory_host
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, running, same, until

from bodydouble.errors import ConnectionStateError, FileSystemError, InputError
from bodydouble.replication import verification as verification_module
from bodydouble.replication.touches import Touches
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeStream,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)
from bodydouble.vocabulary.verification import (
    Difference,
    VerificationOptions,
    VerificationReport,
    VerificationSchedule,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOG_ONLY = VerificationOptions()
CHECKSUM = VerificationOptions(checksum=True)
REPAIR = VerificationOptions(checksum=True, repair=True)


def seeded() -> Site:
    site = Site("WEB1")
    site.mkdir(ROOT)
    site.mkdir(f"{ROOT}/images")
    site.put(f"{ROOT}/index.htm", b"hello")
    site.put(f"{ROOT}/images/big.bin", bytes(range(256)) * 8000)
    site.put(f"{ROOT}/empty", b"")
    return site


def scenario(body: Callable[[Site, Site], Awaitable[None]], **fields: Any) -> None:
    async def main() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, **fields)
            await mirrored(source, target)
            try:
                await body(source, target)
            finally:
                target.volume.gate.set()

    asyncio.run(main())


async def verified(source: Site, options: VerificationOptions = LOG_ONLY) -> VerificationReport:
    number = source.service.verify(1, options).number
    await until(lambda: report(source, number).state not in ("running", "repairing"))
    await until(lambda: not source.service.verifier._running)
    return report(source, number)


def report(source: Site, number: int) -> VerificationReport:
    return next(each for each in source.service.verifier.reports() if each.number == number)


async def differences(source: Site, number: int) -> list[Difference]:
    return (await source.service.verifier.details(number)).differences


def test_equal_sides_have_no_difference() -> None:
    async def body(source: Site, _target: Site) -> None:
        done = await verified(source, CHECKSUM)
        assert (done.state, done.found, done.log) == ("complete", 0, "")
        assert (done.totals.files, done.totals.directories) == (3, 2)
        assert done.totals.bytes == 5 + 256 * 8000
        assert source.codes()[-2:] == [EventCode.VERIFICATION_STARTED, EventCode.VERIFICATION_COMPLETE]

    scenario(body)


def damage(target: Site) -> None:
    """What an operator can do to a target while nobody looks."""
    target.volume.change(RemoveFile(f"{ROOT}/empty"))
    target.volume.change(Write(f"{ROOT}/index.htm", 5, b" world", 7))
    target.put(f"{ROOT}/images/stray.gif", b"?")


def test_missing_different_and_orphan_files_are_told_apart() -> None:
    async def body(source: Site, target: Site) -> None:
        damage(target)
        done = await verified(source)
        totals = done.totals
        assert (totals.missing, totals.different, totals.orphans) == (1, 1, 1)
        assert await differences(source, done.number) == [
            Difference(f"{ROOT}/empty", "missing"),
            Difference(f"{ROOT}/index.htm", "different", "size 5, on the target 11, last write"),
            Difference(f"{ROOT}/images/stray.gif", "orphan"),
        ]
        assert target.volume.get(f"{ROOT}/images/stray.gif") is not None

    scenario(body, orphans="delete")


def test_log_only_changes_nothing_on_the_target() -> None:
    async def body(source: Site, target: Site) -> None:
        damage(target)
        before = target.volume.picture(ROOT)
        await verified(source, CHECKSUM)
        assert target.volume.picture(ROOT) == before

    scenario(body, orphans="delete")


def test_repair_makes_both_equal() -> None:
    async def body(source: Site, target: Site) -> None:
        damage(target)
        done = await verified(source, REPAIR)
        assert done.repaired
        await until(lambda: same(source, target))
        assert source.state() == "replicating"
        assert (await verified(source, CHECKSUM)).found == 0

    scenario(body, orphans="delete")


def test_repair_leaves_orphans_when_the_connection_keeps_them() -> None:
    async def body(source: Site, target: Site) -> None:
        damage(target)
        await verified(source, REPAIR)
        assert target.volume.get(f"{ROOT}/images/stray.gif") is not None
        assert (await verified(source)).totals.orphans == 1

    scenario(body)


def test_repair_brings_back_a_directory_with_its_inside_and_its_attributes() -> None:
    async def body(source: Site, target: Site) -> None:
        target.volume.change(RemoveFile(f"{ROOT}/images/big.bin"))
        del target.volume.nodes[f"{ROOT}/images"]
        target.volume.change(SetMetadata(ROOT, Metadata(2)))
        done = await verified(source, REPAIR)
        assert (done.totals.missing, done.totals.different) == (2, 1)
        await until(lambda: same(source, target))

    scenario(body)


@pytest.mark.parametrize("path", [f"{ROOT}/index.htm", f"{ROOT}/images/big.bin"], ids=["small", "large"])
def test_other_bytes_with_equal_size_and_time_are_seen_by_checksum_only(path: str) -> None:
    async def body(source: Site, target: Site) -> None:
        node = target.volume.get(path)
        assert node is not None
        node.data[len(node.data) // 2] ^= 1
        assert (await verified(source, LOG_ONLY)).found == 0
        done = await verified(source, CHECKSUM)
        assert done.totals.different == 1
        [found] = await differences(source, done.number)
        assert found.detail.startswith("contents")
        await verified(source, REPAIR)
        await until(lambda: same(source, target))

    scenario(body)


def test_found_differences_take_the_trust_from_sizes_and_times() -> None:
    """A later `difference` mirror must not believe that equal size and time mean equal bytes."""

    async def body(source: Site, target: Site) -> None:
        node = target.volume.get(f"{ROOT}/index.htm")
        assert node is not None
        node.data[0] ^= 1
        await verified(source, CHECKSUM)
        connection = source.service._connections[1]
        assert not connection.record.trusted

    scenario(body)


def test_newer_only_leaves_out_what_is_newer_on_the_target() -> None:
    async def body(source: Site, target: Site) -> None:
        target.volume.change(SetTimes(f"{ROOT}/index.htm", 10**18))
        target.volume.change(SetTimes(f"{ROOT}/empty", 1))
        done = await verified(source, VerificationOptions(newer_only=True))
        assert (done.totals.different, done.totals.not_newer) == (1, 1)

    scenario(body)


def test_a_file_that_became_a_directory_on_the_target_is_repaired() -> None:
    async def body(source: Site, target: Site) -> None:
        target.volume.change(RemoveFile(f"{ROOT}/empty"))
        target.volume.change(MakeDirectory(f"{ROOT}/empty", Metadata()))
        done = await verified(source, REPAIR)
        assert done.totals.different == 1
        await until(lambda: same(source, target))

    scenario(body)


async def busy(source: Site, done: Callable[[], bool]) -> None:
    """An application that writes, renames, creates and removes for as long as ``done`` is false."""
    number = 0
    while not done() or number < 60:
        number += 1
        source.put(f"{ROOT}/log-{number % 7}", b"entry %d" % number)
        source.time += 1000
        source.volume.do(Write(f"{ROOT}/index.htm", number % 90, b"%d" % number, source.time))
        if number % 5 == 0:
            source.volume.do(Rename(f"{ROOT}/images", f"{ROOT}/pictures"))
        if number % 5 == 2 and source.volume.get(f"{ROOT}/pictures"):
            source.volume.do(Rename(f"{ROOT}/pictures", f"{ROOT}/images"))
        if number % 7 == 3 and source.volume.get(f"{ROOT}/log-1"):
            source.volume.do(RemoveFile(f"{ROOT}/log-1"))
        await asyncio.sleep(0.001)


async def _busy_scenario(source: Site, _target: Site) -> None:
    number = source.service.verify(1, CHECKSUM).number
    await busy(source, lambda: report(source, number).state != "running")
    done = report(source, number)
    assert (done.state, await differences(source, number)) == ("complete", [])


def test_operations_on_their_way_are_no_differences() -> None:
    scenario(_busy_scenario)


def test_a_verification_that_does_not_heed_operations_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Touches, "since", lambda _self, _path, _mark: False)
    with pytest.raises(AssertionError):
        scenario(_busy_scenario)


def test_differences_are_found_while_an_application_writes() -> None:
    async def body(source: Site, target: Site) -> None:
        target.volume.change(RemoveFile(f"{ROOT}/empty"))
        number = source.service.verify(1, CHECKSUM).number
        await busy(source, lambda: report(source, number).state != "running")
        assert [each.path for each in await differences(source, number)] == [f"{ROOT}/empty"]

    scenario(body)


def test_a_broken_connection_does_not_end_a_verification() -> None:
    async def main() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            number = source.service.verify(1, CHECKSUM).number
            relay.cut()
            await until(lambda: report(source, number).state == "complete")
            assert EventCode.RESUMED in source.codes()

    asyncio.run(main())


def test_refused_while_a_mirror_runs_and_the_other_way_round() -> None:
    async def body(source: Site, target: Site) -> None:
        target.volume.gate.clear()
        await source.service.start_mirror(1)
        with pytest.raises(ConnectionStateError, match="connection 1 is mirroring"):
            source.service.verify(1, LOG_ONLY)
        target.volume.gate.set()
        await until(lambda: source.state() == "replicating")
        source.service.verify(1, LOG_ONLY)
        with pytest.raises(ConnectionStateError, match="a verification is running"):
            await source.service.start_mirror(1)
        with pytest.raises(ConnectionStateError, match="a verification is running"):
            source.service.verify(1, LOG_ONLY)

    scenario(body)


def test_unknown_connections_and_reports_are_refused() -> None:
    async def body(source: Site, _target: Site) -> None:
        with pytest.raises(InputError, match="no connection 9"):
            source.service.verify(9, LOG_ONLY)
        with pytest.raises(InputError, match="no verification 9"):
            await source.service.verifier.details(9)
        with pytest.raises(ConnectionStateError, match="no verification is running"):
            await source.service.stop_verification(1)

    scenario(body)


def test_a_changed_set_interrupts_a_verification() -> None:
    async def body(source: Site, _target: Site) -> None:
        number = source.service.verify(1, CHECKSUM).number
        source.service._connections[1].renew("the replication set was changed")
        await until(lambda: report(source, number).state == "interrupted")
        assert report(source, number).detail == "the replication set was changed"
        assert EventCode.VERIFICATION_INTERRUPTED in source.codes()

    scenario(body)


def test_an_operator_can_stop_it_and_a_disconnect_does() -> None:
    async def body(source: Site, target: Site) -> None:
        target.volume.gate.clear()  # nothing is answered behind what is being applied
        source.put(f"{ROOT}/new", b"x")
        number = source.service.verify(1, LOG_ONLY).number
        await source.service.stop_verification(1)
        assert (report(source, number).state, report(source, number).detail) == ("interrupted", "it was stopped")
        second = source.service.verify(1, LOG_ONLY).number
        target.volume.gate.set()
        await source.service.disconnect(1)
        assert report(source, second).state in ("interrupted", "complete")

    scenario(body)


def test_reports_survive_a_restart_and_what_ran_was_interrupted() -> None:
    async def body(source: Site, target: Site) -> None:
        damage(target)
        first = await verified(source)
        target.volume.gate.clear()
        source.put(f"{ROOT}/new", b"x")
        second = source.service.verify(1, LOG_ONLY).number
        await until(lambda: b'"number":2' in source.volume.nodes["/state/verifications.json"].data)
        await source.stop()
        target.volume.gate.set()
        await source.start()
        assert report(source, first.number) == first
        assert report(source, second).state == "interrupted"
        assert len(await differences(source, first.number)) == 3
        await mirrored(source, target)
        assert source.service.verify(1, LOG_ONLY).number == second + 1

    scenario(body, orphans="delete")


def test_a_volume_that_refuses_the_log_does_not_spoil_the_verification() -> None:
    async def body(source: Site, target: Site) -> None:
        damage(target)
        source.volume.fail = lambda operation: "no_space" if "verification-" in operation.path else None
        done = await verified(source, REPAIR)
        assert (done.repaired, done.log) == (True, "")
        assert EventCode.REPLICATION_ERROR in source.codes()

    scenario(body, orphans="delete")


def test_too_many_differences_are_repaired_by_a_mirror_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification_module, "MAX_FINDINGS", 2)

    async def body(source: Site, target: Site) -> None:
        damage(target)
        done = await verified(source, REPAIR)
        assert done.found == 3
        assert len(await differences(source, done.number)) == 2
        await until(lambda: same(source, target))
        assert source.codes().count(EventCode.MIRROR_COMPLETE) == 2

    scenario(body, orphans="delete")


def test_unreadable_files_are_counted_and_not_judged() -> None:
    async def body(source: Site, _target: Site) -> None:
        original = source.volume.read

        async def refusing(path: str, offset: int, size: int, stream: str = "") -> bytes:
            if path == f"{ROOT}/index.htm":
                raise FileSystemError("sharing", path)
            return await original(path, offset, size, stream)

        source.volume.read = refusing  # type: ignore[method-assign]
        done = await verified(source, CHECKSUM)
        assert (done.totals.unreadable, done.totals.files, done.found) == (1, 2, 0)

    scenario(body)


def test_old_reports_go_with_their_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bodydouble.replication.verification_log.KEPT", 2)

    async def body(source: Site, target: Site) -> None:
        damage(target)
        for _ in range(4):
            await verified(source)
        assert [each.number for each in source.service.verifier.reports()] == [3, 4]
        logs = [path for path in source.volume.nodes if "verification-" in path]
        assert logs == ["/state/verification-3.jsonl", "/state/verification-4.jsonl"]

    scenario(body)


# --- schedules ------------------------------------------------------------------------------------------------------


def scheduled(source: Site) -> list[VerificationReport]:
    return [each for each in source.service.verifier.reports() if each.scheduled and each.state == "complete"]


def test_a_schedule_verifies_again_and_again_and_is_kept_over_restarts() -> None:
    async def body(source: Site, _target: Site) -> None:
        schedule = VerificationSchedule(interval=0.01, options=CHECKSUM)
        await source.service.schedule_verification(1, schedule)
        await until(lambda: len(scheduled(source)) >= 2)
        await source.stop()
        await source.start()
        assert source.service.verification_schedule(1) == schedule
        kept = len(scheduled(source))
        await until(lambda: len(scheduled(source)) > kept)
        await source.service.schedule_verification(1, None)
        assert source.service.verification_schedule(1) is None

    scenario(body)


def test_a_schedule_waits_for_a_connection_that_cannot_be_verified() -> None:
    async def main() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            relay.open = False
            await protect(source, relay.port)
            await source.service.schedule_verification(1, VerificationSchedule(interval=0.01))
            await until(lambda: source.state() == "retrying")
            assert scheduled(source) == []
            relay.open = True
            await until(lambda: scheduled(source))

    asyncio.run(main())


@pytest.mark.parametrize(("ago", "wait"), [(0, 100.0), (60, 40.0), (500, 0.0), (-500, 100.0)])
def test_the_first_scheduled_verification_counts_from_the_last_report(ago: float, wait: float) -> None:
    """A calendar that was set back meanwhile (the report lies in the future) costs one interval at most."""

    async def body(source: Site, _target: Site) -> None:
        await verified(source)
        log, clock = source.service.verifier.log, source.host.clock
        log.change(1, ended=clock.now() - timedelta(seconds=ago))
        found = source.service.verifier._first_wait(
            source.service._connections[1], VerificationSchedule(interval=100.0)
        )
        assert found == pytest.approx(wait, abs=0.1)

    scenario(body)


def test_a_log_that_cannot_be_understood_is_refused_by_name() -> None:
    async def main() -> None:
        site = Site("WEB1")
        host = memory_host("WEB1", site.volume)
        from bodydouble.replication.verification_log import VerificationLog  # noqa: PLC0415 - only here

        log = VerificationLog(site.volume, StateStore(site.volume, "/state", host.clock), host.clock)
        site.mkdir("/state")
        site.put("/state/verification-1.jsonl", b"{}\n")
        kept = log.add(
            VerificationReport(
                number=0, connection=1, replication_set="web", target="t:1", options=LOG_ONLY,
                started=host.clock.now(), log="/state/verification-1.jsonl",
            )
        )  # fmt: skip
        with pytest.raises(FileSystemError, match="not a verification log"):
            await log.read(kept)

    asyncio.run(main())


def linked(source: Site) -> None:
    for name in ("one", "two", "three", "alone", "single"):
        source.put(f"{ROOT}/{name}", b"equal bytes")
    for name in ("two", "three"):
        source.volume.do(MakeHardLink(f"{ROOT}/{name}", f"{ROOT}/one"))
    for name in ("one", "alone", "single"):
        source.volume.do(SetTimes(f"{ROOT}/{name}", 5000))


@pytest.mark.parametrize(
    ("tampered", "found"),
    [
        ([RemoveFile(f"{ROOT}/two"), CreateFile(f"{ROOT}/two", Metadata(), 5000)], [("two", "another one")]),
        ([MakeHardLink(f"{ROOT}/single", f"{ROOT}/alone")], [("single", "the same one")]),
        ([MakeHardLink(f"{ROOT}/three", f"{ROOT}/alone")], [("one", "the same one"), ("three", "another one")]),
    ],
    ids=["a copy instead of a link", "a link instead of a copy", "a link to another file"],
)
def test_names_of_one_file_are_names_of_one_file_on_the_replica(
    tampered: list[AnyOperation], found: list[tuple[str, str]]
) -> None:
    async def body(source: Site, target: Site) -> None:
        linked(source)
        await until(lambda: same(source, target))
        for operation in tampered:
            target.volume.change(operation)
            if isinstance(operation, CreateFile):
                target.volume.change(Write(operation.path, 0, b"equal bytes", 5000))
        done = await verified(source, VerificationOptions(checksum=True, repair=True))
        details = await source.service.verifier.details(done.number)
        assert {each.path for each in details.differences} >= {f"{ROOT}/{name}" for name, _ in found[-1:]}
        assert any(found[-1][1] in each.detail for each in details.differences)
        await until(lambda: same(source, target))

    scenario(body)


def test_links_that_come_and_go_meanwhile_are_no_differences() -> None:
    async def body(source: Site, target: Site) -> None:
        linked(source)
        await until(lambda: same(source, target))
        source.service.verify(1, CHECKSUM)
        reports, number = source.service.verifier.reports, 0
        while reports()[-1].state != "complete":
            number += 1
            if number < 60:
                name, other = f"{ROOT}/{'alone' if number % 2 else 'single'}", f"{ROOT}/one"
                source.volume.do(RemoveFile(name))
                source.volume.do(MakeHardLink(name, other))
            await asyncio.sleep(0)
        assert reports()[-1].found == 0

    scenario(body)


RICH = Metadata(1, b"1:2:644", (("user.a", b"1"),))


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (SetMetadata(f"{ROOT}/rich", Metadata(3, b"1:2:644", RICH.extended)), "attributes"),
        (SetMetadata(f"{ROOT}/rich", Metadata(1, b"1:2:600", RICH.extended)), "security"),
        (SetMetadata(f"{ROOT}/rich", Metadata(1, b"1:2:644", (("user.a", b"2"),))), "extended attributes"),
        (SetMetadata(f"{ROOT}/images", RICH), "attributes, security, extended attributes"),
        (SetTimes(f"{ROOT}/rich", 9_000_000), "last write"),
        (SetTimes(f"{ROOT}/rich", 4_000_000, 77_000_000), "creation time"),
        (MakeSymbolicLink(f"{ROOT}/link", "elsewhere", Metadata(), 5000), "leads to rich, on the target to elsewhere"),
        (Write(f"{ROOT}/holes", 0, bytes(200_000), 4_000_000), "holes"),
        (Write(f"{ROOT}/rich", 0, b"RICH", 4_000_000), "contents"),
        (Truncate(f"{ROOT}/rich", 3, 4_000_000), "size 4, on the target 3"),
        (MakeStream(f"{ROOT}/rich", "s"), "named streams"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_difference_is_found_and_repaired(planted: AnyOperation, words: str) -> None:
    async def body(source: Site, target: Site) -> None:
        for operation in (
            CreateFile(f"{ROOT}/rich", RICH, 4_000_000, 3_000_000),
            Write(f"{ROOT}/rich", 0, b"rich", 4_000_000),
            MakeSymbolicLink(f"{ROOT}/link", "rich", Metadata(), 5000),
            CreateFile(f"{ROOT}/holes", Metadata(), 4_000_000),
            Write(f"{ROOT}/holes", 0, b"x" * 250_000, 4_000_000),
            PunchHole(f"{ROOT}/holes", 0, 200_000, 4_000_000),
        ):
            source.volume.do(operation)
        await until(lambda: same(source, target))
        target.volume.change(planted)
        done = await verified(source, VerificationOptions(checksum=True, repair=True))
        assert [each.detail for each in await differences(source, done.number)] == [words]
        await until(lambda: same(source, target))
        again = await verified(source, CHECKSUM)
        assert again.found == 0

    scenario(body)
