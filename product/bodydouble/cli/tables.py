"""TOML files read strictly: every mistake is named with its file, line and key, and what was expected there."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bodydouble.cli.expectations import explain
from bodydouble.cli.secret import read_token
from bodydouble.cli.toml_lines import line_of
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble.cli.toml_lines import Key

T = TypeVar("T")

_VALIDATION = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_LOCATED = re.compile(r"([a-z_]+(?:\.[a-z_]+)*): ")
_READ_APART: dict[Key, tuple[str, ...]] = {(): ("host",), ("control",): ("token_file",)}
"""What a table of the file may hold and the settings do not have."""


def parse(path: Path) -> dict[str, Any]:
    """The file's tables.

    Raises:
        InputError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the configuration: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}; correct the line") from error


def resolve_token(path: Path, table: str, values: Any) -> None:
    """Put the secret in place of a table's ``token_file``, which is looked for beside the configuration.

    Raises:
        InputError: it cannot be read, or both are given.
    """
    if not isinstance(values, dict) or "token_file" not in values:
        return
    if "token" in values:
        raise mistake(path, (table, "token_file"), "expected token or token_file, not both; take one of them out")
    name = values.pop("token_file")
    if not isinstance(name, str):
        raise mistake(path, (table, "token_file"), "expected the name of a file in quotation marks")
    values["token"] = read_token(path.parent / name)


def convert(path: Path, values: Any, type_: type[T], prefix: str) -> T:
    """``values`` as a ``type_``; ``prefix`` is their key in the file.

    Raises:
        InputError: names the file, the line, the key, what was expected there, and what to do.
    """
    try:
        return msgspec.convert(values, type_, strict=True)
    except msgspec.ValidationError as error:
        match = _VALIDATION.fullmatch(str(error))
        assert match is not None
        way = _way(match["path"] or "")
        above: Key = (prefix,) if prefix else ()
        besides = _READ_APART.get((*above, *way), ())
        key, what = explain(type_, way, _found(values, way), match["what"], besides)
        raise mistake(path, (*above, *key), what) from error


def mistake(path: Path, key: Key, what: str) -> InputError:
    """What is wrong with the value at ``key`` of a file."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).strip(".")
    return InputError(f"{path}, line {_line(path, key)}: {name or 'top level'}: {what}")


def located(path: Path, error: InputError) -> InputError:
    """An error about a setting that was understood and cannot be, with the file and the line of its key."""
    named = _LOCATED.match(str(error))
    if named is None:
        return error
    return mistake(path, tuple(named[1].split(".")), str(error)[named.end() :])


def _line(path: Path, key: Key) -> int:
    """The file is read again for it: only who has made a mistake pays."""
    try:
        return line_of(path.read_text("utf-8"), key)
    except (OSError, UnicodeDecodeError):
        return 1


def _way(text: str) -> Key:
    return tuple(name or int(number) for name, number in _STEP.findall(text))


def _found(values: Any, way: Key) -> Any:
    for part in way:
        values = values[part]
    return values
