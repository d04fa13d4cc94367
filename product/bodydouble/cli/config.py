"""The daemon's configuration file: TOML, read strictly.

::

    state_directory = "/var/lib/bodydouble"

    [control]
    address = "127.0.0.1"
    port = 6330
    token_file = "control.token"        # or: token = "..."

    [replication]
    accepted_roots = ["/srv/www"]

    [host]                              # see bodydouble.adapters.linux.LinuxHostSettings

A ``token_file`` is looked for beside the configuration file and stands for ``token``. ``[replication]`` and ``[host]``
may be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bodydouble.cli.tables import convert, mistake, parse, resolve_token
from bodydouble.daemon import DaemonSettings
from bodydouble.errors import PathError
from bodydouble.vocabulary.paths import normalise

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


def load_config(path: Path, host_settings: type[T]) -> tuple[DaemonSettings, T]:
    """Read a configuration file.

    Args:
        path: the TOML file.
        host_settings: the struct of its ``[host]`` table.

    Raises:
        InputError: names the file, the line, the key, what was expected there, and what to do.
    """
    tree = parse(path)
    host = tree.pop("host", {})
    resolve_token(path, "control", tree.get("control"))
    _refuse_shared_token(path, tree.get("replication"))
    settings = convert(path, tree, DaemonSettings, "")
    _check_state_directory(path, settings.state_directory)
    return settings, convert(path, host, host_settings, "host")


def _check_state_directory(path: Path, directory: str) -> None:
    try:
        normalise(directory)
    except PathError as error:
        raise mistake(path, ("state_directory",), str(error)) from error


def _refuse_shared_token(path: Path, values: Any) -> None:
    """What versions before mutual TLS authenticated replication by."""
    for key in ("token", "token_file"):
        if isinstance(values, dict) and key in values:
            raise mistake(
                path,
                ("replication", key),
                "machines no longer share a token; take the line out, start the daemons, and pair them: "
                "'bodydouble pair offer' on one, 'bodydouble pair accept HOST CODE' on the other",
            )
