"""Cutting the rest of a line into arguments, as batch files, C programs and internal commands each do it."""

from __future__ import annotations

import re

_BATCH_ARGUMENT = re.compile(r"(?:\"[^\"]*\"?|[^\s,;=\"])+")
_SWITCH = re.compile(r"/-?[A-Za-z?][^\s/\"]*(?::\"[^\"]*\")?")


def head_and_rest(text: str) -> tuple[str, str]:
    """The command's name, quotes removed, and everything after it as written."""
    text = text.lstrip(" \t,;=")
    if text.startswith('"'):
        name, _, rest = text[1:].partition('"')
        return name, rest
    match = re.match(r"[^\s,;=]+", text)
    return (match[0], text[match.end() :]) if match else ("", text)


def program_arguments(text: str) -> list[str]:
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


def batch_arguments(text: str) -> list[str]:
    """Arguments as ``%1`` ... see them: also cut at ``,`` ``;`` ``=``, quotes kept."""
    return _BATCH_ARGUMENT.findall(text)


def names_and_switches(rest: str) -> tuple[list[str], list[str]]:
    """Arguments of an internal command, quotes removed, and its switches in lower case (``/s``, ``/a:-d``)."""
    names: list[str] = []
    switches: list[str] = []
    for word in batch_arguments(rest):
        while word.startswith("/") and (match := _SWITCH.match(word)):
            switches.append(match[0].lower().replace('"', ""))
            word = word[match.end() :]  # noqa: PLW2901 - `/s/q` are two switches
        if word:
            if not word.startswith('"') and (at := _switch_at(word)):
                names.append(word[:at])
                switches.extend(found.lower() for found in _SWITCH.findall(word[at:]))
            else:
                names.append(word.replace('"', ""))
    return names, switches


def _switch_at(word: str) -> int:
    match = re.search(r"(?<=[^/])(?=/-?[A-Za-z](?:/|:|$))", word)
    return match.start() if match and "\\" in word[: match.start()] else 0
