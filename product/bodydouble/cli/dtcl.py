"""``dtcl``: the text client, typed or run unattended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bodydouble.cli import output
from bodydouble.cli.dtcl_answers import show_answer
from bodydouble.cli.secret import read_token
from bodydouble.cli.session import FAILURE_STATUS, INPUT_STATUS, Command, Session, examples, pass_session
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.control.client import ControlClient
    from bodydouble.dtcl.conversation import Conversation
    from bodydouble.dtcl.errors import CommandError, StatementError
    from bodydouble.dtcl.interpreter import Interpreter
    from bodydouble.dtcl.machines import Login
    from bodydouble.dtcl.syntax import Block
    from bodydouble.dtcl.syntax import Command as Statement

INTERRUPTED = 128 + signal.SIGINT
PROMPT, MORE = "DTCL> ", "  ... "
HISTORY_LINES = 1_000


class Terminal:
    """What a script asks of this console.

    Args:
        session: the global options.
        attended: a person is there.
    """

    def __init__(self, session: Session, *, attended: bool) -> None:
        self._session = session
        self._attended = attended

    async def open(self, machine: str | None, login: Login) -> ControlClient:
        """The console's own daemon by the console's own options; every other one by its login.

        Raises:
            InputError: nobody has logged in there.
        """
        own = machine in (None, self._session.host)
        wanted = self._session if own else Session(host=machine, json=self._session.json)
        if not own and login.token is None:
            raise InputError(f"no token for {machine!r}: login {machine} token file FILE;")
        wanted = replace(wanted, port=login.port or wanted.port, pin=login.pin or wanted.pin)
        return await wanted.client(login.token)

    def token_file(self, name: str) -> str:
        """The token in a file."""
        return read_token(Path(name))

    def environment(self, name: str) -> str | None:
        """A variable of the environment."""
        return os.environ.get(name)

    async def ask_token(self, machine: str) -> str | None:
        """Have it typed, unseen."""
        if not self._attended:
            return None
        asked: str = click.prompt(f"token for {machine}", hide_input=True, default="", show_default=False)
        return asked

    def show(self, command: Statement, result: object) -> None:
        """A command's answer, as tables or as a line of JSON."""
        show_answer(self._session, command, result)

    def write(self, text: str) -> None:
        """A line that the script prints."""
        if self._session.json:
            click.echo(msgspec.json.encode({"print": text}).decode())
        else:
            click.echo(output.plain(text))


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble --config /etc/bodydouble.toml dtcl",
        "bodydouble dtcl restore.dtcl -d original=WEB1 -d from=10.0.0.20",
        "bodydouble --config /etc/bodydouble.toml dtcl -c 'mirror start 1; wait on mirror 1 timeout 1h;'",
        "bodydouble dtcl --example restore > restore.dtcl",
        "bodydouble dtcl --check restore.dtcl",
    ),
)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-c", "statements", multiple=True, metavar="STATEMENTS", help="Run these, after the files.")
@click.option("-d", "--define", "defined", multiple=True, metavar="NAME=VALUE", help="Set the variable $NAME.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Fail if it takes longer altogether."
)
@click.option("--check", is_flag=True, help="Only look whether everything is DTCL; run nothing.")
@click.option("--example", metavar="NAME", help="Print a script that comes with the product, such as restore.")
@pass_session
def dtcl(
    session: Session,
    *,
    files: tuple[Path, ...],
    statements: tuple[str, ...],
    defined: tuple[str, ...],
    timeout: float | None,
    check: bool,
    example: str | None,
) -> None:
    """Run DTCL scripts, or type statements when none is named; docs/dtcl.md has the language.

    Nothing is run before all files are found to be DTCL. Exit status: what the script's quit says; 1 when a command
    failed (what comes after it is not run), 2 when a text is no DTCL, 130 when it was interrupted.
    """
    if example is not None:
        from bodydouble.dtcl import shipped  # noqa: PLC0415 - only here

        click.echo(shipped.example(example), nl=False)
        return
    attended = not files and not statements and sys.stdin.isatty()
    texts = [*((_read(file), str(file)) for file in files), *((text, "-c") for text in statements)]
    if not texts and not attended:
        texts = [(sys.stdin.read(), "stdin")]
    raise click.exceptions.Exit(_run(session, texts, _variables(defined), timeout=timeout, check=check))


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{file}: cannot be read: {reason}") from error


def _variables(defined: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in defined:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier() or not name.isascii():
            raise InputError(f"{text!r} is no definition: expected a variable's name, =, and its value")
        found[name.lower()] = value
    return found


def _run(
    session: Session, texts: list[tuple[str, str]], variables: dict[str, str], *, timeout: float | None, check: bool
) -> int:
    from bodydouble.dtcl.errors import CommandError, StatementError  # noqa: PLC0415 - the parser takes its time
    from bodydouble.dtcl.interpreter import Interpreter  # noqa: PLC0415 - only here
    from bodydouble.dtcl.parsing import parse  # noqa: PLC0415 - only here

    try:
        blocks = [(parse(text, file), file) for text, file in texts]
        if check:
            return 0
        with asyncio.Runner() as runner:
            interpreter = Interpreter(Terminal(session, attended=not texts), variables)
            try:
                if not texts:
                    return _converse(session, runner, interpreter)
                return runner.run(_unattended(interpreter, blocks, timeout))
            finally:
                runner.run(interpreter.close())
    except StatementError as error:
        _report(session, error)
        return INPUT_STATUS
    except CommandError as error:
        _report(session, error)
        return FAILURE_STATUS
    except KeyboardInterrupt:
        click.echo("bodydouble: interrupted; what daemons were ordered to do goes on", err=True)
        return INTERRUPTED


async def _unattended(interpreter: Interpreter, blocks: list[tuple[Block, str]], timeout: float | None) -> int:  # noqa: ASYNC109
    deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
    for block, file in blocks:
        left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        status = await interpreter.run(block, file, left)
        if status is not None:
            return status
    return 0


def _report(session: Session, error: StatementError | CommandError) -> None:
    """One message on standard error; with --json a record on standard output as well."""
    click.echo(f"bodydouble: {output.plain(str(error))}", err=True)
    if session.json:
        click.echo(msgspec.json.encode({"error": error.record()}).decode())


# --- a person types ---------------------------------------------------------------------------------------------------


def _converse(session: Session, runner: asyncio.Runner, interpreter: Interpreter) -> int:
    """Read lines until `quit` or the end of input."""
    from bodydouble.dtcl.conversation import FILE, Conversation, memorable  # noqa: PLC0415 - only here
    from bodydouble.dtcl.errors import CommandError, StatementError  # noqa: PLC0415 - only here

    conversation = Conversation()
    editor = LineEditor(conversation, interpreter)
    click.echo("DTCL: statements end with ; - help; lists the commands, quit; ends.")
    while True:
        try:
            said = conversation.say(editor.read(MORE if conversation.waiting else PROMPT))
            if said is None:
                continue
            block, text = said
            editor.remember(memorable(text))
            status = runner.run(interpreter.run(block, FILE))
            if status is not None:
                editor.close()
                return status
        except (StatementError, CommandError) as error:
            _report(session, error)
        except KeyboardInterrupt:
            conversation.forget()
            click.echo("interrupted; what daemons were ordered to do goes on", err=True)
        except EOFError:
            click.echo()
            editor.close()
            return 0


class LineEditor:
    """Reads lines; with history and completion where Python has readline.

    Args:
        conversation: knows what could come next.
        interpreter: knows the variables.
    """

    def __init__(self, conversation: Conversation, interpreter: Interpreter) -> None:
        self._conversation = conversation
        self._interpreter = interpreter
        self._history = _history_file()
        try:
            import readline  # noqa: PLC0415 - not on every platform
        except ImportError:
            self._readline = None
            return
        self._readline = readline
        readline.set_auto_history(False)
        readline.set_completer_delims(' \t\n;[](){}"=<>')
        readline.set_completer(self.complete)
        readline.parse_and_bind("tab: complete")
        try:
            readline.read_history_file(self._history)
        except OSError:
            return

    def read(self, prompt: str) -> str:
        """One line."""
        return input(prompt)

    def remember(self, line: str) -> None:
        """Put a line into the history; nothing is not remembered."""
        if self._readline is not None and line:
            self._readline.add_history(line)

    def complete(self, begun: str, number: int) -> str | None:
        """The suggestions one by one, as readline asks for them."""
        assert self._readline is not None, "only readline asks"
        before = self._readline.get_line_buffer()[: self._readline.get_begidx()]
        found = self._conversation.suggestions(before, begun, self._interpreter.variables)
        return f"{found[number]} " if number < len(found) else None

    def close(self) -> None:
        """Keep the history, for nobody else to read."""
        if self._readline is None:
            return
        try:
            self._history.parent.mkdir(parents=True, exist_ok=True)
            self._history.touch(mode=0o600)
            self._readline.set_history_length(HISTORY_LINES)
            self._readline.write_history_file(self._history)
        except OSError:
            return


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "bodydouble" / "dtcl-history"
