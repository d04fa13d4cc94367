"""What ends a verification, or a search for orphans, before its end: each leaves a report that says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, until

from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.orphans import OrphanRequest
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WHAT = pytest.mark.parametrize("what", ["verification", "search"])


def scenario(body: Callable[[Site, Site], Awaitable[None]], **settings: Any) -> None:
    """Both sides equal, and the target as if it had fallen asleep: nothing is applied and no question answered."""

    async def main() -> None:
        source, target = Site("WEB1", **settings), Site("WEB2")
        source.mkdir(ROOT)
        source.put(f"{ROOT}/index.htm", b"hello")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.gate.clear()
            source.put(f"{ROOT}/new", b"x")
            try:
                await body(source, target)
            finally:
                target.volume.gate.set()

    asyncio.run(main())


def begin(source: Site, what: str) -> None:
    if what == "verification":
        source.service.verify(1, VerificationOptions())
    else:
        source.service.orders.find_orphans(1, OrphanRequest("delete"))


def outcome(source: Site, what: str) -> tuple[str, str]:
    """State and detail of the report."""
    if what == "verification":
        (verified,) = source.service.verifier.reports()
        return verified.state, verified.detail
    found = source.service.orphans.report(1)
    assert found is not None
    return found.state, found.detail


@WHAT
def test_exhausted_queue(what: str) -> None:
    async def body(source: Site, target: Site) -> None:
        begin(source, what)
        for number in range(40):
            source.put(f"{ROOT}/burst-{number}", b"x" * 10_000)
        await until(lambda: outcome(source, what)[0] == "interrupted")
        assert "queue" in outcome(source, what)[1]
        target.volume.gate.set()
        await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
        await mirrored(source, target)

    scenario(body, queue_bytes=200_000, disk_queue_bytes=0, mirror_window_bytes=100_000)


@WHAT
def test_target_that_stands_in(what: str) -> None:
    async def body(source: Site, target: Site) -> None:
        begin(source, what)
        target.volume.gate.set()
        await target.service.standing_in.stand_in("WEB1")
        await until(lambda: source.state() == "restore-required")
        await until(lambda: outcome(source, what)[0] != "running")
        state, detail = outcome(source, what)
        assert state == "complete" or detail

    scenario(body)


@WHAT
def test_power_that_goes_on_the_source(what: str) -> None:
    kept = {"verification": "verifications", "search": "orphan-reports"}[what]

    async def body(source: Site, target: Site) -> None:
        begin(source, what)
        file = f"/state/{kept}.json"
        await until(lambda: file in source.volume.nodes and b'"running"' in source.volume.nodes[file].data)
        before = bytes(source.volume.nodes[file].data)
        await source.crash()
        source.volume.nodes[file].data = bytearray(before)
        target.volume.gate.set()
        await source.start()
        state, detail = outcome(source, what)
        assert state == "interrupted"
        assert "daemon" in detail

    scenario(body)


@WHAT
def test_target_that_is_restarted_ends_neither(what: str) -> None:
    async def body(source: Site, target: Site) -> None:
        begin(source, what)
        target.volume.gate.set()
        await target.stop()
        assert outcome(source, what)[0] in ("running", "complete")
        port = target.service.port
        target.settings = type(target.settings)(
            address="127.0.0.1", port=port, retry_interval=0.02, slow_retry_interval=0.1, ping_interval=0.5,
            peer_timeout=3.0,
        )  # fmt: skip
        await target.start()
        await until(lambda: outcome(source, what)[0] == "complete")

    scenario(body)


@WHAT
def test_operator_who_disconnects(what: str) -> None:
    async def body(source: Site, _target: Site) -> None:
        begin(source, what)
        await source.service.disconnect(1)
        codes = source.codes()
        assert (EventCode.VERIFICATION_INTERRUPTED in codes) == (what == "verification")
        assert source.service.orphans.report(1) is None

    scenario(body)
