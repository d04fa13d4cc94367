"""Accounts, groups, rights and shares."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bodydouble_sim.iis import setup as iis_setup
from bodydouble_sim.iis.setup import IisOptions
from bodydouble_sim.windows.accounts import SERVICE_LOGON, AccountError
from bodydouble_sim.windows.registry import SERVICES
from bodydouble_sim.windows.shares import ShareError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.system import WindowsSystem


def refused(call: Callable[[], object]) -> int:
    """The Windows error of a call that must fail."""
    try:
        call()
    except (AccountError, ShareError) as error:
        return error.number
    raise AssertionError("it was not refused")


@pytest.mark.behaviour('Microsoft, "Windows 2000 default groups": Guest is disabled')
def test_set_up_makes_administrator_and_a_disabled_guest(system: WindowsSystem) -> None:
    assert [(user.name, user.enabled, user.rid) for user in system.accounts.users()] == [
        ("Administrator", True, 500),
        ("Guest", False, 501),
    ]
    assert system.accounts.groups_of("administrator") == ["Administrators"]
    assert system.accounts.members("Guests") == ["Guest"]


@pytest.mark.behaviour("Microsoft, NERR_UserExists (2224), NERR_GroupExists (2223), NERR_BadUsername (2202)")
def test_user_names_are_unique_without_regard_to_case_and_limited(system: WindowsSystem) -> None:
    system.accounts.add("Anna", "secret", "operator")
    found = system.accounts.find("ANNA")
    assert found is not None
    assert (found.name, found.comment, found.enabled) == ("Anna", "operator", True)
    assert refused(lambda: system.accounts.add("anna", "x")) == 2224
    assert refused(lambda: system.accounts.add("Users", "x")) == 2223
    for name in ("", "a" * 21, "a/b", "..", "a*"):
        with pytest.raises(AccountError, match="invalid"):
            system.accounts.add(name, "x")


@pytest.mark.behaviour("Microsoft: a new user is a member of Users")
def test_a_new_user_is_a_member_of_users(system: WindowsSystem) -> None:
    system.accounts.add("anna", "x")
    assert system.accounts.groups_of("ANNA") == ["Users"]


@pytest.mark.behaviour("Microsoft, ERROR_LOGON_FAILURE (1326): unknown user name or bad password")
def test_an_unknown_user_and_a_wrong_password_are_the_same_failure(system: WindowsSystem) -> None:
    system.accounts.add("anna", "secret")
    assert system.accounts.check("TARGET\\anna", "secret").name == "anna"
    assert refused(lambda: system.accounts.check("anna", "Secret")) == 1326
    assert refused(lambda: system.accounts.check("berta", "secret")) == 1326


@pytest.mark.behaviour("Microsoft, ERROR_ACCOUNT_DISABLED (1331)")
def test_a_disabled_account_cannot_log_on(system: WindowsSystem) -> None:
    system.accounts.add("anna", "secret")
    system.accounts.set_enabled("anna", False)
    assert refused(lambda: system.accounts.check("anna", "secret")) == 1331
    system.accounts.set_enabled("anna", True)
    assert system.accounts.check("anna", "secret").enabled


@pytest.mark.behaviour("Microsoft, ERROR_SPECIAL_ACCOUNT (1371): built-in accounts")
def test_built_in_accounts_and_groups_stay(system: WindowsSystem) -> None:
    assert refused(lambda: system.accounts.delete("Guest")) == 1371
    assert refused(lambda: system.accounts.set_enabled("Administrator", False)) == 1371
    assert refused(lambda: system.accounts.delete_group("users")) == 1371


@pytest.mark.behaviour("Microsoft, NERR_UserNotFound (2221)")
def test_a_deleted_user_is_in_no_group_and_has_no_right(system: WindowsSystem) -> None:
    system.accounts.add("anna", "x")
    system.accounts.grant("anna", SERVICE_LOGON)
    system.accounts.delete("ANNA")
    assert refused(lambda: system.accounts.set_password("anna", "y")) == 2221
    assert system.accounts.members("Users") == []
    assert not system.accounts.has_right("anna", SERVICE_LOGON)


@pytest.mark.behaviour("Microsoft: a relative identifier is never used again")
def test_an_account_made_again_under_its_name_is_another_one(system: WindowsSystem) -> None:
    first = system.accounts.add("anna", "x")
    system.accounts.delete("anna")
    assert (first.rid, system.accounts.add("anna", "x").rid) == (1000, 1001)


@pytest.mark.behaviour("Microsoft, NERR_PasswordTooShort (2245)")
def test_a_password_shorter_than_the_policy_is_refused(system: WindowsSystem) -> None:
    system.accounts.minimum_password_length = 6
    assert refused(lambda: system.accounts.add("anna", "12345")) == 2245
    assert system.accounts.find("anna") is None
    system.accounts.add("anna", "123456")


@pytest.mark.behaviour(
    "Microsoft, ERROR_MEMBER_IN_ALIAS (1378), ERROR_MEMBER_NOT_IN_ALIAS (1377), ERROR_NO_SUCH_ALIAS (1376)"
)
def test_members_are_added_and_removed_once(system: WindowsSystem) -> None:
    accounts = system.accounts
    accounts.add("anna", "x")
    accounts.add_group("Web Authors")
    accounts.add_member("web authors", "ANNA")
    accounts.add_member("Web Authors", "LAB\\Domain Users")
    assert accounts.members("Web Authors") == ["anna", "LAB\\Domain Users"]
    assert refused(lambda: accounts.add_member("Web Authors", "anna")) == 1378
    assert refused(lambda: accounts.add_member("Web Authors", "nobody")) == 1387
    accounts.remove_member("Web Authors", "anna")
    assert refused(lambda: accounts.remove_member("Web Authors", "anna")) == 1377
    assert refused(lambda: accounts.members("Nothing")) == 1376
    accounts.delete_group("WEB AUTHORS")
    assert "Web Authors" not in accounts.groups()


def test_a_group_has_a_name_of_its_own(system: WindowsSystem) -> None:
    assert refused(lambda: system.accounts.add_group("users")) == 1379
    assert refused(lambda: system.accounts.add_group("administrator")) == 2224
    assert refused(lambda: system.accounts.add_group("a/b")) == 2202


def test_rights_are_given_and_taken(system: WindowsSystem) -> None:
    system.accounts.grant("Guests", SERVICE_LOGON)
    assert system.accounts.has_right("Guest", SERVICE_LOGON)
    system.accounts.revoke("Guests", SERVICE_LOGON)
    assert not system.accounts.has_right("Guest", SERVICE_LOGON)


@pytest.mark.behaviour("KB 2784761: what is not flushed is lost with the power, accounts as well")
def test_accounts_survive_a_power_cut_once_they_were_flushed(system: WindowsSystem) -> None:
    system.accounts.add("anna", "x")
    system.registry.flush()
    system.accounts.add("berta", "x")
    system.lose_power()
    assert [user.name for user in system.accounts.users()] == ["Administrator", "anna", "Guest"]
    system.accounts.check("anna", "x")


@pytest.mark.behaviour('reference/windows-iis.md, "Names": IUSR_ and IWAM_ are made under the name of set-up and stay')
def test_the_accounts_of_iis_keep_the_name_of_set_up(system: WindowsSystem) -> None:
    async def run() -> None:
        await system.boot()
        await iis_setup.install(system, IisOptions(http_port=0, ftp_port=0, smtp_port=0, nntp_port=0, start=False))
        system.names.set_permanent("OTHER")
        await system.boot()

    asyncio.run(run())
    assert [user.name for user in system.accounts.users()] == ["Administrator", "Guest", "IUSR_TARGET", "IWAM_TARGET"]
    assert "IUSR_TARGET" in system.accounts.members("Guests")


# --- shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("KB 314984: IPC$, ADMIN$ and a share of every drive")
def test_administrative_shares_exist_by_themselves(system: WindowsSystem) -> None:
    assert [(share.name, share.path) for share in system.shares.all()] == [
        ("IPC$", ""),
        ("ADMIN$", "C:/WINNT"),
        ("C$", "C:"),
    ]


@pytest.mark.behaviour("KB 314984: AutoShareServer 0")
def test_administrative_shares_can_be_switched_off(system: WindowsSystem) -> None:
    system.registry.set(rf"{SERVICES}\LanmanServer\Parameters", "AutoShareServer", 0)
    assert [share.name for share in system.shares.all()] == ["IPC$"]


@pytest.mark.behaviour("KB 314984: a deleted administrative share is back when Server starts again")
def test_a_deleted_administrative_share_comes_back_with_the_server_service(system: WindowsSystem) -> None:
    async def run() -> list[bool]:
        await system.boot()
        system.shares.delete("c$")
        before = system.shares.find("C$") is not None
        await system.command("net stop Server /y")
        await system.command("net start Server")
        return [before, system.shares.find("C$") is not None]

    assert asyncio.run(run()) == [False, True]


@pytest.mark.behaviour("Microsoft, NERR_DuplicateShare (2118), NERR_UnknownDevDir (2116), NERR_NetNameNotFound (2310)")
def test_a_directory_is_shared_once_under_a_name(system: WindowsSystem) -> None:
    system.make_directories("C:/Data")
    system.shares.add("Data", "C:\\Data", "for all")
    found = system.shares.find("data")
    assert found is not None
    assert (found.name, found.path, found.comment, found.special) == ("Data", "C:/Data", "for all", False)
    assert refused(lambda: system.shares.add("DATA", "C:\\Data")) == 2118
    assert refused(lambda: system.shares.add("C$", "C:\\Data")) == 2118
    assert refused(lambda: system.shares.add("Other", "C:\\Nowhere")) == 2116
    assert refused(lambda: system.shares.add("a\\b", "C:\\Data")) == 123
    system.shares.delete("data")
    assert refused(lambda: system.shares.delete("Data")) == 2310


@pytest.mark.behaviour("Microsoft: shares are in the registry, LanmanServer\\Shares")
def test_a_whole_drive_can_be_shared_and_shares_survive_a_restart(system: WindowsSystem) -> None:
    system.shares.add("Drive", "C:\\")
    asyncio.run(system.boot())
    found = system.shares.find("Drive")
    assert found is not None
    assert found.path == "C:"
