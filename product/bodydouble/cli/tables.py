"""TOML files read strictly: every mistake is named with its file and key."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bodydouble.cli.secret import read_token
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_VALIDATION = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)


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
        raise InputError(f"{path}: not valid TOML: {error}") from error


def resolve_token(path: Path, table: str, values: Any) -> None:
    """Put the secret in place of a table's ``token_file``, which is looked for beside the configuration.

    Raises:
        InputError: it cannot be read, or both are given.
    """
    if not isinstance(values, dict) or "token_file" not in values:
        return
    if "token" in values:
        raise InputError(f"{path}: {table}: expected token or token_file, not both")
    name = values.pop("token_file")
    if not isinstance(name, str):
        raise InputError(f"{path}: {table}.token_file: expected a file name, got {name!r}")
    values["token"] = read_token(path.parent / name)


def convert(path: Path, values: Any, type_: type[T], prefix: str) -> T:
    """``values`` as a ``type_``; ``prefix`` is their key in the file.

    Raises:
        InputError: names the file, the key and what was expected there.
    """
    try:
        return msgspec.convert(values, type_, strict=True)
    except msgspec.ValidationError as error:
        match = _VALIDATION.fullmatch(str(error))
        assert match is not None
        key = f"{prefix}{match['path'] or ''}".strip(".") or "top level"
        raise InputError(f"{path}: {key}: {match['what']}") from error
