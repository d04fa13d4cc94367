from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bodydouble.errors import DuplicateIdentityError, IdentityError
from bodydouble.vocabulary.records import InterfaceAddress

if TYPE_CHECKING:
    from tests.conformance.conftest import Caller, Segment


def test_identity_shows_names_and_addresses_with_their_interface(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        identity = await ours(lambda host: host.identity.query())
        assert identity.primary_name == identity.permanent_name != ""
        assert identity.added_names == []
        assert identity.addresses == [InterfaceAddress(interface=segment.interface, address=segment.own)]

    segment.run(case)


def test_address_is_added_once_and_removed(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        spare = InterfaceAddress(interface=segment.interface, address=segment.spare)
        for _ in range(2):
            await ours(lambda host: host.identity.add_address(segment.interface, segment.spare))
        assert (await ours(lambda host: host.identity.query())).addresses.count(spare) == 1
        for _ in range(2):
            await ours(lambda host: host.identity.remove_address(segment.interface, segment.spare))
        assert spare not in (await ours(lambda host: host.identity.query())).addresses

    segment.run(case)


def test_added_address_answers_and_a_removed_one_does_not(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        spare = segment.spare.partition("/")[0]
        assert await theirs(lambda host: host.pinger.ping(spare, 0.5)) is None
        await ours(lambda host: host.identity.add_address(segment.interface, segment.spare))
        await ours(lambda host: host.identity.announce(segment.interface, spare))
        assert await theirs(lambda host: host.pinger.ping(spare, 5.0)) is not None
        await ours(lambda host: host.identity.remove_address(segment.interface, segment.spare))
        assert await theirs(lambda host: host.pinger.ping(spare, 0.5)) is None

    segment.run(case)


def test_probe_tells_whether_another_machine_has_an_address(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        own, spare = segment.own.partition("/")[0], segment.spare.partition("/")[0]
        assert await theirs(lambda host: host.identity.in_use(segment.interface, own))
        assert not await theirs(lambda host: host.identity.in_use(segment.interface, spare))
        assert not await ours(lambda host: host.identity.in_use(segment.interface, own))

    segment.run(case)


def test_unknown_interface_and_malformed_address_are_refused(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        with pytest.raises(IdentityError):
            await ours(lambda host: host.identity.add_address("nowhere9", segment.spare))
        with pytest.raises(IdentityError):
            await ours(lambda host: host.identity.add_address(segment.interface, "10.0.0.999/24"))

    segment.run(case)


def test_added_name_is_listed_until_removed(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        for _ in range(2):
            await ours(lambda host: host.identity.add_name("STANDIN"))
        assert (await ours(lambda host: host.identity.query())).added_names == ["STANDIN"]
        for _ in range(2):
            await ours(lambda host: host.identity.remove_name("STANDIN"))
        assert (await ours(lambda host: host.identity.query())).added_names == []

    segment.run(case)


def test_name_that_another_machine_answers_for_is_refused(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        await theirs(lambda host: host.identity.add_name("TAKEN"))
        with pytest.raises(DuplicateIdentityError):
            await ours(lambda host: host.identity.add_name("TAKEN"))
        assert (await ours(lambda host: host.identity.query())).added_names == []
        await theirs(lambda host: host.identity.remove_name("TAKEN"))
        await ours(lambda host: host.identity.add_name("TAKEN"))

    segment.run(case)


def test_name_that_another_machine_answers_for_is_in_use(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        await theirs(lambda host: host.identity.add_name("TAKEN"))
        assert await ours(lambda host: host.identity.name_in_use("TAKEN"))
        assert not await ours(lambda host: host.identity.name_in_use("NOBODYS"))
        assert not await theirs(lambda host: host.identity.name_in_use("TAKEN"))

    segment.run(case)


def test_name_that_was_free_and_is_taken_meanwhile_is_refused(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        assert not await ours(lambda host: host.identity.name_in_use("CONTESTED"))
        await theirs(lambda host: host.identity.add_name("CONTESTED"))
        with pytest.raises(DuplicateIdentityError):
            await ours(lambda host: host.identity.add_name("CONTESTED"))

    segment.run(case)


def test_name_that_was_free_is_added_and_answered_for(segment: Segment) -> None:
    async def case(ours: Caller, theirs: Caller) -> None:
        assert not await ours(lambda host: host.identity.name_in_use("FREE"))
        await ours(lambda host: host.identity.add_name("FREE"))
        assert (await ours(lambda host: host.identity.query())).added_names == ["FREE"]
        assert await theirs(lambda host: host.identity.name_in_use("FREE"))

    segment.run(case)


def test_own_name_needs_no_adding(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        own = (await ours(lambda host: host.identity.query())).primary_name
        await ours(lambda host: host.identity.add_name(own))
        assert (await ours(lambda host: host.identity.query())).added_names == []

    segment.run(case)


def test_name_longer_than_netbios_allows_is_refused(segment: Segment) -> None:
    async def case(ours: Caller, _theirs: Caller) -> None:
        with pytest.raises(IdentityError):
            await ours(lambda host: host.identity.add_name("A-NAME-OF-16-CHR"))

    segment.run(case)
