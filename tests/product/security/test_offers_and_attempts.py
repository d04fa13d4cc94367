from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bodydouble.security.attempts import MAX_ADDRESSES, OTHERS, QUIET_SECONDS, AttemptLog, WaitingRoom
from bodydouble.security.offers import MAX_TRIES, OpenOffer
from bodydouble.vocabulary.records import BOTH_ROLES

LASTS = 600.0
names = st.sampled_from(["a" * 64, "b" * 64, "c" * 64])


class Offers(RuleBasedStateMachine):
    """An offer is open to one machine at most once it was used, and to nobody once it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.offer = OpenOffer("a code", BOTH_ROLES, LASTS)
        self.users: set[str] = set()
        self.wrong = 0
        self.withdrawn = False

    @rule(seconds=st.floats(0, 300))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=names)
    def use(self, name: str) -> None:
        if self.offer.open_to(name, self.now):
            self.offer.use(name, name)
            self.users.add(name)

    @rule()
    def guess(self) -> None:
        if self.offer.listens(self.now):
            self.wrong += 1
            assert self.offer.tried_in_vain() == (self.wrong == MAX_TRIES)

    @rule()
    def withdraw(self) -> None:
        self.withdrawn = True
        self.offer.withdraw()

    @invariant()
    def one_machine_at_most(self) -> None:
        assert len(self.users) <= 1

    @invariant()
    def it_ends(self) -> None:
        over = self.now >= LASTS or self.withdrawn or self.wrong >= MAX_TRIES
        assert self.offer.listens(self.now) == (not over)
        for name in ("a" * 64, "b" * 64, "c" * 64):
            assert self.offer.open_to(name, self.now) == (not over and (not self.users or name in self.users))

    @invariant()
    def the_code_is_never_shown(self) -> None:
        assert "a code" not in repr(self.offer)
        assert "a code" not in repr(self.offer.status(self.now))

    @invariant()
    def its_state_has_a_word(self) -> None:
        state = self.offer.status(self.now).state
        assert (state == "open") == (self.offer.listens(self.now) and not self.users)


TestOffers = Offers.TestCase
TestOffers.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(st.sampled_from(["evil", "worse", "good"]), max_size=200))
def test_waiting_connections_are_bounded_whoever_comes(addresses: list[str]) -> None:
    room: WaitingRoom[int] = WaitingRoom(6, 3)
    inside: dict[int, str] = {}
    for number, address in enumerate(addresses):
        leaving = room.enter(number, address)
        inside[number] = address
        if leaving is not None:
            del inside[leaving]
        assert number in inside, "a newcomer always finds a place"
        assert len(room) == len(inside) <= 6
        assert max(list(inside.values()).count(each) for each in inside.values()) <= 3


def test_a_flood_from_one_address_turns_out_only_its_own() -> None:
    room: WaitingRoom[str] = WaitingRoom(32, 8)
    room.enter("paired", "10.0.0.10")
    left = [room.enter(f"evil {number}", "10.0.0.66") for number in range(100)]
    assert "paired" not in left
    assert left[8] == "evil 0"


def test_a_flood_from_everywhere_turns_out_who_has_waited_longest_where_most_wait() -> None:
    room: WaitingRoom[str] = WaitingRoom(4, 4)
    for number in range(3):
        room.enter(f"evil {number}", "10.0.0.66")
    room.enter("paired", "10.0.0.10")
    assert room.enter("another", "10.0.0.11") == "evil 0"


def test_a_flood_of_attempts_is_a_few_events_with_their_number() -> None:
    log = AttemptLog()
    said = [log.note("10.0.0.66", "no certificate", now / 10) for now in range(3000)]
    texts = [text for text in said if text is not None]
    assert len(texts) == 5
    assert "599 more" in texts[1]


@given(st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 1)), max_size=400))
def test_addresses_that_are_remembered_are_bounded(attempts: list[tuple[int, float]]) -> None:
    log, now, events = AttemptLog(), 0.0, 0
    for address, later in attempts:
        now += later
        events += log.note(str(address), "no certificate", now) is not None
    assert len(log._said) <= MAX_ADDRESSES + 1
    assert events <= (MAX_ADDRESSES + 1) * (now // QUIET_SECONDS + 1)


def test_too_many_addresses_are_counted_together() -> None:
    log = AttemptLog()
    said = [log.note(str(number), "no certificate", 0.0) for number in range(2 * MAX_ADDRESSES)]
    assert sum(text is not None for text in said) == MAX_ADDRESSES + 1
    assert OTHERS in (said[MAX_ADDRESSES] or "")
