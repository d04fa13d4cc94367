"""What every command shares: where the daemon is, how answers are printed, how errors leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from bodydouble.cli.secret import read_token
from bodydouble.control.client import ControlClient
from bodydouble.control.settings import DEFAULT_PORT
from bodydouble.errors import BodydoubleError, ControlError, InputError, PathError
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.paths import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

T = TypeVar("T")
Action = Callable[[ControlClient], Awaitable[T]]

INPUT_STATUS = 2
FAILURE_STATUS = 1


@dataclass(slots=True)
class Session:
    """The global options.

    Attributes:
        host: the daemon's machine.
        port: its control API's port.
        token_file: holds its token.
        json: print JSON instead of tables.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token_file: Path | None = None
    json: bool = False

    def talk(self, action: Action[T]) -> T:
        """Run ``action`` with a client of the daemon.

        Raises:
            InputError: no usable token file is named.
        """
        if self.token_file is None:
            raise InputError("no token: name the daemon's token file with --token-file or BODYDOUBLE_TOKEN_FILE")
        return asyncio.run(self._talk(action, read_token(self.token_file)))

    async def _talk(self, action: Action[T], token: str) -> T:
        async with ControlClient(self.host, self.port, token) as client:
            return await action(client)


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


def _set_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


class Command(click.Command):
    """A command that also takes ``--json`` after its name and lets no error of ours out as a traceback."""

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
