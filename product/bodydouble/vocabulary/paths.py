"""Paths in product form: pure rules, the same on every host.

Source of the limits: the replication-set rules of Double-Take's guides (paths of up to 259 characters on Windows);
POSIX hosts allow 4,096 bytes. What a name on a drive may not be: Microsoft's "Naming Files, Paths, and Namespaces".
"""

from __future__ import annotations

import re

from bodydouble.errors import PathError

MAX_PATH_CHARACTERS = 4096

_DRIVE = re.compile(r"[A-Za-z]:(?=/|$)")
_FORBIDDEN = re.compile(r"[\x00-\x1f]")
_NOT_ON_A_DRIVE = re.compile(r'[<>:"|?*\\]|[. ]$')
_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [f"{port}{n}" for port in ("COM", "LPT") for n in "123456789¹²³"]
)


def normalise(path: str) -> str:
    """Bring an absolute path of either platform into product form.

    Backslashes count as separators only in a path that starts with a drive.

    Raises:
        PathError: relative, empty, too long, a control character, or a ``.`` or ``..`` component.
    """
    if re.match(r"[A-Za-z]:[\\/]|[A-Za-z]:$", path):
        path = path[0].upper() + path[1:].replace("\\", "/")
    check(stripped := _strip(path))
    return stripped


def _strip(path: str) -> str:
    head, sep, rest = path.partition("/")
    rest = "/".join(part for part in rest.split("/") if part)
    if not sep or not rest:
        return (head or "/") if head or sep else path
    return f"{head}/{rest}"


def check(path: str) -> None:
    """Refuse a path that is not in product form; for paths that came from outside.

    Raises:
        PathError: see `normalise`.
    """
    if len(path) > MAX_PATH_CHARACTERS:
        raise PathError(f"path of {len(path)} characters: at most {MAX_PATH_CHARACTERS} are allowed")
    if _FORBIDDEN.search(path):
        raise PathError(f"{path!r}: control characters are not allowed in a path")
    if path != "/" and not path.startswith("/") and not _DRIVE.match(path):
        raise PathError(f"{path!r}: expected an absolute path (C:/InetPub or /srv/www)")
    parts = path.split("/")[1:]
    if path != "/" and any(part in ("", ".", "..") for part in parts):
        raise PathError(f"{path!r}: empty, '.' and '..' components are not allowed")


def has_drive(path: str) -> bool:
    """Whether ``path`` is one of a host with drives (Windows), not one of a host with a single root."""
    return _DRIVE.match(path) is not None


def check_file(path: str) -> None:
    """Refuse a path that names no file or directory, or another one than it seems to.

    On a drive these are devices (``nul.txt``), streams of files (``a:b``), names whose end Windows drops (``a.``), and
    characters that no name has. Aliases (``PROGRA~1``) look like names; a host's file system knows them apart.

    Raises:
        PathError: see there, and `check`.
    """
    check(path)
    if not _DRIVE.match(path):
        return
    for part in path.split("/")[1:]:
        stem = part.partition(".")[0].rstrip(" ").upper()
        if stem in _DEVICES or _NOT_ON_A_DRIVE.search(part):
            raise PathError(f"{path!r}: on a drive {part!r} is no name of a file")


def is_beneath(path: str, root: str) -> bool:
    """Whether ``path`` is ``root`` or inside it (both in product form, same case)."""
    return path == root or path.startswith(root if root.endswith("/") else root + "/")


def parent(path: str) -> str:
    """The directory that holds ``path``; a root is its own parent."""
    head, sep, _ = path.rpartition("/")
    return head or "/" if sep else path


def name(path: str) -> str:
    """The last component."""
    return path.rpartition("/")[2]


def join(directory: str, name_: str) -> str:
    """``name_`` inside ``directory``."""
    return f"/{name_}" if directory == "/" else f"{directory}/{name_}"
