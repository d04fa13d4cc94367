"""YAML text to plain values that remember the line each of them stands on.

Scenario files use YAML's plain part: mappings with text keys, lists, text, numbers, ``true`` and ``false``. The words
``on``, ``off``, ``yes`` and ``no`` are text here (YAML 1.2), duplicate keys, aliases and custom tags are refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from bodydouble_labs.errors import ScenarioError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20

Path = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """PyYAML's composer with YAML 1.2's plain scalars; the library's own resolvers stay as they are."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?\d{1,18}$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?\d{1,18}(?:\.\d*)?(?:[eE][-+]?\d{1,3})?$"), list("-0123456789")
)


@dataclass
class Document:
    """A file's values and where they stand.

    Attributes:
        value: the top-level value.
        lines: 1-based line of each key (by the path of its value) and of each list item.
    """

    file: str
    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)

    def error(self, path: Path, problem: str) -> ScenarioError:
        """An error about the value at ``path``, or about the nearest part of it that exists."""
        return ScenarioError(self.file, self._line(path), dotted(path), problem)

    def place(self, path: Path) -> str:
        """A value's line and key, for an error about another one that contradicts it."""
        return f"line {self._line(path)} ({dotted(path)})"

    def _line(self, path: Path) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def dotted(path: Path) -> str:
    """A path as people write it: ``timeline[3].on``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: bytes, file: str) -> Document:
    """Parse a scenario file's bytes.

    Raises:
        ScenarioError: too large, not UTF-8, not YAML, or outside the plain part of it.
    """
    if len(text) > MAX_BYTES:
        raise ScenarioError(file, 0, "", f"{len(text)} bytes: a scenario file has at most {MAX_BYTES}")
    try:
        loader = _Loader(text.decode("utf-8-sig"))
        node = loader.get_single_node()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ScenarioError(file, line, "", f"not UTF-8 text: byte {text[error.start]:#04x}") from None
    except yaml.YAMLError as error:
        raise _yaml_error(error, file) from None
    except RecursionError:
        raise ScenarioError(file, 0, "", "nested far too deeply") from None
    document = Document(file)
    if node is None:
        raise ScenarioError(file, 0, "", "the file is empty; expected a mapping that begins with 'format: 1'")
    document.value = _Reader(document).read(node, ())
    return document


def _yaml_error(error: yaml.YAMLError, file: str) -> ScenarioError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return ScenarioError(file, mark.line + 1 if mark else 0, "", f"not valid YAML: {problem}")


class _Reader:
    """Turns nodes into values, noting lines."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.seen: set[int] = set()

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self.seen:
            raise self.document.error(path, "aliases (*name) are not used in scenario files; write the value out")
        self.seen.add(id(node))
        if len(path) > MAX_DEPTH:
            raise self.document.error(path, f"nested more than {MAX_DEPTH} deep")
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "map", path)
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", path)
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _check_tag(self, node: yaml.Node, expected: str, path: Path) -> None:
        if node.tag != f"tag:yaml.org,2002:{expected}":
            raise self.document.error(path, f"the tag {node.tag!r} is not used in scenario files")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ScenarioError(self.document.file, line, dotted(path), "a key must be text")
            key: str = key_node.value
            if key in result:
                first = self.document.lines[(*path, key)]
                raise ScenarioError(
                    self.document.file, line, dotted((*path, key)), f"the key is already given on line {first}"
                )
            self.document.lines[(*path, key)] = line
            result[key] = self.read(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool" and text in ("true", "false"):
            return text == "true"
        try:
            number = int(text) if kind == "int" else float(text) if kind == "float" else None
        except ValueError:
            number = None
        if number is None or not math.isfinite(number):
            raise self.document.error(path, f"cannot read {text!r} as a value here")
        return number
