from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.product.failover.fakes import Target

from bodydouble.errors import ConnectionStateError, FileSystemError, InputError
from bodydouble.security import tokens as module
from bodydouble.security.attempts import LoginLimit
from bodydouble.security.tokens import MAX_TOKENS, Tokens
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.tokens import TokenRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


def tokens_of(target: Target) -> Tokens:
    host = target.host
    events = EventLog(host.file_system, "/state", host.clock)
    return Tokens("configured secret", StateStore(host.file_system, "/state"), host.entropy, host.clock, events)


def with_tokens(action: Callable[[Tokens], Awaitable[T]], target: Target | None = None) -> T:
    async def main() -> T:
        found = tokens_of(target or Target())
        await found.load()
        return await action(found)

    return asyncio.run(main())


def test_tokens_outlive_the_daemon_and_revoked_ones_stay_revoked() -> None:
    target = Target()

    async def first(tokens: Tokens) -> tuple[str, str]:
        kept = await tokens.create(TokenRequest("kept", "monitor"))
        gone = await tokens.create(TokenRequest("gone", "admin"))
        await tokens.revoke("gone")
        return kept.secret, gone.secret

    kept, gone = with_tokens(first, target)

    async def later(tokens: Tokens) -> None:
        found = tokens.holder(kept.encode())
        assert found is not None
        assert (found.name, found.role) == ("kept", "monitor")
        assert tokens.holder(gone.encode()) is None
        assert tokens.holder(b"configured secret") is not None

    with_tokens(later, target)


def test_no_secret_is_on_the_disk() -> None:
    target = Target()

    async def action(tokens: Tokens) -> str:
        return (await tokens.create(TokenRequest("x", "monitor"))).secret

    secret = with_tokens(action, target)
    content = b"".join(target.files.files.values())
    assert content
    assert secret.encode() not in content
    assert secret.removeprefix(module.PREFIX).encode() not in content
    assert b"configured secret" not in content


def test_a_secret_has_256_bits_and_no_two_are_alike() -> None:
    async def action(tokens: Tokens) -> set[str]:
        return {(await tokens.create(TokenRequest(f"t{number}", "monitor"))).secret for number in range(20)}

    found = with_tokens(action)
    assert len(found) == 20
    assert {len(each) for each in found} == {len(module.PREFIX) + 43}


def test_every_digest_is_compared_in_constant_time_whoever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counting(one: bytes, other: bytes) -> bool:
        compared[-1] += 1
        return one == other

    async def action(tokens: Tokens) -> None:
        secrets = [(await tokens.create(TokenRequest(f"t{number}", "monitor"))).secret for number in range(3)]
        monkeypatch.setattr(module, "compare_digest", counting)
        for secret in [*secrets, "configured secret", "nobody's"]:
            compared.append(0)
            tokens.holder(secret.encode())

    with_tokens(action)
    assert compared == [4] * 5
    assert "==" not in Path(module.__file__).read_text().partition("def holder")[2].partition("def valid")[0]


def test_names_are_told_apart_without_their_case_and_their_number_is_bounded() -> None:
    async def action(tokens: Tokens) -> None:
        await tokens.create(TokenRequest("Alice", "monitor"))
        for taken in ("alice", "Configured"):
            with pytest.raises(ConnectionStateError, match="there is a token"):
                await tokens.create(TokenRequest(taken, "admin"))
        for number in range(MAX_TOKENS - 1):
            await tokens.create(TokenRequest(f"t{number}", "monitor"))
        with pytest.raises(ConnectionStateError, match="revoke one"):
            await tokens.create(TokenRequest("more", "monitor"))
        await tokens.revoke("ALICE")
        with pytest.raises(InputError, match="no token"):
            await tokens.revoke("alice")

    with_tokens(action)


def test_a_token_that_could_not_be_kept_is_not_valid_and_one_that_could_not_be_revoked_is() -> None:
    target = Target()

    async def action(tokens: Tokens) -> None:
        target.files.refuse = 1
        with pytest.raises(FileSystemError):
            await tokens.create(TokenRequest("x", "monitor"))
        assert [each.name for each in tokens.listed()] == ["configured"]
        made = await tokens.create(TokenRequest("x", "monitor"))
        target.files.refuse = 1
        with pytest.raises(FileSystemError):
            await tokens.revoke("x")
        assert tokens.holder(made.secret.encode()) is not None

    with_tokens(action, target)


def test_a_holder_shows_no_digest() -> None:
    async def action(tokens: Tokens) -> Any:
        return tokens.holder(b"configured secret")

    assert repr(with_tokens(action)) == "Holder(name='configured', role='admin')"


# --- wrong ones -----------------------------------------------------------------------------------------------------


def test_tries_are_forgiven_one_at_a_time() -> None:
    limit = LoginLimit(tries=3, seconds=10.0)
    for _ in range(3):
        assert limit.wait("a", 0.0) == 0.0
        limit.failed("a", 0.0)
    assert limit.wait("a", 0.0) == 10.0
    assert limit.wait("a", 9.0) == 1.0
    assert limit.wait("a", 10.0) == 0.0
    limit.failed("a", 10.0)
    assert limit.wait("a", 10.0) == 10.0
    assert limit.wait("b", 10.0) == 0.0


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("no address", "another", False),
    ],
)
def test_addresses_of_one_ipv6_network_count_together(one: str, other: str, together: bool) -> None:
    limit = LoginLimit(tries=1)
    limit.failed(one, 0.0)
    assert (limit.wait(other, 0.0) > 0) == together


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 3)), max_size=300))
def test_what_is_remembered_is_bounded_and_whoever_failed_last_is_remembered(tries: list[tuple[int, float]]) -> None:
    limit, now = LoginLimit(tries=1, addresses=10), 0.0
    for address, later in tries:
        now += later
        limit.failed(str(address), now)
        assert limit.wait(str(address), now) > 0
        assert len(limit) <= 10
