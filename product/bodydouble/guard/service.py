"""The guard: keeps a source off its own addresses while a stand-in has them, and gives them up when it is cut off.

- At the start, and when the link comes back, each address is asked for on the wire. Where another machine answers, this
  one removes the address: a source that boots beside its stand-in is not a second owner.
- While a target says that the data must be restored first, or cannot be reached, the same question is asked at every
  look: a source that was parted from its stand-in yields to it, whose data are newer. At other times somebody else with
  the address is a stranger, and no reason to leave.
- Where witnesses are configured and none answers for a while, the addresses are given up before the target takes them.
- From a witness that is paired with this machine the addresses are leased, before they are used and as long as they are
  (`bodydouble.replication.claims`). While a lease runs that witness lets no target have them, and once it let one have
  them it grants no lease: then this machine stays off them, also when it does not see its stand-in.

What was given up because nobody answered is taken back when a witness answers and nobody has the address. What a
stand-in had is taken back at an operator's word only: when the stand-in falls silent its data are still the newer ones.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import BodydoubleError, ConnectionStateError
from bodydouble.guard.settings import check_guard, lease_of
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.guard import GuardedAddress, GuardState, GuardStatus
from bodydouble.vocabulary.witnesses import Witnessed, enough, witness_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.guard.settings import GuardSettings
    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.records import InterfaceAddress
    from bodydouble.vocabulary.witnesses import Witness, Witnesses

BOOK = "guard"
PING_SECONDS = 1.0
LEASE_SECONDS = 1.0
STOOD_IN = "another machine stands in; when that was failed back: 'bodydouble guard return'"
ISOLATED = "no witness answers"


class GivenUp(msgspec.Struct, frozen=True):
    """An address that this machine does not use."""

    address: str
    state: GuardState


class GuardBook(msgspec.Struct, frozen=True):
    """What has to be remembered over a restart."""

    given_up: list[GivenUp]


@dataclass(slots=True)
class _Guarded:
    item: InterfaceAddress
    state: GuardState = "held"
    sure: bool = False
    """Held: the wire was asked and nobody else answered. Else: the address is removed."""
    covered: bool = True
    """The witnesses were for it at the latest look."""
    heard: float = -inf
    """When they were last."""

    @property
    def bare(self) -> str:
        return self.item.address.partition("/")[0]


class Guard:
    """Guards the addresses of one machine.

    Args:
        host: the host's ports.
        settings: see `GuardSettings`.
        store: remembers what was given up.
        events: the events log.
        stood_in_for: whether a target may stand in for this machine.
        leasing: asks the paired witnesses.

    Raises:
        InputError: a setting is out of range.
    """

    def __init__(
        self,
        host: Host,
        settings: GuardSettings,
        store: StateStore,
        events: EventLog,
        stood_in_for: Callable[[], bool],
        *,
        leasing: Witnesses,
    ) -> None:
        check_guard(settings)
        self._host = host
        self._settings = settings
        self._store = store
        self._events = events
        self._stood_in_for = stood_in_for
        self._leasing = leasing
        self._witnesses = [witness_of(each, "guard.witnesses") for each in settings.witnesses]
        self._paired = [each for each in self._witnesses if each.port]
        self._guarded = [_Guarded(item) for item in settings.addresses]
        self._answering: list[str] = []
        self._reasons: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self.ready = asyncio.Event()

    def status(self) -> GuardStatus:
        """What an operator sees."""
        details: dict[GuardState, str] = {"held": "", "stood-in": STOOD_IN, "isolated": ISOLATED}
        now = asyncio.get_running_loop().time()
        silent = max((now - each.heard for each in self._guarded if isfinite(each.heard)), default=None)
        return GuardStatus(
            addresses=[GuardedAddress(each.item, each.state, details[each.state]) for each in self._guarded],
            witnesses=list(self._answering),
            silent=silent if self._settings.witnesses else None,
        )

    async def take_back(self) -> GuardStatus:
        """Use every address again, at an operator's word.

        Raises:
            ConnectionStateError: another machine still answers for one, or too few paired witnesses lease them.
            IdentityError: the wire cannot be asked, or the system refused.
        """
        async with self._changing:
            away = [each for each in self._guarded if each.state != "held"]
            for each in away:
                if await self._answered_elsewhere(each):
                    raise ConnectionStateError(f"another machine still answers for {each.bare}: fail it back first")
            await self._take(away)
            for each in away:
                await self._use(each)
        return self.status()

    async def _take(self, away: list[_Guarded]) -> None:
        """Have the paired witnesses forget whom they let have the addresses, and lease them."""
        for witness in self._paired if away else []:
            with suppress(BodydoubleError, OSError):  # whoever does not answer in time leases nothing afterwards either
                async with asyncio.timeout(LEASE_SECONDS):
                    for each in away:
                        await self._leasing.ask(witness, each.bare, "take")
        for each in away:
            each.state = "isolated"  # taken back by itself, then, as soon as a witness leases it
        await self._save()
        await self._ask_witnesses()
        if self._paired and (refused := [each.bare for each in away if not each.covered]):
            text = f"too few paired witnesses lease it {', '.join(refused)}"
            raise ConnectionStateError(f"this machine may be the one that is cut off: {text}")

    async def run(self) -> None:
        """Guard until cancelled.

        Raises:
            StateError: what was remembered cannot be understood.
        """
        if self._guarded:
            await self._remember()
            if self._paired:
                await self._ask_witnesses()
            else:
                for each in self._guarded:
                    each.heard = asyncio.get_running_loop().time()
            await self._look_at_addresses()
        self.ready.set()
        try:
            await self._keep_looking()
        finally:
            self._leasing.hang_up()

    async def _keep_looking(self) -> None:
        while self._guarded:
            await asyncio.sleep(self._settings.interval)
            async with self._changing:
                await self._ask_witnesses()
                await self._look_at_addresses()
        await asyncio.Event().wait()

    async def _remember(self) -> None:
        book = await self._store.load(BOOK, GuardBook) or GuardBook([])
        states = {each.address: each.state for each in book.given_up}
        for each in self._guarded:
            each.state = states.get(each.item.address, "held")

    # --- witnesses --------------------------------------------------------------------------------------------------

    async def _ask_witnesses(self) -> None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        wanted = [each for each in self._guarded if each.state != "stood-in"]
        answers = await asyncio.gather(*(self._ask(witness, wanted) for witness in self._witnesses))
        found = {each: said for each, said in zip(self._witnesses, answers, strict=True) if said is not None}
        self._answering = [str(each) for each in found]
        for at, each in enumerate(wanted):
            each.covered = self._covers({witness: said[at] for witness, said in found.items()})
            if each.covered:
                each.heard = asked
            elif any(said[at].firm for said in found.values()):
                await self._give_up(each, "stood-in")
            elif each.state == "held" and loop.time() - each.heard >= self._settings.lost_after:
                await self._give_up(each, "isolated")

    def _covers(self, said: dict[Witness, Witnessed]) -> bool:
        """Whether one address may be used as far as the witnesses are concerned."""
        return not self._witnesses or enough(self._witnesses, [each for each, word in said.items() if not word.holder])

    async def _ask(self, witness: Witness, wanted: list[_Guarded]) -> list[Witnessed] | None:
        """What a witness says of each address; None: it does not answer. Nothing is against one that is only pinged."""
        if not witness.port or not wanted:
            answers = await self._ping(witness.address, min(self._settings.interval, PING_SECONDS))
            return [Witnessed(answers=True)] * len(wanted) if answers else None
        seconds = lease_of(self._settings)
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                return [await self._leasing.ask(witness, each.bare, "lease", seconds) for each in wanted]
        except TimeoutError:
            return None
        except (BodydoubleError, OSError) as error:
            self._report(f"lease addresses from the witness {witness}", str(error))
            return None

    async def _ping(self, witness: str, seconds: float) -> bool:
        try:
            return await self._host.pinger.ping(witness, seconds) is not None
        except (BodydoubleError, OSError) as error:
            # Who may not ask knows nothing: that is no reason to leave the network.
            self._report(f"ask the witness {witness}", str(error))
            return True

    # --- addresses --------------------------------------------------------------------------------------------------

    async def _look_at_addresses(self) -> None:
        for each in self._guarded:
            try:
                await self._look_at(each)
            except (BodydoubleError, OSError) as error:
                self._report(f"guard {each.bare}", str(error))
            else:
                self._reasons.pop(f"guard {each.bare}", None)

    async def _look_at(self, each: _Guarded) -> None:
        if each.state == "held":
            if each.sure and not self._stood_in_for():
                return
            if await self._answered_elsewhere(each):
                await self._give_up(each, "stood-in")
            elif not each.sure:
                await self._use(each)
        elif not each.sure:
            await self._remove(each)
        elif each.state == "isolated" and each.covered:
            if await self._answered_elsewhere(each):
                await self._give_up(each, "stood-in")
            else:
                await self._use(each)

    async def _answered_elsewhere(self, each: _Guarded) -> bool:
        return await self._host.identity.in_use(each.item.interface, each.bare)

    async def _use(self, each: _Guarded) -> None:
        """Answer for the address from now on, and say so where that is news."""
        identity = await self._host.identity.query()
        there = any(item.address.partition("/")[0] == each.bare for item in identity.addresses)
        if not there:
            await self._host.identity.add_address(each.item.interface, each.item.address)
            await self._host.identity.announce(each.item.interface, each.bare)
        news = each.state != "held" or not there
        each.state, each.sure = "held", True
        await self._save()
        if news:
            self._events.record(EventCode.ADDRESS_TAKEN_BACK, f"{each.item.address} is used by this machine")

    async def _give_up(self, each: _Guarded, state: GuardState) -> None:
        """Remember it first: a machine that loses its power now stays off the address at its next start."""
        news = each.state != state
        each.state, each.sure = state, False
        await self._save()
        if news:
            why = ISOLATED if state == "isolated" else STOOD_IN
            self._events.record(EventCode.ADDRESS_GIVEN_UP, f"this machine stays off {each.item.address}: {why}")
        await self._remove(each)

    async def _remove(self, each: _Guarded) -> None:
        await self._host.identity.remove_address(each.item.interface, each.item.address)
        each.sure = True

    async def _save(self) -> None:
        away = [GivenUp(each.item.address, each.state) for each in self._guarded if each.state != "held"]
        try:
            await self._store.save(BOOK, GuardBook(away))
        except BodydoubleError as error:  # a full disk is no reason to stay a second owner
            self._report("remember what was given up", str(error))

    def _report(self, what: str, reason: str) -> None:
        if self._reasons.get(what) != reason:
            self._reasons[what] = reason
            self._events.record(EventCode.GUARD_FAILED, f"guard: could not {what}: {reason}")
