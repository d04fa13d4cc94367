"""What a witness grants: a lease keeps targets off an address, a claim keeps the source off it until it is released."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.product.failover.fakes import run_jumping
from tests.product.replication.memory import MemoryVolume

from bodydouble.errors import FileSystemError, ProtocolError
from bodydouble.replication.claims import MAX_CLAIMS, Asker, Claims
from bodydouble.replication.protocol import Reach, Reached
from bodydouble.state.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.vocabulary.witnesses import Stance

ADDRESS = "10.0.0.10"
SOURCE, TARGET, OTHER = (Asker(name * 32, name) for name in ("aa", "bb", "cc"))
FREE = Reached(answers=False)


class Witness:
    """A witness over one disk, and an address that answers it or not."""

    def __init__(self) -> None:
        self.volume = MemoryVolume()
        self.answering = False
        self.while_pinging: Callable[[], Awaitable[None]] | None = None
        self.start()

    def start(self) -> None:
        self.claims = Claims(StateStore(self.volume, "/state"))

    async def ask(self, asker: Asker, stance: Stance, seconds: float = 0.0, address: str = ADDRESS) -> Reached:
        return await self.claims.answer(Reach(address, stance, seconds), asker, self._ping)

    async def _ping(self) -> bool:
        if self.while_pinging is not None:
            await self.while_pinging()
        return self.answering


def play(case: Callable[[Witness], Awaitable[None]]) -> None:
    async def main() -> None:
        await case(Witness())

    run_jumping(main())


def test_nobody_else_is_let_have_a_leased_address_until_the_lease_is_over() -> None:
    async def case(witness: Witness) -> None:
        assert await witness.ask(SOURCE, "lease", 10) == FREE
        await asyncio.sleep(9.9)
        assert (await witness.ask(TARGET, "claim")).holder == SOURCE.name
        await asyncio.sleep(0.2)
        assert await witness.ask(TARGET, "claim") == FREE

    play(case)


def test_claimed_address_is_not_leased_until_its_holder_releases_it() -> None:
    async def case(witness: Witness) -> None:
        assert await witness.ask(TARGET, "claim") == FREE
        assert await witness.ask(TARGET, "claim") == FREE
        await asyncio.sleep(100_000)
        assert (await witness.ask(SOURCE, "lease", 10)).holder == TARGET.name
        await witness.ask(OTHER, "release")
        assert (await witness.ask(OTHER, "claim")).holder == TARGET.name
        await witness.ask(TARGET, "release")
        assert await witness.ask(SOURCE, "lease", 10) == FREE

    play(case)


def test_address_that_answers_is_not_claimed() -> None:
    async def case(witness: Witness) -> None:
        witness.answering = True
        assert await witness.ask(TARGET, "claim") == Reached(answers=True)
        assert await witness.ask(SOURCE, "lease", 10) == FREE

    play(case)


def test_lease_that_is_granted_while_the_address_is_pinged_counts() -> None:
    async def case(witness: Witness) -> None:
        async def lease() -> None:
            assert await witness.ask(SOURCE, "lease", 10) == FREE

        witness.while_pinging = lease
        assert (await witness.ask(TARGET, "claim")).holder == SOURCE.name

    play(case)


def test_operators_word_for_the_source_takes_the_claim_away() -> None:
    async def case(witness: Witness) -> None:
        await witness.ask(TARGET, "hold")
        assert (await witness.ask(SOURCE, "ask")).holder == TARGET.name
        await witness.ask(SOURCE, "take")
        assert await witness.ask(SOURCE, "lease", 10) == FREE

    play(case)


def test_claims_outlive_a_restart_and_no_claim_is_granted_while_a_lease_of_before_may_run() -> None:
    async def case(witness: Witness) -> None:
        await witness.ask(TARGET, "claim", address="10.0.0.99")
        await witness.ask(SOURCE, "lease", 30)
        witness.start()
        await witness.claims.load()
        assert (await witness.ask(SOURCE, "lease", 10, address="10.0.0.99")).holder == TARGET.name
        assert "started a moment ago" in (await witness.ask(TARGET, "claim")).holder
        await asyncio.sleep(30.1)
        assert await witness.ask(TARGET, "claim") == FREE

    play(case)


@pytest.mark.parametrize("stance", ["claim", "hold"])
def test_claim_that_cannot_be_kept_is_not_granted(stance: Stance) -> None:
    async def case(witness: Witness) -> None:
        witness.volume.fail = lambda _operation: "no_space"
        with pytest.raises(FileSystemError):
            await witness.ask(TARGET, stance)
        witness.volume.fail = lambda _operation: None
        assert await witness.ask(SOURCE, "lease", 10) == FREE

    play(case)


def test_release_that_cannot_be_kept_leaves_the_claim() -> None:
    async def case(witness: Witness) -> None:
        await witness.ask(TARGET, "claim")
        witness.volume.fail = lambda _operation: "no_space"
        with pytest.raises(FileSystemError):
            await witness.ask(TARGET, "release")
        assert (await witness.ask(SOURCE, "lease", 10)).holder == TARGET.name

    play(case)


def test_one_machine_cannot_claim_without_end() -> None:
    async def case(witness: Witness) -> None:
        for number in range(MAX_CLAIMS):
            await witness.ask(TARGET, "claim", address=f"10.0.1.{number}")
        with pytest.raises(ProtocolError, match=f"more than {MAX_CLAIMS} addresses"):
            await witness.ask(TARGET, "lease", 10)
        assert await witness.ask(SOURCE, "lease", 10) == FREE

    play(case)
