"""Putting values into a line: ``%NAME%`` and ``%1`` as it is read, ``%%v`` in loops, ``!NAME!`` as it runs.

Source: the help texts of ``set``, ``call`` and ``for`` as Windows 2000 prints them (``%NAME:a=b%``, ``%NAME:~n,m%``,
``%~f1``); the order of the phases as "How does the Windows Command Interpreter (CMD.EXE) parse scripts?" (Stack
Overflow 4094699) worked out. NT 4.0 has ``%~f1`` with f, d, p, n, x and s; removing quotes (``%~1``), a, t, z and
``$PATH:`` came with 2000: this model's reading of what each version's help text lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_BATCH = re.compile(
    r"%%|%\*|%~(?P<parts>[fdpnxsatzFDPNXSATZ]*(?:\$[^:%\s]+:)?)(?P<modified>[0-9])|%(?P<plain>[0-9])"
    r"|%(?P<name>[^%:\r\n]+)(?P<edit>:[^%\r\n]*)?%|%"
)
_PROMPT = re.compile(r"%(?P<name>[^%:\r\n]+)(?P<edit>:[^%\r\n]*)?%")
_DELAYED = re.compile(r"!(?P<name>[^!:\r\n]+)(?P<edit>:[^!\r\n]*)?!")
_LOOP = re.compile(r"%(?:~(?P<parts>[fdpnxsatzFDPNXSATZ]*(?:\$[^:%\s]+:)?))?(?P<variable>[^%\s~])")
_SUBSTRING = re.compile(r":~\s*(?P<start>-?\d+)?\s*(?:,\s*(?P<length>-?\d+)?)?\s*$")
_NT_4_PARTS = frozenset("fdpnxs")
_LONGEST = 1 << 20  # what a hostile `set x=%y:a=bbbb%` may reach before the line is refused as too long


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What ``%~`` shows of a file: its full path (Windows form), its short one, attributes, time and size."""

    full: str
    short: str = ""
    attributes: str = ""
    time: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Expander:
    """The rules of one interpreter.

    Attributes:
        variable: the value of a variable by name, None when it is not set.
        facts: what is known of the file that an argument names.
        search: the full path of a file in the directories that a variable lists, empty when there is none.
        windows_2000: whether what came with Windows 2000 is there.
    """

    variable: Callable[[str], str | None]
    facts: Callable[[str], FileFacts]
    search: Callable[[str, str], str] = field(default=lambda _variable, _name: "")
    windows_2000: bool = True

    def batch(self, line: str, arguments: Sequence[str], everything: str) -> str:
        """A line of a batch file: what is not set vanishes, ``%%`` is a percent sign."""

        def replace(match: re.Match[str]) -> str:
            if match[0] == "%%":
                return "%"
            if match[0] == "%*":
                return everything
            if match["modified"] is not None:
                return self._argument(match, arguments)
            if match["plain"] is not None:
                return _at(arguments, int(match["plain"]))
            return self._edited(match, "") if match["name"] else ""

        return _bounded(_BATCH.sub(replace, line))

    def _argument(self, match: re.Match[str], arguments: Sequence[str]) -> str:
        parts = match["parts"].lower()
        if not self._has(parts):
            return match[0][1:]
        return self.modified(_at(arguments, int(match["modified"])), parts)

    def _has(self, parts: str) -> bool:
        return self.windows_2000 or (bool(parts) and set(parts) <= _NT_4_PARTS)

    def prompt(self, line: str) -> str:
        """A line at the prompt: a name that is not set stays as it is written."""
        return _bounded(_PROMPT.sub(lambda match: self._edited(match, match[0]), line))

    def delayed(self, text: str) -> str:
        """``!NAME!`` once more when a command runs; where there is a ``!`` a caret escapes what follows it."""
        if "!" not in text:
            return text
        text = _DELAYED.sub(lambda match: self._edited(match, ""), text)
        return _bounded(re.sub(r"\^(.)|!", lambda match: match[1] or "", text))

    def loop(self, text: str, variables: Mapping[str, str]) -> str:
        """``%v`` and ``%~fv`` of the loops that are running."""
        if not variables or "%" not in text:
            return text

        def replace(match: re.Match[str]) -> str:
            if match["parts"] is not None and match["variable"] in variables and self._has(match["parts"].lower()):
                return self.modified(variables[match["variable"]], match["parts"].lower())
            if match["parts"] is None and match["variable"] in variables:
                return variables[match["variable"]]
            return _shorter(match, variables, self)

        return _bounded(_LOOP.sub(replace, text))

    def _edited(self, match: re.Match[str], missing: str) -> str:
        value = self.variable(match["name"])
        edit = match["edit"]
        if value is None:
            return missing
        return value if not edit or edit == ":" else _edit(value, edit, missing or value)

    def modified(self, argument: str, parts: str) -> str:
        """``argument`` as ``%~`` and the letters ``parts`` show it, quotes removed."""
        plain = argument[1:-1] if len(argument) > 1 and argument[0] == argument[-1] == '"' else argument.strip('"')
        if not parts:
            return plain
        letters, dollar, place = parts.partition("$")
        if dollar:
            plain = self.search(place.rstrip(":"), plain)
            if not plain:
                return ""
            letters = letters or "f"
        return _assembled(self.facts(plain), letters)


def _shorter(match: re.Match[str], variables: Mapping[str, str], expander: Expander) -> str:
    """``%~nxi`` could also be read as the variable x after ~n: the longest reading that names a variable wins."""
    text = match[0]
    if not text.startswith("%~"):
        return text
    for end in range(len(text), 2, -1):
        parts, variable = text[2 : end - 1], text[end - 1]
        if variable in variables and expander._has(parts.lower()):  # noqa: SLF001 - one rule, two functions
            return expander.modified(variables[variable], parts.lower()) + text[end:]
    return text


def _assembled(facts: FileFacts, letters: str) -> str:
    prefix = [
        text for letter, text in (("a", facts.attributes), ("t", facts.time), ("z", facts.size)) if letter in letters
    ]
    path = facts.short or facts.full if "s" in letters else facts.full
    wanted = set(letters) & set("dpnx")
    if "f" in letters or ("s" in letters and not wanted):
        wanted = set("dpnx")
    drive, rest = (path[:2], path[2:]) if path[1:2] == ":" else ("", path)
    directory, name = rest[: rest.rfind("\\") + 1], rest[rest.rfind("\\") + 1 :]
    stem, dot, suffix = name.rpartition(".")
    values = {"d": drive, "p": directory, "n": stem if dot else name, "x": dot + suffix if dot else ""}
    shown = "".join(values[letter] for letter in "dpnx" if letter in wanted)
    return " ".join([text for text in prefix if text] + ([shown] if wanted else []))


def _edit(value: str, edit: str, unchanged: str) -> str:
    if edit.startswith(":~"):
        match = _SUBSTRING.match(edit)
        return _substring(value, match["start"], match["length"]) if match else unchanged
    old, equals, new = edit[1:].partition("=")
    if not equals or not old:
        return unchanged
    if old.startswith("*") and len(old) > 1:
        at = value.upper().find(old[1:].upper())
        return value if at < 0 else new + value[at + len(old) - 1 :]
    if len(value) * max(len(new), 1) > _LONGEST:
        return value
    return re.sub(re.escape(old), lambda _: new, value, flags=re.IGNORECASE)


def _substring(value: str, start: str | None, length: str | None) -> str:
    first = int(start or 0)
    first = max(len(value) + first, 0) if first < 0 else first
    if length is None:
        return value[first:]
    count = int(length)
    return value[first : len(value) + count] if count < 0 else value[first : first + count]


def _at(arguments: Sequence[str], index: int) -> str:
    return arguments[index] if index < len(arguments) else ""


def _bounded(text: str) -> str:
    return text[:_LONGEST]
