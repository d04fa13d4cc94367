"""What a script does to services and names, as far as its lines say so: cmd.exe's and the shell's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Verb = Literal["start", "stop"]

_PLACEHOLDER = re.compile(r"<drive>|<directory>|\bsource_name\b", re.IGNORECASE)
_BATCH_REMARK = re.compile(r"\s*@?\s*(?:rem(?=\s|$)|::)\s*", re.IGNORECASE)
_BATCH_REST = re.compile(r"(?:[&|(]|\berrorlevel\s+\d+)\s*@?rem\s.*", re.IGNORECASE)
_BATCH_NAME = re.compile(
    r"(?:\"([^\"]*chngname(?:\.exe)?)\"|([^\s\"@]*chngname(?:\.exe)?))\s+/([st])\b[ \t]*(\"[^\"]*\"|[^\s>|&]*)",
    re.IGNORECASE,
)
_BATCH_SERVICE = re.compile(r"\bnet(?:\.exe)?\s+(start|stop)\s+(\"[^\"]+\"|[^\">|&]+)", re.IGNORECASE)
_SHELL_NAME = re.compile(r"((?:\S*/)?(?:bodydouble\s+)?chngname)\s+(/s|/t|--set|--reset)(?:[\s=]+(\S+))?")
_SHELL_SERVICE = re.compile(
    r"\bsystemctl\s+(?:-\S+\s+)*(?P<verb>start|stop|restart)\s+(?P<name>[\w@.:-]+)"
    r"|\b(?:service|rc-service|invoke-rc\.d)\s+(?P<name2>[\w@.:-]+)\s+(?P<verb2>start|stop|restart)"
    r"|\b(?P<verb3>start|stop)_service\s+(?P<name3>[\w@.:-]+)"
)


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """A service that a line starts or stops; ``remark``: the line is a comment."""

    line: int
    verb: Verb
    name: str
    remark: bool


@dataclass(frozen=True, slots=True)
class NameCall:
    """A call of Chngname; ``name`` is empty where the own name is put back."""

    line: int
    program: str
    name: str

    @property
    def back(self) -> bool:
        """Whether it puts the own name back."""
        return not self.name


@dataclass(slots=True)
class Reading:
    """What was read."""

    services: list[ServiceCall] = field(default_factory=list)
    names: list[NameCall] = field(default_factory=list)
    placeholders: list[tuple[int, str]] = field(default_factory=list)

    def active(self, verb: Verb) -> list[ServiceCall]:
        """Calls that are carried out."""
        return [each for each in self.services if each.verb == verb and not each.remark]

    def remarked(self, verb: Verb) -> list[ServiceCall]:
        """Calls that are comments."""
        return [each for each in self.services if each.verb == verb and each.remark]


def is_batch(path: str) -> bool:
    """Whether cmd.exe runs a file of that name."""
    return path.lower().endswith((".bat", ".cmd"))


def read(path: str, text: str) -> Reading:
    """Read a script."""
    return _read_batch(text) if is_batch(path) else _read_shell(text)


def _read_batch(text: str) -> Reading:
    reading = Reading()
    for number, line in enumerate(text.splitlines(), 1):
        remark = _BATCH_REMARK.match(line)
        content = line[remark.end() :] if remark else _BATCH_REST.sub("", line)
        for found in _BATCH_SERVICE.finditer(content):
            # Prose that speaks of net start is no line that was commented out: those begin with the command.
            if remark is None or found.start() == 0:
                verb: Verb = "start" if found[1].lower() == "start" else "stop"
                reading.services.append(ServiceCall(number, verb, _service_name(found[2]), remark is not None))
        if remark is None:
            reading.placeholders += [(number, found[0]) for found in _PLACEHOLDER.finditer(content)]
            for found in _BATCH_NAME.finditer(content):
                name = found[4].strip('"') if found[3].lower() == "s" else ""
                reading.names.append(NameCall(number, found[1] or found[2], name))
    return _without_repeats(reading)


def _service_name(text: str) -> str:
    """The name in what follows ``net start``: in quotes, or all words that are no switch and no redirection."""
    if text.startswith('"'):
        return text.strip('"')
    words = [word for word in text.split() if not word.startswith("/")]
    if words and words[-1].isdigit() and len(words) > 1:  # the 2 of 2>&1
        words.pop()
    return " ".join(words)


def _read_shell(text: str) -> Reading:
    reading = Reading()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        remark = stripped.startswith("#")
        content = stripped.lstrip("# ")
        for found in _SHELL_SERVICE.finditer(content):
            name = found["name"] or found["name2"] or found["name3"]
            word = found["verb"] or found["verb2"] or found["verb3"]
            if not remark or found.start() == 0:
                verb: Verb = "stop" if word == "stop" else "start"
                reading.services.append(ServiceCall(number, verb, name.removesuffix(".service"), remark))
        if not remark:
            reading.placeholders += [(number, found[0]) for found in _PLACEHOLDER.finditer(content)]
            for found in _SHELL_NAME.finditer(content):
                name = (found[3] or "").strip("'\"") if found[2] in ("/s", "--set") else ""
                reading.names.append(NameCall(number, found[1], name))
    return _without_repeats(reading)


def _without_repeats(reading: Reading) -> Reading:
    """A second try of the same service says nothing new."""
    first: dict[tuple[Verb, str, bool], ServiceCall] = {}
    for each in reading.services:
        first.setdefault((each.verb, each.name.casefold(), each.remark), each)
    reading.services = list(first.values())
    return reading
