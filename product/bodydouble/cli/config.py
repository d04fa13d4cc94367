"""The daemon's configuration file: TOML, read strictly.

::

    state_directory = "/var/lib/bodydouble"

    [control]
    address = "127.0.0.1"
    port = 6330
    token_file = "control.token"        # or: token = "..."

    [replication]
    token_file = "replication.token"

    [host]                              # see bodydouble.adapters.linux.LinuxHostSettings

A ``token_file`` is looked for beside the configuration file and stands for ``token``.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bodydouble.cli.secret import read_token
from bodydouble.daemon import DaemonSettings
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_VALIDATION = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)


def load_config(path: Path, host_settings: type[T]) -> tuple[DaemonSettings, T]:
    """Read a configuration file.

    Args:
        path: the TOML file.
        host_settings: the struct of its ``[host]`` table.

    Raises:
        InputError: names the file, the key and what was expected there.
    """
    tree = _parse(path)
    host = tree.pop("host", {})
    for table in ("control", "replication"):
        _resolve_token(path, table, tree.get(table))
    return _convert(path, tree, DaemonSettings, ""), _convert(path, host, host_settings, "host")


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the configuration: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error


def _resolve_token(path: Path, table: str, values: Any) -> None:
    if not isinstance(values, dict) or "token_file" not in values:
        return
    if "token" in values:
        raise InputError(f"{path}: {table}: expected token or token_file, not both")
    name = values.pop("token_file")
    if not isinstance(name, str):
        raise InputError(f"{path}: {table}.token_file: expected a file name, got {name!r}")
    values["token"] = read_token(path.parent / name)


def _convert(path: Path, values: Any, type_: type[T], prefix: str) -> T:
    try:
        return msgspec.convert(values, type_, strict=True)
    except msgspec.ValidationError as error:
        match = _VALIDATION.fullmatch(str(error))
        assert match is not None
        key = f"{prefix}{match['path'] or ''}".strip(".") or "top level"
        raise InputError(f"{path}: {key}: {match['what']}") from error
