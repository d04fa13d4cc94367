"""Who a request comes from, and whether that one may: anonymous by IUSR_, Basic, address restrictions.

Source: IIS SDK, "Multiple Authentication Schemes Selected" (with Anonymous allowed no credentials are asked for until
the anonymous account is refused); KB 248043 (403.6); KB 152526 (a logon is remembered for 15 minutes); RFC 2617 for
Basic. NTLM and Negotiate are offered where the site allows them, as IIS offers them, but their handshake is not
modelled: whoever tries it is refused with 401.1 and the list of schemes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING

from bodydouble_sim.iis.host import Identity
from bodydouble_sim.iis.http_status import RefusalError
from bodydouble_sim.iis.metabase_schema import ANONYMOUS, BASIC, NTLM
from bodydouble_sim.windows.accounts import AccountError

if TYPE_CHECKING:
    from bodydouble_sim.iis.http_exchange import Exchange
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.windows.system import WindowsSystem

TOKEN_LIFETIME = 900.0
_KEPT = 1024


class Logons:
    """Logons by name and password, remembered for `TOKEN_LIFETIME` seconds.

    Args:
        system: the machine whose accounts count.
    """

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system
        self._tokens: dict[tuple[str, str], tuple[float, Identity]] = {}

    def log_on(self, name: str, password: str) -> Identity | None:
        """The account, or None when it is not there, disabled, or the password is another one."""
        now = asyncio.get_running_loop().time()
        token = self._tokens.get((name, password))
        if token is not None and token[0] > now:
            return token[1]
        identity = self._check(name, password)
        if identity is not None:
            if len(self._tokens) >= _KEPT:
                self._tokens.clear()
            self._tokens[name, password] = (now + TOKEN_LIFETIME, identity)
        return identity

    def _check(self, name: str, password: str) -> Identity | None:
        accounts = self._system.accounts
        try:
            user = accounts.check(name.rpartition("\\")[2], password)
        except AccountError:
            return None
        return Identity(user.name, tuple(accounts.groups_of(user.name)))


def admit(exchange: Exchange, logons: Logons) -> None:
    """Find out who asks and put it into ``exchange.who``.

    Raises:
        RefusalError: 403.6, 401.1 or 401.2.
    """
    settings = exchange.settings
    if not settings.admits(exchange.client):
        raise RefusalError(403, 6)
    scheme, _, credentials = exchange.request.headers.get("authorization", "").partition(" ")
    identity: Identity | None
    if scheme.lower() == "basic" and settings.auth & BASIC:
        exchange.user, identity = _basic(credentials, logons)
    elif scheme.lower() in ("ntlm", "negotiate") and settings.auth & NTLM:
        identity = None
    elif settings.auth & ANONYMOUS:
        identity = logons.log_on(*settings.anonymous)
    else:
        raise RefusalError(401, 2, headers=challenges(exchange))
    if identity is None:
        raise RefusalError(401, 1, headers=challenges(exchange))
    exchange.who = identity


def _basic(credentials: str, logons: Logons) -> tuple[str, Identity | None]:
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return "", None
    name, colon, password = text.partition(":")
    return name, logons.log_on(name, password) if colon and name else None


def challenges(exchange: Exchange) -> str:
    """One WWW-Authenticate header for each scheme with a handshake that the path allows."""
    auth, lines = exchange.settings.auth, ""
    if auth & NTLM:
        if exchange.site.metabase.version != "4.0":
            lines += "WWW-Authenticate: Negotiate\r\n"
        lines += "WWW-Authenticate: NTLM\r\n"
    if auth & BASIC:
        realm = exchange.settings.realm or exchange.request.host or exchange.server[0]
        lines += f'WWW-Authenticate: Basic realm="{realm.replace(chr(34), "")}"\r\n'
    return lines


def require(exchange: Exchange, path: str, want: Want) -> None:
    """See to it that the access list of ``path`` lets the request's account in.

    Raises:
        RefusalError: 401.3.
    """
    if not exchange.content.may(path, exchange.who, want):
        raise RefusalError(401, 3, headers=challenges(exchange))
