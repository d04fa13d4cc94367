"""What every command shares: where the daemon is, how answers are printed, how errors leave."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from bodydouble.cli.known import KnownDaemons, changed, known_daemons_file, local_daemon, not_known
from bodydouble.cli.secret import read_token
from bodydouble.control.client import ControlClient, fetch_certificate
from bodydouble.control.settings import DEFAULT_PORT, is_loopback
from bodydouble.errors import BodydoubleError, ControlError, InputError, PathError, UnreachableError
from bodydouble.security.certificate import fingerprint_of, read_fingerprint
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.paths import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

T = TypeVar("T")
Action = Callable[[ControlClient], Awaitable[T]]

INPUT_STATUS = 2
FAILURE_STATUS = 1
INTERRUPTED_STATUS = 130
"""As shells have it for what Ctrl-C ends."""


@dataclass(slots=True)
class Session:
    """The global options.

    Attributes:
        host: the daemon's machine.
        port: its control API's port.
        token_file: holds its token.
        json: print JSON instead of tables.
        config: the configuration file of this machine's daemon; says all of the above and its certificate.
        pin: the fingerprint of the daemon's certificate.
        plain_http: speak plain HTTP, to this machine itself.
    """

    host: str | None = None
    port: int | None = None
    token_file: Path | None = None
    json: bool = False
    config: Path | None = None
    pin: str | None = None
    plain_http: bool = False

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return self.host or "127.0.0.1", self.port or DEFAULT_PORT

    @property
    def known(self) -> KnownDaemons:
        """The daemons that were trusted."""
        return KnownDaemons(known_daemons_file())

    def talk(self, action: Action[T]) -> T:
        """Run ``action`` with a client of the daemon.

        Raises:
            InputError: no usable token file is named, or the daemon is not known.
        """
        return asyncio.run(self._talk(action))

    async def client(self, token: str | None = None) -> ControlClient:
        """A client of the daemon; ``token`` is used instead of what the options name.

        Raises:
            InputError: no usable token file is named, or the daemon is not known.
            UnreachableError: it had to be asked for its certificate and did not answer.
        """
        if self.config is not None and self.host is None:
            local = local_daemon(self.config)
            self._check_pin(local.certificate)
            token = token or self._token(local.token)
            return ControlClient(local.host, self.port or local.port, token, local.certificate)
        return ControlClient(*self.place, token or self._token(None), await self._certificate())

    async def _talk(self, action: Action[T]) -> T:
        async with await self.client() as client:
            try:
                return await action(client)
            except UnreachableError as error:
                raise self._explained(error) from error
            except ControlError as error:
                raise self._remedied(error) from error

    def _token(self, configured: str | None) -> str:
        if self.token_file is not None:
            return read_token(self.token_file)
        if configured is None:
            raise InputError(
                "no token: name the daemon's token file with --token-file or BODYDOUBLE_TOKEN_FILE, or, on its own "
                "machine, its configuration with --config or BODYDOUBLE_CONFIG"
            )
        return configured

    async def _certificate(self) -> bytes | None:
        """By which certificate a daemon is recognised that no configuration of this machine tells of."""
        if self.plain_http:
            return None
        if self.pin is not None:
            return await pinned(*self.place, read_fingerprint(self.pin))
        known = self.known.find(*self.place)
        if known is None:
            raise not_known(*self.place, await fetch_certificate(*self.place))
        return known

    def _check_pin(self, certificate: bytes | None) -> None:
        """Whoever names a fingerprint means it, whatever the configuration leads to."""
        if self.pin is None or certificate is None:
            return
        if fingerprint_of(certificate) != (wanted := read_fingerprint(self.pin)):
            raise InputError(
                f"the daemon of {self.config} has the certificate {fingerprint_of(certificate)}, not the one with the "
                f"fingerprint {wanted}: nothing was sent to it"
            )

    def _explained(self, error: UnreachableError) -> UnreachableError:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return UnreachableError(f"{error}{changed(*self.place)}")
        if self.host is not None and not is_loopback(self.host):
            return error
        start = "'bodydouble daemon --config FILE', or 'systemctl start bodydouble'"
        return UnreachableError(f"{error}; is it running? It is started by {start}")

    def _remedied(self, error: ControlError) -> ControlError:
        if error.status != HTTPStatus.UNAUTHORIZED:
            return error
        place = "of this machine" if self.host is None else f"at {self.host}"
        return ControlError(
            error.status,
            f"the daemon {place} does not know this token, or no more: name the file of a valid one with --token-file "
            "or --config; 'bodydouble token create NAME' on its machine makes one",
        )


async def pinned(host: str, port: int, fingerprint: str) -> bytes:
    """The certificate of the daemon that is there, if it has ``fingerprint``.

    Raises:
        InputError: it has another one.
        UnreachableError: nobody answers.
    """
    certificate = await fetch_certificate(host, port)
    if fingerprint_of(certificate) != fingerprint:
        raise InputError(
            f"the daemon at {host} port {port} shows the certificate {fingerprint_of(certificate)}, not the one "
            f"with the fingerprint {fingerprint}: nothing was sent to it"
        )
    return certificate


pass_session = click.make_pass_decorator(Session, ensure=True)


class Failure(click.ClickException):
    """A `BodydoubleError` on its way out: one line on standard error, no traceback."""

    exit_code = FAILURE_STATUS

    def __init__(self, error: BodydoubleError) -> None:
        super().__init__(str(error))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"bodydouble: {self.format_message()}", file=file, err=file is None)


class WrongInput(Failure):
    """The command line, a file or the request was wrong."""

    exit_code = INPUT_STATUS


class Interrupted(click.ClickException):
    """Ctrl-C while a command waited: one line on standard error, no traceback."""

    exit_code = INTERRUPTED_STATUS

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"\nbodydouble: {self.format_message()}", file=file, err=file is None)


@contextmanager
def going_on(what: str) -> Iterator[None]:
    """Let who interrupts this wait know ``what`` becomes of that which is waited for: it is the daemon's, and goes on.

    Raises:
        Interrupted: in place of the cancellation.
    """
    try:
        yield
    except asyncio.CancelledError:
        raise Interrupted(f"interrupted; {what}") from None


def _set_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


class Command(click.Command):
    """A command that also takes ``--json`` after its name, and lets no error of ours out as a traceback, nor Ctrl-C."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        option = click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_set_json, help="Print JSON instead of a table."
        )
        self.params.append(option)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors become messages."""
        try:
            return super().invoke(ctx)
        except BodydoubleError as error:
            _fail(error)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


class Group(click.Group):
    """A group of `Command`."""

    command_class = Command
    group_class = type


def _fail(error: BodydoubleError) -> NoReturn:
    refused = isinstance(error, ControlError) and error.status == HTTPStatus.BAD_REQUEST
    kind = WrongInput if refused or isinstance(error, InputError) else Failure
    raise kind(error) from error


def path_argument(text: str) -> str:
    """A path as people write it on either platform, in product form.

    Raises:
        InputError: it is not an absolute path.
    """
    try:
        return normalise(text)
    except PathError as error:
        raise InputError(str(error)) from error


def mapping_argument(texts: Iterable[str]) -> list[PathMapping]:
    """Mappings as people write them, ``FROM=TO``.

    Raises:
        InputError: one is none.
    """
    found = []
    for text in texts:
        source, separator, place = text.partition("=")
        if not separator:
            raise InputError(f"{text!r} is no mapping: expected the source's path, =, and the target's")
        found.append(PathMapping(path_argument(source), path_argument(place)))
    return found


def examples(*lines: str) -> str:
    """The examples at the end of a command's help, one a line."""

    def rows() -> Iterator[str]:
        yield "\b"
        yield "Examples:"
        for line in lines:
            yield f"  {line}"

    return "\n".join(rows())


_AGE = re.compile(r"([0-9]{1,6})([smhd])")


def age_argument(text: str) -> float:
    """An age as people write it (``90s``, ``30m``, ``12h``, ``7d``), in seconds.

    Raises:
        InputError: it is none.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r} is no age: expected a number and s, m, h or d, as in 7d")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]
