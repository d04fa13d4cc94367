"""What a script does to services and names, as far as its lines say so: cmd.exe's and the shell's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from bodydouble.vocabulary.inventory import NameCall, Placeholder, ScriptFacts, ServiceCall

if TYPE_CHECKING:
    from collections.abc import Iterator

Verb = Literal["start", "stop"]
Call = ServiceCall | NameCall | Placeholder

LONGEST_LINE = 2047
"""Characters: what cmd.exe of Windows NT 4.0 and 2000 takes; what follows in a longer line is not read."""

_PLACEHOLDER = re.compile(r"<drive>|<directory>|\bsource_name\b", re.IGNORECASE)
_BATCH_REMARK = re.compile(r"\s*@?\s*(?:rem(?=\s|$)|::)\s*", re.IGNORECASE)
_BATCH_REST = re.compile(r"(?:[&|(]|\berrorlevel\s+\d+)\s*@?rem\s.*", re.IGNORECASE)
_BATCH_NAME = re.compile(
    r"(?:\"([^\"]*chngname(?:\.exe)?)\"|([^\s\"@]*chngname(?:\.exe)?))\s+/([st])\b[ \t]*(\"[^\"]*\"|[^\s>|&]*)",
    re.IGNORECASE,
)
_BATCH_SERVICE = re.compile(r"\bnet(?:\.exe)?\s+(start|stop)\s+(\"[^\"]+\"|[^\">|&]+)", re.IGNORECASE)
_SHELL_NAME = re.compile(r"((?:\S*/)?(?:bodydouble['\"]?\s+)?chngname)\s+(/s|/t|--set|--reset)(?:[\s=]+(\S+))?")
_SHELL_SERVICE = re.compile(
    r"\bsystemctl\s+(?:-\S+\s+)*(?P<verb>start|stop|restart)\s+(?P<name>[\w@.:-]+)"
    r"|\b(?:service|rc-service|invoke-rc\.d)\s+(?P<name2>[\w@.:-]+)\s+(?P<verb2>start|stop|restart)"
    r"|\b(?P<verb3>start|stop)_service\s+(?P<name3>[\w@.:-]+)"
)


def is_batch(path: str) -> bool:
    """Whether cmd.exe runs a file of that name."""
    return path.lower().endswith((".bat", ".cmd"))


def read(path: str, text: str) -> ScriptFacts:
    """Read a script, its lines up to `LONGEST_LINE` characters."""
    lines = [line[:LONGEST_LINE] for line in text.splitlines()]
    read_line = _batch_line if is_batch(path) else _shell_line
    services: dict[tuple[str, str, bool], ServiceCall] = {}
    names: list[NameCall] = []
    placeholders: list[Placeholder] = []
    for number, line in enumerate(lines, 1):
        for found in read_line(number, line):
            match found:
                case ServiceCall():  # a second try of the same service says nothing new
                    services.setdefault((found.verb, found.name.casefold(), found.remark), found)
                case NameCall():
                    names.append(found)
                case Placeholder():
                    placeholders.append(found)
    return ScriptFacts(
        path=path, lines=len(lines), services=list(services.values()), names=names, placeholders=placeholders
    )


def _batch_line(number: int, line: str) -> Iterator[Call]:
    remark = _BATCH_REMARK.match(line)
    content = line[remark.end() :] if remark else _BATCH_REST.sub("", line)
    for found in _BATCH_SERVICE.finditer(content):
        # Prose that speaks of net start is no line that was commented out: those begin with the command.
        if remark is None or found.start() == 0:
            verb: Verb = "start" if found[1].lower() == "start" else "stop"
            yield ServiceCall(line=number, verb=verb, name=_service_name(found[2]), remark=remark is not None)
    if remark is not None:
        return
    yield from _placeholders(number, content)
    for found in _BATCH_NAME.finditer(content) if "chngname" in content.lower() else ():
        name = found[4].strip('"') if found[3].lower() == "s" else ""
        yield NameCall(line=number, program=found[1] or found[2], name=name)


def _service_name(text: str) -> str:
    """The name in what follows ``net start``: in quotes, or all words that are no switch and no redirection."""
    if text.startswith('"'):
        return text.strip('"')
    words = [word for word in text.split() if not word.startswith("/")]
    if words and words[-1].isdigit() and len(words) > 1:  # the 2 of 2>&1
        words.pop()
    return " ".join(words)


def _shell_line(number: int, line: str) -> Iterator[Call]:
    stripped = line.strip()
    remark = stripped.startswith("#")
    content = stripped.lstrip("# ")
    for found in _SHELL_SERVICE.finditer(content):
        name = found["name"] or found["name2"] or found["name3"]
        word = found["verb"] or found["verb2"] or found["verb3"]
        if not remark or found.start() == 0:
            verb: Verb = "stop" if word == "stop" else "start"
            yield ServiceCall(line=number, verb=verb, name=name.removesuffix(".service"), remark=remark)
    if remark:
        return
    yield from _placeholders(number, content)
    for found in _SHELL_NAME.finditer(content) if "chngname" in content else ():
        name = (found[3] or "").strip("'\"") if found[2] in ("/s", "--set") else ""
        yield NameCall(line=number, program=found[1], name=name)


def _placeholders(number: int, content: str) -> Iterator[Placeholder]:
    return (Placeholder(line=number, text=found[0]) for found in _PLACEHOLDER.finditer(content))
