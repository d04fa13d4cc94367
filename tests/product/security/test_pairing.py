"""Two daemons on loopback that do not know each other yet, and what may come between them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest
from tests.peers import credential_of
from tests.product.replication.site import PATIENCE, Site, mirrored, protect, running, until

from bodydouble.errors import InputError, PairingError
from bodydouble.security import exchange
from bodydouble.security.offers import MAX_TRIES
from bodydouble.security.tls import PAIRING_PROTOCOL, client_context, server_context
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeDirectory, Metadata
from bodydouble.vocabulary.records import AcceptRequest, OfferRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

OFFERS, ACCEPTS = "WEB2", "WEB1"


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


@asynccontextmanager
async def strangers() -> AsyncIterator[tuple[Site, Site]]:
    """A machine that will offer and one that will accept; neither knows the other."""
    offers, accepts = Site(OFFERS), Site(ACCEPTS)
    async with running(offers, accepts):
        await part(offers, accepts)
        yield offers, accepts


async def part(offers: Site, accepts: Site) -> None:
    for site, name in ((offers, ACCEPTS), (accepts, OFFERS)):
        with suppress(InputError):
            await site.trust.remove(name)


def offered(site: Site, **options: Any) -> str:
    return site.pairing.offer(OfferRequest(**options)).code


async def accept(site: Site, port: int, code: str, **options: Any) -> None:
    await site.pairing.accept(AcceptRequest(host="127.0.0.1", port=port, code=code, **options))


def states(*sites: Site) -> tuple[str, ...]:
    return tuple(peers[0].state if (peers := site.trust.peers()) else "" for site in sites)


def texts(site: Site, code: EventCode) -> list[str]:
    return [event.text for event in site.events.after(0) if event.code == code]


def test_both_sides_pin_each_other_durably_and_replicate() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            await accept(accepts, offers.service.port, offered(offers, roles=("source",)), roles=("target",))
            assert states(offers, accepts) == ("paired", "paired")
            assert [peer.roles for peer in offers.trust.peers()] == [("source",)]
            for site in (offers, accepts):
                await site.stop()
                await site.start()
            assert states(offers, accepts) == ("paired", "paired")
            accepts.volume.change(MakeDirectory("/web", Metadata()))
            await protect(accepts, offers.service.port)
            await mirrored(accepts, offers)
            assert offers.pairing.status().state == "none", "an offer does not outlive its daemon"

    run(scenario())


def test_no_code_is_in_any_event_or_repr() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            code = offered(offers)
            await accept(accepts, offers.service.port, code)
            said = [event.text for site in (offers, accepts) for event in site.events.after(0)]
            said += [repr(offers.pairing._offer), repr(AcceptRequest(host="x", code=code))]
            assert not any(code in text or code.replace("-", "") in text for text in said)
            kept = [bytes(node.data) for site in (offers, accepts) for node in site.volume.nodes.values()]
            assert not any(code.encode() in data for data in kept)

    run(scenario())


def test_a_wrong_code_pairs_nobody_and_a_few_of_them_void_the_offer() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            code, wrong = offered(offers), offered(accepts)
            for tries in range(MAX_TRIES):
                assert offers.pairing.status().tries == MAX_TRIES - tries
                with pytest.raises(PairingError, match="does not know the code"):
                    await accept(accepts, offers.service.port, wrong)
            assert offers.pairing.status().state == "void"
            with pytest.raises(PairingError, match="offers no pairing"):
                await accept(accepts, offers.service.port, code)
            assert states(offers, accepts) == ("", "")
            assert len(texts(offers, EventCode.PAIRING_VOID)) == 1

    run(scenario())


def test_a_code_with_a_slip_in_it_costs_no_try() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            code = offered(offers)
            slip = code[:-1] + ("0" if code[-1] != "0" else "1")
            with pytest.raises(InputError, match="was not tried"):
                await accept(accepts, offers.service.port, slip)
            assert offers.pairing.status().tries == MAX_TRIES
            await accept(accepts, offers.service.port, code)

    run(scenario())


def test_a_code_is_for_one_machine_which_may_repeat_it() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            third = Site("WEB3")
            async with running(third):
                await part(offers, third)
                await third.trust.remove(ACCEPTS)
                await accepts.trust.remove("WEB3")
                await offers.trust.remove("WEB3")
                code = offered(offers)
                await accept(accepts, offers.service.port, code)
                await accept(accepts, offers.service.port, code)
                with pytest.raises(PairingError, match="offers no pairing"):
                    await accept(third, offers.service.port, code)
                assert states(offers, accepts, third) == ("paired", "paired", "")

    run(scenario())


@pytest.mark.parametrize("end", ["withdrawn", "expired", "replaced"])
def test_an_offer_that_has_ended_pairs_nobody(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            code = offered(offers)
            if end == "withdrawn":
                offers.pairing.withdraw()
            elif end == "expired":
                monkeypatch.setattr("bodydouble.security.pairing._now", lambda: 1e12)
            else:
                offered(offers)
            with pytest.raises(PairingError):
                await accept(accepts, offers.service.port, code)
            assert states(offers, accepts) == ("", "")

    run(scenario())


def test_a_flood_of_conversations_that_prove_nothing_is_one_event_and_costs_no_try() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            code = offered(offers)
            context = client_context(None, [PAIRING_PROTOCOL], [])
            for say in (b"", b"\0\0\0\1\xc0", b"\xff\xff\xff\xff", b"\0\0\0\x05hello") * 5:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", offers.service.port, ssl=context, server_hostname=""
                )
                writer.write(say)
                if not say:
                    writer.close()
                with suppress(OSError):
                    assert await reader.read() == b""
                writer.transport.abort()
            await until(lambda: texts(offers, EventCode.UNPAIRED_ATTEMPT))
            assert len(texts(offers, EventCode.UNPAIRED_ATTEMPT)) == 1
            assert texts(offers, EventCode.PAIRING_FAILED) == []
            assert offers.pairing.status().tries == MAX_TRIES
            await accept(accepts, offers.service.port, code)

    run(scenario())


def test_a_machine_without_an_offer_does_not_speak_of_pairing() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            with pytest.raises(PairingError, match="pair offer"):
                await accept(accepts, offers.service.port, offered(accepts))

    run(scenario())


def test_another_machine_cannot_take_a_paired_ones_name() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            await accept(accepts, offers.service.port, offered(offers))
            other = Site("OTHER")
            async with running(other):
                await other.trust.remove(OFFERS)
                await offers.trust.remove("OTHER")
                other.host.identity.name = ACCEPTS.lower()  # type: ignore[attr-defined]
                with pytest.raises(PairingError, match=r"declined.*paired already.*pair remove WEB1"):
                    await accept(other, offers.service.port, offered(offers))
                assert [peer.name for peer in offers.trust.peers()] == [ACCEPTS]
                assert OFFERS not in [peer.name for peer in other.trust.peers()]

    run(scenario())


def test_a_machine_is_not_paired_with_itself() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, _):
            with pytest.raises(PairingError, match="itself"):
                await accept(offers, offers.service.port, offered(offers))

    run(scenario())


@pytest.mark.parametrize("roles", [(), ("source", "source")])
def test_roles_that_cannot_be_are_refused(roles: Any) -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            with pytest.raises(InputError, match="roles"):
                offered(offers, roles=roles)
            with pytest.raises(InputError, match="roles"):
                await accept(accepts, offers.service.port, offered(offers), roles=roles)
            with pytest.raises(InputError, match="minutes"):
                offered(offers, minutes=61)

    run(scenario())


def test_changes_at_the_same_time_lose_nothing_and_are_told_once() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, _):
            names = [f"WEB{number}" for number in range(10, 15)]
            certificates = [credential_of(name).certificate for name in names]
            pins = [offers.trust.pin(*each, ("source",)) for each in zip(names, certificates, strict=True)]
            await asyncio.gather(*pins)
            prints = [credential_of(name).fingerprint for name in names]
            await asyncio.gather(
                *(offers.trust.finish(each) for each in prints * 3),
                offers.trust.remove("WEB12"),
                return_exceptions=True,
            )
            assert [peer.name for peer in offers.trust.peers()] == ["WEB10", "WEB11", "WEB13", "WEB14"]
            assert len(texts(offers, EventCode.PAIRED)) == len(names)
            await offers.stop()
            await offers.start()
            assert {"WEB10", "WEB11", "WEB13", "WEB14"} <= {peer.name for peer in offers.trust.peers()}

    run(scenario())


# --- breaks -----------------------------------------------------------------------------------------------------------


class Cutting:
    """A relay that cuts the connection once so many bytes have passed, both ways together; None: never."""

    def __init__(self, port: int, after: int | None = None) -> None:
        self._to = port
        self._left = after
        self.passed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._relay(reader, writer)))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, towards = await asyncio.open_connection("127.0.0.1", self._to)
        pumps = [asyncio.create_task(self._pump(*ends)) for ends in ((reader, towards), (there, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, towards):
            end.transport.abort()
        await asyncio.gather(*pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._left is not None and self.passed + len(data) > self._left:
                    data = data[: max(0, self._left - self.passed)]
                    self.passed = self._left
                    writer.write(data)
                    await writer.drain()
                    return
                self.passed += len(data)
                writer.write(data)
                await writer.drain()


CONSISTENT = {
    ("", ""),
    ("unfinished", ""),
    ("unfinished", "unfinished"),
    ("paired", "unfinished"),
    ("paired", "paired"),
}
"""What offering and accepting side may believe: a side is sure only of what the other side has durably."""


def test_a_connection_lost_at_any_byte_leaves_what_a_repetition_completes() -> None:
    seen: set[tuple[str, ...]] = set()

    async def attempt(offers: Site, accepts: Site, after: int | None) -> int:
        code = offered(offers)
        async with Cutting(offers.service.port, after) as relay:
            try:
                await accept(accepts, relay.port, code)
            except PairingError:
                assert after is not None
        await until(lambda: not [task for task in asyncio.all_tasks() if "bodydouble-peer" in task.get_name()])
        seen.add(states(offers, accepts))
        assert states(offers, accepts) in CONSISTENT
        await accept(accepts, offers.service.port, code)
        assert states(offers, accepts) == ("paired", "paired")
        await part(offers, accepts)
        return relay.passed

    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            whole = await attempt(offers, accepts, None)
            for after in (*range(0, whole - 400, 300), *range(whole - 400, whole, 20)):
                await attempt(offers, accepts, after)

    run(scenario())
    assert seen == CONSISTENT


@pytest.mark.parametrize("side", [OFFERS, ACCEPTS])
@pytest.mark.parametrize("nth", range(4))
def test_a_crash_at_any_save_leaves_what_a_repetition_completes(side: str, nth: int) -> None:
    """The machine stops where it would have saved for the nth time, and comes back with what its disk has."""

    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            crashing = offers if side == OFFERS else accepts
            code, saves = offered(offers), 0

            def fail(operation: Any) -> str | None:
                nonlocal saves
                if operation.path.startswith("/state/peers"):
                    saves += 1
                    return "io" if saves > nth * 2 else None
                return None

            crashing.volume.fail = fail
            with suppress(PairingError):
                await accept(accepts, offers.service.port, code)
            crashing.volume.fail = lambda _operation: None
            assert states(offers, accepts) in CONSISTENT
            await crashing.stop()
            before = Site.running.copy()
            Site.running.clear()  # no pins by themselves
            await crashing.start()
            Site.running.extend(before)
            assert states(offers, accepts) in CONSISTENT
            await accept(accepts, offers.service.port, offered(offers))
            assert states(offers, accepts) == ("paired", "paired")

    run(scenario())


def test_a_pairing_that_was_not_finished_is_finished_by_the_first_contact() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            await accept(accepts, offers.service.port, offered(offers))
            for site in (offers, accepts):
                (peer,) = site.trust._peers.values()
                await site.trust._put(msgspec.structs.replace(peer, state="unfinished"))
            accepts.volume.change(MakeDirectory("/web", Metadata()))
            await protect(accepts, offers.service.port)
            await mirrored(accepts, offers)
            assert states(offers, accepts) == ("paired", "paired")

    run(scenario())


def test_an_unfinished_pairing_lets_nobody_in_who_has_not_pinned_this_machine() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts):
            await offers.trust.pin(ACCEPTS, credential_of(ACCEPTS).certificate, ("source", "target"))
            accepts.volume.change(MakeDirectory("/web", Metadata()))
            await protect(accepts, offers.service.port)
            await until(lambda: accepts.state() == "error")
            assert states(offers, accepts) == ("unfinished", "")

    run(scenario())


# --- in between -------------------------------------------------------------------------------------------------------


class Middle:
    """Ends TLS on both sides with a certificate of its own, and passes every message on."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._credential = credential_of("MIDDLE")
        self.certificate = self._credential.certificate

    async def __aenter__(self) -> Self:
        context = server_context(self._credential, [PAIRING_PROTOCOL], [], anonymous=True)
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = client_context(None, [PAIRING_PROTOCOL], [])
        there, towards = await asyncio.open_connection("127.0.0.1", self._to, ssl=context, server_hostname="")
        await asyncio.gather(self._pump(reader, towards), self._pump(there, writer))

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


def test_a_machine_in_the_middle_pairs_nobody() -> None:
    async def scenario() -> None:
        async with strangers() as (offers, accepts), Middle(offers.service.port) as middle:
            with pytest.raises(PairingError, match="does not know the code"):
                await accept(accepts, middle.port, offered(offers))
            assert states(offers, accepts) == ("", "")
            assert offers.pairing.status().tries == MAX_TRIES - 1

    run(scenario())


def test_a_proof_that_is_not_bound_to_the_certificates_lets_the_middle_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: what it shows is the binding."""
    original = exchange._Keys.__init__
    monkeypatch.setattr(exchange, "_id", lambda _certificate: b"")
    monkeypatch.setattr(
        exchange._Keys, "__init__", lambda self, shared, ask, reply, _offering: original(self, shared, ask, reply, b"")
    )

    async def scenario() -> None:
        async with strangers() as (offers, accepts), Middle(offers.service.port) as middle:
            async with asyncio.timeout(PATIENCE):
                await accept(accepts, middle.port, offered(offers))
            assert accepts.trust.find(middle.certificate) is not None

    run(scenario())
