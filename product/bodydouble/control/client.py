"""The control API's typed client: a method a route."""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from bodydouble.control.settings import is_loopback
from bodydouble.errors import ConnectionStateError, ControlError, InputError, UnreachableError
from bodydouble.security.tls import HTTP_PROTOCOL, certificate_of, client_context, http_client_context
from bodydouble.vocabulary.active_name import ActiveNameStatus, NewActiveName
from bodydouble.vocabulary.applications import Uncovered
from bodydouble.vocabulary.guard import GuardStatus
from bodydouble.vocabulary.inventory import HostInventory
from bodydouble.vocabulary.mirror import AS_CONNECTED, MirrorOrder
from bodydouble.vocabulary.options import DaemonOption, OptionValue
from bodydouble.vocabulary.orphans import OrphanReport, OrphanRequest
from bodydouble.vocabulary.records import (
    AcceptRequest,
    ConnectionStatus,
    ConnectRequest,
    DaemonStatus,
    Event,
    FailbackDecision,
    MonitorRequest,
    MonitorStatus,
    Offer,
    OfferRequest,
    OfferStatus,
    Pairings,
    Peer,
    ReplicaName,
    ReplicationSet,
    RestorationStatus,
    RestoreRequest,
    Sample,
    ServiceStatus,
    TargetConnectionStatus,
)
from bodydouble.vocabulary.refusal import Refusal
from bodydouble.vocabulary.restoration import Restorable
from bodydouble.vocabulary.sets import Explanation, SetName, SetSize
from bodydouble.vocabulary.tasks import TaskReceipt, TaskRequest
from bodydouble.vocabulary.tokens import IssuedToken, Token, TokenRequest
from bodydouble.vocabulary.transmission import RouteChange, TransmissionOptions
from bodydouble.vocabulary.verification import (
    VerificationDetails,
    VerificationOptions,
    VerificationReport,
    VerificationSchedule,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

    from bodydouble.replication.schedule import Order
    from bodydouble.vocabulary.mirror import MirrorWord

T = TypeVar("T")

CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUT = 60.0
SERVICE_TIMEOUT = 300.0
"""Seconds that starting or stopping a service may take, its dependents included."""


class ControlClient:
    """Speaks to one daemon; an async context manager.

    Each request has a connection of its own: a kept connection would be aged by the process's clock, not by the event
    loop's, and would hide that a daemon had been restarted.

    Args:
        host: name or address of the daemon's machine.
        port: the control API's port.
        token: the daemon's token.
        certificate: the daemon's, in DER: nothing is sent to whoever does not show it. None: plain HTTP, to this
            machine itself only.

    Raises:
        InputError: ``host`` cannot be the name or address of a machine, or plain HTTP would leave this one.

    Every method raises:
        ControlError: the daemon refused; ``status`` is the HTTP status.
        UnreachableError: no answer came.
    """

    def __init__(self, host: str, port: int, token: str, certificate: bytes | None) -> None:
        self._place = f"{host} port {port}"
        if certificate is None and not is_loopback(host):
            raise InputError(f"{self._place}: plain HTTP is spoken to this machine itself only")
        self._http = httpx.AsyncClient(
            base_url=_base("http" if certificate is None else "https", host, port),
            headers={b"authorization": f"Bearer {token}".encode(), b"connection": b"close"},
            trust_env=False,
            # Without TLS it is never used, and spares reading the system's certificate store.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if certificate is None else http_client_context(certificate),
        )

    async def __aenter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End requests under way."""
        await self._http.aclose()

    # --- observation ----------------------------------------------------------------------------------------------

    async def status(self) -> DaemonStatus:
        """Everything at a glance."""
        return await self._call("GET", "status", DaemonStatus)

    async def events(self, after: int = 0) -> list[Event]:
        """Events with numbers above ``after``, at most 1,000 at a time."""
        return await self._call("GET", f"events?after={after}", list[Event])

    async def stream_events(self, after: int = 0) -> AsyncGenerator[Event, None]:
        """Events with numbers above ``after``, each as it happens.

        Ends when the daemon ends it or the connection breaks: go on with the number of the last event.
        """
        timeout = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT)  # heartbeats come more often
        request = self._http.build_request("GET", f"events/stream?after={after}", timeout=timeout)
        response = await self._opened(request)
        try:
            async for line in response.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "data":
                    yield self._understood(response, value.encode(), Event)
        except httpx.TransportError:
            return
        finally:
            await response.aclose()

    async def openapi(self) -> dict[str, Any]:
        """The daemon's description of its API."""
        return await self._call("GET", "openapi.json", dict[str, Any])

    async def statistics(self, after: float = -1.0, limit: int | None = None) -> list[Sample]:
        """Samples taken later than ``after`` on the daemon's steady clock, the newest ``limit``."""
        newest = "" if limit is None else f"&limit={limit}"
        return await self._call("GET", f"statistics?after={after!r}{newest}", list[Sample])

    async def metrics(self) -> str:
        """The page for Prometheus."""
        return (await self._send("GET", str(self._http.base_url.copy_with(path="/metrics")))).text

    # --- replication ----------------------------------------------------------------------------------------------

    async def sets(self) -> list[ReplicationSet]:
        """The saved replication sets."""
        return await self._call("GET", "replication-sets", list[ReplicationSet])

    async def find_set(self, name: str) -> ReplicationSet:
        """One replication set."""
        return await self._call("GET", _set(name), ReplicationSet)

    async def save_set(
        self, replication_set: ReplicationSet, *, new: bool = False, remirror: bool = True
    ) -> ReplicationSet:
        """Save a replication set under its name; ``new`` replaces none.

        Without ``remirror`` connections that use it take a change in with their next mirror, which waits for an order.
        """
        path = f"replication-sets?new={str(new).lower()}&remirror={str(remirror).lower()}"
        return await self._call("POST", path, ReplicationSet, replication_set)

    async def copy_set(self, name: str, new_name: str) -> ReplicationSet:
        """Save the rules of a set under another name as well."""
        return await self._call("POST", f"{_set(name)}/copy", ReplicationSet, SetName(new_name))

    async def rename_set(self, name: str, new_name: str) -> ReplicationSet:
        """Give a set that is not connected another name."""
        return await self._call("POST", f"{_set(name)}/rename", ReplicationSet, SetName(new_name))

    async def delete_set(self, name: str, *, disconnect: bool = False) -> None:
        """Delete a replication set; with ``disconnect`` its connections end first."""
        await self._send("DELETE", _set(name) + ("?disconnect=true" if disconnect else ""))

    async def coverage(self) -> list[Uncovered]:
        """What applications need and no connected set holds (or, when none is connected, no saved one)."""
        return await self._call("GET", "coverage", list[Uncovered])

    async def explain(self, name: str, path: str) -> Explanation:
        """Which rule of a set decides about a path."""
        return await self._call("GET", f"{_set(name)}/explanation?path={quote(path, safe='')}", Explanation)

    async def set_size(self, name: str) -> SetSize:
        """How far the latest calculation of a set's size is."""
        return await self._call("GET", f"{_set(name)}/size", SetSize)

    async def calculate_set(self, name: str) -> SetSize:
        """Begin to calculate how large a set is; answers before that is known."""
        return await self._call("POST", f"{_set(name)}/size", SetSize)

    async def cancel_calculation(self, name: str) -> SetSize:
        """Calculate a set's size no further; what was counted until then."""
        return await self._call("DELETE", f"{_set(name)}/size", SetSize)

    async def connections(self) -> list[ConnectionStatus]:
        """This source's connections."""
        return await self._call("GET", "connections", list[ConnectionStatus])

    async def connect(self, request: ConnectRequest) -> ConnectionStatus:
        """Connect a replication set to a target."""
        return await self._call("POST", "connections", ConnectionStatus, request)

    async def disconnect(self, id_: int, *, drain: bool = False) -> None:
        """Disconnect; with ``drain`` what is queued is sent first, and this answers before that is done."""
        await self._send("DELETE", f"connections/{id_}" + ("?drain=true" if drain else ""))

    async def mirror(self, id_: int, order: MirrorOrder = AS_CONNECTED) -> ConnectionStatus:
        """Start a mirror (an operator's remirror) on a connection."""
        return await self._call("POST", f"connections/{id_}/mirror", ConnectionStatus, order)

    async def order_mirror(self, id_: int, word: MirrorWord) -> ConnectionStatus:
        """Pause, resume or stop the mirror that runs on a connection."""
        return await self._call("POST", f"connections/{id_}/mirror/{word}", ConnectionStatus)

    async def find_orphans(self, id_: int, request: OrphanRequest) -> OrphanReport:
        """Look for files that only a connection's target has; answers before that is complete."""
        return await self._call("POST", f"connections/{id_}/orphans", OrphanReport, request)

    async def orphans(self, id_: int) -> OrphanReport:
        """The latest report on a connection's orphans."""
        return await self._call("GET", f"connections/{id_}/orphans", OrphanReport)

    async def stop_orphans(self, id_: int) -> None:
        """Stop looking for orphans."""
        await self._send("DELETE", f"connections/{id_}/orphans")

    async def stop_replication(self, id_: int) -> ConnectionStatus:
        """Queue nothing more on a connection; what is queued is still sent, and then a mirror is due."""
        return await self._call("POST", f"connections/{id_}/replication/stop", ConnectionStatus)

    async def flush_queue(self, id_: int) -> ConnectionStatus:
        """Drop what a connection has queued; nothing is replicated until a mirror."""
        return await self._call("DELETE", f"connections/{id_}/queue", ConnectionStatus)

    async def start_replication(self, id_: int) -> ConnectionStatus:
        """Replicate again, beginning with a mirror."""
        return await self._call("POST", f"connections/{id_}/replication/start", ConnectionStatus)

    async def reroute(self, id_: int, route: str) -> ConnectionStatus:
        """Reach a connection's target by another address."""
        return await self._call("PUT", f"connections/{id_}/route", ConnectionStatus, RouteChange(route))

    async def queue_task(self, id_: int, request: TaskRequest) -> TaskReceipt:
        """Queue a task in a connection's stream; how it ends is an event."""
        return await self._call("POST", f"connections/{id_}/tasks", TaskReceipt, request)

    async def transmission(self, id_: int) -> TransmissionOptions:
        """How a connection transmits."""
        return await self._call("GET", f"connections/{id_}/transmission", TransmissionOptions)

    async def set_transmission(self, id_: int, options: TransmissionOptions) -> ConnectionStatus:
        """Transmit otherwise from now on."""
        return await self._call("PUT", f"connections/{id_}/transmission", ConnectionStatus, options)

    async def order_transmission(self, id_: int, order: Order) -> ConnectionStatus:
        """Start, stop, pause or resume a connection's transmission."""
        return await self._call("POST", f"connections/{id_}/transmission/{order}", ConnectionStatus)

    async def replicas(self) -> list[TargetConnectionStatus]:
        """The replicas on this machine."""
        return await self._call("GET", "replicas", list[TargetConnectionStatus])

    async def pause_target(self, source: str, replication_set: str, *, paused: bool) -> TargetConnectionStatus:
        """Have this machine receive and not apply, or apply again."""
        word = "pause" if paused else "resume"
        return await self._call(
            "POST", f"replicas/{word}", TargetConnectionStatus, ReplicaName(source, replication_set)
        )

    # --- verification ---------------------------------------------------------------------------------------------

    async def verify(self, id_: int, options: VerificationOptions) -> VerificationReport:
        """Begin to compare source and replica; answers before it is complete."""
        return await self._call("POST", f"connections/{id_}/verification", VerificationReport, options)

    async def stop_verification(self, id_: int) -> None:
        """Stop the verification that runs on a connection."""
        await self._send("DELETE", f"connections/{id_}/verification")

    async def verification_schedule(self, id_: int) -> VerificationSchedule | None:
        """When a connection is verified by itself."""
        path = f"connections/{id_}/verification-schedule"
        return await self._call("GET", path, VerificationSchedule | None)  # type: ignore[arg-type]

    async def schedule_verification(self, id_: int, schedule: VerificationSchedule | None) -> None:
        """Verify a connection by itself from now on, or no more."""
        method = "DELETE" if schedule is None else "PUT"
        await self._send(method, f"connections/{id_}/verification-schedule", schedule)

    async def verifications(self) -> list[VerificationReport]:
        """The latest hundred verifications of this source."""
        return await self._call("GET", "verifications", list[VerificationReport])

    async def verification(self, number: int) -> VerificationDetails:
        """One verification with its first differences."""
        return await self._call("GET", f"verifications/{number}", VerificationDetails)

    # --- failover -------------------------------------------------------------------------------------------------

    async def monitors(self) -> list[MonitorStatus]:
        """The target's monitors."""
        return await self._call("GET", "monitors", list[MonitorStatus])

    async def create_monitor(self, request: MonitorRequest) -> MonitorStatus:
        """Begin to monitor a source."""
        return await self._call("POST", "monitors", MonitorStatus, request)

    async def delete_monitor(self, source: str) -> None:
        """Forget a monitor."""
        await self._send("DELETE", _monitor(source))

    async def failover(self, source: str) -> MonitorStatus:
        """Fail over now; answers before the work is done."""
        return await self._call("POST", f"{_monitor(source)}/failover", MonitorStatus)

    async def failback(self, source: str) -> MonitorStatus:
        """Give the identity back; answers before the work is done."""
        return await self._call("POST", f"{_monitor(source)}/failback", MonitorStatus)

    async def guard(self) -> GuardStatus:
        """The guarded addresses of the daemon's machine."""
        return await self._call("GET", "guard", GuardStatus)

    async def return_addresses(self) -> GuardStatus:
        """Use the guarded addresses again."""
        return await self._call("POST", "guard/return", GuardStatus)

    async def decide(self, source: str, decision: FailbackDecision) -> MonitorStatus:
        """Continue or stop monitoring after failback."""
        return await self._call("POST", f"{_monitor(source)}/decision", MonitorStatus, decision)

    # --- paired machines ------------------------------------------------------------------------------------------

    async def pairings(self) -> Pairings:
        """The daemon's own fingerprint, and the machines that it is paired with."""
        return await self._call("GET", "peers", Pairings)

    async def remove_peer(self, name: str) -> None:
        """Trust a machine no more."""
        await self._send("DELETE", f"peers/{quote(name, safe='')}")

    async def offer_pairing(self, request: OfferRequest) -> Offer:
        """Have a one-time code made up, for another machine to pair by."""
        return await self._call("POST", "pairing/offer", Offer, request)

    async def offered_pairing(self) -> OfferStatus:
        """How the latest offer stands."""
        return await self._call("GET", "pairing/offer", OfferStatus)

    async def withdraw_pairing(self) -> None:
        """Let nobody use the offer any more."""
        await self._send("DELETE", "pairing/offer")

    async def accept_pairing(self, request: AcceptRequest) -> Peer:
        """Pair with the machine that offers a code; returns when both have pinned each other."""
        return await self._call("POST", "pairing/accept", Peer, request)

    # --- tokens ---------------------------------------------------------------------------------------------------

    async def tokens(self) -> list[Token]:
        """Who may ask the daemon, and what."""
        return await self._call("GET", "tokens", list[Token])

    async def create_token(self, request: TokenRequest) -> IssuedToken:
        """Make a token; nobody tells its secret again."""
        return await self._call("POST", "tokens", IssuedToken, request)

    async def revoke_token(self, name: str) -> None:
        """Let a token be valid no more."""
        await self._send("DELETE", f"tokens/{quote(name, safe='')}")

    # --- restoration ----------------------------------------------------------------------------------------------

    async def restorations(self) -> list[RestorationStatus]:
        """The latest hundred restorations from this machine."""
        return await self._call("GET", "restorations", list[RestorationStatus])

    async def restore(self, request: RestoreRequest) -> RestorationStatus:
        """Begin a restoration; answers before it is complete."""
        return await self._call("POST", "restorations", RestorationStatus, request)

    async def stop_restoration(self, id_: int) -> RestorationStatus:
        """Stop a restoration that runs; the set stays restore required."""
        return await self._call("DELETE", f"restorations/{id_}", RestorationStatus)

    async def restorable(self) -> list[Restorable]:
        """What may be restored from this machine."""
        return await self._call("GET", "restorable", list[Restorable])

    async def clear_mark(self, source: str, replication_set: str) -> Restorable:
        """Require no restoration any more: the source may mirror what it has over the data there."""
        return await self._call("POST", "restorable/clear", Restorable, ReplicaName(source, replication_set))

    # --- options, and the daemon itself ---------------------------------------------------------------------------

    async def options(self) -> list[DaemonOption]:
        """The settings of replication that are in force."""
        return await self._call("GET", "options", list[DaemonOption])

    async def set_option(self, name: str, value: str) -> DaemonOption:
        """Change an option until the daemon is started again."""
        return await self._call("PUT", f"options/{quote(name, safe='')}", DaemonOption, OptionValue(value))

    async def shutdown(self) -> None:
        """End the daemon in good order; returns before that is done."""
        await self._send("POST", "shutdown")

    # --- services -------------------------------------------------------------------------------------------------

    async def service(self, name: str) -> ServiceStatus:
        """A service's state."""
        return await self._call("GET", _service(name), ServiceStatus)

    async def start_service(self, name: str) -> ServiceStatus:
        """Start a service and wait until it runs."""
        return await self._call("POST", f"{_service(name)}/start", ServiceStatus, patience=SERVICE_TIMEOUT)

    async def stop_service(self, name: str) -> ServiceStatus:
        """Stop a service and wait until it has stopped."""
        return await self._call("POST", f"{_service(name)}/stop", ServiceStatus, patience=SERVICE_TIMEOUT)

    # --- the active name ------------------------------------------------------------------------------------------

    async def active_name(self) -> ActiveNameStatus:
        """The name that the machine runs under, and the one that would be put back."""
        return await self._call("GET", "active-name", ActiveNameStatus)

    async def set_active_name(self, name: str) -> ActiveNameStatus:
        """Have the machine run under ``name``."""
        return await self._call("PUT", "active-name", ActiveNameStatus, NewActiveName(name))

    async def reset_active_name(self) -> ActiveNameStatus:
        """Have the machine run under its own name again; 409 when it does."""
        return await self._call("DELETE", "active-name", ActiveNameStatus)

    # --- before a failover ----------------------------------------------------------------------------------------

    async def inventory(self) -> HostInventory:
        """What the machine is and has, for a preflight."""
        return await self._call("GET", "inventory", HostInventory)

    # --- one request ----------------------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        path: str,
        type_: type[T],
        body: msgspec.Struct | None = None,
        *,
        patience: float = ANSWER_TIMEOUT,
    ) -> T:
        response = await self._send(method, path, body, patience)
        return self._understood(response, response.content, type_)

    def _understood(self, response: httpx.Response, content: bytes, type_: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=type_)
        except msgspec.DecodeError as error:
            text = f"the answer of {self._place} is not understood: {error}"
            raise ControlError(response.status_code, text) from error

    async def _send(
        self, method: str, path: str, body: msgspec.Struct | None = None, patience: float = ANSWER_TIMEOUT
    ) -> httpx.Response:
        content = b"" if body is None else msgspec.json.encode(body)
        timeout = httpx.Timeout(patience, connect=CONNECT_TIMEOUT)
        response = await self._opened(self._http.build_request(method, path, content=content, timeout=timeout))
        await self._read(response)
        return response

    async def _opened(self, request: httpx.Request) -> httpx.Response:
        """The answer, when its head has come."""
        try:
            response = await self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            await self._read(response)
            raise ControlError(response.status_code, _reason(response))
        return response

    async def _read(self, response: httpx.Response) -> None:
        try:
            await response.aread()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            await response.aclose()

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        reason = str(error) or type(error).__name__
        return UnreachableError(f"no answer from the daemon at {self._place}: {reason}")


def _reason(response: httpx.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=Refusal).error
    except msgspec.DecodeError:
        return f"HTTP status {response.status_code}"


def _set(name: str) -> str:
    return f"replication-sets/{quote(name, safe='')}"


def _monitor(source: str) -> str:
    return f"monitors/{quote(source, safe='')}"


def _service(name: str) -> str:
    return f"services/{quote(name, safe='')}"


def _base(scheme: str, host: str, port: int) -> httpx.URL:
    literal = f"[{host}]" if ":" in host else host
    try:
        return httpx.URL(f"{scheme}://{literal}:{port}/v1/")
    except httpx.InvalidURL as error:
        raise InputError(f"not the name or address of a machine: {host!r}") from error


async def find_connection(client: ControlClient, id_: int) -> ConnectionStatus:
    """How a connection stands that was there a moment ago.

    Raises:
        ConnectionStateError: it is there no more.
    """
    for status in await client.connections():
        if status.id == id_:
            return status
    raise ConnectionStateError(f"connection {id_} was disconnected meanwhile")


async def fetch_certificate(host: str, port: int) -> bytes:
    """The certificate that whoever answers there shows, in DER; it proves that it has the key, and nothing is sent.

    Raises:
        InputError: ``host`` cannot be the name or address of a machine.
        UnreachableError: nobody answers, or not with TLS.
    """
    _base("https", host, port)
    context = client_context(None, [HTTP_PROTOCOL], [])
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="")
    except (OSError, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        raise UnreachableError(f"no answer from the daemon at {host} port {port}: {reason}") from error
    certificate = certificate_of(writer.get_extra_info("ssl_object"))
    writer.transport.abort()
    assert certificate is not None, "a server of TLS 1.3 always shows one"
    return certificate
