"""Pure rules of cmd.exe: expanding variables, cutting a line into commands, redirections and arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_REFERENCE = re.compile(r"%%|%\*|%~([dpnx]*)([0-9])|%([0-9])|%([^%:\r\n]+)%|%")
_VARIABLE = re.compile(r"%([^%:\r\n]+)%")
_REDIRECTION = re.compile(r"\s*(?:(?P<handle>[012]?)(?P<kind>>>|>|<)\s*(?P<target>&[012]|\"[^\"]*\"|[^\s<>&|]+))")
_BATCH_ARGUMENT = re.compile(r"(?:\"[^\"]*\"?|[^\s,;=\"])+")


@dataclass(frozen=True, slots=True)
class Piece:
    """One command of a line: its text, where its output goes, and when it runs (``always``, ``and``, ``or``)."""

    text: str
    when: str = "always"
    output: str = ""
    append: bool = False
    input: str = ""


def expand_batch(line: str, variables: Mapping[str, str], arguments: Sequence[str]) -> str:
    """Replace ``%%``, ``%0`` - ``%9``, ``%*``, ``%~dp0`` and ``%NAME%`` (missing: nothing) as inside a batch file."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if match[0] == "%*":
            return " ".join(arguments[1:])
        if match[2] is not None:
            return _modified(_at(arguments, int(match[2])), match[1])
        if match[3] is not None:
            return _at(arguments, int(match[3]))
        return variables.get(match[4].upper(), "") if match[4] else ""

    return _REFERENCE.sub(replace, line)


def expand_line(line: str, variables: Mapping[str, str]) -> str:
    """Replace ``%NAME%`` as at the prompt: a name that is not set stays as it is written."""
    return _VARIABLE.sub(lambda match: variables.get(match[1].upper(), match[0]), line)


def _at(arguments: Sequence[str], index: int) -> str:
    return arguments[index] if index < len(arguments) else ""


def _modified(argument: str, parts: str) -> str:
    path = argument.strip('"').replace("/", "\\")
    if not parts:
        return path
    drive, rest = (path[:2], path[2:]) if path[1:2] == ":" else ("", path)
    directory, name = rest[: rest.rfind("\\") + 1], rest[rest.rfind("\\") + 1 :]
    stem, dot, suffix = name.rpartition(".")
    values = {"d": drive, "p": directory, "n": stem if dot else name, "x": dot + suffix if dot else ""}
    return "".join(values[part] for part in "dpnx" if part in parts)


def split_commands(line: str) -> list[Piece]:
    """Cut at ``&``, ``&&`` and ``||`` outside quotes and take redirections out of each command.

    Raises:
        ValueError: a pipe, which this interpreter does not have.
    """
    pieces: list[Piece] = []
    when, start, at = "always", 0, 0
    for at, operator in _operators(line):
        pieces.append(_redirected(line[start:at], when))
        if operator == "|":
            raise ValueError("pipes are not supported by this interpreter")
        when = {"&&": "and", "||": "or"}.get(operator, "always")
        start = at + len(operator)
    pieces.append(_redirected(line[start:], when))
    return [piece for piece in pieces if piece.text or piece.output or piece.input]


def _operators(line: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for at, character in _unquoted(line):
        if character not in "&|" or (at and line[at - 1] in "<>" and character == "&"):
            continue
        if found and found[-1][0] == at - 1 and found[-1][1] == character:
            found[-1] = (at - 1, character * 2)
        else:
            found.append((at, character))
    return found


def _unquoted(line: str) -> list[tuple[int, str]]:
    quoted, plain = False, []
    for at, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif not quoted:
            plain.append((at, character))
    return plain


def _redirected(text: str, when: str) -> Piece:
    plain = {at for at, _ in _unquoted(text)}
    kept, output, append, source, position = "", "", False, "", 0
    while position < len(text):
        match = _REDIRECTION.match(text, position) if position in plain else None
        if match is None or (match["handle"] and position and text[position] == match["handle"]):
            kept += text[position]
            position += 1
            continue
        target = match["target"].strip('"')
        if match["kind"] == "<":
            source = target
        elif match["handle"] in ("", "1") and not target.startswith("&"):
            output, append = target, match["kind"] == ">>"
        position = match.end()
    return Piece(kept.strip(), when, output, append, source)


def head_and_rest(text: str) -> tuple[str, str]:
    """The command's name, quotes removed, and everything after it as written."""
    text = text.lstrip()
    if text.startswith('"'):
        name, _, rest = text[1:].partition('"')
        return name, rest
    match = re.match(r"[^\s,;=]+", text)
    return (match[0], text[match.end() :]) if match else ("", text)


def split_program_arguments(text: str) -> list[str]:
    """Arguments as a C program sees them: cut at white space, quotes group and vanish."""
    arguments: list[str] = []
    current, quoted, started = "", False, False
    for character in text:
        if character == '"':
            quoted, started = not quoted, True
        elif character in " \t" and not quoted:
            if started or current:
                arguments.append(current)
            current, started = "", False
        else:
            current += character
    if started or current:
        arguments.append(current)
    return arguments


def split_batch_arguments(text: str) -> list[str]:
    """Arguments as ``%1`` ... see them: also cut at ``,`` ``;`` ``=``, quotes kept."""
    return _BATCH_ARGUMENT.findall(text)


_IF = re.compile(
    r"if\s+(?P<i1>/i\s+)?(?P<negated>not\s+)?(?P<i2>/i\s+)?(?:"
    r"errorlevel\s+(?P<level>-?\d+)\s+"
    r"|exist\s+(?P<path>\"[^\"]*\"|\S+)\s+"
    r"|defined\s+(?P<variable>\S+)\s+"
    r"|(?P<left>\"[^\"]*\"|[^\s=]*)\s*==\s*(?P<right>\"[^\"]*\"|\S*)\s+"
    r")(?P<command>\S.*)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """An ``if``: whether it held, and what it guards."""

    holds: bool
    command: str
    otherwise: str = ""


def parse_if(
    text: str, errorlevel: int, variables: Mapping[str, str], exists: Callable[[str], bool]
) -> Condition | None:
    """Judge ``if [not] errorlevel N | exist PATH | defined NAME | A==B COMMAND``; None when it is malformed."""
    match = _IF.match(text)
    if match is None:
        return None
    if match["level"] is not None:
        holds = errorlevel >= int(match["level"])
    elif match["path"] is not None:
        holds = exists(match["path"].strip('"'))
    elif match["variable"] is not None:
        holds = match["variable"].upper() in variables
    else:
        holds = _equal(match["left"], match["right"], ignore_case=bool(match["i1"] or match["i2"]))
    command, otherwise = _branches(match["command"])
    return Condition(holds != bool(match["negated"]), command, otherwise)


def _equal(left: str, right: str, *, ignore_case: bool) -> bool:
    return left.upper() == right.upper() if ignore_case else left == right


def _branches(text: str) -> tuple[str, str]:
    match = re.match(r"\((?P<then>[^()]*)\)\s*(?:else\s+\(?(?P<else>[^()]*)\)?)?\s*$", text, re.IGNORECASE)
    if match is None:
        return text, ""
    return match["then"].strip(), (match["else"] or "").strip()
