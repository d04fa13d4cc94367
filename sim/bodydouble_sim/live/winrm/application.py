"""The door as an ASGI application: who may enter, how large a message may be, and how refusals look in HTTP.

Basic authentication against the machine's accounts is all there is, so the door belongs on loopback and in the lab's
own networks. pywinrm's other transports (ntlm, kerberos, credssp) are answered with 401 and a text that says so.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bodydouble_sim.live.winrm.faults import ACCESS_DENIED, WsmanFaultError
from bodydouble_sim.live.winrm.message import MESSAGE_LIMIT, fault, read
from bodydouble_sim.live.winrm.operations import Operations
from bodydouble_sim.windows.accounts import ADMINISTRATORS, AccountError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from bodydouble_sim.windows.system import WindowsSystem

PATH = "/wsman"
SOAP_TYPE = "application/soap+xml"
BODY_TIMEOUT = 30.0
"""Seconds in which a request's body has to be there."""
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="WSMAN"'}
_ONLY_BASIC = (
    "This door takes Basic authentication only (pywinrm: transport='basic' or 'plaintext') with an account of the "
    "simulated machine that is in Administrators and has a password."
)


class Refusal(Exception):  # noqa: N818 - an answer, caught in `WinrmApplication`
    """An answer that is no SOAP message."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.response = Response(text + "\n", status, headers, "text/plain")


class WinrmApplication:
    """Serves ``POST /wsman``.

    Args:
        system: the machine.
        changed: called after each command, for who keeps the machine's state on disk.
    """

    def __init__(self, system: WindowsSystem, changed: Callable[[], None] = lambda: None) -> None:
        self._system = system
        self._operations = Operations(system, changed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        request = Request(scope, receive)
        try:
            response = await self._serve(request)
        except Refusal as refusal:
            response = refusal.response
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def close(self) -> None:
        """End all shells."""
        self._operations.shells.close()

    async def _serve(self, request: Request) -> Response:
        _check_target(request)
        owner = self._account(request.headers.get("authorization", ""))
        data = await _body(request)
        relates_to = ""
        try:
            message = read(data)
            relates_to = message.message_id
            self._check_administrator(owner)
            return _soap(200, await self._operations.perform(owner, message))
        except WsmanFaultError as refused:
            identifier = self._operations.shells.new_id()
            machine = self._system.names.active
            return _soap(500, fault(refused.kind, str(refused), identifier, relates_to, machine))

    def _account(self, authorization: str) -> str:
        """The account that a request is made by.

        Raises:
            Refusal: 401.
        """
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "basic":
            said = f"{scheme} is not supported. " if scheme else ""
            raise Refusal(401, said + _ONLY_BASIC, _CHALLENGE)
        try:
            name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
            if not password:  # Administrator has none until it is given one
                raise Refusal(401, "An account without a password cannot log on here.", _CHALLENGE)
            return self._system.accounts.check(name, password).name
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Refusal(401, "The Authorization header is not Basic.", _CHALLENGE) from error
        except AccountError as error:
            raise Refusal(401, str(error), _CHALLENGE) from error

    def _check_administrator(self, account: str) -> None:
        if ADMINISTRATORS not in self._system.accounts.groups_of(account):
            raise WsmanFaultError(ACCESS_DENIED, f"Access is denied: {account} is not in {ADMINISTRATORS}.")


def _check_target(request: Request) -> None:
    if request.url.path.rstrip("/") != PATH:
        raise Refusal(404, f"Only {PATH} is served here.")
    if request.method != "POST":
        raise Refusal(405, "WS-Management is spoken with POST.", {"Allow": "POST"})


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != SOAP_TYPE:
        raise Refusal(415, f"Expected a body of the type {SOAP_TYPE}.")
    data = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MESSAGE_LIMIT:
                    raise Refusal(413, f"A message may have {MESSAGE_LIMIT} bytes.", {"Connection": "close"})
    except TimeoutError:
        raise Refusal(408, f"The message did not come within {BODY_TIMEOUT:.0f} s.", {"Connection": "close"}) from None
    return data


def _soap(status: int, data: bytes) -> Response:
    return Response(data, status, media_type=f"{SOAP_TYPE};charset=UTF-8")
