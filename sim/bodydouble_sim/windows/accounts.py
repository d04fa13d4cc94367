"""Accounts and groups of one machine, or of its domain when it is a domain controller: the SAM.

Kept in the SAM hive, so they survive power cycles as the registry does. Error numbers are those of the NetUser* and
NetLocalGroup* calls (Microsoft, "Network Management Error Codes") and of Win32. Passwords are kept as a salted SHA-256,
not as the NT hash: nothing here speaks NTLM.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError

if TYPE_CHECKING:
    import random

    from bodydouble_sim.windows.registry import Registry

LOGON_FAILURE = 1326
ACCOUNT_DISABLED = 1331
SPECIAL_ACCOUNT = 1371
SPECIAL_GROUP = 1372
BAD_USER_NAME = 2202
NO_SUCH_GROUP = 2220
NO_SUCH_USER = 2221
GROUP_EXISTS = 2223
USER_EXISTS = 2224
NO_LOCAL_GROUP = 1376
ALIAS_EXISTS = 1379
MEMBER_IN_ALIAS = 1378
MEMBER_NOT_IN_ALIAS = 1377
NO_SUCH_MEMBER = 1387
PASSWORD_TOO_SHORT = 2245

TEXTS = {
    LOGON_FAILURE: "Logon failure: unknown user name or bad password.",
    ACCOUNT_DISABLED: "Logon failure: account currently disabled.",
    SPECIAL_ACCOUNT: "Cannot perform this operation on built-in accounts.",
    SPECIAL_GROUP: "Cannot perform this operation on this built-in special group.",
    BAD_USER_NAME: "The user name or group name parameter is invalid.",
    NO_SUCH_GROUP: "The group name could not be found.",
    NO_SUCH_USER: "The user name could not be found.",
    GROUP_EXISTS: "The group already exists.",
    USER_EXISTS: "The account already exists.",
    NO_LOCAL_GROUP: "The specified local group does not exist.",
    ALIAS_EXISTS: "The specified local group already exists.",
    MEMBER_IN_ALIAS: "The specified account name is already a member of the local group.",
    MEMBER_NOT_IN_ALIAS: "The specified account name is not a member of the local group.",
    NO_SUCH_MEMBER: "A new member could not be added to a local group because the member does not exist.",
    PASSWORD_TOO_SHORT: (
        "The password does not meet the password policy requirements. Check the minimum password length, password "
        "complexity and password history requirements."
    ),
}

ADMINISTRATOR = "Administrator"
GUEST = "Guest"
ADMINISTRATORS = "Administrators"
USERS = "Users"
SERVICE_LOGON = "SeServiceLogonRight"

STANDALONE_GROUPS = ("Administrators", "Backup Operators", "Guests", "Power Users", "Replicator", "Users")
CONTROLLER_GROUPS = (
    "Account Operators",
    "Administrators",
    "Backup Operators",
    "Guests",
    "Print Operators",
    "Replicator",
    "Server Operators",
    "Users",
)
_USERS = r"HKLM\SAM\SAM\Domains\Account\Users\Names"
_GROUPS = r"HKLM\SAM\SAM\Domains\Builtin\Aliases\Names"
_DOMAIN = r"HKLM\SAM\SAM\Domains\Account"
_RIGHTS = r"HKLM\SECURITY\Policy\Accounts"
_NAME = re.compile(r"[^\"/\\\[\]:;|=,+*?<>\x00-\x1f]{1,20}")
_FIRST_RID = 1000


class AccountError(BodydoubleError):
    """An account or group could not be found, changed or used; ``number`` is the Windows error."""

    def __init__(self, number: int, name: str = "") -> None:
        super().__init__(f"{name}: {TEXTS[number]}" if name else TEXTS[number])
        self.number = number


@dataclass(frozen=True, slots=True)
class User:
    """A user account; its password is only ever compared."""

    name: str
    enabled: bool = True
    comment: str = ""
    rid: int = 0


class Accounts:
    """The accounts database of a machine.

    Args:
        registry: holds it.
        random: salts passwords.
    """

    def __init__(self, registry: Registry, random: random.Random) -> None:
        self._registry = registry
        self._random = random

    def install(self, groups: tuple[str, ...]) -> None:
        """Make the built-in accounts and groups; those that are there stay.

        Source: Microsoft, "Windows NT Server 4.0 built-in accounts": Administrator in Administrators, Guest in Guests
        and disabled on servers; a domain controller has Account, Print and Server Operators instead of Power Users.
        """
        for name, rid, comment in (
            (ADMINISTRATOR, 500, "Built-in account for administering the computer/domain"),
            (GUEST, 501, "Built-in account for guest access to the computer/domain"),
        ):
            if self.find(name) is None:
                self._store(User(name, name != GUEST, comment, rid))
                self.set_password(name, "")
        for group in groups:
            if not self._registry.exists(rf"{_GROUPS}\{group}"):
                self._registry.set(rf"{_GROUPS}\{group}", "Members", [])
        self._put_members(ADMINISTRATORS, [ADMINISTRATOR])
        self._put_members("Guests", [GUEST])

    # --- users ------------------------------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """All users by name."""
        found = [self.find(name) for name in self._registry.subkeys(_USERS)]
        return sorted((user for user in found if user is not None), key=lambda user: user.name.upper())

    def find(self, name: str) -> User | None:
        """A user by name in any case."""
        for known in self._registry.subkeys(_USERS):
            if known.upper() == name.upper():
                key = rf"{_USERS}\{known}"
                disabled = self._registry.number(key, "Disabled")
                comment = self._registry.text(key, "Comment")
                return User(known, not disabled, comment, self._registry.number(key, "Rid"))
        return None

    def _known(self, name: str) -> User:
        user = self.find(name)
        if user is None:
            raise AccountError(NO_SUCH_USER, name)
        return user

    def _store(self, user: User) -> None:
        key = rf"{_USERS}\{user.name}"
        self._registry.set(key, "Rid", user.rid)
        self._registry.set(key, "Disabled", int(not user.enabled))
        self._registry.set(key, "Comment", user.comment)

    def add(self, name: str, password: str, comment: str = "") -> User:
        """Make a user; it is a member of Users.

        Raises:
            AccountError: 2224 (exists), 2223 (a group has the name), 2202 (no user name: 1 to 20 characters, no
                slash, bracket, colon, quotation mark, wildcard and the like), 2245.
        """
        if not _NAME.fullmatch(name) or not name.strip(" ."):
            raise AccountError(BAD_USER_NAME, name)
        if self.find(name) is not None:
            raise AccountError(USER_EXISTS, name)
        if self._group(name) is not None:
            raise AccountError(GROUP_EXISTS, name)
        self._check_length(password)
        rid = max(self._registry.number(_DOMAIN, "NextRid"), _FIRST_RID)
        self._registry.set(_DOMAIN, "NextRid", rid + 1)
        user = User(name, enabled=True, comment=comment, rid=rid)
        self._store(user)
        self.set_password(name, password)
        if self._group(USERS) is not None:
            self.add_member(USERS, name)
        return user

    def delete(self, name: str) -> None:
        """Delete a user, in all its groups as well.

        Raises:
            AccountError: 2221, 1371 (a built-in account).
        """
        user = self._known(name)
        if user.rid in (500, 501):
            raise AccountError(SPECIAL_ACCOUNT, name)
        for group in self.groups_of(name):
            self.remove_member(group, name)
        self._registry.delete(rf"{_USERS}\{user.name}")
        self._registry.delete(rf"{_RIGHTS}\{user.name}")

    def set_password(self, name: str, password: str) -> None:
        """Change a password.

        Raises:
            AccountError: 2221, 2245 (shorter than the policy allows).
        """
        user = self._known(name)
        self._check_length(password)
        salt = self._random.randbytes(8)
        self._registry.set(rf"{_USERS}\{user.name}", "Hash", salt + _digest(salt, password))

    def _check_length(self, password: str) -> None:
        if len(password) < self.minimum_password_length:
            raise AccountError(PASSWORD_TOO_SHORT)

    @property
    def minimum_password_length(self) -> int:
        """The account policy's shortest password (``net accounts /minpwlen``); 0 until set."""
        return self._registry.number(_DOMAIN, "MinPwdLen")

    @minimum_password_length.setter
    def minimum_password_length(self, length: int) -> None:
        self._registry.set(_DOMAIN, "MinPwdLen", length)

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Enable or disable a user.

        Raises:
            AccountError: 2221, 1371 (the built-in administrator is never disabled).
        """
        user = self._known(name)
        if user.rid == 500 and not enabled:  # noqa: PLR2004 - DOMAIN_USER_RID_ADMIN
            raise AccountError(SPECIAL_ACCOUNT, name)
        self._store(User(user.name, enabled, user.comment, user.rid))

    def check(self, name: str, password: str) -> User:
        """Log a user on with name and password; a domain or machine before it is left out.

        Raises:
            AccountError: 1326 (no such user, or another password: a client is not told which), 1331 (disabled).
        """
        user = self.find(name.rpartition("\\")[2])
        stored = None if user is None else self._registry.get(rf"{_USERS}\{user.name}", "Hash")
        if user is None or not isinstance(stored, bytes) or stored[8:] != _digest(stored[:8], password):
            raise AccountError(LOGON_FAILURE, name)
        if not user.enabled:
            raise AccountError(ACCOUNT_DISABLED, name)
        return user

    # --- groups -----------------------------------------------------------------------------------------------------

    def groups(self) -> list[str]:
        """Names of the local groups."""
        return sorted(self._registry.subkeys(_GROUPS), key=str.upper)

    def _group(self, name: str) -> str | None:
        return next((known for known in self._registry.subkeys(_GROUPS) if known.upper() == name.upper()), None)

    def _known_group(self, name: str) -> str:
        group = self._group(name)
        if group is None:
            raise AccountError(NO_LOCAL_GROUP, name)
        return group

    def members(self, group: str) -> list[str]:
        """Members of a group.

        Raises:
            AccountError: 1376.
        """
        return self._registry.strings(rf"{_GROUPS}\{self._known_group(group)}", "Members")

    def _put_members(self, group: str, names: list[str]) -> None:
        present = self.members(group)
        missing = [name for name in names if name.upper() not in {known.upper() for known in present}]
        if missing:
            self._registry.set(rf"{_GROUPS}\{self._known_group(group)}", "Members", [*present, *missing])

    def add_group(self, name: str) -> None:
        """Make an empty local group.

        Raises:
            AccountError: 1379 (exists), 2224 (a user has the name), 2202.
        """
        if not name.strip(" .") or any(character in '"/\\[]:;|=,+*?<>' for character in name):
            raise AccountError(BAD_USER_NAME, name)
        if self._group(name) is not None:
            raise AccountError(ALIAS_EXISTS, name)
        if self.find(name) is not None:
            raise AccountError(USER_EXISTS, name)
        self._registry.set(rf"{_GROUPS}\{name}", "Members", [])

    def delete_group(self, name: str) -> None:
        """Delete a local group.

        Raises:
            AccountError: 1376, 1371 (built in).
        """
        group = self._known_group(name)
        if group in (*STANDALONE_GROUPS, *CONTROLLER_GROUPS):
            raise AccountError(SPECIAL_ACCOUNT, name)
        self._registry.delete(rf"{_GROUPS}\{group}")

    def add_member(self, group: str, user: str) -> None:
        """Add a user of this machine to a group.

        Raises:
            AccountError: 1376, 1378 (is a member), 1387 (no such user).
        """
        account = self.find(user)
        if account is None and self._domain_account(user) is None:
            raise AccountError(NO_SUCH_MEMBER, user)
        name = user if account is None else account.name
        if name.upper() in {member.upper() for member in self.members(group)}:
            raise AccountError(MEMBER_IN_ALIAS, user)
        self._put_members(group, [name])

    @staticmethod
    def _domain_account(name: str) -> str | None:
        """An account of the domain, or of another machine, with a backslash; taken as it is."""
        domain, _, plain = name.partition("\\")
        return name if domain and plain else None

    def remove_member(self, group: str, user: str) -> None:
        """Take a user out of a group.

        Raises:
            AccountError: 1376, 1377 (no member).
        """
        members = self.members(group)
        left = [member for member in members if member.upper() != user.upper()]
        if len(left) == len(members):
            raise AccountError(MEMBER_NOT_IN_ALIAS, user)
        self._registry.set(rf"{_GROUPS}\{self._known_group(group)}", "Members", left)

    def groups_of(self, user: str) -> list[str]:
        """The groups that a user is a member of."""
        return [group for group in self.groups() if user.upper() in {member.upper() for member in self.members(group)}]

    # --- rights -----------------------------------------------------------------------------------------------------

    def grant(self, account: str, right: str) -> None:
        """Give a user right (``SeServiceLogonRight``) to an account or group."""
        rights = self._registry.strings(rf"{_RIGHTS}\{account}", "Privileges")
        if right not in rights:
            self._registry.set(rf"{_RIGHTS}\{account}", "Privileges", [*rights, right])

    def revoke(self, account: str, right: str) -> None:
        """Take a user right away."""
        rights = self._registry.strings(rf"{_RIGHTS}\{account}", "Privileges")
        self._registry.set(rf"{_RIGHTS}\{account}", "Privileges", [held for held in rights if held != right])

    def has_right(self, account: str, right: str) -> bool:
        """Whether an account has a right, itself or through a group."""
        holders = [account, *self.groups_of(account)]
        return any(right in self._registry.strings(rf"{_RIGHTS}\{holder}", "Privileges") for holder in holders)


def _digest(salt: bytes, password: str) -> bytes:
    return hashlib.sha256(salt + password.encode()).digest()
