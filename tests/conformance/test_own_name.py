from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import DuplicateIdentityError

if TYPE_CHECKING:
    from tests.conformance.conftest import Caller, Segment

    from bodydouble.ports import Host, OwnName


def own_name(host: Host) -> OwnName:
    assert host.own_name is not None
    return host.own_name


async def only_ours(ours: Caller, theirs: Caller) -> str:
    """Our own name; on a body whose two hosts have one name the other one makes way."""
    own = (await ours(lambda host: host.identity.query())).permanent_name
    if (await theirs(lambda host: host.identity.query())).permanent_name == own:
        await theirs(lambda host: own_name(host).give_up("OTHER"))
    return own


async def take(host: Host, name: str) -> None:
    if (await host.identity.query()).permanent_name == name:
        await own_name(host).take_back()
    else:
        await host.identity.add_name(name)


async def leave(host: Host, name: str) -> None:
    if (await host.identity.query()).permanent_name == name:
        await own_name(host).give_up("OTHER")
    else:
        await host.identity.remove_name(name)


def test_own_name_that_was_given_up_is_not_answered_for_until_it_is_taken_back(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        own = await only_ours(ours, theirs)
        assert await theirs(lambda host: host.identity.name_in_use(own))
        for _ in range(2):
            await ours(lambda host: own_name(host).give_up("STANDIN"))
        assert not await theirs(lambda host: host.identity.name_in_use(own))
        for _ in range(2):
            await ours(lambda host: own_name(host).take_back())
        assert await theirs(lambda host: host.identity.name_in_use(own))

    segment.run(case)


def test_added_name_is_answered_for_while_the_own_one_is_given_up(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        await ours(lambda host: host.identity.add_name("STANDIN"))
        await ours(lambda host: own_name(host).give_up("STANDIN"))
        assert await theirs(lambda host: host.identity.name_in_use("STANDIN"))

    segment.run(case)


def test_own_name_that_another_machine_took_meanwhile_is_not_taken_back(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        own = await only_ours(ours, theirs)
        await ours(lambda host: own_name(host).give_up("STANDIN"))
        await theirs(lambda host: take(host, own))
        with pytest.raises(DuplicateIdentityError):
            await ours(lambda host: own_name(host).take_back())
        await theirs(lambda host: leave(host, own))
        await ours(lambda host: own_name(host).take_back())
        assert await theirs(lambda host: host.identity.name_in_use(own))

    segment.run(case)
