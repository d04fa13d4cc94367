"""Replication sets as files: TOML that people can read, compare and keep under version control.

::

    bodydouble_replication_set = 1         # version of the format
    name = "web"

    [[rule]]
    include = "/srv/www"

    [[rule]]
    exclude = "/srv/www/cache"
    recursive = false                      # true when left out

Every mistake is named with its file, line and key, what was expected there, and what to do.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from bodydouble.cli.toml_lines import line_of
from bodydouble.errors import InputError, PathError
from bodydouble.vocabulary.paths import normalise
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "bodydouble_replication_set"
VERSION = 1
MAX_BYTES = 8 << 20
_RULE_KEYS = ("include", "exclude", "recursive")
_TOP_KEYS = (FORMAT, "name", "rule")


def write(replication_set: ReplicationSet) -> str:
    """The set as the text of a file.

    Raises:
        InputError: a path has bytes that are no text, which TOML cannot hold.
    """
    lines = [f"{FORMAT} = {VERSION}", f"name = {_quoted(replication_set.name)}"]
    for rule in replication_set.rules:
        lines += ["", "[[rule]]", f"{'include' if rule.include else 'exclude'} = {_quoted(rule.path)}"]
        lines += [] if rule.recursive else ["recursive = false"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{text!r} cannot be exported: it has bytes that are no text; leave the rule out") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read(path: Path) -> ReplicationSet:
    """The set that a file holds.

    Raises:
        InputError: names the file, the line, the key, what was expected, and what to do.
    """
    text = _text(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}; correct the line, or export the set again") from error
    return _Reader(str(path), text).set_of(tree)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{path}: longer than {MAX_BYTES} bytes; a replication set has at most 1,000 rules")
        return content.decode()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; check the name") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start}: not UTF-8; save the file as UTF-8") from error


class _Reader:
    """Reads one file's tree and knows the lines of its keys.

    Args:
        file: its name.
        text: its text, which is valid TOML.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text

    def set_of(self, tree: dict[str, Any]) -> ReplicationSet:
        version = tree.get(FORMAT)
        if version != VERSION or isinstance(version, bool):
            what = "is missing" if version is None else f"is {version!r}"
            remedy = "export the set with this version, or correct the number if you wrote the file yourself"
            raise self._error(None, FORMAT, f"{what}; expected {VERSION}", remedy)
        self._refuse_unknown(tree, _TOP_KEYS, None)
        name = self._string(tree, "name", None)
        rules = tree.get("rule", [])
        if not isinstance(rules, list) or not rules:
            raise self._error(None, "rule", "expected one or more [[rule]] tables", "add [[rule]] with include = PATH")
        return ReplicationSet(name=name, rules=[self._rule(each, number) for number, each in enumerate(rules)])

    def _rule(self, table: Any, number: int) -> Rule:
        if not isinstance(table, dict):
            raise self._error(number, "", f"is {table!r}; expected a table", "write [[rule]] and its keys beneath")
        self._refuse_unknown(table, _RULE_KEYS, number)
        if ("include" in table) == ("exclude" in table):
            raise self._error(number, "", "expected include or exclude, one of them", "give one of the two")
        key = "include" if "include" in table else "exclude"
        path = self._string(table, key, number)
        recursive = table.get("recursive", True)
        if not isinstance(recursive, bool):
            raise self._error(number, "recursive", f"is {recursive!r}; expected true or false", "correct it")
        try:
            return Rule(path=normalise(path), include=key == "include", recursive=recursive)
        except PathError as error:
            raise self._error(number, key, str(error), "write the whole path, beginning with a drive or /") from error

    def _string(self, table: dict[str, Any], key: str, number: int | None) -> str:
        value = table.get(key)
        if not isinstance(value, str):
            what = "is missing" if value is None else f"is {value!r}"
            raise self._error(number, key, f"{what}; expected text in quotation marks", f'write {key} = "..."')
        return value

    def _refuse_unknown(self, table: dict[str, Any], known: tuple[str, ...], number: int | None) -> None:
        for key in table:
            if key not in known:
                remedy = "take it out, or correct its spelling"
                raise self._error(number, key, f"is not known; expected one of {', '.join(known)}", remedy)

    def _error(self, number: int | None, key: str, what: str, remedy: str) -> InputError:
        place = key if number is None else f"rule {number + 1}" + (f", {key}" if key else "")
        line = line_of(self._text, (key,) if number is None else ("rule", number, key))
        return InputError(f"{self._file}, line {line}: {place}: {what}; {remedy}")
